"""Recurrent networks: LSTM, GRU and RNN, in one direction or two.

Core ML's sequences are [steps, batch, size, 1, 1] and its states [1, batch, size, 1, 1]; a layer that runs from the end
gives its outputs in the order in which it computes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.padding import sliced
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Array

_UNLIMITED = 500_000.0
"""The cell's limit where there is none: 0 would mean 50. coremltools' own default."""

_MOST_STEPS = 256
"""Of a GRU that must be written out step by step."""

_ACTIVATIONS: dict[str, tuple[str, dict[str, float]]] = {
    "Relu": ("ReLU", {}),
    "Tanh": ("tanh", {}),
    "Sigmoid": ("sigmoid", {}),
    "Affine": ("linear", {"alpha": 1.0, "beta": 0.0}),
    "ScaledTanh": ("scaledTanh", {"alpha": 1.0, "beta": 1.0}),
    "HardSigmoid": ("sigmoidHard", {"alpha": 0.2, "beta": 0.5}),
}
_LSTM_GATES = ("inputGate", "outputGate", "forgetGate", "blockInput")
_PEEPHOLES = ("inputGate", "outputGate", "forgetGate")
_GRU_GATES = ("updateGate", "resetGate", "outputGate")

Message = dict[str, Any]
Ends = tuple[str, list[str]]
"""What a direction gives: its outputs [steps, batch, size, 1, 1] in the order of the sequence, and its last states."""


@dataclass(frozen=True)
class _Direction:
    """One direction: W [gates * size, inputs], R [gates * size, size], both biases [gates * size], activations."""

    index: int
    backward: bool
    size: int
    matrix: Array
    recursion: Array
    input_bias: Array
    state_bias: Array
    activations: list[Message]

    def gates(self, names: Sequence[str]) -> dict[str, Array]:
        """The fields of the gates in ONNX's order, the two biases added up."""
        fields: dict[str, Array] = {}
        bias = self.input_bias + self.state_bias
        for kind, array in (("WeightMatrix", self.matrix), ("RecursionMatrix", self.recursion), ("BiasVector", bias)):
            for name, part in zip(names, np.split(array, len(names)), strict=True):
                fields[f"{name}{kind}"] = np.ascontiguousarray(part)
        return fields


@converts("LSTM")
def lstm(node: Node) -> Sequence[str]:
    """Long short-term memories, with peepholes and coupled gates; without a limit to the cell."""
    directions = _directions(node, 4, ["Sigmoid", "Tanh", "Tanh"])
    peepholes = node.weight(7, "the peepholes") if node.has(7) else None
    params = {
        "sequenceOutput": True,
        "hasBiasVectors": True,
        "hasPeepholeVectors": peepholes is not None,
        "coupledInputAndForgetGate": bool(node.attribute("input_forget", 0)),
        "cellClipThreshold": _UNLIMITED,
    }

    def weights(way: _Direction) -> dict[str, Array]:
        fields = way.gates(_LSTM_GATES)
        if peepholes is not None:
            for name, part in zip(_PEEPHOLES, np.split(peepholes[way.index], 3), strict=True):
                fields[f"{name}PeepholeVector"] = np.ascontiguousarray(part)
        return fields

    sizes: Message = {
        "inputVectorSize": directions[0].matrix.shape[1],
        "outputVectorSize": directions[0].size,
        "params": params,
    }
    if len(directions) == 2:
        states = [state for way in directions for state in _states(node, way, (5, 6))]
        y, h, c, h_back, c_back = node.add_many(
            5,
            "biDirectionalLSTM",
            _sequence(node),
            *states,
            **sizes,
            activationsForwardLSTM=directions[0].activations,
            activationsBackwardLSTM=directions[1].activations,
            weightParams=[weights(way) for way in directions],
        )
        steps, batch = _extent(node)
        y = node.reshape(y, (steps, batch, 2 * directions[0].size, 1, 1), (steps, batch, 2, directions[0].size))
        return _outputs(node, node.transpose(y, [0, 2, 1, 3]), [[h, c], [h_back, c_back]])

    def layer(way: _Direction) -> Ends:
        y, *ends = node.add_many(
            3,
            "uniDirectionalLSTM",
            _sequence(node),
            *_states(node, way, (5, 6)),
            **sizes,
            activations=way.activations,
            weightParams=weights(way),
            reverseInput=way.backward,
        )
        return _turned(node, y, way), ends

    return _joined(node, [layer(way) for way in directions])


@converts("GRU")
def gru(node: Node) -> Sequence[str]:
    """Gated recurrent units; where the reset gate acts behind R (linear_before_reset), step by step."""
    directions = _directions(node, 3, ["Sigmoid", "Tanh"])
    written_out = bool(node.attribute("linear_before_reset", 0))

    def layer(way: _Direction) -> Ends:
        if written_out:
            return _gru_steps(node, way)
        y, h = node.add_many(
            2,
            "gru",
            _sequence(node),
            *_states(node, way, (5,)),
            inputVectorSize=way.matrix.shape[1],
            outputVectorSize=way.size,
            activations=way.activations,
            sequenceOutput=True,
            hasBiasVectors=True,
            **way.gates(_GRU_GATES),
            reverseInput=way.backward,
        )
        return _turned(node, y, way), [h]

    return _joined(node, [layer(way) for way in directions])


@converts("RNN")
def rnn(node: Node) -> Sequence[str]:
    """The recurrence f(W x + R h + b)."""

    def layer(way: _Direction) -> Ends:
        y, h = node.add_many(
            2,
            "simpleRecurrent",
            _sequence(node),
            *_states(node, way, (5,)),
            inputVectorSize=way.matrix.shape[1],
            outputVectorSize=way.size,
            activation=way.activations[0],
            sequenceOutput=True,
            hasBiasVector=True,
            weightMatrix=way.matrix,
            recursionMatrix=way.recursion,
            biasVector=way.input_bias + way.state_bias,
            reverseInput=way.backward,
        )
        return _turned(node, y, way), [h]

    return _joined(node, [layer(way) for way in _directions(node, 1, ["Tanh"])])


def _directions(node: Node, gates: int, functions: list[str]) -> list[_Direction]:
    """The directions with their weights; raises UnsupportedError for what Core ML's layers cannot do."""
    way = node.attribute("direction", "forward")
    backward = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}.get(way)
    if backward is None:
        raise ModelError(f"direction cannot be {way!r}")
    if node.has(4) and set(node.known(4, "the lengths of the sequences").tolist()) != {_extent(node)[0]}:
        raise UnsupportedError("its sequences have lengths of their own (sequence_lens); Core ML's all have the same")
    if "clip" in node.attributes:
        raise UnsupportedError(f"it limits the sums within it to {node.attributes['clip']} (clip)")
    matrix, recursion = node.weight(1, "W"), node.weight(2, "R")
    count, size = len(backward), node.attribute("hidden_size", recursion.shape[-1])
    inputs = node.input().shape[-1]
    if matrix.shape != (count, gates * size, inputs) or recursion.shape != (count, gates * size, size):
        raise ModelError(f"W and R have the shapes {list(matrix.shape)} and {list(recursion.shape)}, which do not fit")
    bias = node.weight(3, "B") if node.has(3) else np.zeros((count, 2 * gates * size), np.float32)
    if bias.shape != (count, 2 * gates * size):
        raise ModelError(f"B has the shape {list(bias.shape)}; it must be {[count, 2 * gates * size]}")
    activations = _activations(node, functions * count)
    each = len(functions)
    return [
        _Direction(
            index,
            turned,
            size,
            matrix[index],
            recursion[index],
            bias[index, : gates * size],
            bias[index, gates * size :],
            activations[index * each : (index + 1) * each],
        )
        for index, turned in enumerate(backward)
    ]


def _activations(node: Node, default: list[str]) -> list[Message]:
    """The activations as messages; alphas and betas go, in turn, to those that have them."""
    names = node.attribute("activations", default)
    if len(names) != len(default):
        raise ModelError(f"there are {len(names)} activations; there must be {len(default)}")
    numbers = {key: iter(node.attribute(f"activation_{key}", [])) for key in ("alpha", "beta")}
    messages: list[Message] = []
    for name in names:
        kind, defaults = _ACTIVATIONS.get(name.capitalize() if name.islower() else name, ("", {}))
        if not kind:
            raise UnsupportedError(f"its activation is {name!r}; Core ML's recurrent layers have {list(_ACTIVATIONS)}")
        messages.append({kind: {key: float(next(numbers[key], value)) for key, value in defaults.items()}})
    return messages


def _extent(node: Node) -> tuple[int, int]:
    """Steps and batch."""
    steps, batch = node.input().shape[:2]
    return (batch, steps) if node.attribute("layout", 0) else (steps, batch)


def _sequence(node: Node) -> str:
    blob = node.transpose(node.blob(), [1, 0, 2]) if node.attribute("layout", 0) else node.blob()
    return node.add("expandDims", blob, axes=[3, 4])


def _states(node: Node, way: _Direction, inputs: Sequence[int]) -> list[str]:
    """The first states of a direction [1, batch, size, 1, 1]: all of them, or none where the node has none."""
    if not any(node.has(index) for index in inputs):
        return []
    batch, blobs = _extent(node)[1], []
    shape = (1, batch, way.size)
    for index in inputs:
        if not node.has(index):
            blob = node.load(np.zeros(shape, np.float32))
        else:
            blob = node.blob(index)
            if node.attribute("layout", 0):
                blob = node.transpose(blob, [1, 0, 2])
            count = node.input(index).shape[1 if node.attribute("layout", 0) else 0]
            if count > 1:
                blob = sliced(node, blob, [(way.index, way.index + 1, 1), (0, batch, 1), (0, way.size, 1)])
        blobs.append(node.add("expandDims", blob, axes=[3, 4]))
    return blobs


def _turned(node: Node, blob: str, way: _Direction) -> str:
    return node.add("reverse", blob, reverseDim=[True, *[False] * 4]) if way.backward else blob


def _joined(node: Node, ends: Sequence[Ends]) -> Sequence[str]:
    steps, batch = _extent(node)
    size = node.attribute("hidden_size", node.input(2).shape[-1])
    sequences = [node.reshape(y, (steps, batch, size, 1, 1), (steps, 1, batch, size)) for y, _ in ends]
    y = sequences[0] if len(sequences) == 1 else node.add("concatND", *sequences, axis=1)
    return _outputs(node, y, [states for _, states in ends])


def _outputs(node: Node, y: str, states: Sequence[Sequence[str]]) -> list[str]:
    """ONNX's outputs from [steps, directions, batch, size] and the states [1, batch, size, 1, 1] of each direction."""
    by_batch = bool(node.attribute("layout", 0))
    batch, size = _extent(node)[1], node.attribute("hidden_size", node.input(2).shape[-1])
    results = [node.transpose(y, [2, 0, 1, 3]) if by_batch else y]
    for kind in range(len(states[0])):
        ends = [node.reshape(way[kind], (1, batch, size, 1, 1), (1, batch, size)) for way in states]
        blob = ends[0] if len(ends) == 1 else node.add("concatND", *ends, axis=0)
        results.append(node.transpose(blob, [1, 0, 2]) if by_batch else blob)
    return results


def _gru_steps(node: Node, way: _Direction) -> Ends:
    """A GRU whose reset gate acts behind R: n = g(W x + wb + r (R h + rb)), h = (1 - z) n + z h.

    Core ML's layer has it before R; so all that depends on x alone is one product, and the rest is written out.
    """
    (steps, batch), size = _extent(node), way.size
    if steps > _MOST_STEPS:
        raise UnsupportedError(
            f"its reset gate acts behind R (linear_before_reset), which Core ML's layer cannot; it would have to be "
            f"written out for {steps} steps, and {_MOST_STEPS} are the most"
        )
    x = node.transpose(node.blob(), [1, 0, 2]) if node.attribute("layout", 0) else node.blob()
    inputs = way.matrix.shape[1]
    bias = way.input_bias.copy()
    bias[: 2 * size] += way.state_bias[: 2 * size]
    seen = node.add(
        "innerProduct", x, inputChannels=inputs, outputChannels=3 * size, hasBias=True, weights=way.matrix, bias=bias
    )
    moments = (
        [seen] if steps == 1 else node.add_many(steps, "splitND", seen, axis=0, numSplits=steps, splitSizes=[1] * steps)
    )
    recursion = node.load(np.ascontiguousarray(way.recursion.T))
    rest = node.load(way.state_bias[2 * size :])
    initial = _states(node, way, (5,))
    h = (
        node.reshape(initial[0], (1, batch, size, 1, 1), (1, batch, size))
        if initial
        else node.load(np.zeros((1, batch, size), np.float32))
    )
    results = []
    for moment in moments[::-1] if way.backward else moments:
        z_x, r_x, n_x = node.add_many(3, "splitND", moment, axis=2, numSplits=3, splitSizes=[size] * 3)
        product = node.add("batchedMatmul", h, recursion)
        z_h, r_h, n_h = node.add_many(3, "splitND", product, axis=2, numSplits=3, splitSizes=[size] * 3)
        z, r = (
            node.add("activation", node.add("addBroadcastable", a, b), **way.activations[0])
            for a, b in ((z_x, z_h), (r_x, r_h))
        )
        gated = node.add("multiplyBroadcastable", r, node.add("addBroadcastable", n_h, rest))
        n = node.add("activation", node.add("addBroadcastable", n_x, gated), **way.activations[1])
        change = node.add("multiplyBroadcastable", z, node.add("subtractBroadcastable", h, n))
        h = node.add("addBroadcastable", n, change)
        results.append(h)
    ordered = results[::-1] if way.backward else results
    y = ordered[0] if steps == 1 else node.add("concatND", *ordered, axis=0)
    expanded = node.add("expandDims", y, axes=[3, 4])
    return expanded, [node.add("expandDims", h, axes=[3, 4])]
