"""Loops of a constant number of steps against onnxruntime, and what is not one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mlexplorer as mle
from mlexplorer import errors
from tests.converters.onnx.cases import assert_close, converted, floats, model, predicted, reference

X = np.random.default_rng(2).standard_normal((4, 3, 5)).astype(np.float32)
node = helper.make_node


def constant(name: str, values: Any, dtype: Any = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def whole(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.INT64, [])


def truth(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.BOOL, [])


def same(source: onnx.ModelProto) -> mle.Model:
    network = converted(source)
    assert_close(predicted(network, {"x": X}), reference(source, {"x": X}))
    return network


def loop(
    condition: Sequence[onnx.NodeProto], inputs: Sequence[str], constants: Sequence[TensorProto], opset: int = 21
) -> onnx.ModelProto:
    """Sums x * (step + w) into a state, from x on, and collects the means of all states."""
    body = helper.make_graph(
        [
            node("Cast", ["step"], ["number"], to=TensorProto.FLOAT),
            node("Add", ["number", "w"], ["factor"]),
            node("Mul", ["x", "factor"], ["part"]),
            node("Add", ["state", "part"], ["next"], name="sum"),
            node("ReduceMean", ["next"], ["mean"], keepdims=0),
            *condition,
        ],
        "body",
        [whole("step"), truth("before"), floats("state", 4, 3, 5)],
        [truth("goes on"), floats("next", 4, 3, 5), floats("mean")],
        [constant("w", [0.5, 1, 2, 0.25, 3], np.float32)],
    )
    nodes = [node("Loop", [*inputs, "x"], ["y", "means"], name="loop", body=body)]
    return model(nodes, [floats("x", 4, 3, 5)], ["y", "means"], constants, opset)


ALWAYS = [node("Identity", ["before"], ["goes on"])]
UNTIL = [node("Less", ["step", "last"], ["goes on"])]


@pytest.mark.parametrize("opset", [11, 21])
def test_for_loop(opset: int) -> None:
    network = same(loop(ALWAYS, ["count", ""], [constant("count", 3)], opset))
    names = [layer.name for layer in network.graph.nodes]
    assert {f"loop/step {step}/sum" for step in range(3)} <= set(names)


def test_loop_until_a_condition_that_the_step_decides() -> None:
    limit = np.iinfo(np.int64).max
    stored = [constant("count", limit), constant("yes", True, np.bool_), constant("last", 2)]
    same(loop(UNTIL, ["count", "yes"], stored))
    same(loop(UNTIL, ["", "yes"], stored))


def test_loops_that_only_a_run_can_count_are_refused() -> None:
    of_values = [
        node("ReduceMax", ["next"], ["greatest"], keepdims=0),
        node("Less", ["greatest", "bound"], ["goes on"]),
    ]
    source = loop(of_values, ["count", ""], [constant("count", 3), constant("bound", 9, np.float32)])
    with pytest.raises(errors.UnsupportedError, match=r"'loop' \(Loop\): whether it goes on after step 0 .*computed"):
        converted(source)
    with pytest.raises(errors.UnsupportedError, match=r"'loop' \(Loop\).*more steps than the 256"):
        converted(loop(ALWAYS, ["count", ""], [constant("count", 2000)]))
    with pytest.raises(errors.UnsupportedError, match=r"'loop' \(Loop\).*runs no step"):
        converted(loop(ALWAYS, ["count", ""], [constant("count", 0)]))
    counted = loop(ALWAYS, ["count", ""], [])
    counted.graph.input.append(whole("count"))
    with pytest.raises(errors.UnsupportedError, match=r"'loop' \(Loop\).*its number of steps is computed"):
        converted(counted)


@pytest.mark.parametrize("opset", [9, 21])
@pytest.mark.parametrize("back", [0, 1])
def test_scan(opset: int, back: int) -> None:
    """Along the last axis of x and the first of a constant; what it collects goes to the middle."""
    body = helper.make_graph(
        [
            node("Mul", ["state", "weight"], ["kept"]),
            node("Add", ["kept", "moment"], ["next"]),
            node("Tanh", ["next"], ["shown"]),
        ],
        "body",
        [floats("state", 4, 3), floats("moment", 4, 3), floats("weight")],
        [floats("next", 4, 3), floats("shown", 4, 3)],
    )
    scan = node(
        "Scan",
        ["zero", "x", "weights"],
        ["last", "y"],
        name="scan",
        body=body,
        num_scan_inputs=2,
        scan_input_axes=[2, 0],
        scan_input_directions=[back, 0],
        scan_output_axes=[1],
        scan_output_directions=[1 - back],
    )
    stored = [
        constant("zero", np.zeros((4, 3)), np.float32),
        constant("weights", [0.5, -0.25, 0.75, 0.3, 0.9], np.float32),
    ]
    same(model([scan], [floats("x", 4, 3, 5)], ["last", "y"], stored, opset))


def test_loops_within_loops_and_unknown_operators_within_them() -> None:
    inner = helper.make_graph(
        [
            node("Mul", ["low", "half"], ["lower"]),
            node("Identity", ["going"], ["goes"]),
        ],
        "inner",
        [whole("turn"), truth("going"), floats("low", 4, 3, 5)],
        [truth("goes"), floats("lower", 4, 3, 5)],
        [constant("half", 0.5, np.float32)],
    )
    outer = helper.make_graph(
        [
            node("Loop", ["two", "", "state"], ["less"], body=inner, name="inner"),
            node("Sin", ["less"], ["next"]),
            node("Identity", ["before"], ["after"]),
        ],
        "outer",
        [whole("step"), truth("before"), floats("state", 4, 3, 5)],
        [truth("after"), floats("next", 4, 3, 5)],
        [constant("two", 2)],
    )
    nodes = [node("Loop", ["three", "", "x"], ["y"], body=outer, name="outer")]
    source = model(nodes, [floats("x", 4, 3, 5)], ["y"], [constant("three", 3)])
    same(source)
    outer.node[1].op_type, outer.node[1].domain = "Mystery", "own"
    nodes = [node("Loop", ["three", "", "x"], ["y"], body=outer, name="outer")]
    source = model(nodes, [floats("x", 4, 3, 5)], ["y"], [constant("three", 3)], domain="own")
    with pytest.raises(errors.UnsupportedError, match="3 layers have no counterpart"):
        converted(source)
