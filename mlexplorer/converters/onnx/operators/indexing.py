"""Elements by their places. Places are floats that hold whole numbers; negative ones count from the end."""

from __future__ import annotations

import numpy as np

from mlexplorer.converters.onnx.node import LARGEST_RANK, Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import UnsupportedError

_MODES = {
    "none": "SCATTER_UPDATE",
    "add": "SCATTER_ADD",
    "mul": "SCATTER_MUL",
    "max": "SCATTER_MAX",
    "min": "SCATTER_MIN",
}


@converts("Gather")
def gather(node: Node) -> str:
    """Slices of an axis; rows of a constant matrix are an embedding."""
    data, places, axis = node.input(0), node.input(1), node.axis(0)
    if data.is_constant and data.rank == 2 and axis == 0 and 0 < places.rank < LARGEST_RANK:
        table = node.weight(0, "the table")
        blob = node.add("expandDims", node.blob(1), axes=[-1])
        size, vocabulary = data.shape[1], data.shape[0]
        weights = np.ascontiguousarray(table.T)
        return node.add("embeddingND", blob, vocabSize=vocabulary, embeddingSize=size, weights=weights)
    shape = (*data.shape[:axis], *(places.shape or (1,)), *data.shape[axis + 1 :])
    return node.reshape(node.add("gather", node.blob(0), node.blob(1), axis=axis), shape, node.shape)


@converts("GatherElements")
def gather_elements(node: Node) -> str:
    """An element of an axis for each place of the second input."""
    return node.add("gatherAlongAxis", node.blob(0), node.blob(1), axis=node.axis(0))


@converts("GatherND")
def gather_nd(node: Node) -> str:
    """Slices at the places that lie along the last axis of the second input."""
    if node.attribute("batch_dims", 0):
        raise UnsupportedError("it gathers within batches (batch_dims), which Core ML does not do")
    return node.add("gatherND", node.blob(0), node.blob(1))


@converts("ScatterElements", "Scatter")
def scatter_elements(node: Node) -> str:
    """The first input with elements of an axis changed."""
    return node.add("scatterAlongAxis", node.blob(0), node.blob(1), node.blob(2), axis=node.axis(0), mode=_mode(node))


@converts("ScatterND")
def scatter_nd(node: Node) -> str:
    """The first input with slices changed, at the places that lie along the last axis of the second."""
    return node.add("scatterND", node.blob(0), node.blob(1), node.blob(2), mode=_mode(node))


def _mode(node: Node) -> str:
    return _MODES[node.attribute("reduction", "none")]


@converts("ReverseSequence")
def reverse_sequence(node: Node) -> str:
    """The first elements of each sequence backwards, as many as the second input says."""
    axes = {"batchAxis": node.axis(1, name="batch_axis"), "sequenceAxis": node.axis(0, name="time_axis")}
    return node.add("reverseSeq", node.blob(0), node.blob(1), **axes)


@converts("OneHot")
def one_hot(node: Node) -> str:
    """A new axis with one value at the place and another elsewhere; negative places count from the end."""
    depth = int(node.known(1, "the depth").reshape(-1)[0])
    off, on = (float(value) for value in node.known(2, "the values").reshape(-1))
    rank = node.input().rank
    turns = node.linear(node.add("lessThan", node.blob(), alpha=0), depth)
    places = node.add("addBroadcastable", node.blob(), turns)
    fields = {"oneHotVectorSize": depth, "onValue": on, "offValue": off}
    if not rank:
        return node.reshape(node.add("oneHot", places, axis=-1, **fields), (1, depth), node.shape)
    return node.add("oneHot", places, axis=node.axis(-1, rank + 1), **fields)
