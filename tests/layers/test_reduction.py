from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal, uniform

AXES = {0: (-3, -2, -1), 1: (-2, -1), 2: (-3,), 3: (-2,), 4: (-1,)}
MODES: dict[int, Callable[[Array, Any], Array]] = {
    0: lambda x, a: x.sum(a, keepdims=True),
    1: lambda x, a: x.mean(a, keepdims=True),
    2: lambda x, a: x.prod(a, keepdims=True),
    3: lambda x, a: np.log(x + 0.125).sum(a, keepdims=True),
    4: lambda x, a: (x**2).sum(a, keepdims=True),
    5: lambda x, a: np.abs(x).sum(a, keepdims=True),
    6: lambda x, a: np.sqrt((x**2).sum(a, keepdims=True)),
    7: lambda x, a: x.max(a, keepdims=True),
    8: lambda x, a: x.min(a, keepdims=True),
    9: lambda x, a: x.argmax(a[0], keepdims=True).astype(np.float64),
}


@pytest.mark.parametrize(("mode", "axis"), [(m, a) for m in MODES for a in AXES if m != 9 or len(AXES[a]) == 1])
def test_reduce(mode: int, axis: int) -> None:
    x = uniform(2, 3, 4, 5)
    x *= 1 if mode == 3 else np.sign(normal(2, 3, 4, 5))
    expected = MODES[mode](x.astype(np.float64), AXES[axis])
    check_layer("reduce", {"mode": mode, "axis": axis, "epsilon": 0.125}, [x], expected[None], exact=False)


@pytest.mark.parametrize(("mode", "axis"), [(m, a) for m in MODES for a in AXES if m != 9 or len(AXES[a]) == 1])
def test_reduce_of_the_lowest_rank_and_by_default(mode: int, axis: int) -> None:
    shape = (3, 4, 5)[AXES[axis][0] :]
    x = uniform(*shape)
    expected = MODES[mode](x.astype(np.float64), AXES[axis])
    if mode == 3:
        expected = np.log(x + 1e-6).sum(AXES[axis], keepdims=True)
    check_layer("reduce", {"mode": mode, "axis": axis}, [x], expected)
    if len(shape) > 1:
        with pytest.raises(ModelError, match="too few axes"):
            run_layer("reduce", {"mode": mode, "axis": axis}, [x[0]])


def test_sums_of_exponentials_do_not_overflow() -> None:
    x = np.array([[90, 91, 92], [-300, -301, -302]], np.float32)
    expected = x[:, 0] + np.log(np.exp(x - x[:, :1], dtype=np.float64).sum(1))
    check_layer("reduceLogSumExp", {"axes": [1]}, [x], expected, tolerance=1e-6)


REDUCTIONS: dict[str, Callable[[Array, Any], Array]] = {
    "reduceSum": lambda x, a: x.sum(a, keepdims=True),
    "reduceMean": lambda x, a: x.mean(a, keepdims=True),
    "reduceProd": lambda x, a: x.prod(a, keepdims=True),
    "reduceLogSum": lambda x, a: np.log(x.sum(a, keepdims=True)),
    "reduceLogSumExp": lambda x, a: np.log(np.exp(x).sum(a, keepdims=True)),
    "reduceSumSquare": lambda x, a: (x**2).sum(a, keepdims=True),
    "reduceL1": lambda x, a: np.abs(x).sum(a, keepdims=True),
    "reduceL2": lambda x, a: np.sqrt((x**2).sum(a, keepdims=True)),
    "reduceMax": lambda x, a: x.max(a, keepdims=True),
    "reduceMin": lambda x, a: x.min(a, keepdims=True),
}


@pytest.mark.parametrize("type", REDUCTIONS)
def test_reductions_over_axes(type: str) -> None:
    x = uniform(2, 3, 4)
    for axes in ((0,), (1,), (-1,), (-1, 0), (0, 1, 2), None):
        y = REDUCTIONS[type](x.astype(np.float64), axes)
        chosen: dict[str, Any] = {"reduceAll": True} if axes is None else {"axes": axes}
        check_layer(type, {**chosen, "keepDims": True}, [x], y)
        check_layer(type, chosen, [x], np.atleast_1d(y.squeeze()))


@pytest.mark.parametrize("type", ["argMax", "argMin"])
def test_arg_extremes(type: str) -> None:
    x = normal(2, 3, 4)
    find = getattr(np, type.lower())
    for axis in (0, 1, -1):
        expected = find(x, axis, keepdims=True).astype(np.float32)
        check_layer(type, {"axis": axis}, [x], expected)
        check_layer(type, {"axis": axis, "removeDim": True}, [x], expected.squeeze(axis))
    vector = np.array([3, 1, 3, 1], np.float32)
    check_layer(type, {"removeDim": True}, [vector], np.array([find(vector)], np.float32))


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("axis", [0, -2, 2])
def test_cumulative_sum(exclusive: bool, reverse: bool, axis: int) -> None:
    x = normal(2, 3, 4)
    ordered = np.flip(x, axis) if reverse else x
    y = np.cumsum(ordered, axis, dtype=np.float64) - (ordered if exclusive else 0)
    expected = np.flip(y, axis) if reverse else y
    fields = {"excludeFinalSum": exclusive, "reverse": reverse}
    check_layer("cumSum", {**fields, "axis": axis}, [x], expected)
    check_layer("cumSum", fields, [x, np.array([axis], np.float32)], expected)


def test_dot_along_channels() -> None:
    a, b = normal(2, 7, 1, 1, seed=1), normal(2, 7, 1, 1, seed=2)
    product = (a * b).sum(1, keepdims=True)
    check_layer("dot", {}, [a, b], product)
    cosine = product / np.linalg.norm(a, axis=1, keepdims=True) / np.linalg.norm(b, axis=1, keepdims=True)
    check_layer("dot", {"cosineSimilarity": True}, [a, b], cosine[None], exact=False)


@pytest.mark.parametrize(
    ("type", "fields", "message"),
    [
        ("reduce", {"mode": 9, "axis": 1}, "one axis"),
        ("reduceSum", {}, "no axes"),
        ("reduceSum", {"axes": [3]}, "no axis 3"),
        ("argMax", {"axis": -4}, "no axis -4"),
        ("dot", {}, "1 inputs; there must be 2"),
    ],
)
def test_reduction_refuses_by_name(type: str, fields: Any, message: str) -> None:
    with pytest.raises(ModelError, match=rf"'layer' \({type}\).*{message}"):
        run_layer(type, fields, [normal(2, 3, 4)])
