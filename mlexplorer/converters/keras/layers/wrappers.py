"""Layers that call another layer."""

from __future__ import annotations

from mlexplorer.converters.keras.context import Context, converts
from mlexplorer.converters.keras.values import Value

_OF_EACH_ELEMENT = frozenset({"Activation", "Dense", "Dropout", "ELU", "LeakyReLU", "ReLU", "Rescaling"})


@converts("TimeDistributed", keeps_mask=True)
def time_distributed(c: Context) -> Value:
    """TimeDistributed: the steps are a batch for the layer inside, [N, T, ...] as [N * T, ...]."""
    (inner,) = c.layer.inner.values()
    x = c.input
    if inner.class_name in _OF_EACH_ELEMENT:
        return c.call(c, inner, c.name, [x])[0]
    batch, steps, *own = x.shape
    folded = c.reshape(x, [batch * steps, *own], "steps")
    results = c.call(c, inner, f"{c.name}/{inner.name}", [folded])
    if len(results) != 1:
        c.refuse(f"its layer {inner.name!r} gives {len(results)} tensors")
    return c.reshape(results[0], [batch, steps, *results[0].shape[1:]])


@converts("Wrapper", "SpectralNormalization")
def wrapper(c: Context) -> Value:
    """SpectralNormalization: when it is used, the layer inside with the kernel that training left there."""
    (inner,) = c.layer.inner.values()
    return c.call(c, inner, c.name, [c.input])[0]
