"""Long short-term memories, in one direction and in two; see `recurrent.py` for shapes and order.

ONNX LSTM does not limit its cell, Core ML does (cellClipThreshold). Where no sequence of that length can reach it,
ONNX computes the whole. Where one can, ONNX computes chunks, and what it says holds if the cell is small enough at the
start of each; else the steps are written out.

forgetBias adds nothing, whatever Apple's documentation says: coremltools' Keras converter set it beside biases that
held the 1 already, and its models give what their Keras originals give only so (tests/runtime/test_corpus_peers.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Array, Builder, Layer, Tensor, lowers
from mlexplorer.layers.recurrent import LIMIT, Activation, activations, arguments, onnx_attributes, results
from mlexplorer.layers.slicing import backwards

_GATES = ("inputGate", "outputGate", "forgetGate", "blockInput")
"""ONNX's order: input, output, forget, cell."""
_PEEPHOLES = _GATES[:3]


@dataclass(frozen=True)
class _Weights:
    """W [sides, 4 * size, input size], R [sides, 4 * size, size], b [sides, 8 * size], peepholes [sides, 3 * size]."""

    matrix: Any
    recursion: Any
    bias: Any
    peepholes: Any


@lowers("uniDirectionalLSTM", inputs=(1, 3))
def uni_directional_lstm(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """A long short-term memory (UniDirectionalLSTMLayerParams, LSTMParams; ONNX LSTM).

    Inputs x, h, c; outputs y, h, c.
    """
    params = layer.params
    functions = activations(params.activations, 3)
    sequence, states = arguments(build, layer, x, 2)
    if params.reverseInput:
        sequence = backwards(build, sequence, [0])
    weights = _weights(build, layer, ("weightParams",))
    y, h, c = _one_direction(build, layer, sequence, states, weights, functions)
    return results(build, y, (h, c), params.params.sequenceOutput)


@lowers("biDirectionalLSTM", inputs=(1, 5))
def bi_directional_lstm(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Two of them, forward and backward, their outputs side by side (BiDirectionalLSTMLayerParams; ONNX LSTM).

    Inputs x, h, c, h backward, c backward; outputs y, h, c, h backward, c backward. y, [Seq, Batch, 2 * size, 1, 1],
    holds for each place of the sequence what both say there; without sequenceOutput, what each says at its own end.
    """
    params = layer.params
    forward = activations(params.activationsForwardLSTM, 3)
    backward = activations(params.activationsBackwardLSTM, 3)
    if len(params.weightParams) != 2:
        raise ModelError(f"there are {len(params.weightParams)} weightParams; there must be two")
    sequence, states = arguments(build, layer, x, 4)
    prefixes = ("weightParams[0]", "weightParams[1]")
    if all(_is_safe(sequence.shape[0], states, params, functions) for functions in (forward, backward)):
        both = [build.op("Concat", states[i], states[i + 2], axis=0) for i in (0, 1)] if states else []
        weights = _weights(build, layer, prefixes)
        y, h, c = _onnx(build, layer, sequence, both, weights, [*forward, *backward], direction="bidirectional")
        h, h_back = build.op("Split", h, [1, 1], outputs=2, axis=0)
        c, c_back = build.op("Split", c, [1, 1], outputs=2, axis=0)
    else:
        first = _weights(build, layer, prefixes[:1])
        y, h, c = _one_direction(build, layer, sequence, states[:2], first, forward)
        second = _weights(build, layer, prefixes[1:])
        turned = backwards(build, sequence, [0])
        y_back, h_back, c_back = _one_direction(build, layer, turned, states[2:], second, backward)
        y = build.op("Concat", y, backwards(build, y_back, [0]), axis=1)
    ends = [build.reshape(state, [*state.shape, 1, 1]) for state in (h, c, h_back, c_back)]
    if not params.params.sequenceOutput:
        return build.op("Concat", ends[0], ends[2], axis=2), *ends
    steps, _, batch, size = y.shape
    return build.reshape(build.transpose(y, [0, 2, 1, 3]), [steps, batch, 2 * size, 1, 1]), *ends


def _threshold(params: Any) -> float:
    return float(params.params.cellClipThreshold) or LIMIT


def _most(functions: Sequence[Activation]) -> float:
    """The most that a step can add to the cell: gates times block input, as far as those are bounded."""
    return _bound(functions[0]) * _bound(functions[1])


def _bound(function: Activation) -> float:
    name, numbers = function
    if name == "ScaledTanh":
        return abs(numbers[0])
    return 1.0 if name in ("Tanh", "Sigmoid", "HardSigmoid") else inf


def _may_grow(params: Any, functions: Sequence[Activation]) -> bool:
    """Whether what a step keeps of the cell may be more than the cell was."""
    gates = functions[0]
    if params.params.coupledInputAndForgetGate:  # it keeps one minus the input gate
        return gates[0] not in ("Sigmoid", "HardSigmoid")
    return _bound(gates) > 1


def _is_safe(steps: int, states: Sequence[Any], params: Any, functions: Sequence[Activation]) -> bool:
    """Whether no sequence of that length can bring the cell to its limit."""
    return not states and not _may_grow(params, functions) and steps * _most(functions) <= _threshold(params)


def _one_direction(
    build: Builder,
    layer: Layer,
    sequence: Tensor,
    states: Sequence[Any],
    weights: _Weights,
    functions: Sequence[Activation],
) -> tuple[Any, Any, Any]:
    """All outputs [Seq, 1, Batch, size], h and c [1, Batch, size], with the cell limited.

    A chunk is short enough for ONNX where its first cell lies within half of the limit.
    """
    if _is_safe(sequence.shape[0], states, layer.params, functions):
        y, h, c = _onnx(build, layer, sequence, states, weights, functions)
        return y, h, c
    steps, most, limit = sequence.shape[0], _most(functions), _threshold(layer.params)
    length = int(limit / 2 / most) if 0 < most < inf else 0 if most else steps
    if _may_grow(layer.params, functions) or not length:
        return _written_out(build, layer, sequence, states, weights, functions)
    parts, cells, ends = [], [], list(states)
    for start in range(0, steps, length):
        chunk = build.op("Slice", sequence, [start], [min(start + length, steps)], [0])
        cells += ends[1:]
        y, *ends = _onnx(build, layer, chunk, ends, weights, functions)
        parts.append(y)
    whole = build.op("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]
    first_cells = build.op("Concat", *cells, axis=0) if len(cells) > 1 else cells[0]
    largest = build.op("ReduceMax", build.op("Abs", first_cells), keepdims=0)
    y, h, c = build.choose(
        build.op("LessOrEqual", largest, limit / 2),
        lambda: (whole, *ends),
        lambda: _written_out(build, layer, sequence, states, weights, functions),
    )
    return y, h, c


def _weights(build: Builder, layer: Layer, prefixes: Sequence[str]) -> _Weights:
    params, sides = layer.params.params, len(prefixes)

    def fields(gates: Sequence[str], kind: str) -> list[str]:
        return [f"{prefix}.{gate}{kind}" for prefix in prefixes for gate in gates]

    def stacked(*gates: Array) -> Array:
        return np.concatenate(gates).reshape(sides, -1, *gates[0].shape[1:])

    def biases(*gates: Array) -> Array:
        given = stacked(*gates)
        return np.concatenate([given, np.zeros_like(given)], axis=1)

    bias: Any = None
    if params.hasBiasVectors:
        bias = build.weight(layer, *fields(_GATES, "BiasVector"), combine=biases)
    peepholes: Any = None
    if params.hasPeepholeVectors:
        peepholes = build.weight(layer, *fields(_PEEPHOLES, "PeepholeVector"), combine=stacked)
    return _Weights(
        build.weight(layer, *fields(_GATES, "WeightMatrix"), combine=stacked),
        build.weight(layer, *fields(_GATES, "RecursionMatrix"), combine=stacked),
        bias,
        peepholes,
    )


def _onnx(
    build: Builder,
    layer: Layer,
    sequence: Tensor,
    states: Sequence[Any],
    weights: _Weights,
    functions: Sequence[Activation],
    direction: str = "forward",
) -> Any:
    return build.op(
        "LSTM",
        sequence,
        weights.matrix,
        weights.recursion,
        weights.bias,
        None,
        *(states or (None, None)),
        weights.peepholes,
        outputs=3,
        direction=direction,
        input_forget=int(layer.params.params.coupledInputAndForgetGate),
        **onnx_attributes(layer.params, functions),
    )


def _written_out(
    build: Builder,
    layer: Layer,
    sequence: Tensor,
    states: Sequence[Any],
    weights: _Weights,
    functions: Sequence[Activation],
) -> tuple[Any, Any, Any]:
    """As `_one_direction`, step by step."""
    (steps, batch, inputs), size = sequence.shape, int(layer.params.outputVectorSize)
    coupled, limit = layer.params.params.coupledInputAndForgetGate, _threshold(layer.params)
    matrix = build.reshape(weights.matrix, [4 * size, inputs])
    recursion = build.reshape(weights.recursion, [4 * size, size])
    bias = build.op("Slice", weights.bias, [0], [4 * size], [1]) if weights.bias is not None else None
    seen = build.op("Gemm", build.reshape(sequence, [steps * batch, inputs]), matrix, bias, transB=1)
    peepholes: Sequence[Any] = ()
    if weights.peepholes is not None:
        peepholes = build.op("Split", weights.peepholes, [size] * 3, outputs=3, axis=1)
    zero = build.constant(np.zeros((batch, size), np.float32))
    first = [build.reshape(state, [batch, size]) for state in states] if states else [zero, zero]

    def step(state: Sequence[Any], moment: Any) -> tuple[Sequence[Any], Any]:
        h, c = state

        def gate(value: Any, function: Activation, peephole: int | None = None) -> Any:
            if peepholes and peephole is not None:
                value = build.op("Add", value, build.op("Mul", peepholes[peephole], c))
            return _activate(build, _limited(build, value, LIMIT), function)

        sums = build.op("Add", moment, build.op("Gemm", h, recursion, transB=1))
        into, out, keep, block = build.op("Split", sums, [size] * 4, outputs=4, axis=1)
        into = gate(into, functions[0], 0)
        keep = build.op("Sub", 1.0, into) if coupled else gate(keep, functions[0], 2)
        block = gate(block, functions[1])
        c = build.op("Add", build.op("Mul", keep, c), build.op("Mul", into, block))
        c = _limited(build, c, limit)
        h = build.op("Mul", gate(out, functions[0], 1), _activate(build, c, functions[2]))
        return (h, c), h

    (h, c), y = build.scan(step, first, build.reshape(seen, [steps, batch, 4 * size]))
    return (
        build.reshape(y, [steps, 1, batch, size]),
        build.reshape(h, [1, batch, size]),
        build.reshape(c, [1, batch, size]),
    )


def _limited(build: Builder, x: Any, limit: float) -> Any:
    return build.op("Clip", x, -limit, limit)


def _activate(build: Builder, x: Any, function: Activation) -> Any:
    name, numbers = function
    if name == "Affine":
        return build.op("Add", build.op("Mul", x, numbers[0]), numbers[1])
    if name == "ScaledTanh":
        return build.op("Mul", build.op("Tanh", build.op("Mul", x, numbers[1])), numbers[0])
    if name == "HardSigmoid":
        return build.op("HardSigmoid", x, alpha=numbers[0], beta=numbers[1])
    return build.op(name, x)
