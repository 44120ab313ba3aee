"""What a network becomes as an ONNX graph."""

from __future__ import annotations

import onnx

import mlexplorer as mle
from mlexplorer.runtime.lowering import lower


def lowered(model: mle.Model) -> onnx.GraphProto:
    """The ONNX graph of a network whose outputs are "y" or "y0"."""
    nodes = model.graph.nodes
    weights = {weight.key: weight.array() for weight in model.graph.weights}
    shapes = {feature.name: tuple(feature.shape or ()) for feature in model.inputs}
    segment = lower(nodes, 0, shapes, {}, weights, frozenset(), lambda blob, stop: blob in ("y", "y0"))
    return onnx.load_from_string(segment.model).graph


def operators(model: mle.Model) -> list[str]:
    """The operators of that graph in order."""
    return [node.op_type for node in lowered(model).node]
