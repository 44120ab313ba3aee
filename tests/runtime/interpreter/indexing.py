"""Gathering and scattering."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.runtime.interpreter.core import Array, layer

layer("gather", exact=True)(lambda p, x: np.take(x[0], x[1].astype(int), p.axis))
layer("gatherND", exact=True)(lambda p, x: x[0][tuple(np.moveaxis(x[1].astype(int), -1, 0))])
layer("gatherAlongAxis", exact=True)(lambda p, x: np.take_along_axis(x[0], x[1].astype(int), p.axis))


def _meet(mode: int, old: Any, new: Any) -> Any:
    return (
        lambda: new,
        lambda: old + new,
        lambda: old - new,
        lambda: old * new,
        lambda: old / new,
        lambda: np.maximum(old, new),
        lambda: np.minimum(old, new),
    )[mode]()


@layer("scatter")
def scatter(p: Any, x: list[Array]) -> Any:
    axis = p.axis % x[0].ndim
    y = np.moveaxis(x[0].copy(), axis, 0)
    rank = x[1].ndim
    updates = np.moveaxis(x[2], range(axis, axis + rank), range(rank))
    for place in np.ndindex(*x[1].shape):
        index = int(x[1][place])
        y[index] = _meet(p.mode, y[index], updates[place])
    return np.moveaxis(y, 0, axis)


@layer("scatterND")
def scatter_nd(p: Any, x: list[Array]) -> Any:
    y = x[0].copy()
    for place in np.ndindex(*x[1].shape[:-1]):
        index = tuple(x[1][place].astype(int))
        y[index] = _meet(p.mode, y[index], x[2][place])
    return y


@layer("scatterAlongAxis")
def scatter_along_axis(p: Any, x: list[Array]) -> Any:
    y = x[0].copy()
    for place in np.ndindex(*x[1].shape):
        target = list(place)
        target[p.axis] = int(x[1][place])
        y[tuple(target)] = _meet(p.mode, y[tuple(target)], x[2][place])
    return y
