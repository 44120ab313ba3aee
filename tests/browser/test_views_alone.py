"""Each view alone, and views in a layout of one's own, in JupyterLab, in Notebook 7 and as a page of Voila's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mlexplorer as mle
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook, notebook7, voila
from tests.painter import deep_painter, photo

pytestmark = pytest.mark.browser

SHOWS = {
    "controls": ".statistic.size strong",
    "preview": ".strip .cell img",
    "curve": "svg [role=radio]",
    "histogram": "canvas",
    "choosing": ".column",
    "graph": ".node",
}
"""What is to be seen of each view."""
LAYOUT = """\
import ipywidgets
preview, weights = mle.show("deep.mlmodel", "preview", "picture.png"), mle.show("deep.mlmodel", "histogram")
slider = ipywidgets.IntSlider(value=4, min=1, max=8)
links = [ipywidgets.jslink((slider, "value"), (view, "bits")) for view in (preview, weights)]
ipywidgets.VBox([slider, ipywidgets.HBox([preview, weights])])"""
ITS_OWN = "Cannot read properties of undefined (reading 'schema')"
"""What Notebook 7.6 says itself while it loads the settings."""


@contextmanager
def opened(place: str, browser: Any, light: str, folder: Path, state: Path) -> Iterator[tuple[Any, list[str]]]:
    """The page of the notebook, run, and what was thrown on it."""
    if place == "voila":
        with voila(folder / "alone.ipynb", state) as address:
            page, faults = browser.new_page(), []
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.goto(address, wait_until="domcontentloaded", timeout=120_000)
            yield page, faults
        return
    if place == "lab":
        notebook = Notebook(browser, light, "alone.ipynb")
        notebook.run_all()
        yield notebook.page, notebook.faults
        return
    with notebook7(folder, state) as address:
        notebook = Notebook(browser, address, "alone.ipynb", "notebooks/{name}")
        notebook.run_all()
        yield notebook.page, notebook.faults


@pytest.mark.parametrize(
    "place", ["lab", pytest.param("notebook7", marks=pytest.mark.slow), pytest.param("voila", marks=pytest.mark.slow)]
)
def test_each_view_stands_alone_and_in_a_layout(
    place: str, browser: Any, light: str, folder: Path, tmp_path: Path, screenshots: Path
) -> None:
    from PIL import Image

    pytest.importorskip({"lab": "jupyterlab", "notebook7": "notebook", "voila": "voila"}[place])
    mle.save(deep_painter(), folder / "deep.mlmodel")
    Image.fromarray(photo()).save(folder / "picture.png")
    shown = [f'mle.show("deep.mlmodel", "{name}", "picture.png")' for name in SHOWS]
    write_notebook(folder / "alone.ipynb", "import mlexplorer as mle", *shown, LAYOUT)
    with opened(place, browser, light, folder, tmp_path) as (page, faults):
        for name, what in SHOWS.items():
            view = page.locator(f".mlx-{name}").first
            view.locator(what).first.wait_for(timeout=60_000)
            assert view.bounding_box()["width"] > 200, f"{name} is squeezed"
        page.screenshot(path=screenshots / f"alone-{place}.png", full_page=True)
        slider = page.locator(".widget-slider .noUi-target").last
        slider.scroll_into_view_if_needed()
        box = slider.bounding_box()
        slider.click(position={"x": box["width"] * 2 / 7, "y": box["height"] / 2})  # 3 of 1 to 8
        page.wait_for_function(
            """() => [".mlx-preview", ".mlx-histogram"].every((view) =>
                [...document.querySelectorAll(view)].at(-1).innerText.includes("3 bit LUT"))"""
        )
        assert page.locator(".mlx-preview").first.inner_text().count("3 bit LUT") == 0, "the first one is not linked"
        assert [fault for fault in faults if ITS_OWN not in fault] == []
        page.close()
