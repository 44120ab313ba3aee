"""Reductions, sorting, constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from tests.runtime.interpreter.core import Array, Fragile, floats, layer, steady


def _product(v: Array, axes: Any) -> Array:
    """The product along axes; in float32 it must neither overflow nor vanish on the way, in whatever order."""
    sizes = np.abs(np.log2(np.abs(np.where(v == 0, 1.0, v)))).sum(axes)
    if (sizes > 120).any():
        raise Fragile("a product that leaves float32 on the way")
    return v.prod(axes, keepdims=True)


@layer("reduce")
def reduce(p: Any, x: list[Array]) -> Any:
    axes = ((-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,))[p.axis]
    v = x[0]
    if p.mode == 9:
        _distinct(v, axes[0])
        return v.argmax(axes[0], keepdims=True)
    return (
        lambda: v.sum(axes, keepdims=True),
        lambda: v.mean(axes, keepdims=True),
        lambda: _product(v, axes),
        lambda: np.log(v + (p.epsilon or 1e-6)).sum(axes, keepdims=True),
        lambda: (v**2).sum(axes, keepdims=True),
        lambda: np.abs(v).sum(axes, keepdims=True),
        lambda: np.sqrt((v**2).sum(axes, keepdims=True)),
        lambda: v.max(axes, keepdims=True),
        lambda: v.min(axes, keepdims=True),
    )[p.mode]()


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "reduceL1": lambda v, a: np.abs(v).sum(a, keepdims=True),
    "reduceL2": lambda v, a: np.sqrt((v**2).sum(a, keepdims=True)),
    "reduceMax": lambda v, a: v.max(a, keepdims=True),
    "reduceMin": lambda v, a: v.min(a, keepdims=True),
    "reduceSum": lambda v, a: v.sum(a, keepdims=True),
    "reduceProd": lambda v, a: _product(v, a),
    "reduceMean": lambda v, a: v.mean(a, keepdims=True),
    "reduceLogSum": lambda v, a: np.log(v.sum(a, keepdims=True)),
    "reduceSumSquare": lambda v, a: (v**2).sum(a, keepdims=True),
    "reduceLogSumExp": lambda v, a: special.logsumexp(v, a, keepdims=True),
}


def _reduce_axes(p: Any, x: list[Array], function: Callable[..., Any]) -> Any:
    axes = tuple(range(x[0].ndim)) if p.reduceAll else tuple(p.axes)
    y = function(x[0], axes)
    return y if p.keepDims else y.squeeze(axes)


for _name, _reduction in _REDUCTIONS.items():
    layer(_name)(lambda p, x, f=_reduction: _reduce_axes(p, x, f))


def _distinct(v: Array, axis: int) -> None:
    """Neighbours in the order of an axis must be equal or well apart."""
    steady(np.diff(np.sort(v, axis), axis=axis))


@layer("argMax", "argMin", exact=True)
def arg_extreme(p: Any, x: list[Array]) -> Any:
    _distinct(x[0], p.axis)
    function = np.argmax if type(p).__name__.startswith("ArgMax") else np.argmin
    return function(x[0], p.axis, keepdims=not p.removeDim)


@layer("cumSum")
def cumulative_sum(p: Any, x: list[Array]) -> Any:
    axis = int(x[1].ravel()[0]) if len(x) > 1 else p.axis
    v = np.flip(x[0], axis) if p.reverse else x[0]
    y = np.cumsum(v, axis)
    y = y - v if p.excludeFinalSum else y
    return np.flip(y, axis) if p.reverse else y


@layer("argSort", exact=True)
def arg_sort(p: Any, x: list[Array]) -> Any:
    _distinct(x[0], p.axis)
    return np.argsort(-x[0] if p.descending else x[0], p.axis, kind="stable")


@layer("topK", exact=True)
def top_k(p: Any, x: list[Array]) -> Any:
    _distinct(x[0], p.axis)
    count = int(x[1].ravel()[0]) if len(x) > 1 else p.K
    order = np.argsort(x[0] if p.useBottomK else -x[0], p.axis, kind="stable")
    order = np.take(order, range(count), p.axis)
    return [np.take_along_axis(x[0], order, p.axis), order]


@layer("loadConstant", exact=True)
def load_constant(p: Any, x: list[Array]) -> Any:
    return floats(p.data).reshape(1, 1, *p.shape)


layer("loadConstantND", exact=True)(lambda p, x: floats(p.data).reshape(list(p.shape)))
layer("fillLike", exact=True)(lambda p, x: np.full(x[0].shape, p.value))
layer("fillStatic", exact=True)(lambda p, x: np.full(list(p.targetShape), p.value))
layer("fillDynamic", exact=True)(lambda p, x: np.full(x[0].astype(int), p.value))
layer("rangeStatic")(lambda p, x: _range(p.startValue, p.endValue, p.stepSizeValue))


def _range(start: float, end: float, step: float) -> Array:
    count = (end - start) / step
    steady(count - np.round(count))
    return start + step * np.arange(int(np.ceil(count)))


@layer("rangeDynamic")
def range_dynamic(p: Any, x: list[Array]) -> Any:
    numbers = [float(v.ravel()[0]) for v in x]
    start = numbers[1] if len(x) > 1 else p.startValue
    return _range(start, numbers[0], numbers[2] if len(x) > 2 else p.stepSizeValue)


@layer("oneHot", exact=True)
def one_hot(p: Any, x: list[Array]) -> Any:
    size = int(x[1].ravel()[0]) if len(x) > 1 else p.oneHotVectorSize
    axis = p.axis % (x[0].ndim + 1)
    hit = x[0].astype(int)[..., None] == np.arange(size)
    return np.moveaxis(np.where(hit, p.onValue, p.offValue), -1, axis)
