"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.runtime.interpreter.core import Array, floats, layer
from tests.runtime.interpreter.elements import activate


def _bounded(v: Array) -> Array:
    return np.clip(v, -50, 50)


def _vectors(v: Array) -> Array:
    """[Seq, Batch, size, 1, 1] as [Seq, Batch, size]."""
    return v.reshape(*v.shape[:2], -1)


def _answer(steps: list[Array], states: Sequence[Array], whole: bool) -> list[Array]:
    ends = [state[None, ..., None, None] for state in states]
    return [np.stack(steps)[..., None, None] if whole else ends[0], *ends]


def _weights(p: Any, gate: str, size: int, kind: str) -> Array:
    return floats(getattr(p, f"{gate}{kind}")).reshape(size, -1)


@layer("simpleRecurrent")
def simple_recurrent(p: Any, x: list[Array]) -> Any:
    size, sequence = p.outputVectorSize, _vectors(x[0])
    w, r = floats(p.weightMatrix).reshape(size, -1), floats(p.recursionMatrix).reshape(size, -1)
    b = floats(p.biasVector) if p.hasBiasVector else 0.0
    h = _vectors(x[1])[0] if len(x) > 1 else np.zeros((sequence.shape[1], size))
    steps = []
    for v in sequence[::-1] if p.reverseInput else sequence:
        h = activate(p.activation, _bounded(v @ w.T + h @ r.T + b))
        steps.append(h)
    return _answer(steps, [h], p.sequenceOutput)


@layer("gru")
def gru(p: Any, x: list[Array]) -> Any:
    size, sequence = p.outputVectorSize, _vectors(x[0])
    h = _vectors(x[1])[0] if len(x) > 1 else np.zeros((sequence.shape[1], size))
    steps = []

    def total(gate: str, v: Array, state: Array) -> Array:
        y = v @ _weights(p, gate, size, "WeightMatrix").T + state @ _weights(p, gate, size, "RecursionMatrix").T
        return _bounded(y + floats(getattr(p, f"{gate}BiasVector")) if p.hasBiasVectors else y)

    for v in sequence[::-1] if p.reverseInput else sequence:
        z = activate(p.activations[0], total("updateGate", v, h))
        r = activate(p.activations[0], total("resetGate", v, h))
        o = activate(p.activations[1], total("outputGate", v, r * h))
        h = (1 - z) * o + z * h
        steps.append(h)
    return _answer(steps, [h], p.sequenceOutput)


def _lstm(p: Any, activations: Any, w: Any, sequence: Array, states: list[Array]) -> tuple[list[Array], Array, Array]:
    options, size = p.params, p.outputVectorSize
    h, c = states
    clip_at = options.cellClipThreshold or 50.0
    steps = []

    def total(gate: str, v: Array, h: Array, c: Array | None) -> Array:
        y = v @ _weights(w, gate, size, "WeightMatrix").T + h @ _weights(w, gate, size, "RecursionMatrix").T
        if options.hasBiasVectors:
            y = y + floats(getattr(w, f"{gate}BiasVector"))
        if options.hasPeepholeVectors and c is not None:
            y = y + c * floats(getattr(w, f"{gate}PeepholeVector"))
        return _bounded(y)

    for v in sequence:
        i = activate(activations[0], total("inputGate", v, h, c))
        f = 1 - i if options.coupledInputAndForgetGate else activate(activations[0], total("forgetGate", v, h, c))
        z = activate(activations[1], total("blockInput", v, h, None))
        c = np.clip(f * c + i * z, -clip_at, clip_at)
        o = activate(activations[0], total("outputGate", v, h, c))
        h = o * activate(activations[2], c)
        steps.append(h)
    return steps, h, c


def _states(p: Any, x: list[Array], start: int) -> list[Array]:
    if len(x) > 1:
        return [_vectors(v)[0] for v in x[start : start + 2]]
    return [np.zeros((x[0].shape[1], p.outputVectorSize))] * 2


@layer("uniDirectionalLSTM")
def uni_directional_lstm(p: Any, x: list[Array]) -> Any:
    sequence = _vectors(x[0])[::-1] if p.reverseInput else _vectors(x[0])
    steps, h, c = _lstm(p, p.activations, p.weightParams, sequence, _states(p, x, 1))
    return _answer(steps, [h, c], p.params.sequenceOutput)


@layer("biDirectionalLSTM")
def bi_directional_lstm(p: Any, x: list[Array]) -> Any:
    sequence = _vectors(x[0])
    steps, h, c = _lstm(p, p.activationsForwardLSTM, p.weightParams[0], sequence, _states(p, x, 1))
    turned, h_back, c_back = _lstm(p, p.activationsBackwardLSTM, p.weightParams[1], sequence[::-1], _states(p, x, 3))
    both = [np.concatenate(pair, -1) for pair in zip(steps, turned[::-1], strict=True)]
    ends = [state[None, ..., None, None] for state in (h, c, h_back, c_back)]
    whole = np.stack(both)[..., None, None]
    return [whole if p.params.sequenceOutput else np.concatenate([ends[0], ends[2]], 2), *ends]
