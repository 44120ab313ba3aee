"""Opening models and pictures: paths, uploads in pieces, and everything that is wrong said in place."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import InputError
from mlexplorer.views.fields import Recent, Uploads, completions
from mlexplorer.views.opening import OpenExplorer
from tests.painter import deep_painter, painter, photo
from tests.views.page import Page
from tests.web_server import Server, sends

SECONDS = 120


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenExplorer]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    opened = mle.explore()
    assert isinstance(opened, OpenExplorer)
    yield opened
    opened.close()


def said(opened: OpenExplorer, field: str = "model") -> tuple[str, str]:
    messages = [content for content, _ in opened.opening.recorded() if content["type"] == "said"]
    found = next(content for content in reversed(messages) if content["field"] == field)
    return found["state"], found["text"]


def ask(opened: OpenExplorer, buffers: tuple[bytes, ...] = (), **content: Any) -> None:
    opened.opening._handle_custom_msg(content, [memoryview(buffer) for buffer in buffers])


def test_a_path_opens_the_explorer_and_is_remembered(opened: OpenExplorer, tmp_path: Path) -> None:
    path = tmp_path / "painter.mlmodel"
    mle.save(deep_painter(), path)
    Image.fromarray(photo()).save(tmp_path / "photo.png")
    ask(opened, type="open", field="pictures", path=str(tmp_path / "photo.png"))
    assert opened.wait(SECONDS)
    assert said(opened, "pictures") == ("done", "1 picture will be used; now open a model.")
    ask(opened, type="open", field="model", path=str(path))
    assert opened.wait(SECONDS)
    assert said(opened) == ("done", "painter.mlmodel is open: neuralNetwork, 5 layers.")
    assert opened.explorer
    assert opened.children == (opened.opening, opened.explorer)
    assert {row.stage for row in opened.explorer.results} >= {"full"}
    assert Recent().sources() == [str(path)]
    offers = [content for content, _ in opened.opening.recorded() if content["type"] == "offer"]
    assert {offer["field"]: offer["recent"] for offer in offers}["model"] == [str(path)]


def test_an_address_opens_the_explorer_and_is_remembered(
    opened: OpenExplorer,
    server: Server,
    tmp_path: Path,
) -> None:
    path = tmp_path / "painter.mlmodel"
    mle.save(deep_painter(), path)
    Image.fromarray(photo()).save(tmp_path / "photo.png")
    for file in (path, tmp_path / "photo.png"):
        server.answers[f"/{file.name}"] = sends(file.read_bytes(), ETag='"x"')
    page = Page(opened.opening)
    ask(opened, type="open", field="pictures", path=f"{server.address}/photo.png")
    ask(opened, type="open", field="model", path=f" {server.address}/painter.mlmodel ")
    assert opened.wait(SECONDS)
    assert said(opened) == ("done", "painter.mlmodel is open: neuralNetwork, 5 layers.")
    assert said(opened, "pictures")[0] == "done"
    told = [content for content, _ in page.received if content["type"] == "said" and content["field"] == "model"]
    assert told[0]["text"] == "Asking for painter.mlmodel …"
    assert told[0]["cancels"]
    assert Recent().sources() == [f"{server.address}/painter.mlmodel"]
    assert opened.explorer
    source = next(content["source"] for content, _ in opened.explorer.controls.recorded() if content["type"] == "model")
    assert source == f"mle.load('{server.address}/painter.mlmodel')"
    server.answers.clear()
    ask(opened, type="open", field="model", path=f"{server.address}/painter.mlmodel")
    assert opened.wait(SECONDS)
    assert said(opened)[0] == "failed"
    assert "there is nothing at" in said(opened)[1]


def test_a_download_is_cancelled_from_the_page(opened: OpenExplorer, server: Server) -> None:
    def stalls(handler: Any) -> None:
        sends(b"x" * 200_000, Content_Length=5_000_000)(handler)
        handler.wfile.flush()
        server.over.wait(20)

    server.answers["/large.mlmodel"] = stalls
    ask(opened, type="open", field="model", path=f"{server.address}/large.mlmodel")
    deadline = time.monotonic() + 10
    while not said(opened)[1].startswith("Downloading") and time.monotonic() < deadline:
        time.sleep(0.02)
    assert said(opened) == ("running", "Downloading large.mlmodel: 0.2 of 5.0 MB")
    ask(opened, type="cancel", field="model")
    assert said(opened) == ("done", "Cancelled.")
    assert opened.opening
    assert opened.opening.wait_for_fields(2)
    assert said(opened) == ("done", "Cancelled.")


def test_pictures_of_the_explorer_are_shown_by_the_next_model(opened: OpenExplorer, tmp_path: Path) -> None:
    for name, model in (("one", deep_painter()), ("two", deep_painter())):
        mle.save(model, tmp_path / f"{name}.mlmodel")
    Image.fromarray(photo(seed=5)).save(tmp_path / "mine.png")
    data = (tmp_path / "mine.png").read_bytes()
    ask(opened, type="open", field="model", path=str(tmp_path / "one.mlmodel"))
    assert opened.wait(SECONDS)
    assert opened.explorer
    chunk = {"type": "chunk", "field": "pictures", "upload": "u", "name": "mine.png", "offset": 0, "total": len(data)}
    opened.explorer.preview._handle_custom_msg(chunk, [memoryview(data)])
    assert opened.explorer.preview.wait_for_fields(SECONDS)
    assert opened.wait(SECONDS)
    ask(opened, type="open", field="model", path=str(tmp_path / "two.mlmodel"))
    assert opened.wait(SECONDS)
    assert opened.explorer.error is None
    assert [Path(source).name for source in opened.explorer.images] == ["mine.png"]


@pytest.mark.parametrize(
    ("path", "words"),
    [("", "Give a path"), ("nowhere.mlmodel", "does not exist"), ("broken.mlmodel", "broken.mlmodel")],
)
def test_what_is_wrong_is_said_and_what_was_open_stays(
    opened: OpenExplorer, tmp_path: Path, path: str, words: str
) -> None:
    mle.save(painter(), tmp_path / "painter.mlmodel")
    (tmp_path / "broken.mlmodel").write_bytes(b"\x08\x04no model")
    ask(opened, type="open", field="model", path=str(tmp_path / "painter.mlmodel"))
    assert opened.wait(SECONDS)
    before = opened.explorer
    ask(opened, type="open", field="model", path=path and str(tmp_path / path))
    assert opened.wait(SECONDS)
    state, text = said(opened)
    assert state == "failed"
    assert words in text
    assert opened.explorer is before


def test_other_pictures_and_another_model_close_the_explorer_before(opened: OpenExplorer, tmp_path: Path) -> None:
    for name, model in (("one", painter()), ("two", deep_painter())):
        mle.save(model, tmp_path / f"{name}.mlmodel")
    seen = []
    for name in ("one", "two"):
        ask(opened, type="open", field="model", path=str(tmp_path / f"{name}.mlmodel"))
        assert opened.wait(SECONDS)
        seen.append(opened.explorer)
    assert seen[0] is not seen[1]
    assert seen[0].comm is None, "the first one is closed"


@pytest.mark.parametrize("size", [1, 700, 1 << 20])
def test_uploads_come_in_pieces_in_any_order(opened: OpenExplorer, tmp_path: Path, size: int) -> None:
    path = tmp_path / "painter.mlmodel"
    mle.save(deep_painter(), path)
    data = path.read_bytes()
    if size == 1:
        data, size = data, len(data)
    pieces = [(offset, data[offset : offset + size]) for offset in range(0, len(data), size)]
    page = Page(opened.opening)
    for offset, piece in pieces[::-1]:
        content = {"type": "chunk", "field": "model", "upload": "u", "name": "mine.mlmodel", "total": len(data)}
        ask(opened, (piece,), offset=offset, **content)
    assert opened.wait(SECONDS)
    taken = [content["bytes"] for content, _ in page.received if content["type"] == "taken"]
    assert sum(taken) == len(data)
    assert said(opened)[1].startswith("mine.mlmodel is open")
    folder = opened.opening.uploads._folder
    assert folder
    assert folder.exists()
    opened.close()
    assert not folder.exists()


def test_a_dropped_package_is_a_folder_of_files(opened: OpenExplorer, tmp_path: Path) -> None:
    package = tmp_path / "painter.mlpackage"
    mle.save(deep_painter(), package)
    files = [path for path in package.rglob("*") if path.is_file()]
    total = sum(path.stat().st_size for path in files)
    for path in files:
        name = path.relative_to(tmp_path).as_posix()
        ask(
            opened,
            (path.read_bytes(),),
            type="chunk",
            field="model",
            upload="u",
            name=name,
            offset=0,
            total=total,
        )
    assert opened.wait(SECONDS)
    assert said(opened)[1].startswith("painter.mlpackage is open")


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", "a/../../evil", "", "C:\\evil", "a\\..\\b"])
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    uploads = Uploads()
    with pytest.raises(InputError, match="cannot be named"):
        uploads.take("u", name, 0, 4, b"evil")
    uploads.close()


def test_an_upload_larger_than_it_said_is_refused() -> None:
    uploads = Uploads()
    with pytest.raises(InputError, match="larger than it said"):
        uploads.take("u", "a", 0, 3, b"evil")
    uploads.close()


def test_completions_are_folders_and_models(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("Mine.mlmodel", "mine.txt", "other.onnx"):
        (tmp_path / name).touch()
    assert completions(f"{tmp_path}/m", (".mlmodel", ".onnx")) == [
        str(tmp_path / "Mine.mlmodel"),
        f"{tmp_path / 'models'}/",
    ]
    assert len(completions(f"{tmp_path}/", (".onnx",))) == 2
    assert completions(f"{tmp_path}/nowhere/", (".onnx",)) == []


def test_a_cache_that_cannot_be_written_is_no_fault(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    recent = Recent(blocked / "recent.json")
    recent.add(tmp_path)
    assert recent.sources() == []


def test_views_alone(tmp_path: Path) -> None:
    model = deep_painter()
    for name in ("graph", "histogram", "preview", "curve", "choosing", "controls"):
        view = mle.show(model, name, [photo()], bits=3) if name not in ("graph", "histogram") else mle.show(model, name)
        assert view.trait_names(sync=True)
        explorer = getattr(view, "explorer", None)
        if explorer is not None:
            assert view.bits == 3
            assert explorer.wait(SECONDS)
            explorer.close()
        view.close()
    with pytest.raises(InputError, match="there is no view 'grpah'; there are 'explorer'"):
        mle.show(model, "grpah")
