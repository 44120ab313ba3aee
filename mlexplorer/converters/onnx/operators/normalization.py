"""Normalizations."""

from __future__ import annotations

from math import prod

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import ModelError, UnsupportedError

_SMALLEST = 1e-12
"""An epsilon of 0 would mean 1e-5."""


def _planes(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """[N, C, 1, rest]: normalization layers want the channels on axis -3."""
    return shape[0], shape[1], 1, prod(shape[2:])


def _as_planes(node: Node) -> str:
    shape = node.input().shape
    if len(shape) < 2:
        raise ModelError(f"its input has the shape {list(shape)}; the channels are on axis 1")
    return node.blob() if len(shape) == 4 else node.reshape(node.blob(), shape, _planes(shape))


def _from_planes(node: Node, blob: str) -> str:
    shape = node.input().shape
    return blob if len(shape) == 4 else node.reshape(blob, _planes(shape), shape)


@converts("BatchNormalization")
def batch_normalization(node: Node) -> str:
    """By stored means and variances of the channels; `spatial` = 0 and training are refused."""
    if node.attribute("training_mode", 0) or any(node.is_used(index) for index in (1, 2)):
        raise UnsupportedError("it is meant for training; export the model for inference")
    if not node.attribute("spatial", 1):
        raise UnsupportedError("it has a mean for each place (spatial=0), which Core ML does not have")
    gamma, beta, mean, variance = (
        node.weight(index, name) for index, name in enumerate(("scale", "bias", "mean", "variance"), 1)
    )
    blob = node.add(
        "batchnorm",
        _as_planes(node),
        channels=node.input().shape[1],
        gamma=gamma,
        beta=beta,
        mean=mean,
        variance=variance,
        epsilon=node.attribute("epsilon", 1e-5) or _SMALLEST,
    )
    return _from_planes(node, blob)


@converts("InstanceNormalization")
def instance_normalization(node: Node) -> str:
    """By the mean and variance of each channel of each example; scale and bias may be computed, too."""
    channels = node.input().shape[1]
    constant = node.input(1).is_constant and node.input(2).is_constant
    blob = node.add(
        "batchnorm",
        _as_planes(node),
        channels=channels,
        computeMeanVar=True,
        instanceNormalization=True,
        gamma=node.weight(1, "scale") if constant else np.ones(channels, np.float32),
        beta=node.weight(2, "bias") if constant else np.zeros(channels, np.float32),
        epsilon=node.attribute("epsilon", 1e-5) or _SMALLEST,
    )
    blob = _from_planes(node, blob)
    return blob if constant else _scaled(node, blob, 1, 2)


@converts("GroupNormalization", shapes=lambda node: [node.input().shape])
def group_normalization(node: Node) -> str:
    """By the mean and variance of groups of channels; scale and bias are of channels, before version 21 of groups."""
    shape, groups = node.input().shape, node.attribute("num_groups", 1)
    if groups < 1 or shape[1] % groups:
        raise ModelError(f"{shape[1]} channels cannot be {groups} groups")
    planes = (shape[0], groups, shape[1] // groups, prod(shape[2:]))
    blob = node.add(
        "batchnorm",
        node.reshape(node.blob(), shape, planes),
        channels=groups,
        computeMeanVar=True,
        instanceNormalization=True,
        gamma=np.ones(groups, np.float32),
        beta=np.zeros(groups, np.float32),
        epsilon=node.attribute("epsilon", 1e-5) or _SMALLEST,
    )
    return _scaled(node, node.reshape(blob, planes, shape), 1, 2)


def _scaled(node: Node, blob: str, scale: int, bias: int) -> str:
    """Times one input and plus another, which have a value for each channel or for each group of them."""
    channels, rest = node.input().shape[1], [1] * (node.input().rank - 2)
    for index, layer in ((scale, "multiplyBroadcastable"), (bias, "addBroadcastable")):
        value = node.input(index)
        if value.is_constant:
            array = node.weight(index, "scale or bias")
            factors = node.load(np.repeat(array, channels // array.size).reshape(channels, *rest))
        elif value.shape == (channels,):
            factors = node.reshape(node.blob(index), value.shape, (channels, *rest))
        else:
            raise UnsupportedError(f"its input {value.name!r} is computed by the network, and is one of groups")
        blob = node.add(layer, blob, factors)
    return blob


@converts("LayerNormalization", shapes=lambda node: [node.input().shape])
def layer_normalization(node: Node) -> str:
    """By the mean and variance along the last axes, from `axis` on."""
    shape = node.input().shape[node.axis(-1) :]
    constant = all(not node.has(index) or node.input(index).is_constant for index in (1, 2))
    arrays = [np.ones(shape, np.float32), np.zeros(shape, np.float32)]
    for index, name in ((1, "scale"), (2, "bias")):
        if constant and node.has(index):
            arrays[index - 1] = np.ascontiguousarray(np.broadcast_to(node.weight(index, name), shape))
    blob = node.add(
        "layerNormalization",
        node.blob(),
        normalizedShape=shape,
        eps=node.attribute("epsilon", 1e-5),
        gamma=arrays[0],
        beta=arrays[1],
    )
    if not constant:
        blob = node.add("multiplyBroadcastable", blob, node.blob(1))
        blob = node.add("addBroadcastable", blob, node.blob(2)) if node.has(2) else blob
    return blob


@converts("LRN")
def local_response_normalization(node: Node) -> str:
    """By the sum of squares over `size` channels."""
    node.require_rank(3, 4, 5)
    blob = node.add(
        "lrn",
        _as_planes(node),
        alpha=node.attribute("alpha", 1e-4),
        beta=node.attribute("beta", 0.75),
        localSize=node.attribute("size", 1),
        k=node.attribute("bias", 1.0) or _SMALLEST,
    )
    return _from_planes(node, blob)


@converts("LpNormalization")
def lp_normalization(node: Node) -> str:
    """Over the sum of magnitudes, or the root of the sum of squares, along an axis."""
    layer = {1: "reduceL1", 2: "reduceL2"}.get(node.attribute("p", 2))
    if layer is None:
        raise UnsupportedError(f"it normalizes by the norm p={node.attribute('p', 2)}; 1 and 2 are supported")
    norm = node.add(layer, node.blob(), axes=[node.axis(-1)], keepDims=True)
    return node.add("divideBroadcastable", node.blob(), norm)
