"""Pictures sampled on grids that the network computes, as spatial transformers do, or within boxes.

Core ML has no layer for grids. Padding with zeros is a border of zeros around the picture, a reflection is a remainder
of the coordinate, and then the coordinates are within the picture; its pixels are rows of a matrix, of which each
corner of each place is gathered. For boxes it has cropResize, which repeats the border for ever and knows no boxes
below a pixel; but the places in a box are those of a row and those of a column, so that two matrix products sample them
and take their means.
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


@converts("RoiAlign")
def roi_align(node: Node) -> str:
    """Means of places in boxes [N, 4], x0, y0, x1, y1, of the pictures [B, C, H, W] with numbers [N]: [N, C, h, w]."""
    mode, points = node.attribute("mode", "avg"), int(node.attribute("sampling_ratio", 0))
    if mode != "avg" or points < 1:
        raise UnsupportedError(
            f"mode is {mode!r} and sampling_ratio {points}; means ('avg') of a given number of places can be "
            "converted: give a function for a custom layer, custom_conversion_functions={'RoiAlign': ...}"
        )
    batch, _, *extent = node.input().shape
    count, _, *sizes = node.shape
    half = node.attribute("coordinate_transformation_mode", "half_pixel") == "half_pixel" and node.version >= 16
    edges = node.linear(node.blob(1), float(node.attribute("spatial_scale", 1.0)), -0.5 if half else 0.0)
    x0, y0, x1, y1 = node.add_many(4, "splitND", edges, axis=1, numSplits=4)
    rows, columns = (
        _means(node, ends, count, size, points, length, half)
        for ends, size, length in zip(((y0, y1), (x0, x1)), sizes, extent, strict=True)
    )
    picture = node.blob(0) if batch == 1 else node.add("gather", node.blob(0), node.blob(2), axis=0)
    return node.add("batchedMatmul", node.add("batchedMatmul", rows, picture), columns, transposeB=True)


def _means(node: Node, ends: tuple[str, str], count: int, size: int, points: int, length: int, half: bool) -> str:
    """What each of `length` pixels of an axis adds to each of `size` means of so many points: [N, 1, size, length].

    Boxes have at least one pixel, but where coordinates are those of half pixels. Beyond a pixel from the picture there
    is nothing, and up to there its border is repeated.
    """
    start, end = ends
    span = node.add("subtractBroadcastable", end, start)
    if not half:
        span = node.add("maxBroadcastable", span, node.load(np.ones(1, np.float32)))
    steps = (np.arange(size * points) + 0.5) / (size * points)
    places = node.add("multiplyBroadcastable", span, node.load(steps[None].astype(np.float32)))
    places = node.add("addBroadcastable", places, start)
    places = node.reshape(places, (count, size * points), (count, size * points, 1))
    within = [node.add("greaterEqual", places, alpha=-1), node.add("lessEqual", places, alpha=length)]
    pixels = node.load(np.arange(length, dtype=np.float32).reshape(1, 1, length))
    distances = node.add("subtractBroadcastable", node.add("clip", places, minVal=0, maxVal=length - 1), pixels)
    shares = node.activation(node.linear(node.unary("ABS", distances), -1, 1), "ReLU")
    for mask in within:
        shares = node.add("multiplyBroadcastable", shares, mask)
    shares = node.reshape(shares, (count, size * points, length), (count, size, points, length))
    means = node.add("reduceMean", shares, axes=[2], keepDims=False)
    return node.reshape(means, (count, size, length), (count, 1, size, length))
