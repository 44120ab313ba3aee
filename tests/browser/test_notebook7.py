"""The explorer in Jupyter Notebook 7."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.slider import STYLE_CELL, first_picture
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook, notebook7

pytest.importorskip("notebook", minversion="7.0")
pytestmark = pytest.mark.browser

FIRST = "01-style-from-32-bits-to-1.ipynb"
ITS_OWN = "Cannot read properties of undefined (reading 'schema')"
"""What Notebook 7.6 says itself while it loads the settings."""
RANGE = ".mlx-controls input[type=range]"
STAGE = ".mlx-preview .stage canvas"
SHOWN = "() => document.querySelectorAll('.mlx-preview .strip .cell img').length === 16"


def test_the_explorer_appears_and_its_slider_works(
    browser: Any, folder: Path, tmp_path: Path, screenshots: Path
) -> None:
    with notebook7(folder, tmp_path) as address:
        notebook = Notebook(browser, address, FIRST, "notebooks/{name}")
        notebook.run_all(180)
        notebook.page.wait_for_function(SHOWN, timeout=240_000)
        page = notebook.page
        seen = {}
        page.focus(RANGE)
        for key, bits in (("Home", 1), ("End", 8), ("ArrowLeft", 7)):
            page.keyboard.press(key)
            notebook.knows("explorer.bits", bits)
            seen[bits] = (
                page.inner_text(".mlx-controls .statistic.size strong"),
                page.evaluate(f"document.querySelector('{STAGE}').toDataURL()"),
            )
        sizes = [float(seen[bits][0]) for bits in (1, 7, 8)]
        assert sizes == sorted(set(sizes)), "more bits take more bytes"
        assert len({picture for _, picture in seen.values()}) == 3, "each depth has its own picture"
        page.locator(".mlx-explorer").scroll_into_view_if_needed()
        page.screenshot(path=screenshots / "notebook7.png")
        assert [fault for fault in notebook.faults if ITS_OWN not in fault] == []
        page.close()
        write_notebook(folder / "start7.ipynb", STYLE_CELL)
        notebook = Notebook(browser, address, "start7.ipynb", "notebooks/{name}")
        seconds, busy = first_picture(notebook)
        assert min(seconds, busy) < 2, "on the clock, or of the kernel's processor where others use it, too"
        notebook.page.close()
