from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError, UnsupportedError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal

STEPS, BATCH, INPUTS, SIZE = 5, 2, 3, 4

Function = Callable[[Array], Array]

ACTIVATIONS: dict[str, tuple[dict[str, Any], Function]] = {
    "linear": ({"linear": {}}, lambda v: v),
    "scaled linear": ({"linear": {"alpha": 0.5, "beta": 0.25}}, lambda v: 0.5 * v + 0.25),
    "sigmoid": ({"sigmoid": {}}, lambda v: 1 / (1 + np.exp(-v))),
    "tanh": ({"tanh": {}}, np.tanh),
    "ReLU": ({"ReLU": {}}, lambda v: np.maximum(v, 0)),
    "unset scaledTanh": ({"scaledTanh": {}}, np.tanh),
    "scaledTanh": ({"scaledTanh": {"alpha": 1.7159, "beta": 2 / 3}}, lambda v: 1.7159 * np.tanh(v * 2 / 3)),
    "steep scaledTanh": ({"scaledTanh": {"alpha": 40, "beta": 1}}, lambda v: 40 * np.tanh(v)),
    "sigmoidHard": ({"sigmoidHard": {}}, lambda v: np.clip(0.2 * v + 0.5, 0, 1)),
    "sigmoidHard 0.3": ({"sigmoidHard": {"alpha": 0.3, "beta": 0.4}}, lambda v: np.clip(0.3 * v + 0.4, 0, 1)),
}


def limited(values: Array) -> Array:
    return np.clip(values, -50, 50)


def matrices(*names: str) -> dict[str, Array]:
    weights = {}
    for seed, name in enumerate(names):
        weights[f"{name}WeightMatrix"] = normal(SIZE, INPUTS, seed=seed)
        weights[f"{name}RecursionMatrix"] = 0.5 * normal(SIZE, SIZE, seed=seed)
        weights[f"{name}BiasVector"] = normal(SIZE, seed=seed)
    return weights


def lift(states: Array) -> Array:
    """[..., Batch, size] to the five axes of the layers."""
    return states.reshape(-1, *states.shape[-2:], 1, 1)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("options", [{}, {"sequenceOutput": True}, {"sequenceOutput": True, "reverseInput": True}])
@pytest.mark.parametrize("size", [1, 40])  # sums above 50 are cut
def test_simple_recurrent(name: str, options: dict[str, bool], size: int) -> None:
    message, f = ACTIVATIONS[name]
    x, h = size * normal(STEPS, BATCH, INPUTS), normal(BATCH, SIZE, seed=9)
    gates = matrices("")
    w, r, b = gates.values()
    outputs, state = [], h.astype(np.float64)
    for moment in x[::-1] if options.get("reverseInput") else x:
        state = f(limited(moment @ w.T + state @ r.T + b))
        outputs.append(state)
    expected = [lift(np.stack(outputs) if options.get("sequenceOutput") else state), lift(state)]
    parameters = {
        "inputVectorSize": INPUTS,
        "outputVectorSize": SIZE,
        "hasBiasVector": True,
        "activation": message,
        **options,
    }
    weights = {"weightMatrix": w, "recursionMatrix": r, "biasVector": b}
    check_layer("simpleRecurrent", parameters, [lift(x), lift(h)], expected, weights=weights)


GRUS = [("sigmoid", "tanh"), ("sigmoidHard", "ReLU"), ("tanh", "scaledTanh"), ("sigmoid", "linear")]


@pytest.mark.parametrize(("inner", "outer"), GRUS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("options", [{}, {"sequenceOutput": True, "reverseInput": True}])
@pytest.mark.parametrize("size", [1, 30])  # sums above 50 are cut
def test_gru(inner: str, outer: str, bias: bool, options: dict[str, bool], size: int) -> None:
    (f_message, f), (g_message, g) = ACTIVATIONS[inner], ACTIVATIONS[outer]
    x, h = size * normal(STEPS, BATCH, INPUTS), normal(BATCH, SIZE, seed=9)
    weights = matrices("updateGate", "resetGate", "outputGate")
    if not bias:
        weights = {name: array for name, array in weights.items() if not name.endswith("BiasVector")}

    def total(gate: str, moment: Array, state: Array) -> Array:
        w, r = weights[f"{gate}WeightMatrix"], weights[f"{gate}RecursionMatrix"]
        return limited(moment @ w.T + state @ r.T + weights.get(f"{gate}BiasVector", np.zeros(SIZE)))

    outputs, state = [], h.astype(np.float64)
    for moment in x[::-1] if options.get("reverseInput") else x:
        update = f(total("updateGate", moment, state))
        reset = f(total("resetGate", moment, state))
        state = (1 - update) * g(total("outputGate", moment, reset * state)) + update * state
        outputs.append(state)
    expected = [lift(np.stack(outputs) if options.get("sequenceOutput") else state), lift(state)]
    parameters = {
        "inputVectorSize": INPUTS,
        "outputVectorSize": SIZE,
        "hasBiasVectors": bias,
        "activations": [f_message, g_message],
        **options,
    }
    check_layer("gru", parameters, [lift(x), lift(h)], expected, weights=weights)


def test_states_begin_at_zero() -> None:
    weights = matrices("")
    named = {"weightMatrix": weights["WeightMatrix"], "recursionMatrix": weights["RecursionMatrix"]}
    parameters = {"inputVectorSize": INPUTS, "outputVectorSize": SIZE, "activation": {"tanh": {}}}
    x = normal(1, BATCH, INPUTS)
    expected = lift(np.tanh(x @ weights["WeightMatrix"].T))
    check_layer("simpleRecurrent", parameters, [lift(x)], expected, weights=named)


@pytest.mark.parametrize(
    ("change", "inputs", "error", "message"),
    [
        ({"activation": {"ELU": {"alpha": 1}}}, [(5, 2, 3, 1, 1)], UnsupportedError, "ELU"),
        ({}, [(5, 2, 4, 1, 1)], ModelError, r"\[Seq, Batch, 3, 1, 1\]"),
        ({}, [(5, 2, 3)], ModelError, r"\[Seq, Batch, 3, 1, 1\]"),
        ({}, [(5, 2, 3, 1, 1), (1, 2, 3, 1, 1)], ModelError, "states"),
        ({}, [(5, 2, 3, 1, 1), (1, 2, 4, 1, 1), (1, 2, 4, 1, 1)], ModelError, "3 inputs"),
        ({"hasBiasVector": True}, [(5, 2, 3, 1, 1)], ModelError, "biasVector"),
    ],
)
def test_refused(change: dict[str, Any], inputs: list[tuple[int, ...]], error: type[Exception], message: str) -> None:
    parameters = {"inputVectorSize": INPUTS, "outputVectorSize": SIZE, "activation": {"tanh": {}}, **change}
    weights = {"weightMatrix": normal(SIZE, INPUTS), "recursionMatrix": normal(SIZE, SIZE)}
    with pytest.raises(error, match=message):
        run_layer("simpleRecurrent", parameters, [normal(*shape) for shape in inputs], weights=weights)
