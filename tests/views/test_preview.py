from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from mlexplorer.exploration import MIXED, Output, Ranked, Row
from mlexplorer.exploration import rows as every_row
from mlexplorer.inputs import Given, read_inputs
from mlexplorer.views.preview import Preview
from mlexplorer.views.preview_data import ENTRIES, LINE, SIDE, preview_data, thumbnail
from mlexplorer.views.preview_report import LEVELS_PER_DOUBLING
from mlexplorer.views.view import View
from tests.painter import painter, photo
from tests.views.page import Page


def decoded(file: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))


def row(*values: object, scheme: str = "linear", bits: int = 4, image: int = 0, stage: str = "full") -> Row:
    """A row of outputs with a quality of 9 dB."""
    outputs = tuple(Output(f"out{index}", value, "SNR", 9.0) for index, value in enumerate(values))
    return Row(scheme, bits, 10, stage, image, "SNR", 9.0, outputs)


def guess(label: str, rank: int = 1, before: int = 1) -> Ranked:
    return Ranked(label, 0.5 / rank, rank, 0.4 / before, before)


def test_pictures_are_sent_with_the_same_pixels() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (13, 21, 3), np.uint8)
    content, (file,) = preview_data(row(picture))
    (output,) = content["outputs"]
    assert (output["shows"], output["width"], output["height"], output["buffers"]) == ("picture", 21, 13, 1)
    np.testing.assert_array_equal(decoded(file), picture)
    assert (file[:4], file[8:12]) == (b"RIFF", b"WEBP")


def test_coarse_pictures_say_how_many_times_they_are_smaller() -> None:
    rows = list(every_row(painter(), photo(60, 40), bits=[3]))
    widths = {
        stage: {(c["outputs"][0]["width"] * c["scale"]) for c, _ in map(preview_data, rows) if c["stage"] == stage}
        for stage in ("coarse", "full")
    }
    assert widths == {"coarse": {64}, "full": {60}}, "sides are rounded to what the model takes"


def test_each_output_says_which_buffers_are_its_own() -> None:
    line, plane = np.arange(5, dtype=np.float32), np.arange(56, dtype=np.float32).reshape(7, 8)
    content, buffers = preview_data(row(plane, "tea", line, 2.5))
    shown = [(o["name"], o["shows"], o["buffers"]) for o in content["outputs"]]
    assert shown == [("out0", "array", 1), ("out1", "table", 0), ("out2", "array", 1), ("out3", "table", 0)]
    np.testing.assert_array_equal(np.frombuffer(buffers[0], "<f4"), plane.reshape(-1))
    np.testing.assert_array_equal(np.frombuffer(buffers[1], "<f4"), line)
    assert [o["entries"] for o in content["outputs"] if o["shows"] == "table"] == [[["out1", "tea"]], [["out3", 2.5]]]


@pytest.mark.parametrize(
    ("shape", "drawn", "every"),
    [
        ((), (1,), [1]),
        ((10_000,), (3334,), [3]),
        ((1, 1, 9), (9,), [1]),
        ((3, 7), (21,), [1]),
        ((6, 7), (1, 6, 7), [1, 1, 1]),
        ((2, 3, 300, 129), (6, 100, 65), [1, 3, 2]),
        ((600, 5, 6), (200, 5, 6), [3, 1, 1]),
        ((0, 4), (0,), [1]),
    ],
)
def test_arrays_are_drawn_as_planes_or_lines_and_thinned_out_evenly(
    shape: tuple[int, ...], drawn: tuple[int, ...], every: list[int]
) -> None:
    values = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    content, (data,) = preview_data(row(values))
    (output,) = content["outputs"]
    assert (tuple(output["shape"]), tuple(output["drawn"]), output["every"]) == (shape, drawn, every)
    sent = np.frombuffer(data, "<f4")
    assert sent.size == math.prod(drawn) <= max(LINE, 256 * SIDE * SIDE)
    if values.size:
        planes = values.reshape(-1, *shape[-2:]) if len(drawn) == 3 else values.reshape(-1)
        expected = planes[np.ix_(*(range(0, size, step) for size, step in zip(planes.shape, every, strict=True)))]
        np.testing.assert_array_equal(sent, expected.reshape(-1))
        assert output["mean"] == pytest.approx(float(values.mean()), abs=1e-6)
        assert (output["min"], output["max"]) == (values.min(), values.max())


def test_values_that_are_not_finite_stay_valid_json() -> None:
    content, _ = preview_data(
        row(np.full(9, np.nan), {"a": math.inf, "b": 2.0}, (guess("tea")._replace(probability=math.nan),))
    )
    array, table, classes = content["outputs"]
    assert (array["min"], array["mean"], array["max"]) == (None, None, None)
    assert table["entries"] == [["a", "inf"], ["b", 2.0]]
    assert classes["labels"] == [["tea", None, 1, 0.4, 1]]
    content, _ = preview_data(Row("linear", 8, 1, "full", 0, "SNR", math.inf, (Output("a", 1.0, "SNR", math.inf),)))
    assert (content["outputs"][0]["exact"], content["outputs"][0]["quality"]) == (True, None)


def test_of_a_dictionary_the_largest_entries_are_sent() -> None:
    entries = {index: float(index % 37) for index in range(60)}
    content, _ = preview_data(row(entries))
    (output,) = content["outputs"]
    assert (len(output["entries"]), output["more"]) == (ENTRIES, 60 - ENTRIES)
    assert [value for _, value in output["entries"]] == sorted(entries.values(), reverse=True)[:ENTRIES]


def test_another_mixed_plan_takes_the_place_of_the_one_before() -> None:
    preview = Preview()
    page = Page(preview)
    preview.add(Row(MIXED, 3, 10))
    assert page.received == []
    preview.add(row((guess("tea"),), scheme="original", bits=32))
    preview.add(row((guess("rum"),), scheme=MIXED, bits=3))
    preview.add(Row(MIXED, 5, 12))
    assert page.received[-1][0] == {"type": "forget", "scheme": MIXED}
    preview.add(row((guess("tea"),), scheme=MIXED, bits=5))
    late = [c.get("bits") for c in page.say(type="ready") if c.get("scheme") == MIXED and c["type"] == "row"]
    assert late == [5]


def test_a_full_picture_takes_the_place_of_a_coarse_one() -> None:
    preview = Preview(every_row(painter(), photo(), bits=[3]))
    page = Page(preview)
    page.say(type="ready")
    stages = [(content["scheme"], content["stage"]) for content, _ in page.received]
    assert stages == [("original", "full"), ("linear", "full"), ("lookup_table", "full")]


def test_inputs_are_offered_as_thumbnails() -> None:
    preview = Preview()
    page = Page(preview)
    preview.offer([*read_inputs(painter(), photo(640, 320))[0], Given("noise", {}, np.zeros(5))])
    (content,) = page.say(type="ready")
    assert content["names"] == ["image 1", "noise"]
    assert decoded(page.received[0][1][0]).shape == (80, 160, 3)


@pytest.mark.parametrize("shape", [(784,), (28, 28), (1, 28, 28), (3, 28, 28), (1, 784)])
def test_arrays_are_offered_as_the_pictures_that_they_are(shape: tuple[int, ...]) -> None:
    values = np.zeros((math.prod(shape) // 784, 28, 28))
    values[:, :7] = 5.0
    shown = decoded(thumbnail(values.reshape(shape)))
    height, width = shown.shape[:2]
    assert height == width
    assert shown[: height // 5].mean() > 240
    assert shown[height // 3 :].mean() < 15


def test_any_array_has_a_thumbnail() -> None:
    for array in (np.zeros(0), np.full((2, 3), np.nan), np.float32(3), np.arange(5000), np.zeros((2, 0, 3))):
        assert decoded(thumbnail(np.asarray(array))).size


def test_what_is_under_way_is_said_and_taken_back() -> None:
    preview = Preview()
    page = Page(preview)
    preview.working("", 0, 0, 0)
    assert page.received == [], "there is nothing to take back"
    said = [("linear_feedback", 2, 3, 7), ("", 0, 0, 0)]
    for arguments in said:
        preview.working(*arguments)
    names = ("scheme", "bits", "layer", "layers")
    assert [content for content, _ in page.received] == [
        {"type": "working", **dict(zip(names, arguments, strict=True))} for arguments in said
    ]


def test_a_report_gets_smaller_pictures_and_the_differences_as_they_were() -> None:
    rng = np.random.default_rng(2)
    before = photo(90, 70)
    after = np.clip(before + rng.integers(-40, 41, before.shape) * (rng.random((70, 90, 1)) < 0.5), 0, 255)
    line = np.arange(5, dtype=np.float32)
    preview = Preview([row(before, line, scheme="original", bits=32), row(after.astype(np.uint8), line)])
    preview.offer(read_inputs(painter(), photo())[0])
    whole = {content["type"] + content.get("scheme", ""): buffers for content, buffers in View.recorded(preview)}
    messages = preview.recorded()
    assert [content["type"] for content, _ in messages] == ["row", "row", "inputs"]
    content, buffers = messages[1]
    picture, array = content["outputs"]
    assert (picture["buffers"], array["buffers"], len(buffers)) == (2, 1, 3)
    assert sum(map(len, buffers)) < 0.5 * sum(map(len, whole["rowlinear"]))
    assert buffers[2] == line.tobytes()
    apart = np.abs(after - before).max(axis=2)
    assert picture["difference"]["mean"] == pytest.approx(apart.mean())
    assert picture["difference"]["largest"] == apart.max()
    assert picture["difference"]["share"] == pytest.approx((apart > 0).mean())
    levels = decoded(buffers[1])[..., 0]
    kept = 2.0 ** (levels / LEVELS_PER_DOUBLING) - 1
    assert np.abs((1 + kept) / (1 + apart) - 1).max() < 0.05
    assert picture["difference"]["levels"] == LEVELS_PER_DOUBLING * np.log2(256)
    noise = np.mean((decoded(buffers[0]).astype(float) - after) ** 2)
    assert 10 * np.log10(255**2 / noise) > 25
    np.testing.assert_array_equal(decoded(whole["rowlinear"][0]), after)
