"""Probit regression whose weights are normal distributions."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Model
from mlexplorer.runtime.model_type import Values, evaluates

_NORMAL = NormalDist()
_Weights = dict[int, dict[int, tuple[float, float]]]


@evaluates("bayesianProbitRegressor")
def bayesian_probit_regressor(model: Model) -> Callable[[Values], Values]:
    """The probability of a positive outcome, with the uncertainty of the weights (BayesianProbitRegressor).

    The regression before the link function is normal: its mean and variance are the sums of those of the bias and of
    the weight of each feature's value. With Phi the normal distribution function and a noise of variance 1, which the
    format does not store, the probability is Phi(mean / sqrt(1 + variance)). The pessimistic probability has the mean
    shifted by `optimism` (0) standard deviations. The sampled one is Phi of a regression that is drawn anew in each
    prediction, from a generator that nothing seeds: its standard deviation is multiplied by `samplingScale` (1), and it
    stays within `samplingTruncation` (no bound) of these standard deviations of the mean.

    The input is a vector with a value for each feature, or a matrix with rows of feature and value.
    Source: the comments of the format; Graepel and others, "Web-Scale Bayesian Click-Through Rate Prediction" (2010).
    """
    message = model.spec.bayesianProbitRegressor
    bias = _gaussian("bias", message.bias) if message.HasField("bias") else (0.0, 0.0)
    weights = _weights(message)
    _check_features(model, message)
    generator = np.random.default_rng()

    def evaluate(values: Values) -> Values:
        optimism = _option(message.optimismInputFeatureName, values, 0.0)
        scale = _option(message.samplingScaleInputFeatureName, values, 1.0, 0.0)
        truncation = _option(message.samplingTruncationInputFeatureName, values, math.inf, 0.0)
        pairs = _pairs(message, values[message.regressionInputFeatureName])
        terms = [bias, *(_weight(weights, feature, value) for feature, value in pairs)]
        mean, variance = (math.fsum(part) for part in zip(*terms, strict=True))
        deviation = math.sqrt(variance)
        spread = math.sqrt(1 + variance)
        result: Values = {
            message.meanOutputFeatureName: mean,
            message.varianceOutputFeatureName: variance,
            message.pessimisticProbabilityOutputFeatureName: _NORMAL.cdf((mean + optimism * deviation) / spread),
            message.sampledProbabilityOutputFeatureName: _NORMAL.cdf(
                mean + scale * deviation * _draw(generator, truncation)
            ),
            model.spec.description.predictedFeatureName: _NORMAL.cdf(mean / spread),
        }
        result.pop("", None)
        return result

    return evaluate


def _draw(generator: np.random.Generator, truncation: float) -> float:
    """A number of the standard normal distribution, cut off at +-truncation."""
    if truncation < 1:
        lowest = _NORMAL.cdf(-truncation)
        return _NORMAL.inv_cdf(generator.uniform(lowest, 1 - lowest))
    while abs(number := float(generator.standard_normal())) > truncation:
        pass
    return number


def _weights(message: Any) -> _Weights:
    """Mean and variance of the weight of each value of each feature."""
    weights: _Weights = {}
    for feature in message.features:
        if feature.featureId in weights or feature.featureId >= message.numberOfFeatures:
            raise ModelError(
                f"features has the featureId {feature.featureId}; they must be different and below numberOfFeatures, "
                f"which is {message.numberOfFeatures}"
            )
        values = weights[feature.featureId] = {}
        for weight in feature.weights:
            if weight.featureValue in values:
                raise ModelError(f"feature {feature.featureId} has two weights for the value {weight.featureValue}")
            name = f"the weight of value {weight.featureValue} of feature {feature.featureId}"
            values[weight.featureValue] = _gaussian(name, weight.featureWeight)
    return weights


def _gaussian(name: str, gaussian: Any) -> tuple[float, float]:
    """Mean and variance."""
    if not gaussian.precision > 0:
        raise ModelError(f"{name} has the precision {gaussian.precision}; it must be above 0")
    return gaussian.mean, 1 / gaussian.precision


def _check_features(model: Model, message: Any) -> None:
    for field, descriptor in message.DESCRIPTOR.fields_by_name.items():
        if not field.endswith("FeatureName"):
            continue
        name, required = getattr(message, field), "multiArray" if field.startswith("regression") else "double"
        features = model.inputs if "Input" in field else model.outputs
        found = next((feature for feature in features if feature.name == name), None)
        if (name or descriptor.number == 10) and (found is None or found.type != required):
            raise ModelError(f"{field} is {name!r}; it must name a {required} of the model's description")


def _pairs(message: Any, value: Any) -> list[tuple[int, int]]:
    """The values of the features, as pairs of feature and value."""
    name, array = message.regressionInputFeatureName, np.asarray(value)
    if (array != np.trunc(array)).any() or not np.isfinite(array).all():
        raise InputError(f"input {name!r} takes values of features, which are whole numbers")
    rows = array.astype(np.int64).tolist()
    if array.ndim == 2 and array.shape[1] == 2:
        pairs = [(feature, number) for feature, number in rows]
        if len({feature for feature, _ in pairs}) != len(pairs):
            raise InputError(f"input {name!r} has a feature twice")
        return pairs
    if array.shape != (message.numberOfFeatures,):
        raise InputError(
            f"input {name!r} has the shape {list(array.shape)}; it takes {message.numberOfFeatures} values, one for "
            "each feature, or rows of feature and value"
        )
    return list(enumerate(rows))


def _weight(weights: _Weights, feature: int, value: int) -> tuple[float, float]:
    known = weights.get(feature, {})
    if value not in known:
        listed = ", ".join(map(str, list(known)[:10])) or "none"
        raise InputError(
            f"the model has no weight for the value {value} of feature {feature}; it has those of {listed}"
        )
    return known[value]


def _option(name: str, values: Values, default: float, least: float = -math.inf) -> float:
    number = float(values.get(name, default))
    if not number >= least or (math.isinf(number) and number != default):
        raise InputError(f"input {name!r} is {number}; it must be a number" + (" of 0 or more" if least == 0 else ""))
    return number
