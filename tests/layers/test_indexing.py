from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal, uniform


def indices(shape: tuple[int, ...], length: int) -> Array:
    """Integers from -length to length - 1."""
    return np.random.default_rng(shape).integers(-length, length, shape)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(6,), (2, 7)])
def test_gather(axis: int, shape: tuple[int, ...]) -> None:
    x = normal(3, 4, 5)
    index = indices(shape, x.shape[axis])
    check_layer("gather", {"axis": axis}, [x, index.astype(np.float32)], x.take(index, axis))


@pytest.mark.parametrize(("shape", "depth"), [((6, 2), 2), ((2, 7, 1), 1), ((5, 3), 3), ((3,), 3)])
def test_gather_nd(shape: tuple[int, ...], depth: int) -> None:
    x = normal(3, 4, 5)
    index = np.stack([indices(shape[:-1], n) for n in x.shape[:depth]], axis=-1)
    expected = np.atleast_1d(x[tuple(np.moveaxis(index, -1, 0))])
    check_layer("gatherND", {}, [x, index.astype(np.float32)], expected)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_along_axis(axis: int) -> None:
    x = normal(3, 4, 5)
    shape = list(x.shape)
    shape[axis] = 7
    index = indices(tuple(shape), x.shape[axis])
    expected = np.take_along_axis(x, index % x.shape[axis], axis)
    check_layer("gatherAlongAxis", {"axis": axis}, [x, index.astype(np.float32)], expected)


MODES: list[Callable[[float, float], float]] = [
    lambda old, new: new,
    lambda old, new: old + new,
    lambda old, new: old - new,
    lambda old, new: old * new,
    lambda old, new: old / new,
    max,
    min,
]


def distinct(shape: tuple[int, ...], length: int) -> Array:
    """Places in [-length, length), no two the same element: what SCATTER_UPDATE does with those is not defined."""
    places = np.random.default_rng(shape).permutation(length)[: int(np.prod(shape))].reshape(shape)
    return np.where(np.arange(places.size).reshape(shape) % 2, places, places - length)


@pytest.mark.parametrize("mode", range(7))
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("shape", [(4,), (2, 3)])
def test_scatter(mode: int, axis: int, shape: tuple[int, ...]) -> None:
    x = normal(7, 8, 9)
    index = distinct(shape, x.shape[axis])
    position = axis % 3
    updates = uniform(*x.shape[:position], *shape, *x.shape[position + 1 :])
    expected = np.moveaxis(x.copy(), axis, 0)
    moved = np.moveaxis(updates, range(position, position + len(shape)), range(len(shape)))
    for place in np.ndindex(shape):
        row = expected[index[place]]
        row[...] = np.vectorize(MODES[mode])(row, moved[place])
    check_layer(
        "scatter", {"axis": axis, "mode": mode}, [x, index.astype(np.float32), updates], np.moveaxis(expected, 0, axis)
    )


@pytest.mark.parametrize("mode", range(7))
def test_scatter_nd_and_along_an_axis(mode: int) -> None:
    x = normal(4, 5, 6)
    index, updates = np.array([[0, 3], [-1, 2], [2, -5]]), uniform(3, 6)
    expected = x.copy()
    for (i, j), update in zip(index, updates, strict=True):
        expected[i, j] = np.vectorize(MODES[mode])(expected[i, j], update)
    check_layer("scatterND", {"mode": mode}, [x, index.astype(np.float32), updates], expected)

    along, updates = np.argsort(normal(4, 5, 6), axis=1)[:, :2], uniform(4, 2, 6)
    along[0] -= 5
    expected = x.copy()
    for i, j, k in np.ndindex(along.shape):
        expected[i, along[i, j, k], k] = MODES[mode](expected[i, along[i, j, k], k], updates[i, j, k])
    for axis in (1, -2):
        parameters = {"mode": mode, "axis": axis}
        check_layer("scatterAlongAxis", parameters, [x, along.astype(np.float32), updates], expected)


def test_scatter_adds_up_what_meets() -> None:
    index = np.array([1, 1, 0, 1], np.float32)
    updates = np.array([1, 10, 100, 1000], np.float32)
    check_layer("scatter", {"mode": 1}, [np.zeros(3, np.float32), index, updates], np.array([100.0, 1011, 0]))
    with pytest.raises(ModelError, match=r"the updates have the shape \[3\]; it must be \[4\]"):
        run_layer("scatter", {}, [np.zeros(3, np.float32), index, updates[:3]])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("bottom", [False, True])
def test_top_k_and_arg_sort(axis: int, bottom: bool) -> None:
    x = normal(5, 6, 7)
    order = np.argsort(x if bottom else -x, axis=axis)
    best = order.take(range(3), axis)
    expected = [np.take_along_axis(x, best, axis), best]
    check_layer("topK", {"axis": axis, "K": 3, "useBottomK": bottom}, [x], expected)
    check_layer("topK", {"axis": axis, "K": 1, "useBottomK": bottom}, [x, np.array([3], np.float32)], expected)
    check_layer("argSort", {"axis": axis, "descending": not bottom}, [x], order)
    with pytest.raises(ModelError, match="K is 8"):
        run_layer("topK", {"axis": axis, "K": 8}, [x], outputs=2)


def test_arg_sort_is_stable() -> None:
    x = np.array([3, 1, 3, 1, 2], np.float32)
    check_layer("argSort", {}, [x], np.array([1, 3, 4, 0, 2]))
    check_layer("argSort", {"descending": True}, [x], np.array([0, 2, 4, 1, 3]))


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_one_hot(axis: int) -> None:
    x = np.array([[0, 3, 2], [-1, 4, 1]], np.float32)
    hits = np.array([[[5.0 if value == place else -1.0 for place in range(4)] for value in row] for row in x])
    expected = np.moveaxis(hits, -1, axis)
    values = {"axis": axis, "onValue": 5, "offValue": -1}
    check_layer("oneHot", {**values, "oneHotVectorSize": 4}, [x], expected)
    check_layer("oneHot", {**values, "oneHotVectorSize": 9}, [x, np.array([4], np.float32)], expected)
    with pytest.raises(ModelError, match="oneHotVectorSize is 0"):
        run_layer("oneHot", values, [x])


def test_where() -> None:
    condition = np.array([[0, 2, 0.25, 0], [-1, 0, 0, 1]], np.float32)
    check_layer("whereNonZero", {}, [condition], np.argwhere(condition))
    a, b = normal(3, 2, 1), normal(4)
    check_layer("whereBroadcastable", {}, [condition, a, b], np.where(condition != 0, a, b))


@pytest.mark.parametrize(("below", "above"), [(0, 0), (1, 2), (-1, 1), (2, -1), (-1, -1), (9, 0)])
def test_matrix_band_part(below: int, above: int) -> None:
    x = normal(2, 5, 6)
    row, column = np.mgrid[:5, :6]
    band = ((below < 0) | (row - column <= below)) & ((above < 0) | (column - row <= above))
    check_layer("matrixBandPart", {"numLower": below, "numUpper": above}, [x], np.where(band, x, 0))


@pytest.mark.parametrize("k", [-2, 0, 3])
def test_triangular(k: int) -> None:
    x = normal(2, 5, 6)
    check_layer("lowerTriangular", {"k": k}, [x], np.tril(x, k))
    check_layer("upperTriangular", {"k": k}, [x], np.triu(x, k))


@pytest.mark.parametrize(
    ("type", "parameters", "inputs"),
    [
        ("gather", {"axis": 3}, [(2, 3, 4), (2,)]),
        ("oneHot", {"axis": 2, "oneHotVectorSize": 3}, [(4,)]),
        ("lowerTriangular", {}, [(4,)]),
    ],
)
def test_refused_axes(type: str, parameters: dict[str, Any], inputs: list[tuple[int, ...]]) -> None:
    with pytest.raises(ModelError, match=r"ax[ei]s"):
        run_layer(type, parameters, [np.zeros(shape, np.float32) for shape in inputs])
