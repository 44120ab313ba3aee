"""Convolutions and deconvolutions (transposed convolutions) in two and three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlexplorer.errors import ModelError
from mlexplorer.layers.blocks import convolve_blocks
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank, with_rank, with_rank4
from mlexplorer.layers.window import (
    Pads,
    border_pads,
    check_fits,
    dilated,
    halves,
    onnx_pads,
    pads3d,
    same_pads,
    sizes,
    sizes3d,
)


@lowers("convolution", inputs=(1, 2))
def convolution(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., C, H, W] to [..., outputChannels, H', W'] (ConvolutionLayerParams; ONNX Conv, ConvTranspose).

    Weights are [outputChannels, C / nGroups, h, w], of a deconvolution [C, outputChannels / nGroups, h, w]; they may
    come as a second input. A deconvolution is dilated, too, as coremltools' tests expect,
    though the documentation says that it ignores dilationFactor.
    """
    params = layer.params
    require_rank(x[0], 3)
    if len(x) > 1:
        require_rank(x[1], 4)
        weights = build.reshape(x[1], x[1].shape[-4:])
    else:
        weights = build.weight(layer, "weights")
    stride = sizes(params, "stride", 1)
    dilation = sizes(params, "dilationFactor", 1)
    kernel = dilated(weights.shape[2:], dilation)
    extent = x[0].shape[-2:]
    same = params.WhichOneof("ConvolutionPaddingType") == "same"
    top_left_heavy = enum_name(params.same, "asymmetryMode") == "TOP_LEFT_HEAVY"
    target = [int(n) for n in params.outputShape] if params.isDeconvolution else []
    if params.isDeconvolution and same and not target:
        target = [n * s for n, s in zip(extent, stride, strict=True)]
    if target:
        pads = _cropped_to(target, extent, kernel, stride, top_left_heavy)
    elif same:
        pads = same_pads(extent, kernel, stride, top_left_heavy)
    else:
        pads = border_pads(params.valid)
    return with_rank4(build, x[0], lambda v: _convolve(build, layer, v, weights, stride, dilation, pads))


@lowers("convolution3d")
def convolution3d(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., C, D, H, W] to [..., outputChannels, D', H', W'] (Convolution3DLayerParams; ONNX Conv, ConvTranspose)."""
    params = layer.params
    require_rank(x[0], 4)
    weights = build.weight(layer, "weights")
    stride, dilation = sizes3d(params, "stride", 1), sizes3d(params, "dilation", 1)
    kernel = dilated(weights.shape[2:], dilation)
    extent = x[0].shape[-3:]
    target = [int(n) for n in params.outputShape] if params.isDeconvolution else []
    if params.isDeconvolution and params.paddingType == params.SAME and not target:
        target = [n * s for n, s in zip(extent, stride, strict=True)]
    pads = _cropped_to(target, extent, kernel, stride) if target else pads3d(params, extent, kernel, stride)
    return with_rank(build, x[0], 5, lambda v: _convolve(build, layer, v, weights, stride, dilation, pads))


def _convolve(
    build: Builder, layer: Layer, x: Tensor, weights: Tensor, stride: list[int], dilation: list[int], pads: Pads
) -> Any:
    params = layer.params
    groups = int(params.nGroups) or 1
    bias = build.weight(layer, "bias") if params.hasBias else None
    attributes: dict[str, Any] = {"strides": stride, "dilations": dilation, "group": groups}
    channels = weights.shape[0] if params.isDeconvolution else weights.shape[1] * groups
    if x.shape[1] != channels:
        raise ModelError(f"an input of {x.shape[1]} channels meets weights for {channels}")
    if not params.isDeconvolution:
        check_fits(x.shape[2:], dilated(weights.shape[2:], dilation), pads)
        if len(layer.inputs) == 1 and groups == 1 and stride == dilation == [1, 1]:
            y = convolve_blocks(build, layer, x, weights, pads)
            if y is not None:
                return y
        return build.op("Conv", x, weights, bias, pads=onnx_pads(pads), **attributes)
    missing = [max(0, -end) for _, end in pads]
    if any(missing):
        attributes["output_padding"] = missing
    pads = [(start, max(0, end)) for start, end in pads]
    return build.op("ConvTranspose", x, weights, bias, pads=onnx_pads(pads), **attributes)


def _cropped_to(
    target: Sequence[int],
    extent: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    top_left_heavy: bool = False,
) -> Pads:
    """What a deconvolution must lose at each edge to have the size `target`; a negative end is what it lacks."""
    if len(target) != len(extent):
        raise ModelError(f"outputShape has {len(target)} entries; it must have {len(extent)}")
    full = [(n - 1) * s + k for n, s, k in zip(extent, stride, kernel, strict=True)]
    surplus = [f - t for f, t in zip(full, target, strict=True)]
    if any(n <= -s for n, s in zip(surplus, stride, strict=True)):
        raise ModelError(
            f"outputShape is {list(target)}, but the kernels cover {full} and strides of {list(stride)} add less"
        )
    return [halves(n, top_left_heavy) if n > 0 else (0, n) for n in surplus]
