"""Progress: the caller's function, a bar after a second, nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mlexplorer import progress
from mlexplorer.errors import Cancelled
from mlexplorer.progress import check, reporting


def test_the_callers_function_is_called_as_it_is() -> None:
    calls: list[Any] = []
    with reporting(lambda *call: calls.append(call)) as report:
        report("conv1", 2, 5)
    assert calls == [("conv1", 2, 5)]


def test_a_bar_appears_after_a_second_only(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with reporting(True) as report:
        report("conv1", 0, 5)
        report("conv1", 5, 5)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "_QUIET_SECONDS", 0.0)
    with reporting(True) as report:
        for done in range(6):
            report(f"conv{done}", done, 5)
    assert "conv0" in capsys.readouterr().err
    with reporting(False) as report:
        report("conv1", 1, 5)
    assert capsys.readouterr().err == ""


def test_cancelled_is_raised_once_the_event_is_set() -> None:
    event = threading.Event()
    check(None)
    check(event)
    event.set()
    with pytest.raises(Cancelled):
        check(event)
