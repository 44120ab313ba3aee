"""What the file gives to the layers of a class, as members of the Swift class: parameters and weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlexplorer.graph import Node, Weight
from mlexplorer.runtime.recording import LayerRecording
from mlexplorer.source_text import LISTED, comment
from mlexplorer.swift.text import literal, names, shown

_TAKEN = frozenset(
    """
    classForCoder copy debugDescription description encode evaluate feature floats halfFloats hash inputs isEqual
    isProxy modelDescription mutableCopy outputShapes outputs parameter parameters prediction predictions setWeightData
    superclass value weights zone
    """.split()  # noqa: SIM905
)
"""What NSObject, the protocols and the source itself call something."""
_NUMBERS = {"boolValue": "Bool", "intValue": "Int", "longValue": "Int64", "doubleValue": "Double"}
"""The Swift type of each kind of number; it can be read as any that follows."""
_OTHERS = {"stringValue": "String", "bytesValue": "Data"}
_ELEMENTS = {"float32": "Float", "float16": "Float16"}
_READERS = {"float32": "floats", "float16": "halfFloats"}
_LONGEST_SIZES = 300


@dataclass(frozen=True)
class Parameter:
    """A parameter of a class: its values in the layers that have it, and their kinds as the format names them."""

    key: str
    member: str
    kinds: frozenset[str]
    values: Sequence[Any]
    optional: bool

    @property
    def type(self) -> str:
        """The Swift type that all values can be read as."""
        if self.kinds <= _NUMBERS.keys():
            return [swift for kind, swift in _NUMBERS.items() if kind in self.kinds][-1]
        return _OTHERS[next(iter(self.kinds))] if len(self.kinds) == 1 else "Any"

    @property
    def declaration(self) -> str:
        """The member, with the values that the layers have in a comment."""
        values = ", ".join(dict.fromkeys(map(shown, self.values[:LISTED])))
        where = " in some of the layers" if self.optional else ""
        return f"private let {self.member}: {self.type}{'?' if self.optional else ''}  // {comment(values)}{where}"

    @property
    def assignment(self) -> str:
        """What init does with it."""
        if not self.optional:
            return f"{self.member} = try parameter({literal(self.key)}, of: parameters)"
        cast = "" if self.type == "Any" else f" as? {self.type}"
        return f"{self.member} = parameters[{literal(self.key)}]{cast}"


def parameters(nodes: Sequence[Node]) -> list[Parameter]:
    """The parameters of the layers of a class, in the order of their names within each layer."""
    found: dict[str, list[Any]] = {}
    for node in nodes:
        for key, entry in sorted(node.params.parameters.items()):
            if entry.WhichOneof("value"):
                found.setdefault(key, []).append(entry)
    return [
        Parameter(
            key,
            member,
            frozenset(entry.WhichOneof("value") for entry in entries),
            [getattr(entry, entry.WhichOneof("value")) for entry in entries],
            optional=len(entries) < len(nodes),
        )
        for member, (key, entries) in zip(names(found, "parameter", _TAKEN), found.items(), strict=True)
    ]


def parameter_values(node: Node) -> list[str]:
    """The lines of a literal of a layer's parameters as Core ML hands them over: numbers as NSNumber."""
    values = {
        key: getattr(entry, entry.WhichOneof("value"))
        for key, entry in sorted(node.params.parameters.items())
        if entry.WhichOneof("value")
    }
    entries = [
        f"    {literal(key)}: {literal(value) if isinstance(value, str) else f'NSNumber(value: {shown(value)})'},"
        for key, value in values.items()
    ]
    return ["[", *entries, "]"] if entries else ["[:]"]


@dataclass(frozen=True)
class ClassWeight:
    """The weight at one index, in the layers of a class that have so many.

    `weights` has None where it is empty, `shapes` what the Python classes make of it.
    """

    index: int
    member: str
    weights: Sequence[Weight | None]
    shapes: Sequence[tuple[int, ...] | None]
    optional: bool

    @property
    def declaration(self) -> str:
        """The member, with sizes and encodings in a comment."""
        value = "[Float] = []" if self._kind in _READERS else "Data = Data()"
        sizes = dict.fromkeys(map(_size_text, self.weights, self.shapes))
        return f"private var {self.member}: {value}  // {comment(' or '.join(sizes), _LONGEST_SIZES)}"

    @property
    def assignment(self) -> str:
        """What setWeightData does with it: raw bytes stay where layers disagree, or the file holds codes."""
        value = f"weights[{self.index}]"
        if self._kind in _READERS:
            counts = {weight.count if weight else 0 for weight in self.weights}
            count = f", count: {counts.pop()}" if len(counts) == 1 else ""
            value = f"try {_READERS[self._kind]}({value}{count})"
        line = f"{self.member} = {value}"
        return f"if weights.count > {self.index} {{ {line} }}" if self.optional else line

    @property
    def _kind(self) -> str:
        kinds = {weight.kind for weight in self.weights if weight}
        return kinds.pop() if len(kinds) == 1 else ""


def weights(
    nodes: Sequence[Node], recordings: Mapping[str, LayerRecording], members: Sequence[str]
) -> list[ClassWeight]:
    """The weights of the layers of a class; `members` are the names that its parameters have."""
    count = max(len(node.params.weights) for node in nodes)
    result = []
    for index, member in enumerate(names((f"weight{i}" for i in range(count)), "weight", _TAKEN.union(members))):
        found, shapes = [], []
        for node in nodes:
            if len(node.params.weights) > index:
                place = next((i for i, weight in enumerate(node.weights) if weight.name == f"weights[{index}]"), None)
                found.append(None if place is None else node.weights[place])
                recorded = recordings[node.id].weight_shapes
                shapes.append(recorded[place] if place is not None and place < len(recorded) else None)
        result.append(ClassWeight(index, member, found, shapes, optional=len(found) < len(nodes)))
    return result


def _size_text(weight: Weight | None, shape: tuple[int, ...] | None) -> str:
    if weight is None:
        return "empty"
    known = f"{list(shape)}: " if shape is not None and len(shape) > 1 else ""
    element = _ELEMENTS.get(weight.kind, f"{weight.kind} codes of {weight.bits} bits")
    return f"{known}{weight.count} numbers in {weight.nbytes} bytes of {element}"
