"""Activations, functions of each element, arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

from tests.runtime.interpreter.core import Array, floats, layer, per_channel, steady


def _slopes(message: Any) -> Array:
    values = floats(message)
    return values if values.size == 1 else per_channel(values)


def activate(p: Any, v: Array) -> Any:
    kind = p.WhichOneof("NonlinearityType")
    own = getattr(p, kind)
    if kind == "linear":
        return own.alpha * v + own.beta
    if kind == "ReLU":
        return np.where(v > 0, v, 0)
    if kind == "leakyReLU":
        return np.where(v >= 0, v, own.alpha * v)
    if kind == "thresholdedReLU":
        steady(v - own.alpha)
        return np.where(v >= own.alpha, v, 0)
    if kind == "PReLU":
        return np.where(v >= 0, v, _slopes(own.alpha) * v)
    if kind == "tanh":
        return np.tanh(v)
    if kind == "scaledTanh":
        return own.alpha * np.tanh(own.beta * v)
    if kind == "sigmoid":
        return special.expit(v)
    if kind == "sigmoidHard":
        return np.minimum(np.maximum(own.alpha * v + own.beta, 0), 1)
    if kind == "ELU":
        return np.where(v >= 0, v, own.alpha * np.expm1(v))
    if kind == "softsign":
        return v / (1 + np.abs(v))
    if kind == "softplus":
        return np.logaddexp(0, v)
    assert kind == "parametricSoftplus"
    return _slopes(own.alpha) * np.logaddexp(0, _slopes(own.beta) * v)


@layer("activation")
def activation(p: Any, x: list[Array]) -> Any:
    return activate(p, x[0])


@layer("clip")
def clip(p: Any, x: list[Array]) -> Any:
    return np.minimum(np.maximum(x[0], p.minVal), p.maxVal)


@layer("clampedReLU")
def clamped_relu(p: Any, x: list[Array]) -> Any:
    return np.minimum(np.where(x[0] >= 0, x[0], p.alpha * x[0]), p.beta)


@layer("gelu")
def gelu(p: Any, x: list[Array]) -> Any:
    v = x[0]
    if p.mode == 0:
        return v * 0.5 * (1 + special.erf(v / np.sqrt(2)))
    if p.mode == 1:
        return v * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3)))
    return v * special.expit(1.702 * v)


@layer("unary")
def unary(p: Any, x: list[Array]) -> Any:
    v = (p.scale or 1) * x[0] + p.shift
    epsilon = p.epsilon or 1e-6
    return (
        lambda: np.sqrt(v),
        lambda: 1 / np.sqrt(v + epsilon),
        lambda: 1 / (v + epsilon),
        lambda: v**p.alpha,
        lambda: np.exp(v),
        lambda: np.log(v + epsilon),
        lambda: np.abs(v),
        lambda: np.maximum(v, p.alpha),
    )[p.type]()


_FUNCTIONS: dict[str, Callable[[Array], Any]] = {
    "exp2": np.exp2,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": special.erf,
}
for _name, _function in _FUNCTIONS.items():
    layer(_name)(lambda p, x, f=_function: f(x[0]))


@layer("ceil", exact=True)
def ceil(p: Any, x: list[Array]) -> Any:
    steady(x[0] - np.round(x[0]))
    return np.ceil(x[0])


@layer("floor", exact=True)
def floor(p: Any, x: list[Array]) -> Any:
    steady(x[0] - np.round(x[0]))
    return np.floor(x[0])


@layer("round", exact=True)
def round_(p: Any, x: list[Array]) -> Any:
    steady(x[0] - np.floor(x[0]) - 0.5)
    return np.round(x[0])


@layer("sign", exact=True)
def sign(p: Any, x: list[Array]) -> Any:
    steady(x[0])
    return np.sign(x[0])


@layer("add")
def add(p: Any, x: list[Array]) -> Any:
    return x[0] + p.alpha if len(x) == 1 else sum(x[1:], x[0])


@layer("multiply")
def multiply(p: Any, x: list[Array]) -> Any:
    result = x[0] * p.alpha if len(x) == 1 else x[0]
    for other in x[1:]:
        result = result * other
    return result


@layer("average")
def average(p: Any, x: list[Array]) -> Any:
    return sum(x[1:], x[0]) / len(x)


@layer("max")
def maximum(p: Any, x: list[Array]) -> Any:
    result = x[0]
    for other in x[1:]:
        result = np.maximum(result, other)
    return result


@layer("min")
def minimum(p: Any, x: list[Array]) -> Any:
    return -maximum(p, [-v for v in x])


layer("addBroadcastable")(lambda p, x: x[0] + x[1])
layer("subtractBroadcastable")(lambda p, x: x[0] - x[1])
layer("multiplyBroadcastable")(lambda p, x: x[0] * x[1])
layer("divideBroadcastable")(lambda p, x: x[0] / x[1])
layer("powBroadcastable")(lambda p, x: x[0] ** x[1])
layer("maxBroadcastable")(lambda p, x: np.maximum(x[0], x[1]))
layer("minBroadcastable")(lambda p, x: np.minimum(x[0], x[1]))


@layer("floorDivBroadcastable", exact=True)
def floor_division(p: Any, x: list[Array]) -> Any:
    quotient = x[0] / x[1]
    steady(quotient - np.round(quotient))
    return np.floor(quotient)


@layer("modBroadcastable")
def modulo(p: Any, x: list[Array]) -> Any:
    quotient = x[0] / x[1]
    steady(quotient - np.round(quotient))
    return x[0] - x[1] * np.floor(quotient)


def _shaped(values: Array, shape: Sequence[int]) -> Array:
    values = values.reshape(list(shape))
    return per_channel(values) if values.ndim == 1 else values


@layer("scale")
def scale(p: Any, x: list[Array]) -> Any:
    y = x[0] * _shaped(floats(p.scale), p.shapeScale)
    return y + _shaped(floats(p.bias), p.shapeBias) if p.hasBias else y


@layer("bias")
def bias(p: Any, x: list[Array]) -> Any:
    return x[0] + _shaped(floats(p.bias), p.shape)


@layer("dot")
def dot(p: Any, x: list[Array]) -> Any:
    product = (x[0] * x[1]).sum(-3, keepdims=True)
    if not p.cosineSimilarity:
        return product
    lengths = [np.sqrt((v**2).sum(-3, keepdims=True)) for v in x]
    return product / (lengths[0] * lengths[1])


_COMPARISONS: dict[str, Callable[[Array, Any], Any]] = {
    "equal": np.equal,
    "notEqual": np.not_equal,
    "lessThan": np.less,
    "lessEqual": np.less_equal,
    "greaterThan": np.greater,
    "greaterEqual": np.greater_equal,
}


def _comparison(p: Any, x: list[Array], compare: Callable[[Array, Any], Any]) -> Any:
    other = x[1] if len(x) == 2 else np.array(p.alpha)
    steady(x[0] - other)
    return compare(x[0], other)


for _name, _compare in _COMPARISONS.items():
    layer(_name, exact=True)(lambda p, x, f=_compare: _comparison(p, x, f))


def _true(x: Array) -> Any:
    steady(x)
    return x != 0


layer("logicalAnd", exact=True)(lambda p, x: _true(x[0]) & _true(x[1]))
layer("logicalOr", exact=True)(lambda p, x: _true(x[0]) | _true(x[1]))
layer("logicalXor", exact=True)(lambda p, x: _true(x[0]) ^ _true(x[1]))
layer("logicalNot", exact=True)(lambda p, x: ~_true(x[0]))
layer("whereBroadcastable", exact=True)(lambda p, x: np.where(_true(x[0]), x[1], x[2]))


@layer("whereNonZero", exact=True)
def where_non_zero(p: Any, x: list[Array]) -> Any:
    return np.argwhere(_true(x[0]))
