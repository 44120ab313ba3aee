"""The same elements under other shapes."""

from __future__ import annotations

from math import prod

from mlexplorer.converters.keras.context import Context, converts
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
        target = [
            int(size)
            for size in c.get(
                "newshape", c.keywords.get("newshape", c.arguments[1:][0] if len(c.arguments) > 1 else None)
            )
        ]
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
