"""What is added to or taken from the borders of a tensor: padding and crop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank, with_rank4
from mlexplorer.layers.limits import require_room

_MODES = {"constant": "constant", "reflection": "reflect", "replication": "edge"}


@lowers("padding")
def padding(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Height and width extended by a constant, by reflection or by replication (PaddingLayerParams; ONNX Pad)."""
    params = layer.params
    require_rank(x[0], 2)
    kind = params.WhichOneof("PaddingType")
    if kind is None:
        raise ModelError("no type of padding is set; it must be constant, reflection or replication")
    edges = _edges(params.paddingAmounts, "paddingAmounts")
    if kind == "reflection" and any(max(pair) >= n for pair, n in zip(edges, x[0].shape[-2:], strict=True)):
        raise ModelError(f"a reflection of {edges} needs an input larger than {list(x[0].shape[-2:])}")
    require_room([*x[0].shape[:-2], *(n + sum(pair) for n, pair in zip(x[0].shape[-2:], edges, strict=True))])
    (top, bottom), (left, right) = edges
    value = float(params.constant.value) if kind == "constant" else None

    def pad(image: Tensor) -> Any:
        before = [0] * (len(image.shape) - 2)
        return build.op("Pad", image, [*before, top, left, *before, bottom, right], value, mode=_MODES[kind])

    return with_rank4(build, x[0], pad) if len(x[0].shape) > 4 else pad(x[0])


@lowers("constantPad", inputs=(1, 2))
def constant_pad(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Every axis extended by a constant at its start and end (ConstantPaddingLayerParams; ONNX Pad).

    The amounts, two for each axis, are a parameter or a second input. With padToGivenOutputSizeMode they are lengths to
    reach, and 0 leaves an axis as it is.
    """
    params, shape = layer.params, x[0].shape
    given = build.cast(x[1], np.int64) if len(x) > 1 else build.constant([int(n) for n in params.padAmounts])
    if tuple(given.shape) != (2 * len(shape),):
        raise ModelError(f"{given.shape[0]} amounts of padding; there must be two for each of {len(shape)} axes")
    if params.padToGivenOutputSizeMode:
        given = build.op("Max", build.op("Sub", given, np.repeat(shape, 2)), [0])
    if given.value is not None:
        require_room(np.array(shape) + given.value.reshape(-1, 2).sum(1))
    pairs = build.op("Reshape", given, [len(shape), 2])
    amounts = build.op("Reshape", build.op("Transpose", pairs, perm=[1, 0]), [-1])
    return build.op("Pad", x[0], amounts, float(params.value))


@lowers("crop", inputs=(1, 2))
def crop(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Height and width without cropAmounts, or a window of the second input's size at `offset` (CropLayerParams)."""
    for tensor in x:
        require_rank(tensor, 2)
    height, width = x[0].shape[-2:]
    if len(x) == 1:
        (top, bottom), (left, right) = _edges(layer.params.cropAmounts, "cropAmounts")
        end = [height - bottom, width - right]
    else:
        offset = [int(n) for n in layer.params.offset] or [0, 0]
        if len(offset) != 2:
            raise ModelError(f"offset is {offset}; it must be a height and a width")
        top, left = offset
        end = [top + x[1].shape[-2], left + x[1].shape[-1]]
    if not (top < end[0] <= height and left < end[1] <= width):
        raise ModelError(f"rows {top} to {end[0]} and columns {left} to {end[1]} are not within {height} x {width}")

    if [top, left, *end] == [0, 0, height, width]:
        return x[0]

    def cut(image: Tensor) -> Any:
        return build.op("Slice", image, [top, left], end, [-2, -1])

    return with_rank4(build, x[0], cut) if len(x[0].shape) > 4 else cut(x[0])


def _edges(border: Any, field: str) -> list[tuple[int, int]]:
    """The start and end amounts of height and width in a BorderAmounts message; zeros where it is empty."""
    edges = [(int(edge.startEdgeSize), int(edge.endEdgeSize)) for edge in border.borderAmounts]
    if len(edges) not in (0, 2):
        raise ModelError(f"{field} has {len(edges)} entries; it must have one for height and one for width")
    return edges or [(0, 0), (0, 0)]
