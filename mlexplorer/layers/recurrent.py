"""Recurrent layers: simpleRecurrent and gru, and what they share with the LSTMs of `lstm.py`.

Sequences are [Seq, Batch, size, 1, 1], states [1, Batch, size, 1, 1]. A layer gives its outputs, all of them or the
last, in the order in which it processes the sequence, and its last states. All sums that enter an activation are
limited to [-50, 50].
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Array, Builder, Layer, Tensor, lowers
from mlexplorer.layers.slicing import backwards

LIMIT = 50.0
_GRU_GATES = ("updateGate", "resetGate", "outputGate")
_ACTIVATIONS: dict[str, tuple[str, tuple[float, ...]]] = {
    "linear": ("Affine", (1.0, 0.0)),
    "ReLU": ("Relu", ()),
    "tanh": ("Tanh", ()),
    "scaledTanh": ("ScaledTanh", (1.0, 1.0)),
    "sigmoid": ("Sigmoid", ()),
    "sigmoidHard": ("HardSigmoid", (0.2, 0.5)),
}
"""ONNX's names, and the alpha and beta of a message that leaves both unset, which is how coremltools writes them.

Its tests take such a scaledTanh for a tanh.
"""

Activation = tuple[str, tuple[float, ...]]


@lowers("simpleRecurrent", inputs=(1, 2))
def simple_recurrent(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The recurrence h = f(W x + R h + b) (SimpleRecurrentLayerParams; ONNX RNN). Inputs x, h; outputs y, h."""
    params = layer.params
    sequence, states = arguments(build, layer, x, 1)
    y, h = build.op(
        "RNN",
        backwards(build, sequence, [0]) if params.reverseInput else sequence,
        build.weight(layer, "weightMatrix", combine=_matrices),
        build.weight(layer, "recursionMatrix", combine=_matrices),
        build.weight(layer, "biasVector", combine=_biases) if params.hasBiasVector else None,
        None,
        *states,
        outputs=2,
        **onnx_attributes(params, [_activation(params.activation)]),
    )
    return results(build, y, (h,), params.sequenceOutput)


@lowers("gru", inputs=(1, 2))
def gru(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """A gated recurrent unit whose reset gate acts on the state before R does (GRULayerParams; ONNX GRU).

    Inputs x, h; outputs y, h.
    """
    params = layer.params
    sequence, states = arguments(build, layer, x, 1)

    def gates(kind: str) -> list[str]:
        return [gate + kind for gate in _GRU_GATES]

    y, h = build.op(
        "GRU",
        backwards(build, sequence, [0]) if params.reverseInput else sequence,
        build.weight(layer, *gates("WeightMatrix"), combine=_matrices),
        build.weight(layer, *gates("RecursionMatrix"), combine=_matrices),
        build.weight(layer, *gates("BiasVector"), combine=_biases) if params.hasBiasVectors else None,
        None,
        *states,
        outputs=2,
        linear_before_reset=0,
        **onnx_attributes(params, activations(params.activations, 2)),
    )
    return results(build, y, (h,), params.sequenceOutput)


def arguments(build: Builder, layer: Layer, x: Sequence[Tensor], states: int) -> tuple[Any, list[Any]]:
    """A layer's sequence as [Seq, Batch, input size] and its states as [1, Batch, output size], none or all of them.

    Raises ModelError where their number or their shapes do not fit.
    """
    size, state_size = int(layer.params.inputVectorSize), int(layer.params.outputVectorSize)
    if len(x) not in (1, 1 + states):
        raise ModelError(f"there are {len(x)} inputs; there must be 1 or {1 + states}")
    shape = x[0].shape
    if len(shape) != 5 or prod(shape[2:]) != size:
        raise ModelError(f"the input has the shape {list(shape)}; it must be [Seq, Batch, {size}, 1, 1]")
    if any(prod(state.shape) != shape[1] * state_size for state in x[1:]):
        given = [list(state.shape) for state in x[1:]]
        raise ModelError(f"the states have the shapes {given}; they must be [1, {shape[1]}, {state_size}, 1, 1]")
    sequence = build.reshape(x[0], [*shape[:2], size])
    return sequence, [build.reshape(state, [1, shape[1], state_size]) for state in x[1:]]


def results(build: Builder, y: Tensor, states: Sequence[Tensor], whole: bool) -> Sequence[Any]:
    """A layer's outputs, from ONNX's y [Seq, 1, Batch, size] and states [1, Batch, size].

    The first is all of y, or the first state, which is where it ends.
    """
    steps, _, batch, size = y.shape
    ends = [build.reshape(state, [1, batch, size, 1, 1]) for state in states]
    return [build.reshape(y, [steps, batch, size, 1, 1]) if whole else ends[0], *ends]


def activations(messages: Sequence[Any], count: int) -> list[Activation]:
    """ONNX's names and numbers (alpha and beta, or none) of activations in their order.

    Raises ModelError where there are not `count` of them, UnsupportedError for one that recurrent layers do not have.
    """
    if len(messages) != count:
        raise ModelError(f"there are {len(messages)} activations; there must be {count}")
    return [_activation(message) for message in messages]


def _activation(message: Any) -> Activation:
    kind = message.WhichOneof("NonlinearityType")
    if kind not in _ACTIVATIONS:
        raise UnsupportedError(f"the activation {kind} in a recurrent layer; it must be {', '.join(_ACTIVATIONS)}")
    name, numbers = _ACTIVATIONS[kind]
    given = getattr(message, kind)
    if numbers and (given.alpha or given.beta):
        return name, (float(given.alpha), float(given.beta))
    return name, numbers


def onnx_attributes(params: Any, functions: Sequence[Activation]) -> dict[str, Any]:
    """The attributes that ONNX's RNN, GRU and LSTM share; alpha and beta go, in turn, to functions that have them."""
    attributes: dict[str, Any] = {
        "hidden_size": int(params.outputVectorSize),
        "clip": LIMIT,
        "activations": [name for name, _ in functions],
    }
    numbers = [pair for _, pair in functions if pair]
    if numbers:
        attributes["activation_alpha"] = [alpha for alpha, _ in numbers]
        attributes["activation_beta"] = [beta for _, beta in numbers]
    return attributes


def _matrices(*gates: Array) -> Array:
    return np.concatenate(gates)[None]


def _biases(*gates: Array) -> Array:
    given = np.concatenate(gates)
    return np.concatenate([given, np.zeros_like(given)])[None]
