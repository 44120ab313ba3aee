"""Operators on tensors, element by element and along axes; those that layers share names with are in merging.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Context
from mlexplorer.converters.keras.layers.activation import ACTIVATIONS, softmax_along
from mlexplorer.converters.keras.layers.functions import FUNCTIONS, Function, function, setting
from mlexplorer.converters.keras.layers.merging import binary, combine, matrix_product, operands
from mlexplorer.converters.keras.values import Value

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
    FUNCTIONS[_name_] = FUNCTIONS[f"math.{_name_.lower()}"]


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


function("math.add_n")(lambda c: combine(c, "add", operands(c)))
