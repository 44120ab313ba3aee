"""Opening models in a real JupyterLab: an upload of 100 MB in pieces, a path with its completions, faults in place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mlexplorer as mle
from tests.benchmarks.load import model_of_100_mb
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.painter import deep_painter, photo
from tests.web_server import sends, serving

pytestmark = pytest.mark.browser

MODEL = ".mlx-opening .field:first-child"
SAID = f"{MODEL} .said"


@pytest.fixture(scope="module")
def notebook(browser: Any, light: str, folder: Path) -> Iterator[Notebook]:
    mle.save(deep_painter(), folder / "deep.mlmodel")
    (folder / "broken.mlmodel").write_bytes(b"\x08\x04no model")
    own = f"import os\nos.environ.update(XDG_CACHE_HOME={str(folder / 'cache')!r}, no_proxy='*')"
    write_notebook(folder / "opening.ipynb", own, "import mlexplorer as mle\n\nopened = mle.explore()\nopened")
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
    says(notebook, "broken.mlmodel is")
    assert notebook.page.get_attribute(SAID, "data-state") == "failed"
    assert notebook.page.locator(".mlx-explorer").is_visible()


def test_an_address_is_downloaded_and_a_slow_one_cancelled(notebook: Notebook) -> None:
    with serving() as server:

        def slow(handler: Any) -> None:
            sends(b"x" * 400_000, Content_Length=9_000_000)(handler)
            handler.wfile.flush()
            server.over.wait(60)

        server.answers["/slow.mlmodel"] = slow
        server.answers["/page.mlmodel"] = sends(b"<!DOCTYPE html><html></html>")
        field = notebook.page.locator(f"{MODEL} input[type=text]")
        field.fill(f"{server.address}/page.mlmodel")
        field.press("Enter")
        says(notebook, "is a web page, not a file")
        assert notebook.page.get_attribute(SAID, "data-state") == "failed"
        field.fill(f"{server.address}/slow.mlmodel")
        field.press("Enter")
        says(notebook, "Downloading slow.mlmodel: 0.4 of 9.0 MB")
        assert notebook.page.locator(f"{MODEL} progress").evaluate("bar => bar.value / bar.max") == pytest.approx(
            4 / 90
        )
        notebook.page.click(f"{MODEL} .cancel")
        says(notebook, "Cancelled.")
    assert notebook.page.locator(".mlx-explorer").is_visible()
    assert notebook.faults == []


def test_pictures_are_changed_and_added_in_the_explorer(notebook: Notebook, folder: Path, screenshots: Path) -> None:
    photos = folder / "photos"
    photos.mkdir()
    for seed, name in enumerate(("ann", "bob", "cyd")):
        Image.fromarray(photo(64, 48, seed)).save(photos / f"{name}.png")
    page, said = notebook.page, ".mlx-preview .said"
    notebook.page.focus(".mlx-controls input[type=range]")
    notebook.page.keyboard.press("Home")
    page.click(".mlx-preview button.change")
    field = page.locator(".mlx-preview .field input[type=text]")
    field.fill("photo")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.mlx-preview option')].some(o => o.value.endsWith('photos/'))"
    )
    field.fill("nowhere")
    field.press("Enter")
    page.wait_for_function(f"() => document.querySelector('{said}').textContent.includes('no such file')")
    assert page.get_attribute(said, "data-state") == "failed"
    field.fill("photos")
    field.press("Enter")
    shown = "names => [...document.querySelectorAll('.mlx-preview .input')].map(i => i.title).join() === names"
    page.wait_for_function(shown, arg="ann,bob,cyd")
    assert page.inner_text(said).startswith("3 pictures shown.")
    page.wait_for_function("() => document.querySelectorAll('.mlx-preview .film img').length === 17")
    page.screenshot(path=screenshots / "pictures-light.png")
    page.check(".mlx-preview .adds input")
    dropped = page.evaluate_handle(
        """data => { const transfer = new DataTransfer();
        transfer.items.add(new File([Uint8Array.from(data)], "dan.png", { type: "image/png" }));
        return transfer; }""",
        list((photos / "bob.png").read_bytes()),
    )
    page.dispatch_event(".mlx-preview .place", "drop", {"dataTransfer": dropped})
    page.wait_for_function(shown, arg="ann,bob,cyd,dan")
    notebook.knows("[opened.explorer.image, opened.explorer.bits]", [3, 1])
    assert page.get_attribute(".mlx-preview .input:last-child", "aria-checked") == "true"
    assert notebook.faults == []


def test_a_model_of_100_mb_is_uploaded(notebook: Notebook, tmp_path: Path) -> None:
    path = tmp_path / "large.mlmodel"
    mle.save(mle.load(model_of_100_mb()), path)
    notebook.page.set_input_files(f"{MODEL} input[type=file]", path)
    says(notebook, "large.mlmodel is open", 120)
    assert notebook.python("opened.explorer.model.size") == path.stat().st_size
    assert notebook.faults == []
