"""Operators that are defined here by simpler ones: those on quantized codes, and Windows ML's experimental ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx
from onnx import NodeProto, TensorProto, helper

from mlexplorer.converters.onnx.node import Node
from mlexplorer.errors import UnsupportedError

_WINDOWS = "com.microsoft.experimental::"
_MEL = ("num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz", "upper_edge_hertz")

Definition = Callable[[Node], Sequence[NodeProto]]
_DEFINITIONS: dict[str, tuple[Sequence[str], Definition]] = {}


def own_definition(node: Node) -> onnx.FunctionProto | None:
    """The function that a node stands for, of version 17; None for most operators."""
    if node.type not in _DEFINITIONS:
        return None
    inputs, define = _DEFINITIONS[node.type]
    return helper.make_function("", node.type, inputs, ["y"], define(node), [helper.make_opsetid("", 17)])


def _defines(*types: str, inputs: Sequence[str]) -> Callable[[Definition], Definition]:
    def register(function: Definition) -> Definition:
        _DEFINITIONS.update(dict.fromkeys(types, (inputs, function)))
        return function

    return register


def _op(type: str, inputs: Sequence[str], output: str = "y", **attributes: Any) -> NodeProto:
    return helper.make_node(type, inputs, [output], **attributes)


# Codes. Differences from the zero point are whole numbers, so that products and sums in floats are those of whole
# numbers as long as they stay below 2 ** 24.


def _from_zero(
    node: Node, index: int, name: str, zero: str, axes: Sequence[int] = (), by_column: bool = False
) -> list[NodeProto]:
    """Codes as floats without their zero point.

    There may be one for each place of the first axis, spread over `axes` after it, or `by_column` of the last.
    """
    nodes = [_op("Cast", [name], f"{name} float", to=TensorProto.FLOAT)]
    if not node.has(index):
        return [*nodes, _op("Identity", [f"{name} float"], f"{name} whole")]
    nodes.append(_op("Cast", [zero], f"{zero} float", to=TensorProto.FLOAT))
    shape = node.input(index).shape
    if len(shape) == 1 and shape[0] > 1 and axes:
        nodes.append(_op("Constant", [], f"{zero} axes", value_ints=list(axes)))
        nodes.append(_op("Unsqueeze", [f"{zero} float", f"{zero} axes"], f"{zero} spread"))
    else:
        if shape not in ((), (1,)) and not by_column:
            raise UnsupportedError(f"its input {index} has a zero point for each row")
        nodes.append(_op("Identity", [f"{zero} float"], f"{zero} spread"))
    return [*nodes, _op("Sub", [f"{name} float", f"{zero} spread"], f"{name} whole")]


def _conv(node: Node, weights: int, zeros: tuple[int, int], names: tuple[str, str, str, str]) -> list[NodeProto]:
    """The convolution of whole numbers, without a bias, as "sums"."""
    x, w, x_zero, w_zero = names
    conv = _op("Conv", [f"{x} whole", f"{w} whole"], "sums")
    conv.attribute.extend(node.proto.attribute)
    spread = range(1, node.input(weights).rank)
    return [*_from_zero(node, zeros[0], x, x_zero), *_from_zero(node, zeros[1], w, w_zero, spread), conv]


def _codes(sums: str, a: str, b: str, axis: int) -> list[NodeProto]:
    """Sums of products of codes as codes of the result."""
    return [
        _op("Mul", [a, b], "unit"),
        _op("Div", ["y_scale", "unit"], "units"),
        _op("QuantizeLinear", [sums, "units", "y_zero"], axis=axis),
    ]


@_defines("ConvInteger", inputs=("x", "w", "x_zero", "w_zero"))
def _conv_integer(node: Node) -> list[NodeProto]:
    return [*_conv(node, 1, (2, 3), ("x", "w", "x_zero", "w_zero")), _op("Identity", ["sums"])]


@_defines("QLinearConv", inputs=("x", "x_scale", "x_zero", "w", "w_scale", "w_zero", "y_scale", "y_zero", "bias"))
def _quantized_conv(node: Node) -> list[NodeProto]:
    nodes = _conv(node, 3, (2, 5), ("x", "w", "x_zero", "w_zero"))
    if node.has(8):
        axes = list(range(1, node.input(3).rank - 1))
        nodes += [
            _op("Cast", ["bias"], "bias float", to=TensorProto.FLOAT),
            _op("Constant", [], "bias axes", value_ints=axes),
            _op("Unsqueeze", ["bias float", "bias axes"], "bias spread"),
            _op("Add", ["sums", "bias spread"], "total"),
        ]
    return [*nodes, *_codes("total" if node.has(8) else "sums", "x_scale", "w_scale", 1)]


@_defines("MatMulInteger", inputs=("a", "b", "a_zero", "b_zero"))
def _matmul_integer(node: Node) -> list[NodeProto]:
    whole = [*_from_zero(node, 2, "a", "a_zero"), *_from_zero(node, 3, "b", "b_zero", by_column=True)]
    return [*whole, _op("MatMul", ["a whole", "b whole"])]


@_defines("QLinearMatMul", inputs=("a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"))
def _quantized_matmul(node: Node) -> list[NodeProto]:
    whole = [*_from_zero(node, 2, "a", "a_zero"), *_from_zero(node, 5, "b", "b_zero", by_column=True)]
    return [*whole, _op("MatMul", ["a whole", "b whole"], "sums"), *_codes("sums", "a_scale", "b_scale", -1)]


# What Windows ML tried out and ONNX has taken over since


@_defines(*(f"{_WINDOWS}{type}" for type in ("HannWindow", "HammingWindow", "BlackmanWindow")), inputs=("size",))
def _window(node: Node) -> list[NodeProto]:
    return [_op(node.proto.op_type, ["size"])]


@_defines(f"{_WINDOWS}MelWeightMatrix", inputs=_MEL)
def _mel_weight_matrix(node: Node) -> list[NodeProto]:
    return [_op("MelWeightMatrix", _MEL)]


@_defines(f"{_WINDOWS}STFT", inputs=("signal", "window", "frame_length", "frame_step"))
def _stft(node: Node) -> list[NodeProto]:
    """Windows ML has [N, length] for a signal, and its inputs in another order."""
    stft = _op("STFT", ["real", "frame_step", "window", "frame_length"])
    stft.attribute.extend(node.proto.attribute)
    return [_op("Constant", [], "last", value_ints=[2]), _op("Unsqueeze", ["signal", "last"], "real"), stft]
