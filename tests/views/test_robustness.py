"""What is said at once, what is closed, and what is told of inputs that fail, without a browser."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.exploration import Calibrated, Runs
from mlexplorer.progress import check
from mlexplorer.quantization.plan import quantize
from mlexplorer.views import cells
from tests.painter import deep_painter, painter, photo
from tests.views.page import Page

SECONDS = 60


def progress(explorer: mle.Explorer) -> dict[str, Any]:
    """What the progress line says."""
    contents = Page(explorer.controls).say(type="ready")
    return next(content for content in contents if content["type"] == "progress")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """The steps hold, whatever is cancelled; the first event tells that one has begun, the second lets them go."""
    begun, go_on = threading.Event(), threading.Event()
    row = Runs.row

    def hold(self: Runs, *arguments: Any) -> Any:
        begun.set()
        assert go_on.wait(SECONDS)
        return row(self, *arguments)

    monkeypatch.setattr(Runs, "row", hold)
    yield begun, go_on
    go_on.set()


def test_cancel_is_said_before_the_step_ends_and_stays(held: tuple[threading.Event, threading.Event]) -> None:
    begun, go_on = held
    explorer = mle.explore(painter(), photo())
    assert begun.wait(SECONDS)
    explorer.cancel()
    assert progress(explorer)["state"] == "cancelled"
    go_on.set()
    assert explorer.wait(SECONDS)
    assert progress(explorer)["state"] == "cancelled"
    assert len([row for row in explorer.results if row.stage != "size"]) < 17
    explorer.resume()
    assert explorer.wait(SECONDS)
    assert progress(explorer)["state"] == "done"
    explorer.close()


def test_closing_within_a_step_ends_quietly(held: tuple[threading.Event, threading.Event]) -> None:
    begun, go_on = held
    raised: list[Any] = []
    hook, threading.excepthook = threading.excepthook, raised.append
    explorer = mle.explore(painter(), photo())
    assert begun.wait(SECONDS)
    explorer.close()
    go_on.set()
    assert explorer.wait(SECONDS)
    threading.excepthook = hook
    assert raised == []
    assert explorer._computing._runs is None, "the network can go"


def test_ten_fast_moves_lead_to_the_last_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    begun = threading.Event()

    def slowly(self: Calibrated, plan: mle.Plan, progress: Any, cancelled: threading.Event | None) -> mle.Model:
        for layer in range(1, 21):
            progress(layer, 20)
            check(cancelled)
            begun.set()
            time.sleep(0.02)
        made.append(max(scheme.bits for scheme in plan.schemes.values()))
        return quantize(self.original, plan)

    monkeypatch.setattr(Calibrated, "_calibrate", slowly)
    explorer = mle.explore(painter(), photo(), scheme="lookup_table_feedback", bits=8)
    assert begun.wait(SECONDS)
    for bits in (7, 6, 5, 4, 3, 2, 1, 2, 3, 4):
        explorer.bits = bits
        time.sleep(0.01)
    deadline = time.monotonic() + SECONDS
    while 4 not in made and time.monotonic() < deadline:
        time.sleep(0.01)
    explorer.cancel()
    assert explorer.wait(SECONDS)
    assert made in ([4], [8, 4]), "nothing was made of what was passed over; 8 only where it was nearly there"
    explorer.close()


def test_cancel_and_close_end_the_thread_within_a_fifth_of_a_second() -> None:
    model = mle.samples.style()
    times = []
    for pause in (0.1, 0.5, 1.0, 1.5, 2.5):
        explorer = mle.explore(model, mle.samples.photos()[:1])
        (thread,) = [thread for thread in threading.enumerate() if thread.name == "mlexplorer explorer"]
        time.sleep(pause)
        assert thread.is_alive(), "it was still computing"
        began = time.perf_counter()
        explorer.close()
        thread.join(SECONDS)
        times.append(time.perf_counter() - began)
    print("ended after [ms]", [round(seconds * 1000) for seconds in times])
    assert sorted(times)[2] < 0.2


def test_a_page_that_closes_the_explorer_ends_its_thread(held: tuple[threading.Event, threading.Event]) -> None:
    begun, go_on = held
    explorer = mle.explore(painter(), photo())
    assert begun.wait(SECONDS)
    assert explorer.comm is not None
    explorer.comm.handle_close({"content": {"comm_id": explorer.comm.comm_id}})
    go_on.set()
    assert explorer.wait(SECONDS)
    assert explorer.comm is None
    assert explorer._computing._runs is None


def test_a_kernel_that_computes_shuts_down_at_once() -> None:
    code = "import mlexplorer as mle\nexplorer = mle.explore(mle.samples.style(), scheme='lookup_table_feedback')"
    manager, client = start_new_kernel(kernel_name="python3")
    reply = client.execute_interactive(code, timeout=SECONDS, output_hook=lambda _: None)
    assert reply["content"]["status"] == "ok", reply["content"]
    busy = client.execute_interactive("assert not explorer.wait(0.5)", timeout=SECONDS, output_hook=lambda _: None)
    assert busy["content"]["status"] == "ok", "it computes"
    began = time.monotonic()
    manager.shutdown_kernel()
    took = time.monotonic() - began
    client.stop_channels()
    client.context.destroy()
    assert not manager.is_alive()
    assert took < manager.shutdown_wait_time, "it went by itself"


class _Shell:
    def __init__(self) -> None:
        self.parent: dict[str, Any] = {}

    def get_parent(self) -> dict[str, Any]:
        return self.parent

    def run(self, cell: str, run: str) -> None:
        self.parent = {"metadata": {"cellId": cell}, "header": {"msg_id": run}}


class _Shown:
    open = True

    def close(self) -> None:
        self.open = False


def test_a_cell_closes_what_it_made_in_an_earlier_run(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = _Shell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setattr(cells, "_made", {})
    made = [_Shown() for _ in range(5)]
    for shown, place in zip(made, (("a", "1"), ("a", "1"), ("b", "2"), ("a", "3"), ("", "4")), strict=True):
        shell.run(*place)
        cells.replace(shown)
    assert [shown.open for shown in made] == [False, False, True, True, True]


def test_an_ml_program_says_that_it_cannot_run_and_shows_the_rest() -> None:
    model = spec.Model(specificationVersion=6)
    image = model.description.input.add(name="photo").type.imageType
    image.width, image.height, image.colorSpace = 48, 32, 20
    model.mlProgram.functions["main"].opset = "CoreML5"
    model.mlProgram.version = 1
    explorer = mle.explore(mle.load(model), photo())
    assert explorer.wait(SECONDS)
    assert progress(explorer)["state"] == "failed"
    assert "program" in progress(explorer)["text"].lower()
    explorer.bits = 2
    assert explorer.controls.bits == 2
    explorer.close()


def test_a_folder_that_may_not_be_read_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(tmp_path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    monkeypatch.setattr(os, "scandir", refuse)
    monkeypatch.setattr(os, "listdir", refuse)
    explorer = mle.explore(painter(), tmp_path)
    assert explorer.wait(SECONDS)
    monkeypatch.undo()
    assert progress(explorer)["state"] == "failed"
    assert str(tmp_path) in progress(explorer)["text"]
    explorer.close()


def test_a_full_disk_leaves_no_file_and_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*arguments: Any) -> Any:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    explorer = mle.explore(deep_painter(), photo())
    assert explorer.wait(SECONDS)
    monkeypatch.setattr("mlexplorer.formats.atomic._write", refuse)
    page = Page(explorer.controls)
    (answer,) = page.say(type="save", name=str(tmp_path / "small.mlmodel"), scheme="linear", bits=3)
    assert answer["failed"]
    assert os.strerror(errno.ENOSPC) in answer["text"]
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    (answer,) = page.say(type="save", name=str(tmp_path / "small.mlmodel"), scheme="linear", bits=3)
    assert answer["text"].startswith("Saved ")
    explorer.close()
