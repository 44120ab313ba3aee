from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import run_layer
from tests.layers.arrays import normal

SHAPE = (30, 40, 50)
DISTRIBUTIONS: dict[str, tuple[dict[str, float], float, float, tuple[float, float]]] = {
    "randomNormal": ({"mean": 2.0, "stdDev": 3.0}, 2.0, 9.0, (-30.0, 30.0)),
    "randomUniform": ({"minVal": -1.0, "maxVal": 5.0}, 2.0, 3.0, (-1.0, 5.0)),
    "randomBernoulli": ({"prob": 0.3}, 0.3, 0.21, (0.0, 1.0)),
}


@pytest.mark.parametrize("kind", DISTRIBUTIONS)
def test_moments_shapes_and_seeds(kind: str) -> None:
    fields, mean, variance, (low, high) = DISTRIBUTIONS[kind]
    wide = np.zeros(SHAPE, np.float32)
    sources: dict[str, tuple[dict[str, Any], list[Any]]] = {
        "Like": ({}, [wide]),
        "Static": ({"outputShape": SHAPE}, []),
        "Dynamic": ({}, [np.array(SHAPE, np.float32)]),
    }
    samples = []
    for ending, (own, inputs) in sources.items():
        (y,) = run_layer(kind + ending, {**fields, **own, "seed": 42}, inputs)
        samples.append(y)
        assert y.shape == SHAPE
        assert abs(y.mean() - mean) < 0.05
        assert abs(y.var() - variance) < 0.1
        assert low <= y.min() < y.max() <= high
    assert all(np.array_equal(y, samples[0]) for y in samples)
    (other,) = run_layer(f"{kind}Like", {**fields, "seed": 43}, [wide])
    (unseeded,), (again,) = (run_layer(f"{kind}Like", {**fields, "seed": -1}, [wide]) for _ in range(2))
    assert not np.array_equal(other, samples[0])
    assert not np.array_equal(unseeded, again)


@pytest.mark.parametrize("shape", [(5,), (2, 1, 3), (6, 2, 3, 4, 5)])
def test_unset_parameters(shape: tuple[int, ...]) -> None:
    """All are zero; a seed of zero is one that gives the same values each time."""
    for kind in DISTRIBUTIONS:
        (y,) = run_layer(f"{kind}Static", {"outputShape": shape}, [])
        assert y.shape == shape
        assert not y.any()
    first, again = (run_layer("randomNormalStatic", {"outputShape": shape, "stdDev": 1.0}, [])[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_eps_is_added_to_probabilities() -> None:
    fields = {"numSamples": 40000, "eps": 0.5, "seed": 7}
    (y,) = run_layer("categoricalDistribution", fields, [np.array([0.0, 0.5, 2.0], np.float32)])
    frequencies = [(y == index).mean() for index in range(3)]
    np.testing.assert_allclose(frequencies, np.array([0.5, 1, 2.5]) / 4, atol=0.01)


@pytest.mark.parametrize("is_logits", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 2.0])
def test_categorical_distribution(is_logits: bool, temperature: float) -> None:
    logits = normal(2, 3, 5)
    fields = {"numSamples": 40000, "isLogits": is_logits, "temperature": temperature, "seed": 7}
    (y,) = run_layer("categoricalDistribution", fields, [logits if is_logits else np.exp(logits)])
    assert y.shape == (2, 3, 40000)
    probabilities = np.exp(logits / (temperature or 1))
    probabilities /= probabilities.sum(-1, keepdims=True)
    frequencies = np.stack([(y == index).mean(-1) for index in range(5)], -1)
    np.testing.assert_allclose(frequencies, probabilities, atol=0.01)


@pytest.mark.parametrize(
    ("type", "fields", "message"),
    [
        ("randomNormalStatic", {"outputShape": [2], "stdDev": -1.0}, "stdDev is -1"),
        ("randomUniformStatic", {"outputShape": [2], "minVal": 1.0}, "below minVal"),
        ("randomBernoulliStatic", {"outputShape": [2], "prob": 1.5}, "prob is 1.5"),
        ("randomNormalStatic", {}, "is no shape"),
        ("categoricalDistribution", {}, "numSamples is 0"),
    ],
)
def test_random_layers_refuse_by_name(type: str, fields: Any, message: str) -> None:
    inputs = [normal(2, 3)] if type == "categoricalDistribution" else []
    with pytest.raises(ModelError, match=rf"'layer' \({type}\).*{message}"):
        run_layer(type, fields, inputs)


@pytest.mark.parametrize(("is_logits", "values"), [(False, [0.5, -1.0]), (True, [np.nan, 1.0]), (True, [-np.inf] * 2)])
def test_what_is_no_distribution_is_refused(is_logits: bool, values: list[float]) -> None:
    fields = {"numSamples": 3, "isLogits": is_logits}
    with pytest.raises(ModelError, match=r"'layer' \(categoricalDistribution\): the input holds no distribution"):
        run_layer("categoricalDistribution", fields, [np.array(values, np.float32)])
    impossible = {"numSamples": 50, "isLogits": True}
    (y,) = run_layer("categoricalDistribution", impossible, [np.array([-np.inf, 0, -np.inf], np.float32)])
    assert set(y.tolist()) == {1.0}
