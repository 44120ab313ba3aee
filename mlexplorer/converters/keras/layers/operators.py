"""Operators that functional models record when tensors are computed with: keras.ops, and TensorFlow's in Keras 2.

Keras 3 has a class for each ("TrueDivide", "GetItem"), whose settings are in the configuration or in the call; Keras 2
has TFOpLambda with the name of a function, and SlicingOpLambda. Those that layers share names with are in their files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Context, Results, converts
from mlexplorer.converters.keras.layers.activation import ACTIVATIONS, softmax_along
from mlexplorer.converters.keras.layers.merging import binary, combine, joined, matrix_product, operands
from mlexplorer.converters.keras.layers.reshaping import inferred
from mlexplorer.converters.keras.source_model import KerasLayer
from mlexplorer.converters.keras.values import Value

Function = Callable[[Context], Results]
_FUNCTIONS: dict[str, Function] = {}


def function(*names: str) -> Callable[[Function], Function]:
    """Register what converts operators of these names, those of Keras 3's classes and of TensorFlow's functions."""

    def register(convert: Function) -> Function:
        for name in names:
            _FUNCTIONS[name] = convert
            if name[:1].isupper():
                converts(name)(convert)
        return convert

    return register


def knows_function(layer: KerasLayer) -> bool:
    """Whether a layer that calls a function by its name calls one that is known."""
    return layer.class_name not in ("TFOpLambda", "TensorFlowOpLayer") or _name(layer) in _FUNCTIONS


def _name(layer: KerasLayer) -> str:
    node = layer.config.get("node_def")
    if layer.class_name == "TensorFlowOpLayer":
        return str(node.get("op")) if isinstance(node, Mapping) else ""
    return str(layer.config.get("function"))


@converts("TFOpLambda")
def tf_op_lambda(c: Context) -> Results:
    """TFOpLambda: the function that its configuration names."""
    return _FUNCTIONS[_name(c.layer)](c)


@converts("TensorFlowOpLayer")
def tensorflow_op_layer(c: Context) -> Results:
    """TensorFlowOpLayer: a node of a graph, some of whose inputs are constants."""
    constants = c.layer.config.get("constants") or {}
    count = len(c.inputs) + len(constants)
    values = iter(c.inputs)
    given = [constants[str(n)] if str(n) in constants else next(values) for n in range(count)]
    return _FUNCTIONS[_name(c.layer)](Context(**{**c.__dict__, "arguments": given, "keywords": {}}))


def setting(c: Context, name: str, position: int, default: Any = None) -> Any:
    """A setting of an operator: of its configuration, or as the call's keyword or positional argument."""
    for value in (c.layer.config.get(name), c.keywords.get(name)):
        if value is not None:
            return value
    if position < len(c.arguments) and not isinstance(c.arguments[position], Value):
        value = c.arguments[position]
        return default if value is None else value
    return default


# Two operands


def _binary(type: str) -> Function:
    def convert(c: Context) -> Value:
        left, right = operands(c)[:2]
        return binary(c, type, left, right)

    convert.__doc__ = f"{type}: of two tensors, or of a tensor and a number."
    return convert


for _type, _names in {
    "add": ("math.add", "__operators__.add", "AddV2"),
    "subtract": ("math.subtract", "__operators__.sub", "Sub"),
    "multiply": ("math.multiply", "__operators__.mul", "Mul"),
    "divide": ("Divide", "TrueDivide", "math.divide", "math.truediv", "__operators__.truediv", "RealDiv"),
    "pow": ("Power", "math.pow", "__operators__.pow", "Pow"),
    "max": ("math.maximum",),
    "min": ("math.minimum",),
}.items():
    function(*_names)(_binary(_type))


for _name_ in ("Maximum", "Minimum"):  # operators of TensorFlow's graphs; layers of these names are in merging.py
    _FUNCTIONS[_name_] = _FUNCTIONS[f"math.{_name_.lower()}"]


@function("Matmul", "linalg.matmul", "MatMul", "BatchMatMulV2")
def matmul(c: Context) -> Value:
    """The matrix product over the last two axes."""
    for key in ("transpose_a", "transpose_b", "adjoint_a", "adjoint_b"):
        if c.keywords.get(key):
            c.refuse(f"it has {key}")
    left, right = c.inputs
    return matrix_product(c, left, right)


# One operand


def _by_layer(type: str, /, **fields: Any) -> Function:
    def convert(c: Context) -> Value:
        return c.map(c.input, type, **fields)

    convert.__doc__ = f"Each element by Core ML's {type}."
    return convert


for _names, _type, _fields in (
    (("Abs", "Absolute", "math.abs"), "unary", {"type": "ABS"}),
    (("Ceil", "math.ceil"), "ceil", {}),
    (("Cos", "math.cos"), "cos", {}),
    (("Erf", "math.erf"), "erf", {}),
    (("Exp", "math.exp"), "unary", {"type": "EXP"}),
    (("Floor", "math.floor"), "floor", {}),
    (("Negative", "math.negative", "__operators__.neg", "Neg"), "activation", {"linear": {"alpha": -1}}),
    (("Reciprocal", "math.reciprocal"), "unary", {"type": "POWER", "alpha": -1}),
    (("Round", "math.round"), "round", {}),
    (("Rsqrt", "math.rsqrt"), "unary", {"type": "POWER", "alpha": -0.5}),
    (("Sign", "math.sign"), "sign", {}),
    (("Sin", "math.sin"), "sin", {}),
    (("Sqrt", "math.sqrt"), "unary", {"type": "SQRT"}),
    (("Square", "math.square"), "unary", {"type": "POWER", "alpha": 2}),
):
    function(*_names)(_by_layer(_type, **_fields))


def _comparison(type: str) -> Function:
    def convert(c: Context) -> Value:
        left, right = operands(c)[:2]
        if isinstance(left, Value) and not isinstance(right, Value):
            return c.map(left, type, alpha=right)
        return binary(c, type, left, right)

    convert.__doc__ = f"1 where {type} holds, else 0; of two tensors, or of a tensor and a number."
    return convert


for _type, _names in {
    "equal": ("Equal", "math.equal"),
    "notEqual": ("NotEqual", "math.not_equal"),
    "lessThan": ("Less", "math.less"),
    "lessEqual": ("LessEqual", "math.less_equal"),
    "greaterThan": ("Greater", "math.greater"),
    "greaterEqual": ("GreaterEqual", "math.greater_equal"),
    "logicalAnd": ("LogicalAnd", "math.logical_and"),
    "logicalOr": ("LogicalOr", "math.logical_or"),
}.items():
    function(*_names)(_comparison(_type))


@function("ZerosLike", "zeros_like", "OnesLike", "ones_like")
def filled_like(c: Context) -> Value:
    """Zeros, or ones, in the shape of a tensor."""
    ones = "ones" in str(c.layer.config.get("function", c.layer.class_name)).lower()
    return c.map(c.input, "fillLike", value=float(ones))


@function("LogicalNot", "math.logical_not")
def logical_not(c: Context) -> Value:
    """1 where an element is 0, else 0."""
    return c.map(c.input, "logicalNot")


@function("Where", "where")
def where(c: Context) -> Value:
    """Elements of the second tensor where the first is true, else of the third."""
    condition, first, second = (
        item if isinstance(item, Value) else Value(c.constant(item, f"constant_{number}"), (1,))
        for number, item in enumerate(operands(c))
    )
    shape = np.broadcast_shapes(condition.shape, first.shape, second.shape)
    blobs = [c.plain(value) for value in (condition, first, second)]
    return Value(c.add("whereBroadcastable", *blobs), shape)


@function("Log", "math.log")
def logarithm(c: Context) -> Value:
    """log(x): Core ML adds at least a tiny number to x."""
    return c.map(c.input, "unary", type="LOG", epsilon=1e-37)


@function("Cast", "cast", "identity", "stop_gradient")
def cast(c: Context) -> Value:
    """Casts between kinds of floats do nothing; those to whole numbers are refused."""
    dtype = str(setting(c, "dtype", 1, "float32"))
    if not any(kind in dtype for kind in ("float", "half")):
        c.refuse(f"it casts to {dtype}; Core ML computes in floats")
    return c.input


def _activation(name: str) -> Function:
    def convert(c: Context) -> Value:
        return ACTIVATIONS[name](c, c.input)

    convert.__doc__ = f"The activation {name}."
    return convert


for _name_, _names in {
    "relu": ("Relu", "nn.relu"),
    "relu6": ("Relu6", "nn.relu6"),
    "sigmoid": ("Sigmoid", "math.sigmoid", "nn.sigmoid"),
    "tanh": ("Tanh", "math.tanh", "nn.tanh"),
    "silu": ("Silu", "nn.silu", "nn.swish"),
    "softplus": ("Softplus", "math.softplus", "nn.softplus"),
    "softsign": ("Softsign", "nn.softsign"),
    "selu": ("Selu", "nn.selu"),
    "mish": ("Mish",),
    "hard_sigmoid": ("HardSigmoid",),
    "hard_silu": ("HardSilu", "HardSwish"),
    "log_sigmoid": ("LogSigmoid", "math.log_sigmoid"),
}.items():
    function(*_names)(_activation(_name_))


@function("LeakyRelu", "nn.leaky_relu")
def leaky_relu(c: Context) -> Value:
    """x, below 0 times a slope."""
    return c.map(
        c.input, "activation", leakyReLU={"alpha": float(setting(c, "negative_slope", 1, setting(c, "alpha", 1, 0.2)))}
    )


@function("Elu", "nn.elu")
def elu(c: Context) -> Value:
    """x, below 0 alpha * (exp(x) - 1)."""
    return c.map(c.input, "activation", ELU={"alpha": float(setting(c, "alpha", 1, 1.0))})


@function("Gelu", "nn.gelu")
def gelu(c: Context) -> Value:
    """gelu: by tanh (Keras' default for the operator) or exactly."""
    approximate = setting(c, "approximate", 1, c.layer.class_name != "TFOpLambda")
    return c.map(c.input, "gelu", mode="TANH_APPROXIMATION" if approximate else "EXACT")


@function("nn.softmax")
def softmax(c: Context) -> Value:
    """The exponentials over their sum."""
    return softmax_along(c, c.input, int(setting(c, "axis", 1, -1)))


@function("LogSoftmax", "nn.log_softmax")
def log_softmax(c: Context) -> Value:
    """The logarithm of softmax, along the last axis."""
    if c.input.positive(int(setting(c, "axis", 1, -1))) != c.input.rank - 1:
        c.refuse("its axis is not the last")
    return ACTIVATIONS["log_softmax"](c, c.input)


@function("Clip", "clip_by_value")
def clip(c: Context) -> Value:
    """Each element within two numbers."""
    least = setting(c, "x_min", 1, setting(c, "clip_value_min", 1))
    most = setting(c, "x_max", 2, setting(c, "clip_value_max", 2))
    return c.map(c.input, "clip", minVal=float(least), maxVal=float(most))


# Reductions


def _reduction(type: str) -> Function:
    def convert(c: Context) -> Value:
        x = c.input
        axis = setting(c, "axis", 1)
        keep = bool(setting(c, "keepdims", 2, False))
        axes = range(x.rank) if axis is None else [axis] if isinstance(axis, int) else axis
        positive = sorted({x.positive(int(item)) for item in axes})
        if keep:
            shape = tuple(1 if index in positive else size for index, size in enumerate(x.shape))
            y = c.add(type, x.blob, axes=[x.axis(item) for item in positive], keepDims=True)
            return Value(y, shape, x.planes and x.rank > 3) if x.rank != 3 or not x.planes else Value(y, shape, True)
        shape = tuple(size for index, size in enumerate(x.shape) if index not in positive)
        if not shape:
            c.refuse("it reduces the batch, too")
        return Value(c.add(type, c.plain(x), axes=positive, keepDims=False), shape)

    convert.__doc__ = f"Core ML's {type} along axes."
    return convert


for _type, _names in {
    "reduceMean": ("Mean", "math.reduce_mean"),
    "reduceSum": ("Sum", "math.reduce_sum"),
    "reduceMax": ("Max", "Amax", "Any", "math.reduce_max", "math.reduce_any"),
    "reduceMin": ("Min", "Amin", "All", "math.reduce_min", "math.reduce_all"),
    "reduceProd": ("Prod", "math.reduce_prod"),
    "reduceLogSumExp": ("Logsumexp", "math.reduce_logsumexp"),
}.items():
    function(*_names)(_reduction(_type))


@function("Argmax", "math.argmax")
def argmax(c: Context) -> Value:
    """The position of the greatest along an axis."""
    x, axis = c.input, setting(c, "axis", 1)
    if axis is None or setting(c, "keepdims", 2, False):
        c.refuse("it needs one axis, which goes")
    axis = x.positive(int(axis))
    y = c.add("argMax", c.plain(x), axis=axis, removeDim=True)
    return Value(y, (*x.shape[:axis], *x.shape[axis + 1 :]))


# Shapes


@function("reshape")
def reshape(c: Context) -> Value:
    """Another shape, in which one -1 is inferred."""
    target = [int(size) for size in setting(c, "shape", 1)]
    return c.reshape(c.input, inferred(c.input, target))


@function("Transpose", "transpose")
def transpose(c: Context) -> Value:
    """The axes in another order, the other way round where none is given."""
    axes = setting(c, "axes", 1, setting(c, "perm", 1))
    order = list(reversed(range(c.input.rank))) if axes is None else [c.input.positive(int(axis)) for axis in axes]
    return c.transpose(c.input, order)


@function("ExpandDims", "expand_dims")
def expand_dims(c: Context) -> Value:
    """New axes of length 1."""
    x, given = c.input, setting(c, "axis", 1)
    axes = [given] if isinstance(given, int) else list(given)
    axes = sorted(int(axis) % (x.rank + len(axes)) for axis in axes)
    sizes = iter(x.shape)
    shape = tuple(1 if axis in axes else next(sizes) for axis in range(x.rank + len(axes)))
    return Value(c.add("expandDims", c.plain(x), axes=axes), shape)


@function("Squeeze", "squeeze")
def squeeze(c: Context) -> Value:
    """Without axes of length 1: those given, or all but the batch."""
    x, given = c.input, setting(c, "axis", 1)
    if given is None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1 and axis]
    else:
        axes = [x.positive(int(axis)) for axis in ([given] if isinstance(given, int) else given)]
    shape = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
    return Value(c.add("squeeze", c.plain(x), axes=axes), shape) if axes else x


@function("concat", "ConcatV2")
def concat(c: Context) -> Value:
    """Side by side along an axis."""
    return joined(c, c.inputs, int(setting(c, "axis", 1, -1)))


@function("Stack", "stack")
def stack(c: Context) -> Value:
    """Side by side along a new axis."""
    values = [c.as_plain(value) for value in c.inputs]
    shape = values[0].shape
    axis = int(setting(c, "axis", 1, 0)) % (len(shape) + 1)
    if any(value.shape != shape for value in values):
        raise ValueError(f"tensors of the shapes {[list(value.shape) for value in values]} cannot be stacked")
    return Value(
        c.add("stack", *(value.blob for value in values), axis=axis), (*shape[:axis], len(values), *shape[axis:])
    )


@function("Split", "split")
def split(c: Context) -> Sequence[Value]:
    """Parts of an axis: so many, or (Keras) cut before these positions, or (TensorFlow) of these sizes."""
    x = c.as_plain(c.input)
    axis = x.positive(int(setting(c, "axis", 2, 0)))
    given = setting(c, "indices_or_sections", 1, setting(c, "num_or_size_splits", 1))
    length = x.shape[axis]
    if isinstance(given, int):
        sizes = [length // given] * given
    elif "num_or_size_splits" in c.keywords:
        sizes = [int(size) for size in given]
    else:
        sizes = np.diff([0, *(int(place) for place in given), length]).tolist()
    if sum(sizes) != length or min(sizes) < 1:
        raise ValueError(f"an axis of length {length} cannot be split into {given}")
    blobs = c.add("splitND", x.blob, outputs=len(sizes), axis=axis, splitSizes=sizes)
    return [
        Value(blob, (*x.shape[:axis], size, *x.shape[axis + 1 :]))
        for blob, size in zip([blobs] if len(sizes) == 1 else blobs, sizes, strict=True)
    ]


@converts("GetItem", "SlicingOpLambda")
def get_item(c: Context) -> Value:
    """x[...]: whole numbers and slices, an ellipsis, new axes."""
    x = c.as_plain(c.input)
    key = c.layer.config.get("key", c.keywords.get("key", c.keywords.get("slice_spec")))
    if key is None and len(c.arguments) > 1:
        key = c.arguments[1]
    entries = [_entry(c, item) for item in (key if isinstance(key, list | tuple) else [key])]
    used = sum(not (entry is None or entry is Ellipsis) for entry in entries)
    if Ellipsis in entries:
        place = entries.index(Ellipsis)
        entries[place : place + 1] = [slice(None)] * (x.rank - used)
    else:
        entries += [slice(None)] * (x.rank - used)
    indices = [entry for entry in entries if entry is not None]
    if len(indices) != x.rank:
        raise ValueError(f"a tensor of shape {list(x.shape)} has no element {key}")
    parts = [slice(item, item + 1 if item != -1 else None) if isinstance(item, int) else item for item in indices]
    ranges = [range(size)[part] for size, part in zip(x.shape, parts, strict=True)]
    if not all(ranges):
        raise ValueError(f"nothing of a tensor of shape {list(x.shape)} is left by {key}")
    squeezed = [isinstance(item, int) for item in indices]
    kept = tuple(len(part) for part, gone in zip(ranges, squeezed, strict=True) if not gone)
    if not kept:
        c.refuse("it takes a single number")
    new = [entry is None for entry in entries if not isinstance(entry, int)]
    masks: dict[str, Any] = {"squeezeMasks": squeezed} if any(squeezed) else {}
    y = c.add(
        "sliceStatic",
        x.blob,
        part="slice" if any(new) else "",
        beginIds=[part[0] for part in ranges],
        endIds=[part[-1] + (1 if part.step > 0 else -1) for part in ranges],
        beginMasks=[False] * x.rank,
        endMasks=[part.step < 0 and part[-1] == 0 for part in ranges],
        strides=[part.step for part in ranges],
        **masks,
    )
    if not any(new):
        return Value(y, kept)
    sizes = iter(kept)
    return Value(
        c.add("expandDims", y, axes=[n for n, is_new in enumerate(new) if is_new]),
        tuple(1 if is_new else next(sizes) for is_new in new),
    )


def _entry(c: Context, item: Any) -> Any:
    """One entry of x[...], from what Keras' configurations have for slices."""
    if item is None or isinstance(item, slice) or item is Ellipsis:
        return item
    if isinstance(item, bool):
        c.refuse("it selects by truth values")
    if isinstance(item, int):
        return item
    if isinstance(item, Mapping):
        inner = item.get("config", item)
        if item.get("class_name") in ("__ellipsis__", "Ellipsis"):
            return Ellipsis
        if isinstance(inner, list | tuple):
            return slice(*(None if end is None else int(end) for end in inner))
        if any(isinstance(inner.get(key), Value) for key in ("start", "stop", "step")):
            c.refuse("it selects by tensors")
        return slice(inner.get("start"), inner.get("stop"), inner.get("step"))
    if item not in ("Ellipsis", "..."):
        c.refuse("it selects by tensors")
    return Ellipsis


function("math.add_n")(lambda c: combine(c, "add", operands(c)))
