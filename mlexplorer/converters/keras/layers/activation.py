"""Activations: the functions that layers name, and the layers that are one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Context, as_number, converts
from mlexplorer.converters.keras.source_model import KerasLayer
from mlexplorer.converters.keras.values import Value

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772

Activation = Callable[[Context, Value], Value]
ACTIVATIONS: dict[str, Activation] = {}


def activation(*names: str) -> Callable[[Activation], Activation]:
    """Register a function as the activation of these names (keras.activations)."""

    def register(function: Activation) -> Activation:
        ACTIVATIONS.update(dict.fromkeys(names, function))
        return function

    return register


def activate(c: Context, value: Value, given: Any) -> Value:
    """The activation that a configuration holds, after the layer that has it: "relu" of "conv1" is "conv1/relu"."""
    name, layer = _read(given)
    if name == "linear":
        return value
    if layer is not None:
        return c.call(c, layer, f"{c.name}/{layer.class_name}", [value])[0]
    return ACTIVATIONS[name](c.within(name), value)


def knows_activation(given: Any) -> bool:
    """Whether there is a function for what a configuration holds as an activation."""
    name, layer = _read(given)
    return layer is not None or name in ACTIVATIONS


def activation_name(given: Any) -> str:
    """The name of an activation, that of the class if it is a layer."""
    name, layer = _read(given)
    return name if layer is None else layer.class_name


def _read(given: Any) -> tuple[str, KerasLayer | None]:
    """The function's name, or the layer that a configuration has in place of it."""
    if given is None:
        return "linear", None
    if isinstance(given, Mapping):
        inner, name = given.get("config"), str(given.get("class_name"))
        if name in _LAYERS and isinstance(inner, Mapping):
            return "", KerasLayer(str(inner.get("name", name)), name, inner)
        given = inner if isinstance(inner, str) else name
    return str(given).rpartition(">")[2], None


def _elementwise(type: str, /, **fields: Any) -> Activation:
    return lambda c, x: c.map(x, type, **fields)


ACTIVATIONS.update(
    {
        "linear": _elementwise("activation", linear={"alpha": 1}),
        "relu": _elementwise("activation", ReLU={}),
        "relu6": _elementwise("clip", minVal=0, maxVal=6),
        "leaky_relu": _elementwise("activation", leakyReLU={"alpha": 0.2}),
        "elu": _elementwise("activation", ELU={"alpha": 1}),
        "tanh": _elementwise("activation", tanh={}),
        "sigmoid": _elementwise("activation", sigmoid={}),
        "softplus": _elementwise("activation", softplus={}),
        "softsign": _elementwise("activation", softsign={}),
        "exponential": _elementwise("unary", type="EXP"),
        "exp": _elementwise("unary", type="EXP"),
        "gelu": _elementwise("gelu", mode="EXACT"),
        "hard_tanh": _elementwise("clip", minVal=-1, maxVal=1),
    }
)


@activation("selu")
def selu(c: Context, x: Value) -> Value:
    """Scale * elu(x, alpha)."""
    x = c.map(x, "activation", "elu", ELU={"alpha": _SELU_ALPHA})
    return c.map(x, "activation", linear={"alpha": _SELU_SCALE})


@activation("celu")
def celu(c: Context, x: Value) -> Value:
    """Elu with alpha 1, as keras.activations.celu has it by default."""
    return c.map(x, "activation", ELU={"alpha": 1})


@activation("hard_sigmoid")
def hard_sigmoid(c: Context, x: Value) -> Value:
    """clip(x / 6 + 0.5, 0, 1); until Keras 2 clip(0.2 x + 0.5, 0, 1)."""
    return c.map(x, "activation", sigmoidHard={"alpha": hard_sigmoid_slope(c), "beta": 0.5})


def hard_sigmoid_slope(c: Context) -> float:
    """The slope of hard_sigmoid, which Keras 3 changed; that of Keras 3 where the version is not known."""
    return 0.2 if c.keras_version.startswith(("1.", "2.")) else 1 / 6


@activation("swish", "silu")
def swish(c: Context, x: Value) -> Value:
    """X * sigmoid(x)."""
    return _times(c, x, c.map(x, "activation", "sigmoid", sigmoid={}))


@activation("hard_swish", "hard_silu")
def hard_swish(c: Context, x: Value) -> Value:
    """X * clip(x / 6 + 0.5, 0, 1)."""
    return _times(c, x, c.map(x, "activation", "hard_sigmoid", sigmoidHard={"alpha": 1 / 6, "beta": 0.5}))


@activation("mish")
def mish(c: Context, x: Value) -> Value:
    """X * tanh(softplus(x))."""
    return _times(c, x, c.map(c.map(x, "activation", "softplus", softplus={}), "activation", "tanh", tanh={}))


@activation("softmax")
def softmax(c: Context, x: Value) -> Value:
    """The exponentials over their sum, along the last axis."""
    return softmax_along(c, x, -1)


def softmax_along(c: Context, x: Value, axis: int, part: str = "") -> Value:
    """The exponentials over their sum, along an axis of Keras."""
    return c.map(x, "softmaxND", part, axis=x.axis(axis))


@activation("log_softmax")
def log_softmax(c: Context, x: Value) -> Value:
    """X - log(sum of exp(x)), along the last axis."""
    total = c.add("reduceLogSumExp", x.blob, part="sum", axes=[x.axis(-1)], keepDims=True)
    return x.with_blob(c.add("subtractBroadcastable", x.blob, total))


@activation("log_sigmoid")
def log_sigmoid(c: Context, x: Value) -> Value:
    """-softplus(-x)."""
    x = c.map(x, "activation", "negated", linear={"alpha": -1})
    return c.map(c.map(x, "activation", "softplus", softplus={}), "activation", linear={"alpha": -1})


@activation("tanh_shrink")
def tanh_shrink(c: Context, x: Value) -> Value:
    """X - tanh(x)."""
    return x.with_blob(c.add("subtractBroadcastable", x.blob, c.map(x, "activation", "tanh", tanh={}).blob))


@activation("squareplus")
def squareplus(c: Context, x: Value) -> Value:
    """(x + sqrt(x^2 + 4)) / 2."""
    square = c.map(x, "unary", "square", type="POWER", alpha=2)
    root = c.map(square, "unary", "root", type="SQRT", shift=4)
    return c.map(
        x.with_blob(c.add("addBroadcastable", x.blob, root.blob, part="sum")), "activation", linear={"alpha": 0.5}
    )


@activation("soft_shrink")
def soft_shrink(c: Context, x: Value) -> Value:
    """X without what lies within -0.5 and 0.5."""
    return x.with_blob(c.add("subtractBroadcastable", x.blob, c.map(x, "clip", "inside", minVal=-0.5, maxVal=0.5).blob))


@activation("glu")
def glu(c: Context, x: Value) -> Value:
    """The first half of the last axis times the sigmoid of the second."""
    half = x.shape[-1] // 2
    first, second = c.add("splitND", x.blob, part="halves", outputs=2, axis=x.axis(-1), numSplits=2)
    gate = c.add("activation", second, part="sigmoid", sigmoid={})
    return Value(c.add("multiplyBroadcastable", first, gate), (*x.shape[:-1], half), x.planes)


def _times(c: Context, x: Value, factor: Value) -> Value:
    return x.with_blob(c.add("multiplyBroadcastable", x.blob, factor.blob))


@converts("Activation", keeps_mask=True)
def activation_layer(c: Context) -> Value:
    """Activation: the function is the layer."""
    name, layer = _read(c.get("activation"))
    if layer is not None:
        return c.call(c, layer, c.name, [c.input])[0]
    return ACTIVATIONS[name](c, c.input)


@converts("ReLU", keeps_mask=True)
def relu(c: Context) -> Value:
    """ReLU: x from threshold on, at most max_value; negative_slope * (x - threshold) below."""
    x, most = c.input, c.get("max_value")
    slope, threshold = c.number("negative_slope", 0), c.number("threshold", 0)
    most = None if most is None else as_number(most)
    if threshold == 0 and slope == 0:
        if most is None:
            return c.map(x, "activation", ReLU={})
        return c.map(x, "clip", minVal=0, maxVal=most)
    if threshold == 0:
        y = c.map(x, "activation", "leaky" if most is not None else "", leakyReLU={"alpha": slope})
        return y if most is None else _at_most(c, y, most)
    above = c.map(x, "greaterEqual", "above", alpha=threshold)
    kept = _times(c.within("kept"), x, above)
    if slope:
        below = c.map(x, "lessThan", "below", alpha=threshold)
        line = c.map(x, "activation", "line", linear={"alpha": slope, "beta": -slope * threshold})
        line = _times(c.within("slope"), line, below)
        kept = x.with_blob(c.add("addBroadcastable", kept.blob, line.blob, part="" if most is None else "sum"))
        return kept if most is None else _at_most(c, kept, most)
    return c.map(kept, "activation", linear={"alpha": 1}) if most is None else _at_most(c, kept, most)


def _at_most(c: Context, x: Value, most: float) -> Value:
    return c.map(x, "clip", minVal=-float(np.finfo(np.float32).max), maxVal=most)


@converts("LeakyReLU", keeps_mask=True)
def leaky_relu(c: Context) -> Value:
    """LeakyReLU; its slope is called alpha until Keras 2."""
    return c.map(c.input, "activation", leakyReLU={"alpha": c.number("negative_slope", c.number("alpha", 0.3))})


@converts("ELU", keeps_mask=True)
def elu(c: Context) -> Value:
    """ELU."""
    return c.map(c.input, "activation", ELU={"alpha": c.number("alpha", 1)})


@converts("ThresholdedReLU", keeps_mask=True)
def thresholded_relu(c: Context) -> Value:
    """ThresholdedReLU: x where it is above theta; Core ML's keeps x = theta itself, too."""
    theta = np.nextafter(np.float32(c.number("theta", 1)), np.float32(np.inf))
    return c.map(c.input, "activation", thresholdedReLU={"alpha": float(theta)})


@converts("PReLU", keeps_mask=True)
def prelu(c: Context) -> Value:
    """PReLU: one slope per channel where the other axes share it, else one per element."""
    x, (alpha,) = c.input, c.weights(1)
    if x.rank > 2 and alpha.size == x.shape[-1] == alpha.shape[-1]:
        return c.map(c.planes(x), "activation", PReLU={"alpha": alpha})
    if c.plain(x) == x.blob and x.rank == 4 and alpha.shape == (x.shape[1], 1, 1):
        return c.map(x, "activation", PReLU={"alpha": alpha})
    x = c.as_plain(x)
    positive = c.map(x, "activation", "positive", ReLU={})
    negative = x.with_blob(c.add("subtractBroadcastable", x.blob, positive.blob, part="negative"))
    slopes = c.constant(alpha[None], "alpha")
    scaled = c.add("multiplyBroadcastable", negative.blob, slopes, part="scaled")
    return x.with_blob(c.add("addBroadcastable", positive.blob, scaled))


@converts("Softmax", keeps_mask=True)
def softmax_layer(c: Context) -> Value:
    """Softmax along one axis, or along several as one."""
    axis, x = c.get("axis", -1), c.input
    if len(c.inputs) > 1 or x.mask is not None:
        c.refuse("a mask changes what it gives")
    if isinstance(axis, int):
        return softmax_along(c, x, axis)
    if len(axis) == 1:
        return softmax_along(c, x, int(axis[0]))
    axes = [x.axis(int(item)) for item in axis]
    total = c.add("reduceLogSumExp", x.blob, part="sum", axes=axes, keepDims=True)
    logarithm = c.add("subtractBroadcastable", x.blob, total, part="logarithm")
    return x.with_blob(c.add("unary", logarithm, type="EXP"))


_LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax")
