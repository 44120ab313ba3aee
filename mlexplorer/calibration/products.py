"""The matrix products inside layers: each weight as matrices, and the vectors that they are multiplied by.

A gate of a recurrent layer is the sum of two products, W x + R h: its two weights are taken side by side, [W R], times
the vectors of inputs and states, one on the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.calibration.gates import gates
from mlexplorer.graph import Node, Weight
from mlexplorer.layers.window import border_pads, dilated, same_pads, sizes

Array = NDArray[Any]
Vectors = Callable[[Sequence[Array], Sequence[Array], int], tuple[Array, Array]]

_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Product:
    """A weight W of a layer whose output is made of W x, for many vectors x.

    `matrices` turns the weight's array into [groups, rows, columns], `restore` back into a flat array in the weight's
    order. `vectors` takes the layer's inputs in the original network and in the quantized one, and a number, and gives
    [groups, n, all columns] vectors for both, at most that many, at places that depend on the shape alone. All columns
    are those of the weights in `sum`, side by side.
    """

    weight: Weight
    matrices: Callable[[Array], Array]
    restore: Callable[[Array], Array]
    vectors: Vectors
    sum: tuple[Weight, ...]


def products(node: Node) -> Iterator[Product]:
    """The products of a layer with the weights that it stores; none for layers that only look up, add or scale."""
    find = _PRODUCTS.get(node.type)
    if find is not None and len(node.inputs) >= 1:
        yield from find(node)


def _convolution(node: Node) -> Iterator[Product]:
    groups = int(node.params.nGroups) or 1
    for weight in node.weights if len(node.inputs) == 1 else ():
        if weight.name == "weights":
            shape = weight.shape
            vectors = partial(_both, partial(_windows, node.params, shape[2:], groups))
            if node.params.isDeconvolution:
                yield Product(
                    weight, partial(_turned, groups), partial(_turned_back, groups, shape), vectors, (weight,)
                )
            else:
                yield Product(weight, partial(_stacked, groups), _flat, vectors, (weight,))


def _stacked(groups: int, array: Array) -> Array:
    """[out, in / groups, h, w] as [groups, out / groups, in / groups * h * w]."""
    return array.reshape(groups, array.shape[0] // groups, -1)


def _turned(groups: int, array: Array) -> Array:
    """A deconvolution's [in, out / groups, h, w] as a convolution's [groups, out / groups, in / groups * h * w]."""
    inner, outer, *kernel = array.shape
    turned = array.reshape(groups, inner // groups, outer, *kernel).swapaxes(1, 2)[..., ::-1, ::-1]
    return turned.reshape(groups, outer, -1)


def _turned_back(groups: int, shape: tuple[int, ...], stack: Array) -> Array:
    """The inverse of `_turned`, flat."""
    inner, outer, *kernel = shape
    turned = stack.reshape(groups, outer, inner // groups, *kernel)[..., ::-1, ::-1]
    return turned.swapaxes(1, 2).reshape(-1)


def _windows(params: Any, kernel: tuple[int, ...], groups: int, blob: Array, most: int) -> Array:
    """What the kernel sees at some of its places: [groups, n, channels * height * width]."""
    x = blob.reshape(-1, *blob.shape[-3:])
    stride = sizes(params, "stride", 1)
    dilation = sizes(params, "dilationFactor", 1)
    if params.isDeconvolution:
        x, stride = _spread(x, stride, dilated(kernel, dilation)), [1, 1]
    elif params.WhichOneof("ConvolutionPaddingType") == "same":
        heavy = params.same.asymmetryMode == params.same.TOP_LEFT_HEAVY
        x = np.pad(x, [(0, 0), (0, 0), *same_pads(x.shape[2:], dilated(kernel, dilation), stride, heavy)])
    else:
        x = np.pad(x, [(0, 0), (0, 0), *border_pads(params.valid)])
    seen = np.lib.stride_tricks.sliding_window_view(x, dilated(kernel, dilation), axis=(2, 3))
    seen = seen[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]
    batch, _, height, width = seen.shape[:4]
    place = _places(batch * height * width, most)
    picked = seen[place // (height * width), :, place // width % height, place % width]
    return picked.reshape(len(place), groups, -1).swapaxes(0, 1)


def _spread(x: Array, stride: list[int], kernel: list[int]) -> Array:
    """The input of a deconvolution with its values `stride` apart, padded so that a plain convolution does the rest."""
    height, width = ((n - 1) * s + 1 for n, s in zip(x.shape[2:], stride, strict=True))
    edges = [(k - 1, k - 1) for k in kernel]
    wide = np.zeros((*x.shape[:2], height, width), x.dtype)
    wide[:, :, :: stride[0], :: stride[1]] = x
    return np.pad(wide, [(0, 0), (0, 0), *edges])


def _inner_product(node: Node) -> Iterator[Product]:
    columns = int(node.params.inputChannels)
    for weight in node.weights:
        if weight.name == "weights":
            yield _matrix(weight, lambda x: x.reshape(-1, columns))


def _batched_matmul(node: Node) -> Iterator[Product]:
    if len(node.inputs) == 1:
        for weight in node.weights:
            if weight.name == "weights":
                yield _matrix(weight, lambda x: x.reshape(-1, x.shape[-1]))


def _recurrent(node: Node) -> Iterator[Product]:
    for alike in gates(node):
        vectors = partial(_steps, alike.vectors)
        for names in alike.names:
            both = tuple(node.weight(name) for name in names)
            for weight in both:
                yield Product(weight, partial(_stacked, 1), _flat, vectors, both)


def _steps(
    vectors: Callable[..., tuple[Array, Array]], original: Sequence[Array], quantized: Sequence[Array], most: int
) -> tuple[Array, Array]:
    first, second = vectors(original, quantized)
    return _some(first, most), _some(second, most)


def _matrix(weight: Weight, rows: Callable[[Array], Array]) -> Product:
    vectors = partial(_both, lambda blob, most: _some(rows(blob), most))
    return Product(weight, partial(_stacked, 1), _flat, vectors, (weight,))


def _both(
    vectors: Callable[[Array, int], Array], original: Sequence[Array], quantized: Sequence[Array], most: int
) -> tuple[Array, Array]:
    """What a layer's first input gives in both networks."""
    return vectors(original[0], most), vectors(quantized[0], most)


def _some(rows: Array, most: int) -> Array:
    return rows[_places(len(rows), most)][None]


def _flat(stack: Array) -> Array:
    return stack.reshape(-1)


def _places(count: int, most: int) -> Array:
    """At most `most` of the places 0..count, spread evenly but not regularly."""
    if count <= most:
        return np.arange(count)
    return np.unique((np.arange(1, most + 1) * _GOLDEN % 1.0 * count).astype(np.intp))


_PRODUCTS: dict[str, Callable[[Node], Iterator[Product]]] = {
    "batchedMatmul": _batched_matmul,
    "biDirectionalLSTM": _recurrent,
    "convolution": _convolution,
    "gru": _recurrent,
    "innerProduct": _inner_product,
    "simpleRecurrent": _recurrent,
    "uniDirectionalLSTM": _recurrent,
}
