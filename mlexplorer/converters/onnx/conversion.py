"""ONNX models as Core ML networks: the model traced at fixed shapes, then every node that is left as layers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mlexplorer.converters.custom import require_known
from mlexplorer.converters.onnx.node import LARGEST_RANK, LayerWriter, Node, Value, too_many_axes
from mlexplorer.converters.onnx.operators import OPERATORS
from mlexplorer.converters.onnx.operators.missing import REASONS
from mlexplorer.converters.onnx.reading import is_onnx_source, read_model
from mlexplorer.converters.onnx.tracing import named, source_layer, trace
from mlexplorer.converters.options import Interface, Options
from mlexplorer.converters.source import SourceLayer
from mlexplorer.errors import UnsupportedError
from mlexplorer.model import Model

__all__ = ["convert_onnx", "is_onnx_source"]


def convert_onnx(source: Any, options: Options) -> Model:
    """The network that an ONNX file, its bytes or a ModelProto describes, at fixed shapes and in 32-bit floats.

    An open first axis of an input becomes 1; `options.input_name_shape_dict` says the others. Constants are computed,
    conditions that are constant are decided. Truth values and whole numbers become floats.

    Raises FileFormatError for what is no whole ONNX file, ModelError for a model that contradicts itself,
    UnsupportedError for what Core ML does not have: by node, or, of unknown operators, all at once; InputError for
    options that do not fit. Source: the ONNX operator specification.
    """
    model, folder = read_model(source)
    stored = {tensor.name for tensor in model.graph.initializer}
    stored.update(sparse.values.name for sparse in model.graph.sparse_initializer)
    interface = Interface(
        options,
        [info.name for info in model.graph.input if info.name not in stored],
        [info.name for info in model.graph.output],
    )
    traced = trace(model, folder, interface, options)
    require_known(map(_unknown, traced.unknown), REASONS)
    if traced.fault is not None:
        raise traced.fault
    for value in traced.inputs:
        _declare(value, interface)
    for node in traced.nodes:
        with named(node.name, node.type):
            _convert(node)
    for info, value in zip(model.graph.output, traced.outputs, strict=True):
        _give(info.name, value, interface)
    return interface.model()


def _unknown(node: Node) -> SourceLayer:
    """A node for its refusal, without the shapes that were guessed."""
    layer = source_layer(node, [value.shape for value in node.outputs if value is not None])
    given = [value for value in node.inputs if value is not None and not value.is_constant]
    return replace(layer, input_shapes=[None if value.guessed else value.shape for value in given])


def _declare(value: Value, interface: Interface) -> None:
    if value.rank > LARGEST_RANK:
        raise too_many_axes(value.shape)
    blob, is_picture = interface.input(value.name, value.shape or (1,))
    if is_picture and value.rank != 4:
        blob = interface.network.add("reshapeStatic", blob, targetShape=value.shape)
    value.blob = blob


def _convert(node: Node) -> None:
    blobs: Any
    if node.custom is not None or not OPERATORS[node.type].any_rank:
        for value in (*node.inputs, *node.outputs):
            if value is not None and value.rank > LARGEST_RANK:
                raise too_many_axes(value.shape)
    if node.custom is not None:
        read = [node.blob_of(value) for value in node.inputs if value is not None and not value.is_constant]
        blobs = node.network.custom(node.custom, *read, name=node.name, outputs=len(node.outputs))
    else:
        blobs = OPERATORS[node.type].convert(node)
    if isinstance(blobs, str):
        blobs = [blobs]
    for index, value in enumerate(node.outputs):
        if value is None:
            continue
        if index < len(blobs):
            value.blob = blobs[index]
        elif value.used:
            raise UnsupportedError(f"its output {value.name!r} (number {index + 1}) has no counterpart in Core ML")


def _give(name: str, value: Value, interface: Interface) -> None:
    if value.rank > LARGEST_RANK:
        raise too_many_axes(value.shape)
    writer = LayerWriter(f"{name}/output", interface.network)
    blob, shape = writer.blob_of(value), value.shape or (1,)
    if interface.is_image_output(name) and value.rank in (2, 3):
        picture = (*[1] * (4 - value.rank), *shape)
        blob, shape = writer.reshape(blob, shape, picture), picture
    interface.output(name, blob, shape)
