"""Borders, resampling, boxes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.runtime.interpreter.core import Array, borders, layer, pair_of


@layer("padding")
def padding(p: Any, x: list[Array]) -> Any:
    amounts = [(0, 0)] * (x[0].ndim - 2) + [tuple(pair) for pair in borders(p)]
    kind = p.WhichOneof("PaddingType")
    if kind == "constant":
        return np.pad(x[0], amounts, constant_values=p.constant.value)
    return np.pad(x[0], amounts, "reflect" if kind == "reflection" else "edge")


@layer("constantPad")
def constant_pad(p: Any, x: list[Array]) -> Any:
    amounts = (x[1].astype(int) if len(x) > 1 else np.array(p.padAmounts, int)).reshape(-1, 2)
    if p.padToGivenOutputSizeMode:
        lengths = np.array(x[0].shape)[:, None]
        amounts = np.where(amounts > 0, amounts - lengths, 0)
    return np.pad(x[0], amounts, constant_values=p.value)


@layer("crop", exact=True)
def crop(p: Any, x: list[Array]) -> Any:
    height, width = x[0].shape[-2:]
    if len(x) == 2:
        top, left = p.offset
        return x[0][..., top : top + x[1].shape[-2], left : left + x[1].shape[-1]]
    (top, bottom), (left, right) = ([e.startEdgeSize, e.endEdgeSize] for e in p.cropAmounts.borderAmounts)
    return x[0][..., top : height - bottom, left : width - right]


def _sample(v: Array, axis: int, places: Array) -> Array:
    """Linear interpolation along an axis at places within it."""
    places = np.clip(places, 0, v.shape[axis] - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, v.shape[axis] - 1)
    shape = [1] * v.ndim
    shape[axis] = -1
    part = (places - low).reshape(shape)
    return np.take(v, low, axis) * (1 - part) + np.take(v, high, axis) * part


@layer("upsample")
def upsample(p: Any, x: list[Array]) -> Any:
    factors = list(p.fractionalScalingFactor) or pair_of(p.scalingFactor, 1)
    y = x[0]
    for axis, factor in zip((-2, -1), factors, strict=True):
        n = x[0].shape[axis]
        m = int(n * factor)
        i = np.arange(m)
        if p.mode == 0:
            y = np.take(y, i // int(factor), axis)
        elif p.linearUpsampleMode == 0:
            y = _sample(y, axis % y.ndim, i * n / m)
        elif p.linearUpsampleMode == 1:
            y = _sample(y, axis % y.ndim, i * (n - 1) / max(m - 1, 1))
        else:
            y = _sample(y, axis % y.ndim, (i + 0.5) * n / m - 0.5)
    return y


@layer("resizeBilinear")
def resize_bilinear(p: Any, x: list[Array]) -> Any:
    y = x[0]
    for axis, m in zip((-2, -1), pair_of(p.targetSize, 1), strict=True):
        n, i = x[0].shape[axis], np.arange(m)
        places = (
            lambda i=i, n=n, m=m: i * (n - 1) / max(m - 1, 1),
            lambda i=i, n=n, m=m: i * (n - 1) / (m - 1) if m > 1 else np.array([(n - 1) / 2]),
            lambda i=i, n=n, m=m: i * n / m,
            lambda i=i, n=n, m=m: (i + 0.5) * (n - 1) / m,
        )[p.mode.samplingMethod]()
        y = _sample(y, axis % y.ndim, places)
    return y


@layer("cropResize")
def crop_resize(p: Any, x: list[Array]) -> Any:
    (image,) = x[0]  # a sequence of one, as the format has it
    boxes = x[1][:, 0, :, 0, 0]
    results = []
    for box in boxes:
        own = box[-4:] * (p.spatialScale or 1.0)
        if p.boxIndicesMode.boxMode in (1, 3):
            own = own[[1, 0, 3, 2]]
        if p.boxIndicesMode.boxMode in (2, 3):
            own = np.array([*(own[:2] - own[2:] / 2), *(own[:2] + own[2:] / 2)])
        pictures = image[[int(box[0])]] if len(box) == 5 else image
        y = pictures
        for axis, (start, end, m) in enumerate(zip(own[:2], own[2:], pair_of(p.targetSize, 1), strict=True)):
            n, i = image.shape[axis + 2], np.arange(m)
            if p.normalizedCoordinates:
                start, end = start * (n - 1), end * (n - 1)
            span = end - start
            places = (
                lambda i=i, m=m, span=span: i * span / max(m - 1, 1),
                lambda i=i, m=m, span=span: i * span / (m - 1) if m > 1 else np.array([span / 2]),
                lambda i=i, m=m, span=span: np.minimum(i * (span + 1) / m, span),
                lambda i=i, m=m, span=span: np.minimum((i + 0.5) * max(span, 1.0) / m, span),
            )[p.mode.samplingMethod]()
            y = _sample(y, axis + 2, start + places)
        results.append(y)
    return np.stack(results)
