"""Keras' JSON to a KerasModel without weights. What the JSON names is never looked up, imported or run."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from mlexplorer.converters.keras.calls import calls_of, ends_of, has_new_nodes, mapped, plain
from mlexplorer.converters.keras.source_model import Call, KerasLayer, KerasModel, TensorRef
from mlexplorer.errors import FileFormatError, UnsupportedError

_DEPTH_LIMIT = 200
_WIDTH_LIMIT = 2**31


def parse_json(text: str | bytes, what: str) -> dict[str, Any]:
    """The JSON object in a text.

    Raises FileFormatError, which calls it `what`, for text that is not JSON in UTF-8, or nested too deeply.
    """
    try:
        value = json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{what} is not text in UTF-8 ({error}); save the model again") from error
    except RecursionError as error:
        raise FileFormatError(f"{what} is nested too deeply for a Keras model; it is not read") from error
    except ValueError as error:
        raise FileFormatError(f"{what} is not JSON ({error}); copy, download or save it again") from error
    if not isinstance(value, dict):
        raise FileFormatError(f"{what} is not a JSON object, so it describes no Keras model")
    return value


def model_of(data: Mapping[str, Any], keras_version: str = "") -> KerasModel:
    """The model that Keras' JSON describes, without weights.

    Raises UnsupportedError for a subclassed model, FileFormatError for what contradicts itself: references to nothing,
    cycles, layers of the same name, numbers that JSON does not have.
    """
    keras_version = keras_version or _text(data.get("keras_version", ""), "keras_version")
    if not keras_version and "module" in data:  # to_json of Keras 3 leaves its version out; that of Keras 2 does not
        keras_version = "3.0"
    _check(data.get("config"))
    if not isinstance(data.get("class_name"), str):
        raise FileFormatError("the JSON has no class_name, so it describes no Keras model")
    model = _model(data, "model", keras_version)
    if model is None:
        name = _class_name(data)
        raise UnsupportedError(
            f"{name} is a subclassed model: its file holds no layers, only the name of a Python class; rebuild the "
            "network with keras.Input and keras.Model(inputs, outputs), or as keras.Sequential, and save that"
        )
    return model


def batch_shape(model: KerasModel) -> Any:
    """The shape of the model's only input as its InputLayer has it; None where it is not known."""
    layers = {layer.name: layer for layer in model.layers}
    return layers[model.inputs[0].layer].config["batch_shape"] if len(model.inputs) == 1 else None


def snake_case(class_name: str) -> str:
    """What Keras makes of a class's name to number its layers: "Conv2D" gives "conv2d"."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", class_name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


# Models


def _model(data: Mapping[str, Any], name: str, version: str) -> KerasModel | None:
    """The model that a layer's data describe; None where the layer is no model."""
    config = data.get("config")
    if isinstance(config, list):  # a Sequential of Keras 2.0 and 2.1
        return _sequential(_dicts(config), name, None, version)
    if not isinstance(config, Mapping) or not isinstance(config.get("layers"), list):
        return None
    name = _text(config.get("name") or data.get("name") or name, "the name of a model")
    if "input_layers" in config and "output_layers" in config:
        return _functional(config, name, version)
    if _class_name(data) == "Sequential":
        built = config.get("build_input_shape") or config.get("batch_input_shape")
        return _sequential(_dicts(config["layers"]), name, built, version)
    return None


def _sequential(data: Sequence[Mapping[str, Any]], name: str, built: Any, version: str) -> KerasModel:
    layers = [_layer(layer, version, number) for number, layer in enumerate(data)]
    if not layers:
        raise FileFormatError(f"the Sequential model {name!r} has no layers")
    if layers[0].class_name != "InputLayer":
        layers.insert(0, _input_of(layers[0], data[0], built))
    _require_distinct(layers)
    called = [replace(layers[0], calls=[Call()])]
    for previous, layer in pairwise(layers):
        called.append(replace(layer, calls=[Call((TensorRef(previous.name),))]))
    return KerasModel(name, called, [TensorRef(layers[0].name)], [TensorRef(layers[-1].name)], version)


def _input_of(layer: KerasLayer, data: Mapping[str, Any], built: Any) -> KerasLayer:
    """The InputLayer that Keras makes for a Sequential that starts with another layer."""
    build = data.get("build_config")
    shapes = (
        layer.config.get("batch_input_shape"),
        layer.config.get("batch_shape"),
        batch_shape(layer.model) if layer.model else None,
        built,
        build.get("input_shape") if isinstance(build, Mapping) else None,
    )
    shape = next((shape for shape in shapes if _is_shape(shape)), None)
    dtype = layer.config.get("dtype")
    config = {
        "name": f"{layer.name}_input",
        "batch_shape": shape,
        "dtype": dtype if isinstance(dtype, str) else "float32",
    }
    return KerasLayer(f"{layer.name}_input", "InputLayer", config)


def _functional(config: Mapping[str, Any], name: str, version: str) -> KerasModel:
    data = _dicts(config["layers"])
    layers = [_layer(layer, version, number) for number, layer in enumerate(data)]
    _require_distinct(layers)
    names = {layer.name for layer in layers}
    inputs = ends_of(config["input_layers"], names)
    outputs = ends_of(config["output_layers"], names)
    calls = {layer.name: calls_of(layer, of, names) for layer, of in zip(layers, data, strict=True)}
    functional = {
        layer.name for layer, of in zip(layers, data, strict=True) if layer.model and "input_layers" in of["config"]
    }
    new_nodes = {of_layer.name for of_layer, of in zip(layers, data, strict=True) if has_new_nodes(of)}
    used = {tensor for made in calls.values() for call in made for tensor in call.inputs} | {*inputs, *outputs}

    # A nested model has a call of its own, number 0, that is not among those in the file: old files count it in all
    # references, new ones in those of output_layers.
    lowest: dict[str, int] = {}
    for tensor in used:
        lowest[tensor.layer] = min(tensor.call, lowest.get(tensor.layer, 1))
    first = {layer.name: lowest.get(layer.name, 0) for layer in layers if layer.model and layer.name not in new_nodes}
    calls = {
        layer: [Call(mapped(call.arguments, _counted(first)), mapped(call.keywords, _counted(first))) for call in made]
        for layer, made in calls.items()
    }
    ends = {**first, **dict.fromkeys(functional & new_nodes, 1)}
    inputs, outputs = mapped(inputs, _counted(ends)), mapped(outputs, _counted(ends))

    called = [replace(layer, calls=calls[layer.name] or [Call()]) for layer in layers]
    _require_references(called, inputs, outputs)
    ordered = list({layer.name: layer for layer, _ in KerasModel(name, called, inputs, outputs).steps}.values())
    return KerasModel(name, ordered, inputs, outputs, version)


def _counted(first: Mapping[str, int]) -> Callable[[TensorRef], TensorRef]:
    return lambda tensor: replace(tensor, call=tensor.call - first.get(tensor.layer, 0))


def _require_distinct(layers: Iterable[KerasLayer]) -> None:
    names: set[str] = set()
    for layer in layers:
        if layer.name in names:
            raise FileFormatError(f"two layers are called {layer.name!r}; names must differ")
        names.add(layer.name)


def _require_references(
    layers: Sequence[KerasLayer], inputs: Sequence[TensorRef], outputs: Sequence[TensorRef]
) -> None:
    counts = {layer.name: len(layer.calls) for layer in layers}
    for layer in layers:
        for tensor in (tensor for call in layer.calls for tensor in call.inputs):
            if not 0 <= tensor.call < counts.get(tensor.layer, 0):
                raise FileFormatError(
                    f"layer {layer.name!r} takes the result of call {tensor.call} of {tensor.layer!r}, which is not "
                    "there"
                )
    classes = {layer.name: layer.class_name for layer in layers}
    for tensor in inputs:
        if classes.get(tensor.layer) != "InputLayer" or tensor.call:
            raise FileFormatError(f"the model's input {tensor.layer!r} is no InputLayer")
    for tensor in outputs:
        if not 0 <= tensor.call < counts.get(tensor.layer, 0):
            raise FileFormatError(f"the model's output {tensor.layer!r}, call {tensor.call}, is not there")
    if not outputs:
        raise FileFormatError("the model has no outputs")


# Layers


def _layer(data: Mapping[str, Any], version: str, number: int = 0) -> KerasLayer:
    """A layer without calls and weights; `number` makes a name where old files have none."""
    class_name, config = _class_name(data), data.get("config")
    own_name = config.get("name") if isinstance(config, Mapping) else None
    name = _text(data.get("name") or own_name or f"{snake_case(class_name)}_{number + 1}", "the name of a layer")
    if not name:
        raise FileFormatError(f"a layer of class {class_name} has no name")
    module = data.get("module")
    module = module if isinstance(module, str) else ""
    model = _model(data, name, version)
    if model is not None:
        return KerasLayer(name, class_name, {"name": name}, model=model, module=module)
    if not isinstance(config, Mapping):
        raise FileFormatError(f"layer {name!r} ({class_name}) has no configuration")
    clean = {key: plain(value) for key, value in config.items()}
    if class_name == "Lambda":
        clean = _without_code(clean)
    if class_name == "InputLayer":
        clean["batch_shape"] = _input_shape(clean, name)
    return KerasLayer(name, class_name, clean, inner=_inner(class_name, config, version), module=module)


def _inner(class_name: str, config: Mapping[str, Any], version: str) -> dict[str, KerasLayer]:
    """The layers that a wrapper calls."""

    def at(key: str) -> Mapping[str, Any] | None:
        value = config.get(key)
        return value if isinstance(value, Mapping) and "class_name" in value and "config" in value else None

    if class_name == "Bidirectional":
        forward = at("layer")
        if forward is None:
            raise FileFormatError("a Bidirectional has no layer in its configuration")
        there = _layer(forward, version)
        back = at("backward_layer")
        backward = _layer(back, version) if back else _reversed(there)
        return {"forward_layer": _prefixed(there, "forward_"), "backward_layer": backward}
    if class_name == "StackedRNNCells":
        return {str(number): _layer(cell, version, number) for number, cell in enumerate(_dicts(config.get("cells")))}
    if class_name == "RNN" and isinstance(config.get("cell"), list):  # cells that Keras stacks by itself
        stack = {"class_name": "StackedRNNCells", "config": {"name": "stacked_rnn_cells", "cells": config["cell"]}}
        return {"cell": _layer(stack, version)}
    return {key: _layer(value, version) for key in ("layer", "cell") if (value := at(key))}


def _reversed(layer: KerasLayer) -> KerasLayer:
    backwards = not layer.config.get("go_backwards", False)
    return _prefixed(replace(layer, config={**layer.config, "go_backwards": backwards}), "backward_")


def _prefixed(layer: KerasLayer, prefix: str) -> KerasLayer:
    return replace(layer, name=prefix + layer.name.removeprefix("forward_"))


def _without_code(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a Lambda without marshalled functions; named ones stay as their names."""
    return {
        key: value
        for key, value in config.items()
        if not (
            config.get(f"{key}_type") == "lambda"
            or (key == "function" and not isinstance(value, str))
            or (isinstance(value, list) and value and isinstance(value[0], str))
        )
    }


def _input_shape(config: Mapping[str, Any], name: str) -> list[int | None]:
    shape = config.get("batch_shape", config.get("batch_input_shape"))
    if not _is_shape(shape):
        raise FileFormatError(f"the InputLayer {name!r} has the shape {shape!r}; it must be a list of positive numbers")
    return list(shape)


def _is_shape(shape: Any) -> bool:
    return isinstance(shape, list | tuple) and all(
        size is None or (type(size) is int and 0 <= size < _WIDTH_LIMIT) for size in shape
    )


# Values


def _check(config: Any) -> None:
    """Refuse what cannot be walked through by recursion, and numbers that JSON does not have."""
    level, depth = [config], 0
    while level:
        depth += 1
        if depth > _DEPTH_LIMIT:
            raise FileFormatError("the configuration is nested too deeply for a Keras model; it is not read")
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            elif isinstance(value, float) and not math.isfinite(value):
                raise FileFormatError(f"the configuration has the number {value}, which JSON has not")
        level = below


def _class_name(data: Mapping[str, Any]) -> str:
    """The bare class: "package>MyLayer", as registered classes are called in old files, is MyLayer."""
    return _text(data.get("class_name"), "class_name").rpartition(">")[2]


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise FileFormatError(f"{what} is {value!r}; it must be a text")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise FileFormatError(f"{what} is {value!r}, which is no text in UTF-8") from error
    return value


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise FileFormatError("the layers of a model are not a list of JSON objects")
    return value
