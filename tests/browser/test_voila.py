"""The first notebook as a page without code, served by Voila."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import write_notebook
from tests.browser.lab import voila

pytest.importorskip("voila", minversion="0.5")
pytestmark = pytest.mark.browser

FIRST = "01-style-from-32-bits-to-1.ipynb"
RANGE = ".mlx-controls input[type=range]"
STAGE = ".mlx-preview .stage canvas"
SHOWN = "() => document.querySelectorAll('.mlx-preview .strip .cell img').length === 16"


def test_the_first_notebook_is_a_page_with_the_explorer(
    browser: Any, folder: Path, tmp_path: Path, screenshots: Path
) -> None:
    with voila(folder / FIRST, tmp_path) as address:
        page = browser.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(address, wait_until="domcontentloaded", timeout=120_000)
        page.wait_for_function(SHOWN, timeout=240_000)
        assert "A style-transfer network from 32 bits to 1" in page.inner_text("h1")
        assert page.locator("text=mle.explore(model)").count() == 0, "the code is hidden"
        seen = {}
        page.focus(RANGE)
        for key, bits in (("Home", 1), ("End", 8), ("ArrowLeft", 7)):
            page.keyboard.press(key)
            page.wait_for_function(f"() => document.querySelector('{RANGE}').value === '{bits}'")
            page.wait_for_timeout(200)
            seen[bits] = (
                page.inner_text(".mlx-controls .statistic.size strong"),
                page.evaluate(f"document.querySelector('{STAGE}').toDataURL()"),
            )
        sizes = [float(seen[bits][0]) for bits in (1, 7, 8)]
        assert sizes == sorted(set(sizes)), "more bits take more bytes"
        assert len({picture for _, picture in seen.values()}) == 3, "each depth has its own picture"
        page.locator(".mlx-explorer").scroll_into_view_if_needed()
        page.screenshot(path=screenshots / "voila.png")
        page.screenshot(path=screenshots / "voila-page.png", full_page=True)
        cut = page.locator(".mlx-widget").evaluate_all(
            "all => all.filter((one) => getComputedStyle(one).overflowY !== 'visible').map((one) => one.className)"
        )
        assert cut == [], "widgets clip what stands out of them, rings of what is focused say"
        assert faults == []
        page.close()


_CLOCKED = """import time
print("started", time.time())
{cell}
print("ended", time.time())
shown"""
_WATCH = """selector => new MutationObserver(() => {
  if (window.mlexplorerFirst || !document.querySelector(selector)) return;
  window.mlexplorerFirst = true;
  requestAnimationFrame(() => { window.mlexplorerFirst = Date.now() / 1000; });
}).observe(document, { subtree: true, childList: true, attributeFilter: ["aria-label"] })"""


def seconds_to(selector: str, browser: Any, path: Path, cell: str, state: Path) -> tuple[float, float]:
    """To the frame in which the page shows such an element: from the first line of a cell, and from its last."""
    state.mkdir()
    write_notebook(path, _CLOCKED.format(cell=cell))
    with voila(path, state) as address:
        page = browser.new_page()
        page.add_init_script(f"({_WATCH})({selector!r})")
        page.goto(address, wait_until="commit", timeout=120_000)
        shown: float = page.wait_for_function(
            "() => window.mlexplorerFirst > 1 && window.mlexplorerFirst", timeout=120_000, polling=200
        ).json_value()
        said = " ".join(page.locator(".jp-OutputArea-output pre").all_inner_texts()).split()
        page.close()
    return shown - float(said[1]), shown - float(said[3])


def test_the_first_picture_is_there_soon_after_the_cell_ran(browser: Any, folder: Path, tmp_path: Path) -> None:
    first = ".mlx-preview .stage canvas[aria-label^='Left:']"
    explore = "import mlexplorer as mle\nshown = mle.explore(mle.samples.style())"
    whole, after = seconds_to(first, browser, folder / "clocked.ipynb", explore, tmp_path / "explorer")
    slider = "import ipywidgets\nshown = ipywidgets.IntSlider()"
    _, plain = seconds_to(".widget-slider", browser, folder / "plain.ipynb", slider, tmp_path / "plain")
    print(f"{whole:.2f} s from the cell's start, {after:.2f} from its end; a plain slider {plain:.2f} from its end")
    assert after < max(2, 2 * plain), "Voila sends its page after the cell ran, and that takes as long as it does"
