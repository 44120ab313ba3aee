from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal
from tests.layers.test_recurrent import ACTIVATIONS, BATCH, INPUTS, SIZE, STEPS, lift, limited, matrices

GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")
USUAL = ("sigmoid", "tanh", "tanh")


@dataclass(frozen=True)
class Case:
    """Options of LSTMParams and the activations f, g, h."""

    activations: tuple[str, str, str] = USUAL
    bias: bool = True
    forget_bias: bool = False
    peepholes: bool = False
    coupled: bool = False
    threshold: float = 0.0

    @property
    def params(self) -> dict[str, Any]:
        return {
            "hasBiasVectors": self.bias,
            "forgetBias": self.forget_bias,
            "hasPeepholeVectors": self.peepholes,
            "coupledInputAndForgetGate": self.coupled,
            "cellClipThreshold": self.threshold,
        }

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [ACTIVATIONS[name][0] for name in self.activations]

    def weights(self, seed: int) -> dict[str, Array]:
        weights = {name: array + 0.1 * seed for name, array in matrices(*GATES).items()}
        weights |= {f"{gate}PeepholeVector": normal(SIZE, seed=seed + 7) for gate in GATES if gate != "blockInput"}
        unused = ["BiasVector"] * (not self.bias) + ["PeepholeVector"] * (not self.peepholes)
        return {name: array for name, array in weights.items() if not name.endswith(tuple(unused) or "-")}

    # forgetBias changes nothing: see test_a_translator_is_the_keras_network_that_it_was
    def run(self, weights: dict[str, Array], x: Array, h: Array, c: Array) -> tuple[Array, Array, Array]:
        """The equations of LSTMParams: all outputs, the last output, the last cell."""
        f, g, squash = (ACTIVATIONS[name][1] for name in self.activations)

        def total(gate: str, moment: Array, cell: Array | None = None) -> Array:
            value = moment @ weights[f"{gate}WeightMatrix"].T + h @ weights[f"{gate}RecursionMatrix"].T
            value = value + weights.get(f"{gate}BiasVector", np.zeros(SIZE))
            if cell is not None:
                value = value + weights.get(f"{gate}PeepholeVector", np.zeros(SIZE)) * cell
            return limited(value)

        outputs = []
        limit = self.threshold or 50
        for moment in x.astype(np.float64):
            i = f(total("inputGate", moment, c))
            forget = 1 - i if self.coupled else f(total("forgetGate", moment, c))
            c = np.clip(forget * c + i * g(total("blockInput", moment)), -limit, limit)
            h = squash(c) * f(total("outputGate", moment, c))
            outputs.append(h)
        return np.stack(outputs), h, c


CASES = [
    Case(),
    Case(bias=False),
    Case(forget_bias=True),
    Case(bias=False, forget_bias=True, threshold=500),
    Case(peepholes=True),
    Case(peepholes=True, coupled=True, forget_bias=True),
    Case(("sigmoidHard", "scaledTanh", "linear"), peepholes=True),
    Case(("sigmoid", "ReLU", "ReLU")),
    Case(("sigmoid", "steep scaledTanh", "linear"), threshold=60),
    Case(("sigmoid", "linear", "tanh"), threshold=0.5, peepholes=True, forget_bias=True),
    Case(threshold=0.25, coupled=True),
    Case(("linear", "tanh", "tanh"), peepholes=True),
    Case(("ReLU", "tanh", "linear"), threshold=1.5),
    Case(("sigmoidHard 0.3", "scaledTanh", "scaled linear"), threshold=0.5, bias=False, peepholes=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize(("whole", "turned", "states"), [(True, False, True), (False, True, True), (True, True, False)])
def test_uni_directional_lstm(case: Case, whole: bool, turned: bool, states: bool) -> None:
    x, h, c = normal(STEPS, BATCH, INPUTS), normal(BATCH, SIZE, seed=8), normal(BATCH, SIZE, seed=9)
    weights = case.weights(0)
    start = (h, c) if states else (np.zeros_like(h), np.zeros_like(c))
    outputs, last, cell = case.run(weights, x[::-1] if turned else x, *start)
    parameters = {
        "inputVectorSize": INPUTS,
        "outputVectorSize": SIZE,
        "activations": case.messages,
        "params": {**case.params, "sequenceOutput": whole},
        "reverseInput": turned,
    }
    named = {f"weightParams.{name}": array for name, array in weights.items()}
    inputs = [lift(x), lift(h), lift(c)] if states else [lift(x)]
    expected = [lift(outputs if whole else last), lift(last), lift(cell)]
    check_layer("uniDirectionalLSTM", parameters, inputs, expected, weights=named)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sums_are_limited_and_so_is_the_cell(case: Case) -> None:
    x, h, c = 30 * normal(STEPS, BATCH, INPUTS), normal(BATCH, SIZE, seed=8), normal(BATCH, SIZE, seed=9)
    weights = case.weights(0)
    outputs, last, cell = case.run(weights, x, h, c)
    parameters = {"inputVectorSize": INPUTS, "outputVectorSize": SIZE, "activations": case.messages}
    parameters["params"] = {**case.params, "sequenceOutput": True}
    named = {f"weightParams.{name}": array for name, array in weights.items()}
    expected = [lift(outputs), lift(last), lift(cell)]
    check_layer("uniDirectionalLSTM", parameters, [lift(x), lift(h), lift(c)], expected, weights=named)


def saturated(case: Case) -> dict[str, Array]:
    """Weights with which the cell of the first unit grows by almost 1 at each step, and the others' hardly at all."""
    weights = {name: 0.05 * array for name, array in case.weights(0).items()}
    for gate in GATES:
        bias = weights.setdefault(f"{gate}BiasVector", np.zeros(SIZE, np.float32))
        bias[0] = 40
    return weights


@pytest.mark.parametrize(
    "case", [Case(), Case(peepholes=True), Case(threshold=2.0), Case(("tanh", "tanh", "linear"))], ids=str
)
@pytest.mark.parametrize(("steps", "cell"), [(1, 49.9), (1, 1000.0), (30, 24.5), (30, 25.5), (70, 0.0), (70, -60.0)])
def test_the_cell_is_limited_in_any_number_of_steps(case: Case, steps: int, cell: float) -> None:
    x, h, c = normal(steps, BATCH, INPUTS), normal(BATCH, SIZE, seed=8), np.full((BATCH, SIZE), cell, np.float32)
    weights = saturated(case)
    outputs, last, end = case.run(weights, x, h, c)
    assert abs(end).max() <= (case.threshold or 50)
    parameters = {"inputVectorSize": INPUTS, "outputVectorSize": SIZE, "activations": case.messages}
    parameters["params"] = {**case.params, "sequenceOutput": True}
    named = {f"weightParams.{name}": array for name, array in weights.items()}
    expected = [lift(outputs), lift(last), lift(end)]
    check_layer("uniDirectionalLSTM", parameters, [lift(x), lift(h), lift(c)], expected, weights=named)


@pytest.mark.parametrize("steps", [49, 50, 51, 120])
def test_long_sequences_without_states_are_limited_as_well(steps: int) -> None:
    case, x, zero = Case(), normal(steps, BATCH, INPUTS), np.zeros((BATCH, SIZE), np.float32)
    weights = saturated(case)
    outputs, last, end = case.run(weights, x, zero, zero)
    back, last_back, end_back = case.run(weights, x[::-1], zero, zero)
    assert (end[0, 0] == 50) == (steps >= 50)
    parameters = {
        "inputVectorSize": INPUTS,
        "outputVectorSize": SIZE,
        "activationsForwardLSTM": case.messages,
        "activationsBackwardLSTM": case.messages,
        "params": {**case.params, "sequenceOutput": True},
    }
    named = {f"weightParams[{side}].{name}": array for side in (0, 1) for name, array in weights.items()}
    expected = [np.concatenate([outputs, back[::-1]], axis=-1), last, end, last_back, end_back]
    check_layer("biDirectionalLSTM", parameters, [lift(x)], [lift(array) for array in expected], weights=named)


@pytest.mark.parametrize("case", [CASES[0], CASES[5], CASES[8]], ids=str)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("states", [False, True])
def test_bi_directional_lstm(case: Case, whole: bool, states: bool) -> None:
    x = normal(STEPS, BATCH, INPUTS)
    given = [normal(BATCH, SIZE, seed=seed) * states for seed in (6, 7, 8, 9)]
    forward, backward = case.weights(0), case.weights(1)
    outputs, last, cell = case.run(forward, x, *given[:2])
    back, last_back, cell_back = case.run(backward, x[::-1], *given[2:])
    parts = (outputs, back[::-1]) if whole else (last, last_back)
    expected = [np.concatenate(parts, axis=-1), last, cell, last_back, cell_back]
    parameters = {
        "inputVectorSize": INPUTS,
        "outputVectorSize": SIZE,
        "activationsForwardLSTM": case.messages,
        "activationsBackwardLSTM": case.messages,
        "params": {**case.params, "sequenceOutput": whole},
    }
    named = {f"weightParams[0].{name}": array for name, array in forward.items()}
    named |= {f"weightParams[1].{name}": array for name, array in backward.items()}
    inputs = [lift(x), *map(lift, given)] if states else [lift(x)]
    check_layer("biDirectionalLSTM", parameters, inputs, [lift(array) for array in expected], weights=named)


def test_refused() -> None:
    x = lift(normal(STEPS, BATCH, INPUTS))
    sizes = {"inputVectorSize": INPUTS, "outputVectorSize": SIZE}
    with pytest.raises(ModelError, match="2 activations; there must be 3"):
        run_layer("uniDirectionalLSTM", {**sizes, "activations": Case().messages[:2]}, [x])
    both = {"activationsForwardLSTM": Case().messages, "activationsBackwardLSTM": Case().messages}
    with pytest.raises(ModelError, match="0 weightParams; there must be two"):
        run_layer("biDirectionalLSTM", {**sizes, **both}, [x])
    with pytest.raises(ModelError, match="2 inputs; there must be 1 or 3"):
        run_layer("uniDirectionalLSTM", {**sizes, "activations": Case().messages}, [x, lift(normal(BATCH, SIZE))])
