"""One JupyterLab for each theme and one Chromium for all browser tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from tests.browser.lab import chromium, find_chromium, jupyterlab

ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "tests" / "screenshots"
KERNEL = {"kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}}


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook of code cells."""
    nbformat.write(new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata=KERNEL), path)


@pytest.fixture(scope="session", autouse=True)
def _browser() -> None:
    if find_chromium() is None:
        if os.environ.get("MLEXPLORER_REQUIRE_BROWSER"):
            pytest.fail("no Chromium here, and the browser tests may not be skipped")
        pytest.skip("no Chromium here; python tests/run.py says how to bring it")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that JupyterLab serves, with the teaching notebooks in it."""
    folder = tmp_path_factory.mktemp("notebooks")
    for notebook in (ROOT / "notebooks").glob("*.ipynb"):
        shutil.copy(notebook, folder)
    return folder


@pytest.fixture(scope="session")
def light(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab with the light theme."""
    with jupyterlab(folder, tmp_path_factory.mktemp("light")) as address:
        yield address


@pytest.fixture(scope="session")
def dark(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab with the dark theme."""
    with jupyterlab(folder, tmp_path_factory.mktemp("dark"), "JupyterLab Dark") as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A browser context."""
    with chromium() as context:
        yield context


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """The folder for screenshots, to be looked at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    return SCREENSHOTS
