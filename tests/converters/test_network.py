"""The builder against coremltools' own, layer message by layer message, and against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import pytest
from coremltools.models import datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from PIL import Image

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError
from tests.layers.arrays import normal

KERNEL, MATRIX = normal(5, 3, 2, 4), normal(7, 6)


def theirs(add: Callable[[NeuralNetworkBuilder], Any]) -> Any:
    """The layer that coremltools' builder writes, as one of our messages."""
    features = [("x", datatypes.Array(1, 3, 8, 9))]
    builder = NeuralNetworkBuilder(features, [("y", None)], disable_rank5_shape_mapping=True)
    add(builder)
    layer = spec.NeuralNetworkLayer.FromString(builder.spec.neuralNetwork.layers[0].SerializeToString())
    layer.ClearField("inputTensor")  # ranks, which only coremltools reads
    layer.ClearField("outputTensor")
    return layer


def ours(type: str, /, **fields: Any) -> Any:
    network = mle.NetworkBuilder()
    x = network.array_input("x", [1, 3, 8, 9])
    network.output(network.add(type, x, name="layer", outputs=["y"], **fields)[0])
    return network.model().spec.neuralNetwork.layers[0]


@pytest.mark.parametrize(
    ("layer", "add"),
    [
        (
            lambda: ours(
                "convolution",
                outputChannels=5,
                kernelChannels=3,
                nGroups=1,
                kernelSize=[2, 4],
                stride=[2, 1],
                dilationFactor=[1, 3],
                same={"asymmetryMode": "BOTTOM_RIGHT_HEAVY"},
                weights=KERNEL,
                hasBias=True,
                bias=normal(5),
            ),
            lambda b: b.add_convolution(
                *("layer", 3, 5, 2, 4, 2, 1, "same", 1),
                *(KERNEL.transpose(2, 3, 1, 0), normal(5), True),
                input_name="x",
                output_name="y",
                dilation_factors=[1, 3],
            ),
        ),
        (
            lambda: ours("innerProduct", inputChannels=6, outputChannels=7, weights=MATRIX),
            lambda b: b.add_inner_product("layer", MATRIX, None, 6, 7, False, "x", "y"),
        ),
        (
            lambda: ours("activation", leakyReLU={"alpha": 0.3}),
            lambda b: b.add_activation("layer", "LEAKYRELU", "x", "y", [0.3]),
        ),
        (lambda: ours("activation", ReLU={}), lambda b: b.add_activation("layer", "RELU", "x", "y")),
        (
            lambda: ours(
                "pooling",
                type="AVERAGE",
                kernelSize=[2, 3],
                stride=[1, 2],
                avgPoolExcludePadding=True,
                valid={"paddingAmounts": {"borderAmounts": [{}, {}]}},
            ),
            lambda b: b.add_pooling("layer", 2, 3, 1, 2, "AVERAGE", "VALID", "x", "y", exclude_pad_area=True),
        ),
        (
            lambda: ours("loadConstantND", shape=[2, 3], data=normal(2, 3)),
            lambda b: b.add_load_constant_nd("layer", "y", normal(2, 3), [2, 3]),
        ),
    ],
    ids=["convolution", "innerProduct", "leakyReLU", "ReLU", "pooling", "loadConstantND"],
)
def test_layers_are_those_that_coremltools_writes(layer: Callable[[], Any], add: Callable[[Any], Any]) -> None:
    made, wanted = layer(), theirs(add)
    if not wanted.input:
        made.ClearField("input")
    assert made == wanted


def test_half_weights_and_lists_of_weights_are_written_as_they_are() -> None:
    half = normal(7, 6).astype(np.float16)
    params = ours("innerProduct", inputChannels=6, outputChannels=7, weights=half).innerProduct
    assert np.array_equal(np.frombuffer(params.weights.float16Value, "<f2"), half.reshape(-1))
    both = {"inputGateWeightMatrix": normal(2, 3), "inputGateBiasVector": normal(2)}
    lstm = ours("biDirectionalLSTM", weightParams=[both, {"inputGateBiasVector": normal(2, seed=4)}]).biDirectionalLSTM
    assert np.allclose(lstm.weightParams[0].inputGateWeightMatrix.floatValue, normal(2, 3).reshape(-1))
    assert np.allclose(lstm.weightParams[1].inputGateBiasVector.floatValue, normal(2, seed=4))


def teacher() -> tuple[mle.Model, Any]:
    """A network of three layers, and its formula."""
    weights, bias = normal(3, 35), normal(3, seed=2)
    network = mle.NetworkBuilder(class_labels=["cat", "dog", "owl"])
    x = network.image_input("image", width=5, height=7, color_space="GRAYSCALE", scale=1 / 255, bias=-0.5)
    x = network.add("reshapeStatic", x, targetShape=[1, 35])
    x = network.add("innerProduct", x, inputChannels=35, outputChannels=3, weights=weights, hasBias=True, bias=bias)
    x = network.add("softmaxND", x, axis=-1)
    network.output(x, "probabilities")

    def formula(pixels: Any) -> Any:
        scores = np.exp(weights @ (pixels.reshape(-1) / 255 - 0.5) + bias)
        return scores / scores.sum()

    return network.model(author="A teacher", license="MIT", short_description="Three layers"), formula


def test_a_network_by_hand(tmp_path: Path) -> None:
    model, formula = teacher()
    pixels = np.random.default_rng(1).integers(0, 256, (7, 5)).astype(np.uint8)
    found = mle.predict(model, {"image": Image.fromarray(pixels)})
    wanted = formula(pixels)
    assert np.allclose(list(found["probabilities"].values()), wanted, atol=1e-5)
    assert found["classLabel"] == ["cat", "dog", "owl"][int(wanted.argmax())]
    mle.save(model, tmp_path / "teacher.mlmodel")
    read = coremltools.utils.load_spec(str(tmp_path / "teacher.mlmodel"))
    assert read.description.metadata.author == "A teacher"
    assert read.description.predictedFeatureName == "classLabel"
    assert list(read.neuralNetworkClassifier.stringClassLabels.vector) == ["cat", "dog", "owl"]
    assert read.specificationVersion == 4


def test_outputs_get_their_names_whatever_the_blobs_are_called() -> None:
    network = mle.NetworkBuilder()
    x = network.array_input("x", [2, 3])
    y = network.add("unary", x, name="y", type="EXP")
    z = network.add("unary", y, name="z", type="ABS", scale=-2.0)
    network.output(z, "y")
    network.output(y, "z")
    network.output(x, "same")
    network.output(y, "again")
    values = normal(2, 3)
    found = mle.predict(network.model(), {"x": values})
    assert np.allclose(found["z"], np.exp(values))
    assert np.allclose(found["again"], np.exp(values))
    assert np.allclose(found["y"], 2 * np.exp(values))
    assert np.array_equal(found["same"], values)


def test_newer_layers_and_options_ask_for_a_newer_version() -> None:
    def version(type: str, /, *, inputs: int = 1, **fields: Any) -> int:
        network = mle.NetworkBuilder()
        x = network.array_input("x", [1, 4, 2, 3])
        network.output(network.add(type, *[x] * inputs, **fields))
        return int(network.model().spec.specificationVersion)

    assert version("activation", ReLU={}) == 4
    assert version("clampedReLU", beta=6.0) == 5
    assert version("reorganizeData", mode="DEPTH_TO_SPACE", blockSize=2) == 4
    assert version("reorganizeData", mode="PIXEL_SHUFFLE", blockSize=2) == 5
    assert version("concatND", inputs=2, axis=1) == 4
    assert version("concatND", inputs=2, axis=1, interleave=True) == 5
    assert version("upsample", scalingFactor=[2, 2]) == 4
    assert version("upsample", fractionalScalingFactor=[1.5, 2]) == 5


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda n: n.add("convolutoin", "x"), "no layer type 'convolutoin'"),
        (lambda n: n.add("name", "x"), "no layer type 'name'"),
        (lambda n: n.add("innerProduct", "y"), "reads 'y', which no input or layer gives"),
        (lambda n: n.add("innerProduct", "x", weigths=MATRIX), "has no field 'weigths'; it has bias"),
        (lambda n: n.add("innerProduct", "x", weights="big"), "WeightParams|weights"),
        (lambda n: n.add("pooling", "x", type="MEDIAN"), "cannot be 'MEDIAN'; it may be MAX, AVERAGE, L2"),
        (lambda n: n.add("innerProduct", "x", inputChannels=-3), "inputChannels cannot be -3"),
        (lambda n: n.add("innerProduct", "x", inputChannels="many"), "inputChannels cannot be 'many'"),
        (lambda n: n.add("unary", "x", outputs=["x"], type="EXP"), "gives ..x.., which others give already"),
        (lambda n: n.array_input("x", [1]), "an input cannot be named 'x'"),
        (lambda n: n.image_input("p", width=2, height=3, color_space="CMYK"), "may be RGB, BGR, GRAYSCALE"),
        (lambda n: n.image_input("p", width=2, height=3, bias=[1, 2]), "bias has 2 numbers"),
        (lambda n: n.output("q"), "the blob 'q', which no input or layer gives"),
        (lambda n: n.output("x"), "there is an input or output 'x' already"),
        (lambda n: n.model(), "no output"),
        (
            lambda n: n.custom(mle.CustomLayerParams("C", parameters={"size": [1]}), "x"),
            "parameter 'size' of custom class 'C' is a list",
        ),
    ],
)
def test_refused(wrong: Callable[[Any], Any], message: str) -> None:
    network = mle.NetworkBuilder()
    x = network.array_input("x", [1, 3, 8, 9])
    with pytest.raises(InputError, match=message):
        wrong(network)
    network.output(network.add("unary", x, type="ABS"), "y")  # the builder goes on
    assert len(network.model().spec.neuralNetwork.layers) == 1


@pytest.mark.parametrize(
    ("labels", "message"),
    [(["a", "a"], "different"), ([], "there must be some"), (["a", 1], "all texts or all whole numbers")],
)
def test_labels_that_make_no_sense_are_refused(labels: list[Any], message: str) -> None:
    network = mle.NetworkBuilder(class_labels=labels)
    network.output(network.add("softmaxND", network.array_input("x", [1, 2]), axis=-1), "y")
    with pytest.raises(InputError, match=message):
        network.model()
