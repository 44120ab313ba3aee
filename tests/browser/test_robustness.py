"""What goes wrong while the explorer is open in a real JupyterLab, and what it must not disturb."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.browser.models import swish_model
from tests.browser.slowness import SLOW
from tests.painter import deep_painter, photo

pytestmark = pytest.mark.browser

RANGE = ".mlx-controls input[type=range]"
WORK = ".mlx-controls .work"
EXPLORE = "import mlexplorer as mle\nexplorer = mle.explore('painter.mlmodel')\nexplorer"
STYLE = "import mlexplorer as mle\nexplorer = mle.explore(mle.samples.style())\nexplorer"
CANCEL = """() => new Promise((answer) => {
  const line = document.querySelector(".mlx-controls .work");
  const began = performance.now();
  new MutationObserver((_, observer) => {
    if (line.dataset.state !== "cancelled") return;
    observer.disconnect();
    answer(performance.now() - began);
  }).observe(line, { attributes: true, childList: true, subtree: true });
  line.querySelector("button").click();
})"""
LIVE = "len([w for w in __import__('ipywidgets').widgets.widget._instances.values()])"
THREADS = "[t.name for t in __import__('threading').enumerate() if t.name.startswith('mlexplorer')]"
MEMORY = "(__import__('gc').collect(), __import__('psutil').Process().memory_info().rss)[1]"


@pytest.fixture
def opened(browser: Any, light: str, folder: Path) -> Iterator[Any]:
    """Opens a notebook of cells, runs it and closes its page and its kernel afterwards."""
    notebooks: list[Notebook] = []

    def open_cells(name: str, *cells: str) -> Notebook:
        mle.save(deep_painter(), folder / "painter.mlmodel")
        write_notebook(folder / f"{name}.ipynb", *cells)
        notebooks.append(Notebook(browser, light, f"{name}.ipynb"))
        notebooks[-1].run_all(60)
        notebooks[-1].page.wait_for_selector(".mlx-controls, .mlx-opening")
        return notebooks[-1]

    yield open_cells
    for notebook in notebooks:
        notebook.page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
        notebook.page.close()


def state(notebook: Notebook, wanted: str, seconds: float = 60, index: int = 0) -> str:
    """Wait for this state of the progress line; returns what it says."""
    notebook.page.wait_for_function(
        f"([wanted, index]) => document.querySelectorAll('{WORK}')[index]?.dataset.state === wanted",
        arg=[wanted, index],
        timeout=seconds * 1000,
    )
    return str(notebook.page.locator(WORK).nth(index).inner_text())


def usable(notebook: Notebook, name: str = "explorer") -> None:
    """The slider moves, Python follows, nothing was thrown on the page."""
    notebook.page.focus(RANGE)
    for key, bits in (("Home", 1), ("End", 8)):
        notebook.page.keyboard.press(key)
        notebook.knows(f"{name}.bits", bits)
    assert notebook.faults == []


def test_cancel_answers_at_once_and_really_stops(opened: Any) -> None:
    notebook = opened("cancel", STYLE)
    times = []
    for pause in (100, 350, 600, 850, 1100):
        state(notebook, "running")
        notebook.page.wait_for_timeout(pause)
        times.append(notebook.page.evaluate(CANCEL))
        assert notebook.python("explorer.wait(2)"), "the step under way ends, and no other begins"
        used = notebook.python(
            "(t := __import__('time'), a := t.process_time(), t.sleep(0.5), t.process_time() - a)[3]"
        )
        assert used < 0.1, "the kernel rests"
        notebook.page.click(f"{WORK} button")
    print("cancelled after [ms]", [round(time) for time in times])
    assert statistics.median(times) < 200
    notebook.python("explorer.cancel()")
    usable(notebook)


def test_ten_fast_moves_lead_to_the_last_one(opened: Any) -> None:
    notebook = opened("moves", SLOW + EXPLORE.replace(")", ", bits=8)"))
    state(notebook, "done")
    notebook.page.click(".mlx-controls label.feedback")
    notebook.page.wait_for_function(f"() => document.querySelector('{WORK}').innerText.includes('feedback: layer')")
    notebook.page.focus(RANGE)
    for key in ("ArrowLeft",) * 7 + ("ArrowRight",) * 3:
        notebook.page.keyboard.press(key)
    assert notebook.page.input_value(RANGE) == "4"
    cell = ".mlx-preview .strip.lookup_table_feedback .cell:nth-child(4)"
    notebook.page.wait_for_function(f"() => document.querySelector('{cell} img')")
    first = notebook.python("(explorer.cancel(), made)[1]")
    assert first in ([4], [8, 4]), "nothing for the depths passed over; 8 only where it was nearly there"
    notebook.knows("explorer.bits", 4)
    assert "4 bit LUT + feedback" in notebook.page.inner_text(".mlx-preview")
    assert notebook.faults == []


def test_two_explorers_do_not_disturb_each_other(opened: Any, folder: Path) -> None:
    mle.save(swish_model(), folder / "swish.mlmodel")
    notebook = opened("two", EXPLORE, "other = mle.explore('swish.mlmodel', bits=6)\nother")
    state(notebook, "done")
    assert "swish" in state(notebook, "failed", index=1)
    assert notebook.python("explorer.error") is None
    first, second = notebook.page.locator(RANGE).all()
    first.focus()
    notebook.page.keyboard.press("Home")
    notebook.knows("[explorer.bits, other.bits]", [1, 6])
    assert (first.input_value(), second.input_value()) == ("1", "6")
    second.focus()
    notebook.page.locator(".mlx-controls").nth(1).locator("input[type=radio][value=linear]").evaluate("i => i.click()")
    notebook.knows("[explorer.scheme, other.scheme]", ["lookup_table", "linear"])
    assert notebook.faults == []


def test_closing_ends_the_threads(opened: Any) -> None:
    notebook = opened("closing", STYLE)
    state(notebook, "running")
    assert notebook.python(THREADS)
    notebook.python("explorer.close()")
    notebook.knows(THREADS, [], 3)
    notebook.page.wait_for_function("() => !document.querySelector('.mlx-controls')")
    assert notebook.faults == []


def test_a_restarted_kernel_is_told_and_survived(opened: Any, screenshots: Path) -> None:
    notebook = opened("restart", EXPLORE)
    state(notebook, "done")
    said = notebook.page.locator(".mlx-explorer .orphaned")
    assert [said.nth(i).is_visible() for i in range(said.count())] == [False] * 6
    notebook.page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.restart()")
    notebook._until("window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel.status === 'idle'")
    notebook.page.wait_for_function("() => document.querySelector('.mlx-controls .orphaned').textContent")
    assert [said.nth(i).is_visible() for i in range(said.count())].count(True) == 1, "once for the whole explorer"
    assert "run the cell again" in notebook.page.inner_text(".mlx-controls .orphaned")
    assert not notebook.page.locator(".mlx-controls .saving").is_visible(), "nobody would save"
    notebook.page.screenshot(path=screenshots / "orphaned.png")
    notebook.page.focus(RANGE)
    before = notebook.page.inner_text(".mlx-controls .statistic.size strong")
    notebook.page.keyboard.press("Home")
    assert notebook.page.inner_text(".mlx-controls .statistic.size strong") != before, "the page has what it shows"
    notebook.run_all(60)
    state(notebook, "done")
    assert not notebook.page.locator(".mlx-controls .orphaned").is_visible()
    usable(notebook)


@pytest.mark.parametrize(
    ("name", "images", "wanted", "words"),
    [
        ("wrong_size", "'large.png'", "done", ""),
        ("no_pictures", "'empty'", "failed", "no pictures in this folder"),
        ("broken_picture", "['good.png', 'broken.png']", "done", "broken.png"),
        ("forbidden", "Forbidden()", "failed", "Permission denied"),
    ],
)
def test_pictures_that_do_not_fit_are_told(
    opened: Any, folder: Path, name: str, images: str, wanted: str, words: str
) -> None:
    Image.fromarray(photo(900, 700)).save(folder / "large.png")
    Image.fromarray(photo()).save(folder / "good.png")
    (folder / "broken.png").write_bytes(b"\x89PNG no picture")
    (folder / "empty").mkdir(exist_ok=True)
    forbidden = (
        "class Forbidden:\n    def __iter__(self):\n        raise PermissionError(13, 'Permission denied', '/x')"
    )
    notebook = opened(name, f"{forbidden}\n{EXPLORE.replace(')', f', {images})')}")
    said = state(notebook, wanted)
    assert words in said + notebook.page.inner_text(".mlx-controls")
    usable(notebook)


def test_a_full_disk_is_told_where_one_saves(opened: Any, folder: Path) -> None:
    full = "import errno, os\nimport mlexplorer.formats.atomic as atomic\n"
    full += "def refuse(*_):\n    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))\n"
    notebook = opened("full", f"{full}written, atomic._write = atomic._write, refuse\n{EXPLORE}")
    state(notebook, "done")
    before = set(folder.iterdir())
    saved = ".mlx-controls .saved"
    notebook.page.click(".mlx-controls button.save")
    notebook.page.wait_for_function(f"() => document.querySelector('{saved}')?.textContent.includes('No space left')")
    assert {path for path in set(folder.iterdir()) - before if not path.name.startswith(".")} == set()
    notebook.execute("atomic._write = written")
    notebook.page.click(".mlx-controls button.save")
    notebook.page.wait_for_function(f"() => document.querySelector('{saved}').textContent.startsWith('Saved /')")
    usable(notebook)


def test_a_model_without_a_picture_says_what_it_takes(opened: Any, folder: Path) -> None:
    from mlexplorer import spec

    model = spec.Model(specificationVersion=4)
    model.description.input.add(name="numbers").type.multiArrayType.shape.append(5)
    model.description.input[0].type.multiArrayType.dataType = 65568
    model.description.output.add(name="sums").type.multiArrayType.dataType = 65568
    layer = model.neuralNetwork.layers.add(name="dense", input=["numbers"], output=["sums"])
    layer.innerProduct.inputChannels, layer.innerProduct.outputChannels = 5, 3
    layer.innerProduct.weights.floatValue.extend(np.linspace(-1, 1, 15).tolist())
    mle.save(mle.load(model), folder / "numbers.mlmodel")
    notebook = opened("numbers", EXPLORE.replace("painter", "numbers"))
    assert "is an array of shape [5]" in state(notebook, "failed")
    usable(notebook)


def test_a_cell_that_runs_again_closes_what_it_made_before(opened: Any) -> None:
    notebook = opened("replaced", EXPLORE, "other = mle.explore('painter.mlmodel')\nother")
    live = notebook.python(LIVE)
    first = notebook.python("(globals().update(before=explorer), explorer.comm is not None)[1]")
    assert first
    notebook.page.evaluate(MODULES)
    for _ in range(3):
        notebook.page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        notebook.knows("explorer is not before", True)
        notebook.page.wait_for_timeout(500)
    notebook.knows("before.comm is None", True)
    notebook.knows(LIVE, live)
    assert notebook.python("[explorer.comm is not None, other.comm is not None]") == [True, True]
    sizes = notebook.page.evaluate("window.modules")
    assert len(sizes) >= 36, "anywidget imports a module for each of six views, of two explorers, three times"
    assert max(sizes) < 3000, "the views themselves have been imported before"
    assert notebook.faults == []


def test_another_page_of_the_same_kernel_shows_it_too(opened: Any, browser: Any, light: str) -> None:
    notebook = opened("elsewhere", EXPLORE)
    state(notebook, "done")
    notebook.page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    other = Notebook(browser, light, "elsewhere.ipynb")
    state(other, "done")
    other.page.wait_for_function("() => document.querySelectorAll('.mlx-preview .strip .cell img').length === 16")
    usable(other)
    other.page.close()


WARM = 5
"""So many runs later the browser has compiled most of what runs often, which counts as the page's memory, too."""
ADDRESSES = """() => {
  const [create, revoke] = [URL.createObjectURL, URL.revokeObjectURL];
  window.addresses = new Set();
  URL.createObjectURL = (made) => { const url = create.call(URL, made); window.addresses.add(url); return url; };
  URL.revokeObjectURL = (url) => { window.addresses.delete(url); revoke.call(URL, url); };
}"""


MODULES = """() => {
  const create = URL.createObjectURL;
  window.modules = [];
  URL.createObjectURL = (made) => {
    if (made.type === "text/javascript") window.modules.push(made.size);
    return create.call(URL, made);
  };
}"""


@pytest.mark.slow
def test_running_the_cell_again_leaks_nothing(opened: Any, browser: Any, folder: Path) -> None:
    Image.fromarray(photo(96, 64)).save(folder / "small.png")
    notebook = opened("again", EXPLORE.replace("')", "', 'small.png')"))
    page, session = notebook.page, browser.new_cdp_session(notebook.page)
    page.evaluate(ADDRESSES)
    known = []
    for run in range(2, 23 + WARM):
        page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        notebook._until(
            f"window.jupyterapp.shell.currentWidget.context.model.toJSON().cells[0].execution_count === {run}"
        )
        notebook.knows("explorer.wait(60)", True, 60)
        state(notebook, "done")
        page.wait_for_function("() => document.querySelectorAll('.mlx-explorer').length === 1")
        for _ in range(2):
            session.send("HeapProfiler.collectGarbage")
        heap = session.send("Runtime.getHeapUsage")["usedSize"]
        nodes = session.send("Memory.getDOMCounters")["nodes"]
        kernel = notebook.python(f"[{MEMORY}, {LIVE}, len({THREADS})]", 60)
        known.append((*kernel, heap, nodes, page.evaluate("window.addresses.size")))
    names = ("kernel", "widgets", "threads", "heap", "nodes", "addresses")
    measured = dict(zip(names, zip(*known, strict=True), strict=True))
    for name, values in measured.items():
        print(name, [round(value / 1e6, 1) if value > 1e6 else value for value in values])
    for name, values in measured.items():
        assert values[-1] <= 1.1 * values[WARM], f"20 runs later there is more: {name}"
