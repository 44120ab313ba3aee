"""The same values in other shapes and orders."""

from __future__ import annotations

from mlexplorer.converters.onnx.node import LARGEST_RANK, Node, too_many_axes
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.converters.source import Shape
from mlexplorer.errors import ModelError


def _reshaped(node: Node) -> list[Shape]:
    """The shape that Reshape had as an attribute in version 1."""
    source = node.input().shape
    target = [source[index] if n == 0 else int(n) for index, n in enumerate(node.attribute("shape", [0]))]
    rest = 1
    for n in target:
        rest *= n if n != -1 else 1
    size = 1
    for n in source:
        size *= n
    return [tuple(size // rest if n == -1 and rest else n for n in target)]


@converts("Flatten", "Reshape", "Squeeze", "Unsqueeze", shapes=_reshaped, any_rank=True)
def reshape(node: Node) -> str:
    """The shape that the output has."""
    return node.reshape(node.blob(), node.input().shape, node.shape)


@converts("Transpose", any_rank=True)
def transpose(node: Node) -> str:
    """The axes in another order; of more than five, those that stay together are moved as one."""
    shape = node.input().shape
    order = node.attribute("perm", list(range(len(shape)))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise ModelError(f"perm is {order}; it must be a permutation of {len(shape)} axes")
    if len(shape) <= LARGEST_RANK:
        return node.transpose(node.blob(), order)
    groups: list[list[int]] = []
    for axis in (axis for axis in order if shape[axis] != 1):
        if groups and axis == groups[-1][-1] + 1:
            groups[-1].append(axis)
        else:
            groups.append([axis])
    if len(groups) > LARGEST_RANK:
        raise too_many_axes(shape)
    merged = sorted(groups)
    sizes = [_product(shape, group) for group in merged]
    blob = node.reshape(node.blob(), shape, sizes)
    blob = node.transpose(blob, [merged.index(group) for group in groups])
    return node.reshape(blob, [_product(shape, group) for group in groups], node.shape)


def _product(shape: Shape, axes: list[int]) -> int:
    result = 1
    for axis in axes:
        result *= shape[axis]
    return result


@converts("DepthToSpace")
def depth_to_space(node: Node) -> str:
    """Channels to blocks of pixels, read as [row, column, C] (DCR) or as [C, row, column] (CRD)."""
    mode = "PIXEL_SHUFFLE" if node.attribute("mode", "DCR") == "CRD" else "DEPTH_TO_SPACE"
    return node.add("reorganizeData", node.blob(), mode=mode, blockSize=node.attribute("blocksize", 1))


@converts("SpaceToDepth")
def space_to_depth(node: Node) -> str:
    """Blocks of pixels to channels."""
    return node.add("reorganizeData", node.blob(), mode="SPACE_TO_DEPTH", blockSize=node.attribute("blocksize", 1))
