"""Records which layer types the tests of this folder run, for tests/test_project.py."""

from __future__ import annotations

from collections.abc import Iterator
from functools import wraps
from typing import Any

import pytest

import mlexplorer as mle

EXERCISED: set[str] = set()
"""The types of all layers of the models that were run to the end so far."""


@pytest.fixture(scope="package", autouse=True)
def _recorded_types() -> Iterator[None]:
    predict = mle.predict

    @wraps(predict)
    def recording(model: mle.Model, *arguments: Any, **options: Any) -> dict[str, Any]:
        result = predict(model, *arguments, **options)
        EXERCISED.update(node.type for node in model.graph.nodes)
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mle, "predict", recording)
        yield
