"""A custom layer's whole way: a Keras file converted, run, compared, quantized, saved, and its class in Swift."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import samples
from mlexplorer.errors import UnsupportedError
from mlexplorer.samples.grid_sampler import grid_sampler, sample
from mlexplorer.swift import swift_source
from mlexplorer.views.graph import node_data

pytest.importorskip("h5py")

FUNCTIONS = {"GridSampler": grid_sampler}
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword")


@pytest.fixture(scope="module")
def digits() -> tuple[list[Image.Image], list[int]]:
    return samples.digits()


@pytest.fixture(scope="module")
def arrays(digits: tuple[list[Image.Image], list[int]]) -> Any:
    """The digits as Keras takes them, [200, 28, 28, 1] in 0..1."""
    return np.stack([np.asarray(picture, np.float32)[..., None] / 255 for picture in digits[0]])


@pytest.fixture(scope="module")
def classifier() -> mle.Model:
    return mle.convert(
        samples.spatial_transformer(),
        custom_conversion_functions=FUNCTIONS,
        image_input_names="image",
        image_scale=1 / 255,
        class_labels=list(range(10)),
    )


@pytest.fixture(scope="module")
def keras_model() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    from mlexplorer.samples import train_spatial_transformer

    known = {"GridSampler": train_spatial_transformer.GridSampler}
    return keras.saving.load_model(samples.spatial_transformer(), custom_objects=known, compile=False)


def of_keras(model: Any, arrays: Any) -> Any:
    return np.asarray(model(arrays, training=False).detach())


def test_the_bundled_files_are_small() -> None:
    assert samples.spatial_transformer().stat().st_size < 400_000
    assert (samples.FOLDER / "digits.png").stat().st_size < 100_000


def test_digits_are_twenty_of_each(digits: tuple[list[Image.Image], list[int]]) -> None:
    pictures, labels = digits
    assert labels == [label for label in range(10) for _ in range(20)]
    assert {(picture.size, picture.mode) for picture in pictures} == {((28, 28), "L")}
    assert len({picture.tobytes() for picture in pictures}) == 200


def test_without_a_function_the_refusal_has_one_to_complete() -> None:
    with pytest.raises(UnsupportedError, match="1 layer has no counterpart in Core ML") as error:
        mle.convert(samples.spatial_transformer())
    text = str(error.value)
    assert "'sampler' (GridSampler)" in text
    assert "'height': layer.configuration['height'],  # 20" in text


def test_the_custom_layer_stands_out(classifier: mle.Model) -> None:
    (layer,) = classifier.graph.custom_layers
    assert (layer.name, dict(layer.custom.parameters)) == ("sampler", {"height": 20, "width": 20})  # type: ignore[union-attr]
    assert ("custom classes", "GridSampler") in classifier._summary()
    assert "<b>sampler</b>" in classifier._html()
    families = {node.name: node_data(node)["family"] for node in classifier.graph.nodes}
    assert [name for name, family in families.items() if family == "custom"] == ["sampler"]


def test_probabilities_are_those_of_keras(arrays: Any, keras_model: Any) -> None:
    converted = mle.convert(samples.spatial_transformer(), custom_conversion_functions=FUNCTIONS)
    results = mle.predict(converted, [{"image": array[None]} for array in arrays])
    ours = np.concatenate([result["digit"] for result in results])
    np.testing.assert_allclose(ours, of_keras(keras_model, arrays), rtol=1e-4, atol=1e-6)


def test_pictures_give_the_labels_of_keras(
    classifier: mle.Model, digits: tuple[list[Image.Image], list[int]], arrays: Any, keras_model: Any
) -> None:
    expected = of_keras(keras_model, arrays)
    results = mle.predict(classifier, digits[0])
    assert [result["classLabel"] for result in results] == expected.argmax(axis=1).tolist()
    ours = [[result["digit"][label] for label in range(10)] for result in results]
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_every_form_of_the_keras_model_converts_to_the_same(tmp_path: Path, keras_model: Any) -> None:
    path = tmp_path / "spatial_transformer.keras"
    keras_model.save(path)
    first, *others = (
        mle.convert(source, custom_conversion_functions=FUNCTIONS).spec
        for source in (samples.spatial_transformer(), path, keras_model)
    )
    assert others == [first, first]


def test_the_network_reads_digits_that_it_was_not_shown(
    classifier: mle.Model, digits: tuple[list[Image.Image], list[int]]
) -> None:
    """And the transformer has its part in it: with theta kept at the identity the digits are much harder."""
    pictures, labels = digits
    comparison = mle.compare(classifier, classifier, pictures, labels=labels, progress=False)
    assert comparison.accuracy is not None
    assert comparison.accuracy > 0.97
    idle = classifier.copy()
    theta = next(layer for layer in idle.spec.neuralNetworkClassifier.layers if layer.name == "theta").innerProduct
    for weight, values in ((theta.weights, np.zeros(6 * 32)), (theta.bias, [1, 0, 0, 0, 1, 0])):
        weight.floatValue[:] = values
    idle_comparison = mle.compare(classifier, idle, pictures, labels=labels, progress=False)
    assert idle_comparison.other_accuracy is not None
    assert idle_comparison.other_accuracy < comparison.accuracy - 0.2


@pytest.mark.parametrize(("bits", "least"), [(8, 0.99), (4, 0.95)])
def test_quantized_copies_agree_on_the_digit(
    classifier: mle.Model, digits: tuple[list[Image.Image], list[int]], bits: int, least: float
) -> None:
    small = mle.quantize(classifier, mle.LookupTable(bits=bits))
    agreement = mle.compare(classifier, small, digits[0], progress=False).top1_agreement
    assert agreement is not None
    assert agreement >= least
    assert small.size < classifier.size * (bits / 32 + 0.12)


def test_one_bit_is_not_enough(classifier: mle.Model, digits: tuple[list[Image.Image], list[int]]) -> None:
    agreement = mle.compare(
        classifier, mle.quantize(classifier, mle.Linear(bits=1)), digits[0], progress=False
    ).top1_agreement
    assert agreement is not None
    assert agreement < 0.6


@pytest.mark.parametrize("bits", [32, 4])
def test_coremltools_reads_what_is_saved(tmp_path: Path, classifier: mle.Model, bits: int) -> None:
    coremltools = pytest.importorskip("coremltools")
    path = tmp_path / "digits.mlmodel"
    mle.save(classifier if bits == 32 else mle.quantize(classifier, mle.LookupTable(bits=bits)), path)
    read = coremltools.models.MLModel(str(path), skip_model_load=True).get_spec()
    (custom,) = [layer.custom for layer in read.neuralNetworkClassifier.layers if layer.WhichOneof("layer") == "custom"]
    assert custom.className == "GridSampler"
    assert {key: value.intValue for key, value in custom.parameters.items()} == {"height": 20, "width": 20}
    assert mle.load(path).graph.custom_layers[0].name == "sampler"


def test_the_class_in_swift_has_a_test_vector(
    classifier: mle.Model, digits: tuple[list[Image.Image], list[int]]
) -> None:
    source = swift_source(classifier, inputs=digits[0][30])
    for line in (
        "@objc(GridSampler)",
        'height = try parameter("height", of: parameters)',
        "// 'sampler': [1, 1, 28, 28] [1, 6] -> [1, 1, 20, 20]",
        "static func largestDifference() throws -> Float {",
    ):
        assert line in source
    blocks = re.findall(r"RecordedArray\(shape: (\[.*?\]), values: \[(.*?)\]\)", source, re.DOTALL)
    image, theta, output = (
        np.array(re.findall(r"[-\d.e]+", values), np.float32).reshape([int(n) for n in re.findall(r"\d+", shape)])
        for shape, values in blocks
    )
    np.testing.assert_allclose(image[0, 0] * 255, np.asarray(digits[0][30]), atol=1e-4)
    np.testing.assert_array_equal(sample(image, theta, 20, 20), output)
    assert np.abs(theta - [1, 0, 0, 0, 1, 0]).max() > 0.1


def test_a_short_training_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """It writes a model that is converted and run, and the sheet that is bundled: its digits do not depend on it."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    from mlexplorer.samples import train_spatial_transformer

    threads = torch.get_num_threads()
    monkeypatch.setattr(train_spatial_transformer, "DISTORTIONS", 1)
    digits, labels, *held_out = train_spatial_transformer.read_digits(0)
    monkeypatch.setattr(train_spatial_transformer, "read_digits", lambda seed: (digits[:256], labels[:256], *held_out))
    options = ["--output", str(tmp_path), "--epochs", "1", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["train_spatial_transformer", *options])
    try:
        train_spatial_transformer.main()
    finally:
        torch.set_num_threads(threads)
    printed = capsys.readouterr().out
    found = re.findall(r"^(with|without) the transformer: held-out accuracy (0\.\d+)$", printed, re.M)
    assert [name for name, _ in found] == ["with", "without"]
    assert all(0.05 < float(accuracy) < 0.9 for _, accuracy in found)
    with Image.open(tmp_path / "digits.png") as sheet, Image.open(samples.FOLDER / "digits.png") as bundled:
        assert np.abs(np.asarray(sheet, float) - np.asarray(bundled, float)).max() <= 1
    model = mle.convert(tmp_path / "spatial_transformer.h5", custom_conversion_functions=FUNCTIONS)
    assert mle.predict(model, np.zeros((1, 28, 28, 1)))["digit"].sum() == pytest.approx(1)


def test_held_out_digits_are_kept_apart() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    pytest.importorskip("sklearn")
    from mlexplorer.samples.train_spatial_transformer import HELD_OUT, read_digits

    digits, labels, held_out, held_out_labels = read_digits(0)
    assert (len(digits), len(labels), len(held_out), len(held_out_labels)) == (1437, 1437, HELD_OUT, HELD_OUT)
    assert {digit.tobytes() for digit in digits}.isdisjoint(digit.tobytes() for digit in held_out)
    assert np.bincount(held_out_labels).min() >= 20
