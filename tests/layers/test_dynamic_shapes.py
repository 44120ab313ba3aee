"""Layers whose results have shapes that only a run can tell, followed by layers that need to know them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.checks import Array
from tests.layers.arrays import normal
from tests.runtime.networks import add, network, run


def floats(*values: float) -> Array:
    return np.array(values, np.float32)


X = normal(3, 4)
CASES: dict[str, tuple[str, dict[str, Any], list[list[Array]], Callable[..., Array]]] = {
    "whereNonZero": (
        "whereNonZero",
        {},
        [[np.sign(X)], [np.maximum(X, 0)], [0 * X]],
        lambda x: np.argwhere(x),
    ),
    "topK": (
        "topK",
        {"axis": -1},
        [[X, floats(2)], [X, floats(3)]],
        lambda x, k: -np.sort(-x, axis=-1)[:, : int(k[0])],
    ),
    "rangeDynamic": (
        "rangeDynamic",
        {},
        [[floats(7), floats(1), floats(2)], [floats(-2), floats(1), floats(-0.5)]],
        lambda end, start, step: np.arange(start[0], end[0], step[0]),
    ),
    "oneHot": (
        "oneHot",
        {"axis": -1, "onValue": 1.0},
        [[floats(0, 2, 1), floats(3)], [floats(0, 2, 1), floats(5)]],
        lambda x, size: np.eye(int(size[0]))[x.astype(int)],
    ),
    "tile": (
        "tile",
        {},
        [[X, floats(2, 3)], [X, floats(1, 2)]],
        lambda x, repeats: np.tile(x, repeats.astype(int)),
    ),
    "constantPad": (
        "constantPad",
        {"value": 1.5},
        [[X, floats(0, 1, 2, 0)], [X, floats(0, 0, 0, 3)]],
        lambda x, pads: np.pad(x, pads.astype(int).reshape(2, 2), constant_values=1.5),
    ),
    "fillDynamic": (
        "fillDynamic",
        {"value": 2.5},
        [[floats(2, 5)], [floats(1, 3)]],
        lambda shape: np.full(shape.astype(int), 2.5),
    ),
    "broadcastToDynamic": (
        "broadcastToDynamic",
        {},
        [[X[:, :1], floats(3, 5)], [X[:, :1], floats(3, 2)]],
        lambda x, shape: np.broadcast_to(x, shape.astype(int)),
    ),
    "reshapeDynamic": (
        "reshapeDynamic",
        {},
        [[X, floats(2, 6)], [X, floats(6, -1)]],
        lambda x, shape: x.reshape(shape.astype(int)),
    ),
    "sliceDynamic": (
        "sliceDynamic",
        {"strides": [1, 1]},
        [[X, floats(0, 1), floats(2, 4)], [X, floats(1, -2), floats(2, 9)]],
        lambda x, begin, end: x[int(begin[0]) : int(end[0]), int(begin[1]) : int(end[1])],
    ),
    "sliceBySize": (
        "sliceBySize",
        {"axis": 1, "size": 2},
        [[X, floats(0)], [X, floats(2)]],
        lambda x, begin: x[:, int(begin[0]) : int(begin[0]) + 2],
    ),
    "sliceDynamic that drops axes": (
        "sliceDynamic",
        {},
        [
            [X, floats(1, 0), floats(3, 3), floats(1, 1), floats(0, 0), floats(0, 0), floats(*mask)]
            for mask in ((0, 0), (1, 0), (0, 1), (1, 1))
        ],
        lambda x, begin, end, strides, begins, ends, mask: np.atleast_1d(
            x[1 if mask[0] else slice(1, 3), 0 if mask[1] else slice(0, 3)]
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_follows_knows_the_shape(case: str) -> None:
    type, fields, feeds, formula = CASES[case]
    model, net = network({f"x{i}": array.shape for i, array in enumerate(feeds[0])}, ["y", "shape", "flat"])
    names = " ".join(f"x{i}" for i in range(len(feeds[0])))
    add(net, type, names, "y indices" if type == "topK" else "y", **fields)
    add(net, "getShape", "y", "shape")
    add(net, "flattenTo2D", "y", "rows", axis=-1)
    add(net, "transpose", "rows", "flat", axes=[1, 0])
    for arrays in feeds:
        y, shape, flat = run(model, {f"x{i}": a for i, a in enumerate(arrays)}, ["y", "shape", "flat"])
        expected = formula(*arrays)
        np.testing.assert_allclose(y, expected, rtol=1e-6)
        assert shape.tolist() == list(expected.shape)
        np.testing.assert_allclose(flat, expected.reshape(-1, expected.shape[-1]).T, rtol=1e-6)
