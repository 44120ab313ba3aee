"""Proposals of convolution, pooling, products and normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlexplorer.spec.weight_params import write_floats
from tests.checks import fill
from tests.runtime.random_layers.options import divisors, edges, put_edges, weigh
from tests.runtime.random_networks import Sketch, Unfit, proposes


def put_padding(s: Sketch, params: Any, highest: int) -> list[list[int]]:
    """Valid padding with or without amounts, or same; returns the amounts."""
    kind = s.whole(0, 3)
    if kind == 0:
        params.valid.SetInParent()
    elif kind == 1:
        amounts = edges(s, highest)
        put_edges(params.valid.paddingAmounts, amounts)
        return amounts
    else:
        params.same.asymmetryMode = kind - 2
    return [[0, 0], [0, 0]]


@proposes("convolution")
def convolution(s: Sketch) -> None:
    source = s.image()
    channels, height, width = s.shape(source)[-3:]
    kernel, stride = [s.whole(1, 4), s.whole(1, 5)], [s.whole(1, 3), s.whole(1, 3)]
    dilation = [s.whole(1, 2), s.whole(1, 3)]
    groups = s.one(divisors(channels)) if s.chance(0.4) else 1
    outputs = groups * s.whole(1, 4)
    params = s.layer([source], outputChannels=outputs, kernelChannels=channels // groups, hasBias=s.chance())
    if groups > 1 or s.chance():
        params.nGroups = groups
    if kernel != [3, 3]:
        params.kernelSize.extend(kernel)
    if stride != [1, 1] or s.chance():
        params.stride.extend(stride)
    if dilation != [1, 1] or s.chance():
        params.dilationFactor.extend(dilation)
    amounts = put_padding(s, params, 2)
    if params.WhichOneof("ConvolutionPaddingType") == "valid":
        for n, k, d, pair in zip((height, width), kernel, dilation, amounts, strict=True):
            if n + sum(pair) < (k - 1) * d + 1:
                raise Unfit
    weigh(params, s, "weights", outputs, channels // groups, *kernel)
    if params.hasBias:
        weigh(params, s, "bias", outputs)


@proposes("convolution")
def deconvolution(s: Sketch) -> None:
    source = s.image()
    channels, height, width = s.shape(source)[-3:]
    kernel, stride = [s.whole(1, 4), s.whole(1, 5)], [s.whole(1, 3), s.whole(1, 3)]
    groups = s.one(divisors(channels)) if s.chance(0.4) else 1
    outputs = groups * s.whole(1, 4)
    params = s.layer([source], outputChannels=outputs, kernelChannels=channels, hasBias=s.chance())
    fill(params, {"isDeconvolution": True, "nGroups": groups, "kernelSize": kernel, "stride": stride})
    full = [(n - 1) * t + k for n, t, k in zip((height, width), stride, kernel, strict=True)]
    amounts = put_padding(s, params, 1)
    if params.WhichOneof("ConvolutionPaddingType") == "same" and any(
        n * t > m for n, t, m in zip((height, width), stride, full, strict=True)
    ):
        raise Unfit
    if any(m - sum(pair) < 1 for m, pair in zip(full, amounts, strict=True)):
        raise Unfit
    weigh(params, s, "weights", channels, outputs // groups, *kernel, scale=1 / np.sqrt(channels))
    if params.hasBias:
        weigh(params, s, "bias", outputs)


@proposes("pooling")
def pooling(s: Sketch) -> None:
    source = s.image()
    height, width = s.shape(source)[-2:]
    params = s.layer([source], type=s.whole(0, 2), avgPoolExcludePadding=s.chance(), globalPooling=s.chance(0.2))
    if params.globalPooling:
        params.avgPoolExcludePadding = False
        params.valid.SetInParent()
        return
    kernel, stride = [s.whole(1, 4), s.whole(1, 4)], [s.whole(1, 3), s.whole(1, 3)]
    fill(params, {"kernelSize": kernel, "stride": stride})
    if s.chance(0.3):
        amounts = [s.whole(0, kernel[0] // 2), s.whole(0, kernel[1] // 2)]
        params.includeLastPixel.paddingAmounts.extend(amounts)
        pairs = [[a, a] for a in amounts]
    else:
        pairs = put_padding(s, params, min(kernel) // 2)
    if any(n + sum(pair) < k for n, k, pair in zip((height, width), kernel, pairs, strict=True)):
        raise Unfit


def put_triples(s: Sketch, params: Any, stem: str, low: int, high: int) -> list[int]:
    values = [s.whole(low, high) for _ in range(3)]
    for axis, value in zip(("Depth", "Height", "Width"), values, strict=True):
        setattr(params, stem + axis, value)
    return values


def put_pads3d(s: Sketch, params: Any, highest: int) -> list[list[int]]:
    params.paddingType = s.whole(0, 2)
    amounts = [[0, 0], [0, 0], [0, 0]]
    if params.paddingType == 0:
        for axis, sides in enumerate((("Front", "Back"), ("Top", "Bottom"), ("Left", "Right"))):
            for side, name in enumerate(sides):
                amounts[axis][side] = s.whole(0, highest)
                setattr(params, f"customPadding{name}", amounts[axis][side])
    return amounts


@proposes("convolution3d")
def convolution3d(s: Sketch) -> None:
    source = s.blob(5, 5)
    channels, *lengths = s.shape(source)[1:]
    groups = s.one(divisors(channels)) if s.chance(0.4) else 1
    outputs = groups * s.whole(1, 3)
    params = s.layer([source], outputChannels=outputs, inputChannels=channels, nGroups=groups, hasBias=s.chance())
    kernel = put_triples(s, params, "kernel", 1, 3)
    put_triples(s, params, "stride", 1, 2)
    dilation = put_triples(s, params, "dilation", 1, 2)
    amounts = put_pads3d(s, params, 2)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    if params.paddingType != 2 and any(n + sum(a) < k for n, k, a in zip(lengths, extent, amounts, strict=True)):
        raise Unfit
    weigh(params, s, "weights", outputs, channels // groups, *kernel)
    if params.hasBias:
        weigh(params, s, "bias", outputs)


@proposes("pooling3d")
def pooling3d(s: Sketch) -> None:
    source = s.blob(5, 5)
    params = s.layer([source], type=s.whole(0, 1), countExcludePadding=s.chance())
    kernel = put_triples(s, params, "kernel", 1, 3)
    put_triples(s, params, "stride", 1, 2)
    amounts = put_pads3d(s, params, min(kernel) // 2)
    if params.paddingType != 2 and any(
        n + sum(a) < k for n, k, a in zip(s.shape(source)[-3:], kernel, amounts, strict=True)
    ):
        raise Unfit


@proposes("globalPooling3d")
def global_pooling3d(s: Sketch) -> None:
    s.layer([s.blob(5, 5)], type=s.whole(0, 1))


@proposes("innerProduct")
def inner_product(s: Sketch) -> None:
    source = s.blob(1, 5)
    shape = s.shape(source)
    columns = int(np.prod(shape[-3:])) if len(shape) > 3 else shape[-1]
    rows = s.whole(1, 9)
    params = s.layer([source], inputChannels=columns, outputChannels=rows, hasBias=s.chance())
    weigh(params, s, "weights", rows, columns)
    if params.hasBias:
        weigh(params, s, "bias", rows)


@proposes("batchedMatmul")
def matmul_with_weights(s: Sketch) -> None:
    source = s.blob(2, 5)
    rows, columns = s.shape(source)[-1], s.whole(1, 9)
    params = s.layer([source], weightMatrixFirstDimension=rows, weightMatrixSecondDimension=columns, hasBias=s.chance())
    weigh(params, s, "weights", columns, rows)
    if params.hasBias:
        weigh(params, s, "bias", columns)


@proposes("batchedMatmul")
def matmul(s: Sketch) -> None:
    first = s.blob(1, 5)
    a, left, right = s.shape(first), s.chance(), s.chance()
    inner = a[0] if len(a) == 1 else a[-2] if left else a[-1]
    other = [inner, s.whole(1, 7)]
    if s.chance(0.2):
        other = [inner]
    elif right:
        other = other[::-1]
    if len(other) > 1 and len(a) > 2 and s.chance(0.4):
        other = [*([a[-3]] if s.chance() else [1]), *other]
    name = s.values(s.normal(*other, scale=1 / np.sqrt(inner)))
    s.layer([first, name], transposeA=left and len(a) > 1, transposeB=right and len(other) > 1)


@proposes("embedding")
def embedding(s: Sketch) -> None:
    vocabulary, size = s.whole(2, 12), s.whole(1, 7)
    ids = s.rng.integers(0, vocabulary, (s.whole(1, 5), s.whole(1, 3), 1, 1, 1))
    params = s.layer([s.values(ids)], inputDim=vocabulary, outputChannels=size, hasBias=s.chance())
    weigh(params, s, "weights", size, vocabulary, scale=1.0)
    if params.hasBias:
        weigh(params, s, "bias", size)


@proposes("embeddingND")
def embedding_nd(s: Sketch) -> None:
    vocabulary, size = s.whole(2, 12), s.whole(1, 7)
    ids = s.rng.integers(0, vocabulary, (*s.lengths(s.whole(1, 3)), 1))
    params = s.layer([s.values(ids)], vocabSize=vocabulary, embeddingSize=size, hasBias=s.chance())
    weigh(params, s, "weights", size, vocabulary, scale=1.0)
    if params.hasBias:
        weigh(params, s, "bias", size)


@proposes("batchnorm")
def batchnorm(s: Sketch) -> None:
    source = s.image()
    channels = s.shape(source)[-3]
    computed = s.chance(0.4) and bool(np.prod(s.shape(source)[-2:]) > 1)  # of one pixel nothing but rounding is left
    params = s.layer([source], channels=channels, computeMeanVar=computed, instanceNormalization=computed)
    params.epsilon = s.one((0.0, 1e-3, 0.1))
    for field in ("gamma", "beta", *(() if computed else ("mean",))):
        weigh(params, s, field, channels)
    if not computed:
        write_floats(params.variance, s.rng.uniform(0.3, 2, channels).astype(np.float32))


@proposes("mvn")
def mvn(s: Sketch) -> None:
    source = s.image(lambda x: bool(np.prod(x.shape[-2:]) > 1))
    s.layer([source], acrossChannels=s.chance(), normalizeVariance=s.chance(), epsilon=s.one((0.0, 1e-3, 0.1)))


@proposes("l2normalize")
def l2normalize(s: Sketch) -> None:
    s.layer([s.image()], epsilon=s.one((0.0, 1e-3, 0.1)))


@proposes("lrn")
def lrn(s: Sketch) -> None:
    params = s.layer([s.image()], alpha=s.number(0.1, 2), beta=s.number(0.3, 1.2), localSize=s.one((1, 3, 5, 7)))
    params.k = s.one((0.0, 1.0, 2.5))


@proposes("layerNormalization")
def layer_normalization(s: Sketch) -> None:
    source = s.blob(1, 5)
    shape = s.shape(source)[-s.whole(1, len(s.shape(source))) :]
    params = s.layer([source], normalizedShape=list(shape), eps=s.one((1e-5, 1e-2)))
    weigh(params, s, "gamma", *shape, scale=1.0)
    weigh(params, s, "beta", *shape, scale=1.0)


@proposes("softmax")
def softmax(s: Sketch) -> None:
    s.layer([s.image()])


@proposes("softmaxND")
def softmax_nd(s: Sketch) -> None:
    source = s.blob()
    s.layer([source], axis=s.axis(len(s.shape(source))))
