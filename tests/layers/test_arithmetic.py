from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal, uniform


@pytest.mark.parametrize("name", ["ceil", "floor", "sign", "exp2"])
def test_steps_and_powers(name: str) -> None:
    x = 3 * normal(3, 4, 5)
    x.flat[0] = 0
    check_layer(name, {}, [x], getattr(np, name)(x))


@pytest.mark.parametrize("prefix", ["", "arc"])
@pytest.mark.parametrize("name", ["sin", "cos", "tan", "sinh", "tanh"])
def test_trigonometry(prefix: str, name: str) -> None:
    x = uniform(3, 4, 5, low=-0.9, high=0.9)
    check_layer(prefix[:1] + name, {}, [x], getattr(np, prefix + name)(x))


def test_round_cosh_acosh_and_erf() -> None:
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.4, 2.6], np.float32)
    check_layer("round", {}, [halves], np.array([-2, -2, 0, 0, 2, 2, 3], np.float32))
    x = uniform(3, 4, low=1.0, high=9.0)
    check_layer("cosh", {}, [x], np.cosh(x))
    check_layer("acosh", {}, [x], np.arccosh(x))
    check_layer("erf", {}, [x - 5], np.vectorize(erf)(x - 5))


UNARY: dict[int, Callable[[Array], Array]] = {
    0: np.sqrt,
    1: lambda v: 1 / np.sqrt(v + 0.125),
    2: lambda v: 1 / (v + 0.125),
    3: lambda v: v**1.5,
    4: np.exp,
    5: lambda v: np.log(v + 0.125),
    6: np.abs,
    7: lambda v: np.maximum(v, 1.5),
}


@pytest.mark.parametrize("type", UNARY)
def test_unary_scales_and_shifts_first(type: int) -> None:
    x = uniform(3, 4, 5)
    fields = {"type": type, "alpha": 1.5, "epsilon": 0.125, "scale": 0.75, "shift": 0.25}
    check_layer("unary", fields, [x], UNARY[type](0.75 * x.astype(np.float64) + 0.25))


def test_unary_defaults() -> None:
    """Unset, scale is 1, epsilon 1e-6, and shift and alpha are 0."""
    x = np.array([0, 1e-6, 3e-6, 2], np.float32)
    formulas = [np.sqrt(x), (x + 1e-6) ** -0.5, 1 / (x + 1e-6), x**0, np.exp(x), np.log(x + 1e-6), x, x]
    for type, expected in enumerate(formulas):
        check_layer("unary", {"type": type}, [x], expected)
    check_layer("unary", {"type": 6}, [-x], x, tolerance=1e-9)
    check_layer("unary", {"type": 7}, [-x], 0 * x, tolerance=0)


BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "addBroadcastable": np.add,
    "subtractBroadcastable": np.subtract,
    "multiplyBroadcastable": np.multiply,
    "divideBroadcastable": np.divide,
    "powBroadcastable": lambda a, b: np.abs(a) ** b,
    "minBroadcastable": np.minimum,
    "maxBroadcastable": np.maximum,
    "floorDivBroadcastable": np.floor_divide,
    "modBroadcastable": np.mod,
    "equal": np.equal,
    "notEqual": np.not_equal,
    "lessThan": np.less,
    "lessEqual": np.less_equal,
    "greaterThan": np.greater,
    "greaterEqual": np.greater_equal,
    "logicalAnd": np.logical_and,
    "logicalOr": np.logical_or,
    "logicalXor": np.logical_xor,
}


@pytest.mark.parametrize("type", BINARY)
def test_functions_of_two_broadcast_inputs(type: str) -> None:
    a, b = 2 * normal(4, 1, 5), normal(2, 1, 3, 5)
    if type == "powBroadcastable":
        a = np.abs(a)
    if type.startswith(("logical", "equal", "notEqual", "less", "greater")):
        a, b = np.round(a), np.round(b)
    check_layer(type, {}, [a, b], BINARY[type](a, b).astype(np.float32))


def shapes_of_ranks(first: int, second: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes of these ranks that broadcast against each other, with lengths of one on either side."""
    common = (2, 3, 4, 5, 6)
    a = [n if axis % 2 else 1 for axis, n in enumerate(common)][-first:]
    b = [1 if axis % 2 else n for axis, n in enumerate(common)][-second:]
    return tuple(a), tuple(b)


RANKS = [(first, second) for first in range(1, 6) for second in range(1, 6)]


@pytest.mark.parametrize("type", BINARY)
def test_broadcasting_of_ranks_one_to_five(type: str) -> None:
    for first, second in RANKS:
        a, b = (1 + np.abs(normal(*shape)) for shape in shapes_of_ranks(first, second))
        if not type.endswith("Broadcastable"):
            a, b = np.round(a), np.round(b)
        check_layer(type, {}, [a, b], BINARY[type](a, b).astype(np.float32))


def test_broadcasting_of_three_inputs_of_ranks_one_to_five() -> None:
    c = np.array([0.5], np.float32)
    for first, second in RANKS:
        a, b = (normal(*shape) for shape in shapes_of_ranks(first, second))
        check_layer("add", {}, [a, b, c], a + b + c)
        check_layer("multiply", {}, [c, a, b], a * b * c)
        check_layer("average", {}, [a, c, b], (a + b + c) / 3)
        check_layer("max", {}, [a, b, c], np.maximum(np.maximum(a, b), c))
        check_layer("min", {}, [b, a, c], np.minimum(np.minimum(a, b), c))
        check_layer("whereBroadcastable", {}, [np.round(a), b, c], np.where(np.round(a) != 0, b, c))


def test_modulo_has_the_sign_of_the_divisor_and_is_exact() -> None:
    a = np.array([7, -7, 7, -7, 6, -6, 1e7 + 1], np.float32)
    b = np.array([3, 3, -3, -3, 3, -3, 7], np.float32)
    check_layer("modBroadcastable", {}, [a, b], np.array([1, 2, -2, -1, 0, 0, 10000001 % 7], np.float32), tolerance=0)


@pytest.mark.parametrize("type", ["equal", "notEqual", "lessThan", "lessEqual", "greaterThan", "greaterEqual"])
def test_comparisons_with_alpha(type: str) -> None:
    x = np.array([-1, 0.1, 0.25, 2], np.float32)
    check_layer(type, {"alpha": 0.1}, [x], BINARY[type](x, np.float32(0.1)).astype(np.float32))


def test_logical_not() -> None:
    check_layer("logicalNot", {}, [np.array([0, -2, 0.5], np.float32)], np.array([1, 0, 0], np.float32))


def test_of_one_input() -> None:
    x = normal(3, 4, 5)
    for type in ("average", "max", "min", "add"):
        check_layer(type, {}, [x], x)
    check_layer("multiply", {}, [x], 0 * x)


def test_alpha_counts_only_with_one_input() -> None:
    x = [normal(3, 4, 5), normal(3, 1, 1), normal(1, 4, 5)]
    check_layer("add", {"alpha": 0.3}, x[:1], x[0] + np.float32(0.3))
    check_layer("multiply", {"alpha": 0.3}, x[:1], x[0] * np.float32(0.3))
    check_layer("add", {"alpha": 0.3}, x, x[0] + x[1] + x[2])
    check_layer("multiply", {"alpha": 0.3}, x, x[0] * x[1] * x[2])
    check_layer("average", {}, x, (x[0] + x[1] + x[2]) / 3)
    check_layer("max", {}, x, np.maximum(np.maximum(x[0], x[1]), x[2]))
    check_layer("min", {}, x, np.minimum(np.minimum(x[0], x[1]), x[2])[None, None], exact=False)


@pytest.mark.parametrize(
    ("scale", "bias"), [((1,), (1, 4, 5)), ((3,), (1,)), ((1, 4, 5), (3, 4, 5)), ((3, 4, 5), (3,))]
)
def test_scale_and_bias_lie_on_channels(scale: tuple[int, ...], bias: tuple[int, ...]) -> None:
    x, factor, shift = normal(2, 3, 4, 5), normal(*scale, seed=1), normal(*bias, seed=2)
    own = [a.reshape(-1, 1, 1) if a.ndim == 1 else a for a in (factor, shift)]
    fields: dict[str, Any] = {"shapeScale": scale, "shapeBias": bias, "hasBias": True}
    check_layer("scale", fields, [x], x * own[0] + own[1], weights={"scale": factor, "bias": shift})
    check_layer("scale", {"shapeScale": scale}, [x], x * own[0], weights={"scale": factor})
    check_layer("bias", {"shape": bias}, [x], (x + own[1])[None], weights={"bias": shift}, exact=False)


@pytest.mark.parametrize(
    ("type", "fields", "inputs", "message"),
    [
        ("addBroadcastable", {}, 1, "1 inputs; there must be 2"),
        ("addBroadcastable", {}, 2, "cannot take inputs of shapes"),
        ("logicalOr", {}, 1, "1 inputs; there must be 2"),
        ("bias", {"shape": [2, 3]}, 1, r"\[2, 3\]"),
        ("bias", {"shape": [6]}, 1, "too few axes"),
    ],
)
def test_arithmetic_refuses_by_name(type: str, fields: Any, inputs: int, message: str) -> None:
    weights = {"bias": normal(6)} if fields else {}
    with pytest.raises(ModelError, match=rf"'layer' \({type}\).*{message}"):
        run_layer(type, fields, [normal(2, 3), normal(5, 4)][:inputs], weights=weights)
