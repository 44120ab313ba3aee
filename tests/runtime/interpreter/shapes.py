"""Shapes, joining, splitting, slicing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.runtime.interpreter.core import Array, layer


@layer("flatten", exact=True)
def flatten(p: Any, x: list[Array]) -> Any:
    v = np.moveaxis(x[0], -3, -1) if p.mode == 1 else x[0]
    return v.reshape(*x[0].shape[:-3], -1, 1, 1)


@layer("reshape", exact=True)
def reshape(p: Any, x: list[Array]) -> Any:
    shape = list(p.targetShape)
    leading = list(x[0].shape[:-3])
    if len(shape) == 4:
        leading[0], shape = shape[0], shape[1:]
    if p.mode == 0:
        return x[0].reshape(*leading, *shape)
    v = np.moveaxis(x[0], -3, -1)
    return np.moveaxis(v.reshape(*leading, shape[1], shape[2], shape[0]), -1, -3)


@layer("permute", exact=True)
def permute(p: Any, x: list[Array]) -> Any:
    axes = [(0, 2, 3, 4)[a] for a in p.axis]
    return x[0].transpose([axes[0], 1, *axes[1:]])


@layer("reorganizeData", exact=True)
def reorganize(p: Any, x: list[Array]) -> Any:
    b, (*lead, c, h, w) = p.blockSize, x[0].shape
    n = len(lead)
    first = list(range(n))
    if p.mode == 0:
        v = x[0].reshape(*lead, c, h // b, b, w // b, b).transpose(*first, n + 2, n + 4, n, n + 1, n + 3)
        return v.reshape(*lead, c * b * b, h // b, w // b)
    small = c // (b * b)
    if p.mode == 1:
        v = x[0].reshape(*lead, b, b, small, h, w).transpose(*first, n + 2, n + 3, n, n + 4, n + 1)
    else:
        v = x[0].reshape(*lead, small, b, b, h, w).transpose(*first, n, n + 3, n + 1, n + 4, n + 2)
    return v.reshape(*lead, small, h * b, w * b)


layer("transpose", exact=True)(lambda p, x: x[0].transpose(list(p.axes)))
layer("copy", exact=True)(lambda p, x: x[0])
layer("getShape", exact=True)(lambda p, x: np.array(x[0].shape))
layer("squeeze", exact=True)(lambda p, x: x[0].squeeze() if p.squeezeAll else x[0].squeeze(tuple(p.axes)))
layer("expandDims", exact=True)(lambda p, x: np.expand_dims(x[0], tuple(p.axes)))
layer("reshapeLike", exact=True)(lambda p, x: x[0].reshape(x[1].shape))
layer("reshapeStatic", exact=True)(lambda p, x: x[0].reshape(list(p.targetShape)))
layer("reshapeDynamic", exact=True)(lambda p, x: x[0].reshape(x[1].astype(int)))
layer("broadcastToLike", exact=True)(lambda p, x: np.broadcast_to(x[0], x[1].shape))
layer("broadcastToStatic", exact=True)(lambda p, x: np.broadcast_to(x[0], tuple(p.targetShape)))
layer("broadcastToDynamic", exact=True)(lambda p, x: np.broadcast_to(x[0], tuple(x[1].astype(int))))


@layer("rankPreservingReshape", exact=True)
def rank_preserving_reshape(p: Any, x: list[Array]) -> Any:
    return x[0].reshape([n or x[0].shape[axis] for axis, n in enumerate(p.targetShape)])


@layer("flattenTo2D", exact=True)
def flatten_to_2d(p: Any, x: list[Array]) -> Any:
    axis = p.axis % x[0].ndim if p.axis < 0 else p.axis
    return x[0].reshape(int(np.prod(x[0].shape[:axis])), -1)


layer("concat", exact=True)(lambda p, x: np.concatenate(x, -5 if p.sequenceConcat else -3))
layer("stack", exact=True)(lambda p, x: np.stack(x, p.axis))
layer("split", exact=True)(lambda p, x: np.split(x[0], p.nOutputs, -3))
layer("sequenceRepeat", exact=True)(lambda p, x: np.concatenate([x[0]] * (p.nRepetitions or 1), 0))
layer("reverse", exact=True)(lambda p, x: np.flip(x[0], tuple(np.flatnonzero(list(p.reverseDim)))))


@layer("concatND", exact=True)
def concat_nd(p: Any, x: list[Array]) -> Any:
    if not p.interleave:
        return np.concatenate(x, p.axis)
    length = x[0].shape[p.axis]
    return np.concatenate([np.take(v, [i], p.axis) for i in range(length) for v in x], p.axis)


@layer("splitND", exact=True)
def split_nd(p: Any, x: list[Array]) -> Any:
    if p.splitSizes:
        return np.split(x[0], np.cumsum(list(p.splitSizes))[:-1], p.axis)
    return np.array_split(x[0], p.numSplits, p.axis)


@layer("tile", exact=True)
def tile(p: Any, x: list[Array]) -> Any:
    return np.tile(x[0], x[1].astype(int) if len(x) > 1 else list(p.reps))


@layer("slice", exact=True)
def slice_(p: Any, x: list[Array]) -> Any:
    axis = (-3, -2, -1)[p.axis]
    where: list[Any] = [slice(None)] * x[0].ndim
    where[axis] = slice(p.startIndex, p.endIndex, p.stride or 1)
    return x[0][tuple(where)]


def _slice_all(v: Array, fields: Sequence[Any]) -> Any:
    where: list[Any] = []
    for begin, end, stride, begin_open, end_open, squeezed in zip(*fields, strict=True):
        window = slice(None if begin_open else int(begin), None if end_open else int(end), int(stride))
        where.append(int(begin) if squeezed else window)
    return v[tuple(where)]


@layer("sliceStatic", exact=True)
def slice_static(p: Any, x: list[Array]) -> Any:
    return _slice_all(x[0], (p.beginIds, p.endIds, p.strides, p.beginMasks, p.endMasks, p.squeezeMasks))


@layer("sliceDynamic", exact=True)
def slice_dynamic(p: Any, x: list[Array]) -> Any:
    fields = [None, p.endIds, p.strides, p.beginMasks, p.endMasks, p.squeezeMasks]
    return _slice_all(x[0], [*x[1:], *fields[len(x) - 1 :]])


@layer("sliceBySize", exact=True)
def slice_by_size(p: Any, x: list[Array]) -> Any:
    begin = int(x[1].ravel()[0])
    return np.take(x[0], range(begin, begin + p.size), p.axis)


@layer("slidingWindows", exact=True)
def sliding_windows(p: Any, x: list[Array]) -> Any:
    axis, step = p.axis % x[0].ndim, p.step or 1
    starts = range(0, x[0].shape[axis] - p.windowSize + 1, step)
    return np.stack([np.take(x[0], range(s, s + p.windowSize), axis) for s in starts], axis)


@layer("reverseSeq", exact=True)
def reverse_seq(p: Any, x: list[Array]) -> Any:
    y = x[0].copy()
    batch, sequence = (axis % y.ndim for axis in (p.batchAxis, p.sequenceAxis))
    moved = np.moveaxis(y, (batch, sequence), (0, 1))
    for row, length in zip(moved, x[1].astype(int).ravel(), strict=True):
        row[:length] = row[:length][::-1].copy()
    return y


def _band(v: Array, keep: Callable[[Array, Array], Any]) -> Array:
    rows, columns = np.indices(v.shape[-2:])
    return np.where(keep(rows, columns), v, 0)


@layer("matrixBandPart", exact=True)
def matrix_band_part(p: Any, x: list[Array]) -> Any:
    below, above = p.numLower, p.numUpper
    return _band(x[0], lambda r, c: ((below < 0) | (r - c <= below)) & ((above < 0) | (c - r <= above)))


layer("upperTriangular", exact=True)(lambda p, x: _band(x[0], lambda r, c: c - r >= p.k))
layer("lowerTriangular", exact=True)(lambda p, x: _band(x[0], lambda r, c: c - r <= p.k))
