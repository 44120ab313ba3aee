"""Proposals of recurrent layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.checks import fill
from tests.runtime.random_layers.options import weigh
from tests.runtime.random_networks import Sketch, proposes

_GATE_FUNCTIONS = ("sigmoid", "sigmoidHard")
_FUNCTIONS = ("linear", "ReLU", "tanh", "scaledTanh", "sigmoid", "sigmoidHard")


def put_function(s: Sketch, params: Any, kinds: tuple[str, ...] = _FUNCTIONS) -> None:
    own = getattr(params, s.one(kinds))
    own.SetInParent()
    for field in own.DESCRIPTOR.fields:
        setattr(own, field.name, s.number(0.2, 0.8))


def sequences(s: Sketch) -> tuple[str, int, int]:
    """A blob [Seq, Batch, C, H, W]; its batch and vector size."""
    source = s.blob(5, 5, lambda x: np.prod(x.shape[2:]) < 60 and x.shape[0] * x.shape[1] < 30)
    return source, s.shape(source)[1], int(np.prod(s.shape(source)[2:]))


def states(s: Sketch, count: int, batch: int, size: int) -> list[str]:
    if s.chance():
        return []
    return [s.values(s.normal(1, batch, size, 1, 1)) for _ in range(count)]


def put_gates(s: Sketch, params: Any, gates: tuple[str, ...], inputs: int, size: int, biased: bool) -> None:
    for gate in gates:
        weigh(params, s, f"{gate}WeightMatrix", size, inputs)
        weigh(params, s, f"{gate}RecursionMatrix", size, size)
        if biased:
            weigh(params, s, f"{gate}BiasVector", size)


@proposes("simpleRecurrent")
def simple_recurrent(s: Sketch) -> None:
    source, batch, inputs = sequences(s)
    size = s.whole(1, 6)
    given = states(s, 1, batch, size)
    params = s.layer([source, *given], 2, inputVectorSize=inputs, outputVectorSize=size, hasBiasVector=s.chance())
    fill(params, {"sequenceOutput": s.chance(), "reverseInput": s.chance()})
    put_function(s, params.activation)
    weigh(params, s, "weightMatrix", size, inputs)
    weigh(params, s, "recursionMatrix", size, size)
    if params.hasBiasVector:
        weigh(params, s, "biasVector", size)


@proposes("gru")
def gru(s: Sketch) -> None:
    source, batch, inputs = sequences(s)
    size = s.whole(1, 6)
    given = states(s, 1, batch, size)
    params = s.layer([source, *given], 2, inputVectorSize=inputs, outputVectorSize=size, hasBiasVectors=s.chance())
    fill(params, {"sequenceOutput": s.chance(), "reverseInput": s.chance()})
    put_function(s, params.activations.add(), _GATE_FUNCTIONS)
    put_function(s, params.activations.add())
    put_gates(s, params, ("updateGate", "resetGate", "outputGate"), inputs, size, params.hasBiasVectors)


def put_lstm(s: Sketch, params: Any, sides: int, inputs: int, size: int) -> None:
    options = params.params
    for field in ("sequenceOutput", "hasBiasVectors", "forgetBias", "hasPeepholeVectors", "coupledInputAndForgetGate"):
        setattr(options, field, s.chance())
    options.cellClipThreshold = s.one((0.0, 50.0, 0.4, 500.0))
    weights = [params.weightParams] if sides == 1 else [params.weightParams.add() for _ in range(sides)]
    lists = [params.activations] if sides == 1 else [params.activationsForwardLSTM, params.activationsBackwardLSTM]
    for own, functions in zip(weights, lists, strict=True):
        put_function(s, functions.add(), _GATE_FUNCTIONS)
        put_function(s, functions.add())
        put_function(s, functions.add())
        put_gates(s, own, ("inputGate", "forgetGate", "blockInput", "outputGate"), inputs, size, options.hasBiasVectors)
        if options.hasPeepholeVectors:
            for gate in ("inputGate", "forgetGate", "outputGate"):
                weigh(own, s, f"{gate}PeepholeVector", size)


@proposes("uniDirectionalLSTM")
def uni_directional_lstm(s: Sketch) -> None:
    source, batch, inputs = sequences(s)
    size = s.whole(1, 6)
    given = states(s, 2, batch, size)
    params = s.layer([source, *given], 3, inputVectorSize=inputs, outputVectorSize=size, reverseInput=s.chance())
    put_lstm(s, params, 1, inputs, size)


@proposes("biDirectionalLSTM")
def bi_directional_lstm(s: Sketch) -> None:
    source, batch, inputs = sequences(s)
    size = s.whole(1, 6)
    given = states(s, 4, batch, size)
    params = s.layer([source, *given], 5, inputVectorSize=inputs, outputVectorSize=size)
    put_lstm(s, params, 2, inputs, size)
