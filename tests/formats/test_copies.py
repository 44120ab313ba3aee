"""The folder of copies stays bounded: the longest unused go, none that is in use, whoever else fetches and tidies."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pytest

from mlexplorer.formats import copies
from mlexplorer.formats.download import cache_folder, download
from tests.web_server import Answer, Server, sends

DAY = 24 * 3600
_NUMBERS = 8


def kept(folder: Path, sizes: Sequence[int], ages: Sequence[float], most: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the copies a, b, ... with these bytes, last asked for so many days ago, are left."""
    for name, size, age in zip("abcdefgh", sizes, ages, strict=False):
        copies.open_copy(folder / name)
        (folder / name / "model.mlmodel").write_bytes(bytes(size))
        used = time.time() - age * DAY
        os.utime(folder / name, (used, used))
    monkeypatch.setattr(copies, "MOST_BYTES", most)
    copies.tidy(folder)
    return "".join(sorted(path.name for path in folder.iterdir()))


@pytest.mark.parametrize(
    ("sizes", "ages", "left"),
    [
        ((40, 30, 20, 10), (2, 3, 4, 5), "abcd"),
        ((40, 30, 20, 11), (2, 3, 4, 5), "abc"),
        ((40, 30, 20, 11), (5, 4, 3, 2), "bcd"),
        ((101, 30, 20, 11), (2, 3, 4, 5), "bcd"),
        ((90, 80, 70, 5, 6), (0.1, 0.9, 2, 3, 4), "ab"),
        ((101,), (0.5,), "a"),
        ((), (), ""),
    ],
)
def test_the_longest_unused_go(
    sizes: Sequence[int], ages: Sequence[float], left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kept(tmp_path, sizes, ages, 100, monkeypatch) == left


def test_what_a_stopped_process_was_removing_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".a.0123").mkdir()
    (tmp_path / ".a.0123" / "model.mlmodel").write_bytes(b"x")
    assert kept(tmp_path, (1,), (2,), 100, monkeypatch) == "a"


def test_asking_for_a_copy_is_its_use(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "abc":
        server.answers[f"/{name}.bin"] = sends(name.encode() * 4000, ETag='"x"')
    first, second = (download(f"{server.address}/{name}.bin") for name in "ab")
    for path, days in ((first, 9), (second, 8)):
        os.utime(path.parent, (time.time() - days * DAY,) * 2)
    server.answers["/a.bin"] = sends(b"", 304, Content_Length=None)
    assert download(f"{server.address}/a.bin") == first
    monkeypatch.setattr(copies, "MOST_BYTES", 9000)  # room for two with their records
    download(f"{server.address}/c.bin")
    assert first.exists()
    assert not second.parent.exists()
    server.answers["/b.bin"] = sends(b"new", ETag='"x"')
    assert download(f"{server.address}/b.bin").read_bytes() == b"new"


def test_who_fetches_and_who_tidies_do_not_disturb_each_other(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four at a time, in threads: all that they share is the folder, as it is with processes."""

    def answers(number: int) -> Answer:
        def answer(handler: BaseHTTPRequestHandler) -> None:
            if "If-None-Match" in handler.headers:
                return sends(b"", 304, Content_Length=None)(handler)
            return sends(bytes([number]) * 5000, ETag='"x"')(handler)

        return answer

    def fetch(seed: int) -> None:
        for number in np.random.default_rng(seed).permutation(_NUMBERS):
            data = download(f"{server.address}/{number}.bin").read_bytes()
            assert data == bytes([number]) * 5000

    for number in range(_NUMBERS):
        server.answers[f"/{number}.bin"] = answers(number)
        if number % 2:
            copy = download(f"{server.address}/{number}.bin")
            os.utime(copy.parent, (time.time() - (2 + number) * DAY,) * 2)
    monkeypatch.setattr(copies, "MOST_BYTES", 10_000)
    before = len(server.asked)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(fetch, range(4)))
    whole = [headers for headers in server.asked[before:] if "If-None-Match" not in headers]
    assert len(whole) > _NUMBERS // 2, "some were removed before they were asked for"
    assert len(list((cache_folder() / "downloads").iterdir())) == _NUMBERS, "all are in use now"
