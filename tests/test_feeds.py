"""Folders: what is found in them, in which order, and what is said of the rest."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import InputError
from mlexplorer.feeds import Feeds, inputs_of, labels_of
from tests.painter import painter, photo
from tests.runtime.models.specifications import specification
from tests.runtime.networks import network
from tests.web_server import Server, sends


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b/2.png", "b/10.png", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(photo()).save(tmp_path / name)
    return tmp_path


def names(images: Any) -> list[str]:
    return [feed.name for feed in Feeds(painter(), images, None, "fill").feeds]


def test_folders_within_are_read_and_links_to_them_once(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert names(folder) == ["a.png", "b/10.png", "b/2.png"]
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    Image.fromarray(photo()).save(elsewhere / "c.png")
    try:
        (folder / "link").symlink_to(elsewhere, target_is_directory=True)
        (folder / "b" / "loop").symlink_to(folder, target_is_directory=True)
    except OSError:
        pytest.skip("this system makes no links")
    assert names(folder) == ["a.png", "b/10.png", "b/2.png", "link/c.png"]


def test_names_that_repeat_are_told_apart(folder: Path) -> None:
    twins = [folder / "b" / "2.png", folder / "2.png"]
    assert names([*twins, folder / "a.png"]) == [*map(str, twins), "a.png"]


def test_folders_that_cannot_be_read_are_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = os.scandir

    def scandir(path: Any) -> Any:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    feeds = Feeds(painter(), folder, None, "fill")
    assert [feed.name for feed in feeds.feeds] == ["a.png"]
    assert feeds.unreadable == {str(folder / "b"): "a folder that cannot be read (Permission denied)"}


def test_a_matrix_is_taken_apart_where_the_model_takes_its_rows() -> None:
    model = mle.load(specification("identity", {}, {"x": "array 3"}, {"x": "array 3"}))
    for inputs, shapes in [
        (np.zeros((5, 3)), [(3,)] * 5),
        (np.zeros(3), [(3,)]),
        ([np.zeros(3), [1.0, 2.0, 3.0]], [(3,), (3,)]),
        (({"x": np.zeros(3)} for _ in range(2)), [(3,), (3,)]),
    ]:
        feeds = Feeds(model, None, inputs, "fill")
        values = [feeds.value(feed) for feed in feeds.feeds]
        assert [np.shape(v["x"] if isinstance(v, dict) else v) for v in values] == shapes


def test_inputs_leave_out_unreadable_pictures_and_say_so(folder: Path) -> None:
    (folder / "b" / "broken.jpg").write_bytes(b"\xff\xd8\xff no picture")
    with pytest.warns(UserWarning, match=r"1 of 4 inputs are left out: b/broken\.jpg: .*"):
        inputs = inputs_of(painter(), folder)
    assert len(inputs) == 3
    with pytest.raises(InputError, match="none of the 1 inputs can be read"):
        inputs_of(painter(), folder / "b" / "broken.jpg")


def test_inputs_are_named_as_the_model_names_them() -> None:
    model = mle.load(network({"x": (3, 4)}, ["y"])[0])
    rows = [np.ones((3, 4), np.float32), np.zeros((3, 4), np.float32)]
    assert [list(given) for given in inputs_of(model, rows)] == [["x"], ["x"]]
    assert len(inputs_of(model, np.stack(rows))) == 2
    assert inputs_of(model, {"x": 1}) == [{"x": 1}]
    with pytest.raises(InputError, match="does not take one picture"):
        inputs_of(model, "photo.jpg")


def test_pictures_at_addresses_are_what_their_files_are(server: Server, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.png", "b c.png")]
    for seed, path in enumerate(paths):
        Image.fromarray(photo(61, 47, seed)).save(path)
        server.answers[f"/{quote(path.name)}?raw=1"] = sends(path.read_bytes(), ETag='"x"')
    addresses = [f"{server.address}/{path.name}?raw=1" for path in paths]
    model = painter()
    small = mle.quantize(model, mle.LookupTable(bits=2))
    found, wanted = (mle.compare(model, small, given, progress=False) for given in (addresses, paths))
    assert names(addresses) == names(paths) == ["a.png", "b c.png"]
    assert found.psnr == wanted.psnr
    one, same_one = (mle.compare(model, small, given, progress=False) for given in (addresses[0], paths[0]))
    assert one.psnr == same_one.psnr
    for given, same in ((addresses, paths), (addresses[1], paths[1])):
        calibrated = [
            mle.quantize(model, mle.LookupTable(bits=2), calibration=c, progress=False) for c in (given, same)
        ]
        assert calibrated[0].spec == calibrated[1].spec
    fitting = tmp_path / "fits.png"
    width, height = model.inputs[0].shape or (0, 0)
    Image.fromarray(photo(width, height)).save(fitting)
    server.answers["/fits.png"] = sends(fitting.read_bytes())
    predicted = [mle.predict(model, {"photo": given})["painted"] for given in (f"{server.address}/fits.png", fitting)]
    assert np.array_equal(*map(np.asarray, predicted))
    assert labels_of(Feeds(model, addresses, None, "fill").feeds, {"a.png": 1, "b c": 2}) == [1, 2]


def test_addresses_without_a_picture_are_named(server: Server, tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "a.png")
    server.answers["/a.png"] = sends((tmp_path / "a.png").read_bytes())
    server.answers["/page"] = sends(b"<!DOCTYPE html><html></html>")
    server.answers["/text.png"] = sends(b"no picture")
    refused = {
        "nothing.png": "there is nothing at",
        "page": "is a web page, not a file",
        "text.png": "not a picture that can be read (in no format that is known)",
    }
    addresses = [f"{server.address}/{name}" for name in ("a.png", *refused)]
    found = mle.compare(painter(), painter(), addresses, progress=False)
    assert list(found.unreadable) == list(refused)
    for name, words in refused.items():
        assert words in found.unreadable[name]
        with pytest.raises(InputError, match=re.escape(words)):
            inputs_of(painter(), f"{server.address}/{name}")
    with pytest.raises(InputError, match="only addresses with http or https"):
        inputs_of(painter(), "file:///etc/passwd")
