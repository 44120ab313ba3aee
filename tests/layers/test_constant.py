from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import check_layer, run_layer
from tests.layers.arrays import normal


def test_constants() -> None:
    values = normal(2, 3, 4)
    check_layer("loadConstant", {"shape": [2, 3, 4]}, [], values[None, None], weights={"data": values})
    check_layer("loadConstantND", {"shape": [4, 6]}, [], values.reshape(4, 6), weights={"data": values})
    large = normal(3, 70, 80)
    check_layer("loadConstantND", {"shape": [3, 70, 80]}, [], large, weights={"data": large})


def test_fillings() -> None:
    filled = np.full((2, 3, 4), np.float32(0.1))
    check_layer("fillLike", {}, [normal(2, 3, 4)], 0 * filled, tolerance=0)
    check_layer("fillStatic", {"targetShape": [3]}, [], np.zeros(3), tolerance=0)
    check_layer("fillLike", {"value": 0.1}, [normal(2, 3, 4)], filled, tolerance=0)
    check_layer("fillStatic", {"value": 0.1, "targetShape": [2, 3, 4]}, [], filled, tolerance=0)
    check_layer("fillDynamic", {"value": 0.1}, [np.array([2, 3, 4], np.float32)], filled, tolerance=0)


@pytest.mark.parametrize(
    ("start", "end", "step"), [(-10.4, 23, 12.2), (5, 8, 98), (10, 5, -0.6), (0, 1000, 1), (3, 3, 1)]
)
def test_ranges(start: float, end: float, step: float) -> None:
    expected = np.arange(start, end, step).astype(np.float32)
    fields = {"startValue": start, "endValue": end, "stepSizeValue": step}
    check_layer("rangeStatic", fields, [], expected)
    own = {"startValue": start, "stepSizeValue": step}
    inputs = [np.array([value], np.float32) for value in (end, start, step)]
    for count, ignored in ((1, {}), (2, {"startValue": 77.0}), (3, {"startValue": 77.0, "stepSizeValue": 55.0})):
        check_layer("rangeDynamic", {**own, **ignored}, inputs[:count], expected)


@pytest.mark.parametrize(
    ("type", "fields", "inputs", "message"),
    [
        ("rangeStatic", {"endValue": 3.0}, 0, "stepSizeValue is 0"),
        ("rangeDynamic", {}, 1, "stepSizeValue is 0"),
        ("loadConstant", {"shape": [6]}, 0, "three entries"),
    ],
)
def test_constants_refuse_by_name(type: str, fields: Any, inputs: int, message: str) -> None:
    weights = {"data": normal(6)} if type == "loadConstant" else {}
    with pytest.raises(ModelError, match=rf"'layer' \({type}\).*{message}"):
        run_layer(type, fields, [np.ones(1, np.float32)] * inputs, weights=weights)
