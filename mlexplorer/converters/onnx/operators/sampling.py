"""Pictures sampled on grids that the network computes, as spatial transformers do.

Core ML has no layer for it. Padding with zeros is a border of zeros around the picture, a reflection is a remainder of
the coordinate, and then the coordinates are within the picture; its pixels are rows of a matrix, of which each corner
of each place is gathered.
"""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import UnsupportedError

_LINEAR, _NEAREST = ("bilinear", "linear"), ("nearest",)
_MOST_PIXELS = 1 << 24
"""Places of pixels are floats, which hold whole numbers up to this one."""


@converts("AffineGrid")
def affine_grid(node: Node) -> str:
    """The places [N, H, W, 2] or [N, D, H, W, 3] to which matrices [N, 2, 3] or [N, 3, 4] bring those of a picture."""
    *_, last = node.shape
    extent = node.shape[1:-1]
    if prod(extent) > _MOST_PIXELS:
        raise UnsupportedError(f"it makes a grid of {list(extent)} places, which is too large for a constant")
    steps = [_base(size, bool(node.attribute("align_corners", 0))) for size in extent]
    axes = np.meshgrid(*steps, indexing="ij")[::-1]  # x comes first
    base = np.stack([*axes, np.ones(extent)], axis=-1).reshape(1, -1, last + 1).astype(np.float32)
    places = node.add("batchedMatmul", node.load(base), node.blob(0), transposeB=True)
    return node.reshape(places, (node.shape[0], base.shape[1], last), node.shape)


def _base(size: int, align_corners: bool) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The coordinates of an axis' pixels: -1 to 1 are the centres of the outer pixels, or else their outer edges."""
    if align_corners:
        return np.linspace(-1, 1, size)
    return (2 * np.arange(size) + 1) / size - 1


@converts("GridSample")
def grid_sample(node: Node) -> str:
    """The picture [N, C, H, W] at the places [N, h, w, 2], x first: the nearest pixel, or between four of them."""
    mode, padding = node.attribute("mode", "linear"), node.attribute("padding_mode", "zeros")
    if mode not in (*_LINEAR, *_NEAREST) or node.input().rank != 4:
        raise UnsupportedError(
            f"it samples {list(node.input().shape)} in the mode {mode!r}; 'linear' and 'nearest' on pictures can be "
            "converted: give a function for a custom layer, custom_conversion_functions={'GridSample': ...}"
        )
    batch, channels, height, width = node.input().shape
    count = node.shape[2] * node.shape[3]
    grid = node.reshape(node.blob(1), node.input(1).shape, (batch, count, 2))
    coordinates = [
        _pixels(node, blob, size, mode in _NEAREST, padding)
        for blob, size in zip(node.add_many(2, "splitND", grid, axis=2, numSplits=2), (width, height), strict=True)
    ]
    picture = node.blob(0)
    if padding == "zeros":
        picture = node.add("constantPad", picture, padAmounts=[0, 0, 0, 0, 1, 1, 1, 1])
        height, width = height + 2, width + 2
    if batch * height * width > _MOST_PIXELS:
        raise UnsupportedError(f"it samples {batch * height * width} pixels; {_MOST_PIXELS} are the most")
    rows = node.transpose(picture, [0, 2, 3, 1])
    rows = node.reshape(rows, (batch, height, width, channels), (batch * height * width, channels))
    corners = [
        _corners(node, blob, size, mode in _NEAREST) for blob, size in zip(coordinates, (width, height), strict=True)
    ]
    first = node.load((np.arange(batch) * height * width).reshape(batch, 1, 1)) if batch > 1 else ""
    parts = []
    for (x, x_share), (y, y_share) in product(*corners):
        place = node.add("addBroadcastable", node.linear(y, width), x)
        if first:
            place = node.add("addBroadcastable", place, first)
        place = node.reshape(place, (batch, count, 1), (batch * count,))
        pixels = node.add("gather", rows, place, axis=0)
        pixels = node.reshape(pixels, (batch * count, channels), (batch, count, channels))
        for share in filter(None, (x_share, y_share)):
            pixels = node.add("multiplyBroadcastable", pixels, share)
        parts.append(pixels)
    total = parts[0]
    for part in parts[1:]:
        total = node.add("addBroadcastable", total, part)
    planes = node.transpose(total, [0, 2, 1])
    return node.reshape(planes, (batch, channels, count), node.shape)


def _pixels(node: Node, grid: str, size: int, nearest: bool, padding: str) -> str:
    """Coordinates of an axis from 0 to size - 1, or to size + 1 where a border of zeros is around the picture."""
    aligned = bool(node.attribute("align_corners", 0))
    span = size - 1 if aligned else size
    x = node.linear(grid, span / 2, (size - 1) / 2)
    if nearest:
        x = node.add("round", x)
    if padding == "zeros":
        return node.add("clip", node.linear(x, 1, 1), minVal=0, maxVal=size + 1)
    if padding == "reflection" and span:  # between the centres of the outer pixels, or their outer edges
        start = 0.0 if aligned else -0.5
        turns = node.add("modBroadcastable", node.linear(x, 1, -start), node.load(np.array([2 * span], np.float32)))
        distance = node.unary("ABS", node.linear(turns, 1, -span))
        x = node.linear(distance, -1, span + start)
    return node.add("clip", x, minVal=0, maxVal=size - 1)


def _corners(node: Node, x: str, size: int, nearest: bool) -> list[tuple[str, str]]:
    """The pixels on both sides of the coordinates, and their shares; of one pixel all, which needs no factor."""
    if nearest or size == 1:
        return [(x, "")]
    before = node.add("clip", node.add("floor", x), minVal=0, maxVal=size - 2)
    share = node.add("subtractBroadcastable", x, before)
    return [(before, node.linear(share, -1, 1)), (node.linear(before, 1, 1), share)]
