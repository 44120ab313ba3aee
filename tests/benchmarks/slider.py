"""From moving the slider to the repainted page, in a real JupyterLab in headless Chromium, on the bundled model.

    python -m tests.benchmarks.slider

A move is an input event on the slider; it ends when the frame that it changed has been handed over to be painted: the
first task behind the next animation frame. The peer is the same wait with no move at all, the browser's own rhythm of
frames. Prints milliseconds, and those of the explorer's own work before the frame.
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
    print(f"slider to repaint, {MOVES} moves: median {statistics.median(waits):.1f} ms, longest {max(waits):.1f} ms")
    print(f"of that the explorer's own work: median {statistics.median(works):.1f} ms, longest {max(works):.1f} ms")
    print(f"a frame without a move: median {statistics.median(idle):.1f} ms; ratio ", end="")
    print(f"{statistics.median(waits) / statistics.median(idle):.2f}")


if __name__ == "__main__":
    main()
