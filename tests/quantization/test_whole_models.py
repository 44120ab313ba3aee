"""Models that coremltools 9.0 breaks or refuses when it quantizes them, run before and after.

Their weights have so few values that tables keep them exactly: what comes out must be exactly what came out before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.quantization import Float16, LookupTable, Plan, Scheme, dequantize, quantize

EVERYTHING = mle.Selection(biases=True, normalization=True)
LOSSLESS = [LookupTable(3), LookupTable(8), Float16()]


def few(*shape: int, seed: int = 0) -> np.ndarray:
    """Quarters from -0.75 to 1, all of them."""
    values = np.random.default_rng(seed).permutation(np.resize(np.arange(-3, 5) / 4, int(np.prod(shape))))
    return values.reshape(shape).astype(np.float32)


def builder(*outputs: str, **options: Any) -> Any:
    from coremltools.models import datatypes
    from coremltools.models.neural_network import NeuralNetworkBuilder

    inputs = [("data", datatypes.Array(5, 8, 9))]
    return NeuralNetworkBuilder(inputs, [(name, None) for name in outputs], disable_rank5_shape_mapping=True, **options)


def add_convolution(network: Any, output: str, *, transposed: bool = False, groups: int = 1, bias: bool = True) -> None:
    outputs = 8 if groups == 1 else 5 * 8
    shape = (3, 2, 5, outputs // groups) if transposed else (3, 2, 5 // groups, outputs)
    network.add_convolution(
        "conv", shape[2], outputs, 3, 2, 1, 1, "valid", groups, few(*shape, seed=1), few(outputs, seed=2), bias,
        input_name="data", output_name=output, is_deconv=transposed,
    )  # fmt: skip


def then_batchnorm(network: Any, size: int) -> None:
    vectors = [few(size, seed=seed) for seed in range(3)]
    network.add_batchnorm(
        "next", size, *vectors, np.abs(few(size, seed=5)) + 0.25, input_name="middle", output_name="out"
    )


def then_scale(network: Any, size: int) -> None:
    network.add_scale("next", few(size, seed=3), few(size, seed=4), True, "middle", "out", [size], [size])


def then_bias(network: Any, size: int) -> None:
    network.add_bias("next", few(size, seed=3), "middle", "out", [size])


@pytest.mark.parametrize("scheme", LOSSLESS, ids=lambda scheme: scheme.label)
@pytest.mark.parametrize("following", [then_batchnorm, then_scale, then_bias])
@pytest.mark.parametrize(
    "convolution",
    [{}, {"bias": False}, {"transposed": True}, {"transposed": True, "groups": 5}, {"groups": 5}],
    ids=str,
)
def test_layers_behind_a_convolution_stay_and_so_do_all_declared_outputs(
    convolution: dict[str, Any], following: Callable[[Any, int], None], scheme: Scheme
) -> None:
    """The peer folds them: it stops at batchnorm below 16 bits, mixes up channels and loses declared outputs."""
    network = builder("middle", "out")
    add_convolution(network, "middle", **convolution)
    following(network, 40 if "groups" in convolution else 8)
    model = mle.load(network.spec)
    small = quantize(model, scheme, select=EVERYTHING)
    assert {weight.kind for weight in small.graph.weights} <= {"lookup_table", "float16"}
    assert [(node.name, node.type, node.outputs) for node in small.graph.nodes] == [
        (node.name, node.type, node.outputs) for node in model.graph.nodes
    ]
    data = {"data": np.random.default_rng(0).normal(size=(5, 8, 9)).astype(np.float32)}
    before, after = mle.predict(model, data), mle.predict(small, data)
    assert set(after) == {"middle", "out"}
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)


def test_channels_of_tiny_weights_keep_their_values() -> None:
    """The peer sets all codes of a channel to 0 where its scale is at most 1e-6."""
    network = builder("out")
    weights = np.random.default_rng(0).normal(size=(3, 2, 5, 8)) * np.float32(10.0) ** -np.arange(8)
    network.add_convolution(
        "conv", 5, 8, 3, 2, 1, 1, "valid", 1, weights.astype(np.float32), None, False,
        input_name="data", output_name="out",
    )  # fmt: skip
    model = mle.load(network.spec)
    data = {"data": np.random.default_rng(1).normal(size=(5, 8, 9)).astype(np.float32)}
    before = mle.predict(model, data)["out"]
    for scheme in (mle.Linear(8), mle.Linear(8, symmetric=True), mle.Linear(8, fit="least_squares")):
        after = mle.predict(quantize(model, scheme, select=EVERYTHING), data)["out"]
        noise = np.abs(after - before).max(axis=(1, 2)) / np.abs(before).max(axis=(1, 2))
        assert noise.shape == (8,)
        assert noise.max() < 0.02


def test_a_table_has_the_shape_that_the_format_wants() -> None:
    """The tables of coremltools' k-means are two-dimensional, which current protobuf refuses."""
    network = builder("middle")
    add_convolution(network, "middle")
    for bits in range(1, 9):
        small = quantize(mle.load(network.spec), LookupTable(bits), select=EVERYTHING)
        for weight in small.graph.weights:
            assert len(weight.params.quantization.lookupTableQuantization.floatValue) == 1 << bits
            assert len(weight.params.rawValue) == (weight.count * bits + 7) // 8


@pytest.mark.parametrize("scheme", [LookupTable(3), Float16()], ids=lambda scheme: scheme.label)
def test_a_classifier_in_a_pipeline_keeps_its_answers(scheme: Scheme) -> None:
    import coremltools

    labels = [f"label {i}" for i in range(8)]
    first, last = builder("middle"), builder("scores", mode="classifier")
    first.add_elementwise("twice", ["data"], "middle", "MULTIPLY", alpha=2)
    add_convolution(last, "features")
    last.add_flatten_to_2d("flat", "features", "flat", axis=0)
    last.add_inner_product("dense", few(8, 8 * 6 * 8, seed=7) / 64, few(8), 8 * 6 * 8, 8, True, "flat", "logits")
    last.add_softmax_nd("softmax", "logits", "scores", axis=1)
    last.set_class_labels(labels, predicted_feature_name="label", prediction_blob="scores")
    last.spec.description.input[0].name = "middle"
    last.spec.neuralNetworkClassifier.layers[0].input[0] = "middle"
    specification = coremltools.proto.Model_pb2.Model(specificationVersion=4)
    specification.description.input.add().CopyFrom(first.spec.description.input[0])
    specification.description.output.extend(last.spec.description.output)
    specification.description.predictedFeatureName = last.spec.description.predictedFeatureName
    specification.description.predictedProbabilitiesName = last.spec.description.predictedProbabilitiesName
    for stage in (first.spec, last.spec):
        specification.pipelineClassifier.pipeline.models.add().CopyFrom(stage)
    model = mle.load(specification)
    small = quantize(model, scheme, select=EVERYTHING)
    assert len(Plan.of(small).schemes) == 4
    data = {"data": np.random.default_rng(3).normal(size=(5, 8, 9)).astype(np.float32)}
    before, after = mle.predict(model, data), mle.predict(small, data)
    assert before["label"] in labels
    assert after == before
    assert mle.predict(dequantize(small), data) == before


def test_nan_weights_are_refused_by_the_name_of_their_layer() -> None:
    network = builder("out")
    add_convolution(network, "middle")
    then_scale(network, 8)
    network.spec.neuralNetwork.layers[1].scale.scale.floatValue[3] = np.nan
    for scheme in (LookupTable(4), mle.Linear(4), mle.Linear(2, fit="least_squares"), Float16()):
        with pytest.raises(mle.errors.QuantizationError, match="next:scale: 1 of 8 values are NaN or infinite"):
            quantize(mle.load(network.spec), scheme, select=EVERYTHING)
