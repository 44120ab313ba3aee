"""Pictures from files, PIL images and arrays, of every depth and kind, as the planes that a network sees."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import InputError, UnsupportedError
from mlexplorer.runtime.images import open_picture, to_array, to_picture

WIDTH, HEIGHT = 4, 3
PIXELS = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
GREY = np.random.default_rng(6).integers(0, 256, (HEIGHT, WIDTH), np.uint8)


def feature(color_space: str | None) -> mle.Feature:
    return mle.Feature("image", "image", (WIDTH, HEIGHT), color_space=color_space)


def test_planes_stand_in_the_order_of_the_color_space() -> None:
    picture = Image.fromarray(PIXELS)
    red, green, blue = PIXELS.transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_array_equal(to_array(picture, feature("RGB")), [red, green, blue])
    np.testing.assert_array_equal(to_array(picture, feature("BGR")), [blue, green, red])
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
    np.testing.assert_allclose(to_array(picture, feature("GRAYSCALE")), [luma], atol=1)
    for color_space in ("RGB", "BGR"):
        planes = to_array(picture, feature(color_space))
        np.testing.assert_array_equal(np.asarray(to_picture(planes, feature(color_space))), PIXELS)


ALPHA = np.arange(WIDTH * HEIGHT, dtype=np.uint8).reshape(HEIGHT, WIDTH, 1) * 20


@pytest.mark.parametrize(
    ("picture", "expected"),
    [
        (Image.fromarray(np.concatenate([PIXELS, ALPHA], axis=2)), PIXELS),  # transparent pixels keep their colour
        (Image.fromarray(GREY), np.repeat(GREY[..., None], 3, axis=2)),
        (Image.fromarray(GREY % 2 == 0), np.repeat(GREY[..., None] % 2 == 0, 3, axis=2) * 255),
        (Image.fromarray(GREY.astype(np.uint16) * 257), np.repeat(GREY[..., None], 3, axis=2)),
        (Image.fromarray(GREY.astype(np.int32) * 257), np.repeat(GREY[..., None], 3, axis=2)),
        (Image.fromarray(GREY.astype(np.int32)), np.repeat(GREY[..., None], 3, axis=2)),
        (Image.fromarray(GREY + np.float32(0.4)), np.repeat(GREY[..., None], 3, axis=2)),
        (Image.fromarray(PIXELS).quantize(12), PIXELS),
        (Image.fromarray(255 - np.concatenate([PIXELS, 0 * ALPHA + 255], axis=2), "CMYK"), PIXELS),
    ],
    ids=["alpha", "grey", "1-bit", "16-bit", "32-bit", "32-bit of 8", "float", "palette", "CMYK"],
)
@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
def test_every_kind_of_picture_becomes_three_planes(tmp_path: Path, picture: Image.Image, expected: Any) -> None:
    given = [picture]
    if picture.mode not in ("F", "CMYK", "I"):  # which no PNG holds
        picture.save(tmp_path / "picture.png")
        given += [open_picture(tmp_path / "picture.png"), open_picture(str(tmp_path / "picture.png"))]
    for one in given:
        planes = to_array(open_picture(one), feature("RGB"))
        np.testing.assert_array_equal(planes.transpose(1, 2, 0), expected)


def test_half_precision_pictures_keep_their_fractions() -> None:
    values = np.array([[-1.5, 0.1, 300.25, 1e6]], np.float32)
    with np.errstate(over="ignore"):
        expected = values.astype(np.float16)
    planes = to_array(open_picture(Image.fromarray(values)), feature("GRAYSCALE_FLOAT16"))
    np.testing.assert_array_equal(planes, expected[None])
    np.testing.assert_array_equal(np.asarray(to_picture(values[None], feature("GRAYSCALE_FLOAT16"))), values)


@pytest.mark.parametrize(
    "array",
    [PIXELS, PIXELS.astype(np.float64) + 0.3, PIXELS.astype(np.int64), GREY, GREY[..., None], GREY.astype(np.uint16)],
    ids=["bytes", "floats", "integers", "grey", "one channel", "16-bit of 8"],
)
def test_arrays_are_pictures(array: Any) -> None:
    expected = PIXELS if array.shape[-1] == 3 else GREY
    np.testing.assert_array_equal(np.asarray(open_picture(array)), expected)


def test_what_a_network_writes_is_clamped_and_rounded() -> None:
    values = np.array([-7.0, 0.5, 1.5, 254.6, 400.0, np.nan, np.inf, -np.inf]).reshape(1, 1, 2, 4)
    result = np.asarray(to_picture(values, feature("GRAYSCALE")))
    np.testing.assert_array_equal(result, [[0, 0, 2, 255], [255, 0, 255, 0]])


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4, 2)), r"shape \[3, 4, 2\] is not a picture"),
        (np.zeros((0, 4, 3)), r"shape \[0, 4, 3\] is not a picture"),
        (np.zeros(5), r"shape \[5\] is not a picture"),
        (np.full((3, 4), np.nan), "not finite"),
        (np.full((3, 4), 300, np.uint16), "16-bit values.*divide by 257"),
        (np.full((3, 4), "red"), "array of <U3 is not a picture"),
        (np.zeros((3, 4), complex), "array of complex128 is not a picture"),
    ],
)
def test_arrays_that_are_no_picture_are_refused(array: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_picture(array)


def test_pictures_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(file, "PNG")
    whole, cut = tmp_path / "whole.png", tmp_path / "cut.png"
    whole.write_bytes(file.getvalue())
    cut.write_bytes(file.getvalue()[:3000])
    with pytest.raises(InputError, match=r"cut\.png: not a picture that can be read"):
        open_picture(cut)
    with Image.open(cut) as lazy, pytest.raises(InputError, match=r"cut\.png: not a picture that can be read"):
        open_picture(lazy)
    with Image.open(whole) as closed:
        pass
    assert open_picture(whole).size == (64, 64)
    for unreadable in (closed, cut):
        with pytest.raises(InputError):
            open_picture(unreadable)


def test_what_has_no_color_space_or_no_colours_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="input 'image': color space None"):
        to_array(Image.fromarray(PIXELS), feature(None))
    with pytest.raises(InputError, match="input 'image' takes no picture of mode La"):
        to_array(Image.new("La", (WIDTH, HEIGHT)), feature("RGB"))
    for shape in ((2, HEIGHT, WIDTH), (3, WIDTH), (3, 0, WIDTH)):
        with pytest.raises(UnsupportedError, match=r"output 'image' has shape .* is no RGB picture"):
            to_picture(np.zeros(shape), feature("RGB"))
