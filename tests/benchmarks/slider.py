"""From moving the slider to the repainted page, in a real JupyterLab in headless Chromium, on the bundled model.

    python -m tests.benchmarks.slider

A move is an input event on the slider; it ends when the frame that it changed has been handed over to be painted: the
first task behind the next animation frame. Measured for the mouse that drags the slider, whose moves the browser hands
over at the start of a frame, and for single events at any time within a frame. The peer of these is the same wait with
no move at all, the browser's own rhythm of frames. Prints milliseconds, and those of the explorer's own work.

Then the processor's time of a move by the steps of the browser, which other work on the machine disturbs less, and what
is saved where a view is not there. Before all that, from the cell's start to the first picture on the screen, each time
with a new kernel, which compiles mlexplorer itself where PYTHONDONTWRITEBYTECODE is set: that takes it longer.
"""

from __future__ import annotations

import bisect
import json
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook, chromium, jupyterlab

MOVES = 60
STARTS = 8
STYLE_CELL = "import mlexplorer as mle\nmle.explore(mle.samples.style())"
VIEWS = ("graph", "preview", "curve", "histogram", "choosing")
_MARK = "mlexplorer move"
_MEASURE = """async ([moves, touch]) => {
  const range = document.querySelector(".mlx-controls input[type=range]");
  const painted = () => new Promise((done) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = done;
    channel.port2.postMessage(null);
  }));
  const waits = [], works = [];
  for (let move = 0; move < moves; move++) {
    await new Promise((done) => setTimeout(done, 40 + 7 * Math.random()));
    performance.mark("mlexplorer move");
    const start = performance.now();
    if (touch) {
      range.value = 1 + (move % 8);
      range.dispatchEvent(new Event("input", { bubbles: true }));
    }
    works.push(performance.now() - start);
    await painted();
    waits.push(performance.now() - start);
  }
  return [waits, works];
}"""

_WATCH = """() => {
  const moves = (window.mlexplorerMoves = []);
  document.querySelector(".mlx-controls input[type=range]").addEventListener("input", () => {
    const start = performance.now();
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => moves.push(performance.now() - start);
      channel.port2.postMessage(null);
    });
  }, true);
}"""

_PICTURE = """() => new Promise((done) => {
  const start = performance.now();
  const look = () => {
    if (!document.querySelector(".mlx-preview .stage canvas[aria-label^='Left:']")) return;
    observer.disconnect();
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => done(performance.now() - start);
      channel.port2.postMessage(null);
    });
  };
  const observer = new MutationObserver(look);
  observer.observe(document.body, { subtree: true, childList: true, attributeFilter: ["aria-label"] });
  window.jupyterapp.commands.execute("notebook:run-all-cells");
})"""
"""The stage names what it shows as soon as it has drawn it; the frame after that is on the screen."""

_CATEGORIES = ("toplevel", "blink", "blink.user_timing", "cc", "viz", "v8", "devtools.timeline")
_STEPS = {
    "style": ("Blink.Style.UpdateTime",),
    "layout": ("Blink.Layout.UpdateTime",),
    "painting": ("Blink.PrePaint.UpdateTime", "Blink.Paint.UpdateTime"),
    "composing": ("Blink.CompositingCommit.UpdateTime", "Commit"),
}
"""What the page's thread does for a frame, by the names of Chromium's trace events."""
_SCRIPTS = "EventDispatch"
_TASK = "ThreadControllerImpl::RunTask"
_DRAWING = "VizCompositorThread"


def drag(notebook: Notebook) -> list[float]:
    """Milliseconds of each move while the mouse drags the slider to and fro."""
    notebook.page.evaluate(_WATCH)
    box = notebook.page.locator(".mlx-controls input[type=range]").bounding_box()
    left, right, y = box["x"] + 5, box["x"] + box["width"] - 5, box["y"] + box["height"] / 2
    notebook.page.mouse.move(left, y)
    notebook.page.mouse.down()
    for turn in range(8):
        notebook.page.mouse.move(left if turn % 2 else right, y, steps=14)
    notebook.page.mouse.up()
    moves: list[float] = notebook.page.evaluate("window.mlexplorerMoves")
    return moves


def processor_times(notebook: Notebook) -> dict[str, float]:
    """Milliseconds of the processor that a move takes, the median of each step and of whole threads."""
    browser = notebook.page.context.browser
    browser.start_tracing(page=notebook.page, categories=list(_CATEGORIES))
    notebook.page.evaluate(_MEASURE, [MOVES // 2, True])
    events = [event for event in json.loads(browser.stop_tracing())["traceEvents"] if event.get("ph") != "E"]
    marks = [event for event in events if event["name"] == _MARK]
    starts = sorted(event["ts"] for event in marks)
    page = marks[0]["pid"], marks[0]["tid"]
    threads = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    moves = [_processor_time(own, page, threads) for own in _by_move(events, starts)]
    names = ("scripts", *_STEPS, "page", "drawing")
    return {name: statistics.median(move[name] for move in moves) / 1000 for name in names}


def _by_move(events: list[dict[str, Any]], starts: list[float]) -> list[list[dict[str, Any]]]:
    moves: list[list[dict[str, Any]]] = [[] for _ in starts]
    for event in events:
        index = bisect.bisect_right(starts, event["ts"]) - 1
        if index >= 0 and "tdur" in event:
            moves[index].append(event)
    return moves


def _processor_time(events: list[dict[str, Any]], page: tuple[int, int], threads: dict[Any, str]) -> Counter[str]:
    times: Counter[str] = Counter()
    for event in events:
        thread = event["pid"], event["tid"]
        if thread == page:
            for step, names in _STEPS.items():
                times[step] += event["tdur"] * (event["name"] in names)
            if event["name"] == _SCRIPTS:
                times["scripts"] += event["tdur"] * (event["args"].get("data", {}).get("type") == "input")
        if event["name"] == _TASK:
            times["page"] += event["tdur"] * (thread == page)
            times["drawing"] += event["tdur"] * (threads.get(thread) == _DRAWING)
    return times


def without(notebook: Notebook, view: str) -> dict[str, float]:
    """The same with a view that is not there."""
    area = notebook.page.locator(f".mlx-area-{view}")
    area.evaluate("area => { area.style.display = 'none'; }")
    try:
        return processor_times(notebook)
    finally:
        area.evaluate("area => { area.style.display = ''; }")


def first_picture(notebook: Notebook) -> tuple[float, float]:
    """Seconds from the cell's start to the first picture, and of the kernel's processor until then."""
    used = "__import__('time').process_time()"
    before = notebook.python(used)
    seconds = notebook.page.evaluate(_PICTURE) / 1000
    return seconds, notebook.python(used) - before


def first_pictures(browser: Any, address: str, folder: Path) -> list[tuple[float, float]]:
    """The same with a new kernel each time."""
    measured = []
    for start in range(STARTS):
        write_notebook(folder / f"first-{start}.ipynb", STYLE_CELL)
        notebook = Notebook(browser, address, f"first-{start}.ipynb")
        time.sleep(1)
        measured.append(first_picture(notebook))
        notebook.page.evaluate("window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
        notebook.page.close()
    return measured


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state").mkdir()
        write_notebook(folder / "slider.ipynb", STYLE_CELL)
        with jupyterlab(folder, folder / "state") as address, chromium() as browser:
            seconds, busy = zip(*first_pictures(browser, address, folder), strict=True)
            notebook = Notebook(browser, address, "slider.ipynb")
            notebook.run_all()
            notebook.page.wait_for_function(
                "() => document.querySelector('.mlx-controls .work')?.dataset.state === 'done'", timeout=480_000
            )
            time.sleep(1)
            idle, _ = notebook.page.evaluate(_MEASURE, [MOVES, False])
            waits, works = notebook.page.evaluate(_MEASURE, [MOVES, True])
            drags = drag(notebook)
            whole = processor_times(notebook)
            shares = {view: without(notebook, view) for view in VIEWS}
    print(f"dragging, {len(drags)} moves: median {statistics.median(drags):.1f} ms, longest {max(drags):.1f} ms")
    print(f"single events, {MOVES} moves: median {statistics.median(waits):.1f} ms, longest {max(waits):.1f} ms")
    print(f"of that the explorer's own work: median {statistics.median(works):.1f} ms, longest {max(works):.1f} ms")
    print(f"a frame without a move: median {statistics.median(idle):.1f} ms; ratio ", end="")
    print(f"{statistics.median(waits) / statistics.median(idle):.2f}")
    print("processor's time of a move: " + ", ".join(f"{step} {value:.1f} ms" for step, value in whole.items()))
    for view, share in shares.items():
        print(f"  less without {view}: page {whole['page'] - share['page']:.1f} ms, ", end="")
        print(f"drawing {whole['drawing'] - share['drawing']:.1f} ms")
    print(f"first picture, {STARTS} starts: median {statistics.median(seconds):.2f} s after the cell's start, ", end="")
    print(f"longest {max(seconds):.2f} s; of the kernel's processor until then {statistics.median(busy):.2f} s")


if __name__ == "__main__":
    main()
