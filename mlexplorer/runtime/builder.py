"""The ONNX graph that lowerings write: shapes inferred node by node, constants folded, reshapes put off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, shape_inference

from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Layer, Operand, Origin
from mlexplorer.layers.limits import require_room
from mlexplorer.runtime.half_precision import round_to_half

Array = NDArray[Any]

OPSET = 20
IR_VERSION = 9
FOLDED_ELEMENTS = 4096
"""Results of constants above this size stay operators: onnxruntime folds them, and the graph stays small."""

_MOST_TAPS = 1 << 24
"""Elements of a pooling window; onnxruntime visits each of them, paddings too, and cannot be stopped meanwhile."""

_ELEMENT_TYPES: dict[np.dtype[Any], int] = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.bool_): TensorProto.BOOL,
    np.dtype(np.float16): TensorProto.FLOAT16,
}
_DTYPES: dict[int, np.dtype[Any]] = {code: dtype for dtype, code in _ELEMENT_TYPES.items()}
_ELEMENTWISE = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "Cast",
        "Ceil",
        "Clip",
        "Cos",
        "Cosh",
        "Div",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Floor",
        "Gelu",
        "Greater",
        "GreaterOrEqual",
        "HardSigmoid",
        "Identity",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "Max",
        "Mean",
        "Min",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "PRelu",
        "Pow",
        "Reciprocal",
        "Relu",
        "Round",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Softplus",
        "Softsign",
        "Sqrt",
        "Sub",
        "Sum",
        "Tan",
        "Tanh",
        "Where",
        "Xor",
    ]
)
_RANDOM = frozenset(
    {"RandomNormalLike", "RandomUniformLike", "Bernoulli", "RandomNormal", "RandomUniform", "Multinomial"}
)


_Type = tuple[tuple[int | None, ...] | None, np.dtype[Any]]
"""What is known of a tensor before a run: its shape, as far as that is known, and the type of its values."""


class UnknownShape(Exception):
    """Raised inside a lowering where only a run can tell a shape; the runtime cuts the graph before the layer."""


@dataclass(eq=False)
class Value:
    """A tensor of the graph under construction; see `mlexplorer.layers.layer_type.Tensor`.

    A value with a `base` is that tensor in another shape; the reshape is written only if some operator needs it.
    `depth` counts the graphs around the one that it is in: those of branches and steps see the values of outer ones.
    """

    name: str
    known_shape: tuple[int | None, ...] | None
    dtype: np.dtype[Any]
    value: Array | None = None
    base: Value | None = None
    origin: Origin | None = None
    depth: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The concrete shape; raises UnknownShape where only a run can tell it."""
        if self.known_shape is None or None in self.known_shape:
            raise UnknownShape(self.name)
        return self.known_shape  # type: ignore[return-value]


@dataclass(frozen=True)
class WeightUse:
    """An initializer of the graph: the weights it is made of, by key, and how they are combined."""

    name: str
    keys: tuple[str, ...]
    combine: Callable[..., Array] | None
    shape: tuple[int, ...]

    def array(self, weights: Mapping[str, Array]) -> Array:
        """The initializer's value for these weights (float32 arrays in their layouts' shapes, by key)."""
        return _combined([weights[key] for key in self.keys], self.combine)


@dataclass
class GraphBuilder:
    """Implements `mlexplorer.layers.layer_type.Builder`.

    `weights` gives the float32 array of each weight key; `baked` are the keys whose values may be folded into shapes.
    `arrays` are the initializers' values for these weights; `layer` is the name that the operators are given.
    """

    weights: Mapping[str, Array]
    baked: frozenset[str] = frozenset()
    initializers: dict[str, onnx.TensorProto] = field(default_factory=dict)
    uses: dict[str, WeightUse] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, Value] = field(default_factory=dict)
    layer: str = ""
    _scopes: list[list[onnx.NodeProto]] = field(default_factory=lambda: [[]])
    _count: int = 0
    _inferred: dict[Any, list[_Type]] = field(default_factory=dict)

    def input(self, shape: Sequence[int]) -> Value:
        """A float32 input of the graph."""
        value = Value(self._name("input"), tuple(shape), np.dtype(np.float32))
        self.inputs[value.name] = value
        return value

    def constant(self, value: Operand) -> Value:
        """A constant tensor; floats become float32, ints int64."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        if array.dtype.kind == "f":
            array = array.astype(np.float32)
        elif array.dtype.kind in "iu" or array.size == 0:
            array = array.astype(np.int64)
        return self._known(array)

    def weight(self, layer: Layer, *fields: str, combine: Callable[..., Array] | None = None) -> Value:
        """See `mlexplorer.layers.layer_type.Builder.weight`."""
        keys = tuple(f"{layer.id}:{name}" for name in fields)  # type: ignore[attr-defined]
        for key, name in zip(keys, fields, strict=True):
            if key not in self.weights:
                raise ModelError(
                    f"layer {layer.name!r} ({layer.type}) has no weights in {name!r}; the file is incomplete"
                )
        if not combine and keys[0] in self.baked:
            return self._known(np.asarray(self.weights[keys[0]], np.float32))
        array = _combined([self.weights[key] for key in keys], combine)
        use = WeightUse(self._name("weight"), keys, combine, array.shape)
        self.uses[use.name], self.arrays[use.name] = use, array
        return Value(use.name, use.shape, np.dtype(np.float32))

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same values in another shape; one -1 is inferred."""
        old = x.shape
        target = [int(n) for n in shape]
        size = prod(old)
        if -1 in target:
            rest = -prod(target)
            target[target.index(-1)] = size // rest if rest else 0
        if prod(target) != size or min(target, default=0) < 0:
            raise ModelError(f"{size} values of shape {list(old)} cannot take the shape {list(shape)}")
        new = tuple(target)
        if x.value is not None:
            return self._known(x.value.reshape(new))
        base = x.base or x
        if new == base.known_shape:
            return base
        return Value("", new, x.dtype, base=base)

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """The axes in another order."""
        order = [int(axis) for axis in axes]
        if order == sorted(order):
            return x
        shape = x.shape
        moved = [axis for axis in order if shape[axis] != 1]
        if moved == sorted(moved):
            return self.reshape(x, [shape[axis] for axis in order])
        result: Value = self.op("Transpose", x, perm=order)
        return result

    def cast(self, x: Value, dtype: type[np.generic]) -> Value:
        """Values as np.float32, np.int64 (truncating) or np.bool_ (non-zero)."""
        if x.dtype == np.dtype(dtype):
            return x
        result: Value = self.op("Cast", x, to=_ELEMENT_TYPES[np.dtype(dtype)])
        return result

    def round_to_half(self, x: Value) -> Value:
        """Float32 values that a float16 could hold, the nearest ones; see `half_precision`."""
        if x.value is not None:
            return self._known(round_to_half(x.value))
        return self.cast(self.cast(x, np.float16), np.float32)

    def op(self, type: str, *inputs: Operand, outputs: int = 1, **attributes: Any) -> Any:
        """Append one operator and return its output, or a tuple of `outputs` of them."""
        operands = [None if operand is None else self.constant(operand) for operand in inputs]
        if type == "Shape":
            return self.constant(np.array(operands[0].shape, np.int64))  # type: ignore[union-attr]
        if type in _ELEMENTWISE and outputs == 1:
            pushed = self._through_reshape(type, operands, attributes)
            if pushed is not None:
                return pushed
        results = self._append(type, operands, outputs, attributes)
        return results[0] if outputs == 1 else tuple(results)

    def choose(
        self, condition: Value, then: Callable[[], Sequence[Value]], otherwise: Callable[[], Sequence[Value]]
    ) -> list[Value]:
        """The results of one of two functions, both written as graphs of their own (If), by a bool of one element."""
        branches = []
        for name, write in (("then_branch", then), ("else_branch", otherwise)):
            with self._within() as nodes:
                results = [self._result(value) for value in write()]
            branches.append((name, helper.make_graph(nodes, name, [], [_info(value) for value in results])))
        return self._nested("If", [condition], results, dict(branches))

    def scan(
        self,
        step: Callable[[Sequence[Value], Value], tuple[Sequence[Value], Value]],
        states: Sequence[Value],
        sequence: Value,
    ) -> tuple[list[Value], Value]:
        """A function applied along the first axis of a sequence, written once as a graph of its own (Scan).

        `step` gets the states and an element and gives the next states, of the same shapes, and a result; the answer is
        the last states and all results.
        """
        with self._within() as nodes:
            before = [Value(self._name("state"), s.shape, s.dtype, depth=self._depth) for s in states]
            element = Value(self._name("element"), sequence.shape[1:], sequence.dtype, depth=self._depth)
            after, result = step(before, element)
            ends = [self._result(value) for value in (*after, result)]
        graph = helper.make_graph(nodes, "step", [_info(v) for v in (*before, element)], [_info(v) for v in ends])
        kinds = [*ends[:-1], Value("", (sequence.shape[0], *ends[-1].shape), ends[-1].dtype)]
        *last, results = self._nested("Scan", [*states, sequence], kinds, {"body": graph, "num_scan_inputs": 1})
        return last, results

    def as_output(self, value: Value, taken: set[str]) -> str:
        """The name of a graph output that holds this value."""
        name = self.materialise(value)
        if name in taken or name in self.inputs or name in self.uses or name in self.initializers:
            name = self._append("Identity", [Value(name, value.known_shape, value.dtype)], 1, {})[0].name
        return name

    def model(self, outputs: Sequence[str]) -> bytes:
        """The graph with these outputs as a serialised ModelProto; weights are external, without data."""
        nodes = _live(self._scopes[0], outputs)
        read = {name for node in nodes for name in _read_by(node)}
        self.uses = {name: use for name, use in self.uses.items() if name in read}
        external = [_external(use) for use in self.uses.values()]
        graph = helper.make_graph(
            nodes,
            "segment",
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, value.shape)
                for name, value in self.inputs.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [tensor for name, tensor in self.initializers.items() if name in read] + external,
        )
        opset = helper.make_opsetid("", OPSET)
        return helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION).SerializeToString()

    def mark(self) -> int:
        """A point to which `rewind` returns."""
        return len(self._scopes[0])

    def rewind(self, mark: int) -> None:
        """Forget the operators written since the mark."""
        del self._scopes[0][mark:]
        del self._scopes[1:]

    def materialise(self, value: Value) -> str:
        """The name of the tensor, its pending reshape or constant written out."""
        if value.name:
            return value.name
        if value.base is not None:
            shape = self.constant(np.array(value.shape, np.int64))
            value.name = self._append("Reshape", [value.base, shape], 1, {}, value.base.depth)[0].name
        else:
            value.name = self._name("constant")
            self.initializers[value.name] = numpy_helper.from_array(np.asarray(value.value), value.name)
        return value.name

    def _known(self, array: Array) -> Value:
        return Value("", array.shape, array.dtype, array)

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def _through_reshape(self, type: str, operands: list[Value | None], attributes: dict[str, Any]) -> Value | None:
        """An elementwise operator on reshaped values is the reshape of the operator on the values."""
        view = next((o for o in operands if o is not None and o.base is not None), None)
        if view is None or view.base is None:
            return None
        shape, base = view.shape, view.base.shape
        common = 0
        while common < min(len(shape), len(base)) and shape[-1 - common] == base[-1 - common]:
            common += 1
        moved: list[Value | None] = []
        for operand in operands:
            if operand is None:
                moved.append(None)
            elif operand.known_shape == shape:
                moved.append(self.reshape(operand, base))
            elif operand.known_shape is None or None in operand.known_shape or len(operand.shape) > len(shape):
                return None
            else:
                trimmed = operand.shape
                while trimmed and trimmed[0] == 1:
                    trimmed = trimmed[1:]
                if len(trimmed) > common or any(
                    a not in (1, b) for a, b in zip(trimmed[::-1], shape[::-1], strict=False)
                ):
                    return None
                moved.append(operand if trimmed == operand.shape else self.reshape(operand, trimmed))
        result = self.reshape(self._append(type, moved, 1, attributes)[0], shape)
        if result.base is not None:
            result.origin = Origin(type, tuple(operands), attributes)
        return result

    @contextmanager
    def _within(self) -> Iterator[list[onnx.NodeProto]]:
        """Write operators into a graph within the present one."""
        self._scopes.append([])
        try:
            yield self._scopes[-1]
        finally:
            self._scopes.pop()

    @property
    def _depth(self) -> int:
        return len(self._scopes) - 1

    def _result(self, value: Value) -> Value:
        """The value under a name of its own in the present graph, to be given to the one around it."""
        return self._append("Identity", [value], 1, {})[0]

    def _nested(
        self, type: str, operands: Sequence[Value], kinds: Sequence[Value], attributes: Mapping[str, Any]
    ) -> list[Value]:
        values = [Value(self._name(type), kind.shape, kind.dtype, depth=self._depth) for kind in kinds]
        names = [self.materialise(operand) for operand in operands]
        outputs = [value.name for value in values]
        self._scopes[-1].append(helper.make_node(type, names, outputs, name=f"{self.layer}/{outputs[0]}", **attributes))
        return values

    def _append(
        self,
        type: str,
        operands: Sequence[Value | None],
        outputs: int,
        attributes: dict[str, Any],
        depth: int | None = None,
    ) -> list[Value]:
        depth = self._depth if depth is None else depth
        names = ["" if operand is None else self.materialise(operand) for operand in operands]
        results = [self._name(type) for _ in range(outputs)]
        given = len(names)
        while given and not names[given - 1]:  # onnxruntime's layout optimization passes over a Conv with an empty bias
            given -= 1
        node = helper.make_node(type, names[:given], results, name=f"{self.layer}/{results[0]}", **attributes)
        taps = prod(attributes.get("kernel_shape", ()))
        if taps > _MOST_TAPS:
            raise ModelError(f"a window of {taps} elements is larger than any input; it may have {_MOST_TAPS}")
        types = self._infer(node, {n: o for n, o in zip(names, operands, strict=True) if o is not None})
        values = [Value(name, *types[name], depth=depth) for name in results]
        for value in values:
            if value.known_shape is not None and None not in value.known_shape:
                require_room(value.shape)
        if type not in _RANDOM and all(o is None or o.value is not None for o in operands) and _small(values):
            try:
                arrays = _evaluate(node, {n: o.value for n, o in zip(names, operands, strict=True) if o is not None})
            except Exception as error:  # onnxruntime's exceptions share no public base
                raise ModelError(f"{type} cannot be computed: {error}") from error
            return [self._known(array) for array in arrays]
        self._scopes[depth].append(node)
        if outputs == 1:
            values[0].origin = Origin(type, tuple(operands), attributes)
        return values

    def _infer(self, node: onnx.NodeProto, operands: dict[str, Value]) -> dict[str, _Type]:
        """The types of a node's results by name; networks repeat themselves, so each kind of node is inferred once."""
        data = {
            name: v.value for name, v in operands.items() if v.value is not None and v.value.size <= FOLDED_ELEMENTS
        }
        key = (
            node.op_type,
            len(node.output),
            tuple(attribute.SerializeToString() for attribute in node.attribute),
            tuple(
                (operands[name].known_shape, operands[name].dtype, data[name].tobytes() if name in data else None)
                if name
                else None
                for name in node.input
            ),
        )
        types = self._inferred.get(key)
        if types is None:
            types = self._inferred[key] = _inferred_types(node, operands, data)
        return dict(zip(node.output, types, strict=True))


def _inferred_types(node: onnx.NodeProto, operands: dict[str, Value], data: dict[str, Array]) -> list[_Type]:
    types = {n: helper.make_tensor_type_proto(_ELEMENT_TYPES[v.dtype], v.known_shape) for n, v in operands.items()}
    tensors = {name: numpy_helper.from_array(array, name) for name, array in data.items()}
    schema = onnx.defs.get_schema(node.op_type, OPSET, "")
    opset = helper.make_opsetid("", OPSET)
    try:
        inferred = shape_inference.infer_node_outputs(
            schema, node, types, tensors, opset_imports=[opset], ir_version=IR_VERSION
        )
    except Exception as error:  # onnx raises several unrelated types here
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        shapes = ", ".join(str(list(v.known_shape or ())) for v in operands.values())
        raise ModelError(f"{node.op_type} cannot take inputs of shapes {shapes}: {reason}") from error
    result: list[_Type] = []
    for name in node.output:
        if name not in inferred:
            raise UnsupportedError(f"the shape of the result of {node.op_type} is not known")
        tensor = inferred[name].tensor_type
        shape = None
        if tensor.HasField("shape"):
            shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
        result.append((shape, _DTYPES[tensor.elem_type]))
    return result


def _combined(arrays: Sequence[Array], combine: Callable[..., Array] | None) -> Array:
    return np.ascontiguousarray(combine(*arrays) if combine else arrays[0], dtype=np.float32)


def _external(use: WeightUse) -> onnx.TensorProto:
    tensor = TensorProto(name=use.name, data_type=TensorProto.FLOAT, dims=use.shape, data_location=TensorProto.EXTERNAL)
    length = 4 * prod(use.shape)
    for key, text in (("location", "weights"), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=text)
    return tensor


def _small(values: Sequence[Value]) -> bool:
    return all(
        v.known_shape is not None and None not in v.known_shape and prod(v.shape) <= FOLDED_ELEMENTS for v in values
    )


def _evaluate(node: onnx.NodeProto, feeds: dict[str, Any]) -> list[Array]:
    from mlexplorer.runtime.sessions import run_once

    names = list(dict.fromkeys(feeds))
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_tensor_value_info(n, _ELEMENT_TYPES[feeds[n].dtype], feeds[n].shape) for n in names],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    return run_once(model.SerializeToString(), feeds)


def _live(nodes: Sequence[onnx.NodeProto], outputs: Sequence[str]) -> list[onnx.NodeProto]:
    wanted = set(outputs)
    kept = []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(_read_by(node))
    return kept[::-1]


def _read_by(node: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, those that graphs within it read from outside included."""
    yield from node.input
    for attribute in node.attribute:
        for inner in attribute.g.node:
            yield from _read_by(inner)


def _info(value: Value) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(value.name, _ELEMENT_TYPES[value.dtype], value.shape)
