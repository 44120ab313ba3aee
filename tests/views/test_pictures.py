"""Other pictures in a running explorer: what was measured on those before goes, what was chosen stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import inputs
from mlexplorer.errors import InputError
from mlexplorer.exploration import MIXED, Row
from mlexplorer.progress import check
from mlexplorer.quantization.plan import Plan
from mlexplorer.views import pictures
from mlexplorer.views.preview import Preview
from tests.formats.models import network
from tests.painter import deep_classifier, deep_painter, painter, photo
from tests.views.page import Page
from tests.web_server import Server, sends

SECONDS = 60


@pytest.fixture(autouse=True, params=[pictures.READING, 0], ids=["read at once", "read one by one"])
def _reading(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "READING", request.param)


@pytest.fixture
def explorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened: list[mle.Explorer] = []

    def explore(*arguments: Any, **options: Any) -> mle.Explorer:
        opened.append(mle.explore(*arguments, **options))
        assert opened[-1].wait(SECONDS)
        return opened[-1]

    yield explore
    for explorer in opened:
        explorer.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures that can be read, and one that cannot."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed, name in enumerate(("a", "b", "c"), 3):
        Image.fromarray(photo(50 + seed, 30, seed)).save(folder / f"{name}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG no picture")
    return folder


def measured(explorer: mle.Explorer, image: int) -> dict[Any, Row]:
    return {row.key: row for row in explorer.results if row.image == image}


def replayed(view: Any, kind: str) -> list[dict[str, Any]]:
    """What a page that comes now would get of this type."""
    return [content for content in Page(view).say(type="ready") if content["type"] == kind]


def test_other_pictures_are_measured_as_in_a_new_explorer(explorers: Any, folder: Path) -> None:
    model = deep_painter()
    explorer = explorers(model, [photo(), photo(seed=2)], bits=3, scheme="linear")
    explorer.take(Plan.uniform(model, mle.LookupTable(2)))
    explorer.image = 1
    explorer.layer = "sketch"
    assert explorer.wait(SECONDS)
    page = Page(explorer.preview)
    explorer.show_images(folder)
    assert explorer.wait(SECONDS)
    chosen = {name: getattr(explorer, name) for name in ("bits", "scheme", "layer", "image")}
    assert chosen == {"bits": 3, "scheme": MIXED, "layer": "sketch", "image": 0}
    other = explorers(model, folder, bits=3, scheme="linear")
    expected = measured(other, 0)
    assert {key: row for key, row in measured(explorer, 0).items() if key[0] != MIXED} == expected
    assert len(expected) == 17
    assert any(row.quality is not None for row in explorer.results if row.scheme == MIXED), "the plan stays and is run"
    assert {row.image for row in explorer.results} == {0, 1, 2}
    kinds = [content["type"] for content, _ in page.received]
    assert "forget_pictures" in kinds
    assert kinds.index("forget_pictures") < kinds.index("inputs")
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["a", "b", "c"]
    for view in (explorer.preview, explorer.curve, explorer.controls, explorer.choosing):
        rows = [row for row in replayed(view, "row") if row["stage"] != "size"]
        keys = {(row["image"], row["scheme"], row["bits"]) for row in rows}
        assert keys == {(row.image, *row.key) for row in explorer.results if row.stage != "size"}
    assert "broken.png" in replayed(explorer.controls, "notice")[0]["text"]
    assert [Path(source).name for source in explorer.images] == ["a.png", "b.png", "broken.png", "c.png"]


def test_added_pictures_come_after_those_that_are_there(explorers: Any, folder: Path) -> None:
    explorer = explorers(deep_painter(), [photo()])
    before = measured(explorer, 0)
    explorer.show_images(folder, add=True)
    assert explorer.wait(SECONDS)
    assert explorer.image == 1
    after = measured(explorer, 0)
    assert all(after[key] is before[key] for key in before), "they are not run again"
    assert measured(explorer, 1) == {
        key: Row(**{**vars(row), "image": 1}) for key, row in measured(explorers(deep_painter(), folder), 0).items()
    }
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["image 1", "a", "b", "c"]


@pytest.mark.parametrize("_reading", [0], indirect=True)
def test_the_first_picture_is_run_before_all_are_read(
    explorers: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "broken.png").rename(folder / "d.png")
    hold, held, read = threading.Event(), threading.Event(), inputs.open_picture

    def slowly(source: Any, cancelled: threading.Event) -> Any:
        if Path(source).name == "c.png":
            held.set()
            while not hold.wait(0.01):
                check(cancelled)
        return read(source, cancelled)

    monkeypatch.setattr(inputs, "open_picture", slowly)
    explorer = mle.explore(deep_classifier(), folder)
    assert held.wait(SECONDS)
    assert len(measured(explorer, 0)) == 17
    assert measured(explorer, 0)["linear", 4].agreement is not None, "there will be several"
    assert replayed(explorer.controls, "progress")[0]["text"] == "Reading pictures: 2 of 4"
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["a", "b"]
    explorer.cancel()
    assert explorer.wait(SECONDS)
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["a", "b"]
    hold.set()
    explorer.image = 2
    assert explorer.wait(SECONDS)
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["a", "b", "c"]
    assert "d.png" in replayed(explorer.controls, "notice")[0]["text"]
    assert max(rate.total for row in explorer.results if (rate := row.agreement)) == 3
    explorer.close()


@pytest.mark.parametrize("_reading", [SECONDS], indirect=True)
def test_pictures_that_are_read_at_once_are_offered_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered: list[int] = []
    offer = Preview.offer
    monkeypatch.setattr(Preview, "offer", lambda self, given: (offered.append(len(given)), offer(self, given)))
    explorer = mle.explore(deep_painter(), folder)
    assert explorer.wait(SECONDS)
    explorer.image = 1
    assert explorer.wait(SECONDS)
    explorer.show_images([photo()], add=True)
    assert explorer.wait(SECONDS)
    assert offered == [3, 4]
    explorer.close()


def test_pictures_asked_for_at_once_are_all_there(explorers: Any, folder: Path) -> None:
    explorer = mle.explore(deep_painter(), [photo()])
    for name in ("a", "b", "c"):
        explorer.show_images(folder / f"{name}.png", add=True)
        explorer.resume()
    assert explorer.wait(SECONDS)
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["image 1", "a", "b", "c"]
    assert explorer.image == 3
    explorer.close()


def test_a_classifier_is_judged_on_the_pictures_that_are_there(explorers: Any, folder: Path) -> None:
    explorer = explorers(painter(classes=7), [photo()])
    explorer.show_images(folder, add=True)
    assert explorer.wait(SECONDS)
    agreements = [row.agreement for row in explorer.results if row.key == ("lookup_table", 4)]
    assert max(rate.total for rate in agreements) == 4
    explorer.show_images([photo(seed=9), photo(seed=8)])
    assert explorer.wait(SECONDS)
    agreements = [row.agreement for row in explorer.results if row.key == ("lookup_table", 4)]
    assert max(rate.total for rate in agreements) == 2


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ("empty", "empty: no pictures in this folder"),
        ("nowhere", "nowhere: there is no such file or folder"),
        ("photos/broken.png", "photos/broken.png: "),
        ("ftp://server/a.png", "only addresses with http or https"),
    ],
)
def test_what_cannot_be_read_leaves_all_as_it_was(
    explorers: Any, folder: Path, images: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    Path("empty").mkdir()
    explorer = explorers(deep_painter(), [photo()], bits=5)
    before = explorer.results
    with pytest.raises(InputError, match=words):
        explorer.show_images(images)
    assert explorer.wait(SECONDS)
    assert explorer.results == before
    assert explorer.error is None


def test_pictures_at_addresses_are_shown_as_their_files_are(explorers: Any, folder: Path, server: Server) -> None:
    for name in ("a.png", "b.png"):
        server.answers[f"/{name}"] = sends((folder / name).read_bytes())
    explorer = explorers(deep_painter(), f"{server.address}/a.png")
    explorer.show_images([f"{server.address}/b.png", f"{server.address}/missing.png"], add=True)
    assert explorer.wait(SECONDS)
    other = explorers(deep_painter(), [folder / "a.png", folder / "b.png"])
    other.image = 1
    assert other.wait(SECONDS)
    assert [measured(explorer, image) for image in (0, 1)] == [measured(other, image) for image in (0, 1)]
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["a", "b"]
    assert "there is nothing at" in replayed(explorer.controls, "notice")[0]["text"]


def test_a_picture_that_does_not_come_is_not_waited_for_once_cancelled(server: Server) -> None:
    def stalls(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        server.over.wait(SECONDS)

    asked, server.answers["/a.png"] = threading.Event(), stalls
    explorer = mle.explore(deep_painter(), f"{server.address}/a.png")
    assert asked.wait(SECONDS)
    explorer.cancel()
    assert explorer.wait(5)
    assert explorer.error is None
    explorer.show_images([photo()])
    assert explorer.wait(SECONDS)
    assert len(measured(explorer, 0)) == 17
    explorer.close()


def test_an_explorer_without_pictures_is_mended(explorers: Any, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    explorer = explorers(deep_painter(), tmp_path / "empty")
    assert isinstance(explorer.error, InputError)
    explorer.show_images(folder, add=True)
    assert explorer.wait(SECONDS)
    assert explorer.error is None
    assert len(measured(explorer, 0)) == 17
    assert replayed(explorer.preview, "notice")[0]["text"] == ""


@pytest.mark.parametrize("_reading", [SECONDS], indirect=True)
def test_the_page_asks_for_pictures_and_hears_what_is_wrong(explorers: Any, folder: Path) -> None:
    explorer, other = explorers(painter(sizes="fixed"), [photo()]), explorers(painter(sizes="fixed"), [photo()])

    def ask(**content: Any) -> str:
        buffers = [content.pop("buffer")] if "buffer" in content else []
        explorer.preview._handle_custom_msg({"field": "pictures", **content}, buffers)
        assert explorer.preview.wait_for_fields(SECONDS)
        assert explorer.wait(SECONDS)
        said = replayed(explorer.preview, "said")[0]
        return f"{said['state']}: {said['text']}"

    said = ask(type="open", path=str(folder))
    assert said.startswith("done: 3 pictures shown. All are fitted to the model's size, 48 x 32. Left out: ")
    assert "broken.png" in said
    assert replayed(explorer.preview, "offer")[0]["recent"] == [str(folder)]
    data = (folder / "b.png").read_bytes()
    chunk = {"type": "chunk", "upload": "u", "offset": 0, "total": len(data), "buffer": data}
    assert ask(name="mine.png", add=True, **chunk).startswith("done: 1 picture added. It is fitted")
    assert explorer.image == 3
    assert ask(name="notes.txt", **{**chunk, "upload": "v", "buffer": b"x" * len(data)}).startswith(
        "failed: notes.txt:"
    )
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["a", "b", "c", "mine"]
    assert ask(type="sample").startswith("done: ")
    assert explorer.image == 0
    assert replayed(other.preview, "inputs")[0]["names"] == ["image 1"]


def test_a_model_without_a_picture_offers_no_other_pictures(explorers: Any) -> None:
    explorer = explorers(mle.load(network()), [np.linspace(0, 1, 3, dtype=np.float32)])
    assert replayed(explorer.preview, "offer") == []
    with pytest.raises(InputError, match=r"is an array of shape \[3\]"):
        explorer.open_pictures(None)
    explorer.show_images([np.full(3, 0.5, np.float32), np.zeros(3, np.float32)])
    assert explorer.wait(SECONDS)
    assert replayed(explorer.preview, "inputs")[0]["names"] == ["array 1", "array 2"]
    assert {row.image for row in explorer.results} == {0, 1}


def test_a_report_tells_nothing_of_files(explorers: Any, folder: Path, tmp_path: Path) -> None:
    explorer = explorers(deep_painter(), [photo()])
    explorer.preview.take("pictures", folder / "a.png")
    assert explorer.preview.wait_for_fields(SECONDS)
    text = explorer.to_html(tmp_path / "report.html").read_text()
    assert str(folder) not in text
