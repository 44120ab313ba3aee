"""What a Python class was given and gave, for tests of the Swift class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.graph import Node
from mlexplorer.runtime.recording import LayerRecording, ModelRecording
from mlexplorer.source_text import comment
from mlexplorer.swift.members import parameter_values
from mlexplorer.swift.text import cut, literal, number, shown

Array = NDArray[Any]

MOST_NUMBERS = 1024
"""Numbers of an array that stand in the source in full."""
_CORNER_SIDE, _CORNER_NUMBERS = 4, 64
_LONGEST_VALUE = 300
_PER_LINE = 8


def layer_vector(node: Node, name: str, recording: LayerRecording) -> str:
    """The first inputs and outputs of a layer, and a check where they, and the weights, stand there in full."""
    if recording.inputs is None or recording.outputs is None:
        return ""
    arrays = [weight.array().reshape(-1) for weight in node.weights]
    in_full = all(array.size <= MOST_NUMBERS for array in [*recording.inputs, *recording.outputs])
    weights_in_full = len(arrays) == len(node.params.weights) and all(
        weight.kind == "float32" and weight.count <= MOST_NUMBERS for weight in node.weights
    )
    check = _check(node, name, arrays) if in_full and weights_in_full else []
    lines = [
        f"/// What the Python class computed in the layer {comment(repr(node.name))}.",
        *(["/// Arrays with more numbers are cut to a corner: the first numbers along each axis."] * (not in_full)),
        f"extension {name} {{",
        "    enum TestVector {",
        *_arrays("inputs", recording.inputs),
        *_arrays("outputs", recording.outputs),
        *check,
        "    }",
        "}",
    ]
    return "\n".join(lines)


def model_vector(name: str, recording: ModelRecording) -> str:
    """The first prediction of a model, in comments: its values have many types."""
    if recording.inputs is None or recording.outputs is None:
        return ""
    rows = [
        f"//   {kind} {comment(literal(key))}: {_value_text(value)}"
        for kind, values in (("input ", recording.inputs), ("output", recording.outputs))
        for key, value in values.items()
    ]
    return "\n".join([f"// What the Python class computed, to test {name} with:", *cut(rows)])


def _check(node: Node, name: str, weights: Sequence[Array]) -> list[str]:
    rows = [line for weight in weights for line in ("    [", *_number_lines(weight, " " * 8), "    ],")]
    data = "weights.map { $0.withUnsafeBufferPointer { Data(buffer: $0) } }" if weights else "[]"
    first, *others = parameter_values(node)
    body = [
        f"let parameters: [String: Any] = {first}",
        *others,
        *(["let weights: [[Float]] = [", *rows, "]"] if weights else []),
        f"let layer = try {name}(parameters: parameters)",
        f"try layer.setWeightData({data})",
        "return try RecordedArray.largestDifference(layer, inputs, outputs)",
    ]
    lines = [
        "/// The largest difference between what the Swift class computes and what the Python class computed.",
        "static func largestDifference() throws -> Float {",
        *(f"    {line}" for line in body),
        "}",
    ]
    return ["", *(f"        {line}" for line in lines)]


def _arrays(name: str, arrays: Sequence[Array]) -> list[str]:
    lines = [f"        fileprivate static let {name}: [RecordedArray] = ["]
    for array in arrays:
        part = array if array.size <= MOST_NUMBERS else _corner(array)
        of = "" if part is array else f"  // a corner of {list(array.shape)}"
        lines += [f"            RecordedArray(shape: {list(part.shape)}, values: [{of}", *_number_lines(part, " " * 16)]
        lines.append("            ]),")
    return [*lines, "        ]"]


def _corner(array: Array) -> Array:
    """The first numbers along each axis, fewer of the first axes where that is too many."""
    sizes, left = [], _CORNER_NUMBERS
    for size in reversed(array.shape):
        sizes.append(min(size, _CORNER_SIDE, left))
        left //= sizes[-1]
    return array[tuple(slice(size) for size in reversed(sizes))]


def _number_lines(array: Array, indent: str) -> list[str]:
    numbers = [number(value) for value in array.reshape(-1)]
    rows = [numbers[start : start + _PER_LINE] for start in range(0, len(numbers), _PER_LINE)]
    return [f"{indent}{', '.join(row)}," for row in rows]


def _value_text(value: Any) -> str:
    if isinstance(value, Image.Image):
        return f"a picture of {value.width} x {value.height} pixels"
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        part = value if value.size <= _CORNER_NUMBERS else _corner(value)
        of = "" if part is value else f", its corner {list(part.shape)}"
        return f"{list(value.shape)}{of}: {', '.join(number(item) for item in part.reshape(-1))}"
    return comment(shown(value), _LONGEST_VALUE)
