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
    "ignore:Do not pass an `input_shape`/`input_dim` argument:UserWarning",
    "ignore:Argument `input_length` is deprecated:UserWarning",
    "ignore:Exception encountered when calling Functional.call:UserWarning",  # a list where one tensor is enough
    "ignore:(?s).*The structure of `inputs` doesn't match:UserWarning",
    "ignore:Layer '.*' \\(of type .*\\) was passed an input with a mask attached:UserWarning",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(_HERE):
            for filter in _IGNORED:
                item.add_marker(pytest.mark.filterwarnings(filter))
