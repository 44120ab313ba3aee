"""Element by element: functions of one input, sums and products, comparisons, logic."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Builder, Layer, lowers
from mlexplorer.layers.leading import require_rank

_FUNCTIONS = {
    "ceil": "Ceil",
    "floor": "Floor",
    "sign": "Sign",
    "round": "Round",
    "sin": "Sin",
    "cos": "Cos",
    "tan": "Tan",
    "asin": "Asin",
    "acos": "Acos",
    "atan": "Atan",
    "sinh": "Sinh",
    "cosh": "Cosh",
    "tanh": "Tanh",
    "asinh": "Asinh",
    "acosh": "Acosh",
    "atanh": "Atanh",
    "erf": "Erf",
}
_OPERATORS = {
    "addBroadcastable": "Add",
    "subtractBroadcastable": "Sub",
    "multiplyBroadcastable": "Mul",
    "divideBroadcastable": "Div",
    "powBroadcastable": "Pow",
    "minBroadcastable": "Min",
    "maxBroadcastable": "Max",
}
_OF_ANY_NUMBER = {"min": "Min", "max": "Max", "average": "Mean"}
_COMPARISONS = {
    "equal": "Equal",
    "notEqual": "Equal",
    "lessThan": "Less",
    "lessEqual": "LessOrEqual",
    "greaterThan": "Greater",
    "greaterEqual": "GreaterOrEqual",
}
_UNARY = {
    "SQRT": "Sqrt",
    "RSQRT": "Reciprocal",
    "INVERSE": "Reciprocal",
    "EXP": "Exp",
    "LOG": "Log",
    "ABS": "Abs",
}
_LOGIC = {"logicalAnd": "And", "logicalOr": "Or", "logicalXor": "Xor"}


@lowers(*_FUNCTIONS)
def function(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The ONNX operator of the same name; `round` rounds halves to even."""
    return build.op(_FUNCTIONS[layer.type], x[0])


@lowers("exp2")
def exp2(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """2 to the power of each element (Exp2LayerParams)."""
    return build.op("Pow", 2.0, x[0])


@lowers("unary")
def unary(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """A function of v = scale x + shift (UnaryFunctionLayerParams).

    SQRT, RSQRT 1 / sqrt(v + epsilon), INVERSE 1 / (v + epsilon), POWER v^alpha, EXP, LOG log(v + epsilon), ABS,
    THRESHOLD max(v, alpha); scale is 1 and epsilon 1e-6 where unset. The format's documentation has no epsilon for LOG,
    but coremltools tests it.
    """
    params, function = layer.params, enum_name(layer.params, "type")
    v = x[0]
    if params.scale not in (0, 1):
        v = build.op("Mul", v, params.scale)
    shift = params.shift + ((params.epsilon or 1e-6) if function in ("RSQRT", "INVERSE", "LOG") else 0)
    if shift:
        v = build.op("Add", v, shift)
    if function == "RSQRT":
        v = build.op("Sqrt", v)
    if function == "POWER":
        return build.op("Pow", v, params.alpha)
    if function == "THRESHOLD":
        return build.op("Max", v, params.alpha)
    return build.op(_UNARY[function], v)


@lowers("add", "multiply", inputs=(1, None))
def add_or_multiply(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The sum or product of all inputs, broadcast; of one input and alpha (AddLayerParams, MultiplyLayerParams)."""
    operator = "Add" if layer.type == "add" else "Mul"
    operands = [*x, layer.params.alpha] if len(x) == 1 else x
    return reduce(lambda a, b: build.op(operator, a, b), operands)


@lowers(*_OPERATORS, inputs=2)
def operator(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The ONNX operator of the same name on two broadcast inputs (AddBroadcastableLayerParams, ...)."""
    return build.op(_OPERATORS[layer.type], *x)


@lowers(*_OF_ANY_NUMBER, inputs=(1, None))
def operator_of_any_number(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The least, greatest or mean of all inputs, broadcast (MinLayerParams, MaxLayerParams, AverageLayerParams)."""
    return build.op(_OF_ANY_NUMBER[layer.type], *x) if len(x) > 1 else x[0]


@lowers("floorDivBroadcastable", inputs=2)
def floor_division(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The largest whole number not above a / b (FloorDivBroadcastableLayerParams)."""
    return build.op("Floor", build.op("Div", x[0], x[1]))


@lowers("modBroadcastable", inputs=2)
def modulo(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The remainder of floored division, which has the sign of b (ModBroadcastableLayerParams).

    ONNX Mod on floats is C's fmod, which has the sign of a.
    """
    remainder = build.op("Mod", x[0], x[1], fmod=1)
    opposite = build.op("Less", build.op("Mul", build.op("Sign", remainder), build.op("Sign", x[1])), 0.0)
    return build.op("Where", opposite, build.op("Add", remainder, x[1]), remainder)


@lowers(*_COMPARISONS, inputs=(1, 2))
def comparison(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """1 where the comparison of two broadcast inputs holds, else 0; of one input with alpha (EqualLayerParams, ...)."""
    other = x[1] if len(x) > 1 else layer.params.alpha
    result = build.op(_COMPARISONS[layer.type], x[0], other)
    return build.op("Not", result) if layer.type == "notEqual" else result


@lowers(*_LOGIC, inputs=2)
def logic(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """1 or 0 by the truth of two broadcast inputs; what is not 0 is true (LogicalAndLayerParams, ...)."""
    return build.op(_LOGIC[layer.type], build.cast(x[0], np.bool_), build.cast(x[1], np.bool_))


@lowers("logicalNot")
def logical_not(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """1 where an element is 0, else 0 (LogicalNotLayerParams)."""
    return build.op("Not", build.cast(x[0], np.bool_))


@lowers("scale")
def scale(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Multiply by scale and add bias, each of shape [1], [C], [1, H, W] or [C, H, W] (ScaleLayerParams)."""
    params = layer.params
    y = build.op("Mul", x[0], _on_channels(build, layer, "scale", params.shapeScale, x[0]))
    if not params.hasBias:
        return y
    return build.op("Add", y, _on_channels(build, layer, "bias", params.shapeBias, x[0]))


@lowers("bias")
def bias(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Add a bias of shape [1], [C], [1, H, W] or [C, H, W] (BiasLayerParams)."""
    return build.op("Add", x[0], _on_channels(build, layer, "bias", layer.params.shape, x[0]))


def _on_channels(build: Builder, layer: Layer, field: str, shape: Sequence[int], x: Any) -> Any:
    """A weight in its shape, broadcastable against x: a vector longer than one lies on axis -3."""
    target = tuple(int(n) for n in shape) or (1,)
    if len(target) not in (1, 3):
        raise ModelError(f"the shape of {field} is {list(target)}; it must be [1], [C], [1, H, W] or [C, H, W]")
    if len(target) == 1 and target[0] > 1:
        target = (*target, 1, 1)
    if len(target) == 3:
        require_rank(x, 3)
    return build.weight(layer, field, combine=lambda weight: weight.reshape(target))
