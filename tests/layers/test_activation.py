from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import ModelError
from mlexplorer.spec.weight_params import write_floats
from tests.checks import Array, check_layer, fill, run_layer
from tests.layers.arrays import normal
from tests.layers.operators import operators

A, B = 0.3, 0.7

FORMULAS: dict[str, tuple[dict[str, float], Callable[[Array], Array]]] = {
    "linear": ({"alpha": A, "beta": B}, lambda x: A * x + B),
    "ReLU": ({}, lambda x: np.maximum(x, 0)),
    "leakyReLU": ({"alpha": A}, lambda x: np.where(x < 0, A * x, x)),
    "thresholdedReLU": ({"alpha": 0.5}, lambda x: np.where(x >= 0.5, x, 0)),
    "tanh": ({}, np.tanh),
    "scaledTanh": ({"alpha": A, "beta": B}, lambda x: A * np.tanh(B * x)),
    "sigmoid": ({}, lambda x: 1 / (1 + np.exp(-x))),
    "sigmoidHard": ({"alpha": A, "beta": B}, lambda x: np.clip(A * x + B, 0, 1)),
    "ELU": ({"alpha": A}, lambda x: np.where(x < 0, A * np.expm1(x), x)),
    "softsign": ({}, lambda x: x / (1 + np.abs(x))),
    "softplus": ({}, lambda x: np.log1p(np.exp(x))),
}


SHAPES = [(5,), (4, 5), (3, 4, 5), (2, 3, 4, 5), (6, 2, 3, 4, 5)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", FORMULAS)
def test_activation(kind: str, shape: tuple[int, ...]) -> None:
    fields, formula = FORMULAS[kind]
    x = 2 * normal(*shape)
    x.flat[:3] = 0.5, 0.0, 90.0  # the threshold; zero; what overflows exp(x)
    with np.errstate(over="ignore"):
        expected = formula(x.astype(np.float64))
    check_layer("activation", {kind: fields}, [x], expected)


UNSET: dict[str, Callable[[Array], Array]] = {
    "linear": np.zeros_like,
    "leakyReLU": lambda x: np.maximum(x, 0),
    "thresholdedReLU": lambda x: np.maximum(x, 0),
    "scaledTanh": np.zeros_like,
    "sigmoidHard": np.zeros_like,
    "ELU": lambda x: np.maximum(x, 0),
}


@pytest.mark.parametrize("kind", UNSET)
def test_unset_parameters_of_activations_are_zero(kind: str) -> None:
    x = 2 * normal(3, 4, 5)
    check_layer("activation", {kind: {}}, [x], UNSET[kind](x), tolerance=0)
    some = next(iter(FORMULAS[kind][0]))
    fields = {"linear": lambda v: A * v, "scaledTanh": np.zeros_like, "sigmoidHard": lambda v: np.clip(A * v, 0, 1)}
    if kind in fields:
        check_layer("activation", {kind: {some: A}}, [x], fields[kind](x), tolerance=1e-6)


@pytest.mark.parametrize("field", ["PReLU.alpha", "parametricSoftplus.alpha"])
def test_slopes_that_a_file_lacks_are_named(field: str) -> None:
    kind = field.split(".")[0]
    with pytest.raises(ModelError, match=rf"'layer' \(activation\) has no weights in '{field}'"):
        run_layer("activation", {kind: {}}, [normal(3, 4, 5)])


@pytest.mark.parametrize(("shape", "exact"), [((3, 4, 5), False), ((2, 6, 3, 4, 5), True)])
@pytest.mark.parametrize("count", [1, 3])
def test_activations_with_parameters_per_channel(shape: tuple[int, ...], exact: bool, count: int) -> None:
    x, alpha, beta = normal(*shape), normal(count, 1, 1, seed=1), normal(count, 1, 1, seed=2)
    added = () if exact else (None, None)
    check_layer(
        "activation",
        {"PReLU": {}},
        [x],
        np.where(x < 0, alpha * x, x)[added],
        weights={"PReLU.alpha": alpha},
        exact=exact,
    )
    weights = {"parametricSoftplus.alpha": alpha, "parametricSoftplus.beta": beta}
    expected = alpha * np.log1p(np.exp(beta * x))
    check_layer("activation", {"parametricSoftplus": {}}, [x], expected[added], weights=weights, exact=exact)


def test_clip_clamped_relu_and_gelu() -> None:
    x = 3 * normal(3, 4, 5)
    check_layer("clip", {"minVal": -0.5, "maxVal": 0.75}, [x], np.clip(x, -0.5, 0.75))
    check_layer("clip", {}, [x], 0 * x)
    check_layer("clampedReLU", {"alpha": 0.5}, [x], np.minimum(np.where(x < 0, 0.5 * x, x), 0))
    for alpha, beta in ((0.0, 2.0), (-3.0, 2.0), (2.0, -1.5)):
        expected = np.minimum(np.where(x >= 0, x, alpha * x), beta)
        check_layer("clampedReLU", {"alpha": alpha, "beta": beta}, [x], expected)
    gaussian = x / 2 * (1 + np.vectorize(erf)(x / np.sqrt(2)))
    check_layer("gelu", {"mode": 0}, [x], gaussian)
    check_layer("gelu", {"mode": 1}, [x], x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))
    check_layer("gelu", {"mode": 2}, [x], x / (1 + np.exp(-1.702 * x)))


NEGATED = {"linear": {"alpha": -1}}


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 1, 3, 4, 5)])
@pytest.mark.parametrize(
    ("first", "negation", "least", "formula", "expected"),
    [
        ({"ReLU": {}}, NEGATED, -0.5, lambda x: np.clip(x, 0, 0.5), "Clip"),
        ({"ReLU": {}}, NEGATED, 0.5, lambda x: np.full_like(x, -0.5), "Relu Min"),
        ({"tanh": {}}, NEGATED, 0.25, lambda x: np.minimum(np.tanh(x), -0.25), "Tanh Min"),
        ({"ReLU": {}}, {"linear": {"alpha": -2}}, -0.5, lambda x: np.clip(2 * x, 0, 0.5), "Relu Mul Max Mul"),
        ({"ReLU": {}}, {"linear": {"alpha": 1}}, 0.5, lambda x: -np.maximum(x, 0.5), "Relu Max Mul"),
    ],
)  # fmt: skip
def test_a_minimum_written_with_negations_is_one_operator(
    shape: tuple[int, ...],
    first: Any,
    negation: Any,
    least: float,
    formula: Callable[[Array], Array],
    expected: str,
) -> None:
    """Behind a convolution too, which sees five axes as four."""
    model = spec.Model(specificationVersion=4)
    network = model.neuralNetwork
    network.arrayInputShapeMapping = 1
    feature = model.description.input.add(name="x").type.multiArrayType
    feature.dataType = 65568
    feature.shape.extend(shape)
    model.description.output.add(name="y").type.multiArrayType.dataType = 65568
    if len(shape) > 3:
        convolution = network.layers.add(name="doubled", input=["x"], output=["d"]).convolution
        fill(convolution, {"outputChannels": 3, "kernelChannels": 3, "kernelSize": [1, 1]})
        write_floats(convolution.weights, 2 * np.eye(3, dtype=np.float32).reshape(-1))
    fill(network.layers.add(name="first", input=["d" if len(shape) > 3 else "x"], output=["a"]).activation, first)
    fill(network.layers.add(name="negated", input=["a"], output=["b"]).activation, negation)
    fill(network.layers.add(name="threshold", input=["b"], output=["c"]).unary, {"type": 7, "alpha": least})
    fill(network.layers.add(name="last", input=["c"], output=["y"]).activation, NEGATED)
    loaded, x = mle.load(model), normal(*shape)
    given = mle.predict(loaded, {"x": x})["y"]
    np.testing.assert_allclose(given, formula(2 * x if len(shape) > 3 else x), rtol=1e-6, atol=1e-6)
    assert " ".join(name for name in operators(loaded) if name not in ("Conv", "Reshape")) == expected


@pytest.mark.parametrize(
    ("fields", "shape", "message"),
    [
        ({}, (3, 4, 5), "no non-linearity"),
        ({"PReLU": {}}, (4, 5, 6), "3 values for 4"),
        ({"PReLU": {}}, (5, 3), "too few"),
    ],
)
def test_activation_refuses_by_name(fields: Any, shape: tuple[int, ...], message: str) -> None:
    weights = {"PReLU.alpha": normal(3)} if fields else {}
    with pytest.raises(ModelError, match=rf"'layer' \(activation\).*{message}"):
        run_layer("activation", fields, [normal(*shape)], weights=weights)
