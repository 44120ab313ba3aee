"""Normalization."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from tests.runtime.interpreter.core import Array, floats, layer, per_channel


@layer("batchnorm")
def batchnorm(p: Any, x: list[Array]) -> Any:
    gamma, beta = per_channel(floats(p.gamma)), per_channel(floats(p.beta))
    if len(gamma) != x[0].shape[-3]:
        raise ValueError("statistics for another number of channels")
    epsilon = p.epsilon or 1e-5
    if p.computeMeanVar:
        axes = (-2, -1) if p.instanceNormalization else tuple(a for a in range(x[0].ndim) if a != x[0].ndim - 3)
        mean, variance = x[0].mean(axes, keepdims=True), x[0].var(axes, keepdims=True)
    else:
        mean, variance = per_channel(floats(p.mean)), per_channel(floats(p.variance))
    return gamma * (x[0] - mean) / np.sqrt(variance + epsilon) + beta


@layer("mvn")
def mvn(p: Any, x: list[Array]) -> Any:
    axes = (-3, -2, -1) if p.acrossChannels else (-2, -1)
    y = x[0] - x[0].mean(axes, keepdims=True)
    return y / np.sqrt(x[0].var(axes, keepdims=True) + (p.epsilon or 1e-6)) if p.normalizeVariance else y


@layer("l2normalize")
def l2normalize(p: Any, x: list[Array]) -> Any:
    return x[0] / np.sqrt((x[0] ** 2).sum((-3, -2, -1), keepdims=True) + (p.epsilon or 1e-6))


@layer("lrn")
def lrn(p: Any, x: list[Array]) -> Any:
    total = np.zeros_like(x[0])
    reach, channels = (p.localSize - 1) // 2, x[0].shape[-3]
    for c in range(channels):
        near = x[0][..., max(0, c - reach) : c + reach + 1, :, :]
        total[..., c, :, :] = (near**2).sum(-3)
    return x[0] / ((p.k or 1) + p.alpha / p.localSize * total) ** p.beta


@layer("layerNormalization")
def layer_normalization(p: Any, x: list[Array]) -> Any:
    shape = list(p.normalizedShape)
    axes = tuple(range(-len(shape), 0))
    y = (x[0] - x[0].mean(axes, keepdims=True)) / np.sqrt(x[0].var(axes, keepdims=True) + p.eps)
    return y * floats(p.gamma).reshape(shape) + floats(p.beta).reshape(shape)


@layer("softmax")
def softmax(p: Any, x: list[Array]) -> Any:
    return special.softmax(x[0], -3)


@layer("softmaxND")
def softmax_nd(p: Any, x: list[Array]) -> Any:
    return special.softmax(x[0], p.axis)
