"""The weights of a Keras model from where they lie to the layers that they belong to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from mlexplorer.converters.keras.configuration import snake_case
from mlexplorer.converters.keras.hdf5 import Group
from mlexplorer.converters.keras.source_model import KerasLayer, KerasModel
from mlexplorer.converters.keras.variables import ATTENTION_BY_HEADS, expected_variables, fits, is_frozen
from mlexplorer.errors import FileFormatError, UnsupportedError

Array = NDArray[Any]

_DEPTH_LIMIT = 32
_WRAPPERS = ("TimeDistributed", "Bidirectional", "RNN", "StackedRNNCells")


@dataclass(frozen=True)
class Variable:
    """A variable where it is stored: its name with scopes ("lstm_1/lstm_cell/kernel:0"), and what reads it."""

    path: str
    read: Callable[[], Array]

    @property
    def scopes(self) -> list[str]:
        """The names before the last."""
        return self.path.split("/")[:-1]

    @property
    def name(self) -> str:
        """The last name, without ":0"."""
        return self.path.rpartition("/")[2].partition(":")[0]


# Files of Keras 2, .h5 files of Keras 3, live models: a list of variables for each layer of the model


def with_listed_weights(model: KerasModel, listed: Mapping[str, Sequence[Variable]]) -> KerasModel:
    """The model with the variables that are listed by the names of its layers, in the order of the layers.

    Where names differ, those of other runs of the same program, layers with weights are matched in their order.
    Raises FileFormatError for weights that do not fit the layers.
    """
    holders = [layer for layer in model.layers if any(_needs(leaf) is not False for _, leaf in _leaves(layer))]
    stored = {name: variables for name, variables in listed.items() if variables}
    names = {layer.name for layer in model.layers}
    if stored.keys() <= names:
        found = {layer.name: stored.get(layer.name, ()) for layer in holders}
    else:
        needing = [layer for layer in holders if any(_needs(leaf) for _, leaf in _leaves(layer))]
        holders = holders if len(holders) == len(stored) else needing
        if len(holders) != len(stored):
            unknown = sorted(stored.keys() - names)
            raise FileFormatError(
                f"there are weights for {len(stored)} layers and {len(holders)} layers with weights; "
                f"no layer is called {', '.join(map(repr, unknown[:5]))}"
            )
        found = dict(zip((layer.name for layer in holders), stored.values(), strict=True))
    return replace(model, layers=[with_variables(layer, found.get(layer.name, ())) for layer in model.layers])


def with_variables(layer: KerasLayer, variables: Sequence[Variable]) -> KerasLayer:
    """The layer with its variables, those of the layers in it included; raises FileFormatError where they misfit."""
    leaves = _leaves(layer)
    if len(leaves) == 1:
        return _with_leaves(layer, {leaves[0][0]: _arrays(leaves[0][1], variables)})
    shared = _by_scope(leaves, variables) or _by_order(leaves, variables)
    if shared is None:
        raise FileFormatError(
            f"the weights of {layer.name!r} ({', '.join(variable.path for variable in variables[:8])}) cannot be told "
            "apart for the layers in it; save the model with Keras 2.2 or newer"
        )
    return _with_leaves(layer, {path: _arrays(leaf, shared.get(path, ())) for path, leaf in leaves})


def _leaves(layer: KerasLayer, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], KerasLayer]]:
    """The layers below, and in, a layer that have weights of their own, by the names on the way."""
    path = (*path, layer.name)
    below: list[KerasLayer] = [*(layer.model.layers if layer.model else ()), *layer.inner.values()]
    leaves = [leaf for inner in below for leaf in _leaves(inner, path)]
    if not below or (layer.inner and layer.class_name not in _WRAPPERS):
        leaves.append((path, layer))
    return leaves


def _with_leaves(
    layer: KerasLayer, weights: Mapping[tuple[str, ...], Mapping[str, Array]], path: tuple[str, ...] = ()
) -> KerasLayer:
    path = (*path, layer.name)
    return replace(
        layer,
        weights=weights.get(path, {}),
        inner={key: _with_leaves(inner, weights, path) for key, inner in layer.inner.items()},
        model=layer.model
        and replace(layer.model, layers=[_with_leaves(inner, weights, path) for inner in layer.model.layers]),
    )


_Shares = dict[tuple[str, ...], list[Variable]]


def _by_scope(leaves: Sequence[tuple[tuple[str, ...], KerasLayer]], variables: Sequence[Variable]) -> _Shares | None:
    """The variables by the layer that their scopes name; None where they do not tell."""
    by_name = defaultdict(list)
    for path, _ in leaves:
        by_name[path[-1]].append(path)
    shares: _Shares = defaultdict(list)
    for variable in variables:
        scopes = variable.scopes
        paths = [path for scope in dict.fromkeys(scopes) for path in by_name.get(scope, ())]
        matches = sorted(((len(set(scopes) & set(path)), path) for path in paths), reverse=True)
        if not matches or (len(matches) > 1 and matches[0][0] == matches[1][0]):
            return None
        shares[matches[0][1]].append(variable)
    for path, leaf in leaves:
        expected = expected_variables(leaf.class_name, leaf.config)
        if expected is not None and len(expected) != len(shares.get(path, ())):
            return None
    return shares


def _by_order(leaves: Sequence[tuple[tuple[str, ...], KerasLayer]], variables: Sequence[Variable]) -> _Shares | None:
    """The variables in the order of the layers: those that training changes first, or layer by layer."""
    slots: list[tuple[tuple[str, ...], str, bool]] = []
    for path, leaf in leaves:
        expected = expected_variables(leaf.class_name, leaf.config)
        if expected is None:
            return None
        trained = bool(leaf.config.get("trainable", True))
        slots += [(path, name, trained and not is_frozen(name)) for name in expected]
    for order in (sorted(slots, key=lambda slot: not slot[2]), slots):
        if [name.rpartition("/")[2] for _, name, _ in order] == [variable.name for variable in variables]:
            shares: _Shares = defaultdict(list)
            for (path, _, _), variable in zip(order, variables, strict=True):
                shares[path].append(variable)
            return shares
    return None


def _arrays(layer: KerasLayer, variables: Sequence[Variable]) -> dict[str, Array]:
    """The arrays of a layer by the names that its class gives them, in Keras' order."""
    expected = expected_variables(layer.class_name, layer.config)
    if expected is None:
        return {name: variable.read() for name, variable in zip(_free_names(layer, variables), variables, strict=True)}
    _require_count(layer, list(expected), len(variables))
    ordered = []
    for name in expected:
        stored = "kernel" if name == "depthwise_kernel" and layer.class_name.startswith("Depthwise") else name
        ordered += [
            variable
            for variable in variables
            if f"/{variable.path.partition(':')[0]}".endswith((f"/{name}", f"/{stored}"))
        ]
    if len({id(variable) for variable in ordered}) != len(variables) or len(ordered) != len(variables):
        ordered = list(variables)
    return _fitting(layer, {name: variable.read() for name, variable in zip(expected, ordered, strict=True)})


def _free_names(layer: KerasLayer, variables: Sequence[Variable]) -> list[str]:
    names = []
    for variable in variables:
        scopes = variable.scopes
        below = scopes[len(scopes) - scopes[::-1].index(layer.name) :] if layer.name in scopes else []
        names.append("/".join([*below, variable.name]))
    return names if len(set(names)) == len(names) else [str(number) for number in range(len(names))]


# Checkpoints of Keras 3: a group for each layer, with variables by number


def with_checkpoint(model: KerasModel, root: Group) -> KerasModel:
    """The model with the weights of a `model.weights.h5`; raises FileFormatError for weights that do not fit."""
    return _Checkpoint(root).model(model, root)


class _Checkpoint:
    def __init__(self, root: Group) -> None:
        self._root = root

    def model(self, model: KerasModel, group: Group) -> KerasModel:
        layers = group.group("layers")
        if layers is not None:
            groups = _children(layers, model.layers)
        else:
            dependencies = group.group("_layer_checkpoint_dependencies")  # Keras 2.12 and 2.13
            groups = _children(dependencies, model.layers, skipping=True) if dependencies else {}
        filled = [self._layer(layer, groups.get(number)) for number, layer in enumerate(model.layers)]
        return replace(model, layers=filled)

    def _layer(self, layer: KerasLayer, group: Group | None) -> KerasLayer:
        group = group or self._named.get(layer.name)
        if group is None:
            return with_variables(layer, ())
        if layer.model is not None:
            return replace(layer, model=self.model(layer.model, group))
        groups: Mapping[str, Group | None] = {key: group.group(key) for key in layer.inner}
        if layer.class_name == "StackedRNNCells" and (cells := group.group("cells")):
            groups = {str(number): cell for number, cell in _children(cells, list(layer.inner.values())).items()}
        inner = {key: self._layer(below, groups.get(key)) for key, below in layer.inner.items()}
        weights = {} if layer.class_name in _WRAPPERS else _own_arrays(layer, group)
        return replace(layer, inner=inner, weights=weights)

    @cached_property
    def _named(self) -> Mapping[str, Group]:
        """All groups by the names in them: a layer that stands in two models has its group in one of them."""
        named: dict[str, Group] = {}
        twice: set[str] = set()
        waiting, seen = [self._root], {self._root}
        while waiting:
            layers = waiting.pop().group("layers")
            for key in layers.names() if layers else ():
                group = layers.group(key) if layers else None
                name = _name(group) if group else None
                if group and name and group not in seen:
                    twice |= {name} & named.keys()
                    named[name] = group
                    waiting.append(group)
                    seen.add(group)
        return {name: group for name, group in named.items() if name not in twice}


def _children(container: Group, layers: Sequence[KerasLayer], *, skipping: bool = False) -> dict[int, Group]:
    """The groups of layers, by their number: by name where the file has these names, else by class and counter.

    `skipping` is for the counters of Keras 2.13, which count layers with weights twice.
    """
    groups = {key: group for key in container.names() if (group := container.group(key)) is not None}
    named = {name: key for key, group in groups.items() if (name := _name(group)) is not None}
    if len(named) == len(groups) and named.keys() <= {layer.name for layer in layers}:
        return {number: groups[named[layer.name]] for number, layer in enumerate(layers) if layer.name in named}
    by_class = defaultdict(list)
    for key in sorted(groups, key=_counted):
        by_class[_counted(key)[0]].append(key)
    seen: Counter[str] = Counter()
    found = {}
    for number, layer in enumerate(layers):
        if ".ops." in layer.module:  # an operation, not counted
            continue
        kind = snake_case(layer.class_name)
        if skipping:
            key = next(iter(by_class[_counted(kind)[0]][seen[kind] :]), "")
        else:
            key = f"{kind}_{seen[kind]}" if seen[kind] else kind
        seen[kind] += 1
        if key in groups:
            found[number] = groups[key]
    return found


def _counted(key: str) -> tuple[str, int]:
    """A class or attribute and its counter: "dense" before "dense_2" before "dense_10"."""
    kind = key.rstrip("0123456789")
    return kind.rstrip("_"), int("0" + key[len(kind) :])


def _name(group: Group) -> str | None:
    variables = group.group("vars")
    return None if variables is None else variables.text("name")


def _own_arrays(layer: KerasLayer, group: Group) -> dict[str, Array]:
    stored = _stored(group, {group}, exclude=layer.inner)
    expected = expected_variables(layer.class_name, layer.config)
    if expected is None:
        return {variable.path: variable.read() for variable in stored}
    if layer.class_name in ATTENTION_BY_HEADS:
        stored = [replace(variable, path=f"{_part(variable)}/{_role(variable)}") for variable in stored]
        stored.sort(key=lambda variable: list(expected).index(variable.path) if variable.path in expected else -1)
    _require_count(layer, list(expected), len(stored))
    return _fitting(layer, {name: variable.read() for name, variable in zip(expected, stored, strict=True)})


def _part(variable: Variable) -> str:
    """What attention does with a variable: that of the group "_query_dense" is for the "query"."""
    part = variable.scopes[0].removeprefix("_").removesuffix("_dense") if variable.scopes else ""
    return "attention_output" if part == "output" else part


def _role(variable: Variable) -> str:
    return {"0": "kernel", "1": "bias"}.get(variable.name, variable.name)


def _stored(group: Group, seen: set[Group], path: str = "", exclude: Iterable[str] = ()) -> list[Variable]:
    """The variables of a layer, then those of the layers in its attributes, as "attribute/number"."""
    if path.count("/") > _DEPTH_LIMIT:
        raise FileFormatError(f"the groups of weights are nested too deeply at {path!r}")
    variables: list[Variable] = []
    own = group.group("vars")
    if own is not None:
        names = own.names()
        if all(name.isdecimal() for name in names):
            names.sort(key=int)
        variables += [Variable(f"{path}{name}", _reader(own, name)) for name in names]
    for name in sorted(group.names(), key=_counted):
        if name not in ("vars", "seed_generator", *exclude):
            below = group.group(name)
            if below is not None and below not in seen:
                seen.add(below)
                variables += _stored(below, seen, f"{path}{name}/")
    return variables


def _reader(group: Group, name: str) -> Callable[[], Array]:
    return lambda: group.array(name)


# What layers need


def _needs(layer: KerasLayer) -> bool | None:
    """Whether the layer has weights; None where its class is not Keras' own."""
    expected = expected_variables(layer.class_name, layer.config)
    return None if expected is None else bool(expected)


def _require_count(layer: KerasLayer, expected: list[str], count: int) -> None:
    if count == len(expected):
        return
    policy = str(layer.config.get("dtype"))
    if "int8" in policy or "int4" in policy or "float8" in policy:
        raise UnsupportedError(
            f"layer {layer.name!r} ({layer.class_name}) is quantized by Keras ({policy}); save the model before that"
        )
    wanted = f"{len(expected)} ({', '.join(expected)})" if expected else "none"
    raise FileFormatError(f"layer {layer.name!r} ({layer.class_name}) has {count} weights and needs {wanted}")


def _fitting(layer: KerasLayer, arrays: dict[str, Array]) -> dict[str, Array]:
    expected = expected_variables(layer.class_name, layer.config) or {}
    for name, array in arrays.items():
        if not fits(array.shape, expected[name]):
            wanted = ", ".join("?" if size is None else str(size) for size in expected[name] or ())
            raise FileFormatError(
                f"{name} of layer {layer.name!r} ({layer.class_name}) has the shape {array.shape}; its configuration "
                f"asks for ({wanted})"
            )
    return arrays
