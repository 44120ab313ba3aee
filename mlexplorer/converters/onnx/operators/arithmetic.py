"""Element by element: functions, arithmetic, comparisons, logic, choices and other types."""

from __future__ import annotations

from functools import reduce

import numpy as np
from onnx import TensorProto, helper

from mlexplorer.converters.onnx.node import Node, Value, positive
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import ModelError, UnsupportedError

_TINY = float(np.finfo(np.float32).tiny)
"""The epsilon of a logarithm that shall have none: 0 would mean 1e-6. The logarithm of 0 is -87 with it."""

_FUNCTIONS = {
    "Acos": "acos",
    "Acosh": "acosh",
    "Asin": "asin",
    "Asinh": "asinh",
    "Atan": "atan",
    "Atanh": "atanh",
    "Ceil": "ceil",
    "Cos": "cos",
    "Cosh": "cosh",
    "Erf": "erf",
    "Floor": "floor",
    "Not": "logicalNot",
    "Round": "round",
    "Sign": "sign",
    "Sin": "sin",
    "Sinh": "sinh",
    "Tan": "tan",
}
_BINARY = {
    "Add": "addBroadcastable",
    "And": "logicalAnd",
    "Equal": "equal",
    "Greater": "greaterThan",
    "GreaterOrEqual": "greaterEqual",
    "Less": "lessThan",
    "LessOrEqual": "lessEqual",
    "Mul": "multiplyBroadcastable",
    "Or": "logicalOr",
    "Sub": "subtractBroadcastable",
    "Xor": "logicalXor",
}
_OF_ANY_NUMBER = {
    "Max": "maxBroadcastable",
    "Mean": "addBroadcastable",
    "Min": "minBroadcastable",
    "Sum": "addBroadcastable",
}


@converts(*_FUNCTIONS)
def function(node: Node) -> str:
    """The layer of the same name."""
    return node.add(_FUNCTIONS[node.type], node.blob())


@converts("Abs")
def absolute(node: Node) -> str:
    """The magnitude."""
    return node.unary("ABS", node.blob())


@converts("Exp")
def exponential(node: Node) -> str:
    """The exponential."""
    return node.unary("EXP", node.blob())


@converts("Log")
def logarithm(node: Node) -> str:
    """The natural logarithm."""
    return node.unary("LOG", node.blob(), epsilon=_TINY)


@converts("Sqrt")
def root(node: Node) -> str:
    """The square root."""
    return node.unary("SQRT", node.blob())


@converts("Neg")
def negative(node: Node) -> str:
    """The negative."""
    return node.linear(node.blob(), -1)


@converts("Reciprocal")
def reciprocal(node: Node) -> str:
    """One over x; Core ML's own layer for it would add an epsilon."""
    return node.add("divideBroadcastable", node.load(np.ones(1, np.float32)), node.blob())


@converts("IsNaN")
def is_nan(node: Node) -> str:
    """What differs from itself."""
    return node.add("notEqual", node.blob(), node.blob())


@converts("IsInf")
def is_infinite(node: Node) -> str:
    """What is greater than all numbers, or less; `detect_positive` and `detect_negative` leave one out."""
    ends = [sign for sign, side in ((1, "positive"), (-1, "negative")) if node.attribute(f"detect_{side}", 1)]
    x = node.unary("ABS", node.blob()) if len(ends) == 2 else node.linear(node.blob(), *ends) if ends else node.blob()
    found = node.add("greaterThan", x, alpha=float(np.finfo(np.float32).max))
    return found if ends else node.linear(found, 0)


@converts(*_BINARY)
def binary(node: Node) -> str:
    """The layer of the same name on two broadcast inputs."""
    return node.add(_BINARY[node.type], *operands(node))


@converts("Div")
def division(node: Node) -> str:
    """The quotient; of whole numbers, without its fraction."""
    quotient = node.add("divideBroadcastable", *operands(node))
    return truncated(node, quotient) if node.output().is_integer else str(quotient)


@converts("Mod")
def modulo(node: Node) -> str:
    """The remainder with the sign of the divisor, or with fmod=1 of the dividend."""
    a, b = operands(node)
    if not node.attribute("fmod", 0):
        return node.add("modBroadcastable", a, b)
    magnitude = node.add("modBroadcastable", *(node.unary("ABS", blob) for blob in (a, b)))
    return node.add("multiplyBroadcastable", magnitude, node.add("sign", a))


@converts("Pow")
def power(node: Node) -> str:
    """A power; squares and roots, which many layer normalizations are written with, as such."""
    exponent = node.input(1)
    if exponent.is_constant and exponent.array.size == 1 and exponent.rank <= node.input().rank:
        number = float(exponent.array.reshape(-1)[0])
        if number == 2:
            return node.add("multiplyBroadcastable", node.blob(), node.blob())
        if number == 0.5:
            return node.unary("SQRT", node.blob())
    return node.add("powBroadcastable", *operands(node))


@converts(*_OF_ANY_NUMBER)
def of_any_number(node: Node) -> str:
    """The greatest, the least, the sum or the mean of all inputs, broadcast."""
    layer = _OF_ANY_NUMBER[node.type]
    blobs = [node.blob(index) for index in range(len(node.inputs))]
    result = reduce(lambda a, b: node.add(layer, a, b), blobs)
    return node.linear(result, 1 / len(blobs)) if node.type == "Mean" else result


@converts("Where")
def where(node: Node) -> str:
    """The second input where the first is true, else the third."""
    return node.add("whereBroadcastable", node.blob(0), node.blob(1), node.blob(2))


@converts("Identity", "Dropout", any_rank=True)
def identity(node: Node) -> str:
    """The input itself; dropping out is for training."""
    if node.type == "Dropout" and node.has(2) and node.known(2, "training_mode").any():
        raise UnsupportedError("it drops values at random (training_mode); export the model for inference")
    return node.blob()


@converts("Cast")
def cast(node: Node) -> str:
    """To whole numbers by leaving out the fraction, to truth values by comparing with 0; floats stay as they are."""
    source, to = node.input().dtype, node.attribute("to", None)
    try:
        code = to if isinstance(to, int) else int(TensorProto.DataType.Value(str(to)))
        target = np.dtype(helper.tensor_dtype_to_np_dtype(code))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"there is no type {to!r}") from error
    if target.kind not in "fiub":
        raise UnsupportedError(f"it makes {target} of numbers; Core ML has floats only")
    if target.kind == "b" and source.kind != "b":
        zero = node.load(np.zeros(1, np.float32))
        return node.add("notEqual", node.blob(), zero)
    if target.kind in "iu" and source.kind == "f":
        return truncated(node, node.blob())
    return node.blob()


def truncated(node: Node, blob: str) -> str:
    """Values without their fraction: the floor of the magnitude, times the sign."""
    magnitude = node.add("floor", node.unary("ABS", blob))
    return node.add("multiplyBroadcastable", magnitude, node.add("sign", blob))


def operands(node: Node) -> tuple[str, str]:
    """The blobs of two inputs that broadcast; before version 7 the second one begins at the first's `axis`."""
    a, b = node.input(0), node.input(1)
    if not node.attribute("broadcast", 0) or "axis" not in node.attributes:
        return node.blob(0), node.blob(1)
    shape = _from_axis(a, b, node.attributes["axis"])
    if b.is_constant:
        return node.blob(0), node.load(b.array.reshape(shape), b.name)
    return node.blob(0), node.reshape(node.blob(1), b.shape, shape)


def _from_axis(a: Value, b: Value, axis: int) -> tuple[int, ...]:
    missing = a.rank - positive(axis, a.rank) - b.rank
    if missing < 0:
        raise ModelError(f"an input of shape {list(b.shape)} does not fit {list(a.shape)} from axis {axis} on")
    return (*b.shape, *[1] * missing)
