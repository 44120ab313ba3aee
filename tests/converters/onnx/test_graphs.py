"""What is about the graph: constants, conditions, functions, names, outputs, pictures, layers of the caller's."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mlexplorer as mle
from mlexplorer import errors
from mlexplorer.converters.source import CustomLayerParams, SourceLayer
from tests.converters.onnx.cases import assert_close, converted, floats, model, predicted, reference

X = np.random.default_rng(2).standard_normal((2, 3, 5)).astype(np.float32)
node = helper.make_node


def constant(name: str, values: Any, dtype: Any = np.int64) -> TensorProto:
    return numpy_helper.from_array(np.asarray(values, dtype), name)


def same(source: onnx.ModelProto, feeds: dict[str, Any] | None = None, **options: Any) -> mle.Model:
    feeds = {"x": X} if feeds is None else feeds
    network = converted(source, **options)
    assert_close(predicted(network, feeds), reference(source, feeds))
    return network


def types(network: mle.Model) -> list[str]:
    return [node.type for node in network.graph.nodes]


def test_computed_shapes_vanish() -> None:
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "one"], ["c"]),
        node("Unsqueeze", ["c", "zero"], ["cs"]),
        node("Mul", ["cs", "two"], ["twice"]),
        node("Div", ["twice", "two"], ["half"]),
        node("Concat", ["minus", "half"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["y"]),
    ]
    stored = [constant("one", 1), constant("zero", [0]), constant("two", [2]), constant("minus", [-1])]
    assert types(same(model(nodes, [floats("x", 2, 3, 5)], ["y"], stored))) == ["reshapeStatic"]


def test_large_constants_are_computed() -> None:
    """More of them in a row than wait for each other, and each of them asked for by two nodes."""
    nodes, name = [], "w"
    for step in range(12):
        nodes += [
            node("Transpose", [name], [f"t{step}"], perm=[1, 0]),
            node("Add", [name, f"t{step}"], [f"sum{step}"]),
            node("Mul", [f"sum{step}", "half"], [f"m{step}"]),
        ]
        name = f"m{step}"
    nodes += [node("MatMul", ["x", name], ["y"]), node("MatMul", ["x", "t0"], ["z"])]
    weights = np.random.default_rng(1).standard_normal((310, 310))
    stored = [constant("w", weights, np.float32), constant("half", 0.5, np.float32)]
    source = model(nodes, [floats("x", 3, 310)], ["y", "z"], stored)
    x = np.random.default_rng(2).standard_normal((3, 310)).astype(np.float32)
    assert types(same(source, {"x": x})) == ["innerProduct", "innerProduct"]


def test_what_nothing_reads_vanishes() -> None:
    nodes = [
        node("Relu", ["x"], ["y"]),
        node("Exp", ["x"], ["dead"]),
        node("NoSuchOperator", ["dead"], ["deader"]),
        node("Shape", ["deader"], ["shape"]),
    ]
    assert types(converted(model(nodes, [floats("x", 2, 3, 5)], ["y"]))) == ["activation"]


def test_first_axis_is_one_where_open() -> None:
    network = converted(model([node("Relu", ["x"], ["y"])], [floats("x", "batch", 3, 5)], ["y"]))
    assert network.inputs[0].shape == (1, 3, 5)


def test_stored_inputs_are_constants() -> None:
    """Files of IR version 3 list their weights as inputs, too."""
    source = model([node("Add", ["x", "w"], ["y"])], [floats("x", 2, 3, 5), floats("w", 5)], ["y"],
                   [constant("w", [1, 2, 3, 4, 5], np.float32)])  # fmt: skip
    source.ir_version = 3
    assert [feature.name for feature in same(source).inputs] == ["x"]


@pytest.mark.parametrize("rank", [2, 3])
def test_condition_of_a_shape_is_decided(rank: int) -> None:
    def branch(name: str, type: str) -> onnx.GraphProto:
        return helper.make_graph([node(type, ["x"], [name])], name, [], [floats(name)])

    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Size", ["shape"], ["rank"]),
        node("Equal", ["rank", "three"], ["is"]),
        node("If", ["is"], ["y"], then_branch=branch("then", "Exp"), else_branch=branch("else", "Neg")),
    ]
    source = model(nodes, [floats("x", *X.shape[:rank])], ["y"], [constant("three", 3)])
    same(source, {"x": X if rank == 3 else X[..., 0]})


def test_several_inputs_and_outputs_with_odd_and_empty_names() -> None:
    def source(unused: str, *names: str) -> onnx.ModelProto:
        nodes = [
            node("Add", ["a b/1:0", "ünï"], ["sum.1"]),
            node("Mul", ["sum.1", "sum.1"], ["square"], name=names[0]),
            node("Split", ["square", "parts"], [unused, "p2"], name=names[1], axis=1),
            node("Split", ["table", "parts"], [unused and "other", "q2"], axis=0),
        ]
        stored = [constant("parts", [1, 2]), constant("table", [5, 6, 7], np.float32)]
        return model(nodes, [floats("a b/1:0", 2, 3, 5), floats("ünï", 5)], ["p2", "sum.1", "square", "q2"], stored)

    feeds = {"a b/1:0": X, "ünï": X[0, 0]}
    network = converted(source("", "twice", "twice"))  # onnxruntime takes neither name
    assert_close(predicted(network, feeds), reference(source("unused", "one", "two"), feeds))


def test_outputs_that_are_inputs_constants_and_each_other() -> None:
    nodes = [
        node("Identity", ["x"], ["same"]),
        node("Identity", ["x"], ["same again"]),
        node("Identity", ["c"], ["constant"]),
        node("Abs", ["x"], ["y"]),
        node("Neg", ["y"], ["z"]),
    ]
    stored = [constant("c", [[1, 2, 3]], np.float32)]
    same(model(nodes, [floats("x", 2, 3, 5)], ["same", "same again", "constant", "y", "z"], stored))


def test_scalars_have_one_element() -> None:
    nodes = [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Mul", ["x", "s"], ["y"])]
    same(model(nodes, [floats("x", 2, 3, 5)], ["y", "s"]))


def test_more_than_five_axes_are_moved_if_they_can_be_fewer() -> None:
    nodes = [
        node("Reshape", ["x", "apart"], ["six"]),
        node("Transpose", ["six"], ["moved"], perm=[0, 1, 4, 2, 5, 3]),
        node("Reshape", ["moved", "together"], ["y"]),
    ]
    stored = [constant("apart", [1, 1, 2, 3, 5, 7]), constant("together", [1, 1, 10, 21])]
    x = np.random.default_rng(1).standard_normal((1, 6, 5, 7)).astype(np.float32)
    same(model(nodes, [floats("x", 1, 6, 5, 7)], ["y"], stored), {"x": x})
    stored = [constant("apart", [2, 3, 2, 5, 2, 7]), constant("together", [-1])]
    with pytest.raises(errors.UnsupportedError, match="6 axes; Core ML has at most 5"):
        converted(model(nodes, [floats("x", 4, 6, 5, 7)], ["y"], stored))


def test_layers_of_more_than_five_axes_are_refused() -> None:
    """Their blobs lack axes of length 1, so nothing else can be computed with them."""
    nodes = [
        node("Unsqueeze", ["x", "axes"], ["six"]),
        node("Add", ["six", "w"], ["sum"]),
        node("Squeeze", ["sum", "axes"], ["y"]),
    ]
    stored = [constant("axes", [0, 2, 3]), constant("w", np.ones((2, 1, 1, 1, 5)), np.float32)]
    with pytest.raises(errors.UnsupportedError, match=r"\(Add\): a tensor of shape \[1, 2, 1, 1, 3, 5\] has 6 axes"):
        converted(model(nodes, [floats("x", 2, 3, 5)], ["y"], stored))


def test_functions_of_the_model_are_written_out() -> None:
    body = helper.make_function(
        "own", "Scaled", ["a"], ["b"],
        [node("LeakyRelu", ["a"], ["t"]), node("Neg", ["t"], ["b"])],
        [helper.make_opsetid("", 21)], ["alpha"],
    )  # fmt: skip
    body.node[0].attribute.append(
        onnx.AttributeProto(name="alpha", ref_attr_name="alpha", type=onnx.AttributeProto.FLOAT)
    )
    nodes = [
        node("Scaled", ["x"], ["y"], domain="own", alpha=0.3),
        node("Scaled", ["y"], ["z"], domain="own", alpha=0.6),
    ]
    source = model(nodes, [floats("x", 2, 3, 5)], ["z"], domain="own")
    source.functions.append(body)
    same(source)


def test_functions_leave_out_what_their_calls_leave_out() -> None:
    body = helper.make_function(
        "own", "Bounded", ["a", "low", "high"], ["b"], [node("Clip", ["a", "low", "high"], ["b"])],
        [helper.make_opsetid("", 21)],
    )  # fmt: skip
    source = model([node("Bounded", ["x", "low"], ["y"], domain="own")], [floats("x", 2, 3, 5)], ["y"],
                   [constant("low", 0.25, np.float32)], domain="own")  # fmt: skip
    source.functions.append(body)
    assert_close(predicted(converted(source), {"x": X}), {"y": np.maximum(X, 0.25)})


def test_sparse_tensors() -> None:
    def source(*shape: int) -> onnx.ModelProto:
        result = model([node("MatMul", ["x", "w"], ["y"])], [floats("x", 2, 3, 5)], ["y"])
        values = constant("w", [1.5, 2.5], np.float32)
        places = constant("places", [3, 14])
        result.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, shape))
        return result

    weights = np.zeros(20, np.float32)
    weights[[3, 14]] = 1.5, 2.5
    assert_close(predicted(converted(source(5, 4)), {"x": X}), {"y": X @ weights.reshape(5, 4)})
    with pytest.raises(errors.ModelError, match="too large"):
        converted(source(5, 2**26))


def test_large_fillings_stay_layers() -> None:
    nodes = [
        node("ConstantOfShape", ["shape"], ["c"], value=constant("v", [0.5], np.float32)),
        node("Add", ["x", "c"], ["y"]),
    ]
    source = model(nodes, [floats("x", 1, 5)], ["y"], [constant("shape", [400, 1])])
    assert types(same(source, {"x": X[:1, 0]})) == ["loadConstantND", "addBroadcastable"]
    source = model(nodes, [floats("x", 1, 5)], ["y"], [constant("shape", [400_000, 1])])
    assert types(same(source, {"x": X[:1, 0]})) == ["fillStatic", "addBroadcastable"]


@pytest.mark.parametrize("output", [1, 2])
def test_outputs_without_a_counterpart_are_refused(output: int) -> None:
    cases = {
        1: ([node("MaxPool", ["x"], ["y", "z"], kernel_shape=[2])], []),
        2: ([node("LayerNormalization", ["x", "w"], ["y", "", "z"])], [constant("w", [1] * 5, np.float32)]),
    }
    nodes, stored = cases[output]
    assert converted(model(nodes, [floats("x", 2, 3, 5)], ["y"], stored))
    with pytest.raises(errors.UnsupportedError, match=f"output 'z' \\(number {output + 1}\\) has no counterpart"):
        converted(model(nodes, [floats("x", 2, 3, 5)], ["z"], stored))


def test_whole_numbers_that_floats_cannot_hold_are_refused() -> None:
    whole = helper.make_tensor_value_info("x", TensorProto.INT64, [3])
    source = model([node("Add", ["x", "c"], ["y"])], [whole], ["y"], [constant("c", [2**24 + 1])])
    with pytest.raises(errors.UnsupportedError, match="whole numbers beyond 16777216"):
        converted(source)


def test_pictures() -> None:
    source = model([node("Mul", ["x", "w"], ["y"])], [floats("x", 1, 3, 5, 7)], ["y"],
                   [constant("w", [[[0.5]], [[0.25]], [[1]]], np.float32)])  # fmt: skip
    network = converted(
        source, image_input_names="x", image_scale=0.5, red_bias=1.0, green_bias=2.0, blue_bias=3.0,
        image_output_names=["y"], image_output_scale=2.0,
    )  # fmt: skip
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    planes = pixels.transpose(2, 0, 1)[None] * np.float32(0.5) + np.float32([1, 2, 3]).reshape(3, 1, 1)
    wanted = np.clip(np.rint(2 * reference(source, {"x": planes})["y"][0]), 0, 255).transpose(1, 2, 0)
    got = np.asarray(mle.predict(network, {"x": pixels})["y"])
    assert got.shape == wanted.shape
    assert np.abs(got.astype(int) - wanted).max() <= 1


def sampled(layer: SourceLayer) -> CustomLayerParams:
    assert layer.configuration == {"mode": "near", "sizes": [4, 7]}
    assert list(layer.input_shapes) == [(2, 3, 5), (2, 3, 5)]
    assert np.array_equal(layer.weights["w"], [1, 2, 3])
    return CustomLayerParams(
        "Sampler", parameters={"mode": "near"}, weights=[layer.weights["w"]], output_shapes=[(2, 4, 7)]
    )


def unknown() -> onnx.ModelProto:
    nodes = [
        node("Relu", ["x"], ["r"]),
        node("Sampler", ["r", "w", "x"], ["s"], name="sample", domain="com.example", mode="near", sizes=[4, 7]),
        node("Neg", ["s"], ["n"]),
        node("Blur", ["n"], ["y"], domain="com.example"),
    ]
    return model(nodes, [floats("x", 2, 3, 5)], ["y"], [constant("w", [1, 2, 3], np.float32)], domain="com.example")


class Sampler:
    def __init__(self, parameters: dict[str, Any]) -> None:
        self.mode = parameters["mode"]

    def set_weights(self, weights: Any) -> None:
        self.offset = float(np.asarray(weights[0]).sum())

    def output_shapes(self, shapes: Any) -> Any:
        return [(2, 4, 7)]

    def evaluate(self, inputs: Any) -> Any:
        return [np.full((2, 4, 7), self.offset + inputs[0].min() + inputs[1].max(), np.float32)]


class Blur:
    def __init__(self, parameters: dict[str, Any]) -> None:
        pass

    def set_weights(self, weights: Any) -> None:
        pass

    def output_shapes(self, shapes: Any) -> Any:
        return shapes

    def evaluate(self, inputs: Any) -> Any:
        return [2 * inputs[0]]


@pytest.mark.parametrize("key", ["sample", "com.example::Sampler"])
def test_custom_layers(key: str) -> None:
    network = converted(unknown(), custom_conversion_functions={key: sampled}, add_custom_layers=True)
    assert types(network) == ["activation", "custom", "activation", "custom"]
    assert network.outputs[0].shape == (2, 4, 7)
    got = mle.predict(network, {"x": X}, custom_layers={"Sampler": Sampler, "Blur": Blur})["y"]
    assert np.allclose(got, np.full((2, 4, 7), -2 * (6 + X.max())), atol=1e-5)


def test_a_function_comes_before_what_is_known() -> None:
    source = model([node("Relu", ["x"], ["y"])], [floats("x", 2, 3, 5)], ["y"])
    network = converted(source, custom_conversion_functions={"Relu": lambda layer: CustomLayerParams("MyRelu")})
    assert network.graph.nodes[0].custom.className == "MyRelu"


def test_unknown_operators_are_refused_together() -> None:
    with pytest.raises(errors.UnsupportedError) as caught:
        converted(unknown())
    text = str(caught.value)
    assert "2 layers have no counterpart" in text
    assert "'sample' (com.example::Sampler); inputs [2, 3, 5], [2, 3, 5]; weights w [3]" in text
    assert "(com.example::Blur); inputs unknown" in text
    assert "def convert_Blur(layer):" in text
    stated = unknown()
    stated.graph.value_info.append(floats("s", 2, 4, 7))
    with pytest.raises(errors.UnsupportedError, match=r"\(com.example::Blur\); inputs \[2, 4, 7\]"):
        converted(stated)


def test_custom_layer_of_several_outputs() -> None:
    nodes = [node("Halves", ["x"], ["a", "b"], domain="own"), node("Add", ["a", "b"], ["y"])]
    source = model(nodes, [floats("x", 2, 3, 5)], ["y"], domain="own")
    functions = {"own::Halves": lambda layer: CustomLayerParams("Halves", output_shapes=[(3, 5), (5,)])}
    network = converted(source, custom_conversion_functions=functions)
    assert network.outputs[0].shape == (3, 5)
