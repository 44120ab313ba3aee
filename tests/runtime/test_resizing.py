"""Pictures in a model's size: which part of them is seen, and where."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlexplorer.errors import InputError
from mlexplorer.model import Feature, SizeRange
from mlexplorer.runtime.resizing import resize

WIDE = Feature("photo", "image", shape=(48, 32), color_space="RGB")


def ramp(width: int, height: int, axis: int) -> Image.Image:
    """A grey picture whose values grow by 2 from column to column (axis 1) or from row to row (axis 0)."""
    values = 2.0 * np.indices((height, width))[axis]
    return Image.fromarray(values.astype(np.uint8))


def places(picture: Image.Image, axis: int) -> Any:
    """The column or row of the ramp that each column or row of a picture shows."""
    return np.asarray(picture, np.float64).mean(axis=1 - axis) / 2


def test_fill_crops_the_middle() -> None:
    seen = places(resize(ramp(100, 20, 1), WIDE, "fill"), 1)
    scale = max(48 / 100, 32 / 20)
    np.testing.assert_allclose(seen, 50 + (np.arange(48) + 0.5 - 24) / scale - 0.5, atol=0.3)
    np.testing.assert_array_equal(seen, places(resize(ramp(100, 20, 1), WIDE), 1))


def test_stretch_shows_all_in_other_proportions() -> None:
    for axis, (side, own) in enumerate([(32, 20), (48, 100)]):
        seen = places(resize(ramp(100, 20, axis), WIDE, "stretch"), axis)
        np.testing.assert_allclose(seen[2:-2], (np.arange(side)[2:-2] + 0.5) * own / side - 0.5, atol=0.3)


def test_fit_shows_all_between_black_bars() -> None:
    picture = Image.new("RGB", (100, 20), (200, 100, 50))
    fitted = np.asarray(resize(picture, WIDE, "fit"))
    high = round(20 * min(48 / 100, 32 / 20))
    top = (32 - high) // 2
    assert not fitted[:top].any()
    assert not fitted[top + high :].any()
    assert (fitted[top : top + high] == (200, 100, 50)).all()
    seen = places(resize(ramp(100, 20, 1), WIDE, "fit").crop((0, top, 48, top + high)), 1)
    np.testing.assert_allclose(seen[2:-2], ((np.arange(48) + 0.5) * 100 / 48 - 0.5)[2:-2], atol=0.3)
    narrow = np.asarray(resize(Image.new("L", (1, 5000), 255), WIDE, "fit"))
    assert narrow[:, 23].min() == 255
    assert narrow.sum() == 255 * 32


@pytest.mark.parametrize("how", ["fill", "fit", "stretch"])
def test_sizes_are_those_that_the_input_accepts(how: Any) -> None:
    flexible = Feature("photo", "image", shape=(48, 32), flexible=(SizeRange(16, 640), SizeRange(16, None)))
    listed = Feature("photo", "image", shape=(48, 32), flexible=((30, 20), (20, 30)))
    for feature, given, expected in [
        (WIDE, (48, 32), (48, 32)),
        (WIDE, (31, 57), (48, 32)),
        (flexible, (960, 640), (480, 320)),
        (flexible, (300, 9), (300, 16)),
        (listed, (200, 310), (20, 30)),
    ]:
        assert resize(Image.new("RGB", given), feature, how).size == expected


def test_palettes_are_mixed_as_colours_and_transparency_does_not_tint() -> None:
    stripes = Image.fromarray((np.indices((64, 96))[1] % 2).astype(np.uint8)).convert("P")
    stripes.putpalette([255, 0, 0, 0, 0, 255])
    mixed = np.asarray(resize(stripes, WIDE, "stretch").convert("RGB"), np.float64)
    np.testing.assert_allclose(mixed[4:-4, 4:-4].mean(axis=(0, 1)), [127.5, 0, 127.5], atol=2)
    clear = Image.new("RGBA", (96, 64), (200, 100, 50, 0))
    assert np.asarray(resize(clear, WIDE).convert("RGB"))[16, 24].tolist() == [200, 100, 50]


def test_other_words_are_refused() -> None:
    with pytest.raises(InputError, match="'fill', 'fit', 'stretch', not 'crop'"):
        resize(Image.new("RGB", (9, 7)), WIDE, "crop")  # type: ignore[arg-type]
