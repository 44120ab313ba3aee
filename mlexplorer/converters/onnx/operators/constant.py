"""What is large although few numbers say it: fillings and ranges that were not computed beforehand."""

from __future__ import annotations

from onnx import numpy_helper

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import UnsupportedError


@converts("Constant")
def stored(node: Node) -> str:
    """A value that is no number: the others are computed beforehand."""
    raise UnsupportedError(f"it holds {', '.join(node.attributes) or 'nothing'}; Core ML has numbers only")


@converts("ConstantOfShape")
def constant_of_shape(node: Node) -> str:
    """One value in a shape."""
    value = node.attributes.get("value")
    number = float(numpy_helper.to_array(value).reshape(-1)[0]) if value is not None else 0.0
    return node.add("fillStatic", value=number, targetShape=node.shape)


@converts("Range")
def arange(node: Node) -> str:
    """Numbers from a start on, before an end."""
    start, end, step = (float(node.known(index, "a bound").reshape(-1)[0]) for index in range(3))
    return node.add("rangeStatic", startValue=start, endValue=end, stepSizeValue=step)
