"""What the matrices of recurrent layers meet, against the equations; and what error feedback makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.calibration.products import products
from tests.checks import Array, one_layer_model
from tests.layers.arrays import normal
from tests.layers.test_lstm import Case
from tests.layers.test_recurrent import ACTIVATIONS, BATCH, INPUTS, SIZE, STEPS, lift, limited, matrices

ALL = 1 << 20
SIZES = {"inputVectorSize": INPUTS, "outputVectorSize": SIZE}
X, H, C = normal(STEPS, BATCH, INPUTS), normal(BATCH, SIZE, seed=8), normal(BATCH, SIZE, seed=9)


def check_vectors(model: mle.Model, inputs: Sequence[Array], expected: dict[str, tuple[Array, Array]]) -> None:
    """The vectors of each weight, found by the end of its name, are [x, h] of all steps.

    The quantized network's are its own x beside the same h.
    """
    (node,) = model.graph.nodes
    found = {product.weight.name: product for product in products(node)}
    assert set(found) == {weight.name for weight in node.weights if weight.name.lower().endswith("matrix")}
    for name, product in found.items():
        x, h = next(pair for part, pair in expected.items() if part in name)
        original, quantized = product.vectors(inputs, [3 * inputs[0], *inputs[1:]], ALL)
        wanted = [np.concatenate([factor * x, h], axis=2).reshape(-1, INPUTS + SIZE) for factor in (1, 3)]
        np.testing.assert_allclose(original[0].T @ original[0], wanted[0].T @ wanted[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(quantized[0], wanted[1], rtol=1e-4, atol=1e-4)
        assert [weight.shape[1] for weight in product.sum] == [INPUTS, SIZE]
        assert name in [weight.name for weight in product.sum]


def before(first: Array, states: Array) -> Array:
    return np.concatenate([first[None], states[:-1]])


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("given", [False, True])
def test_simple_recurrent(backward: bool, given: bool) -> None:
    w, r, b = matrices("").values()
    x, first = X[::-1] if backward else X, H if given else np.zeros_like(H)
    states, state = [], first
    for moment in x:
        state = np.tanh(limited(moment @ w.T + state @ r.T + b))
        states.append(state)
    parameters = {**SIZES, "activation": {"tanh": {}}, "hasBiasVector": True, "reverseInput": backward}
    inputs = [lift(X), lift(H)] if given else [lift(X)]
    shapes = [array.shape for array in inputs]
    weights = {"weightMatrix": w, "recursionMatrix": r, "biasVector": b}
    model = one_layer_model("simpleRecurrent", parameters, shapes, weights=weights)
    check_vectors(model, inputs, {"Matrix": (x, before(first, np.stack(states)))})


@pytest.mark.parametrize("backward", [False, True])
@pytest.mark.parametrize("inner", ["sigmoid", "sigmoidHard 0.3"])
def test_gru_whose_output_gate_meets_the_state_that_the_reset_gate_leaves(backward: bool, inner: str) -> None:
    message, f = ACTIVATIONS[inner]
    weights = matrices("updateGate", "resetGate", "outputGate")

    def total(gate: str, moment: Array, state: Array) -> Array:
        w, r, b = (weights[f"{gate}{kind}"] for kind in ("WeightMatrix", "RecursionMatrix", "BiasVector"))
        return limited(moment @ w.T + state @ r.T + b)

    x, states, reset_states, state = X[::-1] if backward else X, [], [], H
    for moment in x:
        states.append(state)
        reset_states.append(f(total("resetGate", moment, state)) * state)
        update = f(total("updateGate", moment, state))
        state = (1 - update) * np.tanh(total("outputGate", moment, reset_states[-1])) + update * state
    parameters = {**SIZES, "activations": [message, {"tanh": {}}], "hasBiasVectors": True, "reverseInput": backward}
    model = one_layer_model("gru", parameters, [lift(X).shape, lift(H).shape], weights=weights)
    expected = {"outputGate": (x, np.stack(reset_states)), "Gate": (x, np.stack(states))}
    check_vectors(model, [lift(X), lift(H)], expected)


@pytest.mark.parametrize("case", [Case(), Case(peepholes=True, coupled=True)], ids=str)
@pytest.mark.parametrize("backward", [False, True])
def test_uni_directional_lstm(case: Case, backward: bool) -> None:
    x, weights = X[::-1] if backward else X, case.weights(0)
    outputs, _, _ = case.run(weights, x, H, C)
    parameters = {**SIZES, "activations": case.messages, "params": case.params, "reverseInput": backward}
    named = {f"weightParams.{name}": array for name, array in weights.items()}
    inputs = [lift(X), lift(H), lift(C)]
    model = one_layer_model("uniDirectionalLSTM", parameters, [array.shape for array in inputs], weights=named)
    check_vectors(model, inputs, {"Matrix": (x, before(H, outputs))})


@pytest.mark.parametrize("given", [False, True])
def test_bi_directional_lstm(given: bool) -> None:
    case, states = Case(), [normal(BATCH, SIZE, seed=seed) * given for seed in (6, 7, 8, 9)]
    forward, backward = case.weights(0), case.weights(1)
    outputs, _, _ = case.run(forward, X, *states[:2])
    back, _, _ = case.run(backward, X[::-1], *states[2:])
    parameters = {**SIZES, "activationsForwardLSTM": case.messages, "activationsBackwardLSTM": case.messages}
    named = {f"weightParams[0].{name}": array for name, array in forward.items()}
    named |= {f"weightParams[1].{name}": array for name, array in backward.items()}
    inputs = [lift(X), *map(lift, states)] if given else [lift(X)]
    model = one_layer_model(
        "biDirectionalLSTM",
        {**parameters, "params": case.params},
        [array.shape for array in inputs],
        weights=named,
    )
    expected = {"[0]": (X, before(states[0], outputs)), "[1]": (X[::-1], before(states[2], back))}
    check_vectors(model, inputs, expected)


LAYERS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "simpleRecurrent": (("",), {"activation": {"tanh": {}}}),
    "gru": (("updateGate", "resetGate", "outputGate"), {"activations": [{"sigmoid": {}}, {"tanh": {}}]}),
    "uniDirectionalLSTM": (
        tuple(f"weightParams.{gate}" for gate in ("inputGate", "forgetGate", "blockInput", "outputGate")),
        {"activations": Case().messages, "params": {"sequenceOutput": True}},
    ),
    "biDirectionalLSTM": (
        tuple(
            f"weightParams[{i}].{g}" for i in (0, 1) for g in ("inputGate", "forgetGate", "blockInput", "outputGate")
        ),
        {f"activations{way}LSTM": Case().messages for way in ("Forward", "Backward")}
        | {"params": {"sequenceOutput": True}},
    ),
}


@pytest.mark.parametrize("scheme", [mle.LookupTable(bits=3), mle.Linear(bits=3)], ids=str)
@pytest.mark.parametrize("type", LAYERS)
def test_all_gates_and_the_outputs_of_sequences_never_seen_are_nearer(type: str, scheme: mle.Scheme) -> None:
    gates, parameters = LAYERS[type]
    inputs, size, rng = 9, 24, np.random.default_rng(31)
    weights = {}
    for gate in gates:
        for kind, columns in (("weightMatrix", inputs), ("recursionMatrix", size)):
            name = f"{gate}{kind[0].upper()}{kind[1:]}" if gate else kind
            weights[name] = rng.normal(size=(size, columns)) / np.sqrt(columns)
    mixing = rng.normal(size=(inputs, inputs)) * np.geomspace(2, 0.1, inputs)[:, None]
    sequences = [rng.normal(size=(40, 6, inputs)) @ mixing / 3 for _ in range(6)]
    feeds = [{"x0": sequence.reshape(40, 6, inputs, 1, 1)} for sequence in sequences]
    sizes = {"inputVectorSize": inputs, "outputVectorSize": size}
    if "params" not in parameters:
        parameters = {**parameters, "sequenceOutput": True}
    model = one_layer_model(type, {**sizes, **parameters}, [(40, 6, inputs, 1, 1)], weights=weights)
    plain = mle.quantize(model, scheme)
    fed = mle.quantize(model, scheme, calibration=feeds[:4])
    (node,) = model.graph.nodes
    for product in products(node):
        vectors, _ = product.vectors([feeds[4]["x0"].astype(np.float32)], [feeds[4]["x0"].astype(np.float32)], ALL)
        errors = []
        for small in (plain, fed):
            names = [weight.name for weight in product.sum]
            was, now = (
                np.concatenate([m.graph.nodes[0].weight(name).array() for name in names], axis=1)
                for m in (model, small)
            )
            errors.append(np.sum((vectors[0] @ (was - now).T) ** 2))
        assert errors[1] < 0.7 * errors[0], product.weight.name
    wanted, *found = (
        np.stack([mle.predict(m, feed, outputs=["y0"])["y0"] for feed in feeds[4:]]) for m in (model, plain, fed)
    )
    plain_error, fed_error = (np.sum((wanted - outputs) ** 2) for outputs in found)
    assert fed_error < 0.6 * plain_error
