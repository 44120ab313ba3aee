"""Every function of the explorer by the keyboard alone, in a real JupyterLab: Tab, arrows, Enter, Space, letters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mlexplorer as mle
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.browser.slowness import SLOW
from tests.painter import deep_painter, photo

pytestmark = pytest.mark.browser

CELL = SLOW + "import mlexplorer as mle\nexplorer = mle.explore('keyed.mlmodel', ['keyed.png', 'other.png'])\nexplorer"
WORK = ".mlx-controls .work"
PANE = ".mlx-graph .pane"
MOST_TABS = 80
# 0 where the focus is there, else the direction in which it lies
WAY = """selector => {
  const [now, wanted] = [document.activeElement, document.querySelectorAll(selector)];
  if ([...wanted].includes(now)) return 0;
  return wanted[0].compareDocumentPosition(now) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1;
}"""


class Keys:
    """Presses keys, and nothing else; says what the page and Python know then."""

    def __init__(self, notebook: Notebook) -> None:
        self.notebook, self.page = notebook, notebook.page

    def reach(self, selector: str) -> None:
        """Walk there by Tab or Shift+Tab."""
        for _ in range(MOST_TABS):
            way = self.page.evaluate(WAY, selector)
            if way == 0:
                return
            self.page.keyboard.press("Tab" if way > 0 else "Shift+Tab")
        focused = self.page.evaluate("document.activeElement.outerHTML.slice(0, 200)")
        raise AssertionError(f"{selector} is not reached; the focus is on {focused}")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def text(self, selector: str) -> str:
        return str(self.page.inner_text(selector))

    def attribute(self, selector: str, name: str) -> str:
        return str(self.page.get_attribute(selector, name))

    def until(self, condition: str) -> None:
        self.page.wait_for_function(f"() => {condition}")

    def focused(self, selector: str) -> bool:
        return bool(self.page.evaluate(WAY, selector) == 0)


@pytest.fixture(scope="module")
def keys(browser: Any, light: str, folder: Path) -> Iterator[Keys]:
    mle.save(deep_painter(), folder / "keyed.mlmodel")
    Image.fromarray(photo(120, 80)).save(folder / "keyed.png")
    Image.fromarray(photo(120, 80, 3)).save(folder / "other.png")
    write_notebook(folder / "keyboard.ipynb", CELL)
    notebook = Notebook(browser, light, "keyboard.ipynb")
    notebook.run_all(60)
    notebook.page.wait_for_function(f"() => document.querySelector('{WORK}')?.dataset.state === 'done'", timeout=60_000)
    notebook.page.focus(".mlx-controls input[type=range]")
    yield Keys(notebook)
    assert notebook.faults == []
    notebook.page.close()


def test_bits_scheme_captions_cancel_save_and_download(keys: Keys, folder: Path) -> None:
    keys.reach(".mlx-controls input[type=range]")
    keys.press("Home")
    keys.notebook.knows("explorer.bits", 1)
    keys.press("ArrowRight", "ArrowRight")
    keys.notebook.knows("explorer.bits", 3)

    keys.reach(".mlx-controls .segments input:checked")
    keys.press("ArrowLeft")
    keys.notebook.knows("explorer.scheme", "linear")
    keys.press("ArrowRight")
    keys.notebook.knows("explorer.scheme", "lookup_table")

    keys.reach(".mlx-controls .lessons")
    keys.press("Space")
    keys.until("document.querySelector('.mlx-curve .lesson').checkVisibility()")
    keys.press("Space")
    keys.until("!document.querySelector('.mlx-curve .lesson').checkVisibility()")

    keys.reach(".mlx-controls .feedback input")
    keys.press("Space")
    keys.until(f"document.querySelector('{WORK}').innerText.includes('feedback: layer')")
    keys.reach(f"{WORK} .stop")
    keys.press("Enter")
    keys.until(f"document.querySelector('{WORK}').dataset.state === 'cancelled'")
    keys.press("Enter")
    keys.until(f"document.querySelector('{WORK}').dataset.state === 'running'")
    keys.press("Enter")
    keys.reach(".mlx-controls .feedback input")
    keys.press("Space")
    keys.notebook.knows("explorer.scheme", "lookup_table")

    keys.reach(".mlx-controls .saving input")
    keys.press("Control+A")
    keys.page.keyboard.type("by-keys.mlmodel")
    keys.press("Enter")
    keys.until("document.querySelector('.mlx-controls .saved')?.textContent.startsWith('Saved /')")
    assert (folder / "by-keys.mlmodel").stat().st_size > 500
    keys.reach(".mlx-controls .download")
    with keys.page.expect_download() as download:
        keys.press("Enter")
    assert download.value.suggested_filename == "by-keys.mlmodel"


def test_the_graph_is_searched_walked_folded_coloured_zoomed_and_saved(keys: Keys) -> None:
    keys.reach(".mlx-graph input[type=search]")
    keys.page.keyboard.type("varnish")
    keys.press("Enter")
    assert keys.text(".mlx-graph .details h3") == "varnish"
    keys.notebook.knows("explorer.layer", keys.notebook.python("explorer.model.graph.nodes[-1].id"))
    keys.press("Escape")
    keys.reach(".mlx-graph .colours select")
    keys.press("ArrowDown")
    keys.until("document.querySelector('.mlx-graph .legend').classList.contains('scale')")
    keys.press("ArrowUp")
    keys.reach(".mlx-graph .fold-all")
    keys.press("Enter")
    assert keys.text(".mlx-graph .fold-all") == "Fold all"
    keys.press("Enter")
    keys.reach(".mlx-graph .saves button")
    keys.press("ArrowRight")
    with keys.page.expect_download() as download:
        keys.press("Enter")
    assert download.value.suggested_filename == "keyed-graph.png"

    keys.reach(PANE)
    keys.press("Home")
    assert "photo" in keys.text(".mlx-graph .details h3")
    keys.press("ArrowDown")
    assert keys.text(".mlx-graph .details h3") == "sketch"
    count = keys.page.locator(".mlx-graph [role=option]").count()
    keys.press("Enter")
    assert keys.page.locator(".mlx-graph [role=option]").count() == count + 1, "unfolded"
    keys.press("Shift+Enter")
    assert keys.page.locator(".mlx-graph [role=option]").count() == count, "folded"
    sheet = "document.querySelector('.mlx-graph .sheet').style.transform"
    before = keys.page.evaluate(sheet)
    keys.press("+", "+")
    zoomed = keys.page.evaluate(sheet)
    assert zoomed != before
    keys.reach(".mlx-graph .zoom button")
    keys.press("End", "Enter")
    assert keys.page.evaluate(sheet) != zoomed, "all of it again"

    keys.notebook.knows("explorer.layer", "sketch")
    keys.reach(".mlx-graph .members button")
    keys.press("ArrowRight", "Enter")
    assert keys.text(".mlx-graph .details h3") == "sketch dry"
    assert keys.focused(".mlx-graph .members [aria-pressed=true]"), "the focus stays in the group"
    keys.notebook.knows("explorer.layer", "sketch dry")
    keys.reach(".mlx-graph .connections button")
    keys.press("Enter")
    assert keys.text(".mlx-graph .details h3") == "sketch"
    assert keys.focused(".mlx-graph .connections button")
    keys.reach(".mlx-graph .folds button")
    keys.press("Enter")
    assert keys.page.locator(".mlx-graph [role=option]").count() == count + 1
    keys.reach(".mlx-graph .legend button")
    keys.press("End", "Enter")
    chip = "document.querySelector('.mlx-graph .legend button:last-of-type')"
    assert keys.page.evaluate(f"{chip}.getAttribute('aria-pressed')") == "true"
    assert keys.page.input_value(".mlx-graph input[type=search]") == keys.page.evaluate(f"{chip}.dataset.words")
    keys.press("Enter")
    keys.reach(".mlx-graph .details .close")
    keys.press("Enter")
    assert keys.focused(PANE), "there is nothing in the panel any more"


def test_pictures_are_split_flipped_compared_and_chosen(keys: Keys) -> None:
    canvas = "document.querySelector('.mlx-preview .stage canvas').toDataURL()"
    keys.reach(".mlx-preview [role=radio].input[aria-checked=true], .mlx-preview .inputs [aria-checked=true]")
    keys.press("ArrowRight")
    keys.notebook.knows("explorer.image", 1)
    keys.press("ArrowLeft")
    keys.notebook.knows("explorer.image", 0)
    keys.reach(".mlx-preview .modes input:checked")
    keys.press("ArrowRight", "ArrowRight")
    keys.until("document.querySelector('.mlx-preview .legend').checkVisibility()")
    keys.press("ArrowLeft", "ArrowLeft")
    keys.until("!document.querySelector('.mlx-preview .legend').checkVisibility()")
    keys.reach(".mlx-preview .flip")
    plain = keys.page.evaluate(canvas)
    keys.page.keyboard.down("Space")
    assert keys.page.evaluate(canvas) != plain
    keys.page.keyboard.up("Space")
    assert keys.page.evaluate(canvas) == plain
    keys.reach(".mlx-preview .stage")
    keys.page.keyboard.down("f")
    assert keys.attribute(".mlx-preview .flip", "aria-pressed") == "true"
    keys.page.keyboard.up("f")
    keys.press("+", "+", "ArrowRight")
    keys.until(f"{canvas} !== {plain!r}")
    keys.press("0")
    keys.until(f"{canvas} === {plain!r}")
    keys.press("d")
    keys.until("document.querySelector('.mlx-preview .legend').checkVisibility()")
    keys.press("d")
    keys.reach(".mlx-preview .handle")
    keys.press("Home")
    assert keys.attribute(".mlx-preview .handle", "aria-valuenow") == "0"
    keys.reach(".mlx-preview .cell[aria-checked=true]")
    keys.press("Home", "ArrowRight")
    keys.notebook.knows("explorer.bits", 2)


def test_points_histograms_and_columns(keys: Keys) -> None:
    keys.reach(".mlx-curve .point[aria-checked=true]")
    keys.press("End")
    keys.notebook.knows("explorer.bits", 8)
    keys.reach(".mlx-choosing .column")
    keys.notebook.knows("explorer.layer != ''", True)
    keys.reach(".mlx-histogram .modes input:checked")
    shown = keys.page.evaluate("document.querySelector('.mlx-histogram canvas').toDataURL()")
    keys.press("ArrowRight")
    keys.until(f"document.querySelector('.mlx-histogram canvas').toDataURL() !== {shown!r}")
    keys.reach(".mlx-histogram canvas")
    said = keys.attribute(".mlx-histogram canvas", "aria-valuetext")
    keys.press("ArrowRight")
    assert keys.attribute(".mlx-histogram canvas", "aria-valuetext") != said

    keys.reach(".mlx-choosing input[type=range]")
    keys.press("Home")
    aim = keys.text(".mlx-choosing .aim output")
    keys.press("PageUp")
    assert keys.text(".mlx-choosing .aim output") != aim
    keys.press("Home")
    keys.reach(".mlx-choosing .take")
    keys.press("Enter")
    keys.notebook.knows("explorer.bits", 1)
    keys.reach(".mlx-choosing .column")
    keys.press("ArrowUp")
    keys.notebook.knows("explorer.scheme", "mixed")
    first = keys.notebook.python("explorer.layer")
    keys.press("ArrowRight")
    keys.notebook.knows(f"explorer.layer != {first!r}", True)
    keys.reach(".mlx-choosing [aria-label=Undo]")
    keys.press("Enter")
    keys.notebook.knows("explorer.scheme != 'mixed'", True)
    keys.reach(".mlx-choosing [aria-label=Redo]")
    keys.press("Enter")
    keys.notebook.knows("explorer.scheme", "mixed")
