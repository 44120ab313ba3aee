"""The histogram in a browser, replayed as in a report: what it says of each bin against numpy, and its modes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.quantization import Plan
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.histogram_data import FEW_BINS
from mlexplorer.views.report import report
from tests.painter import deep_painter

pytestmark = pytest.mark.browser

TRAITS = ("bits", "scheme", "layer", "image", "teach")
SIDES = {"linear": 0, "lookup_table": 1}


@pytest.fixture(scope="module")
def made() -> dict[str, mle.Model]:
    """The model, and what its schemes at 3 bits make of it."""
    model = deep_painter()
    plan = Plan({"paint:weights": mle.Linear(bits=3, symmetric=True), "varnish:weights": mle.LookupTable(bits=2)})
    return {
        "original": model,
        "linear": mle.quantize(model, mle.Linear(bits=3)),
        "lookup_table": mle.quantize(model, mle.LookupTable(bits=3)),
        "linear_feedback": mle.quantize(model, mle.Linear(bits=3), calibration="noise", progress=False),
        "lookup_table_feedback": mle.quantize(model, mle.LookupTable(bits=3), calibration="noise", progress=False),
        "mixed": plan.apply(model),
        "plan": plan,
    }


@pytest.fixture(scope="module")
def page(browser: Any, made: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    histogram = Histogram(made["original"], layer="paint", bits=3)
    histogram.prepare("paint")
    histogram.prepare_whole()
    for scheme in ("linear_feedback", "lookup_table_feedback"):
        histogram.add_calibrated(made[scheme], scheme, 3)
    histogram.show_plan(made["plan"])
    traits = {name: getattr(histogram, name) for name in TRAITS}
    text = report({"histogram": histogram}, title="weights", about="", traits=traits, images=[0])
    path = Path(tmp_path_factory.mktemp("histogram"), "page.html")
    path.write_text(text.replace("const models =", "const models = window.models ="), "utf-8")
    page = browser.new_page()
    page.set_viewport_size({"width": 440, "height": 700})
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    yield page
    assert page.faults == []
    page.close()


def choose(page: Any, **traits: Any) -> None:
    page.evaluate("(traits) => Object.entries(traits).forEach(([k, v]) => window.models.histogram.set(k, v))", traits)


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


WALK = """(canvas, bins) => Array.from({ length: bins }, () => {
  const text = canvas.getAttribute("aria-valuetext");
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  return text;
})"""


def walk(page: Any, side: int, bins: int) -> tuple[list[int], list[float], list[str]]:
    """What the keyboard reads in each bin of a panel: how many weights, their share of the error in %, all words."""
    canvas = page.locator(".mlx-histogram canvas").nth(side)
    canvas.focus()
    page.keyboard.press("Home")
    words = canvas.evaluate(WALK, bins)
    page.keyboard.press("Escape")
    counts = [int(number(re.search(r": ([\d,]+) weights?\b", text)[1])) for text in words]
    shares = [number(re.search(r"([\d.e−-]+) % of the error", text)[1]) for text in words]
    return counts, shares, words


def weights(model: mle.Model, name: str | None) -> np.ndarray:
    found = [
        one.array().reshape(-1) for one in model.graph.weights if name in (None, one.node) and one.name == "weights"
    ]
    return np.concatenate(found).astype(np.float64)


@pytest.mark.parametrize("scheme", ["linear", "lookup_table", "linear_feedback", "lookup_table_feedback", "mixed"])
@pytest.mark.parametrize("whole", [False, True], ids=["layer", "whole"])
def test_each_bin_is_read_as_numpy_has_it(page: Any, made: dict[str, Any], scheme: str, whole: bool) -> None:
    choose(page, scheme=scheme, bits=3)
    page.locator(".mlx-histogram select").select_option("whole model" if whole else "weights")
    page.locator(".mlx-histogram input[value=error]").check(force=True)
    before = weights(made["original"], None if whole else "paint")
    after = weights(made[scheme], None if whole else "paint")
    bins = 128 if whole else FEW_BINS
    side = 0 if scheme.startswith("linear") or scheme == "mixed" else 1
    counts, shares, words = walk(page, side, bins)
    edges = before.min(), before.max()
    assert counts == np.histogram(before, bins, edges)[0].tolist()
    errors = np.histogram(before, bins, edges, weights=(before - after) ** 2)[0]
    np.testing.assert_allclose(shares, 100 * errors / errors.sum(), rtol=0.051)
    sqnr = 10 * np.log10(np.sum(before**2) / errors.sum())
    told = page.locator(".mlx-histogram .sqnr").nth(side).inner_text()
    assert number(re.search(r"([−\d.]+) dB", told)[1]) == pytest.approx(sqnr, abs=0.051)
    if scheme.startswith("lookup_table") and not whole:
        nearest = number(re.search(r"nearest level ([−\d.e-]+) for", words[0])[1])
        levels = np.unique(after)
        middle = before.min() + (before.max() - before.min()) / bins / 2
        assert nearest == pytest.approx(levels[np.abs(levels - middle).argmin()], rel=6e-3)


def test_all_depths_stand_behind_each_other_and_a_click_chooses_one(page: Any) -> None:
    choose(page, scheme="lookup_table", bits=4)
    page.locator(".mlx-histogram select").select_option("weights")
    page.locator(".mlx-histogram input[value=depths]").check(force=True)
    linear = page.locator(".mlx-histogram canvas").first
    box = linear.bounding_box()
    front = box["height"] - 8
    linear.click(position={"x": box["width"] / 2, "y": front})
    assert [page.evaluate(f"window.models.histogram.get('{name}')") for name in ("bits", "scheme")] == [1, "linear"]
    linear.click(position={"x": box["width"] / 2, "y": front - 5 * 20})
    assert page.evaluate("window.models.histogram.get('bits')") == 6
    assert linear.get_attribute("aria-valuenow") == "6"
    assert linear.get_attribute("aria-valuetext").startswith("6 bit linear, SQNR")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("window.models.histogram.get('bits')") == 7
    assert "7 bit linear" in page.locator(".mlx-histogram figcaption").first.inner_text()


def test_the_axis_of_counts_can_be_logarithmic(page: Any) -> None:
    choose(page, scheme="linear", bits=3)
    canvas = page.locator(".mlx-histogram canvas").first
    for mode in ("levels", "error", "depths"):
        page.locator(f".mlx-histogram input[value={mode}]").check(force=True)
        pictures = set()
        for checked in (True, False, True):
            page.get_by_label("log counts").set_checked(checked)
            pictures.add(canvas.evaluate("(canvas) => canvas.toDataURL()"))
        assert len(pictures) == 2, mode
    page.get_by_label("log counts").uncheck()


def test_what_was_not_counted_is_said(page: Any) -> None:
    choose(page, layer="varnish")
    page.locator(".mlx-histogram select").select_option("whole model")
    assert page.locator(".mlx-histogram .pair").is_visible()
    page.locator(".mlx-histogram select").evaluate("(s) => { s.selectedIndex = 0; }")
    choose(page, layer="")
    assert "whole model" in page.locator(".mlx-histogram h3").inner_text()
    choose(page, layer="paint")
    page.locator(".mlx-histogram select").select_option("weights")
    choose(page, layer="")
    assert "whole model" in page.locator(".mlx-histogram h3").inner_text(), "no layer is all layers"
    choose(page, layer="varnish")
    assert "was not counted" in page.locator(".mlx-histogram .note[role=status]").inner_text()
    choose(page, layer="paint")
