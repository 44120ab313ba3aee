"""Convolutions and transposed convolutions along one, two or three axes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.converters.onnx.operators.window import Pads, Window, borders, by_axis, custom_padding
from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Array


@converts("Conv")
def conv(node: Node) -> str:
    """[N, C, ...] to [N, out, ...], weights [out, C / group, ...]; those of two axes may be computed, too."""
    node.require_rank(3, 4, 5)
    x, weights = node.input(0), node.input(1)
    if weights.rank != x.rank:
        raise ModelError(f"weights of shape {list(weights.shape)} meet an input of shape {list(x.shape)}")
    window = Window.of(node, x.shape[2:], weights.shape[2:])
    bias = node.weight(2, "the bias") if node.has(2) else None
    if not weights.is_constant:
        if x.rank != 4 or node.attribute("group", 1) != 1 or bias is not None:
            raise UnsupportedError("its weights are computed by the network; Core ML wants constants here")
        return _planar(node, node.blob(0), window, weights.shape, None, None, extra=(node.blob(1),))
    return _convolve(node, window, node.weight(1, "the weights"), bias)


@converts("ConvTranspose")
def conv_transpose(node: Node) -> str:
    """[N, C, ...] to [N, out, ...], weights [C, out / group, ...]; the padding is what its result loses.

    `output_padding` beyond what it loses adds elements that no kernel reaches: the bias alone.
    """
    node.require_rank(3, 4, 5)
    weights = node.weight(1, "the weights")
    extent = node.input().shape[2:]
    window = Window.of(node, extent, weights.shape[2:])
    target = node.shape[2:]
    pads = []
    for n, s, k, size, (start, _) in zip(
        extent, window.stride, window.reach, target, _starts(node, window), strict=True
    ):
        pads.append((start, (n - 1) * s + k - start - size))
    missing = [max(0, -end) for _, end in pads]
    window = replace(window, pads=[(start, max(0, end)) for start, end in pads])
    bias = node.weight(2, "the bias") if node.has(2) else None
    if not any(missing):
        return _convolve(node, window, weights, bias, transposed=True)
    blob = _convolve(node, window, weights, None, transposed=True)
    amounts = [0] * 4 + [amount for end in missing for amount in (0, end)]
    blob = node.add("constantPad", blob, padAmounts=amounts)
    if bias is None:
        return blob
    return node.add("addBroadcastable", blob, node.load(bias.reshape(-1, *[1] * len(extent))))


def _starts(node: Node, window: Window) -> Pads:
    """What is lost at the starts: `pads`, or the share of what `output_shape` or SAME leaves out."""
    given = node.attribute("auto_pad", "NOTSET")
    if "output_shape" not in node.attributes and given not in ("SAME_UPPER", "SAME_LOWER"):
        return window.pads
    extra = node.attribute("output_padding", [0] * len(window.kernel))
    starts = []
    for n, s, k, more, size in zip(
        node.input().shape[2:], window.stride, window.reach, extra, node.shape[2:], strict=True
    ):
        total = max(0, (n - 1) * s + k + more - size)
        starts.append((total // 2 if given == "SAME_UPPER" else total - total // 2, 0))
    return starts


def _convolve(node: Node, window: Window, weights: Array, bias: Array | None, transposed: bool = False) -> str:
    x = node.input()
    if x.rank == 5:
        return _spatial(node, window, weights, bias, transposed)
    if x.rank == 4:
        return _planar(node, node.blob(), window, weights.shape, weights, bias, transposed)
    blob = node.add("expandDims", node.blob(), axes=[2])
    row = Window([1, *window.kernel], [1, *window.stride], [1, *window.dilation], [(0, 0), *window.pads])
    blob = _planar(node, blob, row, (*weights.shape[:2], *row.kernel), weights, bias, transposed)
    return node.add("squeeze", blob, axes=[2])


def _planar(
    node: Node,
    blob: str,
    window: Window,
    shape: tuple[int, ...],
    weights: Array | None,
    bias: Array | None,
    transposed: bool = False,
    extra: tuple[str, ...] = (),
) -> str:
    fields: dict[str, Any] = {
        **_channels(node, shape, transposed),
        "kernelSize": window.kernel,
        "stride": window.stride,
        "dilationFactor": window.dilation,
        "valid": {"paddingAmounts": borders(window.pads)},
        "isDeconvolution": transposed,
        **_biased(weights, bias),
    }
    return node.add("convolution", blob, *extra, **fields)


def _spatial(node: Node, window: Window, weights: Array, bias: Array | None, transposed: bool) -> str:
    channels = _channels(node, weights.shape, transposed)
    groups = channels["nGroups"]
    fields: dict[str, Any] = {
        "outputChannels": channels["outputChannels"],
        "inputChannels": channels["kernelChannels"] * (1 if transposed else groups),
        "nGroups": groups,
        **by_axis("kernel", window.kernel),
        **by_axis("stride", window.stride),
        **by_axis("dilation", window.dilation),
        "paddingType": "CUSTOM",
        **custom_padding(window.pads),
        "isDeconvolution": transposed,
        **_biased(weights, bias),
    }
    return node.add("convolution3d", node.blob(), **fields)


def _channels(node: Node, shape: tuple[int, ...], transposed: bool) -> dict[str, int]:
    groups = node.attribute("group", 1)
    inputs = shape[0] if transposed else shape[1] * groups
    if groups < 1 or inputs != node.input().shape[1] or (shape[0] % groups):
        raise ModelError(f"weights of shape {list(shape)} in {groups} groups meet {node.input().shape[1]} channels")
    return {
        "outputChannels": shape[1] * groups if transposed else shape[0],
        "kernelChannels": shape[0] if transposed else shape[1],
        "nGroups": groups,
    }


def _biased(weights: Array | None, bias: Array | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"hasBias": bias is not None}
    if weights is not None:
        fields["weights"] = np.asarray(weights, np.float32)
    if bias is not None:
        fields["bias"] = bias
    return fields
