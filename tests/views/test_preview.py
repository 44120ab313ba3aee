from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mlexplorer.exploration import Row
from mlexplorer.exploration import rows as every_row
from mlexplorer.views.preview import Preview, preview_data, webp
from tests.painter import painter, photo
from tests.views.page import Page


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def test_pictures_are_sent_as_webp_that_looks_the_same() -> None:
    picture = photo(60, 40)
    content, (file,) = preview_data(Row("linear", 4, 10, "full", 0, "PSNR", 30.0, picture))
    assert (content["shows"], content["width"], content["height"]) == ("picture", 60, 40)
    error = np.mean((decoded(file).astype(float) - picture) ** 2)
    assert 10 * np.log10(255**2 / error) > 38
    assert file[:4] == b"RIFF"
    assert file[8:12] == b"WEBP"


def test_greys_become_colours() -> None:
    grey = photo(20, 12)[..., 0]
    assert decoded(webp(grey)).shape == (12, 20, 3)


def test_labels_and_arrays_are_sent_as_they_are() -> None:
    content, buffers = preview_data(Row("linear", 4, 10, "full", 0, "SNR", 9.0, (("tea", 0.75), (3, 0.25))))
    assert content["labels"] == [["tea", 0.75], ["3", 0.25]]
    assert buffers == []
    values = np.linspace(-2, 6, 21).reshape(3, 7)
    content, (data,) = preview_data(Row("linear", 4, 10, "full", 0, "SNR", 9.0, values))
    assert content["shape"] == [3, 7]
    assert (content["min"], content["mean"], content["max"]) == pytest.approx((-2, 2, 6))
    np.testing.assert_allclose(np.frombuffer(data, "<f4"), values.reshape(-1), rtol=1e-6)


def test_long_and_broken_arrays_stay_small_and_valid() -> None:
    content, (data,) = preview_data(Row("linear", 1, 10, "full", 0, "SNR", 0.0, np.full(100_000, np.nan)))
    assert len(data) == 4 * 240
    assert content["mean"] is None


def test_a_full_picture_takes_the_place_of_a_coarse_one() -> None:
    preview = Preview(every_row(painter(), photo(), bits=[3]))
    page = Page(preview)
    page.say(type="ready")
    stages = [(content["scheme"], content["stage"]) for content, _ in page.received]
    assert stages == [("original", "full"), ("linear", "full"), ("lookup_table", "full")]


def test_inputs_are_offered_as_thumbnails() -> None:
    preview = Preview()
    page = Page(preview)
    preview.offer([("meadow", Image.fromarray(photo(640, 320))), ("noise", np.zeros(5))])
    (content,) = page.say(type="ready")
    assert content["names"] == ["meadow", "noise"]
    assert decoded(page.received[0][1][0]).shape == (80, 160, 3)


def test_what_is_under_way_is_said_and_taken_back() -> None:
    preview = Preview()
    page = Page(preview)
    preview.working(0, 0, 0)
    assert page.received == [], "there is nothing to take back"
    preview.working(2, 3, 7)
    preview.working(0, 0, 0)
    contents = [content for content, _ in page.received]
    assert contents == [{"type": "working", "bits": b, "layer": n, "layers": m} for b, n, m in ((2, 3, 7), (0, 0, 0))]
