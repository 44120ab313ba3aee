"""Layers of several tensors, element by element or side by side, and plain operators on tensors.

Keras 3 gives operators on tensors ("x + y", keras.ops.add) the names of the layers; they take numbers, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Context, converts
from mlexplorer.converters.keras.layers.functions import function, setting
from mlexplorer.converters.keras.layers.normalization import unit_length
from mlexplorer.converters.keras.values import Mask, Value

_LARGEST = float(np.finfo(np.float32).max)
Operand = Value | float


@converts("Add")
def add(c: Context) -> Value:
    """Add; tensor + tensor, tensor + number."""
    return combine(c, "add", operands(c))


@converts("Multiply")
def multiply(c: Context) -> Value:
    """Multiply; tensor * tensor, tensor * number."""
    return combine(c, "multiply", operands(c))


@converts("Maximum")
def maximum(c: Context) -> Value:
    """Maximum; keras.ops.maximum."""
    return combine(c, "max", operands(c))


@converts("Minimum")
def minimum(c: Context) -> Value:
    """Minimum; keras.ops.minimum."""
    return combine(c, "min", operands(c))


@converts("Average")
def average(c: Context) -> Value:
    """Average of layers; keras.ops.average of one tensor is another thing, and not known."""
    values = operands(c)
    if len(values) == 1:
        c.refuse("it averages one tensor")
    total = combine(c.within("sum"), "add", values)
    return c.map(total, "activation", linear={"alpha": 1 / len(values)})


@converts("Subtract")
def subtract(c: Context) -> Value:
    """Subtract; tensor - tensor, tensor - number, number - tensor."""
    return binary(c, "subtract", *operands(c))


@converts("Concatenate")
def concatenate(c: Context) -> Value:
    """Concatenate along an axis (Core ML: concatND)."""
    values, given = c.inputs, int(c.get("axis", -1))
    if "axis" not in c.layer.config and isinstance(c.keywords.get("axis"), int):
        given = c.keywords["axis"]
    return joined(c, values, given)


@function("concat", "ConcatV2")
def concat(c: Context) -> Value:
    """Side by side along an axis."""
    return joined(c, c.inputs, int(setting(c, "axis", 1, -1)))


@function("Stack", "stack")
def stack(c: Context) -> Value:
    """Side by side along a new axis."""
    values = [c.as_plain(value) for value in c.inputs]
    shape = values[0].shape
    axis = int(setting(c, "axis", 1, 0)) % (len(shape) + 1)
    if any(value.shape != shape for value in values):
        raise ValueError(f"tensors of the shapes {[list(value.shape) for value in values]} cannot be stacked")
    return Value(
        c.add("stack", *(value.blob for value in values), axis=axis), (*shape[:axis], len(values), *shape[axis:])
    )


def joined(c: Context, values: Sequence[Value], given: int) -> Value:
    """Values side by side along an axis of Keras."""
    axis = values[0].positive(given)
    values = c.aligned(values)
    shapes = [value.shape for value in values]
    shape = (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
    if any(other[:axis] + other[axis + 1 :] != shape[:axis] + shape[axis + 1 :] for other in shapes):
        raise ValueError(
            f"tensors of the shapes {[list(other) for other in shapes]} cannot be joined along axis {given}"
        )
    first = replace(values[0], shape=shape)
    if len(values) == 1:
        return first
    blob = c.add("concatND", *(value.blob for value in values), axis=values[0].axis(axis))
    return replace(first, blob=blob, mask=_mask_of_joined(c, values, axis))


@converts("Dot")
def dot(c: Context) -> Value:
    """Dot: products summed along an axis of each tensor, with `normalize` of unit length (Core ML: batchedMatmul)."""
    if "axes" not in c.layer.config:
        return matrix_product(c, *c.inputs)
    left, right = (c.as_plain(value) for value in c.inputs)
    axes = c.get("axes")
    first, second = (axes, axes) if isinstance(axes, int) else axes
    first, second = left.positive(first), right.positive(second)
    if 0 in (first, second) or left.shape[first] != right.shape[second]:
        raise ValueError(f"axes {axes} of {list(left.shape)} and {list(right.shape)} do not go together")
    if c.get("normalize", False):
        left = left.with_blob(unit_length(c.within("left"), left.blob, [first]))
        right = right.with_blob(unit_length(c.within("right"), right.blob, [second]))
    batch, length = left.shape[0], left.shape[first]
    rows = [axis for axis in range(1, left.rank) if axis != first]
    columns = [axis for axis in range(1, right.rank) if axis != second]
    shape = [batch, *(left.shape[axis] for axis in rows), *(right.shape[axis] for axis in columns)]
    a = _ordered(c, left, [0, *rows, first], "left_last")
    b = _ordered(c, right, [0, second, *columns], "right_first")
    a = c.reshape(a, [batch, prod(left.shape[axis] for axis in rows), length], "rows")
    b = c.reshape(b, [batch, length, prod(right.shape[axis] for axis in columns)], "columns")
    product = Value(c.add("batchedMatmul", a.blob, b.blob), (batch, a.shape[1], b.shape[2]))
    return c.reshape(product, shape if len(shape) > 1 else [batch, 1], "axes")


def matrix_product(c: Context, left: Value, right: Value) -> Value:
    """The product over the last two axes, broadcast over the others (keras.ops.matmul; Core ML: batchedMatmul)."""
    if left.rank < 2 or right.rank < 2 or left.shape[-1] != right.shape[-2]:
        c.refuse(f"it multiplies tensors of the shapes {list(left.shape)} and {list(right.shape)}")
    leading = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    blob = c.add("batchedMatmul", c.plain(left), c.plain(right))
    return Value(blob, (*leading, left.shape[-2], right.shape[-1]))


def _ordered(c: Context, value: Value, axes: Sequence[int], part: str) -> Value:
    return value if list(axes) == sorted(axes) else c.transpose(value, axes, part)


def operands(c: Context) -> list[Operand]:
    """The tensors and numbers of a call, in their order, from nested arguments; arrays become constants."""
    found: list[Operand] = []

    def collect(item: Any, names: Sequence[str] = ()) -> None:
        if isinstance(item, Value):
            found.append(item)
        elif isinstance(item, bool | int | float | np.generic):
            found.append(float(item))
        elif isinstance(item, np.ndarray):
            found.append(Value(c.constant(item, f"constant_{len(found)}"), item.shape or (1,)))
        elif isinstance(item, list | tuple):
            if item and all(isinstance(number, int | float) for number in item):
                collect(np.asarray(item, np.float32))
                return
            for inner in item:
                collect(inner)
        elif item is not None:
            raise TypeError(f"it is called with a {type(item).__name__}")

    for argument in [*c.arguments, *(value for key, value in c.keywords.items() if key not in ("name", "training"))]:
        collect(argument)
    return found


def combine(c: Context, type: str, items: Sequence[Operand]) -> Value:
    """Any number of operands: in one layer where their shapes are equal, else one after the other."""
    values = [item for item in items if isinstance(item, Value)]
    if not values:
        raise ValueError("it is called without a tensor")
    if len(items) == 1:
        return values[0]
    if len(values) == len(items) and len({value.shape for value in values}) == 1:
        aligned = c.aligned(values)
        y = c.add(type, *(value.blob for value in aligned))
        return replace(aligned[0], blob=y, mask=_mask_of_any(c, values))
    result: Operand = items[0]
    for number, item in enumerate(items[1:], 1):
        here = c if number == len(items) - 1 else c.within(f"{number}")
        result = binary(here, type, result, item)
    assert isinstance(result, Value)
    return replace(result, mask=_mask_of_any(c, values))


def binary(c: Context, type: str, left: Operand, right: Operand) -> Value:
    """Two operands with broadcasting; numbers become parameters of a layer."""
    if isinstance(left, Value) and isinstance(right, Value):
        return _broadcast(c, f"{type}Broadcastable" if type in _WITH_NUMBER else type, left, right)
    if isinstance(left, Value) and not isinstance(right, Value):
        return _WITH_NUMBER[type](c, left, right)
    if isinstance(right, Value) and not isinstance(left, Value):
        return _FROM_NUMBER.get(type, _WITH_NUMBER.get(type, _unknown))(c, right, left)
    raise ValueError("it is called without a tensor")


def _broadcast(c: Context, type: str, left: Value, right: Value) -> Value:
    shape = np.broadcast_shapes(left.shape, right.shape)
    a, b = c.aligned([left, right])
    longest = a if a.rank >= b.rank else b
    return replace(longest, blob=c.add(type, a.blob, b.blob), shape=shape, mask=_mask_of_any(c, [left, right]))


def _linear(c: Context, x: Value, alpha: float, beta: float = 0) -> Value:
    return c.map(x, "activation", linear={"alpha": alpha, "beta": beta})


def _inverse(c: Context, x: Value, number: float) -> Value:
    if number == 1:
        return c.map(x, "unary", type="POWER", alpha=-1)
    return _linear(c, c.map(x, "unary", "inverse", type="POWER", alpha=-1), number)


def _power_of_number(c: Context, x: Value, number: float) -> Value:
    if number <= 0:
        c.refuse(f"it raises {number} to a power")
    return c.map(x, "unary", type="EXP", scale=float(np.log(number)) or 1e-30)


def _unknown(c: Context, x: Value, number: float) -> Value:
    c.refuse(f"it has the number {number} on its left")


_WITH_NUMBER: dict[str, Callable[[Context, Value, float], Value]] = {
    "add": lambda c, x, number: _linear(c, x, 1, number),
    "subtract": lambda c, x, number: _linear(c, x, 1, -number),
    "multiply": lambda c, x, number: _linear(c, x, number),
    "divide": lambda c, x, number: _linear(c, x, 1 / number),
    "pow": lambda c, x, number: c.map(x, "unary", type="POWER", alpha=number),
    "max": lambda c, x, number: c.map(x, "unary", type="THRESHOLD", alpha=number),
    "min": lambda c, x, number: c.map(x, "clip", minVal=-_LARGEST, maxVal=number),
}
_FROM_NUMBER: dict[str, Callable[[Context, Value, float], Value]] = {
    "subtract": lambda c, x, number: _linear(c, x, -1, number),
    "divide": _inverse,
    "pow": _power_of_number,
}


def _mask_of_any(c: Context, values: Sequence[Value]) -> Mask | None:
    """The mask of an elementwise layer: a step counts where it does in any of the tensors, if all have a mask."""
    masks = [value.mask for value in values]
    first = masks[0]
    if first is None or None in masks or len(set(masks)) == 1:
        return None if None in masks else first
    return _folded(c, "logicalOr", [mask for mask in masks if mask is not None])


def _mask_of_joined(c: Context, values: Sequence[Value], axis: int) -> Mask | None:
    masks = [value.mask for value in values if value.mask is not None]
    if not masks:
        return None
    if axis == 1:
        if len(masks) < len(values):
            c.refuse("some of the tensors have masks, and it joins their steps")
        return c.lazily(lambda c: str(c.add("concatND", *(mask() for mask in masks), axis=1)))
    return masks[0] if len(set(masks)) == 1 else _folded(c, "logicalAnd", masks)


def _folded(c: Context, type: str, masks: Sequence[Mask]) -> Mask:
    def make(c: Context) -> str:
        blob = masks[0]()
        for mask in masks[1:]:
            blob = c.add(type, blob, mask())
        return blob

    return c.lazily(make)
