from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import inputs
from mlexplorer.converters.network import NetworkBuilder
from mlexplorer.errors import Cancelled, InputError
from mlexplorer.inputs import COARSE_SIDE, SMALL_SIDE, Reading, input_feature, read_inputs
from mlexplorer.runtime.resizing import LONG_SIDE, resize
from tests.painter import painter, photo


def array_model(count: int = 1) -> mle.Model:
    network = NetworkBuilder()
    total = network.array_input("x0", [3])
    for index in range(1, count):
        total = network.add("add", total, network.array_input(f"x{index}", [3]))
    network.output(network.add("activation", total, linear={"alpha": 2.0}), "y")
    return network.model()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five files by their numbers, of which the first and the fourth are no pictures."""
    for index in range(5):
        path = tmp_path / f"{index}.png"
        if index in (0, 3):
            path.write_text("nothing to see")
        else:
            Image.fromarray(photo(30, 20, seed=index)).save(path)
    return tmp_path


@pytest.mark.parametrize("sizes", ["range", "listed", "fixed"])
def test_a_picture_is_kept_in_the_sizes_in_which_it_is_fed(sizes: str) -> None:
    model = painter(sizes=sizes)
    large = Image.fromarray(photo(1600, 1200)).convert("RGBA")
    (given,), _ = read_inputs(model, large)
    expected = {"full": resize(large, input_feature(model))}
    if sizes == "range":
        expected["coarse"] = resize(large, input_feature(model), scale=COARSE_SIDE)
    assert {stage: np.asarray(fed).tolist() for stage, fed in given.stages.items()} == {
        stage: np.asarray(fed).tolist() for stage, fed in expected.items()
    }
    assert isinstance(given.small, Image.Image)
    assert (given.size, given.small.size) == ((1600, 1200), (SMALL_SIDE, SMALL_SIDE * 3 // 4))
    assert all(max(fed.size) <= LONG_SIDE for fed in given.stages.values()), "nothing of the large one stays in memory"


def test_reading_goes_on_where_it_stopped(folder: Path) -> None:
    reading = Reading(painter(), folder)
    told: list[tuple[int, int]] = []
    taken = [reading.take(0, progress=lambda done, total: told.append((done, total))) for _ in range(4)]
    assert [[given.name for given in pictures] for pictures, _ in taken] == [["1"], ["2"], [], ["4"]]
    assert ["0.png" in "".join(taken[0][1]), "3.png" in "".join(taken[2][1])] == [True, True]
    assert told == [(index, 5) for index in range(5)]
    assert reading.left == 0
    assert reading.take(0) == ([], [])
    assert [Path(str(source)).name for source in reading.sources] == [f"{index}.png" for index in range(5)]


def test_what_was_read_before_it_was_cancelled_is_not_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled, read = threading.Event(), inputs.open_picture

    def cancel_after(source: Any, event: threading.Event) -> Any:
        if Path(source).name == "2.png":
            cancelled.set()
        return read(source, event)

    monkeypatch.setattr(inputs, "open_picture", cancel_after)
    reading = Reading(painter(), folder)
    with pytest.raises(Cancelled):
        reading.take(cancelled=cancelled)
    cancelled.clear()
    pictures, faults = reading.take()
    assert [given.name for given in pictures] == ["1", "2", "4"]
    assert len(faults) == 2


def test_where_nothing_can_be_read_all_faults_are_named_and_again(folder: Path) -> None:
    for index in (1, 2, 4):
        (folder / f"{index}.png").unlink()
    reading = Reading(painter(), folder)
    for _ in range(2):
        with pytest.raises(InputError, match=r"0\.png.*3\.png"):
            reading.take(0)
    with pytest.raises(InputError, match="no pictures were given"):
        Reading(painter(), []).take()


def test_what_is_no_picture_is_said_and_the_others_used() -> None:
    given, (fault,) = read_inputs(painter(), [object(), photo()])  # type: ignore[list-item]
    assert [one.name for one in given] == ["image 2"]
    assert fault == "a picture is a path, an address, a PIL image or an array, not object"


def test_a_picture_without_colours_is_named_and_the_others_used() -> None:
    given, (fault,) = read_inputs(painter(), [Image.new("La", (30, 20)), photo()])
    assert [one.name for one in given] == ["image 2"]
    assert fault.startswith("image 1: a picture of mode La has no colours")


def test_arrays_are_taken_as_they_are() -> None:
    given, faults = read_inputs(array_model(), (np.full(3, float(index)) for index in range(2)))
    assert [(one.name, one.size, one.stages["full"].tolist()) for one in given] == [
        ("array 1", None, [0, 0, 0]),
        ("array 2", None, [1, 1, 1]),
    ]
    assert faults == []
    for wrong in (photo().tolist(), "photo.png", Path("photo.png"), Image.fromarray(photo()), [np.zeros(3), "x"], []):
        with pytest.raises(InputError, match=r"array of shape \[3\], not a picture"):
            read_inputs(array_model(), wrong)
    with pytest.raises(InputError, match=r"one input, .*'x0' \(multiArray\), 'x1'"):
        read_inputs(array_model(2), np.zeros(3))
