"""A model followed node by node at its inputs' shapes: constants computed, functions and conditions written out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, helper, numpy_helper

from mlexplorer.converters.custom import CustomLayers
from mlexplorer.converters.onnx.folding import Kind, folded, inferred, require_fitting
from mlexplorer.converters.onnx.node import Node, Value, constant, decoded_attributes
from mlexplorer.converters.onnx.operators import OPERATORS
from mlexplorer.converters.onnx.reading import opsets, tensor_array
from mlexplorer.converters.options import Interface, Options
from mlexplorer.converters.source import Shape, SourceLayer
from mlexplorer.errors import InputError, MlexplorerError, ModelError, UnsupportedError

Environment = dict[str, Value]
_DEEPEST = 32
"""Functions within functions, and conditions within conditions."""
_MOST_WRITTEN_OUT = 1 << 16
"""Nodes of functions and conditions: functions that call each other twice may stand for any number."""
_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, NotImplementedError)
"""What attributes and tensors that contradict each other make of the code that reads them."""

_ATTRIBUTE_TYPES = {
    "f": AttributeProto.FLOAT,
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
    "g": AttributeProto.GRAPH,
    "floats": AttributeProto.FLOATS,
    "ints": AttributeProto.INTS,
    "strings": AttributeProto.STRINGS,
}


@dataclass
class Trace:
    """The nodes that must become layers, in order, and the values of the graph's inputs and outputs.

    `unknown` are the nodes that nothing here or of the caller's can convert.
    """

    nodes: list[Node] = field(default_factory=list)
    unknown: list[Node] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    fault: MlexplorerError | None = None


def trace(model: onnx.ModelProto, folder: Path | None, interface: Interface, options: Options) -> Trace:
    """Follow a model. Raises ModelError or UnsupportedError, which name the node.

    Behind an unknown node shapes are guesses; what goes wrong there is kept as `fault`.
    """
    return _Tracer(model, folder, interface, options).run()


class _Tracer:
    def __init__(self, model: onnx.ModelProto, folder: Path | None, interface: Interface, options: Options) -> None:
        self._model = model
        self._folder = folder
        self._interface = interface
        self._options = options
        self._custom = CustomLayers(options)
        self._functions = {(function.domain, function.name): function for function in model.functions}
        self._stated = {info.name: info for info in model.graph.value_info}
        self._trace = Trace()
        self._written_out = 0

    def run(self) -> Trace:
        graph, result = self._model.graph, self._trace
        scope = self._initializers(graph)
        for info in graph.input:
            if info.name not in scope:
                scope[info.name] = self._input(info)
                result.inputs.append(scope[info.name])
        self._follow(graph.node, scope, opsets(self._model.opset_import), 0)
        for info in graph.output:
            if info.name not in scope:
                raise ModelError(f"no node gives the graph's output {info.name!r}")
            result.outputs.append(scope[info.name])
        if result.fault is None:
            self._drop_dead()
        return result

    def _initializers(self, graph: onnx.GraphProto) -> Environment:
        scope = {}
        for tensor in graph.initializer:
            scope[tensor.name] = self._stored(tensor)
        for sparse in graph.sparse_initializer:
            scope[sparse.values.name] = constant(sparse.values.name, _dense(sparse, self._folder))
        return scope

    def _stored(self, tensor: onnx.TensorProto) -> Value:
        dtype = np.dtype(np.float32)
        try:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, TypeError) as error:
            raise ModelError(f"the tensor {tensor.name!r} has the unknown type {tensor.data_type}") from error
        shape = tuple(int(n) for n in tensor.dims)
        return Value(tensor.name, shape, dtype, lambda: tensor_array(tensor, self._folder))

    def _input(self, info: onnx.ValueInfoProto) -> Value:
        type = info.type
        if type.WhichOneof("value") != "tensor_type":
            raise UnsupportedError(f"the input {info.name!r} is a {type.WhichOneof('value')}; Core ML takes arrays")
        tensor = type.tensor_type
        try:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        except KeyError as error:
            raise ModelError(f"the input {info.name!r} has no known type") from error
        if dtype.kind not in "fiub":
            raise UnsupportedError(f"the input {info.name!r} holds {dtype}; Core ML takes numbers")
        sizes: list[int | None] = [dim.dim_value if dim.dim_value > 0 else None for dim in tensor.shape.dim]
        given = self._options.input_name_shape_dict.get(info.name)
        if not tensor.HasField("shape"):
            if given is None:
                raise InputError(
                    f"the shape of the input {info.name!r} is not in the file; say it with input_name_shape_dict"
                )
            sizes = [None] * len(given)
        return Value(info.name, self._interface.shape(info.name, sizes), dtype)

    def _follow(
        self, nodes: Sequence[onnx.NodeProto], scope: Environment, versions: dict[str, int], depth: int
    ) -> None:
        if depth > _DEEPEST:
            raise ModelError(f"functions or conditions lie more than {_DEEPEST} deep in each other")
        for proto in _sorted(nodes, scope):
            name = proto.name or next(filter(None, proto.output), proto.op_type)
            domain = "" if proto.domain == "ai.onnx" else proto.domain
            type = f"{domain}::{proto.op_type}" if domain else proto.op_type
            try:
                with named(name, type):
                    self._step(_stated_types(proto, domain), type, name, scope, versions, depth)
            except MlexplorerError as error:
                if not self._trace.unknown:
                    raise
                self._trace.fault = self._trace.fault or error
                shape = next((scope[key].shape for key in proto.input if key), (1,))
                scope.update({key: Value(key, shape, np.dtype(np.float32)) for key in proto.output if key})

    def _step(
        self,
        proto: onnx.NodeProto,
        type: str,
        name: str,
        scope: Environment,
        versions: dict[str, int],
        depth: int,
    ) -> None:
        self._written_out += depth > 0
        if self._written_out > _MOST_WRITTEN_OUT:
            raise ModelError(f"the model's functions stand for more than {_MOST_WRITTEN_OUT} nodes")
        for key in proto.output:
            if key in scope:
                raise ModelError(f"it gives {key!r}, which is given already")
        inputs = [scope[key] if key else None for key in proto.input]
        version = versions.get(proto.domain, 1)
        node = Node(proto, type, name, version, inputs, (), decoded_attributes(proto), network=self._interface.network)
        chosen = self._custom.chosen(SourceLayer(name, type))
        if not chosen and type == "If" and inputs and inputs[0] is not None and inputs[0].is_constant:
            self._condition(node, scope, versions, depth)
            return
        if not chosen and type not in OPERATORS and (body := self._body(node)) is not None:
            self._call(node, body, scope, depth)
            return
        kinds = self._kinds(node, versions, chosen)
        arrays = None if chosen else folded(node, kinds, versions)
        if arrays is not None:
            values = iter(arrays)
            scope.update({key: constant(key, next(values)) for key in proto.output if key})
            return
        if type not in OPERATORS or chosen:
            kinds = self._as_custom(node, kinds)
        node.outputs = [
            Value(key, _shape(shape), dtype) if key else None
            for key, (shape, dtype) in zip(proto.output, kinds, strict=True)
        ]
        for value in filter(None, node.outputs):
            require_fitting(value.shape)
            scope[value.name] = value
        self._trace.nodes.append(node)

    def _kinds(self, node: Node, versions: Mapping[str, int], chosen: bool) -> list[Kind]:
        """The shapes and types of the outputs: by onnx, by the operator's own function, or as its first input's."""
        operator = OPERATORS.get(node.type)
        if operator is None or chosen:
            try:
                kinds = inferred(node, versions)
            except MlexplorerError:  # the caller's function knows better
                kinds = None
            if kinds is not None and all(shape is not None for shape, _ in kinds):
                return kinds
            return [(self._stated_shape(key), np.dtype(np.float32)) for key in node.proto.output]
        kinds = inferred(node, versions)
        if kinds is None:
            dtype = node.input().dtype if node.inputs else np.dtype(np.float32)
            if operator.shapes is not None:
                return [(shape, dtype) for shape in operator.shapes(node)]
            if node.inputs and _keeps_shape(node):
                return [(node.input().shape, dtype)] * len(node.proto.output)
        return kinds or [(None, np.dtype(np.float32))] * len(node.proto.output)

    def _stated_shape(self, name: str) -> Shape | None:
        info = self._stated.get(name)
        if info is None or not info.type.tensor_type.HasField("shape"):
            return None
        sizes = [int(dim.dim_value) for dim in info.type.tensor_type.shape.dim]
        if sizes and not sizes[0]:
            sizes[0] = 1
        return tuple(sizes) if all(sizes) else None

    def _as_custom(self, node: Node, kinds: list[Kind]) -> list[Kind]:
        shapes: list[Shape] = [shape if shape is not None else () for shape, _ in kinds]
        layer = source_layer(node, shapes if any(shapes) else [])
        node.custom = self._custom.params(layer)
        if node.custom is None:
            self._trace.unknown.append(node)
            first = layer.input_shapes[0] if layer.input_shapes else (1,)
            return [(shape or first, dtype) for shape, (_, dtype) in zip(shapes, kinds, strict=True)]
        shapes = list(self._custom.output_shapes(node.custom, layer, len(kinds)))
        return [(shape, dtype) for shape, (_, dtype) in zip(shapes, kinds, strict=True)]

    def _condition(self, node: Node, scope: Environment, versions: dict[str, int], depth: int) -> None:
        branch = node.attributes["then_branch" if node.input().array.reshape(-1)[0] else "else_branch"]
        inner = {**scope, **self._initializers(branch)}
        self._follow(branch.node, inner, versions, depth + 1)
        for outer, info in zip(node.proto.output, branch.output, strict=True):
            scope[outer] = inner[info.name]

    def _body(self, node: Node) -> onnx.FunctionProto | None:
        """What a node stands for: a function of the model, or the operators that ONNX defines it by."""
        own = self._functions.get((node.proto.domain, node.proto.op_type))
        if own is not None or not onnx.defs.has(node.proto.op_type, node.proto.domain):
            return own
        try:
            schema = onnx.defs.get_schema(node.proto.op_type, node.version, node.proto.domain)
        except onnx.defs.SchemaError:
            return None
        if schema.has_function:  # type: ignore[attr-defined]
            return _with_defaults(schema.function_body, schema)
        if not schema.has_context_dependent_function:  # type: ignore[attr-defined]
            return None
        types = [
            helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape).SerializeToString()
            if value is not None
            else b""
            for value in node.inputs
        ]
        body = onnx.FunctionProto()
        write = schema.get_context_dependent_function  # type: ignore[attr-defined]
        body.ParseFromString(write(node.proto.SerializeToString(), types))
        return _with_defaults(body, schema)

    def _call(self, node: Node, body: onnx.FunctionProto, scope: Environment, depth: int) -> None:
        given = {attribute.name: attribute for attribute in node.proto.attribute}
        defaults = {attribute.name: attribute for attribute in body.attribute_proto}
        values = dict(zip(body.input, node.inputs, strict=False))
        inner = {key: value for key, value in values.items() if value is not None}
        nodes = [_bound(proto, {**defaults, **given}, inner) for proto in body.node]
        for proto in nodes:
            proto.name = f"{node.name}/{proto.name or next(filter(None, proto.output), proto.op_type)}"
        versions = opsets(body.opset_import or self._model.opset_import)
        self._follow(nodes, inner, versions, depth + 1)
        for outer, name in zip(node.proto.output, body.output, strict=False):
            if outer:
                scope[outer] = inner[name]

    def _drop_dead(self) -> None:
        """Mark what the outputs are computed from, and forget the other nodes."""
        for value in self._trace.outputs:
            value.used = True
        alive = []
        for node in reversed(self._trace.nodes):
            if any(value is not None and value.used for value in node.outputs):
                alive.append(node)
                for value in filter(None, node.inputs):
                    value.used = True
        kept = set(map(id, alive))
        self._trace.nodes = alive[::-1]
        self._trace.unknown = [node for node in self._trace.unknown if id(node) in kept]


class named:
    """Puts the node's name before the messages of errors, and makes ours of what damaged nodes raise."""

    def __init__(self, name: str, type: str) -> None:
        self._text = f"node {name!r} ({type})"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, MlexplorerError):
            text = str(error)
            raise type(error)(text if text.startswith("node ") else f"{self._text}: {text}") from error
        if isinstance(error, _FAULTS):
            raise ModelError(f"{self._text} contradicts itself: {error}") from error


def source_layer(node: Node, shapes: Sequence[Shape]) -> SourceLayer:
    """What a conversion function, or a refusal, gets to see of a node; its constant inputs are its weights."""
    given = [value for value in node.inputs if value is not None]
    configuration = {
        key: numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
        for key, value in node.attributes.items()
        if not isinstance(value, onnx.GraphProto)
    }
    return SourceLayer(
        node.name,
        node.type,
        configuration,
        {value.name: value.array for value in given if value.is_constant},
        [value.shape for value in given if not value.is_constant],
        shapes,
    )


def _shape(shape: Shape | None) -> Shape:
    if shape is None:
        raise UnsupportedError("only a run can tell the shape of what it gives; Core ML's converter needs fixed shapes")
    return shape


def _stated_types(proto: onnx.NodeProto, domain: str) -> onnx.NodeProto:
    """The node with `domain`, and with types for its attributes, which the first files did not state."""
    if proto.domain == domain and all(attribute.type or attribute.ref_attr_name for attribute in proto.attribute):
        return proto
    result = onnx.NodeProto()
    result.CopyFrom(proto)
    result.domain = domain
    for attribute in result.attribute:
        if not attribute.type:
            kinds = [
                _ATTRIBUTE_TYPES[field.name] for field, _ in attribute.ListFields() if field.name in _ATTRIBUTE_TYPES
            ]
            attribute.type = kinds[0] if kinds else AttributeProto.INT
    return result


def _keeps_shape(node: Node) -> bool:
    """Whether an operator without shape inference is one of the first version's, which keep their input's shape."""
    return node.version < 6 or not onnx.defs.has(node.proto.op_type, node.proto.domain)


def _with_defaults(body: onnx.FunctionProto, schema: onnx.defs.OpSchema) -> onnx.FunctionProto:
    """The function that defines an operator, with the defaults of the operator's attributes."""
    result = onnx.FunctionProto()
    result.CopyFrom(body)
    result.attribute_proto.extend(
        attribute.default_value for attribute in schema.attributes.values() if attribute.default_value.type
    )
    return result


def _bound(
    proto: onnx.NodeProto, attributes: Mapping[str, AttributeProto], inputs: Mapping[str, Value]
) -> onnx.NodeProto:
    """A node of a function with the attributes that the call gives it, and without the inputs that it leaves out."""
    result = onnx.NodeProto()
    result.CopyFrom(proto)
    del result.attribute[:]
    for attribute in proto.attribute:
        if not attribute.ref_attr_name:
            result.attribute.append(attribute)
        elif attribute.ref_attr_name in attributes:
            entry = result.attribute.add()
            entry.CopyFrom(attributes[attribute.ref_attr_name])
            entry.name = attribute.name
    return result


def _sorted(nodes: Sequence[onnx.NodeProto], scope: Mapping[str, Value]) -> Iterator[onnx.NodeProto]:
    """The nodes after those that they read from; raises ModelError for circles and for what nothing gives."""
    given = {name for proto in nodes for name in proto.output if name}
    waiting: dict[str, list[int]] = {}
    missing = []
    for index, proto in enumerate(nodes):
        names = {name for name in _read_by(proto) if name and name not in scope}
        for name in names:
            if name not in given:
                raise ModelError(
                    f"node {proto.name or proto.op_type!r} ({proto.op_type}) reads {name!r}, which no node, input or "
                    "tensor gives"
                )
            waiting.setdefault(name, []).append(index)
        missing.append(len(names))
    ready = [index for index, count in enumerate(missing) if not count]
    heapify(ready)
    done = 0
    while ready:
        proto = nodes[heappop(ready)]
        done += 1
        yield proto
        for name in proto.output:
            for index in waiting.pop(name, ()):
                missing[index] -= 1
                if not missing[index]:
                    heappush(ready, index)
    if done < len(nodes):
        first = next(proto for proto, count in zip(nodes, missing, strict=True) if count)
        raise ModelError(
            f"the nodes read in a circle from each other; {first.name or first.op_type!r} ({first.op_type}) is one"
        )


def _read_by(proto: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, those that graphs within it read from outside included."""
    yield from proto.input
    for attribute in proto.attribute:
        if attribute.HasField("g"):
            own = {name for node in attribute.g.node for name in node.output}
            own.update(tensor.name for tensor in attribute.g.initializer)
            own.update(info.name for info in attribute.g.input)
            for node in attribute.g.node:
                yield from (name for name in _read_by(node) if name not in own)


def _dense(sparse: onnx.SparseTensorProto, folder: Path | None) -> Any:
    values, indices = tensor_array(sparse.values, folder), tensor_array(sparse.indices, folder)
    shape = [int(n) for n in sparse.dims]
    require_fitting(tuple(shape))
    result = np.zeros(shape, values.dtype)
    try:
        places = tuple(indices.T) if indices.ndim == 2 else np.unravel_index(indices, shape)
        result[places] = values
    except (ValueError, IndexError) as error:
        raise ModelError(f"the sparse tensor {sparse.values.name!r} is damaged: {error}") from error
    return result
