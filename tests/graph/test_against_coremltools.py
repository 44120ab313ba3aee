"""The graph against coremltools' own reading of the same files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil.frontend.milproto.load import load as load_program
from coremltools.models.neural_network import quantization_utils

from mlexplorer.formats import load
from tests.formats.models import model_paths

WEIGHT = "CoreML.Specification.WeightParams"


def coremltools_weights(message: Any) -> Iterator[Any]:
    """All WeightParams with values in a message, by the fields that are set."""
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for item in [value] if hasattr(value, "ListFields") else value:
            if field.message_type.full_name != WEIGHT:
                yield from coremltools_weights(item)
            elif item.floatValue or item.float16Value or item.rawValue or item.int8RawValue:
                yield item


def coremltools_layers(network: Any) -> Iterator[Any]:
    for layer in network.layers:
        yield layer
        for inner in (
            layer.branch.ifBranch,
            layer.branch.elseBranch,
            layer.loop.conditionNetwork,
            layer.loop.bodyNetwork,
        ):
            yield from coremltools_layers(inner)


def test_networks_of_the_corpus_against_coremltools(corpus: Path) -> None:
    compared = 0
    for path in model_paths(corpus):
        if path.suffix != ".mlmodel" or path.name.startswith("simple_layer"):
            continue
        reference = ct.utils.load_spec(str(path))
        kind = reference.WhichOneof("Type")
        if not kind.startswith("neuralNetwork"):
            continue
        graph = load(path).graph
        layers = list(coremltools_layers(getattr(reference, kind)))
        assert [(n.name, n.type) for n in graph.nodes] == [(each.name, each.WhichOneof("layer")) for each in layers]
        expected = list(coremltools_weights(getattr(reference, kind)))
        assert len(graph.weights) == len(expected)
        for weight, params in zip(graph.weights, expected, strict=True):
            assert weight.nbytes <= params.ByteSize() <= weight.nbytes + 40
            if params.floatValue:
                assert weight.kind == "float32"
                np.testing.assert_array_equal(weight.array().reshape(-1), np.array(params.floatValue, np.float32))
            elif params.float16Value:
                assert weight.kind == "float16"
                np.testing.assert_array_equal(
                    weight.array().reshape(-1), np.frombuffer(params.float16Value, "<f2").astype(np.float32)
                )
        compared += len(expected)
    assert compared > 1500


def test_quantized_weights_against_coremltools(corpus: Path) -> None:
    path = next(corpus.glob("mlmodel/*/SqueezeNetInt8LUT@694a119.mlmodel"))
    reference = ct.utils.load_spec(str(path))
    weights = {weight.key: weight for weight in load(path).graph.weights}
    for layer in reference.neuralNetworkClassifier.layers:
        if layer.WhichOneof("layer") == "convolution":
            params = layer.convolution
            shape = [params.outputChannels, params.kernelChannels, *params.kernelSize]
            quantization_utils._dequantize_wp(params.weights, shape)
            weight = weights.pop(f"{layer.name}:weights")
            assert (weight.kind, weight.bits, weight.shape, weight.channel_axis) == ("lookup_table", 8, tuple(shape), 0)
            np.testing.assert_array_equal(weight.array().reshape(-1), np.array(params.weights.floatValue, np.float32))
    assert {key.partition(":")[2] for key in weights} == {"bias"}


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_deconvolutions_quantized_by_coremltools(bits: int) -> None:
    values = np.random.default_rng(bits).normal(size=(3, 4, 2, 5)).astype(np.float32)
    builder = ct.models.neural_network.NeuralNetworkBuilder(
        [("x", ct.models.datatypes.Array(3, 8, 9))], [("y", None)], disable_rank5_shape_mapping=True
    )
    builder.add_convolution(
        "up", 3, 4, 2, 5, 1, 1, "valid", 1, values.transpose(2, 3, 0, 1), None, False, True, None, "x", "y"
    )
    layer = builder.spec.neuralNetwork.layers[0]
    quantization_utils._quantize_wp_field(layer.convolution.weights, bits, "_linear_quantization", [3, 4, 2, 5], axis=1)
    weight = load(builder.spec).graph.node("up").weight("weights")
    assert (weight.kind, weight.bits, weight.shape, weight.channel_axis) == ("linear", bits, (3, 4, 2, 5), 1)
    flat, ours = values.transpose(1, 0, 2, 3).reshape(4, -1), weight.array().transpose(1, 0, 2, 3).reshape(4, -1)
    step = (flat.max(1) - flat.min(1)) / (2**bits - 1)
    assert (np.abs(flat - ours).max(1) <= 0.5001 * step).all()


def program_operations(block: Any) -> Iterator[Any]:
    for operation in block.operations:
        if operation.op_type != "const":
            yield operation
        for inner in operation.blocks:
            yield from program_operations(inner)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_programs_of_the_corpus_against_coremltools(corpus: Path) -> None:
    compared = 0
    for name in ("MNIST@c4226d7", "MNIST@f9f1d23", "DTLN_AEC_128_Part1@3d92b67", "DTLN_AEC_128_Part2@a2e9c9a"):
        package = next(corpus.glob(f"mlpackage/*/{name}.mlpackage"))
        reference = load_program(
            ct.utils.load_spec(str(package)),
            specification_version=ct.utils.load_spec(str(package)).specificationVersion,
            file_weights_dir=str(package / "Data/com.apple.CoreML/weights"),
        )
        graph = load(package).graph
        operations = list(program_operations(reference.functions["main"]))
        ours = {node.outputs[0]: node for node in graph.nodes if node.type != "const"}
        assert [ours[op.outputs[0].name].type for op in operations] == [op.op_type for op in operations]
        for operation in operations:
            node = ours[operation.outputs[0].name]
            for weight in node.weights:
                expected = operation.inputs[weight.name].val
                assert weight.kind == expected.dtype.name
                np.testing.assert_array_equal(weight.array(), expected.astype(np.float32))
                compared += 1
            for key, value in node.parameters.items():
                expected = operation.inputs.get(key)
                if expected is not None and getattr(expected, "val", None) is not None:
                    np.testing.assert_array_equal(value, expected.val)
    assert compared > 30
