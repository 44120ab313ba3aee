"""Keras runs on torch here; what it warns of with today's NumPy is not ours."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")

_HERE = Path(__file__).parent
_IGNORED = (
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning",
    "ignore:You might experience inconsistencies across backends:UserWarning",
    "ignore:Layer '.*' \\(of type .*\\) was passed an input with a mask attached:UserWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            for filter in _IGNORED:
                item.add_marker(pytest.mark.filterwarnings(filter))
