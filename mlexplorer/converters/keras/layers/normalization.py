"""Normalizations, and what scales by stored numbers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.values import Value


@converts("BatchNormalization", "BatchNormalizationV1", "SyncBatchNormalization", keeps_mask=True)
def batch_normalization(c: Context) -> Value:
    """BatchNormalization by its stored statistics, along any axis (Core ML: batchnorm)."""
    x, axis = c.input, c.get("axis", -1)
    if not isinstance(axis, int):
        if len(axis) != 1:
            c.refuse(f"it normalizes along the axes {list(axis)}; Core ML does along one")
        axis = int(axis[0])
    axis = x.positive(axis)
    center, scale = bool(c.get("center", True)), bool(c.get("scale", True))
    arrays = iter(c.weights(2 + center + scale))
    size = x.shape[axis]
    c.require_room(size)
    gamma = next(arrays) if scale else np.ones(size, np.float32)
    beta = next(arrays) if center else np.zeros(size, np.float32)
    mean, variance = arrays
    if {array.shape for array in (gamma, beta, mean, variance)} != {(size,)}:
        raise ValueError(f"its weights have {[a.size for a in (gamma, beta, mean, variance)]} values, not {size}")
    if axis == 0:
        c.refuse("it normalizes along the batch")
    statistics = {"gamma": gamma, "beta": beta, "mean": mean, "variance": variance}
    fields: dict[str, Any] = {"channels": size, "epsilon": c.number("epsilon", 1e-3), **statistics}
    if x.rank == 2:
        blob = c.add("expandDims", c.plain(x), part="planes", axes=[2, 3])
        return Value(c.add("squeeze", c.add("batchnorm", blob, **fields), part="vector", axes=[2, 3]), x.shape)
    if axis == x.rank - 1 and x.rank < 5:
        return c.map(c.planes(x), "batchnorm", **fields)
    if x.rank == 4 and axis == 1:
        return c.map(c.as_plain(x), "batchnorm", **fields)
    return _along_axis(c, x, axis, fields)


def _along_axis(c: Context, x: Value, axis: int, fields: dict[str, Any]) -> Value:
    """The layer on [before, length of the axis, after, 1], whatever the blob's axes are."""
    shape = [x.shape[0], x.shape[-1], *x.shape[1:-1]] if x.planes else list(x.shape)
    axis = x.axis(axis)
    blob = c.add(
        "reshapeStatic",
        x.blob,
        part="axis",
        targetShape=[prod(shape[:axis]), shape[axis], prod(shape[axis + 1 :]), 1],
    )
    return x.with_blob(c.add("reshapeStatic", c.add("batchnorm", blob, **fields), part="axes", targetShape=shape))


@converts("LayerNormalization", keeps_mask=True)
def layer_normalization(c: Context) -> Value:
    """LayerNormalization over the last axes (Core ML: layerNormalization), or over others, moved to the end."""
    x, axes = c.input, _axes(c, c.input)
    if c.get("rms_scaling", False):
        return _rms(c, x, axes, c.number("epsilon", 1e-3))
    shape = [x.shape[axis] for axis in axes]
    c.require_room(*shape)
    center, scale = bool(c.get("center", True)), bool(c.get("scale", True))
    arrays = iter(c.weights(center + scale))
    gamma = next(arrays) if scale else np.ones(shape, np.float32)
    beta = next(arrays) if center else np.zeros(shape, np.float32)
    if gamma.size != prod(shape) or beta.size != prod(shape):
        raise ValueError(f"its weights have {gamma.size} and {beta.size} values for {shape}")
    fields: dict[str, Any] = {"normalizedShape": shape, "eps": c.number("epsilon", 1e-3), "gamma": gamma, "beta": beta}
    order = [axis for axis in range(x.rank) if axis not in axes] + axes
    if order == sorted(order):
        return c.map(c.as_plain(x), "layerNormalization", **fields)
    moved = c.map(c.transpose(x, order, "moved"), "layerNormalization", **fields)
    return c.transpose(moved, np.argsort(order).tolist(), "back")


@converts("RMSNormalization", keeps_mask=True)
def rms_normalization(c: Context) -> Value:
    """RMSNormalization: x / sqrt(mean of squares + epsilon) * scale."""
    return _rms(c, c.input, _axes(c, c.input), c.number("epsilon", 1e-6))


def _rms(c: Context, x: Value, axes: Sequence[int], epsilon: float) -> Value:
    weights = c.weights(len(c.layer.weights))[:1]
    x = c.as_plain(x)
    squares = c.map(x, "unary", "squares", type="POWER", alpha=2)
    mean = c.add("reduceMean", squares.blob, part="mean", axes=list(axes), keepDims=True)
    factor = c.add("unary", mean, part="factor", type="POWER", alpha=-0.5, shift=epsilon)
    y = c.add("multiplyBroadcastable", x.blob, factor, part="normalized" if weights else "")
    if weights:
        shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.rank)]
        y = c.add("multiplyBroadcastable", y, c.constant(weights[0].reshape(shape), "scale"))
    return x.with_blob(y)


@converts("UnitNormalization", keeps_mask=True)
def unit_normalization(c: Context) -> Value:
    """UnitNormalization: divided by the length along some axes."""
    x = c.input
    return x.with_blob(unit_length(c, x.blob, [x.axis(axis) for axis in _axes(c, x)]))


def unit_length(c: Context, blob: str, axes: Sequence[int]) -> str:
    """A blob divided by its length along axes, which counts at least 1e-6, as TensorFlow's l2_normalize has it."""
    total = c.add("reduceSumSquare", blob, part="squares", axes=list(axes), keepDims=True)
    total = c.add("unary", total, part="least", type="THRESHOLD", alpha=1e-12)
    factor = c.add("unary", total, part="factor", type="POWER", alpha=-0.5)
    return str(c.add("multiplyBroadcastable", blob, factor))


@converts("GroupNormalization", keeps_mask=True)
def group_normalization(c: Context) -> Value:
    """GroupNormalization: each group of channels as one plane by its own statistics (Core ML: batchnorm, scale)."""
    x = c.input
    axis = x.positive(int(c.get("axis", -1)))
    size, groups = x.shape[axis], int(c.get("groups", 32))
    groups = size if groups == -1 else groups
    c.require_room(size)
    if axis == 0 or size % groups:
        raise ValueError(f"axis {axis} of {list(x.shape)} cannot be parted into {groups} groups")
    center, scale = bool(c.get("center", True)), bool(c.get("scale", True))
    arrays = iter(c.weights(center + scale))
    gamma = next(arrays).reshape(-1) if scale else np.ones(size, np.float32)
    beta = next(arrays).reshape(-1) if center else np.zeros(size, np.float32)
    first = [0, axis, *(other for other in range(1, x.rank) if other != axis)]
    if axis == x.rank - 1 and x.rank > 2:
        moved = c.planes(x)
        shape = [x.shape[0], size, *[1] * (x.rank == 3), *x.shape[1:-1]]
    else:
        moved = c.as_plain(x) if axis == 1 else c.transpose(x, first, "moved")
        shape = list(moved.shape)
    blob = moved.blob
    blob = c.add("reshapeStatic", blob, part="groups", targetShape=[shape[0], groups, prod(shape[1:]) // groups, 1])
    blob = c.add(
        "batchnorm",
        blob,
        part="normalized",
        channels=groups,
        computeMeanVar=True,
        instanceNormalization=True,
        epsilon=c.number("epsilon", 1e-3),
        gamma=np.ones(groups, np.float32),
        beta=np.zeros(groups, np.float32),
    )
    image = [shape[0], size, prod(shape[2:]), 1]
    blob = c.add("reshapeStatic", blob, part="channels", targetShape=image)
    blob = c.add("scale", blob, **_scale_and_bias(gamma, beta))
    blob = c.add("reshapeStatic", blob, part="planes", targetShape=shape)
    result = moved.with_blob(blob)
    return result if moved.planes or axis == 1 else c.transpose(result, np.argsort(first).tolist(), "back")


@converts("Rescaling", keeps_mask=True)
def rescaling(c: Context) -> Value:
    """Rescaling: x * scale + offset, by numbers or by one per channel."""
    scale, offset = (np.asarray(_plain_numbers(c.get(key, default))) for key, default in (("scale", 1), ("offset", 0)))
    if scale.size == offset.size == 1:
        return c.map(c.input, "activation", linear={"alpha": float(scale.item()), "beta": float(offset.item())})
    return affine(c, c.input, scale, offset)


@converts("Normalization", keeps_mask=True)
def normalization(c: Context) -> Value:
    """Normalization by stored means and variances: (x - mean) / sqrt(variance), or back with `invert`."""
    x, axis = c.input, c.layer.config.get("axis", -1)
    axes = [] if axis is None else [axis] if isinstance(axis, int) else list(axis)
    axes = [x.positive(int(item)) for item in axes]
    arrays = c.weights(len(c.layer.weights))[:2]
    if len(arrays) < 2:
        given = [c.get("mean"), c.get("variance")]
        if None in given:
            c.refuse("it has neither learned nor been given a mean and a variance")
        arrays = [np.asarray(_plain_numbers(item), np.float32) for item in given]
    shape = [x.shape[axis] if axis in axes else 1 for axis in range(x.rank)]
    mean, variance = (np.broadcast_to(array.reshape(-1), prod(shape)).reshape(shape) for array in arrays)
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    if c.get("invert", False):
        return affine(c, x, deviation, mean)
    return affine(c, x, 1 / deviation, -mean / deviation)


@converts("LayerScale", keeps_mask=True)
def layer_scale(c: Context) -> Value:
    """LayerScale of keras.applications' ConvNeXt: one factor per channel."""
    (gamma,) = c.weights(1)
    return affine(c, c.input, gamma, np.zeros(1))


def affine(c: Context, x: Value, scale: Array, offset: Array) -> Value:
    """X * scale + offset, both of which broadcast against Keras' axes."""
    scale, offset = np.asarray(scale, np.float32), np.asarray(offset, np.float32)
    channels = x.shape[-1]
    if x.rank in (3, 4) and all(
        array.size == 1 or array.shape[-1] == array.size == channels for array in (scale, offset)
    ):
        scales, offsets = (np.broadcast_to(array.reshape(-1), channels) for array in (scale, offset))
        return c.map(c.planes(x), "scale", **_scale_and_bias(scales, offsets))
    x = c.as_plain(x)
    scaled = c.add("multiplyBroadcastable", x.blob, c.constant(scale, "scale"), part="scaled")
    return x.with_blob(c.add("addBroadcastable", scaled, c.constant(offset, "offset")))


def _scale_and_bias(scale: Array, bias: Array) -> dict[str, Any]:
    shape = [scale.size, 1, 1]
    return {"shapeScale": shape, "scale": scale, "hasBias": True, "shapeBias": shape, "bias": bias}


def _axes(c: Context, x: Value) -> list[int]:
    """The axes of the configuration, counted from the start, in their order."""
    axis = c.get("axis", -1)
    axes = sorted(x.positive(int(item)) for item in ([axis] if isinstance(axis, int) else axis))
    if 0 in axes:
        c.refuse("it normalizes along the batch")
    return axes


def _plain_numbers(value: Any) -> Any:
    """Numbers, also as Keras wraps those that were tensors."""
    if isinstance(value, dict):
        return value.get(
            "value", value.get("config", {}).get("value") if isinstance(value.get("config"), dict) else None
        )
    return value
