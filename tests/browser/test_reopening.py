"""A page that is left, cut off or opened again while the kernel computes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlexplorer as mle
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.browser.slowness import SLOW
from tests.painter import deep_painter

pytestmark = pytest.mark.browser

RANGE = ".mlx-controls input[type=range]"
LINE = ".mlx-controls .orphaned"
KERNEL = "window.jupyterapp.shell.currentWidget.context.sessionContext.session.kernel"
EXPLORE = "import mlexplorer as mle\nexplorer = mle.explore('painter.mlmodel', bits=6, scheme='lookup_table_feedback')"
FILM = "() => document.querySelectorAll('.mlx-preview .strip.lookup_table_feedback .cell img').length === 8"
DONE = "() => document.querySelector('.mlx-controls .work')?.dataset.state === 'done'"


@pytest.fixture
def computing(browser: Any, light: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Notebook]:
    """A notebook with an explorer that takes some seconds to compute all depths with error feedback."""
    name = f"{request.node.name}.ipynb"
    mle.save(deep_painter(), folder / "painter.mlmodel")
    write_notebook(folder / name, f"{SLOW}{EXPLORE}\nexplorer")
    notebook = Notebook(browser, light, name)
    notebook.run_all(60)
    notebook.page.wait_for_function("() => document.querySelector('.mlx-controls .work')?.innerText.includes('layer')")
    yield notebook
    notebook.page.evaluate("void window.jupyterapp.shell.currentWidget.context.sessionContext.shutdown()")
    notebook.page.close()


def test_a_notebook_that_is_opened_again_shows_what_was_computed_meanwhile(
    computing: Notebook, light: str, screenshots: Path
) -> None:
    page = computing.page
    page.focus(RANGE)
    page.keyboard.press("ArrowRight")
    page.click(".mlx-controls button.lessons")
    computing.knows("[explorer.bits, explorer.teach]", [7, True])
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    page.on("dialog", lambda dialog: dialog.accept())
    address = page.url
    page.goto("about:blank")
    page.wait_for_timeout(1500)
    page.goto(address, wait_until="domcontentloaded")
    page.wait_for_selector(".mlx-controls h2:has-text('painter.mlmodel')", timeout=60_000)
    assert page.input_value(RANGE) == "7"
    assert page.locator(".mlx-controls .lesson").is_visible()
    page.wait_for_function(DONE, timeout=60_000)
    page.wait_for_function(FILM)  # what was computed before, while nobody looked, and after
    page.screenshot(path=screenshots / "opened_again.png")
    page.focus(RANGE)
    page.keyboard.press("Home")
    computing.knows("[explorer.bits, sorted(made)]", [1, [1, 2, 3, 4, 5, 6, 7, 8]])
    assert computing.faults == []


def test_a_lost_connection_is_told_and_nothing_is_lost(computing: Notebook, browser: Any) -> None:
    page = computing.page
    assert not page.locator(LINE).is_visible()
    # what keeps trying to reach the server is held back, and what was connected is closed
    page.evaluate(f"""() => {{
      const kernel = {KERNEL};
      window.socket = kernel.serverSettings.WebSocket;
      kernel.serverSettings.WebSocket = class extends EventTarget {{ close() {{}} }};
      kernel._ws.close();
    }}""")
    page.wait_for_function(f"() => document.querySelector('{LINE}').textContent.includes('cannot be reached')")
    page.focus(RANGE)
    page.keyboard.press("Home")
    page.evaluate(f"() => {{ {KERNEL}.serverSettings.WebSocket = window.socket; void {KERNEL}.reconnect(); }}")
    page.wait_for_function(f"() => !document.querySelector('{LINE}').textContent")
    computing.knows("explorer.bits", 1)
    page.wait_for_function(DONE, timeout=60_000)
    page.wait_for_function(FILM)
    assert computing.faults == []
    page.evaluate(f"{KERNEL}.dispose()")  # as VS Code does when the kernel restarts
    page.wait_for_function(f"() => document.querySelector('{LINE}').textContent.includes('is gone')")


def test_a_kernel_that_dies_is_told(computing: Notebook) -> None:
    computing.execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    computing.page.wait_for_function(
        f"() => document.querySelector('{LINE}').textContent.includes('run the cell again')", timeout=30_000
    )
    computing._until(f"{KERNEL}.status === 'idle'")
    assert "is gone" in computing.page.inner_text(LINE), "the new kernel knows nothing of it"
    computing.page.click(".jp-Dialog-button.jp-mod-accept")
    computing.run_all(60)
    computing.page.wait_for_function(f"() => !document.querySelector('{LINE}').textContent")
    computing.page.focus(RANGE)
    computing.page.keyboard.press("Home")
    computing.knows("explorer.bits", 1)
