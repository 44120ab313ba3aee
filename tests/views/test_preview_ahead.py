"""What the explorer runs on other pictures than the chosen one, and in which order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.comparison import Rate
from mlexplorer.exploration import Runs, Step
from mlexplorer.inputs import input_feature
from mlexplorer.runtime.resizing import resize
from tests.painter import painter, photo
from tests.views.page import Page

SECONDS = 60
PICTURES = [photo(seed=seed) for seed in range(4)]


@pytest.fixture
def opened() -> Iterator[list[mle.Explorer]]:
    explorers: list[mle.Explorer] = []
    yield explorers
    for explorer in explorers:
        explorer.close()
        assert explorer.wait(SECONDS)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """The steps in the order in which they are run."""
    run: list[Step] = []
    row = Runs.row

    def watched(self: Runs, step: Step, *more: Any) -> Any:
        run.append(step)
        return row(self, step, *more)

    monkeypatch.setattr(Runs, "row", watched)
    return run


def fitted(picture: Any) -> Image.Image:
    """The picture at the size that the classifier takes."""
    return resize(Image.fromarray(picture), input_feature(painter(classes=7, sizes="fixed")))


def test_a_classifier_is_run_on_all_pictures_at_all_depths_the_chosen_picture_first(
    opened: list[mle.Explorer], steps: list[Step]
) -> None:
    model = painter(classes=7, sizes="fixed")
    explorer = mle.explore(model, PICTURES, bits=3, scheme="linear")
    opened.append(explorer)
    assert explorer.wait(SECONDS)
    assert {step.image for step in steps[:17]} == {0}
    assert [(step.image, step.key) for step in steps[17:23]] == [
        *((image, ("original", 32)) for image in (1, 2, 3)),
        *((image, ("linear", 3)) for image in (1, 2, 3)),
    ]
    assert len(steps) == len(set(steps)) == 17 * 4
    rows = [c for c in Page(explorer.preview).say(type="ready") if c["type"] == "row"]
    labels = [mle.predict(model, {"photo": picture})["label"] for picture in map(fitted, PICTURES)]
    small = mle.quantize(model, mle.Linear(bits=3))
    changed = [mle.predict(small, {"photo": picture})["label"] for picture in map(fitted, PICTURES)]
    expected = Rate.of(a == b for a, b in zip(labels, changed, strict=True))
    found = max((c["agreement"] for c in rows if (c["scheme"], c["bits"]) == ("linear", 3)), key=lambda a: a["total"])
    assert (found["count"], found["total"]) == (expected.count, 4)
    assert (found["low"], found["high"]) == expected.interval


def test_a_depth_that_is_chosen_meanwhile_comes_next(
    opened: list[mle.Explorer], steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Runs.row

    def choose_then_run(self: Runs, step: Step, *more: Any) -> Any:
        if step.image == 1 and step.key == ("linear", 3):
            opened[0].bits = 7
        return row(self, step, *more)

    monkeypatch.setattr(Runs, "row", choose_then_run)
    opened.append(mle.explore(painter(classes=7, sizes="fixed"), PICTURES, bits=3, scheme="linear"))
    assert opened[0].wait(SECONDS)
    keys = [step.key for step in steps[17:]]
    assert keys[3:7] == [("linear", 3), *[("linear", 7)] * 3]
    assert len(steps) == len(set(steps)) == 17 * 4


def test_other_pictures_can_be_cancelled_and_gone_on_with(
    opened: list[mle.Explorer], steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    row, reached, release = Runs.row, threading.Event(), threading.Event()

    def wait_ahead(self: Runs, step: Step, *more: Any) -> Any:
        if step.image == 2:
            reached.set()
            release.wait(SECONDS)
        return row(self, step, *more)

    monkeypatch.setattr(Runs, "row", wait_ahead)
    opened.append(mle.explore(painter(classes=7, sizes="fixed"), PICTURES))
    assert reached.wait(SECONDS)
    started = time.perf_counter()
    Page(opened[0].controls).say(type="cancel")
    release.set()
    assert opened[0].wait(SECONDS)
    assert time.perf_counter() - started < 5
    assert len(steps) < 17 * 4
    Page(opened[0].controls).say(type="resume")
    assert opened[0].wait(SECONDS)
    assert len({(step.image, step.key) for step in steps}) == 17 * 4
