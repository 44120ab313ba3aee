"""Convolutions, depthwise and separable ones, and their transposes, over one to three axes.

A sequence is convolved as a picture of height 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.layers.activation import activate
from mlexplorer.converters.keras.values import Value

Pads = Sequence[tuple[int, int]]
_AXES = ("Depth", "Height", "Width")
_ENDS = (("Front", "Back"), ("Top", "Bottom"), ("Left", "Right"))


@converts("Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D")
def convolution(c: Context) -> Value:
    """Conv1D, Conv2D, Conv3D: kernels [*size, channels / groups, filters] (Core ML: convolution, convolution3d)."""
    kernel, bias = _kernels(c, 1)
    rank = kernel.ndim - 2
    blob, sizes = c.image(rank)
    groups = int(c.get("groups", 1))
    weights = kernel.transpose(rank + 1, rank, *range(rank))
    y = c.from_image(*convolve(c, blob, sizes, weights, bias, groups))
    return activate(c, y, c.get("activation"))


@converts("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise_convolution(c: Context) -> Value:
    """DepthwiseConv1D, DepthwiseConv2D: kernels [*size, channels, multiplier], each channel by itself."""
    kernel, bias = _kernels(c, 1)
    blob, sizes = c.image(kernel.ndim - 2)
    y = c.from_image(*convolve(c, blob, sizes, _depthwise(kernel), bias, sizes[1]))
    return activate(c, y, c.get("activation"))


@converts("SeparableConv1D", "SeparableConv2D", "SeparableConvolution1D", "SeparableConvolution2D")
def separable_convolution(c: Context) -> Value:
    """SeparableConv1D, SeparableConv2D: each channel by itself, then [1, ..., channels, filters] over all."""
    depthwise, pointwise, bias = _kernels(c, 2)
    rank = depthwise.ndim - 2
    blob, sizes = c.image(rank)
    blob, sizes = convolve(c.within("depthwise"), blob, sizes, _depthwise(depthwise), None, sizes[1])
    weights = pointwise.transpose(rank + 1, rank, *range(rank))
    y = c.from_image(*convolve(c, blob, sizes, weights, bias, 1, pointwise=True))
    return activate(c, y, c.get("activation"))


@converts("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "Deconvolution2D", "Deconvolution3D")
def transposed_convolution(c: Context) -> Value:
    """Conv1DTranspose, Conv2DTranspose, Conv3DTranspose: kernels [*size, filters, channels].

    As TensorFlow has it, the result is cropped to input * strides with padding "same", and is as large as the strides
    even where the kernels are smaller. Core ML's deconvolution with dilated kernels, which devices ignore, is written
    with the zeros between.
    """
    kernel, bias = _kernels(c, 1)
    rank = kernel.ndim - 2
    blob, (batch, _, *extent) = c.image(rank)
    strides = c.sizes("strides", rank)
    dilation = c.sizes("dilation_rate", rank)
    c.require_room(*kernel.shape[-2:], *((k - 1) * d + 1 for k, d in zip(kernel.shape, dilation, strict=False)))
    weights = _dilated(kernel.transpose(rank + 1, rank, *range(rank)), dilation)
    filters, size = kernel.shape[-2], weights.shape[2:]
    target = _transposed_sizes(c, extent, kernel.shape[:rank], strides)
    full = [(n - 1) * s + k for n, s, k in zip(extent, strides, size, strict=True)]
    surplus = [f - t for f, t in zip(full, target, strict=True)]
    pads = [(max(n, 0) // 2, (max(n, 0) + 1) // 2) for n in surplus]
    lacks = any(n < 0 for n in surplus)
    y = _write(c, blob, weights, bias, strides, [1] * rank, 1, pads, target=target if lacks else (), transposed=True)
    return activate(c, c.from_image(y, [batch, filters, *target]), c.get("activation"))


def _kernels(c: Context, count: int) -> list[Any]:
    """The kernels, and the bias or None."""
    use_bias = bool(c.get("use_bias", True))
    arrays = c.weights(count + use_bias)
    return arrays if use_bias else [*arrays, None]


def _depthwise(kernel: Array) -> Array:
    *size, channels, multiplier = kernel.shape
    rank = len(size)
    return kernel.transpose(rank, rank + 1, *range(rank)).reshape(channels * multiplier, 1, *size)


def convolve(
    c: Context,
    blob: str,
    sizes: Sequence[int],
    weights: Array,
    bias: Array | None,
    groups: int,
    pointwise: bool = False,
) -> tuple[str, list[int]]:
    """A convolution of a blob like those of `image`, with weights [filters, channels / groups, *size].

    Strides and padding are those of the layer's configuration. Returns the blob and its sizes N, C, ...
    """
    batch, channels, *extent = sizes
    rank = len(extent)
    if weights.shape[1] * groups != channels:
        raise ValueError(f"the input has {channels} channels, its kernels take {weights.shape[1] * groups}")
    strides = [1] * rank if pointwise else c.sizes("strides", rank)
    dilation = [1] * rank if pointwise else c.sizes("dilation_rate", rank)
    reach = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilation, strict=True)]
    padding = "valid" if pointwise else c.get("padding", "valid")
    pads: Pads | None = [(0, 0)] * rank
    if padding == "same":
        pads, extent = None, [-(-n // s) for n, s in zip(extent, strides, strict=True)]
    elif padding in ("valid", "causal"):
        if padding == "causal":
            pads = [(k - 1, 0) for k in reach]
        spare = [n + sum(p) - k for n, p, k in zip(extent, pads or (), reach, strict=True)]
        if min(spare) < 0:
            raise ValueError(f"kernels of {reach} are larger than the input {list(extent)}")
        extent = [n // s + 1 for n, s in zip(spare, strides, strict=True)]
    else:
        c.refuse(f"padding is {padding!r}; it must be 'valid', 'same' or 'causal'")
    return _write(c, blob, weights, bias, strides, dilation, groups, pads), [batch, weights.shape[0], *extent]


def _write(
    c: Context,
    blob: str,
    weights: Array,
    bias: Array | None,
    strides: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    pads: Pads | None,
    *,
    target: Sequence[int] = (),
    transposed: bool = False,
) -> str:
    """The layer of the network; `pads` is None for SAME, of a transposed convolution what is cropped."""
    rank = weights.ndim - 2
    flags: dict[str, Any] = {"isDeconvolution": True} if transposed else {}
    if bias is not None:
        flags |= {"hasBias": True, "bias": bias}
    if rank == 3:
        fields = _fields_3d(weights, strides, dilation, groups, pads, transposed)
        return str(c.add("convolution3d", blob, **fields, **flags, outputShape=list(target)))
    if rank == 1:
        weights = weights[:, :, None]
        strides, dilation, target = [1, *strides], [1, *dilation], [1, *target] if target else ()
        pads = None if pads is None else [(0, 0), *pads]
    first, second = weights.shape[:2]
    return str(
        c.add(
            "convolution",
            blob,
            outputChannels=second * groups if transposed else first,
            kernelChannels=first if transposed else second,
            nGroups=groups,
            kernelSize=list(weights.shape[2:]),
            stride=list(strides),
            dilationFactor=list(dilation),
            **plane_padding(pads),
            **flags,
            weights=weights,
            outputShape=list(target),
        )
    )


def plane_padding(pads: Pads | None) -> dict[str, Any]:
    """The padding of a layer over height and width; None is SAME."""
    if pads is None:
        return {"same": {"asymmetryMode": "BOTTOM_RIGHT_HEAVY"}}
    return {"valid": {"paddingAmounts": borders(pads)}}


def borders(pads: Pads) -> dict[str, Any]:
    """BorderAmounts of height and width."""
    return {"borderAmounts": [{"startEdgeSize": start, "endEdgeSize": end} for start, end in pads]}


def _fields_3d(
    weights: Array, strides: Sequence[int], dilation: Sequence[int], groups: int, pads: Pads | None, transposed: bool
) -> dict[str, Any]:
    first, second = weights.shape[:2]
    fields: dict[str, Any] = {
        "outputChannels": second * groups if transposed else first,
        "inputChannels": first if transposed else second * groups,
        "nGroups": groups,
        "weights": weights,
        **per_axis("kernel", weights.shape[2:]),
        **per_axis("stride", strides),
        **per_axis("dilation", dilation),
    }
    return fields | padding_3d(pads)


def per_axis(field: str, sizes: Sequence[int]) -> dict[str, int]:
    """The three fields of depth, height and width."""
    return {f"{field}{axis}": int(size) for axis, size in zip(_AXES, sizes, strict=True)}


def padding_3d(pads: Pads | None) -> dict[str, Any]:
    """The padding of a three-dimensional layer; None is SAME."""
    if pads is None:
        return {"paddingType": "SAME"}
    amounts = {
        f"customPadding{end}": n
        for ends, pair in zip(_ENDS, pads, strict=True)
        for end, n in zip(ends, pair, strict=True)
    }
    return {"paddingType": "CUSTOM" if any(amounts.values()) else "VALID", **amounts}


def _dilated(weights: Array, dilation: Sequence[int]) -> Array:
    if all(d == 1 for d in dilation):
        return weights
    reach = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], dilation, strict=True)]
    spread = np.zeros((*weights.shape[:2], *reach), np.float32)
    places: Any = (..., *(slice(None, None, d) for d in dilation))
    spread[places] = weights
    return spread


def _transposed_sizes(c: Context, extent: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> list[int]:
    """The sizes that Keras gives (keras.src.backend.common.backend_utils, compute_conv_transpose_output_shape)."""
    rank = len(extent)
    c.refuse_unless("padding", "valid", "same")
    padding, more = c.get("padding", "valid"), c.get("output_padding")
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, c.sizes("dilation_rate", rank), strict=True)]
    if more is None:
        if padding == "same":
            return [n * s for n, s in zip(extent, strides, strict=True)]
        return [n * s + max(k - s, 0) for n, s, k in zip(extent, strides, reach, strict=True)]
    extra = [int(more)] * rank if isinstance(more, int) else [int(n) for n in more]
    lost = [k // 2 * 2 if padding == "same" else 0 for k in reach]
    return [(n - 1) * s + k - cut + e for n, s, k, cut, e in zip(extent, strides, reach, lost, extra, strict=True)]
