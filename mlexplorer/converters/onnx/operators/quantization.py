"""Networks that compute with quantized values: their codes become floats that hold the same numbers.

Weights that are stored in codes are constants, and dequantized beforehand.
"""

from __future__ import annotations

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import UnsupportedError
from mlexplorer.layers.layer_type import Array


@converts("QuantizeLinear")
def quantize(node: Node) -> str:
    """The codes round(x / scale) + zero point, within what their type holds."""
    target = node.output().dtype
    if target.kind not in "iu":
        raise UnsupportedError(f"its codes are {target}; whole numbers are supported")
    codes = node.add("round", node.add("divideBroadcastable", node.blob(), node.load(_along_axis(node, 1))))
    if node.has(2):
        codes = node.add("addBroadcastable", codes, node.load(_along_axis(node, 2)))
    limits = np.iinfo(target)
    return node.add("clip", codes, minVal=limits.min, maxVal=limits.max)


@converts("DequantizeLinear")
def dequantize(node: Node) -> str:
    """The values (x - zero point) * scale."""
    blob = node.blob()
    if node.has(2):
        blob = node.add("subtractBroadcastable", blob, node.load(_along_axis(node, 2)))
    return node.add("multiplyBroadcastable", blob, node.load(_along_axis(node, 1)))


def _along_axis(node: Node, index: int) -> Array:
    """A scale or zero point, one or one for each place of the axis, to be broadcast."""
    if node.attribute("block_size", 0):
        raise UnsupportedError("it has a scale for each block (block_size)")
    array = np.asarray(node.known(index, "the scale or zero point"), np.float32)
    if array.ndim != 1 or array.size == 1:
        return array.reshape(-1)
    return array.reshape(-1, *[1] * (node.input().rank - node.axis(1) - 1))
