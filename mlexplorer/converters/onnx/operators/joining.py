"""Putting tensors together, taking them apart, repeating them."""

from __future__ import annotations

from collections.abc import Sequence

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.converters.source import Shape
from mlexplorer.errors import ModelError


def _concatenated(node: Node) -> list[Shape]:
    axis, shape = node.axis(1), list(node.input().shape)
    shape[axis] = sum(node.input(index).shape[axis] for index in range(len(node.inputs)))
    return [tuple(shape)]


@converts("Concat", shapes=_concatenated)
def concat(node: Node) -> str:
    """Side by side along an axis, which version 1 did not need to name; empty tensors add nothing."""
    axis = node.axis(1)
    full = [index for index in range(len(node.inputs)) if 0 not in node.input(index).shape]
    blobs = [node.blob(index) for index in full]
    return blobs[0] if len(blobs) == 1 else node.add("concatND", *blobs, axis=axis)


def _parts(node: Node) -> list[Shape]:
    axis, shape, count = node.axis(0), node.input().shape, len(node.proto.output)
    sizes = node.integers("split", 1, "the sizes") or [shape[axis] // count] * count
    if len(sizes) != count or sum(sizes) != shape[axis]:
        raise ModelError(f"an axis of length {shape[axis]} cannot be split into {sizes}")
    return [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]


@converts("Split", shapes=_parts)
def split(node: Node) -> Sequence[str]:
    """Parts along an axis, as long as the outputs are."""
    axis = node.axis(0)
    if len(node.outputs) == 1:
        return [node.blob()]
    sizes = [shape[axis] for shape in _sizes(node)]
    return node.add_many(len(sizes), "splitND", node.blob(), axis=axis, numSplits=len(sizes), splitSizes=sizes)


def _sizes(node: Node) -> list[Shape]:
    if all(value is not None for value in node.outputs):
        return [value.shape for value in node.outputs if value is not None]
    return _parts(node)


@converts("Expand")
def expand(node: Node) -> str:
    """Repeated along axes of length 1."""
    shape = node.input().shape
    if node.shape == shape:
        return node.blob()
    return node.add("broadcastToStatic", node.blob(), targetShape=node.shape)


@converts("Tile")
def tile(node: Node) -> str:
    """Repeated along the axes; version 1 said one axis and how often."""
    rank = node.input().rank
    repeats = [out // n for out, n in zip(node.shape, node.input().shape, strict=True)]
    return node.add("tile", node.blob(), reps=repeats) if rank else node.blob()
