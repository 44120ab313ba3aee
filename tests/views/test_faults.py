"""Models and pictures that are broken or odd: the explorer opens, says what is wrong, and shows what there is."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import MlexplorerError
from mlexplorer.runtime.images import open_picture
from mlexplorer.views.explorer import Explorer
from tests.painter import deep_painter, photo

SECONDS = 60


def changed(change: Callable[[Any], None], name: str) -> mle.Model:
    """The three convolutions of the deep painter, with one of their layers changed."""
    model = spec.Model()
    model.CopyFrom(deep_painter().spec)
    change(next(layer for layer in model.neuralNetwork.layers if layer.name == name))
    return mle.load(model)


def without_type(layer: Any) -> None:
    layer.ClearField("activation")


def does_not_fit(layer: Any) -> None:
    layer.ClearField("activation")
    layer.reshape.targetShape.extend([6, 11, 13])


def too_few_weights(layer: Any) -> None:
    del layer.convolution.weights.floatValue[100:]


def not_a_number(layer: Any) -> None:
    layer.convolution.weights.floatValue[5] = float("nan")


def opened(model: mle.Model, images: Any = None) -> tuple[Explorer, str, str]:
    """An explorer that has done what it can, the state of its progress line and what that says."""
    explorer = mle.explore(model, photo() if images is None else images)
    assert explorer.wait(SECONDS)
    said = next(c for c, _ in reversed(explorer.controls.recorded()) if c["type"] == "progress")
    return explorer, said["state"], said["text"]


def drawn(explorer: Explorer) -> set[str]:
    """The weights of which there are histograms."""
    return {content["key"] for content, _ in explorer.histogram.recorded() if content["type"] == "weight"}


@pytest.mark.parametrize(
    ("change", "name", "words", "saves"),
    [
        (without_type, "paint dry", ["'paint dry'", "unknown"], True),
        (does_not_fit, "paint dry", ["'paint dry'", "reshape", "[1, 1, 6, 11, 13]"], True),
        (too_few_weights, "paint", ["'paint'", "100 values", "432"], False),
        (not_a_number, "paint", ["paint:weights", "1 of 432", "NaN"], False),
    ],
)
def test_a_model_with_a_broken_layer_is_shown_and_the_layer_named(
    tmp_path: Path, change: Callable[[Any], None], name: str, words: list[str], saves: bool
) -> None:
    explorer, state, text = opened(changed(change, name))
    assert state == "failed"
    assert all(word in text for word in words), text
    assert {row.key for row in explorer.results} >= {("linear", 3), ("lookup_table", 8), ("original", 32)}, "sizes"
    assert drawn(explorer) >= {"sketch:weights", "varnish:weights"}
    if saves:
        before, after = (
            {weight.key: weight.count for weight in model.graph.weights}
            for model in (explorer.model, mle.load(explorer.save(tmp_path / "small.mlmodel")))
        )
        assert before == after
    else:
        with pytest.raises(MlexplorerError, match="paint"):
            explorer.save(tmp_path / "small.mlmodel")
        assert list(tmp_path.iterdir()) == []
    explorer.close()


def test_an_original_that_ran_is_shown_where_the_others_cannot_be_made() -> None:
    explorer, state, _ = opened(changed(not_a_number, "paint"))
    assert state == "failed"
    assert [row.scheme for row in explorer.results if row.outputs] == ["original"]
    assert not any(c["type"] == "notice" and c["text"] for c, _ in explorer.preview.recorded())
    explorer.close()


GREY = np.asarray(Image.fromarray(photo(64, 48)).convert("L"))
COLOUR = Image.fromarray(photo(64, 48))


def rotated() -> bytes:
    """A JPEG that says that it is to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(COLOUR, "JPEG", exif=exif, quality=100, subsampling=0)


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "shown"),
    [
        ("one.png", encoded(Image.new("RGB", (1, 1), (200, 10, 30)), "PNG"), np.full((1, 1, 3), (200, 10, 30))),
        ("sixteen.png", encoded(Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"), np.stack([GREY] * 3, -1)),
        ("grey_alpha.png", encoded(Image.fromarray(GREY).convert("LA"), "PNG"), np.stack([GREY] * 3, -1)),
        ("cmyk.jpg", encoded(COLOUR.convert("CMYK"), "JPEG", quality=100, subsampling=0), np.asarray(COLOUR)),
        ("rotated.jpg", rotated(), np.rot90(np.asarray(COLOUR), -1)),
        (
            "moving.png",
            encoded(COLOUR, "PNG", save_all=True, append_images=[COLOUR.rotate(180)]),
            np.asarray(COLOUR),
        ),
    ],
)
def test_odd_pictures_are_shown_as_they_look(tmp_path: Path, name: str, data: bytes, shown: NDArray[Any]) -> None:
    (tmp_path / name).write_bytes(data)
    explorer, state, text = opened(deep_painter(), tmp_path / name)
    assert state == "done", text
    explorer.close()
    given = np.asarray(open_picture(tmp_path / name).convert("RGB")).astype(float)
    assert given.shape == shown.shape
    assert np.abs(given - shown).max() <= (12 if name.endswith("jpg") else 1)


def test_a_picture_that_ends_early_is_named_alone_and_among_others(tmp_path: Path) -> None:
    whole = encoded(COLOUR, "JPEG")
    for name, data in (("a.jpg", whole), ("b.jpg", whole[:-100]), ("c.jpg", whole)):
        (tmp_path / name).write_bytes(data)
    explorer, state, text = opened(deep_painter(), tmp_path / "b.jpg")
    assert (state, "b.jpg" in text, "truncated" in text) == ("failed", True, True)
    explorer.close()
    explorer, state, _ = opened(deep_painter(), tmp_path)
    assert state == "done"
    notice = next(c["text"] for c, _ in explorer.controls.recorded() if c["type"] == "notice")
    assert ("a.jpg" in notice, "b.jpg" in notice, "c.jpg" in notice) == (False, True, False)
    explorer.close()
