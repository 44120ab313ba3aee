"""Room for results whose shape lies in the values of an input: asked for before onnxruntime allocates anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import ModelError
from mlexplorer.graph import Node
from mlexplorer.layers.limits import require_room

Array = NDArray[Any]
_Shape = Callable[[Any, Sequence[Array]], list[float]]


def _range(params: Any, x: Sequence[Array]) -> list[float]:
    numbers = [float(values.reshape(-1)[0]) for values in x]
    numbers += [float(params.startValue), float(params.stepSizeValue)][len(x) - 1 :]
    return [max(0.0, (numbers[0] - numbers[1]) / numbers[2])]


def _padded(params: Any, x: Sequence[Array]) -> list[float]:
    amounts = x[1].reshape(-1, 2).astype(np.float64)
    lengths = np.array(x[0].shape, np.float64)
    padded = np.maximum(amounts.max(1), lengths) if params.padToGivenOutputSizeMode else amounts.sum(1) + lengths
    return [float(n) for n in padded]


_SHAPES: dict[str, tuple[tuple[int, ...], _Shape]] = {
    "broadcastToDynamic": ((1,), lambda params, x: x[1].reshape(-1).tolist()),
    "constantPad": ((1,), _padded),
    "fillDynamic": ((0,), lambda params, x: x[0].reshape(-1).tolist()),
    "oneHot": ((1,), lambda params, x: [x[0].size, *x[1].reshape(-1).tolist()]),
    "rangeDynamic": ((0, 1, 2), _range),
    "tile": ((1,), lambda params, x: [x[0].size, *x[1].reshape(-1).tolist()]),
}
"""The inputs that say how large a result becomes, and the numbers whose product it is."""


def sizing_inputs(node: Node) -> tuple[int, ...]:
    """The positions of the inputs whose values say how large a layer's result becomes."""
    positions, _ = _SHAPES.get(node.type, ((), None))
    return tuple(position for position in positions if position < len(node.inputs))


def check_room(node: Node, inputs: Sequence[Array]) -> None:
    """Raise ModelError where these inputs ask a layer for more than can be computed (see `layers.limits`).

    Inputs that make no sense at all pass: the layer says what they should be.
    """
    if not sizing_inputs(node):
        return
    try:
        shape = [ceil(n) for n in _SHAPES[node.type][1](node.params, inputs)]
    except (ValueError, ArithmeticError, LookupError):
        return
    try:
        require_room(shape)
    except ModelError as error:
        raise ModelError(f"layer {node.name!r} ({node.type}): {error}") from error
