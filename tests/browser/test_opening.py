"""Opening models in a real JupyterLab: an upload of 100 MB in pieces, a path with its completions, faults in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlexplorer as mle
from tests.benchmarks.load import model_of_100_mb
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.painter import deep_painter

pytestmark = pytest.mark.browser

MODEL = ".mlx-opening .field:first-child"
SAID = f"{MODEL} .said"


@pytest.fixture(scope="module")
def notebook(browser: Any, light: str, folder: Path) -> Iterator[Notebook]:
    mle.save(deep_painter(), folder / "deep.mlmodel")
    (folder / "broken.mlmodel").write_bytes(b"\x08\x04no model")
    write_notebook(folder / "opening.ipynb", "import mlexplorer as mle\n\nopened = mle.explore()\nopened")
    notebook = Notebook(browser, light, "opening.ipynb")
    notebook.run_all(60)
    notebook.page.wait_for_selector(MODEL)
    yield notebook
    notebook.page.close()


def says(notebook: Notebook, words: str, seconds: float = 60) -> None:
    notebook.page.wait_for_function(
        f"words => document.querySelector('{SAID}')?.textContent.includes(words)", arg=words, timeout=seconds * 1000
    )


def test_a_path_is_completed_and_opened(notebook: Notebook, screenshots: Path) -> None:
    field = notebook.page.locator(f"{MODEL} input[type=text]")
    field.fill("de")
    notebook.page.wait_for_function(
        f"() => [...document.querySelectorAll('{MODEL} option')].some(o => o.value.endsWith('deep.mlmodel'))"
    )
    field.fill("deep.mlmodel")
    field.press("Enter")
    says(notebook, "deep.mlmodel is open")
    notebook.page.wait_for_selector(".mlx-explorer .mlx-preview canvas")
    notebook.page.screenshot(path=screenshots / "opening-light.png")
    assert notebook.faults == []


def test_what_is_wrong_is_said_in_place(notebook: Notebook) -> None:
    field = notebook.page.locator(f"{MODEL} input[type=text]")
    field.fill("broken.mlmodel")
    notebook.page.click(f"{MODEL} .open")
    says(notebook, "broken.mlmodel")
    assert notebook.page.get_attribute(SAID, "data-state") == "failed"
    assert notebook.page.locator(".mlx-explorer").is_visible()


def test_a_model_of_100_mb_is_uploaded(notebook: Notebook, tmp_path: Path) -> None:
    path = tmp_path / "large.mlmodel"
    mle.save(mle.load(model_of_100_mb()), path)
    notebook.page.set_input_files(f"{MODEL} input[type=file]", path)
    says(notebook, "large.mlmodel is open", 120)
    assert notebook.python("opened.explorer.model.size") == path.stat().st_size
    assert notebook.faults == []
