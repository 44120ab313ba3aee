"""Pooling over windows and over everything."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Context, converts
from mlexplorer.converters.keras.layers.convolution import padding_3d, per_axis, plane_padding
from mlexplorer.converters.keras.values import Value

_NUMBERS_PER_PIXEL = 16
"""What adaptive pooling takes for each pair of an old and a new pixel, roughly, while it is converted."""


@converts("MaxPooling1D", "MaxPooling2D", "MaxPooling3D", "MaxPool1D", "MaxPool2D", "MaxPool3D")
def max_pooling(c: Context) -> Value:
    """MaxPooling1D, MaxPooling2D, MaxPooling3D (Core ML: pooling, pooling3d)."""
    return _pooling(c, "MAX")


@converts("AveragePooling1D", "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D")
def average_pooling(c: Context) -> Value:
    """AveragePooling1D, AveragePooling2D, AveragePooling3D; padding does not count."""
    return _pooling(c, "AVERAGE")


@converts("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D")
@converts("GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D")
def global_max_pooling(c: Context) -> Value:
    """GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D."""
    return _global_pooling(c, "MAX")


@converts("GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalAveragePooling3D")
@converts("GlobalAvgPool1D", "GlobalAvgPool2D", "GlobalAvgPool3D")
def global_average_pooling(c: Context) -> Value:
    """GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D; masked steps do not count."""
    if c.input.mask is not None:
        return _masked_average(c)
    return _global_pooling(c, "AVERAGE")


@converts("AdaptiveAveragePooling1D", "AdaptiveAveragePooling2D", "AdaptiveAveragePooling3D")
@converts("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D")
def adaptive_pooling(c: Context) -> Value:
    """Adaptive pooling to m of n pixels of an axis, the i-th of those from i n / m down to (i + 1) n / m up.

    Axis by axis: averages by a product, maxima of windows that are gathered; short ones repeat their last pixel.
    """
    rank = c.input.rank - 2
    blob, sizes = c.image(rank)
    average = "Average" in c.layer.class_name
    for axis, (n, m) in enumerate(zip(sizes[2:], c.sizes("output_size", rank), strict=True), 2):
        if n == m:
            continue
        c.require_room(m, n, _NUMBERS_PER_PIXEL)
        here = c.within(f"axis_{axis - 2}")
        outer, inner = prod(sizes[:axis]), prod(sizes[axis + 1 :])
        windows = [range(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
        y = here.add("reshapeStatic", blob, part="apart", targetShape=[outer, n, inner])
        if average:
            shares = np.array([[(place in window) / len(window) for place in range(n)] for window in windows])
            y = here.add("batchedMatmul", here.constant(shares[None], "shares"), y, part="averages")
        else:
            length = max(map(len, windows))
            places = [min(window[0] + step, window[-1]) for window in windows for step in range(length)]
            y = here.add("gather", y, here.constant(places, "places"), part="windows", axis=1)
            y = here.add("reshapeStatic", y, part="by_window", targetShape=[outer, m, length, inner])
            y = here.add("reduceMax", y, part="maxima", axes=[2], keepDims=False)
        sizes[axis] = m
        plane = [*sizes[:2], *[1] * (rank == 1), *sizes[2:]]
        blob = here.add("reshapeStatic", y, targetShape=plane)
    return c.from_image(blob, sizes)


def _pooling(c: Context, type: str) -> Value:
    rank = c.input.rank - 2
    key = "pool_size" if c.get("pool_size") is not None else "pool_length"
    kernel = c.sizes(key, rank, 2)
    strides = c.sizes("strides", rank) if c.get("strides") is not None else kernel
    c.refuse_unless("padding", "valid", "same")
    same = c.get("padding", "valid") == "same"
    blob, (batch, channels, *extent) = c.image(rank)
    if same:
        extent = [-(-n // s) for n, s in zip(extent, strides, strict=True)]
    else:
        extent = [(n - k) // s + 1 for n, k, s in zip(extent, kernel, strides, strict=True)]
        if min(extent) < 1:
            raise ValueError(f"windows of {kernel} are larger than the input {list(c.input.shape)}")
    if rank == 3:
        padding = padding_3d(None if same else [(0, 0)] * 3)
        window: dict[str, Any] = {**per_axis("kernel", kernel), **per_axis("stride", strides), **padding}
        y = c.add(
            "pooling3d",
            blob,
            type=type,
            **window,
            countExcludePadding=type == "AVERAGE",
        )
    else:
        one = [1] * (2 - rank)
        padding = plane_padding(None if same else [(0, 0)] * 2)
        y = c.add(
            "pooling",
            blob,
            type=type,
            kernelSize=[*one, *kernel],
            stride=[*one, *strides],
            **padding,
            avgPoolExcludePadding=type == "AVERAGE",
        )
    return c.from_image(y, [batch, channels, *extent])


def _global_pooling(c: Context, type: str) -> Value:
    rank = c.input.rank - 2
    blob, (batch, channels, *_) = c.image(rank)
    keep = bool(c.get("keepdims", False))
    part = "" if keep else "pooling"
    if rank == 3:
        y = c.add("globalPooling3d", blob, part=part, type=type)
    else:
        padding = plane_padding([(0, 0)] * 2)
        y = c.add(
            "pooling", blob, part=part, type=type, globalPooling=True, **padding, kernelSize=[1, 1], stride=[1, 1]
        )
    if keep:
        return c.from_image(y, [batch, channels, *[1] * rank])
    return Value(c.add("squeeze", y, axes=[2, 3, 4][: max(rank, 2)]), (batch, channels))


def _masked_average(c: Context) -> Value:
    value, mask = c.input, c.input.mask
    assert mask is not None
    if value.rank != 3 or c.channels_first:
        c.refuse("its input has a mask, and only sequences [batch, steps, features] can be averaged with one")
    batch, steps, features = value.shape
    weights = c.add("reshapeStatic", mask(), part="mask", targetShape=[batch, 1, steps])
    total = c.add("batchedMatmul", weights, c.plain(value), part="total")
    count = c.add("reduceSum", weights, part="count", axes=[2], keepDims=True)
    mean = Value(c.add("divideBroadcastable", total, count, part="mean"), (batch, 1, features))
    return mean if c.get("keepdims") else c.reshape(mean, [batch, features])
