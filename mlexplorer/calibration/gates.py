"""The gates of recurrent layers, sums W x + R h: which weights W and R are, and what inputs x and states h they meet.

The states are those of the layer as it is, which the runtime runs alone with the outputs of all steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer import spec
from mlexplorer.graph import Node
from mlexplorer.model import Model
from mlexplorer.runtime.program import Program

Array = NDArray[Any]

_LSTM_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")


@dataclass(frozen=True)
class Gates:
    """Gates that meet the same vectors: the names of each W and R, and what gives these vectors.

    `vectors` takes the layer's inputs in the original network and in the quantized one, and gives [x, h] of all steps
    for both, [Seq * Batch, input size + size]. The states h are those of the original twice: a state that W and R
    themselves have led astray is not to be made up for by R, which measurably makes it worse.
    """

    names: tuple[tuple[str, str], ...]
    vectors: Callable[[Sequence[Array], Sequence[Array]], tuple[Array, Array]]


def gates(node: Node) -> Iterator[Gates]:
    """The gates of a simpleRecurrent, gru, uniDirectionalLSTM or biDirectionalLSTM layer."""
    if node.type == "simpleRecurrent":
        yield Gates((("weightMatrix", "recursionMatrix"),), partial(_vectors, node, 0, _states))
    elif node.type == "gru":
        yield Gates(_names("updateGate", "resetGate"), partial(_vectors, node, 0, _states))
        yield Gates(_names("outputGate"), partial(_vectors, node, 0, _reset_states))
    else:
        sides = ("weightParams",) if node.type == "uniDirectionalLSTM" else ("weightParams[0]", "weightParams[1]")
        for side, prefix in enumerate(sides):
            yield Gates(_names(*(f"{prefix}.{name}" for name in _LSTM_GATES)), partial(_vectors, node, side, _states))


def _names(*gates: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"{gate}WeightMatrix", f"{gate}RecursionMatrix") for gate in gates)


def _vectors(
    node: Node,
    side: int,
    states: Callable[[Node, int, Sequence[Array]], Array],
    original: Sequence[Array],
    quantized: Sequence[Array],
) -> tuple[Array, Array]:
    before = states(node, side, original)
    first, second = (np.concatenate([_steps(node, side, x), before], axis=1) for x in (original[0], quantized[0]))
    return first, second


def _steps(node: Node, side: int, x: Array) -> Array:
    """[Seq * Batch, input size]: the inputs of all steps in the order in which side 0 or 1 takes them."""
    backward = side == 1 or (node.type != "biDirectionalLSTM" and bool(node.params.reverseInput))
    return x[:: -1 if backward else 1].reshape(x.shape[0] * x.shape[1], -1)


def _states(node: Node, side: int, inputs: Sequence[Array]) -> Array:
    """[Seq * Batch, size]: the states before all steps."""
    size = int(node.params.outputVectorSize)
    y = _all_outputs(node, inputs)[:, :, side * size : (side + 1) * size]
    if side == 1:  # the outputs of both sides stand at their places in the sequence
        y = y[::-1]
    batch, initial = y.shape[1], inputs[1 + 2 * side] if len(inputs) > 1 else np.zeros((1, y.shape[1], size))
    return np.concatenate([initial.reshape(1, batch, size), y[:-1]]).reshape(-1, size)


def _reset_states(node: Node, side: int, inputs: Sequence[Array]) -> Array:
    """The same for the output gate of a gru, which meets the state times the reset gate.

    That gate is one step of a simple recurrent layer from each state.
    """
    params, before = node.params, _states(node, side, inputs)
    model = spec.Model(specificationVersion=4)
    layer = model.neuralNetwork.layers.add(name=node.name, input=["x", "h"], output=["r"])
    gate = layer.simpleRecurrent
    gate.inputVectorSize, gate.outputVectorSize = params.inputVectorSize, params.outputVectorSize
    gate.hasBiasVector = params.hasBiasVectors
    gate.activation.CopyFrom(params.activations[0])
    for name in ("weightMatrix", "recursionMatrix", "biasVector"):
        getattr(gate, name).CopyFrom(getattr(params, f"resetGate{name[0].upper()}{name[1:]}"))
    x, h = (rows.reshape(1, *rows.shape, 1, 1) for rows in (_steps(node, side, inputs[0]), before))
    reset = Program(Model(model)).run({"x": x, "h": h}, ["r"])["r"]
    return reset.reshape(before.shape) * before


def _all_outputs(node: Node, inputs: Sequence[Array]) -> Array:
    """[Seq, Batch, size], or twice the size: the outputs of all steps, in the layer's order."""
    model = spec.Model(specificationVersion=4)
    names = [f"input{index}" for index in range(len(inputs))]
    layer = model.neuralNetwork.layers.add(name=node.name, input=names, output=["y"])
    params = getattr(layer, node.type)
    params.CopyFrom(node.params)
    (params.params if node.type.endswith("LSTM") else params).sequenceOutput = True
    y = Program(Model(model)).run(dict(zip(names, inputs, strict=True)), ["y"])["y"]
    return y.reshape(*y.shape[:2], -1)
