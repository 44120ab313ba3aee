"""Activations."""

from __future__ import annotations

from math import prod

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts

_LARGEST = float(np.finfo(np.float32).max)
_PLAIN = {"Relu": "ReLU", "Sigmoid": "sigmoid", "Tanh": "tanh", "Softplus": "softplus", "Softsign": "softsign"}


@converts(*_PLAIN)
def plain(node: Node) -> str:
    """The activation of the same name."""
    return node.activation(node.blob(), _PLAIN[node.type])


@converts("LeakyRelu")
def leaky_relu(node: Node) -> str:
    """The slope `alpha` below 0."""
    return node.activation(node.blob(), "leakyReLU", alpha=node.attribute("alpha", 0.01))


@converts("PRelu")
def prelu(node: Node) -> str:
    """A slope below 0 for each channel, or broadcast; before version 7 a vector lies on the channels."""
    x, slope = node.input(), node.input(1)
    shape = slope.shape
    if slope.rank == 1 and node.version < 7 and shape[0] != 1:
        shape = (shape[0], *[1] * (x.rank - 2))
    per_channel = x.rank == 4 and shape in ((x.shape[1], 1, 1), (1, x.shape[1], 1, 1))
    if slope.is_constant and (per_channel or prod(shape) == 1):
        return node.activation(node.blob(), "PReLU", alpha=node.weight(1, "the slope").reshape(-1))
    slopes = node.reshape(node.blob(1), slope.shape, shape)
    below = node.unary("THRESHOLD", node.linear(node.blob(), -1))
    steep = node.add("multiplyBroadcastable", below, slopes)
    return node.add("subtractBroadcastable", node.activation(node.blob(), "ReLU"), steep)


@converts("Elu")
def elu(node: Node) -> str:
    """The exponential alpha (exp(x) - 1) below 0."""
    return node.activation(node.blob(), "ELU", alpha=node.attribute("alpha", 1.0))


@converts("Selu")
def selu(node: Node) -> str:
    """An ELU times gamma."""
    old = node.version < 6
    alpha = node.attribute("alpha", 1.6732 if old else 1.67326319217681884765625)
    gamma = node.attribute("gamma", 1.0507 if old else 1.05070102214813232421875)
    return node.linear(node.activation(node.blob(), "ELU", alpha=alpha), gamma)


@converts("Celu")
def celu(node: Node) -> str:
    """The exponential alpha (exp(x / alpha) - 1) below 0: alpha ELU(x / alpha)."""
    alpha = node.attribute("alpha", 1.0)
    return node.linear(node.activation(node.linear(node.blob(), 1 / alpha), "ELU", alpha=1), alpha)


@converts("ThresholdedRelu")
def thresholded_relu(node: Node) -> str:
    """The input where it is above alpha, else 0; Core ML's keeps alpha itself, too, so it gets the next float."""
    alpha = np.nextafter(np.float32(node.attribute("alpha", 1.0)), np.float32(np.inf))
    return node.activation(node.blob(), "thresholdedReLU", alpha=float(alpha))


@converts("HardSigmoid")
def hard_sigmoid(node: Node) -> str:
    """The line alpha x + beta within 0 and 1."""
    return node.activation(
        node.blob(), "sigmoidHard", alpha=node.attribute("alpha", 0.2), beta=node.attribute("beta", 0.5)
    )


@converts("HardSwish")
def hard_swish(node: Node) -> str:
    """The line x / 6 + 1 / 2 within 0 and 1, times x."""
    return node.add("multiply", node.blob(), node.activation(node.blob(), "sigmoidHard", alpha=1 / 6, beta=0.5))


@converts("Swish")
def swish(node: Node) -> str:
    """The sigmoid of alpha x, times x."""
    scaled = node.linear(node.blob(), node.attribute("alpha", 1.0))
    return node.add("multiply", node.blob(), node.activation(scaled, "sigmoid"))


@converts("Mish")
def mish(node: Node) -> str:
    """The tanh of the softplus of x, times x."""
    gate = node.activation(node.activation(node.blob(), "softplus"), "tanh")
    return node.add("multiply", node.blob(), gate)


@converts("Gelu", "com.microsoft::Gelu")
def gelu(node: Node) -> str:
    """The normal distribution function of x, times x, or its approximation by tanh."""
    exact = node.attribute("approximate", "none") == "none"
    return node.add("gelu", node.blob(), mode="EXACT" if exact else "TANH_APPROXIMATION")


@converts("Clip")
def clip(node: Node) -> str:
    """Between two bounds: attributes before version 11, inputs since."""
    bounds = [(1, "min", "maxBroadcastable", -_LARGEST), (2, "max", "minBroadcastable", _LARGEST)]
    if all(not node.has(index) or node.input(index).is_constant for index, *_ in bounds):
        low, high = (
            float(node.known(index, name).reshape(-1)[0]) if node.has(index) else node.attribute(name, default)
            for index, name, _, default in bounds
        )
        return node.add("clip", node.blob(), minVal=max(low, -_LARGEST), maxVal=min(high, _LARGEST))
    blob = node.blob()
    for index, _, layer, _ in bounds:
        if node.has(index):
            blob = node.add(layer, blob, node.blob(index))
    return blob


@converts("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: Node) -> str:
    """The exponentials over their sum along an axis, or the logarithm of that; before version 13 along all from it on.

    Hardmax is 1 at the first greatest element, else 0.

    The logarithm is x - max - log(sum(exp(x - max))), which loses nothing where a probability is 0 in floats.
    """
    shape, blob = node.input().shape, node.blob()
    axis = node.axis(1 if node.version < 13 else -1)
    flat = node.version < 13 and prod(shape[axis + 1 :]) != 1
    if flat:
        blob = node.reshape(blob, shape, (prod(shape[:axis]), prod(shape[axis:])))
    along = 1 if flat else axis
    if node.type == "Softmax":
        blob = node.add("softmaxND", blob, axis=along)
    elif node.type == "Hardmax":
        places = node.add("argMax", blob, axis=along, removeDim=True)
        size = prod(shape[axis:]) if flat else shape[axis]
        blob = node.add("oneHot", places, axis=along, oneHotVectorSize=size, onValue=1, offValue=0)
    else:
        blob = node.add("subtractBroadcastable", blob, node.add("reduceMax", blob, axes=[along], keepDims=True))
        blob = node.add("subtractBroadcastable", blob, node.add("reduceLogSumExp", blob, axes=[along], keepDims=True))
    return node.reshape(blob, (prod(shape[:axis]), prod(shape[axis:])), shape) if flat else blob
