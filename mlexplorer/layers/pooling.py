"""Pooling in two and three dimensions, and over whole planes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from mlexplorer.errors import ModelError
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank, with_rank, with_rank4
from mlexplorer.layers.window import Pads, border_pads, check_fits, onnx_pads, pads3d, same_pads, sizes, sizes3d


@lowers("pooling")
def pooling(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., C, H, W] to [..., C, H', W']: MAX, AVERAGE or L2, the root of the sum of squares (PoolingLayerParams).

    ONNX MaxPool and AveragePool; onnxruntime's LpPool treats paddings wrongly. MAX ignores the padding, AVERAGE counts
    it as zeros unless avgPoolExcludePadding, L2 counts it as zeros. What includeLastPixel adds beyond paddingAmounts
    counts too, unlike in Caffe and PyTorch: apple/coremltools issue 2772 tells what a device computes. A window of MAX,
    or of an AVERAGE that counts no padding, that lies in the padding alone is refused with ModelError.
    """
    params, type = layer.params, enum_name(layer.params, "type")
    require_rank(x[0], 3)
    if params.globalPooling:
        return _over_planes(build, type, x[0])
    kernel, stride = sizes(params, "kernelSize", 3), sizes(params, "stride", 1)
    extent = x[0].shape[-2:]
    padding = params.WhichOneof("PoolingPaddingType")
    if padding == "same":
        pads = same_pads(extent, kernel, stride, enum_name(params.same, "asymmetryMode") == "TOP_LEFT_HEAVY")
    elif padding == "includeLastPixel":
        pads = _include_last_pixel(params.includeLastPixel, extent, kernel, stride)
    else:
        pads = border_pads(params.valid)
    if type == "MAX":
        return with_rank4(build, x[0], lambda v: _max_pool(build, v, kernel, stride, pads))
    if type == "AVERAGE":
        exclude = params.avgPoolExcludePadding
        return with_rank4(build, x[0], lambda v: _average_pool(build, v, kernel, stride, pads, exclude))
    squares = build.op("Mul", x[0], x[0])
    means = with_rank4(build, squares, lambda v: _average_pool(build, v, kernel, stride, pads, False))
    return build.op("Sqrt", build.op("Mul", means, float(prod(kernel))))


@lowers("pooling3d")
def pooling3d(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., C, D, H, W] to [..., C, D', H', W']: MAX or AVERAGE (Pooling3DLayerParams; ONNX MaxPool, AveragePool)."""
    params, type = layer.params, enum_name(layer.params, "type")
    require_rank(x[0], 4)
    kernel, stride = sizes3d(params, "kernel"), sizes3d(params, "stride", 1)
    pads = pads3d(params, x[0].shape[-3:], kernel, stride)
    if type == "MAX":
        return with_rank(build, x[0], 5, lambda v: _max_pool(build, v, kernel, stride, pads))
    exclude = params.countExcludePadding
    return with_rank(build, x[0], 5, lambda v: _average_pool(build, v, kernel, stride, pads, exclude))


@lowers("globalPooling3d")
def global_pooling3d(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., D, H, W] to [..., 1, 1, 1]: MAX or AVERAGE (GlobalPooling3DLayerParams)."""
    require_rank(x[0], 4)
    maximum = enum_name(layer.params, "type") == "MAX"
    return build.op("ReduceMax" if maximum else "ReduceMean", x[0], [-3, -2, -1], keepdims=1)


def _over_planes(build: Builder, type: str, x: Tensor) -> Any:
    if type == "L2":
        return build.op("ReduceL2", x, [-2, -1], keepdims=1)
    operator = "GlobalMaxPool" if type == "MAX" else "GlobalAveragePool"
    return with_rank4(build, x, lambda v: build.op(operator, v))


def _max_pool(build: Builder, x: Tensor, kernel: list[int], stride: list[int], pads: Pads) -> Any:
    pads = _used_pads(x, kernel, stride, pads)
    _require_elements(kernel, pads)
    return build.op("MaxPool", x, kernel_shape=kernel, strides=stride, pads=onnx_pads(pads))


def _average_pool(
    build: Builder, x: Tensor, kernel: list[int], stride: list[int], pads: Pads, exclude_padding: bool
) -> Any:
    pads = _used_pads(x, kernel, stride, pads)
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": stride}
    if exclude_padding:
        _require_elements(kernel, pads)
    elif _wide(kernel, pads):
        return build.op("AveragePool", build.op("Pad", x, onnx_pads([(0, 0), (0, 0), *pads])), **attributes)
    return build.op("AveragePool", x, count_include_pad=int(not exclude_padding), pads=onnx_pads(pads), **attributes)


def _used_pads(x: Tensor, kernel: Sequence[int], stride: Sequence[int], pads: Pads) -> Pads:
    """The padding without what lies beyond the last window. Raises ModelError where not even one fits."""
    check_fits(x.shape[2:], kernel, pads)
    used = []
    for n, k, s, (start, end) in zip(x.shape[2:], kernel, stride, pads, strict=True):
        last = (n + start + end - k) // s * s
        used.append((start, max(0, last + k - n - start)))
    return used


def _wide(kernel: Sequence[int], pads: Pads) -> bool:
    """Whether a window lies in the padding alone, which neither ONNX allows nor a maximum makes sense of."""
    return any(max(pair) >= k for pair, k in zip(pads, kernel, strict=True))


def _require_elements(kernel: Sequence[int], pads: Pads) -> None:
    if _wide(kernel, pads):
        raise ModelError(f"with paddings of {pads}, a window of {list(kernel)} lies in the padding alone")


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
