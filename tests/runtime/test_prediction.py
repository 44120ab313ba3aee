"""The border of a model: pictures in and out, preprocessing, class labels, array ranks, refused inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, UnsupportedError
from mlexplorer.runtime.images import open_picture, picture_paths
from mlexplorer.spec.weight_params import write_floats
from tests.runtime.networks import add, array_features, network, run

RNG = np.random.default_rng(11)
COLOR_SPACES = {"GRAYSCALE": 10, "RGB": 20, "BGR": 30}
WIDTH, HEIGHT = 7, 5


def picture_model(color_space: str, *, exact: bool = False, output: bool = True) -> tuple[Any, Any]:
    """A network: image [7x5] -> doubled -> image or array "y"."""
    model = spec.Model(specificationVersion=4)
    image = model.description.input.add(name="image").type.imageType
    image.width, image.height, image.colorSpace = WIDTH, HEIGHT, COLOR_SPACES[color_space]
    if output:
        model.description.output.add(name="y").type.imageType.CopyFrom(image)
    else:
        array_features(model.description.output, {"y": ()})
    model.neuralNetwork.imageInputShapeMapping = int(exact)
    model.neuralNetwork.arrayInputShapeMapping = int(exact)
    add(model.neuralNetwork, "activation", "image", "y", linear={"alpha": 2.0, "beta": -10.25})
    return model, model.neuralNetwork


def random_picture(color_space: str) -> Any:
    shape = (HEIGHT, WIDTH) if color_space == "GRAYSCALE" else (HEIGHT, WIDTH, 3)
    return RNG.integers(0, 256, shape).astype(np.uint8)


@pytest.mark.parametrize("color_space", COLOR_SPACES)
def test_a_picture_comes_back_clamped_and_rounded_in_its_own_colours(color_space: str) -> None:
    pixels = random_picture(color_space)
    model, _ = picture_model(color_space)
    result = mle.predict(mle.load(model), {"image": Image.fromarray(pixels)})["y"]
    expected = np.clip(np.rint(pixels * 2.0 - 10.25), 0, 255)
    np.testing.assert_array_equal(np.asarray(result), expected)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("color_space", COLOR_SPACES)
def test_the_scaler_multiplies_then_adds_the_bias_of_each_plane(color_space: str, exact: bool) -> None:
    pixels = random_picture(color_space)
    model, net = picture_model(color_space, exact=exact, output=False)
    scaler = net.preprocessing.add(featureName="image").scaler
    scaler.channelScale, scaler.redBias, scaler.greenBias, scaler.blueBias, scaler.grayBias = 0.5, 1, 2, 3, 4
    (y,) = run(model, {"image": Image.fromarray(pixels)}, ["y"])
    planes = pixels[None] if color_space == "GRAYSCALE" else pixels.transpose(2, 0, 1)
    bias = np.array([4.0]) if color_space == "GRAYSCALE" else np.array([1.0, 2.0, 3.0])
    expected = 2 * (planes * 0.5 + bias[:, None, None]) - 10.25
    if color_space == "BGR":
        expected = expected[::-1]
    assert y.shape == ((1, *expected.shape) if exact else (1, 1, *expected.shape))
    np.testing.assert_allclose(y.reshape(expected.shape), expected, rtol=1e-6)


def test_a_mean_image_is_subtracted() -> None:
    pixels = random_picture("RGB")
    mean = RNG.normal(100, 30, (3, HEIGHT, WIDTH)).astype(np.float32)
    model, net = picture_model("RGB", output=False)
    write_floats(net.preprocessing.add().meanImage, mean.reshape(-1), "meanImage")
    (y,) = run(model, {"image": pixels}, ["y"])
    np.testing.assert_allclose(y[0, 0], 2 * (pixels.transpose(2, 0, 1) - mean) - 10.25, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("labels", [["cat", "dog", "emu"], [7, 8, 9]])
def test_a_classifier_gives_its_label_and_all_probabilities(labels: list[Any]) -> None:
    model = spec.Model(specificationVersion=1)
    array_features(model.description.input, {"x": (3,)})
    model.description.predictedFeatureName = "label"
    model.description.predictedProbabilitiesName = "chances"
    label = model.description.output.add(name="label").type
    chances = model.description.output.add(name="chances").type.dictionaryType
    classifier = model.neuralNetworkClassifier
    if isinstance(labels[0], str):
        label.stringType.SetInParent()
        chances.stringKeyType.SetInParent()
        classifier.stringClassLabels.vector.extend(labels)
    else:
        label.int64Type.SetInParent()
        chances.int64KeyType.SetInParent()
        classifier.int64ClassLabels.vector.extend(labels)
    add(classifier, "softmax", "x", "p")
    x = np.array([0.5, 2.0, -1.0])
    result = mle.predict(mle.load(model), {"x": x})
    assert result["label"] == labels[1]
    np.testing.assert_allclose(list(result["chances"].values()), np.exp(x) / np.exp(x).sum(), rtol=1e-5)
    assert list(result["chances"]) == labels


@pytest.mark.parametrize(
    ("shape", "rank5"),
    [((4,), (1, 1, 4, 1, 1)), ((4, 3, 2), (1, 1, 4, 3, 2)), ((6, 5, 4, 3, 2), (6, 5, 4, 3, 2))],
)
def test_the_legacy_mapping_makes_rank_5(shape: tuple[int, ...], rank5: tuple[int, ...]) -> None:
    model, net = network({"x": shape}, ["y"], exact=False)
    add(net, "activation", "x", "y", ReLU={})
    x = RNG.normal(size=shape).astype(np.float32)
    (blob,) = run(model, {"x": x}, ["y"])
    np.testing.assert_array_equal(blob, np.maximum(x, 0).reshape(rank5))
    np.testing.assert_array_equal(mle.predict(mle.load(model), {"x": x})["y"], np.maximum(x, 0))


def test_an_optional_input_takes_its_default() -> None:
    model, net = network({"x": (2, 3), "offset": (2, 3)}, ["y"])
    model.description.input[1].type.isOptional = True
    model.description.input[1].type.multiArrayType.floatDefaultValue = 4.0
    add(net, "addBroadcastable", "x offset", "y")
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_allclose(run(model, {"x": x}, ["y"])[0], x + 4)


def test_inputs_that_do_not_fit_say_which_what_was_expected_and_what_was_given() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "activation", "x", "y", ReLU={})
    loaded = mle.load(model)
    with pytest.raises(InputError, match=r"no input 'z'; its inputs are 'x'"):
        mle.predict(loaded, {"z": np.ones((2, 3))})
    with pytest.raises(InputError, match=r"'x' is missing"):
        mle.predict(loaded, {})
    with pytest.raises(InputError, match=r"'x' takes an array of shape 2 x 3, not \[3, 2\]"):
        mle.predict(loaded, {"x": np.ones((3, 2))})
    with pytest.raises(InputError, match=r"'x' takes an array of numbers"):
        mle.predict(loaded, {"x": "seven"})
    picture, _ = picture_model("RGB")
    with pytest.raises(InputError, match=r"'image' takes pictures of 7 x 5 pixels, not 8x5"):
        mle.predict(mle.load(picture), {"image": Image.new("RGB", (8, 5))})
    with pytest.raises(InputError, match=r"'image' is a picture"):
        mle.predict(mle.load(picture), {"image": 3})


def test_a_model_of_another_kind_is_refused_by_name() -> None:
    model = spec.Model(specificationVersion=1)
    model.textClassifier.revision = 1
    with pytest.raises(UnsupportedError, match="textClassifier"):
        mle.predict(mle.load(model), {})


def test_pictures_are_upright_and_unreadable_ones_are_named(tmp_path: Path) -> None:
    image = Image.fromarray(random_picture("RGB"))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees to see it upright
    image.save(tmp_path / "a turned.jpg", exif=exif)
    (tmp_path / "b broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing more")
    (tmp_path / "notes.txt").write_text("no picture")
    turned, broken = picture_paths(tmp_path)
    assert open_picture(turned).size == (HEIGHT, WIDTH)
    with pytest.raises(InputError, match=r"b broken\.png"):
        open_picture(broken)
    with pytest.raises(InputError, match="no such picture"):
        open_picture(tmp_path / "absent.png")
    (tmp_path / "within" / ".hidden").mkdir(parents=True)
    for name in ("c.png", ".hidden/d.png"):
        image.save(tmp_path / "within" / name)
    (tmp_path / "within" / "again").symlink_to(tmp_path)
    assert [path.name for path in picture_paths(tmp_path)] == ["a turned.jpg", "b broken.png", "c.png"]
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no pictures in this folder"):
        picture_paths(empty)
