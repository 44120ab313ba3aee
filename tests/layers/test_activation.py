from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal

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


@pytest.mark.parametrize("kind", FORMULAS)
def test_activation(kind: str) -> None:
    fields, formula = FORMULAS[kind]
    x = 2 * normal(2, 3, 4, 5)
    x.flat[:2] = 0.5, 0.0
    check_layer("activation", {kind: fields}, [x], formula(x.astype(np.float64)))


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
    for alpha, beta in ((0.0, 2.0), (-3.0, 2.0), (2.0, -1.5)):
        expected = np.minimum(np.where(x >= 0, x, alpha * x), beta)
        check_layer("clampedReLU", {"alpha": alpha, "beta": beta}, [x], expected)
    gaussian = x / 2 * (1 + np.vectorize(erf)(x / np.sqrt(2)))
    check_layer("gelu", {"mode": 0}, [x], gaussian)
    check_layer("gelu", {"mode": 1}, [x], x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))
    check_layer("gelu", {"mode": 2}, [x], x / (1 + np.exp(-1.702 * x)))


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
