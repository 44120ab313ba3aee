"""A model: its specification, which is the single mutable truth, and the weight files that lie beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Protocol

from mlexplorer.graph import Blobs, Graph, Node, Weight, feature_descriptions

LONGEST_TABLE = 40
"""The rows of the layer table in a model's representation."""
LONGEST_CELL = 200
"""The characters of a model's parameters in that table."""


@dataclass(frozen=True)
class SizeRange:
    """The sizes that one axis may have; `upper` is None where there is no limit."""

    lower: int
    upper: int | None

    def __contains__(self, size: int) -> bool:
        return self.lower <= size and (self.upper is None or size <= self.upper)

    def __str__(self) -> str:
        return f"{self.lower}..{'' if self.upper is None else self.upper}"


@dataclass(frozen=True)
class Feature:
    """One input or output of a model (FeatureDescription).

    `type` is "image", "multiArray", "double", "int64", "string", "dictionary", "sequence" or "state". `shape` is
    (width, height) of an image, the shape of an array. `dtype` is the array's data type as the format names it
    ("FLOAT32", "DOUBLE"), or the type of a dictionary's keys or of a sequence's items. `color_space` is "RGB", "BGR",
    "GRAYSCALE" or "GRAYSCALE_FLOAT16". `flexible` is empty for a fixed size, else the shapes to choose from, or a
    SizeRange for each axis.
    """

    name: str
    type: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    color_space: str | None = None
    flexible: tuple[tuple[int, ...], ...] | tuple[SizeRange, ...] = ()
    optional: bool = False
    default: float | None = None
    description: str = ""

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape, or an image of this (width, height), fits the stated sizes."""
        if not self.flexible:
            return not self.shape or shape == self.shape
        if shape == self.shape or shape in self.flexible:
            return True
        ranges = [size for size in self.flexible if isinstance(size, SizeRange)]
        return len(ranges) == len(shape) and all(n in size for n, size in zip(shape, ranges, strict=True))

    def accepts_size(self, width: int, height: int) -> bool:
        """Whether an image of this size in pixels fits."""
        return self.accepts((width, height))

    @property
    def size_text(self) -> str:
        """The sizes in words: "224 x 224", "64..512 x 64..", "128 x 128 or 256 x 256"."""
        if not self.flexible:
            return " x ".join(map(str, self.shape or ()))
        if isinstance(self.flexible[0], SizeRange):
            return " x ".join(map(str, self.flexible))
        return " or ".join(" x ".join(map(str, size)) for size in self.flexible if not isinstance(size, SizeRange))

    def __str__(self) -> str:
        details = (self.size_text, self.color_space or self.dtype or "", "optional" if self.optional else "")
        return f"{self.name}: {' '.join(filter(None, (self.type, *details)))}"


def _feature(message: Any) -> Feature:
    chosen = message.type.WhichOneof("Type")
    common: dict[str, Any] = {
        "name": message.name,
        "type": (chosen or "unknown").removesuffix("Type"),
        "optional": message.type.isOptional,
        "description": message.shortDescription,
    }
    kind: Any = getattr(message.type, chosen) if chosen else None
    if chosen == "stateType":
        return Feature(**common, **_array(kind.arrayType))
    if chosen == "imageType":
        return Feature(**common, **_image(kind))
    if chosen == "multiArrayType":
        return Feature(**common, **_array(kind))
    if chosen == "dictionaryType":
        return Feature(**common, dtype=(kind.WhichOneof("KeyType") or "").removesuffix("KeyType") or None)
    if chosen == "sequenceType":
        return Feature(**common, dtype=(kind.WhichOneof("Type") or "").removesuffix("Type") or None)
    return Feature(**common)


def _image(image: Any) -> dict[str, Any]:
    flexible: tuple[Any, ...] = ()
    if image.WhichOneof("SizeFlexibility") == "enumeratedSizes":
        flexible = tuple((int(size.width), int(size.height)) for size in image.enumeratedSizes.sizes)
    elif image.WhichOneof("SizeFlexibility") == "imageSizeRange":
        flexible = (_range(image.imageSizeRange.widthRange), _range(image.imageSizeRange.heightRange))
    color_space = _enum_name(image, "colorSpace")
    return {"shape": (int(image.width), int(image.height)), "color_space": color_space, "flexible": flexible}


def _array(array: Any) -> dict[str, Any]:
    flexible: tuple[Any, ...] = ()
    if array.WhichOneof("ShapeFlexibility") == "enumeratedShapes":
        flexible = tuple(tuple(int(n) for n in shape.shape) for shape in array.enumeratedShapes.shapes)
    elif array.WhichOneof("ShapeFlexibility") == "shapeRange":
        flexible = tuple(map(_range, array.shapeRange.sizeRanges))
    default = array.WhichOneof("defaultOptionalValue")
    return {
        "shape": tuple(int(n) for n in array.shape),
        "dtype": _enum_name(array, "dataType"),
        "flexible": flexible,
        "default": float(getattr(array, default)) if default else None,
    }


def _range(size: Any) -> SizeRange:
    return SizeRange(int(size.lowerBound), None if size.upperBound < 0 else int(size.upperBound))


def _enum_name(message: Any, field: str) -> str | None:
    number = getattr(message, field)
    value = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    return value.name if value and number else None


class Source(Protocol):
    """Where a model was read from; what is needed to write it as it was. Only `formats` looks inside."""

    @property
    def extra_bytes(self) -> int:
        """Bytes that a saved model takes beside its specification: manifest and weight files."""


class Model:
    """A Core ML model.

    `spec` is the specification (a CoreML.Specification.Model), to be read and changed; `blobs` gives access to the
    weight files of a package, None where there are none; `path` is where it was loaded from.
    """

    def __init__(
        self, spec: Any, *, blobs: Blobs | None = None, path: Path | None = None, source: Source | None = None
    ) -> None:
        self.spec = spec
        self.blobs = blobs
        self.path = path
        self.source = source

    @property
    def kind(self) -> str:
        """The model type as the format names it: "neuralNetworkClassifier"; "unknown" where it is newer."""
        return str(self.spec.WhichOneof("Type") or "unknown")

    @property
    def inputs(self) -> tuple[Feature, ...]:
        """What the model takes; of an ML Program with several functions, what its default function takes."""
        return tuple(map(_feature, feature_descriptions(self.spec)[0]))

    @property
    def outputs(self) -> tuple[Feature, ...]:
        """What the model gives."""
        return tuple(map(_feature, feature_descriptions(self.spec)[1]))

    @cached_property
    def graph(self) -> Graph:
        """The layers, weights and connections; made once, so change the specification of a copy that has none yet."""
        return Graph(self.spec, self.blobs)

    @property
    def size(self) -> int:
        """Bytes that the saved model takes, manifest and weight files of a package included."""
        return int(self.spec.ByteSize()) + (self.source.extra_bytes if self.source else 0)

    def copy(self) -> Model:
        """A model with a specification of its own; weight files are never changed, so they are shared."""
        spec = type(self.spec)()
        spec.CopyFrom(self.spec)
        return Model(spec, blobs=self.blobs, path=self.path, source=self.source)

    def __repr__(self) -> str:
        return f"<Model {self.path.name if self.path else 'without a file'}: {self.kind}, {_bytes_text(self.size)}>"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/plain": self._text(), "text/html": self._html()}

    def _summary(self) -> list[tuple[str, str]]:
        metadata = self.spec.description.metadata
        rows = [
            ("kind", f"{self.kind}, specification version {self.spec.specificationVersion}"),
            *(("input", str(feature)) for feature in self.inputs),
            *(("output", str(feature)) for feature in self.outputs),
            ("size", _bytes_text(self.size)),
            ("weights", f"{sum(weight.count for weight in self.graph.weights):,} in {len(self.graph.weights)} tensors"),
        ]
        customs = dict.fromkeys(node.custom.className for node in self.graph.custom_layers if node.custom)
        if customs:
            rows.append(("custom classes", ", ".join(customs)))
        return rows + [("description", metadata.shortDescription)] * bool(metadata.shortDescription)

    def _layers(self) -> list[tuple[str, str, str]]:
        return [(node.id, node.type, self._details(node)) for node in self.graph.nodes[:LONGEST_TABLE]]

    def _details(self, node: Node) -> str:
        """The weights of a layer; the parameters of a model of a classic type, which has none."""
        if node.type in {field.name for field in self.spec.DESCRIPTOR.oneofs_by_name["Type"].fields}:
            text = ", ".join(_flat(node.parameters))
            return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 3] + "..."
        return ", ".join(f"{w.name} {list(w.shape)} {_encoding_text(w)}" for w in node.weights)

    @property
    def _more(self) -> str:
        rest = len(self.graph.nodes) - LONGEST_TABLE
        return f"and {rest} more" if rest > 0 else ""

    def _text(self) -> str:
        lines = [self.path.name if self.path else "Model"]
        lines += [f"  {name}: {text}" for name, text in self._summary()]
        layers = self._layers()
        widths = [max((len(row[i]) for row in layers), default=0) for i in range(2)]
        lines += [f"    {a:{widths[0]}}  {b:{widths[1]}}  {c}".rstrip() for a, b, c in layers]
        return "\n".join(lines + [f"    {self._more}"] * bool(self._more))

    def _html(self) -> str:
        head = "".join(
            f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(text)}</td></tr>'
            for name, text in self._summary()
        )
        custom = {node.id for node in self.graph.custom_layers}
        body = "".join(
            "<tr>"
            + "".join(
                f'<td style="text-align:left">{f"<b>{escape(cell)}</b>" if row[0] in custom else escape(cell)}</td>'
                for cell in row
            )
            + "</tr>"
            for row in self._layers()
        )
        titles = "".join(
            f'<th style="text-align:left">{title}</th>' for title in ("layer", "type", "weights or parameters")
        )
        return (
            f"<div><b>{escape(self.path.name if self.path else 'Model')}</b><table>{head}</table>"
            f"<details><summary>{len(self.graph.nodes)} layers</summary><table><tr>{titles}</tr>{body}</table>"
            f"{self._more}</details></div>"
        )


def _encoding_text(weight: Weight) -> str:
    names = {"linear": f"linear {weight.bits} bit", "lookup_table": f"table {weight.bits} bit"}
    return names.get(weight.kind, weight.kind)


def _flat(parameters: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Parameters in words, "scene.version 'SCENE_VERSION_1'"; empty ones are left out."""
    for name, value in parameters.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.") if value else (f"{prefix}{name}",)
        elif value not in ("", "0 bytes"):
            yield f"{prefix}{name} {value!r}"


def _bytes_text(size: int) -> str:
    if size < 1000:
        return f"{size} bytes"
    power = min(int(math.log10(size) // 3), 3)
    return f"{size / 1000**power:.1f} {('', 'kB', 'MB', 'GB')[power]}"
