"""Random tensors, computed by NumPy: a seed from 0 on gives the same values at every run, a negative one never does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Array, Layer, evaluates
from mlexplorer.layers.limits import require_room


@evaluates("randomNormalLike", "randomNormalDynamic")
@evaluates("randomNormalStatic", inputs=0)
def random_normal(layer: Layer, x: Sequence[Array]) -> Sequence[Array]:
    """Normally distributed values of the given mean and stdDev (RandomNormalLikeLayerParams, ...)."""
    params = layer.params
    if params.stdDev < 0:
        raise ModelError(f"stdDev is {params.stdDev}; it must not be negative")
    return (_generator(layer).normal(params.mean, params.stdDev, _shape(layer, x)),)


@evaluates("randomUniformLike", "randomUniformDynamic")
@evaluates("randomUniformStatic", inputs=0)
def random_uniform(layer: Layer, x: Sequence[Array]) -> Sequence[Array]:
    """Values evenly distributed from minVal to maxVal (RandomUniformLikeLayerParams, ...)."""
    params = layer.params
    if params.maxVal < params.minVal:
        raise ModelError(f"maxVal {params.maxVal} is below minVal {params.minVal}")
    return (_generator(layer).uniform(params.minVal, params.maxVal, _shape(layer, x)),)


@evaluates("randomBernoulliLike", "randomBernoulliDynamic")
@evaluates("randomBernoulliStatic", inputs=0)
def random_bernoulli(layer: Layer, x: Sequence[Array]) -> Sequence[Array]:
    """Ones with the probability prob, else zeros (RandomBernoulliLikeLayerParams, ...)."""
    prob = layer.params.prob
    if not 0 <= prob <= 1:
        raise ModelError(f"prob is {prob}; it must be within 0 and 1")
    return (_generator(layer).random(_shape(layer, x)) < prob,)


@evaluates("categoricalDistribution")
def categorical_distribution(layer: Layer, x: Sequence[Array]) -> Sequence[Array]:
    """Draw numSamples indices from each distribution on the last axis (CategoricalDistributionLayerParams).

    The input are logarithms of probabilities (isLogits), or probabilities, to which eps is added (1e-10 where unset);
    the logarithms are divided by the temperature (1 where unset). Neither need be normalized.
    """
    params = layer.params
    if params.numSamples < 1:
        raise ModelError(f"numSamples is {params.numSamples}; it must be at least 1")
    logits = np.asarray(x[0], np.float64)
    require_room([*logits.shape[:-1], params.numSamples])
    with np.errstate(divide="ignore", invalid="ignore"):
        if not params.isLogits:
            logits = np.log(logits + (params.eps or 1e-10))
        logits = logits / (params.temperature or 1.0)
        weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    if not np.isfinite(weights).all():
        raise ModelError("the input holds no distribution: it has negative probabilities, or only infinite logarithms")
    *leading, classes = weights.shape
    thresholds = np.cumsum(weights, axis=-1).reshape(-1, classes)
    draws = _generator(layer).random((len(thresholds), int(params.numSamples))) * thresholds[:, -1:]
    samples = [np.searchsorted(row, drawn, side="right") for row, drawn in zip(thresholds, draws, strict=True)]
    return (np.minimum(samples, classes - 1).reshape(*leading, -1),)


def _generator(layer: Layer) -> np.random.Generator:
    seed = int(layer.params.seed)
    return np.random.default_rng(seed if seed >= 0 else None)


def _shape(layer: Layer, x: Sequence[Array]) -> tuple[int, ...]:
    """The input's shape, the input's values or outputShape, as the type's ending says."""
    if layer.type.endswith("Like"):
        return x[0].shape
    shape: Any = x[0].ravel() if layer.type.endswith("Dynamic") else layer.params.outputShape
    sizes = tuple(int(n) for n in shape)
    if not sizes or min(sizes) < 0:
        raise ModelError(f"{list(sizes)} is no shape")
    require_room(sizes)
    return sizes
