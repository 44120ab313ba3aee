"""Slices, windows and reversals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.axes import positive_axis
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Array, Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank

_FAR = 1 << 40
"""Beyond every axis: ONNX Slice clamps it to the axis's end."""


@lowers("slice")
def slice_axis(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """From startIndex to before endIndex of C, H or W; negative ones count from the end.

    Source: SliceLayerParams; ONNX Slice.
    """
    params = layer.params
    axis = {"CHANNEL_AXIS": -3, "HEIGHT_AXIS": -2, "WIDTH_AXIS": -1}[enum_name(params, "axis")]
    require_rank(x[0], -axis)
    length = x[0].shape[axis]
    if not range(*slice(params.startIndex, params.endIndex).indices(length)):
        raise ModelError(f"nothing of {length} is left from {params.startIndex} on and before {params.endIndex}")
    return build.op("Slice", x[0], [params.startIndex], [params.endIndex], [axis], [int(params.stride) or 1])


@lowers("sliceStatic")
def slice_static(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """NumPy's x[begin:end:stride, ...], negative numbers included (SliceStaticLayerParams; ONNX Slice).

    beginMasks and endMasks leave an end open; squeezeMasks take the one element at beginIds and drop the axis.
    """
    params, rank = layer.params, len(x[0].shape)
    numbers = [_per_axis(params, field, rank) for field in ("beginIds", "endIds", "strides")]
    masks = [_per_axis(params, field, rank) != 0 for field in ("beginMasks", "endMasks", "squeezeMasks")]
    return _slice(build, x[0], numbers, masks)


@lowers("sliceDynamic", inputs=(2, 7))
def slice_dynamic(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """As sliceStatic, where inputs hold beginIds and up to all of endIds, strides, beginMasks, endMasks, squeezeMasks.

    Source: SliceDynamicLayerParams; ONNX Slice. Parameters may have more values than the input has axes: coremltools
    writes five.
    """
    params, rank = layer.params, len(x[0].shape)
    fields = ("beginIds", "endIds", "strides", "beginMasks", "endMasks", "squeezeMasks")
    given = [
        x[index + 1] if index + 1 < len(x) else build.constant(_per_axis(params, field, rank, surplus=True))
        for index, field in enumerate(fields)
    ]
    for field, tensor in zip(fields, given, strict=True):
        if tuple(tensor.shape) != (rank,):
            raise ModelError(f"{field} has the shape {list(tensor.shape)}; it must have one number for each axis")
    if all(tensor.value is not None for tensor in given):
        numbers = [tensor.value.astype(np.int64) for tensor in given[:3]]
        return _slice(build, x[0], numbers, [tensor.value != 0 for tensor in given[3:]])
    return _slice_at_run_time(build, x[0], given)


def _per_axis(params: Any, field: str, rank: int, surplus: bool = False) -> Array:
    values = list(getattr(params, field))
    if surplus:
        values = values[:rank]
    if not values and field.endswith("Masks"):
        return np.zeros(rank, np.int64)
    if not values and field == "strides":
        return np.ones(rank, np.int64)
    if len(values) != rank:
        raise ModelError(f"{field} has {len(values)} values; it must have one for each of the input's {rank} axes")
    return np.array(values, np.int64)


def _slice(build: Builder, x: Tensor, numbers: Sequence[Array], masks: Sequence[Array]) -> Any:
    starts, ends, steps, kept = [], [], [], []
    for axis, length in enumerate(x.shape):
        begin, end, stride = (int(values[axis]) for values in numbers)
        begin_open, end_open, squeezed = (bool(values[axis]) for values in masks)
        if squeezed:
            if not -length <= begin < length:
                raise ModelError(f"there is no element {begin} on axis {axis}, whose length is {length}")
            begin, end, stride = begin % length, begin % length + 1, 1
        elif stride == 0:
            raise ModelError(f"the stride of axis {axis} is 0")
        else:
            window = slice(None if begin_open else begin, None if end_open else end, stride)
            begin, end, stride = window.indices(length)
            kept.append(len(range(begin, end, stride)))
        starts.append(begin)
        ends.append(end if end >= 0 else -_FAR)
        steps.append(stride)
    if 0 in kept:
        raise ModelError(f"nothing is left of an input of shape {list(x.shape)}; see beginIds, endIds and strides")
    y = build.op("Slice", x, starts, ends, list(range(len(starts))), steps)
    return build.reshape(y, kept or [1])


def _slice_at_run_time(build: Builder, x: Tensor, given: Sequence[Any]) -> Any:
    rank = len(x.shape)
    begin, end, stride = (build.cast(tensor, np.int64) for tensor in given[:3])
    begin_open, end_open, squeezed = (build.cast(tensor, np.bool_) for tensor in given[3:])
    forward = build.op("Greater", stride, [0] * rank)
    first = build.op("Where", forward, [0] * rank, [_FAR] * rank)
    last = build.op("Where", forward, [_FAR] * rank, [-_FAR] * rank)
    starts = build.op("Where", build.op("And", begin_open, build.op("Not", squeezed)), first, begin)
    after = build.op("Where", build.op("Equal", begin, [-1] * rank), [_FAR] * rank, build.op("Add", begin, [1] * rank))
    ends = build.op("Where", squeezed, after, build.op("Where", end_open, last, end))
    steps = build.op("Where", squeezed, [1] * rank, stride)
    return _without(build, build.op("Slice", x, starts, ends, list(range(rank)), steps), squeezed)


def _without(build: Builder, x: Any, squeezed: Any) -> Any:
    """A tensor without the axes that are marked; of a single element one axis remains."""
    rank = squeezed.shape[0]
    if squeezed.value is not None:
        dropped = np.flatnonzero(squeezed.value).tolist()
        if len(dropped) == rank:
            return build.op("Reshape", x, [1])
        return build.op("Squeeze", x, dropped) if dropped else x
    # onnxruntime takes an empty list of axes for all of length 1: an axis is put before them to be dropped in any case,
    # but for a single element.
    marked = build.op("Reshape", build.op("NonZero", squeezed), [-1])
    axes = build.op("Concat", [0], build.op("Add", marked, [1]), axis=0)
    count = build.op("ReduceSum", build.cast(squeezed, np.int64), [0], keepdims=1)
    axes = build.op("Slice", axes, build.cast(build.op("Equal", count, [rank]), np.int64), [_FAR], [0])
    return build.op("Squeeze", build.op("Unsqueeze", x, [0]), axes)


@lowers("sliceBySize", inputs=2)
def slice_by_size(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """`size` elements of one axis from where the second input says (SliceBySizeLayerParams; ONNX Gather)."""
    axis, size = positive_axis(layer.params.axis, len(x[0].shape)), int(layer.params.size)
    if not 1 <= size <= x[0].shape[axis]:
        raise ModelError(f"size is {size}; it must be 1 to {x[0].shape[axis]}, the length of axis {axis}")
    begin = build.reshape(build.cast(x[1], np.int64), [1])
    return build.op("Gather", x[0], build.op("Add", begin, np.arange(size)), axis=axis)


@lowers("slidingWindows")
def sliding_windows(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """All windows of windowSize that stand `step` apart on an axis: [..., L, ...] to [..., windows, windowSize, ...].

    Source: SlidingWindowsLayerParams; ONNX Gather.
    """
    params = layer.params
    axis, size, step = positive_axis(params.axis, len(x[0].shape)), int(params.windowSize), int(params.step) or 1
    length = x[0].shape[axis]
    if not 1 <= size <= length:
        raise ModelError(f"windowSize is {size}; it must be 1 to {length}, the length of axis {axis}")
    windows = (length - size) // step + 1
    return build.op("Gather", x[0], np.arange(windows)[:, None] * step + np.arange(size), axis=axis)


@lowers("reverse")
def reverse(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Backwards along the axes whose reverseDim is set (ReverseLayerParams; ONNX Slice)."""
    chosen = list(layer.params.reverseDim)
    if len(chosen) != len(x[0].shape):
        raise ModelError(f"reverseDim has {len(chosen)} values; it must have one for each of {len(x[0].shape)} axes")
    return backwards(build, x[0], [axis for axis, turned in enumerate(chosen) if turned])


def backwards(build: Builder, x: Tensor, axes: Sequence[int]) -> Any:
    """A tensor with some axes in reverse order."""
    count = len(axes)
    return build.op("Slice", x, [-1] * count, [-_FAR] * count, list(axes), [-1] * count) if count else x


@lowers("reverseSeq", inputs=2)
def reverse_seq(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The first n elements of each sequence backwards; the second input has an n for each batch element.

    Source: ReverseSeqLayerParams; ONNX ReverseSequence, which wants the batch and the sequence as its first two axes.
    """
    rank = len(x[0].shape)
    batch, sequence = (positive_axis(axis, rank) for axis in (layer.params.batchAxis, layer.params.sequenceAxis))
    if batch == sequence:
        raise ModelError(f"batchAxis and sequenceAxis are both {batch}")
    order = [batch, sequence, *(axis for axis in range(rank) if axis not in (batch, sequence))]
    lengths = build.reshape(build.cast(x[1], np.int64), [x[0].shape[batch]])
    y = build.op("ReverseSequence", build.transpose(x[0], order), lengths, batch_axis=0, time_axis=1)
    return build.transpose(y, np.argsort(order).tolist())
