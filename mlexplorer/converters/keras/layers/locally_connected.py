"""Convolutions with kernels of their own at every place, as Keras 2 had them: Core ML has no layer for them.

The windows are gathered as rows, and each is multiplied with the matrix of its place.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.layers.activation import activate
from mlexplorer.converters.keras.values import Value


@converts("LocallyConnected1D", "LocallyConnected2D")
def locally_connected(c: Context) -> Value:
    """LocallyConnected1D, LocallyConnected2D without padding: kernels [places, size * channels, filters].

    With `implementation` 2 they are within [*inputs, *outputs], else unused; with 3 they are a row of numbers, those of
    the first output first.
    """
    rank = 1 if c.layer.class_name.endswith("1D") else 2
    c.refuse_unless("padding", "valid")
    c.refuse_unless("implementation", 1, 2, 3)
    use_bias = bool(c.get("use_bias", True))
    kernel, *biases = c.weights(1 + use_bias)
    x = c.as_plain(c.input)
    if x.rank != rank + 2:
        raise ValueError(f"the input has the shape {list(x.shape)}; it must have {rank + 2} axes")
    if c.channels_first:
        x = c.transpose(x, [0, *range(2, rank + 2), 1], "channels_last")
    batch, *extent, channels = x.shape
    size, strides = c.sizes("kernel_size", rank), c.sizes("strides", rank)
    target = [(n - k) // s + 1 for n, k, s in zip(extent, size, strides, strict=True)]
    if min(target) < 1:
        raise ValueError(f"kernels of {size} are larger than the input {extent}")
    c.require_room(*extent)
    c.require_room(*target, *size)
    windows = _windows(extent, target, size, strides)
    form, count = c.get("implementation", 1), windows.shape[1] * channels
    if form == 3 and c.channels_first:
        kernel = kernel.reshape(-1, len(windows), count).transpose(1, 2, 0)
    elif form == 3:
        kernel = kernel.reshape(len(windows), -1, count).transpose(0, 2, 1)
    if form == 2:
        kernel = _of_all_pairs(c, kernel, windows, [*extent, channels], target)
    elif c.channels_first:  # within a window the channels come first, too
        kernel = kernel.reshape(len(windows), channels, windows.shape[1], -1).transpose(0, 2, 1, 3)
    kernel = kernel.reshape(len(windows), count, -1)
    filters = kernel.shape[-1]
    rows = c.reshape(x, [batch, int(np.prod(extent)), channels], "pixels")
    picked = c.add("gather", rows.blob, c.constant(windows.reshape(-1), "places"), part="windows", axis=1)
    patches = c.reshape(
        Value(picked, (batch, windows.size, channels)), [batch, len(windows), kernel.shape[1]], "patches"
    )
    turned = c.transpose(patches, [1, 0, 2], "by_place")
    products = c.add("batchedMatmul", turned.blob, c.constant(kernel, "kernel"), part="products")
    y = c.transpose(Value(products, (len(windows), batch, filters)), [1, 0, 2], "by_batch")
    y = c.reshape(y, [batch, *target, filters], "planes")
    if c.channels_first:
        y = c.transpose(y, [0, rank + 1, *range(1, rank + 1)], "channels_first")
    if biases:  # of channels first Keras reads the numbers, [*target, filters], in the order of the result's axes
        bias = c.constant(biases[0].reshape(1, *y.shape[1:]), "bias")
        y = y.with_blob(c.add("addBroadcastable", y.blob, bias, part="biased"))
    return activate(c, y, c.get("activation"))


def _windows(extent: Sequence[int], target: Sequence[int], size: Sequence[int], strides: Sequence[int]) -> Array:
    """The places of pixels, numbered row by row, in each window: [windows, pixels of one]."""
    numbers = np.arange(np.prod(extent)).reshape(extent)
    return np.array(
        [
            numbers[tuple(slice(p * s, p * s + k) for p, s, k in zip(place, strides, size, strict=True))].reshape(-1)
            for place in product(*map(range, target))
        ]
    )


def _of_all_pairs(c: Context, kernel: Array, windows: Array, inputs: Sequence[int], target: Sequence[int]) -> Array:
    """The kernels of the windows, from one number for each pair of an input and an output."""
    rank = len(target)
    if c.channels_first:
        order = [*range(1, rank + 1), 0, *range(rank + 2, 2 * rank + 2), rank + 1]
        kernel = kernel.transpose(order)
    if kernel.shape[:-1] != (*inputs, *target):
        raise ValueError(f"its kernel has the shape {kernel.shape}; from {list(inputs)} it gives {list(target)}")
    flat = kernel.reshape(-1, inputs[-1], len(windows), kernel.shape[-1])
    return np.stack([flat[window, :, number] for number, window in enumerate(windows)])
