"""From moving the slider to the repainted page, in a real JupyterLab in headless Chromium, on the bundled model.

    python -m tests.benchmarks.slider

A move is an input event on the slider; it ends when the frame that it changed has been handed over to be painted: the
first task behind the next animation frame. Measured for the mouse that drags the slider, whose moves the browser hands
over at the start of a frame, and for single events at any time within a frame. The peer of these is the same wait with
no move at all, the browser's own rhythm of frames. Prints milliseconds, and those of the explorer's own work.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook, chromium, jupyterlab

MOVES = 60
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


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "state").mkdir()
        write_notebook(folder / "slider.ipynb", "import mlexplorer as mle\nmle.explore(mle.samples.style())")
        with jupyterlab(folder, folder / "state") as address, chromium() as browser:
            notebook = Notebook(browser, address, "slider.ipynb")
            notebook.run_all(180)
            notebook.page.wait_for_function(
                "() => document.querySelector('.mlx-controls .work')?.dataset.state === 'done'", timeout=240_000
            )
            idle, _ = notebook.page.evaluate(_MEASURE, [MOVES, False])
            waits, works = notebook.page.evaluate(_MEASURE, [MOVES, True])
            drags = drag(notebook)
    print(f"dragging, {len(drags)} moves: median {statistics.median(drags):.1f} ms, longest {max(drags):.1f} ms")
    print(f"single events, {MOVES} moves: median {statistics.median(waits):.1f} ms, longest {max(waits):.1f} ms")
    print(f"of that the explorer's own work: median {statistics.median(works):.1f} ms, longest {max(works):.1f} ms")
    print(f"a frame without a move: median {statistics.median(idle):.1f} ms; ratio ", end="")
    print(f"{statistics.median(waits) / statistics.median(idle):.2f}")


if __name__ == "__main__":
    main()
