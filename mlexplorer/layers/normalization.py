"""Normalizations: by stored statistics, by those of the input, across neighbouring channels, to a sum of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank, with_rank4


@lowers("batchnorm")
def batchnorm(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Normalize along axis -3: gamma (x - mean) / sqrt(variance + epsilon) + beta (BatchnormLayerParams).

    Mean and variance are stored; or, with computeMeanVar, those of each plane (instanceNormalization) or of the whole
    batch. ONNX BatchNormalization, InstanceNormalization. epsilon is 1e-5 where unset.
    """
    params = layer.params
    require_rank(x[0], 3)
    if x[0].shape[-3] != params.channels:
        raise ModelError(f"an input of {x[0].shape[-3]} channels meets statistics of {params.channels}")
    epsilon = params.epsilon or 1e-5
    if params.computeMeanVar and not params.instanceNormalization:
        leading = range(-len(x[0].shape), -3)
        normal = _standardized(build, x[0], [*leading, -2, -1], epsilon)
        gamma, beta = (build.weight(layer, name, combine=_along_channels) for name in ("gamma", "beta"))
        return build.op("Add", build.op("Mul", normal, gamma), beta)
    gamma, beta = build.weight(layer, "gamma"), build.weight(layer, "beta")
    if params.computeMeanVar:
        return with_rank4(build, x[0], lambda v: build.op("InstanceNormalization", v, gamma, beta, epsilon=epsilon))
    mean, variance = build.weight(layer, "mean"), build.weight(layer, "variance")
    return with_rank4(
        build, x[0], lambda v: build.op("BatchNormalization", v, gamma, beta, mean, variance, epsilon=epsilon)
    )


@lowers("mvn")
def mvn(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """(x - mean) / sqrt(variance + epsilon) over H and W, with acrossChannels over C too.

    MeanVarianceNormalizeLayerParams; only the mean is taken off unless normalizeVariance; epsilon is 1e-6 where unset.
    The format does not say that it stands under the root, but coremltools writes layer_norm as this layer.
    """
    params = layer.params
    require_rank(x[0], 3)
    axes = [-3, -2, -1] if params.acrossChannels else [-2, -1]
    if not params.normalizeVariance:
        return _centred(build, x[0], axes)
    return _standardized(build, x[0], axes, params.epsilon or 1e-6)


@lowers("l2normalize")
def l2normalize(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Divide by sqrt(sum of squares over C, H and W + epsilon) (L2NormalizeLayerParams).

    epsilon is 1e-6 where unset.
    """
    require_rank(x[0], 3)
    squares = build.op("ReduceSumSquare", x[0], [-3, -2, -1], keepdims=1)
    norm = build.op("Sqrt", build.op("Add", squares, layer.params.epsilon or 1e-6))
    return build.op("Div", x[0], norm)


@lowers("lrn")
def lrn(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Divide by (k + alpha / localSize * sum of squares over localSize channels)^beta (LRNLayerParams; ONNX LRN).

    k is 1 where unset. An even localSize has one more channel before its own than after it, as Metal's
    MPSCNNCrossChannelNormalization, and PyTorch's LocalResponseNorm; onnxruntime's LRN takes odd ones only.
    """
    params = layer.params
    require_rank(x[0], 3)
    size, alpha, k = int(params.localSize), float(params.alpha), float(params.k) or 1.0
    if size < 1:
        raise ModelError("localSize is 0; it must be at least 1")
    if k < 0:
        raise ModelError(f"k is {k}; it must be positive")
    every = 2 * x[0].shape[-3] + 1
    if size > every:  # a window over all channels, however many more it has room for
        size, alpha = every, alpha / size * every
    if size % 2 == 0:
        means = with_rank4(build, build.op("Mul", x[0], x[0]), lambda v: _means_over_channels(build, v, size))
        scale = build.op("Add", build.op("Mul", means, alpha), k)
        return build.op("Div", x[0], build.op("Pow", scale, params.beta))
    attributes = {"alpha": alpha, "beta": params.beta, "bias": k, "size": size}
    return with_rank4(build, x[0], lambda v: build.op("LRN", v, **attributes))


def _means_over_channels(build: Builder, x: Tensor, size: int) -> Any:
    """Means over windows along the channels of [N, C, H, W], channels that do not exist counted as zeros."""
    batch, channels, height, width = x.shape
    planes = build.reshape(x, [batch, 1, channels, height * width])
    before = build.op("Pad", planes, [0, 0, size // 2, 0, 0, 0, (size - 1) // 2, 0])
    return build.reshape(build.op("AveragePool", before, kernel_shape=[size, 1]), x.shape)


@lowers("layerNormalization")
def layer_normalization(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Normalize over the last axes: gamma (x - mean) / sqrt(variance + eps) + beta.

    Those axes have the shape normalizedShape, as have gamma and beta (LayerNormalizationLayerParams; ONNX
    LayerNormalization).
    """
    shape = tuple(int(n) for n in layer.params.normalizedShape)
    if not shape or x[0].shape[-len(shape) :] != shape:
        raise ModelError(f"an input of shape {list(x[0].shape)} does not end with normalizedShape {list(shape)}")
    gamma, beta = (build.weight(layer, name, combine=lambda w: w.reshape(shape)) for name in ("gamma", "beta"))
    return build.op("LayerNormalization", x[0], gamma, beta, axis=-len(shape), epsilon=layer.params.eps)


@lowers("softmax")
def softmax(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The exponentials over their sum, along axis -3 (SoftmaxLayerParams; ONNX Softmax)."""
    require_rank(x[0], 3)
    return build.op("Softmax", x[0], axis=-3)


@lowers("softmaxND")
def softmax_nd(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The exponentials over their sum, along any axis (SoftmaxNDLayerParams; ONNX Softmax)."""
    return build.op("Softmax", x[0], axis=layer.params.axis)


def _along_channels(weight: Any) -> Any:
    return weight.reshape(-1, 1, 1)


def _centred(build: Builder, x: Tensor, axes: list[int]) -> Any:
    return build.op("Sub", x, build.op("ReduceMean", x, axes, keepdims=1))


def _standardized(build: Builder, x: Tensor, axes: list[int], epsilon: float) -> Any:
    centred = _centred(build, x, axes)
    variance = build.op("ReduceMean", build.op("Mul", centred, centred), axes, keepdims=1)
    deviation = build.op("Sqrt", build.op("Add", variance, epsilon))
    return build.op("Div", centred, deviation)
