"""Bayesian probit regression against the normal distribution of scipy; draws against their distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.checks import fill

# feature -> value -> (mean, precision)
WEIGHTS: dict[int, dict[int, tuple[float, float]]] = {
    0: {0: (-0.3, 4.0), 1: (0.8, 2.0)},
    1: {7: (0.25, 10.0)},
    2: {0: (1.5, 0.5), 3: (-2.0, 8.0), 4_000_000_000: (0.1, 1.0)},
}
BIAS = (0.2, 16.0)
FIELDS = {
    "regressionInputFeatureName": "x",
    "optimismInputFeatureName": "optimism",
    "samplingScaleInputFeatureName": "scale",
    "samplingTruncationInputFeatureName": "truncation",
    "meanOutputFeatureName": "mean",
    "varianceOutputFeatureName": "variance",
    "pessimisticProbabilityOutputFeatureName": "pessimistic",
    "sampledProbabilityOutputFeatureName": "sampled",
}


def regressor() -> Any:
    model = spec.Model(specificationVersion=4)
    features = [
        {
            "featureId": feature,
            "weights": [
                {"featureValue": value, "featureWeight": {"mean": mean, "precision": precision}}
                for value, (mean, precision) in weights.items()
            ],
        }
        for feature, weights in WEIGHTS.items()
    ]
    bias = {"mean": BIAS[0], "precision": BIAS[1]}
    fill(model.bayesianProbitRegressor, {**FIELDS, "numberOfFeatures": 3, "bias": bias, "features": features})
    model.description.input.add(name="x").type.multiArrayType.dataType = 65600
    for name in ("optimism", "scale", "truncation"):
        feature = model.description.input.add(name=name)
        feature.type.doubleType.SetInParent()
        feature.type.isOptional = True
    for name in ("mean", "variance", "pessimistic", "sampled", "probability"):
        model.description.output.add(name=name).type.doubleType.SetInParent()
    model.description.predictedFeatureName = "probability"
    return model


def moments(pairs: list[tuple[int, int]]) -> tuple[float, float]:
    terms = [BIAS, *(WEIGHTS[feature][value] for feature, value in pairs)]
    return sum(mean for mean, _ in terms), sum(1 / precision for _, precision in terms)


@pytest.mark.parametrize(
    ("x", "pairs"),
    [
        ([1, 7, 3], [(0, 1), (1, 7), (2, 3)]),
        ([0, 7, 4_000_000_000], [(0, 0), (1, 7), (2, 4_000_000_000)]),
        ([[2, 0], [0, 1]], [(0, 1), (2, 0)]),
        (np.zeros((0, 2)), []),
    ],
)
@pytest.mark.parametrize("optimism", [None, 0.0, -1.5, 2.0])
def test_moments_and_probabilities(x: Any, pairs: list[tuple[int, int]], optimism: float | None) -> None:
    mean, variance = moments(pairs)
    feeds = {"x": np.array(x), **({} if optimism is None else {"optimism": optimism})}
    result = mle.predict(mle.load(regressor()), feeds)
    shifted = mean + (optimism or 0.0) * np.sqrt(variance)
    assert result["mean"] == pytest.approx(mean)
    assert result["variance"] == pytest.approx(variance)
    assert result["probability"] == pytest.approx(stats.norm.cdf(mean / np.sqrt(1 + variance)))
    assert result["pessimistic"] == pytest.approx(stats.norm.cdf(shifted / np.sqrt(1 + variance)))


def test_the_probability_is_the_mean_over_the_weights() -> None:
    """Integrating the link function over the regression's distribution gives the same number."""
    mean, variance = moments([(0, 1), (1, 7), (2, 0)])
    points, weights = np.polynomial.hermite_e.hermegauss(60)
    integral = (weights * stats.norm.cdf(mean + np.sqrt(variance) * points)).sum() / weights.sum()
    assert mle.predict(mle.load(regressor()), {"x": np.array([1, 7, 0])})["probability"] == pytest.approx(integral)


@pytest.mark.parametrize(("scale", "truncation"), [(None, None), (0.5, None), (2.0, 1.5), (1.0, 0.4), (1.0, 1.0)])
def test_draws_have_the_stated_distribution(scale: float | None, truncation: float | None) -> None:
    mean, variance = moments([(0, 1), (1, 7), (2, 3)])
    feeds: dict[str, Any] = {"x": np.array([1, 7, 3])}
    feeds.update({"scale": scale} if scale is not None else {})
    feeds.update({"truncation": truncation} if truncation is not None else {})
    predictor = mle.Predictor(mle.load(regressor()))
    drawn = np.array([result["sampled"] for result in predictor.predict([feeds] * 3000)])
    deviation = (1.0 if scale is None else scale) * np.sqrt(variance)
    standard = (stats.norm.ppf(drawn) - mean) / deviation
    bound = np.inf if truncation is None else truncation
    assert np.abs(standard).max() <= bound * (1 + 1e-9)
    assert len(np.unique(standard)) == len(standard)
    # chance of a false alarm: 1 in a million
    assert stats.kstest(standard, stats.truncnorm(-bound, bound).cdf).pvalue > 1e-6


def test_no_scale_or_no_room_leaves_the_mean() -> None:
    mean, _ = moments([(0, 1), (1, 7), (2, 3)])
    for given in ({"scale": 0.0}, {"truncation": 0.0}):
        result = mle.predict(mle.load(regressor()), {"x": np.array([1, 7, 3]), **given})
        assert result["sampled"] == pytest.approx(stats.norm.cdf(mean))


def test_without_a_bias_and_with_one_output() -> None:
    model = regressor()
    model.bayesianProbitRegressor.ClearField("bias")
    for field in list(FIELDS)[5:]:
        setattr(model.bayesianProbitRegressor, field, "")
    del model.description.output[1:]
    model.description.predictedFeatureName = ""
    result = mle.predict(mle.load(model), {"x": np.array([[1, 7]])})
    assert result == {"mean": 0.25}


def broken(change: Any, message: str) -> Any:
    return pytest.param(change, message, id=message[:40])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        broken(lambda m: setattr(m.bias, "precision", 0), "bias has the precision 0.0"),
        broken(
            lambda m: setattr(m.features[1].weights[0].featureWeight, "precision", -1),
            "the weight of value 7 of feature 1 has the precision -1.0",
        ),
        broken(lambda m: setattr(m.features[1], "featureId", 0), "features has the featureId 0"),
        broken(lambda m: setattr(m, "numberOfFeatures", 2), "featureId 2; .* below numberOfFeatures, which is 2"),
        broken(lambda m: m.features[0].weights.add(featureValue=1), "feature 0 has two weights for the value 1"),
        broken(lambda m: setattr(m, "regressionInputFeatureName", ""), "regressionInputFeatureName is ''"),
        broken(lambda m: setattr(m, "optimismInputFeatureName", "x"), "'x'; it must name a double"),
        broken(lambda m: setattr(m, "meanOutputFeatureName", "y"), "meanOutputFeatureName is 'y'"),
    ],
)
def test_contradictions_are_named_when_the_model_is_prepared(change: Any, message: str) -> None:
    model = regressor()
    change(model.bayesianProbitRegressor)
    with pytest.raises(ModelError, match=message):
        mle.Predictor(mle.load(model))


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"x": np.array([1, 7])}, r"input 'x' has the shape \[2\]; it takes 3 values"),
        ({"x": np.array([1, 8, 3])}, "no weight for the value 8 of feature 1; it has those of 7"),
        ({"x": np.array([[5, 0]])}, "no weight for the value 0 of feature 5; it has those of none"),
        ({"x": np.array([[1, 7], [1, 7]])}, "has a feature twice"),
        ({"x": np.array([1, 7.5, 3])}, "which are whole numbers"),
        ({"x": np.array([1, np.nan, 3])}, "which are whole numbers"),
        ({"scale": -1.0}, "input 'scale' is -1.0; it must be a number of 0 or more"),
        ({"scale": np.inf}, "input 'scale' is inf"),
        ({"truncation": -0.1}, "input 'truncation' is -0.1"),
        ({"optimism": np.nan}, "input 'optimism' is nan; it must be a number$"),
    ],
)
def test_inputs_that_do_not_fit(feeds: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mle.predict(mle.load(regressor()), {"x": np.array([1, 7, 3]), **feeds})
