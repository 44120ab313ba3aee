from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import check_layer, run_layer
from tests.layers.arrays import normal


def test_concat_along_channels_or_sequence() -> None:
    a, b, c = normal(2, 3, 4, 5, 6), normal(2, 3, 1, 5, 6), normal(2, 3, 7, 5, 6)
    check_layer("concat", {}, [a, b, c], np.concatenate([a, b, c], axis=2))
    check_layer("concat", {}, [a[0, 0], b[0, 0]], np.concatenate([a[0, 0], b[0, 0]]))
    d = normal(4, 3, 4, 5, 6)
    check_layer("concat", {"sequenceConcat": True}, [a, d], np.concatenate([a, d]))
    with pytest.raises(ModelError, match="Concat cannot take"):
        run_layer("concat", {}, [a, d])
    with pytest.raises(ModelError, match="too few axes"):
        run_layer("concat", {}, [normal(2, 3), normal(2, 3)])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concat_nd_and_stack(axis: int) -> None:
    a, b, c = (normal(2, 3, 4, seed=seed) for seed in range(3))
    check_layer("concatND", {"axis": axis}, [a, b, c], np.concatenate([a, b, c], axis))
    check_layer("stack", {"axis": axis}, [a, b, c], np.stack([a, b, c], axis))
    joined = np.concatenate([a, b, c], axis)
    length = a.shape[axis]
    order = [turn * length + index for index in range(length) for turn in range(3)]
    check_layer("concatND", {"axis": axis, "interleave": True}, [a, b, c], joined.take(order, axis))
    with pytest.raises(ModelError, match="must be equal"):
        run_layer("stack", {"axis": axis}, [a, normal(2, 3, 5)])


def test_split() -> None:
    x = normal(2, 6, 4, 5)
    check_layer("split", {"nOutputs": 3}, [x], np.split(x, 3, axis=1))
    check_layer("split", {"nOutputs": 1}, [x], [x])
    with pytest.raises(ModelError, match="equal parts"):
        run_layer("split", {"nOutputs": 4}, [x], outputs=4)


@pytest.mark.parametrize(
    ("parameters", "cuts"),
    [
        ({"axis": 1, "numSplits": 2}, [4]),
        ({"axis": -2, "numSplits": 3}, [3, 6]),
        ({"axis": 1, "numSplits": 5, "splitSizes": [1, 5, 2]}, [1, 6]),
    ],
)
def test_split_nd_may_be_uneven(parameters: dict[str, Any], cuts: list[int]) -> None:
    x = normal(3, 8, 5)
    check_layer("splitND", parameters, [x], np.split(x, cuts, axis=1))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"axis": 1, "splitSizes": [3, 4]}, "add up to"),
        ({"axis": 1, "numSplits": 9}, "numSplits"),
        ({"axis": 3, "numSplits": 2}, "no axis 3"),
    ],
)
def test_split_nd_refuses(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        run_layer("splitND", parameters, [normal(3, 8, 5)], outputs=2)


def test_tile_counts_from_the_last_axis() -> None:
    x = normal(2, 3, 4)
    for repeats in ([2], [3, 2], [2, 1, 3]):
        expected = np.tile(x, repeats)
        check_layer("tile", {"reps": repeats}, [x], expected)
        check_layer("tile", {"reps": [9]}, [x, np.array(repeats, np.float32)], expected)
    with pytest.raises(ModelError, match="4 repetitions"):
        run_layer("tile", {"reps": [1, 1, 1, 2]}, [x])


def test_sequence_repeat() -> None:
    x = normal(2, 3, 4, 5, 6)
    check_layer("sequenceRepeat", {"nRepetitions": 3}, [x], np.concatenate([x, x, x]))
    check_layer("sequenceRepeat", {}, [x], x)
