"""What layers are called with in Keras' JSON, in the words of Keras 2 and 3, and how it writes values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mlexplorer.converters.keras.source_model import Call, KerasLayer, TensorRef
from mlexplorer.errors import FileFormatError

_RECURRENT = (
    *("RNN", "SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", "Bidirectional"),
    *("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
)


def calls_of(layer: KerasLayer, data: Mapping[str, Any], names: set[str]) -> list[Call]:
    """The calls of a layer in a model whose layers have these names; states of recurrent layers become keywords.

    Raises FileFormatError for what is no call.
    """
    nodes = data.get("inbound_nodes", [])
    if not isinstance(nodes, list):
        raise FileFormatError(f"the inbound_nodes of layer {layer.name!r} are not a list")
    calls = [_new_call(node) if _is_new(node) else _old_call(node, names, layer.name) for node in nodes if node]
    return [_with_states(call, layer) for call in calls]


def has_new_nodes(data: Mapping[str, Any]) -> bool:
    """Whether a layer's calls are in the words of Keras 3."""
    return any(map(_is_new, data.get("inbound_nodes", [])))


def _is_new(node: Any) -> bool:
    return isinstance(node, Mapping) and {"args", "kwargs"} == node.keys()


def _new_call(node: Mapping[str, Any]) -> Call:
    arguments, keywords = plain(node["args"]), plain(node["kwargs"])
    return Call(
        tuple(arguments) if isinstance(arguments, list) else (arguments,),
        keywords if isinstance(keywords, Mapping) else {},
    )


def _old_call(node: Any, names: set[str], layer: str) -> Call:
    """A call as Keras 2 writes it: [name, call, index, keywords] for each tensor of the first argument, nested."""
    keywords: dict[str, Any] = {}

    def first_argument(value: Any) -> Any:
        if isinstance(value, list) and value and isinstance(value[0], str):
            if len(value) == 4 and isinstance(value[3], Mapping):
                keywords.update({key: _old_references(item, names) for key, item in value[3].items()})
            if value[0] == "_CONSTANT_VALUE" and len(value) >= 3:
                return plain(value[2])
            return _reference(value[:3], layer)
        if isinstance(value, list):
            return [first_argument(item) for item in value]
        if isinstance(value, Mapping):
            return {key: first_argument(item) for key, item in value.items()}
        raise FileFormatError(f"layer {layer!r} is called with {value!r}, which is no result of a layer")

    argument = first_argument(node)
    return Call((argument[0] if isinstance(argument, list) and len(argument) == 1 else argument,), keywords)


def _old_references(value: Any, names: set[str]) -> Any:
    """Keywords of Keras 2, with its bare [name, call, index] for tensors."""
    if isinstance(value, list):
        if len(value) in (3, 4) and isinstance(value[0], str) and value[0] in names:
            return _reference(value[:3], value[0])
        return [_old_references(item, names) for item in value]
    if isinstance(value, Mapping) and "class_name" not in value:
        return {key: _old_references(item, names) for key, item in value.items()}
    return plain(value)


def _with_states(call: Call, layer: KerasLayer) -> Call:
    """The call of a recurrent layer with its states as keywords: Keras 2 appends them to the input."""
    if layer.class_name not in _RECURRENT or not call.arguments:
        return call
    first, *rest = call.arguments
    keywords = dict(call.keywords)
    if isinstance(first, list) and len(first) > 1:
        constants = layer.config.get("num_constants") or 0
        if type(constants) is not int or not 0 <= constants < len(first):
            raise FileFormatError(f"layer {layer.name!r} has num_constants {constants!r}")
        end = len(first) - constants
        if end > 1:
            keywords["initial_state"] = first[1:end]
        if constants:
            keywords["constants"] = first[end:]
        return Call((first[0],), keywords)
    if rest:
        return Call((first, *rest[1:]), {**keywords, "initial_state": rest[0]})
    return call


def ends_of(value: Any, names: set[str]) -> list[TensorRef]:
    """The tensors that input_layers or output_layers name, in Keras' order: dictionaries are sorted by their keys."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        return [_reference(value, "the model")]
    if isinstance(value, Mapping):
        return [tensor for key in sorted(value) for tensor in ends_of(value[key], names)]
    if isinstance(value, list):
        return [tensor for item in value for tensor in ends_of(item, names)]
    raise FileFormatError(f"{value!r} among the model's inputs and outputs is no result of a layer")


def _reference(value: Any, layer: str) -> TensorRef:
    if isinstance(value, list) and len(value) == 3:
        name, call, index = value
        if isinstance(name, str) and type(call) is int and type(index) is int and index >= 0:
            return TensorRef(name, call, index)
    raise FileFormatError(f"layer {layer!r} is called with {value!r}, which is no result of a layer")


# Values


def plain(value: Any) -> Any:
    """A value of Keras' JSON without Keras' own notation: tuples are lists, functions and dtypes their names.

    Tensors of the model become TensorRef, arrays nested lists, slices `slice`; marshalled functions become None.
    """
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind in ("__tuple__", "__list__") and isinstance(value.get("items"), list):
        return [plain(item) for item in value["items"]]
    if kind == "__keras_tensor__" and isinstance(config, Mapping):
        return _reference(config.get("keras_history"), "of a node")
    if kind in ("__tensor__", "__numpy__") and isinstance(config, Mapping):
        return plain(config.get("value"))
    if kind == "__slice__" and isinstance(config, Mapping):
        return slice(*(plain(config.get(key)) for key in ("start", "stop", "step")))
    if kind == "__ellipsis__":
        return ...
    if kind == "__lambda__":
        return None
    if kind == "function" and isinstance(config, str):
        return config
    if kind in ("DTypePolicy", "Policy") and isinstance(config, Mapping):
        return config.get("name")
    return {key: plain(item) for key, item in value.items()}


def mapped(value: Any, function: Callable[[TensorRef], TensorRef]) -> Any:
    """Nested arguments with each tensor replaced."""
    if isinstance(value, TensorRef):
        return function(value)
    if isinstance(value, Mapping):
        return {key: mapped(item, function) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mapped(item, function) for item in value)
    return value
