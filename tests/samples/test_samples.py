"""The bundled model and pictures: what they are, and that the scripts beside them make them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mlexplorer as mle
from mlexplorer import samples, spec
from mlexplorer.samples import draw_photos
from mlexplorer.samples.style_network import export, weights_of

BUNDLED = samples.FOLDER / "style_mosaic.mlmodel"


def test_the_bundled_model_is_a_style_network_of_the_classic_size() -> None:
    model = samples.style()
    assert (model.kind, model.size) == ("neuralNetwork", BUNDLED.stat().st_size)
    (image,), (stylized,) = model.inputs, model.outputs
    assert (image.name, image.type, image.color_space) == ("image", "image", "RGB")
    assert (stylized.name, stylized.type, stylized.color_space) == ("stylized", "image", "RGB")
    assert {weight.kind for weight in model.graph.weights} == {"float32"}
    assert sum(weight.count for weight in model.graph.weights) == 1_677_635
    names = [node.name for node in model.graph.nodes]
    assert len(set(names)) == len(names) == 67
    assert {"conv1", "conv3.norm", "residual5.conv2", "residual1.add", "upsample2", "crop", "output.tanh"} <= set(names)


def test_coremltools_reads_the_bundled_model() -> None:
    coremltools = pytest.importorskip("coremltools")
    read = coremltools.models.MLModel(str(BUNDLED), skip_model_load=True).get_spec()
    assert read.SerializeToString(deterministic=True) == BUNDLED.read_bytes()
    assert read.specificationVersion == 3
    for feature in (read.description.input[0], read.description.output[0]):
        image = feature.type.imageType
        assert (image.width, image.height) == (480, 320)
        for side in (image.imageSizeRange.widthRange, image.imageSizeRange.heightRange):
            assert (side.lowerBound, side.upperBound) == (64, 1920)
    metadata = read.description.metadata
    assert (metadata.author, metadata.license) == ("mlexplorer", "MIT")
    assert "mosaic" in metadata.shortDescription


def test_exporting_the_bundled_weights_again_gives_the_same_bytes() -> None:
    data = BUNDLED.read_bytes()
    bundled = spec.Model.FromString(data)
    again = export(weights_of(bundled), bundled.description.metadata.shortDescription)
    assert again.SerializeToString() == data


def test_the_bundled_model_paints_a_picture_in_the_colours_of_the_mosaic() -> None:
    """Leaded glass: the stylized lake has many more dark and many more saturated pixels than the lake."""
    with Image.open(samples.FOLDER / "lake.jpg") as file:
        photo = file.convert("RGB")
    stylized = mle.predict(samples.style(), {"image": photo})["stylized"]
    assert stylized.size == photo.size == (480, 320)
    before, after = np.asarray(photo.convert("HSV"), float), np.asarray(stylized.convert("HSV"), float)
    assert (after[..., 1] > 120).mean() > 1.3 * (before[..., 1] > 120).mean()
    assert np.abs(np.asarray(photo, float) - np.asarray(stylized, float)).mean() > 30


def test_photos_are_pictures_that_show_something() -> None:
    photos = samples.photos()
    assert [path.name for path in photos[-2:]] == ["fruit.jpg", "lake.jpg"]
    for path in photos:
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
            assert picture.size in ((480, 320), (640, 427))
            assert np.asarray(picture).std() > 40
        assert path.stat().st_size < 200_000


def test_photos_of_scikit_learn_come_first() -> None:
    pytest.importorskip("sklearn")
    assert [path.name for path in samples.photos()] == ["china.jpg", "flower.jpg", "fruit.jpg", "lake.jpg"]


@pytest.mark.parametrize("draw", [draw_photos.fruit, draw_photos.lake])
def test_drawing_again_gives_the_bundled_picture(draw: Callable[[np.random.Generator], NDArray[np.float64]]) -> None:
    rng = np.random.default_rng(draw_photos.SEED)
    file = BytesIO()
    draw_photos.finish(draw(rng), rng).save(file, "JPEG", quality=draw_photos.JPEG_QUALITY)
    with Image.open(file) as drawn, Image.open(samples.FOLDER / f"{draw.__name__}.jpg") as bundled:
        assert np.abs(np.asarray(drawn, float) - np.asarray(bundled, float)).mean() < 0.5
