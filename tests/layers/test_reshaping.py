from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError, UnsupportedError
from tests.checks import check_layer, run_layer
from tests.layers.arrays import normal


@pytest.mark.parametrize("target", [[6, 4, 5], [10, 1, 12], [1, 120, 1]])
def test_reshape_keeps_the_order_of_its_mode(target: list[int]) -> None:
    x = normal(4, 5, 6)
    check_layer("reshape", {"targetShape": target}, [x], x.reshape(1, 1, *target), exact=False)
    channels, height, width = target
    rows = np.moveaxis(x, 0, -1).reshape(height, width, channels)
    expected = np.moveaxis(rows, -1, 0)[None, None]
    check_layer("reshape", {"targetShape": target, "mode": 1}, [x], expected, exact=False)


def test_reshape_moves_values_between_sequence_and_channels() -> None:
    x = normal(3, 1, 4, 5, 2)
    check_layer("reshape", {"targetShape": [2, 12, 1, 5]}, [x], x.reshape(2, 1, 12, 1, 5))
    y = normal(3, 2, 4, 5, 7)
    check_layer("reshape", {"targetShape": [7, 5, 4]}, [y], y.reshape(3, 2, 7, 5, 4))
    with pytest.raises(UnsupportedError, match="batch of one"):
        run_layer("reshape", {"targetShape": [6, 4, 5, 7]}, [y])
    with pytest.raises(ModelError, match=r"layer 'layer' \(reshape\).*cannot take the shape"):
        run_layer("reshape", {"targetShape": [4, 5, 1]}, [x])
    with pytest.raises(ModelError, match="three or four"):
        run_layer("reshape", {"targetShape": [40]}, [x])


@pytest.mark.parametrize("leading", [(), (2,), (2, 3)])
def test_flatten(leading: tuple[int, ...]) -> None:
    x = normal(*leading, 4, 5, 6)
    check_layer("flatten", {}, [x], x.reshape(*leading, 120, 1, 1))
    last = np.moveaxis(x, -3, -1).reshape(*leading, 120, 1, 1)
    check_layer("flatten", {"mode": 1}, [x], last)


def test_permute_numbers_sequence_channels_height_width() -> None:
    x = normal(2, 3, 4, 5, 6)
    for order in permutations(range(4)):
        letters = ["schw"[axis] for axis in order]
        expected = np.einsum(f"sbchw->{letters[0]}b{''.join(letters[1:])}", x)
        check_layer("permute", {"axis": order}, [x], expected)
    check_layer("permute", {}, [x], x)
    check_layer("permute", {"axis": [0, 3, 1, 2]}, [x[0]], x[0].transpose(0, 3, 1, 2))
    with pytest.raises(ModelError, match="five axes"):
        run_layer("permute", {"axis": [1, 0, 2, 3]}, [x[0]])
    with pytest.raises(ModelError, match="permutation"):
        run_layer("permute", {"axis": [0, 1, 1, 3]}, [x])


def test_transpose() -> None:
    x = normal(2, 3, 4, 5, 6)
    check_layer("transpose", {"axes": [3, 1, 4, 0, 2]}, [x], x.transpose(3, 1, 4, 0, 2))
    picture = normal(1, 3, 4, 5)
    check_layer("transpose", {"axes": [1, 2, 0]}, [picture], picture[0].transpose(1, 2, 0))
    for axes, y in (([0, 1, 2], x), ([0, 1, 2, 4, 4], x), ([], np.ones((1, 1), np.float32)), ([0, 1, 2, 3, 4, 5], x)):
        with pytest.raises(ModelError, match=r"'layer' \(transpose\).*permutation"):
            run_layer("transpose", {"axes": axes}, [y])


@pytest.mark.parametrize(
    ("type", "parameters", "shape", "expected"),
    [
        ("squeeze", {"axes": [0, -1]}, (1, 1, 10, 1), (1, 10)),
        ("squeeze", {"squeezeAll": True}, (1, 2, 1, 3, 1), (2, 3)),
        ("squeeze", {"axes": [0]}, (1,), (1,)),
        ("squeeze", {"squeezeAll": True}, (1, 1), (1,)),
        ("expandDims", {"axes": [0, 1]}, (10, 5), (1, 1, 10, 5)),
        ("expandDims", {"axes": [-1, 0]}, (10, 5), (1, 10, 5, 1)),
        ("expandDims", {"axes": [-3, -1]}, (10, 5), (10, 1, 5, 1)),
        ("flattenTo2D", {"axis": 1}, (3,), (3, 1)),
        ("flattenTo2D", {"axis": -1}, (3,), (1, 3)),
        ("flattenTo2D", {"axis": 0}, (5, 2), (1, 10)),
        ("flattenTo2D", {"axis": -2}, (5, 2, 3), (5, 6)),
        ("flattenTo2D", {"axis": 2}, (2, 3, 4, 5), (6, 20)),
        ("reshapeStatic", {"targetShape": [5, -1, 2]}, (4, 5, 6), (5, 12, 2)),
        ("rankPreservingReshape", {"targetShape": [25, 0, -1]}, (10, 3, 5), (25, 3, 2)),
        ("rankPreservingReshape", {"targetShape": [0, 2, 25]}, (20, 10, 5), (20, 2, 25)),
    ],
)
def test_ranks_and_shapes(
    type: str, parameters: dict[str, Any], shape: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    x = normal(*shape)
    check_layer(type, parameters, [x], x.reshape(expected))


@pytest.mark.parametrize(
    ("type", "parameters", "message"),
    [
        ("squeeze", {"axes": [1]}, "length must be 1"),
        ("squeeze", {"axes": [3]}, "no axis 3"),
        ("expandDims", {"axes": [1, 1]}, "twice"),
        ("flattenTo2D", {"axis": -4}, "no axis -4"),
        ("reshapeStatic", {"targetShape": [7, -1]}, "cannot take the shape"),
        ("rankPreservingReshape", {"targetShape": [6, 4]}, "one number for each axis"),
        ("broadcastToStatic", {"targetShape": [2, 3]}, "cannot be broadcast"),
        ("broadcastToStatic", {"targetShape": [2, 1, 4]}, "cannot be broadcast"),
    ],
)
def test_refused_shapes(type: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        run_layer(type, parameters, [normal(2, 3, 4)])


def test_shapes_from_another_input() -> None:
    x, like = normal(4, 5, 6), normal(2, 20, 3)
    check_layer("reshapeLike", {}, [x, like], x.reshape(2, 20, 3))
    check_layer("reshapeDynamic", {}, [x, np.array([8, -1], np.float32)], x.reshape(8, 15))
    check_layer("getShape", {}, [x], np.array([4, 5, 6], np.float32))


def test_broadcasts() -> None:
    x = normal(3, 1, 5)
    expected = np.broadcast_to(x, (2, 3, 4, 5))
    check_layer("broadcastToStatic", {"targetShape": [2, 3, 4, 5]}, [x], expected)
    check_layer("broadcastToLike", {}, [x, normal(2, 3, 4, 5)], expected)
    check_layer("broadcastToDynamic", {}, [x, np.array([2, 3, 4, 5], np.float32)], expected)
