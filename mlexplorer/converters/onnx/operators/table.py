"""The table of operators: one decorated function for each, whatever its version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.source import Shape

Conversion = Callable[[Node], str | Sequence[str]]
Shapes = Callable[[Node], Sequence[Shape]]


@dataclass(frozen=True)
class Operator:
    """How an operator is converted.

    `shapes` tells its outputs' shapes where the onnx package does not; `any_rank` is whether it knows how blobs hold
    values of more than five axes.
    """

    convert: Conversion
    shapes: Shapes | None = None
    any_rank: bool = False


OPERATORS: dict[str, Operator] = {}


def converts(*types: str, shapes: Shapes | None = None, any_rank: bool = False) -> Callable[[Conversion], Conversion]:
    """Register the function that makes layers of a node of these operators ("Conv", "com.example::Op").

    It appends layers through the node and returns the blob of its output, or those of its outputs in their order, of
    which it may leave out the last: where one that is left out is read, the node is refused. It reads what versions
    have in common from attributes and inputs, and `node.version`, the version of the operator's domain, where one
    version means another thing by the same. Raises UnsupportedError for what Core ML does not have.
    """

    def register(function: Conversion) -> Conversion:
        OPERATORS.update(dict.fromkeys(types, Operator(function, shapes, any_rank)))
        return function

    return register
