"""The distance of classifiers, against the scores that NumPy computes from the weights."""

from __future__ import annotations

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.measurement import Reference
from tests.layers.arrays import normal
from tests.runtime.models.specifications import specification

LABELS = ["cat", "dog", "owl", "fox", "bee"]
INPUTS = [normal(1, 7, seed=seed) for seed in range(6)]


def classifier(scale: float = 1.0) -> mle.Model:
    network = mle.NetworkBuilder(class_labels=LABELS)
    x = network.array_input("x", [1, 7])
    weights = normal(5, 7) * scale
    x = network.add("innerProduct", x, inputChannels=7, outputChannels=5, weights=weights)
    network.output(network.add("softmaxND", x, axis=-1), "probabilities")
    return network.model()


def scores(model: mle.Model) -> np.ndarray:
    (weight,) = model.graph.weights
    found = np.concatenate(INPUTS) @ weight.array().reshape(5, 7).T.astype(np.float64)
    return found - found.mean(axis=1, keepdims=True)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_classifiers_are_compared_by_their_scores(bits: int) -> None:
    model = classifier()
    small = mle.quantize(model, mle.LookupTable(bits))
    found = Reference(model, mle.Predictor(model), [{"x": given} for given in INPUTS]).measure(small)
    wanted, given = scores(model), scores(small)
    assert found.error == pytest.approx(np.square(wanted - given).sum() / np.square(wanted).sum(), rel=1e-3, abs=1e-6)
    assert found.agreement == np.mean(wanted.argmax(axis=1) == given.argmax(axis=1))


def test_a_network_that_tells_nothing_is_farther_than_one_with_small_errors() -> None:
    model = classifier(scale=30)
    reference = Reference(model, mle.Predictor(model), [{"x": given} for given in INPUTS])
    silent = classifier(scale=0)
    assert reference.measure(silent).error == pytest.approx(1, abs=1e-6)
    assert reference.measure(mle.quantize(model, mle.Linear(5))).error < 0.05


def test_what_a_regressor_predicts_is_no_class() -> None:
    def regressor(slope: float) -> mle.Model:
        fields = {"weights": [{"value": [slope]}], "offset": [0.5]}
        return mle.load(specification("glmRegressor", fields, {"a": "double"}, {"y": "double"}, "y"))

    model = regressor(2.0)
    found = Reference(model, mle.Predictor(model), [{"a": 1.0}, {"a": 2.0}]).measure(regressor(2.1))
    assert found.agreement is None
    assert found.error == pytest.approx((0.1**2 + 0.2**2) / (2.5**2 + 4.5**2))
