"""Outputs of every type, one pair at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.comparison import InputRow, metrics
from mlexplorer.comparison.outputs import compare_outputs
from mlexplorer.comparison.result import aggregate
from mlexplorer.errors import InputError
from tests.runtime.models.specifications import classifier, specification


def row(declaration: str, a: Any, b: Any) -> InputRow:
    """The row of an output "y" of this type (see `declare`) for two values."""
    model = specification("identity", {}, {"x": "double"}, {"y": declaration})
    return compare_outputs(mle.load(model), "one", {"y": a}, {"y": b}, None)[0]


def picture(values: Any) -> Image.Image:
    return Image.fromarray(np.asarray(values, np.float32))


def test_pictures_of_halves_have_the_range_that_they_have() -> None:
    a = np.random.default_rng(1).uniform(0, 0.8, (13, 17)).astype(np.float32)
    b = np.clip(a + 0.01, 0, 0.8).astype(np.float32)
    found = row("image", picture(a), picture(b))
    error = np.mean(np.square(a.astype(np.float64) - b))
    assert found.psnr == pytest.approx(10 * math.log10(float(a.max()) ** 2 / error))
    assert found.ssim == pytest.approx(metrics.ssim(a, b, float(np.ptp(a.astype(np.float64)))))


def test_small_pictures_have_no_ssim() -> None:
    grey = Image.fromarray(np.full((10, 30), 7, np.uint8))
    found = row("image", grey, grey)
    assert (found.ssim, found.psnr, found.identical) == (None, math.inf, True)


def test_dictionaries_have_zeros_where_keys_are_missing() -> None:
    found = row("string dictionary", {"a": 3.0, "b": 4.0}, {"b": 3.5, "c": 1.0})
    assert (found.max_error, found.agrees, found.in_top5) == (3.0, False, None)
    assert found.snr == pytest.approx(10 * math.log10(25 / (9 + 0.25 + 1)))
    assert row("string dictionary", {}, {}).identical
    assert not row("string dictionary", {"a": 0.0}, {}).agrees


def test_classes_without_numbers_rank_last() -> None:
    names = [f"class {index}" for index in range(7)]
    model = classifier("glmClassifier", {}, names, {"x": "double"})
    first = dict.fromkeys(names, 0.1) | {"class 6": 0.4}
    broken = dict.fromkeys(names, math.nan) | {"class 5": 0.2, "class 6": 0.1}
    outputs = [{"label": max(p, key=lambda name: np.nan_to_num(p[name])), "chances": p} for p in (first, broken)]
    label, chances = compare_outputs(model, "one", *outputs, "class 6")
    assert (label.agrees, label.label, chances.label) == (False, "class 6", None)
    assert (chances.reference, chances.changed, chances.in_top5) == ("class 6", "class 5", True)
    assert (chances.max_error, chances.snr) == (math.inf, -math.inf)


def test_lists_and_numbers_are_the_same_or_not() -> None:
    assert row("int64", 3, 5).max_error == 2.0
    assert [row("int64", 3, other).agrees for other in (3, 5)] == [True, False]
    assert [row("string", "a", other).agrees for other in "ab"] == [True, False]


def test_numbers_of_boxes_may_differ_and_then_nothing_else_is_compared() -> None:
    boxes = np.arange(12.0).reshape(3, 4)
    pairs = [(boxes, boxes[:2]), (boxes, boxes + 1), (boxes[:0], boxes[:0]), (boxes, boxes)]
    rows = [row("open", *pair) for pair in pairs]
    assert (rows[0].agrees, rows[0].reference, rows[0].changed) == (False, [3, 4], [2, 4])
    assert (rows[1].agrees, rows[1].max_error, rows[2].identical, rows[2].max_error) == (None, 1.0, True, None)
    total = aggregate(rows, "y", "multiArray", classes=False)
    assert total.agreement is not None
    assert (total.agreement.count, total.agreement.total, total.identical) == (3, 4, 2)
    assert (total.max_error, total.snr) == (1.0, pytest.approx(10 * math.log10(np.mean(boxes**2) / 0.5)))
    assert aggregate(rows[1:], "y", "multiArray", classes=False).agreement is None


@pytest.mark.parametrize(
    ("declaration", "shapes"),
    [("open", [(3, 4), (4, 3)]), ("open", [(3,), (4,)]), ("singles 3 4", [(3, 4), (2, 4)]), ("open", [(2, 3), (6,)])],
)
def test_other_shapes_are_refused(declaration: str, shapes: Any) -> None:
    with pytest.raises(InputError, match="output 'y' of one: arrays of the shapes"):
        row(declaration, *map(np.ones, shapes))
