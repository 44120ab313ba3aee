"""Choosing in a browser, in files without a kernel: what keeps a target, against what was counted in Python."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlexplorer as mle
from mlexplorer.exploration import Row
from tests.painter import deep_classifier, deep_painter, photo

pytestmark = pytest.mark.browser

SECONDS = 120
PICTURES = [photo(seed=seed) for seed in range(6)]
TARGET = ".mlx-choosing input[type=range]"
SCHEMES = {"linear": "linear", "lookup_table": "LUT", "linear_feedback": "linear + feedback"}


def opened(browser: Any, file: Path) -> Any:
    page = browser.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    return page


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Row]]]:
    """A report of a classifier, with error feedback for linear quantization only, and its rows."""
    explorer = mle.explore(deep_classifier(), PICTURES, scheme="linear_feedback", bits=6)
    assert explorer.wait(SECONDS)
    path = explorer.to_html(tmp_path_factory.mktemp("choosing") / "report.html")
    yield path, explorer.results
    explorer.close()


@pytest.fixture(scope="module")
def page(browser: Any, rows: tuple[Path, list[Row]]) -> Iterator[Any]:
    page = opened(browser, rows[0])
    yield page
    assert page.faults == []
    page.close()


def counted(rows: list[Row]) -> dict[tuple[str, int], Row]:
    """The row of each depth that has counted all pictures."""
    return {row.key: row for row in rows if row.agreement is not None and row.agreement.total == len(PICTURES)}


def aim(page: Any, target: int) -> None:
    page.evaluate(
        f"(t) => {{ const r = document.querySelector('{TARGET}'); r.value = t; r.dispatchEvent(new Event('input')); }}",
        target,
    )


@pytest.mark.parametrize("target", [60, 80, 100])
def test_each_scheme_has_its_smallest_depth_that_keeps_the_share(
    page: Any, rows: tuple[Path, list[Row]], target: int
) -> None:
    known = counted(rows[1])
    assert {scheme for scheme, _ in known} == {"original", *SCHEMES}
    aim(page, target)
    shown = page.locator(".mlx-choosing .answers li:visible, .mlx-choosing .answers li:not([hidden])")
    lines = [" ".join(line.inner_text().split()) for line in shown.all()]
    sizes = {}
    for scheme, name in SCHEMES.items():
        keep = [row for row in known.values() if row.scheme == scheme and row.agreement >= target / 100]  # type: ignore[operator]
        smallest = min(keep, key=lambda row: row.nbytes)
        rate = smallest.agreement
        assert rate is not None
        low, high = (f"{100 * bound:.0f}" for bound in rate.interval)
        start = f"{smallest.bits} bit {name} {smallest.nbytes / 1e3:.2f} kB"
        (line,) = [line for line in lines if line.startswith(start)]
        assert f"{100 * rate:.1f} % ({low}–{high} %)" in line
        sizes[scheme] = smallest.nbytes
    best = page.locator(".mlx-choosing .answers .best")
    assert best.get_attribute("class").split()[0] == min(sizes, key=sizes.__getitem__)


def test_agreement_is_what_all_views_tell(page: Any, rows: tuple[Path, list[Row]]) -> None:
    rate = counted(rows[1])["linear_feedback", 6].agreement
    assert rate is not None
    assert "Top-1 agreement" in page.inner_text(".mlx-controls .quality")
    assert f"{100 * rate:.1f} %" in page.inner_text(".mlx-controls .quality")
    assert page.locator(".mlx-curve svg text", has_text="Top-1 agreement in %").count() == 1
    chosen = str(page.get_attribute(".mlx-curve [aria-checked=true]", "aria-label"))
    assert re.search(rf"6 bit linear \+ feedback: .* kB, {100 * rate:.1f} %", chosen)
    cell = page.inner_text(".mlx-preview .strip.linear_feedback .cell:nth-child(6)")
    assert f"{rate.count}/{rate.total}" in cell
    assert not page.is_visible(".mlx-preview .strip.lookup_table_feedback"), "it was not computed"


def test_the_keyboard_takes_and_undoes(page: Any) -> None:
    aim(page, 100)
    page.focus(TARGET)
    page.keyboard.press("ArrowLeft")
    assert str(page.get_attribute(TARGET, "aria-valuetext")).startswith("at least Top-1 agreement 99.0 %")
    button = page.locator(".mlx-choosing .answers .lookup_table .take")
    name = str(button.get_attribute("aria-label"))
    button.focus()
    page.keyboard.press("Enter")
    assert f"{name.removeprefix('Take ')}" in str(
        page.get_attribute(".mlx-controls input[type=range]", "aria-valuetext")
    )
    assert button.get_attribute("aria-label") == name.replace("Take", "Taken")
    page.keyboard.press("Enter")
    page.focus(".mlx-choosing [aria-label=Undo]")
    page.keyboard.press("Enter")
    assert page.is_checked(".mlx-controls .feedback input"), "the first choice is back, feedback and all"
    assert page.input_value(".mlx-controls input[type=range]") == "6"
    assert page.is_disabled(".mlx-choosing [aria-label=Undo]"), "what was taken already is not taken twice"


def test_the_film_is_walked_by_arrows_among_the_strips_that_are_there(page: Any) -> None:
    page.focus(".mlx-preview .cell[aria-checked=true]")
    for key, scheme in (("ArrowDown", "lookup_table"), ("ArrowDown", "lookup_table"), ("ArrowUp", "linear_feedback")):
        page.keyboard.press(key)
        assert page.locator(f".mlx-preview .strip.{scheme} .cell[aria-checked=true]").count() == 1
        assert page.evaluate("document.activeElement.getAttribute('aria-checked')") == "true"


def test_feedback_is_a_switch_beside_the_scheme(page: Any) -> None:
    feedback = page.locator(".mlx-controls .feedback input")
    for calibration in ("", ', calibration="noise"'):
        feedback.focus()
        page.keyboard.press("Space")
        code = str(page.text_content(".mlx-controls .python code"))
        assert f"mle.quantize(model, mle.Linear(bits=6){calibration})" in code
    page.click(".mlx-controls label.lookup_table")
    assert (feedback.is_checked(), feedback.is_enabled()) == (False, False), "nothing could compute it here"
    page.click(".mlx-controls label.linear")
    assert feedback.is_enabled()


def test_one_picture_is_said_to_say_little(browser: Any, tmp_path: Path) -> None:
    for model, said in ((deep_classifier(), True), (deep_painter(), False)):
        explorer = mle.explore(model, PICTURES[0])
        assert explorer.wait(SECONDS)
        page = opened(browser, explorer.to_html(tmp_path / "report.html"))
        explorer.close()
        assert ("One picture says little" in page.inner_text(".mlx-choosing")) is said
        assert "dB" in page.inner_text(".mlx-controls .quality")
        assert page.faults == []
        page.close()
