"""The layer graph of long networks in headless Chromium: the first picture, folding, panning.

    python -m tests.benchmarks.graph

The networks have 500 and 3,000 layers in which little repeats, all unfolded, in a page without a kernel. Panning is
the time from one animation frame to the next while the drawing is dragged by a step in each, at three zooms; the peer
is the same wait with no dragging, the browser's own rhythm of frames. Prints milliseconds.
"""

from __future__ import annotations

import statistics
import time

from mlexplorer.views.graph import GraphView
from mlexplorer.views.report import report
from tests.browser.lab import chromium
from tests.browser.test_graph import NODE, PANE, lane_network, zoom_of

STEPS = 120
_PAN = """async ([steps, touch]) => {
  const pane = document.querySelector(".mlx-graph .pane");
  const { x, y } = pane.getBoundingClientRect();
  pane.setPointerCapture = () => {};
  const say = (type, step, buttons) => pane.dispatchEvent(new PointerEvent(type, {
    bubbles: true, clientX: x + 300, clientY: y + 300 - 12 * step, pointerId: 1, button: 0, buttons,
  }));
  if (touch) say("pointerdown", 0, 1);
  const waits = [];
  let last = await new Promise(requestAnimationFrame);
  for (let step = 1; step <= steps; step++) {
    if (touch) say("pointermove", step, 1);
    const now = await new Promise(requestAnimationFrame);
    waits.push(now - last);
    last = now;
  }
  if (touch) say("pointerup", steps, 0);
  return waits;
}"""
_PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
_FOLD = """() => {
  const button = document.querySelector(".mlx-graph .fold-all");
  const start = performance.now();
  button.click();
  return performance.now() - start;
}"""


def measure(layers: int) -> None:
    """Print the figures of a network of so many layers."""
    model = lane_network(layers)
    start = time.perf_counter()
    view = GraphView(model, opened=["*"])
    kernel = (time.perf_counter() - start) * 1000
    traits = {"bits": 4, "scheme": "linear", "layer": "", "image": 0}
    html = report({"graph": view}, title="graph", about="", traits=traits, images=[0])
    with chromium(1100, 800) as context:
        page = context.new_page()
        start = time.perf_counter()
        page.set_content(html)
        page.wait_for_selector(NODE)
        page.evaluate(_PAINTED)
        print(f"{layers} layers: kernel {kernel:.0f}, page to first picture {(time.perf_counter() - start) * 1000:.0f}")
        rhythm = statistics.median(page.evaluate(_PAN, [STEPS, False]))
        page.focus(PANE)
        for _ in range(3):
            waits = sorted(page.evaluate(_PAN, [STEPS, True]))
            zoom = zoom_of(page)[2]
            median, most = waits[STEPS // 2], waits[STEPS * 95 // 100]
            print(f"  panning at zoom {zoom:.2f}: {median:.1f}, 95 % below {most:.1f} (no panning {rhythm:.1f})")
            for _ in range(5):
                page.keyboard.press("-")
            page.wait_for_timeout(300)
        print(f"  fold and unfold all: {', '.join(f'{page.evaluate(_FOLD):.0f}' for _ in range(6))}")


def main() -> None:
    """Print all figures."""
    for layers in (500, 3000):
        measure(layers)


if __name__ == "__main__":
    main()
