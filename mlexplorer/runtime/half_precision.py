"""Values as 16-bit floats, as the GPU and the Neural Engine store them between layers, while sums stay 32 bits wide.

Rounded are the inputs and weights of a network and the results of each layer. Numbers that stand for places, lengths or
counts are not: the device computes them outside of its half-precision units, and a float16 skips whole numbers from
2048 on.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.graph import Node

Array = NDArray[Any]

_READS_INDICES = {
    "broadcastToDynamic": (1,),
    "constantPad": (1,),
    "cumSum": (1,),
    "embedding": (0,),
    "embeddingND": (0,),
    "fillDynamic": (0,),
    "gather": (1,),
    "gatherAlongAxis": (1,),
    "gatherND": (1,),
    "loop": (0,),
    "NonMaximumSuppression": (4,),
    "oneHot": (0, 1),
    "randomBernoulliDynamic": (0,),
    "randomNormalDynamic": (0,),
    "randomUniformDynamic": (0,),
    "rangeDynamic": (0, 1, 2),
    "reshapeDynamic": (1,),
    "reverseSeq": (1,),
    "scatter": (1,),
    "scatterAlongAxis": (1,),
    "scatterND": (1,),
    "sliceBySize": (1,),
    "sliceDynamic": (1, 2, 3, 4, 5, 6),
    "tile": (1,),
    "topK": (1,),
}
"""Which inputs of a layer hold places, lengths or counts."""

_WRITES_INDICES = {
    "argMax": (0,),
    "argMin": (0,),
    "argSort": (0,),
    "categoricalDistribution": (0,),
    "getShape": (0,),
    "NonMaximumSuppression": (2, 3),
    "topK": (1,),
    "whereNonZero": (0,),
}

_MOVES = frozenset(
    [
        "broadcastToDynamic",
        "broadcastToLike",
        "broadcastToStatic",
        "concat",
        "concatND",
        "copy",
        "crop",
        "expandDims",
        "flatten",
        "flattenTo2D",
        "gather",
        "gatherAlongAxis",
        "gatherND",
        "lowerTriangular",
        "matrixBandPart",
        "max",
        "maxBroadcastable",
        "min",
        "minBroadcastable",
        "permute",
        "rankPreservingReshape",
        "reduceMax",
        "reduceMin",
        "reorganizeData",
        "reshape",
        "reshapeDynamic",
        "reshapeLike",
        "reshapeStatic",
        "reverse",
        "reverseSeq",
        "sequenceRepeat",
        "slice",
        "sliceBySize",
        "sliceDynamic",
        "sliceStatic",
        "slidingWindows",
        "split",
        "splitND",
        "squeeze",
        "stack",
        "tile",
        "transpose",
        "upperTriangular",
        "whereBroadcastable",
    ]
)
"""Layers whose results are values of their inputs, or zeros."""

_KEEPS = _MOVES | frozenset(
    [
        "ceil",
        "equal",
        "floor",
        "greaterEqual",
        "greaterThan",
        "lessEqual",
        "lessThan",
        "loadConstant",
        "loadConstantND",
        "logicalAnd",
        "logicalNot",
        "logicalOr",
        "logicalXor",
        "notEqual",
        "round",
        "sign",
        "topK",
    ]
)
"""Layers whose results are float16 values where their inputs and weights are."""

_COUNTS = _MOVES | frozenset(
    [
        "add",
        "addBroadcastable",
        "ceil",
        "clip",
        "cumSum",
        "divideBroadcastable",
        "floor",
        "floorDivBroadcastable",
        "modBroadcastable",
        "multiply",
        "multiplyBroadcastable",
        "rangeDynamic",
        "rangeStatic",
        "reduceProd",
        "reduceSum",
        "round",
        "subtractBroadcastable",
    ]
)
"""Layers with which networks compute places, lengths and counts from others."""


def round_to_half(array: Array) -> Array:
    """Float32 values rounded to the nearest float16, halves to even, what is too large to infinity."""
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float16).astype(np.float32)


class HalfPrecision:
    """Which values of a network are rounded.

    `exact` are the blobs that are not: those that layers write or read as places, lengths or counts, and what these
    come from.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        every = list(nodes)
        found = {blob for node in every for blob in _chosen(node.inputs, _READS_INDICES.get(node.type, ()))}
        makers = [node for node in every if node.type in _COUNTS]
        before = -1
        while len(found) > before:
            before = len(found)
            for node in makers:
                if not found.isdisjoint(node.outputs):
                    found.update(node.inputs)
        for node in every:
            found.update(_chosen(node.outputs, _WRITES_INDICES.get(node.type, ())))
            if node.type == "reduce" and node.params.mode == node.params.ARGMAX:
                found.update(node.outputs)
        self.exact = frozenset(found)

    def rounds(self, node: Node, blob: str) -> bool:
        """Whether the value that a layer writes to a blob must be rounded: it is no index, nor a float16 already."""
        if blob in self.exact:
            return False
        indices = _READS_INDICES.get(node.type, ())
        return not _keeps(node) or any(
            read in self.exact for position, read in enumerate(node.inputs) if position not in indices
        )

    def rounds_weights(self, node: Node) -> bool:
        """Whether a layer's weights are rounded: all but those of constants that are indices and of custom layers."""
        return node.type != "custom" and (not node.outputs or not self.exact.issuperset(node.outputs))


def is_relu(node: Node) -> bool:
    """Whether rounding the layer's result gives the same as rounding its input."""
    return node.type == "activation" and bool(node.params.WhichOneof("NonlinearityType") == "ReLU")


def _keeps(node: Node) -> bool:
    """Whether a layer's results are float16 values already where its inputs and weights are."""
    params = node.params
    if node.type == "activation":
        return is_relu(node)
    if node.type == "padding":
        value = np.float32(params.constant.value)
        return bool(round_to_half(np.asarray(value)) == value)
    if node.type == "pooling":
        return bool(params.type == params.MAX)
    if node.type == "unary":
        return bool(params.type == params.ABS and params.scale in (0, 1) and not params.shift)
    if node.type == "upsample":
        return bool(params.mode == params.NN)
    return node.type in _KEEPS


def _chosen(blobs: tuple[str, ...], positions: tuple[int, ...]) -> list[str]:
    return [blob for position, blob in enumerate(blobs) if position in positions]
