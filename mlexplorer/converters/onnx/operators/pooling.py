"""Pooling along one, two or three axes."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from math import prod
from typing import Any

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.padding import sliced
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.converters.onnx.operators.window import Pads, Window, borders, by_axis, custom_padding
from mlexplorer.errors import UnsupportedError
from mlexplorer.layers.layer_type import Array

_REDUCTIONS = {"GlobalAveragePool": "reduceMean", "GlobalMaxPool": "reduceMax", "GlobalLpPool": "reduceL2"}
_KINDS = {"GlobalAveragePool": "AVERAGE", "GlobalMaxPool": "MAX", "GlobalLpPool": "L2"}
_MOST_PIECES = 64


@converts("MaxPool")
def max_pool(node: Node) -> str:
    """The greatest of each window; what `ceil_mode` adds at the end is padding, which does not count.

    Windows with gaps, which Core ML's do not have, are the greatest of as many shifted pieces.
    """
    window = _window(node, gaps=True)
    if set(window.dilation) != {1}:
        return _greatest_of_pieces(node, replace(window, pads=_reached(node, window)))
    return _pool(node, node.blob(), replace(window, pads=_reached(node, window)), "MAX", True)


@converts("AveragePool")
def average_pool(node: Node) -> str:
    """The mean of each window, with the padding in it (count_include_pad) or without.

    What `ceil_mode` adds beyond the padding never counts, in Core ML it does: such means are put right by a factor.
    """
    window = _window(node)
    pads = _reached(node, window)
    exclude = not node.attribute("count_include_pad", 0)
    blob = _pool(node, node.blob(), replace(window, pads=pads), "AVERAGE", exclude)
    if exclude or all(more <= end for (_, more), (_, end) in zip(pads, window.pads, strict=True)):
        return blob
    return node.add("multiplyBroadcastable", blob, node.load(_corrections(node, window)))


@converts("LpPool")
def lp_pool(node: Node) -> str:
    """The root of the sum of squares of each window; other norms are refused."""
    _require_squares(node)
    window = _window(node)
    return _pool(node, node.blob(), replace(window, pads=_reached(node, window)), "L2", False)


@converts(*_REDUCTIONS, shapes=lambda node: [(*node.input().shape[:2], *[1] * (node.input().rank - 2))])
def global_pool(node: Node) -> str:
    """The mean, the greatest or the norm of each channel."""
    if node.type == "GlobalLpPool":
        _require_squares(node)
    rank = node.input().rank
    if rank == 4:
        return node.add("pooling", node.blob(), type=_KINDS[node.type], globalPooling=True, valid={})
    return node.add(_REDUCTIONS[node.type], node.blob(), axes=list(range(2, rank)), keepDims=True)


def _require_squares(node: Node) -> None:
    p = node.attributes.get("p", 2)
    if p != 2:
        raise UnsupportedError(f"it pools by the norm p={p}; Core ML has p=2 only")


def _window(node: Node, gaps: bool = False) -> Window:
    node.require_rank(3, 4, 5)
    window = Window.of(node, node.input().shape[2:])
    if set(window.dilation) != {1} and not gaps:
        raise UnsupportedError(f"its windows have gaps (dilations {window.dilation}), which Core ML's do not have")
    return window


def _reached(node: Node, window: Window) -> Pads:
    """The padding up to the end of the last window."""
    return [
        (start, max(0, (size - 1) * s + k - n - start))
        for n, s, k, size, (start, _) in zip(
            node.input().shape[2:], window.stride, window.reach, node.shape[2:], window.pads, strict=True
        )
    ]


def _greatest_of_pieces(node: Node, window: Window) -> str:
    if prod(window.kernel) > _MOST_PIECES:
        raise UnsupportedError(
            f"its windows of {window.kernel} have gaps; at most {_MOST_PIECES} elements can have them"
        )
    amounts = [0] * 4 + [amount for pair in window.pads for amount in pair]
    blob = node.blob()
    if any(amounts):
        blob = node.add("constantPad", blob, value=float(np.finfo(np.float32).min), padAmounts=amounts)
    pieces = []
    for place in np.ndindex(*window.kernel):
        cuts = [(0, n, 1) for n in node.input().shape[:2]]
        for position, d, s, size in zip(place, window.dilation, window.stride, node.shape[2:], strict=True):
            cuts.append((position * d, position * d + (size - 1) * s + 1, s))
        pieces.append(sliced(node, blob, cuts))
    return reduce(lambda a, b: node.add("maxBroadcastable", a, b), pieces)


def _corrections(node: Node, window: Window) -> Array:
    """The elements of a window over those that are input or padding, for each place."""
    counts: Array = np.ones((), np.float32)
    for n, s, k, size, (start, end) in zip(
        node.input().shape[2:], window.stride, window.kernel, node.shape[2:], window.pads, strict=True
    ):
        first = np.arange(size) * s - start
        counts = counts[..., None] * (np.minimum(first + k, n + end) - first).astype(np.float32)
    return np.asarray(np.float32(prod(window.kernel)) / counts)


def _pool(node: Node, blob: str, window: Window, kind: str, exclude: bool) -> str:
    rank = node.input().rank
    if rank == 5:
        if kind == "L2":
            raise UnsupportedError("it pools three axes by a norm, which Core ML does not have")
        fields: dict[str, Any] = {
            "type": kind,
            **by_axis("kernel", window.kernel),
            **by_axis("stride", window.stride),
            "paddingType": "CUSTOM",
            **custom_padding(window.pads),
            "countExcludePadding": exclude,
        }
        return node.add("pooling3d", blob, **fields)
    if rank == 3:
        window = Window([1, *window.kernel], [1, *window.stride], [1, *window.dilation], [(0, 0), *window.pads])
        blob = node.add("expandDims", blob, axes=[2])
    blob = node.add(
        "pooling",
        blob,
        type=kind,
        kernelSize=window.kernel,
        stride=window.stride,
        valid={"paddingAmounts": borders(window.pads)},
        avgPoolExcludePadding=exclude and kind == "AVERAGE",
    )
    return node.add("squeeze", blob, axes=[2]) if rank == 3 else blob
