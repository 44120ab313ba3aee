from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import mlexplorer as mle
from mlexplorer.errors import InputError
from mlexplorer.exploration import Row
from mlexplorer.model import Model
from mlexplorer.views.controls import Controls, model_data, options_source, row_data
from mlexplorer.views.curve import Curve
from mlexplorer.views.explorer import Explorer
from tests.painter import deep_painter, painter, photo
from tests.views.page import Page


def test_messages_come_again_to_a_page_that_has_not_seen_them() -> None:
    view = Curve()
    view.publish("size", {"value": 1})
    view.publish("picture", {"value": 2}, [b"pixels"])
    page = Page(view)
    assert page.say(type="ready") == [{"value": 1}, {"value": 2}]
    assert page.received[1][1] == [b"pixels"]
    page.received.clear()
    view.publish("size", {"value": 3})
    assert page.received == [({"value": 3}, [])]
    assert page.say(type="ready", seen=page.seen) == []
    assert page.say(type="ready") == [{"value": 3}, {"value": 2}], "the latest of each key, in order"


def test_a_page_that_does_not_answer_gets_everything_at_once_and_again() -> None:
    view = Curve()
    page = Page(view)
    view.publish("size", {"value": 1})
    assert page.received == [({"value": 1}, [])]
    view.repeat()
    assert page.received == [({"value": 1}, [])] * 2
    page.say(type="ready")
    page.received.clear()
    view.repeat()
    assert page.received == []


def test_nothing_but_small_traits_is_synced() -> None:
    controls = Controls(painter(), [Row("linear", 4, 1000)])
    own = {name for name in controls.get_state() if not name.startswith("_")}
    assert own == {"bits", "scheme", "layer", "image", "teach", "group", "layout", "tabbable", "tooltip"}


@pytest.mark.parametrize("traits", [{"bits": 0}, {"bits": 9}, {"scheme": "octree"}, {"image": -1}])
def test_traits_out_of_range_are_refused(traits: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=next(iter(traits))):
        Controls(**traits)


def test_rows_are_json_without_infinities() -> None:
    equal = row_data(Row("linear", 8, 10, "full", 2, "PSNR", math.inf))
    assert equal["exact"] is True
    assert equal["quality"] is None
    worst = row_data(Row("linear", 1, 10, "full", 0, "SNR", -math.inf))
    assert worst["exact"] is False
    assert worst["quality"] is None
    assert row_data(Row("linear", 3, 10, "full", 0, "PSNR", 31.5))["quality"] == 31.5


def test_a_late_page_hears_of_the_latest_mixed_plan_only() -> None:
    controls = Controls()
    for size, images, bits in ((1000, range(3), 4), (2000, range(1), 5)):
        controls.add(Row("mixed", 4, size))
        for image in images:
            controls.add(Row("mixed", bits, size, "full", image, "PSNR", 31.0))
    late = Page(controls).say(type="ready")
    assert [(row["nbytes"], row["stage"], row["image"]) for row in late] == [(2000, "size", 0), (2000, "full", 0)]


def test_names_follow_the_models_file(tmp_path: Path) -> None:
    model = Model(painter().spec, path=Path("some/Wave 2.mlpackage"))
    data = model_data(model)
    assert (data["stem"], data["suffix"]) == ("Wave 2", ".mlpackage")
    assert data["source"] == "mle.load('some/Wave 2.mlpackage')"
    assert data["about"] == "neuralNetwork, 84 weights, 1 layers"
    assert model_data(painter(), "mine()")["source"] == "mine()"


def test_saving_answers_with_what_was_done_or_what_is_wrong() -> None:
    asked = []

    def save(name: str, scheme: str, bits: int) -> str:
        asked.append((name, scheme, bits))
        if not name:
            raise InputError("give the file a name")
        return f"Saved {name}"

    page = Page(Controls(painter(), on_save=save))
    good = page.say(type="save", name="a.mlmodel", scheme="linear", bits=3)
    assert good == [{"type": "saved", "text": "Saved a.mlmodel", "failed": False}]
    bad = page.say(type="save", name="", scheme="lookup_table", bits=5)
    assert bad == [{"type": "saved", "text": "give the file a name", "failed": True}]
    assert asked == [("a.mlmodel", "linear", 3), ("", "lookup_table", 5)]


def test_cancel_and_resume_reach_python() -> None:
    asked: list[str] = []
    page = Page(Controls(on_cancel=lambda: asked.append("cancel"), on_resume=lambda: asked.append("resume")))
    page.say(type="cancel")
    page.say(type="resume")
    assert asked == ["cancel", "resume"]


@pytest.mark.parametrize(
    ("calibration", "expected"),
    [
        ("noise", 'calibration="noise"'),
        (Path("some") / "photos", f"calibration={json.dumps(str(Path('some') / 'photos'))}"),
        (["a.png", "b.png"], 'calibration=["a.png", "b.png"]'),
        ([*"abcd"], "calibration=..."),
        ([{"x": 1}], "calibration=..."),
    ],
)
def test_the_line_of_python_names_what_is_calibrated_on(calibration: Any, expected: str) -> None:
    assert options_source(calibration) == expected
    assert options_source(calibration, {"Swirl": Page}) == f'{expected}, custom_layers={{"Swirl": Page}}'
    data = Page(Controls(painter(), calibration=options_source(calibration))).say(type="ready")
    assert data[0]["calibration"] == expected


def test_a_download_is_the_file_that_saving_writes(tmp_path: Path) -> None:
    explorer = Explorer(deep_painter(), photo())
    assert explorer.wait(120)
    page = Page(explorer.controls)
    page.say(type="download", name="../mine.mlmodel", scheme="linear", bits=3)
    ((content, (data,)),) = [(c, b) for c, b in page.received if c["type"] == "file"]
    assert content["name"] == "mine.mlmodel"
    mle.save(mle.quantize(explorer.model, mle.Linear(3)), tmp_path / "wanted.mlmodel")
    assert data == (tmp_path / "wanted.mlmodel").read_bytes()
    (said,) = page.say(type="download", name="mine.mlmodel", scheme="linear_feedback", bits=3)
    assert said["failed"]
    assert "not computed yet" in said["text"]
    explorer.close()


def test_a_package_is_downloaded_as_an_archive(tmp_path: Path) -> None:
    mle.save(deep_painter(), tmp_path / "painter.mlpackage")
    explorer = Explorer(mle.load(tmp_path / "painter.mlpackage"), photo())
    assert explorer.wait(120)
    page = Page(explorer.controls)
    page.say(type="download", name="mine.mlpackage", scheme="lookup_table", bits=5)
    ((content, (data,)),) = [(c, b) for c, b in page.received if c["type"] == "file"]
    assert content["name"] == "mine.mlpackage.zip"
    assert {weight.bits for weight in mle.load(data).graph.weights if weight.count > 16} == {5}
    explorer.close()
