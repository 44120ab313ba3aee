"""The same elements under other shapes."""

from __future__ import annotations

from math import prod

from mlexplorer.converters.keras.context import Context, converts
from mlexplorer.converters.keras.layers.functions import function, setting
from mlexplorer.converters.keras.values import Value


@converts("Flatten")
def flatten(c: Context) -> Value:
    """Flatten: the elements in Keras' order; of layers that are channels first, as if the channels were last."""
    x = c.input
    if c.channels_first and x.rank > 2:
        x = c.transpose(x, [0, *range(2, x.rank), 1], "channels_last")
    return c.reshape(x, [x.shape[0], prod(x.shape[1:])])


@converts("Reshape")
def reshape(c: Context) -> Value:
    """Reshape to target_shape, in which one -1 is inferred; also keras.ops.reshape, whose newshape has the batch."""
    x = c.input
    if "target_shape" in c.layer.config:
        target = [x.shape[0], *map(int, c.get("target_shape"))]
    else:
        target = [int(size) for size in setting(c, "newshape", 1)]
    return c.reshape(x, inferred(x, target))


def inferred(x: Value, target: list[int]) -> list[int]:
    """A shape whose one -1, and whose unknown batch, follow from the value's size."""
    if target.count(-1) > 1 and target[0] == -1:
        target = [x.shape[0], *target[1:]]
    if -1 not in target:
        return target
    rest = -prod(target)
    if target.count(-1) > 1 or rest <= 0 or prod(x.shape) % rest:
        raise ValueError(f"a tensor of shape {list(x.shape)} cannot become {target}")
    return [prod(x.shape) // rest if size == -1 else size for size in target]


@converts("Permute")
def permute(c: Context) -> Value:
    """Permute: the axes but the batch in another order, counted from 1."""
    return c.transpose(c.input, [0, *(int(axis) for axis in c.get("dims"))])


@converts("RepeatVector")
def repeat_vector(c: Context) -> Value:
    """RepeatVector: [N, features] to [N, n, features]."""
    x, count = c.input, int(c.get("n"))
    batch, features = x.shape
    blob = c.add("expandDims", c.plain(x), part="steps", axes=[1])
    return Value(c.add("tile", blob, reps=[1, count, 1]), (batch, count, features))


# Operators


@function("reshape")
def reshape_to(c: Context) -> Value:
    """Another shape, in which one -1 is inferred."""
    target = [int(size) for size in setting(c, "shape", 1)]
    return c.reshape(c.input, inferred(c.input, target))


@function("Transpose", "transpose")
def transpose(c: Context) -> Value:
    """The axes in another order, the other way round where none is given."""
    axes = setting(c, "axes", 1, setting(c, "perm", 1))
    order = list(reversed(range(c.input.rank))) if axes is None else [c.input.positive(int(axis)) for axis in axes]
    return c.transpose(c.input, order)


@function("ExpandDims", "expand_dims")
def expand_dims(c: Context) -> Value:
    """New axes of length 1."""
    x, given = c.input, setting(c, "axis", 1)
    axes = [given] if isinstance(given, int) else list(given)
    axes = sorted(int(axis) % (x.rank + len(axes)) for axis in axes)
    sizes = iter(x.shape)
    shape = tuple(1 if axis in axes else next(sizes) for axis in range(x.rank + len(axes)))
    return Value(c.add("expandDims", c.plain(x), axes=axes), shape)


@function("Squeeze", "squeeze")
def squeeze(c: Context) -> Value:
    """Without axes of length 1: those given, or all but the batch."""
    x, given = c.input, setting(c, "axis", 1)
    if given is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1 and axis]
    else:
        axes = [x.positive(int(axis)) for axis in ([given] if isinstance(given, int) else given)]
    shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return Value(c.add("squeeze", c.plain(x), axes=axes), shape) if axes else x
