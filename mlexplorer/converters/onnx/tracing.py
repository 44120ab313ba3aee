"""A model followed node by node at its inputs' shapes: constants computed, functions and conditions written out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mlexplorer.converters.custom import CustomLayers, first_shape
from mlexplorer.converters.onnx.folding import Kind, folded, inferred, require_fitting
from mlexplorer.converters.onnx.functions import definition, with_types, written_out
from mlexplorer.converters.onnx.loops import Environment, is_bounded
from mlexplorer.converters.onnx.loops import written_out as loop_written_out
from mlexplorer.converters.onnx.node import Node, Value, decoded_attributes
from mlexplorer.converters.onnx.operators import OPERATORS
from mlexplorer.converters.onnx.ordering import in_order
from mlexplorer.converters.onnx.reading import dense_array, opsets, tensor_array
from mlexplorer.converters.options import Interface, Options
from mlexplorer.converters.source import Shape, SourceLayer
from mlexplorer.errors import InputError, MlexplorerError, ModelError, UnsupportedError

_DEEPEST = 32
"""Functions, conditions and loops within each other."""
_MOST_WRITTEN_OUT = 1 << 16
"""Nodes of functions, conditions and loops: functions that call each other twice may stand for any number."""
_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, NotImplementedError)
"""What attributes and tensors that contradict each other make of the code that reads them."""


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
            scope[sparse.values.name] = self._sparse(sparse)
        return scope

    def _stored(self, tensor: onnx.TensorProto) -> Value:
        dtype = np.dtype(np.float32)
        try:
            dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type))
        except (KeyError, TypeError) as error:
            raise ModelError(f"the tensor {tensor.name!r} has the unknown type {tensor.data_type}") from error
        shape = tuple(int(n) for n in tensor.dims)
        return Value(tensor.name, shape, dtype, lambda: tensor_array(tensor, self._folder))

    def _sparse(self, sparse: onnx.SparseTensorProto) -> Value:
        value = self._stored(sparse.values)
        value.shape = tuple(int(n) for n in sparse.dims)
        value.load = lambda: dense_array(sparse, self._folder)
        return value

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
            raise ModelError(f"functions, conditions or loops lie more than {_DEEPEST} deep in each other")
        for proto in in_order(nodes, scope):
            name = proto.name or next(filter(None, proto.output), proto.op_type)
            domain = "" if proto.domain == "ai.onnx" else proto.domain
            type = f"{domain}::{proto.op_type}" if domain else proto.op_type
            try:
                with named(name, type):
                    self._step(with_types(proto, domain), type, name, scope, versions, depth)
            except MlexplorerError as error:
                if not self._trace.unknown:
                    raise
                self._trace.fault = self._trace.fault or error
                shape = next((scope[key].shape for key in proto.input if key), (1,))
                scope.update(
                    {key: Value(key, shape, np.dtype(np.float32), guessed=True) for key in proto.output if key}
                )

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
            raise ModelError(f"the model's functions and loops stand for more than {_MOST_WRITTEN_OUT} nodes")
        for key in proto.output:
            if key in scope:
                raise ModelError(f"it gives {key!r}, which is given already")
        inputs = [scope[key] if key else None for key in proto.input]
        version = versions.get(proto.domain, 1)
        node = Node(name, self._interface.network, proto, type, version, inputs, (), decoded_attributes(proto))
        chosen = self._custom.chosen(SourceLayer(name, type))
        if not chosen and type == "If" and inputs and inputs[0] is not None and inputs[0].is_constant:
            self._condition(node, scope, versions, depth)
            return
        if not chosen and is_bounded(node):
            self._loop(node, scope, versions, depth)
            return
        if not chosen and type not in OPERATORS and (body := definition(node, self._functions)) is not None:
            self._call(node, body, scope, depth)
            return
        kinds = self._kinds(node, versions, chosen)
        constants = None if chosen else folded(node, kinds, versions)
        if constants is not None:
            scope.update({value.name: value for value in constants})
            return
        guesses = [any(value is not None and value.guessed for value in inputs)] * len(kinds)
        if type not in OPERATORS or chosen:
            stated = [shape is not None for shape, _ in kinds]
            kinds = self._as_custom(node, kinds)
            if node.custom is None:
                guesses = [not is_stated for is_stated in stated]
        node.outputs = [
            Value(key, _shape(shape), dtype, guessed=guessed) if key else None
            for key, (shape, dtype), guessed in zip(proto.output, kinds, guesses, strict=True)
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
            first = first_shape(layer)
            return [(shape or first, dtype) for shape, (_, dtype) in zip(shapes, kinds, strict=True)]
        shapes = list(self._custom.output_shapes(node.custom, layer, len(kinds)))
        return [(shape, dtype) for shape, (_, dtype) in zip(shapes, kinds, strict=True)]

    def _condition(self, node: Node, scope: Environment, versions: dict[str, int], depth: int) -> None:
        branch = node.attributes["then_branch" if node.input().array.reshape(-1)[0] else "else_branch"]
        inner = {**scope, **self._initializers(branch)}
        self._follow(branch.node, inner, versions, depth + 1)
        for outer, info in zip(node.proto.output, branch.output, strict=True):
            scope[outer] = inner[info.name]

    def _loop(self, node: Node, scope: Environment, versions: dict[str, int], depth: int) -> None:
        def begin() -> Environment:
            return {**scope, **stored}

        def follow(nodes: Sequence[onnx.NodeProto], inner: Environment) -> None:
            self._follow(nodes, inner, versions, depth + 1)

        stored = self._initializers(node.attributes["body"])
        results = loop_written_out(node, versions[""], begin, follow)
        if len(node.proto.output) > len(results):
            raise ModelError(f"it has {len(node.proto.output)} outputs, its body gives {len(results)}")
        for outer, value in zip(node.proto.output, results, strict=False):
            if outer:
                scope[outer] = value

    def _call(self, node: Node, body: onnx.FunctionProto, scope: Environment, depth: int) -> None:
        values = zip(body.input, node.inputs, strict=False)
        inner = {key: value for key, value in values if value is not None}
        nodes = written_out(node, body, inner)
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


@contextmanager
def named(name: str, type: str) -> Iterator[None]:
    """Puts the node's name before the messages of errors, and makes ours of what damaged nodes raise."""
    try:
        yield
    except MlexplorerError as error:
        text = str(error)
        if text.startswith("node "):
            raise
        raise error.__class__(f"node {name!r} ({type}): {text}") from error
    except _FAULTS as error:
        raise ModelError(f"node {name!r} ({type}) contradicts itself: {error}") from error


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


def _keeps_shape(node: Node) -> bool:
    """Whether an operator without shape inference is one of the first version's, which keep their input's shape."""
    return node.version < 6 or not onnx.defs.has(node.proto.op_type, node.proto.domain)
