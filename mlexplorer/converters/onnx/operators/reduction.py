"""Reductions along axes, extremes and their places, running sums."""

from __future__ import annotations

import numpy as np

from mlexplorer.converters.onnx.node import Node, positive
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import UnsupportedError

_REDUCTIONS = {
    "ReduceL1": "reduceL1",
    "ReduceL2": "reduceL2",
    "ReduceLogSum": "reduceLogSum",
    "ReduceLogSumExp": "reduceLogSumExp",
    "ReduceMax": "reduceMax",
    "ReduceMean": "reduceMean",
    "ReduceMin": "reduceMin",
    "ReduceProd": "reduceProd",
    "ReduceSum": "reduceSum",
    "ReduceSumSquare": "reduceSumSquare",
}

_OF_ONE_ELEMENT = ("ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum")
"""What leaves a single element as it is."""


@converts(*_REDUCTIONS)
def reduce(node: Node) -> str:
    """One number instead of some axes, or of all where none are given; the axes are an attribute or an input."""
    rank = node.input().rank
    axes = node.integers("axes", 1, "the axes") or []
    if not axes and node.attribute("noop_with_empty_axes", 0):
        if node.type in _OF_ONE_ELEMENT:
            return node.blob()
        raise UnsupportedError("it reduces no axis, but changes each element (noop_with_empty_axes)")
    if not rank:
        return node.blob()
    kept = bool(node.attribute("keepdims", 1))
    every = len(axes) in (0, rank)
    fields = {"reduceAll": True} if every else {"axes": [positive(axis, rank) for axis in axes]}
    return node.add(_REDUCTIONS[node.type], node.blob(), keepDims=kept, **fields)


@converts("ArgMax", "ArgMin")
def arg_extreme(node: Node) -> str:
    """Where along an axis the first greatest or least element stands."""
    if node.attribute("select_last_index", 0):
        raise UnsupportedError("it takes the last of equal values (select_last_index); Core ML takes the first")
    layer = "argMax" if node.type == "ArgMax" else "argMin"
    return node.add(layer, node.blob(), axis=node.axis(0), removeDim=not node.attribute("keepdims", 1))


@converts("TopK")
def top_k(node: Node) -> list[str]:
    """The greatest or least values of an axis, and their places."""
    count = node.attribute("k", 0) or int(node.known(1, "K").reshape(-1)[0])
    lowest = not node.attribute("largest", 1)
    return node.add_many(2, "topK", node.blob(), axis=node.axis(-1), K=count, useBottomK=lowest)


@converts("CumSum")
def running_sum(node: Node) -> str:
    """The sum up to each element of an axis."""
    axis = positive(int(np.asarray(node.known(1, "the axis")).reshape(-1)[0]), node.input().rank)
    return node.add(
        "cumSum",
        node.blob(),
        axis=axis,
        excludeFinalSum=bool(node.attribute("exclusive", 0)),
        reverse=bool(node.attribute("reverse", 0)),
    )
