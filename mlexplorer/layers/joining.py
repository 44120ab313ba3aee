"""Putting tensors together and taking them apart: concat, stack, split, tile."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.axes import positive_axis
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank
from mlexplorer.layers.limits import require_room


@lowers("concat", inputs=(1, None))
def concat(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Side by side along the channels, or along the sequence with sequenceConcat (ConcatLayerParams; ONNX Concat)."""
    axis = -5 if layer.params.sequenceConcat else -3
    for tensor in x:
        require_rank(tensor, -axis)
    leading = x[0].shape[:-3]
    if axis == -5 or any(tensor.shape[:-3] != leading for tensor in x):
        return _concat(build, x, axis)
    images = [build.reshape(tensor, [prod(leading), *tensor.shape[-3:]]) for tensor in x]
    y = _concat(build, images, 1)
    return build.reshape(y, [*leading, *y.shape[1:]])


@lowers("concatND", inputs=(1, None))
def concat_nd(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Side by side along any axis (ConcatNDLayerParams; ONNX Concat).

    With `interleave` the slices of the inputs, which then have equal shapes, take turns.
    """
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    if not layer.params.interleave:
        return _concat(build, x, axis)
    shape = list(x[0].shape)
    turns = _stack(build, x, axis + 1)
    shape[axis] *= len(x)
    return build.reshape(turns, shape)


@lowers("stack", inputs=(1, None))
def stack(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Side by side along a new axis (StackLayerParams; ONNX Unsqueeze and Concat)."""
    return _stack(build, x, positive_axis(layer.params.axis, len(x[0].shape) + 1))


def _stack(build: Builder, x: Sequence[Tensor], axis: int) -> Any:
    shape = list(x[0].shape)
    if any(list(tensor.shape) != shape for tensor in x):
        raise ModelError(f"the inputs have the shapes {[list(tensor.shape) for tensor in x]}; they must be equal")
    return _concat(build, [build.reshape(tensor, [*shape[:axis], 1, *shape[axis:]]) for tensor in x], axis)


def _concat(build: Builder, x: Sequence[Any], axis: int) -> Any:
    return build.op("Concat", *x, axis=axis) if len(x) > 1 else x[0]


@lowers("split")
def split(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Equal parts of the channels (SplitLayerParams; ONNX Split)."""
    require_rank(x[0], 3)
    channels, parts = x[0].shape[-3], int(layer.params.nOutputs)
    if parts < 1 or channels % parts:
        raise ModelError(f"{channels} channels cannot be split into {parts} equal parts; see nOutputs")
    leading = x[0].shape[:-3]
    images = build.reshape(x[0], [prod(leading), *x[0].shape[-3:]])
    return [build.reshape(y, [*leading, *y.shape[1:]]) for y in _split(build, images, [channels // parts] * parts, 1)]


@lowers("splitND")
def split_nd(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Parts along any axis, of splitSizes, or numSplits parts of which the first are longer by one where need be.

    Source: SplitNDLayerParams; ONNX Split.
    """
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    length, parts = x[0].shape[axis], int(layer.params.numSplits)
    sizes = [int(n) for n in layer.params.splitSizes]
    if not sizes:
        if not 1 <= parts <= length:
            raise ModelError(f"an axis of length {length} cannot be split into {parts} parts; see numSplits")
        sizes = [length // parts + (part < length % parts) for part in range(parts)]
    if sum(sizes) != length:
        raise ModelError(f"splitSizes is {sizes}; they must add up to the axis's length {length}")
    return _split(build, x[0], sizes, axis)


def _split(build: Builder, x: Tensor, sizes: Sequence[int], axis: int) -> Any:
    if len(sizes) == 1:
        return [x]
    return build.op("Split", x, list(sizes), outputs=len(sizes), axis=axis)


@lowers("tile", inputs=(1, 2))
def tile(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Repeated along the last axes, as often as `reps` or a second input says (TileLayerParams; ONNX Tile)."""
    rank = len(x[0].shape)
    repeats = build.cast(x[1], np.int64) if len(x) > 1 else build.constant([int(n) for n in layer.params.reps])
    missing = rank - repeats.shape[0]
    if not 0 <= missing < rank:
        raise ModelError(f"{repeats.shape[0]} repetitions do not fit an input of shape {list(x[0].shape)}")
    if repeats.value is not None:
        require_room([*x[0].shape, *repeats.value.tolist()])
    return build.op("Tile", x[0], build.op("Concat", [1] * missing, repeats, axis=0) if missing else repeats)


@lowers("sequenceRepeat")
def sequence_repeat(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The sequence (axis -5) nRepetitions times, once where it is unset (SequenceRepeatLayerParams; ONNX Tile)."""
    require_rank(x[0], 5)
    leading, times = len(x[0].shape) - 5, int(layer.params.nRepetitions) or 1
    require_room([*x[0].shape, times])
    return build.op("Tile", x[0], [1] * leading + [times, 1, 1, 1, 1])
