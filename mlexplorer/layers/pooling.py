"""Pooling in two and three dimensions, and over whole planes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank, with_rank, with_rank4
from mlexplorer.layers.window import Pads, border_pads, check_fits, onnx_pads, pads3d, same_pads, sizes, sizes3d


@lowers("pooling")
def pooling(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., C, H, W] to [..., C, H', W']: MAX, AVERAGE or L2, the root of the sum of squares (PoolingLayerParams).

    ONNX MaxPool and AveragePool; onnxruntime's LpPool treats paddings wrongly. MAX ignores the padding, AVERAGE counts
    it as zeros unless avgPoolExcludePadding, L2 counts it as zeros.
    """
    params = layer.params
    require_rank(x[0], 3)
    if params.globalPooling:
        return _over_planes(build, params, x[0])
    kernel, stride = sizes(params, "kernelSize", 3), sizes(params, "stride", 1)
    extent = x[0].shape[-2:]
    padding = params.WhichOneof("PoolingPaddingType")
    if padding == "same":
        pads = same_pads(extent, kernel, stride, params.same.asymmetryMode == params.same.TOP_LEFT_HEAVY)
    elif padding == "includeLastPixel":
        pads = _include_last_pixel(params.includeLastPixel, extent, kernel, stride)
    else:
        pads = border_pads(params.valid)
    if params.type != params.L2:
        exclude = params.avgPoolExcludePadding
        return with_rank4(
            build, x[0], lambda v: _pool(build, v, params.type == params.MAX, kernel, stride, pads, exclude)
        )
    squares = build.op("Mul", x[0], x[0])
    means = with_rank4(build, squares, lambda v: _pool(build, v, False, kernel, stride, pads, False))
    return build.op("Sqrt", build.op("Mul", means, float(prod(kernel))))


@lowers("pooling3d")
def pooling3d(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., C, D, H, W] to [..., C, D', H', W']: MAX or AVERAGE (Pooling3DLayerParams; ONNX MaxPool, AveragePool)."""
    params = layer.params
    require_rank(x[0], 4)
    kernel, stride = sizes3d(params, "kernel"), sizes3d(params, "stride", 1)
    pads = pads3d(params, x[0].shape[-3:], kernel, stride)
    exclude, maximum = params.countExcludePadding, params.type == params.MAX
    return with_rank(build, x[0], 5, lambda v: _pool(build, v, maximum, kernel, stride, pads, exclude))


@lowers("globalPooling3d")
def global_pooling3d(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., D, H, W] to [..., 1, 1, 1]: MAX or AVERAGE (GlobalPooling3DLayerParams)."""
    require_rank(x[0], 4)
    maximum = layer.params.type == layer.params.MAX
    return build.op("ReduceMax" if maximum else "ReduceMean", x[0], [-3, -2, -1], keepdims=1)


def _over_planes(build: Builder, params: Any, x: Tensor) -> Any:
    operator = {params.MAX: "GlobalMaxPool", params.AVERAGE: "GlobalAveragePool"}.get(params.type)
    if operator is None:
        return build.op("ReduceL2", x, [-2, -1], keepdims=1)
    return with_rank4(build, x, lambda v: build.op(operator, v))


def _pool(
    build: Builder, x: Tensor, maximum: bool, kernel: list[int], stride: list[int], pads: Pads, exclude_padding: bool
) -> Any:
    check_fits(x.shape[2:], kernel, pads)
    if any(max(pair) >= k for pair, k in zip(pads, kernel, strict=True)):
        raise ModelError(f"paddings of {pads} are not smaller than the window of {kernel}")
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride, "pads": onnx_pads(pads)}
    if maximum:
        return build.op("MaxPool", x, **attributes)
    return build.op("AveragePool", x, count_include_pad=0 if exclude_padding else 1, **attributes)


def _include_last_pixel(padding: Any, extent: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> Pads:
    """The padding of ValidCompletePadding: windows until every element is in one.

    As many as ceil((extent + 2 amount - kernel) / stride) + 1, less the last one where it lies in the padding alone.
    """
    amounts = [int(n) for n in padding.paddingAmounts] or [0, 0]
    if len(amounts) != 2:
        raise ModelError(f"paddingAmounts has {len(amounts)} entries; it must have one for height and one for width")
    pads = []
    for n, k, s, amount in zip(extent, kernel, stride, amounts, strict=True):
        last = -(-(n + 2 * amount - k) // s) * s
        if any(amounts) and last >= n + amount:
            last -= s
        pads.append((amount, max(0, last + k - n - amount)))
    return pads
