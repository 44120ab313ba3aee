from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import comm
import pytest
import traitlets
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import CustomLayerError, InputError
from mlexplorer.exploration import Calibrated, Runs, Step
from mlexplorer.views import computation
from mlexplorer.views.background import Background
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.screen import Screen
from tests.painter import deep_painter, painter, photo
from tests.views.page import Page

SECONDS = 60


@pytest.fixture
def explorers() -> Iterator[Any]:
    opened: list[mle.Explorer] = []

    def explore(*arguments: Any, **options: Any) -> mle.Explorer:
        opened.append(mle.explore(*arguments, **options))
        return opened[-1]

    yield explore
    for explorer in opened:
        explorer.close()
        assert explorer.wait(SECONDS)


def progress(explorer: mle.Explorer) -> dict[str, Any]:
    """What the progress line says."""
    contents = Page(explorer.controls).say(type="ready")
    return next((content for content in contents if content["type"] == "progress"), {"text": "", "state": ""})


def test_everything_is_computed_in_the_background(explorers: Any) -> None:
    explorer = explorers(painter(), [photo(), photo(seed=2)])
    assert explorer.wait(SECONDS)
    assert {row.stage for row in explorer.results} == {"full"}
    assert len([row for row in explorer.results if row.image == 0]) == 17
    ahead = [row.key for row in explorer.results if row.image == 1]
    assert ahead == [("original", 32), ("lookup_table", 4)], "of other pictures what is looked at first"
    pictures = [content for content in Page(explorer.preview).say(type="ready") if content["type"] == "row"]
    assert len(pictures) == 19
    assert any(content["type"] == "weight" for content in Page(explorer.histogram).say(type="ready"))
    assert progress(explorer)["state"] == "done"
    explorer.image = 1
    assert explorer.wait(SECONDS)
    assert sorted({row.image for row in explorer.results}) == [0, 1]
    assert len(explorer.results) == 34


def test_traits_follow_the_controls_and_the_controls_follow_them(explorers: Any) -> None:
    explorer = explorers(painter(), photo(), bits=6, scheme="linear")
    assert (explorer.bits, explorer.controls.bits, explorer.preview.bits, explorer.curve.scheme) == (6, 6, 6, "linear")
    assert explorer.layer == explorer.graph.layer == explorer.histogram.layer == "brush"
    explorer.controls.bits = 3
    assert explorer.bits == 3
    explorer.scheme = "lookup_table"
    assert explorer.controls.scheme == "lookup_table"
    with pytest.raises(Exception, match="bits"):
        explorer.bits = 11


def test_the_choice_is_saved_as_the_size_says(explorers: Any, tmp_path: Path) -> None:
    mle.save(painter(), tmp_path / "painter.mlmodel")
    explorer = explorers(tmp_path / "painter.mlmodel", photo(), bits=2)
    explorer.wait(SECONDS)
    path = explorer.save(tmp_path / "small.mlmodel")
    sizes = {row.key: row.nbytes for row in explorer.results}
    assert path.stat().st_size == sizes["lookup_table", 2]
    assert mle.load(path).graph.node("brush").weight("weights").bits == 2
    assert explorer.quantized().size == explorer.plan.predicted_size(explorer.model) == sizes["lookup_table", 2]
    with pytest.raises(InputError, match="is the original"):
        explorer.save(tmp_path / "painter.mlmodel")
    page = Page(explorer.controls)
    (answer,) = page.say(type="save", name=str(tmp_path / "no" / "a.mlmodel"), scheme="linear", bits=3)
    assert answer["failed"]
    (answer,) = page.say(type="save", name=str(tmp_path / "b.mlmodel"), scheme="linear", bits=3)
    assert answer["text"].startswith(f"Saved {tmp_path / 'b.mlmodel'}")
    (answer,) = page.say(type="save", name=" ", scheme="linear", bits=3)
    assert answer["text"] == "give the file a name"


def test_a_model_that_cannot_run_says_so_and_shows_the_rest(explorers: Any) -> None:
    model = painter()
    swirl = model.spec.neuralNetwork.layers.add(name="swirl", input=["painted"], output=["swirled"])
    swirl.custom.className = "Swirl"
    explorer = explorers(mle.load(model.spec), photo())
    explorer.wait(SECONDS)
    assert isinstance(explorer.error, CustomLayerError)
    assert progress(explorer)["state"] == "failed"
    assert "Swirl" in progress(explorer)["text"]
    assert len(explorer.results) == 17
    assert any(content["type"] == "weight" for content in Page(explorer.histogram).say(type="ready"))
    assert "no outputs" in Page(explorer.preview).say(type="ready")[-1]["text"]


def test_an_empty_folder_is_an_error_on_the_screen(explorers: Any, tmp_path: Path) -> None:
    explorer = explorers(painter(), tmp_path)
    explorer.wait(SECONDS)
    assert "no pictures in this folder" in progress(explorer)["text"]
    assert isinstance(explorer.error, InputError)


def test_an_unreadable_picture_is_named_beside_the_results(explorers: Any, tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "good.png")
    explorer = explorers(painter(), [tmp_path / "good.png", tmp_path / "gone.png"])
    explorer.wait(SECONDS)
    notices = [content for content in Page(explorer.controls).say(type="ready") if content["type"] == "notice"]
    assert "gone.png" in notices[0]["text"]
    assert progress(explorer)["state"] == "done"


@pytest.fixture
def slow_rows(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Rows that wait for this event."""
    release = threading.Event()
    row = Runs.row

    def wait_first(self: Runs, step: Step, *more: Any) -> Any:
        release.wait(SECONDS)
        return row(self, step, *more)

    monkeypatch.setattr(Runs, "row", wait_first)
    return release


def test_cancel_keeps_what_is_there_and_resume_goes_on(explorers: Any, slow_rows: threading.Event) -> None:
    explorer = explorers(painter(), photo())
    while progress(explorer)["text"] != "Computing the 32-bit original, coarse":
        time.sleep(0.01)
    Page(explorer.controls).say(type="cancel")
    slow_rows.set()
    assert explorer.wait(SECONDS)
    assert progress(explorer)["state"] == "cancelled"
    known = [row for row in explorer.results if row.stage != "size"]
    assert len(known) < 17
    Page(explorer.controls).say(type="resume")
    assert explorer.wait(SECONDS)
    assert {row.stage for row in explorer.results} == {"full"}


TABLES = "lookup_table_feedback"


def feedback_depths(explorer: mle.Explorer, image: int = 0, scheme: str = TABLES) -> list[int]:
    """The depths with error feedback in the order in which they came."""
    return [row.bits for row in explorer.results if row.scheme == scheme and row.image == image]


@pytest.fixture
def _few_depths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlexplorer.views.computation.BITS", (4, 3, 2, 1))


@pytest.mark.usefixtures("_few_depths")
def test_feedback_is_computed_once_it_is_chosen_and_serves_every_picture(explorers: Any, tmp_path: Path) -> None:
    explorer = explorers(deep_painter(), [photo(), photo(seed=2)])
    assert explorer.wait(SECONDS)
    assert feedback_depths(explorer) == []
    explorer.bits = 2
    explorer.scheme = TABLES
    assert explorer.wait(SECONDS)
    assert feedback_depths(explorer) == [2, 4, 3, 1]
    assert progress(explorer)["state"] == "done"
    rows = {row.key: row for row in explorer.results}
    assert rows[TABLES, 2].quality > rows["lookup_table", 2].quality + 2
    assert rows[TABLES, 2].nbytes == rows["lookup_table", 2].nbytes
    (working,) = [c for c in Page(explorer.preview).say(type="ready") if c["type"] == "working"]
    assert working["bits"] == 0, "nothing is under way any more"
    levels = [c for c in Page(explorer.histogram).say(type="ready") if c["type"] == "calibrated"]
    assert sorted(content["bits"] for content in levels) == [1, 2, 3, 4]

    page = Page(explorer.controls)
    (answer,) = page.say(type="save", name=str(tmp_path / "small.mlmodel"), scheme=TABLES, bits=2)
    assert answer["text"].startswith("Saved")
    expected = mle.quantize(explorer.model, mle.LookupTable(bits=2), calibration="noise", progress=False)
    assert mle.load(tmp_path / "small.mlmodel").spec == explorer.quantized().spec == expected.spec
    assert explorer.plan == mle.Plan.uniform(explorer.model, mle.LookupTable(bits=2))

    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(Calibrated, "_calibrate")
        explorer.image = 1
        assert explorer.wait(SECONDS)
    assert feedback_depths(explorer, 1) == feedback_depths(explorer)


@pytest.mark.usefixtures("_few_depths")
def test_each_scheme_with_feedback_is_computed_once_it_is_chosen(explorers: Any, tmp_path: Path) -> None:
    explorer = explorers(deep_painter(), photo(), bits=3)
    explorer.scheme = "linear_feedback"
    assert explorer.wait(SECONDS)
    assert feedback_depths(explorer, scheme="linear_feedback") == [3, 4, 2, 1]
    assert feedback_depths(explorer) == []
    rows = {row.key: row for row in explorer.results}
    assert rows["linear_feedback", 2].quality > rows["linear", 2].quality + 2
    expected = mle.quantize(explorer.model, mle.Linear(bits=3), calibration="noise", progress=False)
    assert explorer.save(tmp_path / "small.mlmodel").stat().st_size == rows["linear", 3].nbytes == expected.size
    assert explorer.quantized().spec == expected.spec
    explorer.scheme = TABLES
    assert explorer.wait(SECONDS)
    assert feedback_depths(explorer) == [3, 4, 2, 1]


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, Any]]:
    """What to do in a layer, by number, counted from 0 over all layers that are calibrated."""
    plan: list[tuple[int, Any]] = []
    calibrate, count = Calibrated._calibrate, iter(range(1000))

    def watched(self: Calibrated, key: Any, progress: Any, cancelled: Any) -> Any:
        def report(layer: int, layers: int) -> None:
            number = next(count)
            for action in [action for at, action in plan if at == number]:
                action()
            progress(layer, layers)

        return calibrate(self, key, report, cancelled)

    monkeypatch.setattr(Calibrated, "_calibrate", watched)
    return plan


@pytest.mark.usefixtures("_few_depths")
def test_another_depth_comes_first_where_less_than_half_of_one_is_done(
    explorers: Any, layers: list[tuple[int, Any]]
) -> None:
    explorer = explorers(deep_painter(), photo(), bits=6)
    # 6 bits are left for 3 bits in layer 1 of 3, and 3 bits are not left for 1 bit in layer 3
    layers += [(0, lambda: setattr(explorer, "bits", 3)), (3, lambda: setattr(explorer, "bits", 1))]
    explorer.scheme = TABLES
    assert explorer.wait(SECONDS)
    assert feedback_depths(explorer) == [3, 1, 4, 2]


@pytest.mark.usefixtures("_few_depths")
def test_feedback_is_cancelled_within_a_layer_and_goes_on(explorers: Any, layers: list[tuple[int, Any]]) -> None:
    explorer = explorers(deep_painter(), photo(), bits=4)
    assert explorer.wait(SECONDS)
    layers.append((4, lambda: Page(explorer.controls).say(type="cancel")))
    explorer.scheme = TABLES
    assert explorer.wait(SECONDS)
    assert feedback_depths(explorer) == [4]
    assert progress(explorer)["state"] == "cancelled"
    (answer,) = Page(explorer.controls).say(type="save", name="a.mlmodel", scheme=TABLES, bits=5)
    assert answer == {
        "type": "saved",
        "text": "5 bit LUT + feedback is not computed yet; choose it, or press Resume",
        "failed": True,
    }
    explorer.scheme = "linear"
    assert not explorer._computing.background.busy
    explorer.scheme = TABLES
    assert explorer.wait(SECONDS)
    assert feedback_depths(explorer) == [4, 3, 2, 1]


def test_what_cannot_be_calibrated_leaves_the_other_outputs(explorers: Any, tmp_path: Path) -> None:
    explorer = explorers(painter(), photo(), scheme=TABLES, calibration=tmp_path)
    assert explorer.wait(SECONDS)
    assert "no pictures in this folder" in progress(explorer)["text"]
    assert progress(explorer)["state"] == "failed"
    assert isinstance(explorer.error, InputError)
    assert {row.stage for row in explorer.results} == {"full"}
    assert len(explorer.results) == 17
    assert not [c for c in Page(explorer.preview).say(type="ready") if c["type"] == "notice"]


def test_the_first_picture_waits_for_what_is_chosen_only(explorers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    add, prepare = Screen.add, Histogram.prepare
    monkeypatch.setattr(Screen, "add", lambda self, row: (done.append((row.stage, *row.key)), add(self, row)))
    monkeypatch.setattr(Histogram, "prepare", lambda self, layer: (done.append(layer), prepare(self, layer)))
    explorer = explorers(painter(), photo(), bits=3, scheme="linear")
    assert explorer.wait(SECONDS)
    assert done[:3] == [("size", "original", 32), ("size", "linear", 3), ("coarse", "original", 32)]
    assert {stage for stage, *_ in done[3:18]} == {"size"}
    assert len({tuple(key) for _, *key in done[3:18]}) == 15
    assert done[18:20] == ["brush", ("coarse", "linear", 3)]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a kernel, which a page that is still to come could hear."""
    monkeypatch.setattr(comm.DummyComm, "kernel", object(), raising=False)


def outputs(explorer: mle.Explorer) -> int:
    return sum(bool(row.outputs) for row in explorer.results)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.usefixtures("kernel")
def test_a_page_that_loads_has_the_processor_for_itself_until_it_has_drawn_something(
    explorers: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(computation, "PAGE_LOADS", SECONDS)
    explorer = explorers(painter(), photo())
    wait_until(lambda: outputs(explorer) == 1)
    time.sleep(0.3)
    assert len(explorer.results) == 2, "the original, and the size of what is chosen"
    page = Page(explorer.preview)
    page.say(type="ready")
    time.sleep(0.3)
    assert len(explorer.results) == 2, "nothing is drawn yet"
    page.say(type="drawn")
    wait_until(lambda: outputs(explorer) == 17)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("goes_on", ["page never comes", "waited for", "cancelled"])
def test_what_waits_for_a_page_goes_on_without_one(
    explorers: Any, monkeypatch: pytest.MonkeyPatch, goes_on: str
) -> None:
    monkeypatch.setattr(computation, "PAGE_LOADS", 0.5 if goes_on == "page never comes" else SECONDS)
    explorer = explorers(painter(), photo())
    wait_until(lambda: outputs(explorer) == 1)
    started = time.monotonic()
    if goes_on == "cancelled":
        explorer.cancel()
        assert explorer.wait(SECONDS)
        assert outputs(explorer) == 1
    elif goes_on == "waited for":
        assert explorer.wait(SECONDS)
        assert outputs(explorer) == 17
    else:
        wait_until(lambda: outputs(explorer) == 17)
    assert time.monotonic() - started < SECONDS / 2


@pytest.mark.usefixtures("kernel")
def test_what_cannot_run_waits_for_no_page(explorers: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computation, "PAGE_LOADS", SECONDS)
    model = painter()
    model.spec.neuralNetwork.layers.add(name="swirl", input=["painted"], output=["swirled"]).custom.className = "Swirl"
    started = time.monotonic()
    explorer = explorers(mle.load(model.spec), photo())
    wait_until(lambda: progress(explorer)["state"] == "failed")
    assert time.monotonic() - started < SECONDS / 2
    assert len(explorer.results) == 17


def test_the_page_waits_for_a_histogram_that_comes_even_where_the_computation_is_cancelled(
    explorers: Any, slow_rows: threading.Event
) -> None:
    explorer = explorers(painter(), photo())
    while progress(explorer)["text"] != "Computing the 32-bit original, coarse":
        time.sleep(0.01)
    page = Page(explorer.histogram)
    assert [message["layer"] for message in page.say(type="ready") if message["type"] == "layer"] == ["brush"]
    assert not any(message["type"] == "weight" for message in page.say(type="ready"))
    explorer.cancel()
    slow_rows.set()
    assert explorer.wait(SECONDS)
    assert any(message["type"] == "weight" for message in page.say(type="ready"))


def test_closing_stops_the_thread(explorers: Any, slow_rows: threading.Event) -> None:
    explorer = explorers(painter(), photo())
    explorer.close()
    slow_rows.set()
    assert explorer.wait(SECONDS)
    explorer.resume()
    assert not explorer._computing.background.busy


def test_the_latest_job_wins() -> None:
    background = Background("test")
    started, ended = threading.Event(), []

    def first(cancelled: threading.Event) -> None:
        started.set()
        cancelled.wait(SECONDS)
        ended.append("first")

    background.submit(first)
    started.wait(SECONDS)
    for name in ("second", "third", "last"):
        background.submit(lambda _, name=name: ended.append(name))
    assert background.wait(SECONDS)
    assert ended[0] == "first"
    assert ended[-1] == "last"
    assert len(ended) <= 4


def test_a_job_that_raises_is_reported_and_the_next_one_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", reported.append)
    background, ended = Background("test"), []

    def broken(_: threading.Event) -> None:
        background.submit(lambda _: ended.append("next"))
        raise ZeroDivisionError

    background.submit(broken)
    assert background.wait(SECONDS)
    assert ended == ["next"]
    assert reported[0].exc_type is ZeroDivisionError


def test_two_explorers_do_not_disturb_each_other(explorers: Any) -> None:
    one, two = explorers(painter(), photo(), bits=2), explorers(painter(classes=6), photo(), bits=7)
    assert one.wait(SECONDS)
    assert two.wait(SECONDS)
    one.bits = 5
    assert two.bits == 7
    assert {row.metric for row in one.results} == {"PSNR"}
    assert {row.metric for row in two.results} == {"SNR"}


def test_refused_arguments_leave_nothing_behind() -> None:
    import gc

    with pytest.raises(traitlets.TraitError):
        mle.explore(painter(), bits=9)
    gc.collect()
    assert not [thread for thread in threading.enumerate() if thread.name == "mlexplorer explorer"]


def test_the_graph_gets_the_shapes_inside_the_model(explorers: Any) -> None:
    explorer = explorers(painter(), photo())
    assert explorer.wait(SECONDS)
    (told,) = [content for content, _ in explorer.graph.recorded() if content["type"] == "shapes"]
    outputs = {blob for node in explorer.model.graph.nodes for blob in node.outputs}
    assert outputs <= set(told["shapes"])
