"""One node by itself: the shapes of its outputs by onnx' inference, its value by onnxruntime where all is constant."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TypeProto, helper, numpy_helper, shape_inference

from mlexplorer.converters.onnx.node import Node, Value, constant
from mlexplorer.converters.source import Shape
from mlexplorer.errors import MlexplorerError, ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Array
from mlexplorer.layers.limits import require_room
from mlexplorer.runtime.sessions import run_once

_SIZING_ELEMENTS = 1 << 16
"""Constants up to this size are shown to shape inference; and results up to it are always computed."""

_FIRST_OF_ENGINE = 7
"""The first opset that onnxruntime computes reliably."""
_DEEPEST = 8
"""Large constants that wait for each other, each computed as often as it is asked for; then one is computed at once."""

_UNFOLDED = re.compile(r"Random|Bernoulli|Multinomial|Pool|^(If|Loop|Scan|SequenceMap|Dropout)$")
"""What is random, what a node makes onnxruntime run without end, and what has networks within."""

_WITHOUT_LAYER = ("MelWeightMatrix",)
"""What is computed although its result is larger than its inputs: it cannot be a layer."""
_LARGEST_TABLE = 1 << 24

_EQUATION = re.compile(r"(?:[a-zA-Z,\s]|\.{3})*(?:->(?:[a-zA-Z\s]|\.{3})*)?")
"""What onnx' inference reads without running into an endless loop."""

Kind = tuple[Shape | None, np.dtype[Any]]
"""The shape, None where only a run can tell it, and the type of an output."""


def inferred(node: Node, opsets: Mapping[str, int]) -> list[Kind] | None:
    """What the onnx package says of a node's outputs, or None where it says nothing.

    Raises ModelError where attributes or inputs do not fit the operator, UnsupportedError for outputs that are no
    tensors.
    """
    domain = node.proto.domain
    if not onnx.defs.has(node.proto.op_type, domain):
        return None
    try:
        schema = onnx.defs.get_schema(node.proto.op_type, node.version, domain)
    except onnx.defs.SchemaError:
        return None
    if schema.deprecated:
        return None
    _require_inputs(node, schema)
    if node.type == "Einsum" and not _EQUATION.fullmatch(node.attribute("equation", "")):
        raise ModelError(f"its equation {node.attribute('equation', '')!r} is none")
    types: dict[str, TypeProto] = {}
    data: dict[str, onnx.TensorProto] = {}
    for name, value in zip(node.proto.input, node.inputs, strict=True):
        if value is None:
            continue
        types[name] = helper.make_tensor_type_proto(_element_type(value.dtype), value.shape)
        if value.is_constant and prod(value.shape) <= _SIZING_ELEMENTS:
            data[name] = numpy_helper.from_array(np.asarray(value.array), name)
    imports = [helper.make_opsetid(name, version) for name, version in opsets.items()]
    try:
        found = shape_inference.infer_node_outputs(
            schema, _for_inference(node), types, data, opset_imports=imports, ir_version=onnx.IR_VERSION
        )
    except Exception as error:  # onnx raises several unrelated types here
        shapes = ", ".join(str(list(value.shape)) for value in node.inputs if value is not None)
        raise ModelError(f"its attributes or its inputs of shapes {shapes} do not fit it: {_reason(error)}") from error
    kinds = []
    for name in node.proto.output:
        if name and (name not in found or not found[name].WhichOneof("value")):
            return None
        kinds.append(_kind(found[name]) if name else ((), np.dtype(np.float32)))
    if any(shape is None for shape, _ in kinds) and not schema.has_type_and_shape_inference_function:
        return None
    return kinds


def _for_inference(node: Node) -> onnx.NodeProto:
    """The node as onnx' inference needs it: of STFT it does not know the default of `onesided`."""
    if node.type != "STFT" or "onesided" in node.attributes:
        return node.proto
    result = onnx.NodeProto()
    result.CopyFrom(node.proto)
    result.attribute.append(helper.make_attribute("onesided", 1))
    return result


def _require_inputs(node: Node, schema: onnx.defs.OpSchema) -> None:
    """Raise ModelError where an input is left out that the operator needs: onnxruntime crashes where it is computed."""
    optional = onnx.defs.OpSchema.FormalParameterOption.Optional
    for index, formal in enumerate(schema.inputs):
        if formal.option != optional and index < max(schema.min_input, len(node.inputs)):
            node.input(index)
    if len(node.inputs) > len(schema.inputs):  # the rest are the last one again
        for index in range(len(schema.inputs), len(node.inputs)):
            node.input(index)


def _kind(type: TypeProto) -> Kind:
    if not type.HasField("tensor_type"):
        raise UnsupportedError(f"it gives a {type.WhichOneof('value')}; Core ML's networks have tensors only")
    tensor = type.tensor_type
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)) if tensor.elem_type else np.dtype(np.float32)
    if not tensor.HasField("shape") or any(not dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None, dtype
    return tuple(int(dim.dim_value) for dim in tensor.shape.dim), dtype


def folded(node: Node, kinds: Sequence[Kind], opsets: Mapping[str, int]) -> list[Value] | None:
    """The named outputs of a node whose inputs are all constant; None where it must, or had better, stay a layer.

    What is large and larger than all that it is computed from stays one: it would make the file large. A large result
    is computed when it is asked for, so that it is not kept beside the file's tensors.
    """
    names = [name for name in node.proto.output if name]
    arrays = _known(node)
    if arrays is not None:
        return [constant(name, array) for name, array in zip(names, arrays, strict=False)]
    given = [value for value in node.inputs if value is not None]
    if node.proto.domain or _UNFOLDED.search(node.type) or not all(value.is_constant for value in given):
        return None
    most = max([_SIZING_ELEMENTS, *(prod(value.shape) for value in given)])
    if node.type in _WITHOUT_LAYER:
        for shape, _ in kinds:
            _require_table(shape or ())
    elif any(shape is not None and prod(shape) > most for shape, _ in kinds):
        return None
    depth = 1 + max((value.depth for value in given), default=0)
    shape, dtype = kinds[0]
    large = len(kinds) == 1 and shape is not None and prod(shape) > _SIZING_ELEMENTS
    if large and shape is not None and opsets[""] >= _FIRST_OF_ENGINE and depth <= _DEEPEST:
        return [Value(names[0], shape, dtype, lambda: _evaluated(node, opsets)[0], depth=depth)]
    try:
        arrays = _evaluated(node, opsets)
    except UnsupportedError:  # they become layers
        return None
    return [constant(name, array) for name, array in zip(names, arrays, strict=False)]


def _known(node: Node) -> list[Array] | None:
    """What needs no computation."""
    if node.type == "Constant":
        value = _constant(node)
        if value is not None:
            return [value]
    if node.type == "Shape":
        start, end = node.attribute("start", 0), node.attributes.get("end")
        return [np.array(node.input().shape[start:end], np.int64)]
    if node.type == "EyeLike":
        _require_table(node.input().shape)
        code = node.attribute("dtype", 0)
        dtype = helper.tensor_dtype_to_np_dtype(code) if code else node.input().dtype
        rows, columns = node.input().shape
        return [np.eye(rows, columns, int(node.attribute("k", 0))).astype(dtype)]
    if node.type == "Size":
        return [np.array(prod(node.input().shape), np.int64)]
    return None


def _require_table(shape: Shape) -> None:
    if prod(shape) > _LARGEST_TABLE:
        raise UnsupportedError(f"it gives a table of shape {list(shape)}, which is too large for a file")


def _evaluated(node: Node, opsets: Mapping[str, int]) -> list[Array]:
    feeds = {name: value.array for name, value in zip(node.proto.input, node.inputs, strict=True) if value is not None}
    try:
        return evaluate(node.proto, feeds, opsets)
    except MlexplorerError:
        raise
    except Exception as error:  # onnxruntime's exceptions share no public base; it lacks the first versions
        raise UnsupportedError(
            f"the constant {node.name!r} ({node.type}) cannot be computed: {_reason(error)}"
        ) from error


def evaluate(proto: onnx.NodeProto, feeds: Mapping[str, Array], opsets: Mapping[str, int]) -> list[Array]:
    """The named outputs of one node for these inputs, by onnxruntime, whose exceptions it raises."""
    named = onnx.NodeProto()
    named.CopyFrom(proto)
    for index, name in enumerate(proto.output):
        named.output[index] = name or f"unnamed {index}"  # onnxruntime's Split crashes where the first is omitted
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in feeds.items()}
    graph = helper.make_graph(
        [named],
        "constant",
        [
            helper.make_tensor_value_info(name, _element_type(array.dtype), array.shape)
            for name, array in arrays.items()
        ],
        [onnx.ValueInfoProto(name=name) for name in proto.output if name],
    )
    imports = [helper.make_opsetid("", opsets[""])]
    ir_version = min(onnx.IR_VERSION, max(4, helper.find_min_ir_version_for(imports, ignore_unknown=True)))
    return run_once(helper.make_model(graph, opset_imports=imports, ir_version=ir_version).SerializeToString(), arrays)


def require_fitting(shape: Shape) -> None:
    """Raise an error of ours where a tensor of this shape is too large, or empty."""
    require_room(shape)
    if 0 in shape:
        raise UnsupportedError(f"it gives an empty tensor of shape {list(shape)}, which Core ML does not have")


def _constant(node: Node) -> Array | None:
    for attribute in node.proto.attribute:
        if attribute.name == "value" and attribute.type == AttributeProto.TENSOR:
            return np.asarray(numpy_helper.to_array(attribute.t))
        if attribute.name in ("value_float", "value_floats"):
            return np.array(node.attributes[attribute.name], np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.array(node.attributes[attribute.name], np.int64)
    return None


def _element_type(dtype: np.dtype[Any]) -> int:
    return int(helper.np_dtype_to_tensor_dtype(dtype))


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
