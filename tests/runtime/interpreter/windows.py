"""Convolution, pooling and matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tests.runtime.interpreter.core import Array, borders, floats, layer, pair_of

torch = pytest.importorskip("torch")


def _images(x: Array) -> Any:
    """[..., C, H, W] as a torch tensor [N, C, H, W]."""
    return torch.from_numpy(x.reshape(-1, *x.shape[-3:]))


def _back(y: Any, x: Array) -> Array:
    return np.asarray(y).reshape(*x.shape[:-3], *y.shape[-3:])


def _same(lengths: Sequence[int], window: Sequence[int], stride: Sequence[int], mode: int = 0) -> list[list[int]]:
    pads = []
    for n, k, s in zip(lengths, window, stride, strict=True):
        outputs = int(np.ceil(n / s))
        total = max((outputs - 1) * s + k - n, 0)
        less, more = total // 2, total - total // 2
        pads.append([less, more] if mode == 0 else [more, less])
    return pads


def _pad(x: Any, pads: Sequence[Sequence[int]], value: float = 0.0) -> Any:
    """A torch tensor padded at its last axes."""
    flat = [amount for pair in reversed(list(pads)) for amount in pair]
    return torch.nn.functional.pad(x, flat, value=value)


@layer("convolution")
def convolution(p: Any, x: list[Array]) -> Any:
    kernel, stride = pair_of(p.kernelSize, 3), pair_of(p.stride, 1)
    groups = p.nGroups or 1
    bias = torch.from_numpy(floats(p.bias)) if p.hasBias else None
    image = _images(x[0])
    lengths = image.shape[-2:]
    same = p.WhichOneof("ConvolutionPaddingType") == "same"
    if p.isDeconvolution:
        w = torch.from_numpy(floats(p.weights).reshape(p.kernelChannels, p.outputChannels // groups, *kernel))
        y = torch.nn.functional.conv_transpose2d(
            image, w, stride=stride, groups=groups, dilation=pair_of(p.dilationFactor, 1)
        )
        full = y.shape[-2:]
        if len(p.outputShape):
            wanted = list(p.outputShape)
        elif same:
            wanted = [n * s for n, s in zip(lengths, stride, strict=True)]
        else:
            wanted = [n - sum(pair) for n, pair in zip(full, borders(p.valid), strict=True)]
        if same or len(p.outputShape):
            cut = [n - m for n, m in zip(full, wanted, strict=True)]
            top_heavy = same and p.same.asymmetryMode == 1
            starts = [(c + 1) // 2 if top_heavy else c // 2 for c in cut]
        else:
            starts = [pair[0] for pair in borders(p.valid)]
        y = y[..., starts[0] : starts[0] + wanted[0], starts[1] : starts[1] + wanted[1]]
        return _back(y if bias is None else y + bias[:, None, None], x[0])
    dilation = pair_of(p.dilationFactor, 1)
    w = torch.from_numpy(floats(p.weights).reshape(p.outputChannels, p.kernelChannels, *kernel))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = _same(lengths, extent, stride, p.same.asymmetryMode) if same else borders(p.valid)
    y = torch.nn.functional.conv2d(_pad(image, pads), w, bias, stride, 0, dilation, groups)
    return _back(y, x[0])


def _windows(image: Array, kernel: Sequence[int], stride: Sequence[int]) -> Array:
    """[N, C, ...] to [N, C, places..., window...]."""
    axes = tuple(range(2, image.ndim))
    views = np.lib.stride_tricks.sliding_window_view(image, tuple(kernel), axes)
    return views[(slice(None), slice(None), *(slice(None, None, s) for s in stride))]


def _pool(kind: str, x: Array, kernel: Any, stride: Any, pads: Any, exclude: bool) -> Array:
    """Pooling of [N, C, ...], by windows of the padded array."""
    rank = x.ndim - 2
    amounts = [(0, 0), (0, 0), *map(tuple, pads)]
    axes = tuple(range(-rank, 0))
    values = _windows(np.pad(x, amounts, constant_values=-np.inf if kind == "MAX" else 0.0), kernel, stride)
    if kind == "MAX":
        return values.max(axes)
    if kind == "L2":
        return np.sqrt((values**2).sum(axes))
    count: Any = float(np.prod(kernel))
    if exclude:
        count = _windows(np.pad(np.ones_like(x), amounts), kernel, stride).sum(axes)
    return values.sum(axes) / count


@layer("pooling")
def pooling(p: Any, x: list[Array]) -> Any:
    image = x[0].reshape(-1, *x[0].shape[-3:])
    kind = ("MAX", "AVERAGE", "L2")[p.type]
    lengths = list(image.shape[-2:])
    if p.globalPooling:
        return _back(_pool(kind, image, lengths, [1, 1], [(0, 0), (0, 0)], False), x[0])
    kernel, stride = pair_of(p.kernelSize, 3), pair_of(p.stride, 1)
    padding = p.WhichOneof("PoolingPaddingType")
    if padding == "same":
        pads = _same(lengths, kernel, stride, p.same.asymmetryMode)
    elif padding == "includeLastPixel":
        pads = []
        amounts = pair_of(p.includeLastPixel.paddingAmounts, 0)
        for n, k, s, amount in zip(lengths, kernel, stride, amounts, strict=True):
            places = int(np.ceil((n + 2 * amount - k) / s)) + 1
            if any(amounts) and (places - 1) * s >= n + amount:
                places -= 1
            pads.append((amount, max((places - 1) * s + k - n - amount, 0)))
    else:
        pads = borders(p.valid)
    return _back(_pool(kind, image, kernel, stride, pads, p.avgPoolExcludePadding), x[0])


def _triple(p: Any, stem: str) -> list[int]:
    return [getattr(p, stem + axis) for axis in ("Depth", "Height", "Width")]


def _pads3d(p: Any, lengths: Any, extent: Any, stride: Any) -> Any:
    if p.paddingType == 2:
        return _same(lengths, extent, stride)
    if p.paddingType == 1:
        return [(0, 0)] * 3
    sides = [("Front", "Back"), ("Top", "Bottom"), ("Left", "Right")]
    return [[getattr(p, f"customPadding{a}"), getattr(p, f"customPadding{b}")] for a, b in sides]


@layer("pooling3d")
def pooling3d(p: Any, x: list[Array]) -> Any:
    kernel, stride = _triple(p, "kernel"), _triple(p, "stride")
    pads = _pads3d(p, x[0].shape[-3:], kernel, stride)
    return _pool("MAX" if p.type == 0 else "AVERAGE", x[0], kernel, stride, pads, p.countExcludePadding)


@layer("globalPooling3d")
def global_pooling3d(p: Any, x: list[Array]) -> Any:
    return x[0].max((-3, -2, -1), keepdims=True) if p.type == 0 else x[0].mean((-3, -2, -1), keepdims=True)


@layer("convolution3d")
def convolution3d(p: Any, x: list[Array]) -> Any:
    kernel, groups = [n or 3 for n in _triple(p, "kernel")], p.nGroups or 1
    stride, dilation = ([n or 1 for n in _triple(p, stem)] for stem in ("stride", "dilation"))
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    w = torch.from_numpy(floats(p.weights).reshape(p.outputChannels, p.inputChannels // groups, *kernel))
    bias = torch.from_numpy(floats(p.bias)) if p.hasBias else None
    image = _pad(torch.from_numpy(x[0]), _pads3d(p, x[0].shape[-3:], extent, stride))
    return torch.nn.functional.conv3d(image, w, bias, stride, 0, dilation, groups).numpy()


@layer("innerProduct")
def inner_product(p: Any, x: list[Array]) -> Any:
    w = floats(p.weights).reshape(p.outputChannels, p.inputChannels)
    bias = floats(p.bias) if p.hasBias else 0.0
    if x[0].ndim >= 4:
        y = x[0].reshape(*x[0].shape[:-3], -1) @ w.T + bias
        return y[..., None, None]
    return x[0] @ w.T + bias


@layer("batchedMatmul")
def batched_matmul(p: Any, x: list[Array]) -> Any:
    if len(x) == 1:
        shape = p.weightMatrixFirstDimension, p.weightMatrixSecondDimension
        y = x[0] @ floats(p.weights).reshape(shape, order="F")
        return y + floats(p.bias) if p.hasBias else y
    a, b = x
    a = a[None, :] if a.ndim == 1 else np.swapaxes(a, -1, -2) if p.transposeA else a
    b = b[:, None] if b.ndim == 1 else np.swapaxes(b, -1, -2) if p.transposeB else b
    return a @ b


@layer("embedding")
def embedding(p: Any, x: list[Array]) -> Any:
    table = floats(p.weights).reshape(p.outputChannels, p.inputDim)
    y = table.T[x[0][..., 0, 0, 0].astype(int)] + (floats(p.bias) if p.hasBias else 0)
    return y[..., None, None]


@layer("embeddingND")
def embedding_nd(p: Any, x: list[Array]) -> Any:
    table = floats(p.weights).reshape(p.embeddingSize, p.vocabSize)
    return table.T[x[0][..., 0].astype(int)] + (floats(p.bias) if p.hasBias else 0)
