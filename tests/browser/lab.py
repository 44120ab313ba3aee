"""Real Jupyter servers and a real Chromium for the browser tests, each in folders of its own."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_SETTINGS: dict[str, dict[str, Any]] = {
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}
_LAB_ARGUMENTS = (
    *("--LabApp.extension_manager=readonly", "--LabApp.news_url=None"),
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
)
_SERVER_SECONDS = 60
_PAGE_MILLISECONDS = 60_000


def find_chromium() -> str | None:
    """The path of an installed Chromium or Chrome, or None."""
    return next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)


@contextmanager
def jupyterlab(folder: Path, state: Path, theme: str = "JupyterLab Light") -> Iterator[str]:
    """Serve a folder; yields the server's address. Settings, kernels and workspaces go to `state`."""
    _write_settings(state, theme)
    with serving("jupyterlab", folder, state, "--LabApp.expose_app_in_browser=True", *_LAB_ARGUMENTS) as address:
        yield address


@contextmanager
def notebook7(folder: Path, state: Path) -> Iterator[str]:
    """The same with Jupyter Notebook 7, which draws notebooks by JupyterLab's parts on pages of their own."""
    _write_settings(state, "JupyterLab Light")
    with serving("notebook", folder, state, "--JupyterNotebookApp.expose_app_in_browser=True") as address:
        yield address


@contextmanager
def voila(notebook: Path, state: Path) -> Iterator[str]:
    """Serve one notebook as a page without code; yields its address."""
    with _server("voila", state, str(notebook), "--Voila.ip=127.0.0.1") as address:
        yield address


@contextmanager
def serving(module: str, folder: Path, state: Path, *arguments: str) -> Iterator[str]:
    """A Jupyter server of a folder, open to this machine without a token; yields its address."""
    common = (
        *("--allow-root", "--ip=127.0.0.1", "--ServerApp.port_retries=0", "--IdentityProvider.token="),
        *("--ServerApp.disable_check_xsrf=True", f"--ServerApp.root_dir={folder}"),
    )
    with _server(module, state, *common, *arguments) as address:
        yield address


@contextmanager
def _server(module: str, state: Path, *arguments: str) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},  # as users have it
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
        "JUPYTER_CONFIG_DIR": str(state / "config"),
        "JUPYTER_DATA_DIR": str(state / "data"),
        "JUPYTER_RUNTIME_DIR": str(state / "runtime"),
        "JUPYTERLAB_WORKSPACES_DIR": str(state / "workspaces"),
        "JUPYTERLAB_SETTINGS_DIR": str(state / "settings"),
        "IPYTHONDIR": str(state / "ipython"),
        "XDG_CACHE_HOME": str(state / "cache"),
    }
    command = [sys.executable, "-m", module, "--no-browser", f"--port={port}", *arguments]
    with (state / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(f"{address}/api/status", server, state / "server.log")
            yield address
        finally:
            server.terminate()
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                server.kill()


def _write_settings(state: Path, theme: str) -> None:
    settings = {**_SETTINGS, "@jupyterlab/apputils-extension/themes": {"theme": theme, "adaptive-theme": False}}
    for name, values in settings.items():
        file = state / "settings" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))


def _wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SERVER_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return  # it answers, if not this: Voila has no status
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def chromium(width: int = 1400, height: int = 1150) -> Iterator[Any]:
    """A browser context that reaches this machine only."""
    from playwright.sync_api import sync_playwright

    executable = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, headless=True, args=_ARGUMENTS)
        try:
            context = browser.new_context(viewport={"width": width, "height": height}, accept_downloads=True)
            context.set_default_timeout(20_000)
            context.route("**/*", _only_this_machine)
            yield context
        finally:
            browser.close()


def _only_this_machine(route: Any) -> None:
    url = route.request.url
    if "//127.0.0.1" in url or url.startswith(("data:", "blob:", "file:")):
        route.continue_()
    else:
        route.abort()


class Notebook:
    """A notebook open in JupyterLab, or at another `place` in Notebook 7, its kernel idle."""

    def __init__(self, context: Any, address: str, name: str, place: str = "doc/tree/{name}?reset") -> None:
        self.page = context.new_page()
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._listen)
        self.page.goto(f"{address}/{place.format(name=name)}", wait_until="domcontentloaded")
        self._until("window.jupyterapp && window.jupyterapp.started")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=_PAGE_MILLISECONDS)
        self._until(f"{_SESSION}?.session?.kernel?.status === 'idle'")

    def run_all(self, seconds: float = 120) -> None:
        """Run all cells; raises AssertionError with the first errors of the notebook's own model."""
        self.page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        self._until(
            f"{_MODEL}.cells.filter(c => c.cell_type === 'code' && c.source.length)"
            ".every(c => c.execution_count !== null || (c.outputs || []).some(o => o.output_type === 'error'))",
            seconds,
        )
        assert not self.errors(), self.errors()

    def errors(self) -> list[str]:
        """The errors in the notebook's outputs."""
        errors: list[str] = self.page.evaluate(
            f"{_MODEL}.cells.flatMap(c => (c.outputs || []).filter(o => o.output_type === 'error')"
            ".map(o => o.ename + ': ' + o.evalue))"
        )
        return errors

    def python(self, expression: str, seconds: float = 30) -> Any:
        """The value of a Python expression in the notebook's kernel, through JSON."""
        self.execute(f"import json; print(json.dumps({expression}))")
        self._until("window.mlexplorerReply !== null", seconds)
        reply = self.page.evaluate("window.mlexplorerReply")
        assert reply["error"] is None, reply["error"]
        return json.loads(reply["text"])

    def execute(self, code: str) -> None:
        """Send code to the kernel without waiting; the reply comes to `window.mlexplorerReply`."""
        self.page.evaluate(_EXECUTE, code)

    def knows(self, expression: str, value: Any, seconds: float = 10) -> None:
        """Assert that a Python expression gets this value; the page sends what changed with a delay."""
        deadline = time.monotonic() + seconds
        while (known := self.python(expression)) != value and time.monotonic() < deadline:
            time.sleep(0.05)
        assert known == value, f"{expression} is {known!r}"

    def _until(self, condition: str, seconds: float = 60) -> None:
        self.page.wait_for_function(f"() => {condition}", timeout=seconds * 1000)

    def _listen(self, message: Any) -> None:
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)


_PANEL = "window.jupyterapp.shell.currentWidget"
_SESSION = f"{_PANEL}?.context?.sessionContext"
_MODEL = f"{_PANEL}.context.model.toJSON()"
_EXECUTE = f"""code => {{
  window.mlexplorerReply = null;
  const future = {_SESSION}.session.kernel.requestExecute({{ code, store_history: false }});
  let text = "", error = null;
  future.onIOPub = m => {{
    if (m.header.msg_type === "stream") text += m.content.text;
    if (m.header.msg_type === "error") error = m.content.ename + ": " + m.content.evalue;
  }};
  future.done.then(() => {{ window.mlexplorerReply = {{ text, error }}; }});
}}"""
