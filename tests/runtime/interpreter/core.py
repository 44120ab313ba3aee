"""The walk through a network's layers, and what the functions for layer types share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Evaluate = Callable[[Any, list[Array]], Any]

LAYERS: dict[str, Evaluate] = {}
EXACT: set[str] = set()
"""Layer types that only move values, or give whole numbers: they add no rounding."""

_MAGNIFY = {"batchnorm", "layerNormalization", "mvn"}
"""Layer types that magnify roundings of values that are all the same."""

_TINY = 1e-4
_VANISHING = float(np.finfo(np.float32).tiny)


class Fragile(Exception):
    """A result hangs on a difference so small that rounding could turn it."""


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def run(network: Any, blobs: dict[str, Array], noise: np.random.Generator | None = None) -> None:
    """Run the layers of a network message on float64 blobs, which are overwritten and added to.

    `noise` adds relative errors of 1e-5 to the result of each layer that rounds. Raises Fragile.
    """
    for layer in network.layers:
        run_layer(layer, blobs, noise)


def run_layer(layer: Any, blobs: dict[str, Array], noise: np.random.Generator | None = None) -> None:
    """Run one layer message; see `run`."""
    kind = layer.WhichOneof("layer")
    params = getattr(layer, kind)
    if kind == "branch":
        side = params.ifBranch if _truth(blobs[layer.input[0]]) else params.elseBranch
        run(side, blobs, noise)
    elif kind == "loop":
        _loop(layer, params, blobs, noise)
    elif kind == "loopBreak":
        raise _Break
    elif kind == "loopContinue":
        raise _Continue
    else:
        inputs = [blobs[name] for name in layer.input]
        if noise is not None and kind in _MAGNIFY:
            inputs = [x * (1 + 3e-7 * noise.choice([-1.0, 1.0], x.shape)) for x in inputs]
        with np.errstate(all="ignore"):
            results = LAYERS[kind](params, inputs)
        results = results if isinstance(results, list | tuple) else [results]
        for name, result in zip(layer.output, results, strict=True):
            array = np.array(result, np.float64, order="C")  # a copy: torch takes no negative strides
            array = array.reshape(1) if array.ndim == 0 else array
            if noise is not None and kind not in EXACT:
                array = array * (1 + 1e-5 * noise.choice([-1.0, 1.0], array.shape))
            if ((array != 0) & (np.abs(array) < _VANISHING)).any():
                raise Fragile("a number that float32 has not")
            blobs[name] = array


def _loop(layer: Any, params: Any, blobs: dict[str, Array], noise: Any) -> None:
    limit = int(blobs[layer.input[0]].ravel()[0]) if layer.input else params.maxLoopIterations or 1 << 62
    for _ in range(limit):
        if params.conditionVar:
            run(params.conditionNetwork, blobs, noise)
            if not _truth(blobs[params.conditionVar]):
                break
        try:
            run(params.bodyNetwork, blobs, noise)
        except _Break:
            break
        except _Continue:
            continue


def _truth(values: Array) -> bool:
    value = abs(float(values.ravel()[0]))
    if 1e-8 < value < 1e-4:
        raise Fragile("a condition")
    return value > 1e-6


def layer(*kinds: str, exact: bool = False) -> Callable[[Evaluate], Evaluate]:
    """Register the function (parameter message, inputs) -> output or list of outputs."""

    def register(function: Evaluate) -> Evaluate:
        LAYERS.update(dict.fromkeys(kinds, function))
        if exact:
            EXACT.update(kinds)
        return function

    return register


def steady(distances: Any) -> None:
    """Raise Fragile where a distance from where a function jumps is small, but not zero."""
    d = np.abs(np.asarray(distances))
    if ((d > 0) & (d < _TINY)).any():
        raise Fragile("close to a jump")


def floats(message: Any) -> Array:
    return np.array(message.floatValue, np.float64)


def pair_of(values: Any, default: int) -> list[int]:
    return [int(v) for v in values] or [default, default]


def borders(padding: Any) -> list[list[int]]:
    return [[e.startEdgeSize, e.endEdgeSize] for e in padding.paddingAmounts.borderAmounts] or [[0, 0], [0, 0]]


def per_channel(values: Array) -> Array:
    return values[:, None, None]
