"""What is added around tensors, and pieces of them."""

from __future__ import annotations

import numpy as np

from mlexplorer.converters.onnx.node import Node, positive
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.converters.onnx.operators.window import Pads, borders
from mlexplorer.converters.source import Shape
from mlexplorer.errors import ModelError, UnsupportedError

_KINDS = {"reflect": "reflection", "edge": "replication"}


def _amounts(node: Node) -> Pads:
    """What is added before and after each axis; negative where something is taken."""
    rank = node.input().rank
    given = node.integers("paddings" if "paddings" in node.attributes else "pads", 1, "the amounts") or []
    axes = list(range(rank))
    if node.has(3):
        axes = [positive(int(axis), rank) for axis in node.known(3, "the axes").reshape(-1)]
    if len(given) != 2 * len(axes):
        raise ModelError(f"there are {len(given)} amounts; there must be two for each of {len(axes)} axes")
    pads = [(0, 0)] * rank
    for index, axis in enumerate(axes):
        pads[axis] = (given[index], given[index + len(axes)])
    return pads


def _padded(node: Node) -> list[Shape]:
    return [tuple(n + sum(pair) for n, pair in zip(node.input().shape, _amounts(node), strict=True))]


@converts("Pad", shapes=_padded)
def pad(node: Node) -> str:
    """Extended by a constant along any axes, by reflection or by its edges along the last two; negative amounts cut."""
    shape, pads, mode = node.input().shape, _amounts(node), node.attribute("mode", "constant")
    blob = node.blob()
    if any(min(pair) < 0 for pair in pads):
        cuts = [(max(0, -start), n - max(0, -end)) for n, (start, end) in zip(shape, pads, strict=True)]
        blob = sliced(node, blob, [(start, end, 1) for start, end in cuts])
        pads = [(max(0, start), max(0, end)) for start, end in pads]
    if not any(map(any, pads)):
        return blob
    if mode == "constant":
        value = float(node.known(2, "the value").reshape(-1)[0]) if node.has(2) else node.attribute("value", 0.0)
        amounts = [amount for pair in pads for amount in pair]
        return node.add("constantPad", blob, value=value, padAmounts=amounts)
    if mode not in _KINDS:
        raise UnsupportedError(f"it pads by {mode!r}, which Core ML does not have")
    return _bordered(node, blob, pads, _KINDS[mode])


def _bordered(node: Node, blob: str, pads: Pads, kind: str) -> str:
    """By reflection or replication, which Core ML does on the last two axes: one pair after the other goes there."""
    rank = len(pads)
    if rank == 1:
        length = node.input().shape[0]
        blob = node.add(
            "padding", node.add("expandDims", blob, axes=[0]), **{kind: {}}, paddingAmounts=borders([(0, 0), pads[0]])
        )
        return node.reshape(blob, (1, length + sum(pads[0])), node.shape)
    axes = [axis for axis, pair in enumerate(pads) if any(pair)]
    while axes:
        last, axes = axes[-2:], axes[:-2]
        while len(last) < 2:
            last.insert(0, next(axis for axis in reversed(range(rank)) if axis not in last))
        pair = sorted(last)
        order = [*(axis for axis in range(rank) if axis not in pair), *pair]
        amounts = [pads[axis] for axis in pair]
        pads = [(0, 0) if axis in pair else amount for axis, amount in enumerate(pads)]
        blob = node.transpose(blob, order)
        blob = node.add("padding", blob, **{kind: {}}, paddingAmounts=borders(amounts))
        blob = node.transpose(blob, [order.index(axis) for axis in range(rank)])
    return blob


@converts("Slice")
def cut(node: Node) -> str:
    """From a start to before an end, in steps, along some axes; attributes before version 10, inputs since."""
    shape = node.input().shape
    rank = len(shape)
    starts = node.integers("starts", 1, "the starts") or []
    ends = node.integers("ends", 2, "the ends") or []
    axes = node.integers("axes", 3, "the axes") or list(range(len(starts)))
    steps = node.integers("steps", 4, "the steps") or [1] * len(starts)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        raise ModelError(f"starts {starts}, ends {ends}, axes {axes} and steps {steps} do not fit each other")
    pieces = [(0, n, 1) for n in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        length = shape[positive(axis, rank)]
        pieces[positive(axis, rank)] = slice(start, end, step).indices(length)
    return sliced(node, node.blob(), pieces)


def sliced(node: Node, blob: str, pieces: list[tuple[int, int, int]]) -> str:
    """A piece of a blob, by start, end and step for each axis as Python's `slice.indices` gives them."""
    return node.add(
        "sliceStatic",
        blob,
        beginIds=[start for start, _, _ in pieces],
        endIds=[end for _, end, _ in pieces],
        strides=[step for _, _, step in pieces],
        beginMasks=[False] * len(pieces),
        endMasks=[end < 0 for _, end, _ in pieces],
    )


@converts("Trilu")
def triangle(node: Node) -> str:
    """Zeros below or above a diagonal."""
    diagonal = int(np.asarray(node.known(1, "the diagonal")).reshape(-1)[0]) if node.has(1) else 0
    layer = "upperTriangular" if node.attribute("upper", 1) else "lowerTriangular"
    return node.add(layer, node.blob(), k=diagonal)
