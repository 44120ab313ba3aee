"""Operators of files from before ONNX 1.0 was settled, which it has dropped since."""

from __future__ import annotations

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.converters.onnx.operators.window import borders
from mlexplorer.converters.source import Shape
from mlexplorer.errors import ModelError


@converts("ImageScaler")
def image_scaler(node: Node) -> str:
    """Times `scale`, plus a `bias` for each channel."""
    node.require_rank(3, 4)
    channels = node.input().shape[-3]
    bias = np.asarray(node.attribute("bias", [0.0] * channels), np.float32)
    if bias.shape != (channels,):
        raise ModelError(f"bias has {bias.size} numbers for {channels} channels")
    return node.add(
        "scale",
        node.blob(),
        shapeScale=[1],
        scale=np.array([node.attribute("scale", 1.0)], np.float32),
        hasBias=True,
        shapeBias=[channels, 1, 1],
        bias=bias,
    )


def _cropped(node: Node) -> list[Shape]:
    shape = node.input().shape
    (top, bottom), (left, right) = _crop_amounts(node)
    return [(*shape[:2], shape[2] - top - bottom, shape[3] - left - right)]


def _crop_amounts(node: Node) -> list[tuple[int, int]]:
    node.require_rank(4)
    border, (height, width) = node.attribute("border", [0] * 4), node.input().shape[2:]
    if len(border) != 4:
        raise ModelError(f"border is {border}; it must be left, top, right and bottom")
    left, top, right, bottom = (int(n) for n in border)
    scale = node.attribute("scale", None)
    if scale is not None:
        bottom, right = height - top - int(scale[0]), width - left - int(scale[1])
    if min(left, top, right, bottom) < 0 or top + bottom >= height or left + right >= width:
        raise ModelError(f"border {border} and scale {scale} leave nothing of {height} x {width}, or lie beyond it")
    return [(top, bottom), (left, right)]


@converts("Crop", shapes=_cropped)
def crop(node: Node) -> str:
    """Without a border [left, top, right, bottom]; or of the size `scale` from left and top on."""
    return node.add("crop", node.blob(), cropAmounts=borders(_crop_amounts(node)))


@converts("Affine")
def affine(node: Node) -> str:
    """The line alpha x + beta."""
    return node.linear(node.blob(), node.attribute("alpha", 1.0), node.attribute("beta", 0.0))


@converts("Scale")
def scale(node: Node) -> str:
    """Times `scale`."""
    return node.linear(node.blob(), node.attribute("scale", 1.0))


@converts("ScaledTanh")
def scaled_tanh(node: Node) -> str:
    """The function alpha tanh(beta x)."""
    return node.activation(
        node.blob(), "scaledTanh", alpha=node.attribute("alpha", 1.0), beta=node.attribute("beta", 1.0)
    )


@converts("ParametricSoftplus")
def parametric_softplus(node: Node) -> str:
    """The function alpha log(1 + exp(beta x))."""
    alpha, beta = (np.array([node.attribute(name, 1.0)], np.float32) for name in ("alpha", "beta"))
    return node.activation(node.blob(), "parametricSoftplus", alpha=alpha, beta=beta)
