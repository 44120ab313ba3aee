from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import check_layer, run_layer
from tests.layers.arrays import normal


@pytest.mark.parametrize(("axis", "name"), [(1, 0), (2, 1), (3, 2)])
@pytest.mark.parametrize(("start", "end", "stride"), [(0, 3, 1), (1, -1, 2), (-3, -1, 1), (2, 100, 3)])
def test_slice_of_channels_height_or_width(axis: int, name: int, start: int, end: int, stride: int) -> None:
    x = normal(2, 5, 6, 7)
    expected = x.take(range(x.shape[axis])[start:end:stride], axis)
    check_layer("slice", {"axis": name, "startIndex": start, "endIndex": end, "stride": stride}, [x], expected)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (2, 1), (5, 9), (0, -5)])
def test_slice_refuses_to_leave_nothing(start: int, end: int) -> None:
    with pytest.raises(ModelError, match=r"'layer' \(slice\): nothing of 5 is left"):
        run_layer("slice", {"startIndex": start, "endIndex": end}, [normal(5, 6, 7)])


# begin, end, stride, begin mask, end mask, squeeze mask: one row per axis of [5, 6, 7]; and the same in NumPy's words
SLICES: list[tuple[list[tuple[int, ...]], tuple[Any, ...]]] = [
    ([(1, 3, 1, 0, 0, 0), (-4, -1, 2, 0, 0, 0), (0, 7, 3, 0, 0, 0)], np.s_[1:3, -4:-1:2, 0:7:3]),
    ([(9, 3, 2, 1, 0, 0), (2, -9, 2, 0, 1, 0), (9, 9, 1, 1, 1, 0)], np.s_[:3:2, 2::2, :]),
    ([(-1, 1, -1, 0, 0, 0), (9, 9, -2, 1, 1, 0), (3, 0, -1, 0, 1, 0)], np.s_[-1:1:-1, ::-2, 3::-1]),
    ([(1, 1, 2, 1, 1, 0), (-1, 0, -3, 1, 1, 1), (2, 4, 1, 0, 0, 0)], np.s_[::2, -1, 2:4]),
    ([(-1, 0, 1, 0, 0, 1), (0, 0, 1, 0, 0, 1), (2, 3, 1, 0, 0, 0)], np.s_[-1, 0, 2:3]),
    ([(3, 0, 1, 0, 0, 1), (0, 0, 1, 0, 0, 1), (-7, 0, 1, 0, 0, 1)], np.s_[3:4, 0, -7]),
]
FIELDS = ("beginIds", "endIds", "strides", "beginMasks", "endMasks", "squeezeMasks")


def parameters(rows: list[tuple[int, ...]], fields: tuple[str, ...]) -> dict[str, list[Any]]:
    columns = dict(zip(FIELDS, map(list, zip(*rows, strict=True)), strict=True))
    return {f: [bool(v) for v in columns[f]] if f.endswith("Masks") else columns[f] for f in fields}


@pytest.mark.parametrize(("rows", "window"), SLICES)
def test_slice_static(rows: list[tuple[int, ...]], window: tuple[Any, ...]) -> None:
    x = normal(5, 6, 7)
    check_layer("sliceStatic", parameters(rows, FIELDS), [x], x[window])


@pytest.mark.parametrize("given", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(("rows", "window"), SLICES)
def test_slice_dynamic(rows: list[tuple[int, ...]], window: tuple[Any, ...], given: int) -> None:
    x = normal(5, 6, 7)
    numbers = [np.array(column, np.float32) for column in zip(*rows, strict=True)]
    stated = parameters(rows, FIELDS[given:])
    check_layer("sliceDynamic", stated, [x, *numbers[:given]], x[window])
    padded = {field: [*values, 1, 1] for field, values in stated.items()}
    check_layer("sliceDynamic", padded, [x, *numbers[:given]], x[window])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strides": [1, 0, 1]}, "stride of axis 1 is 0"),
        ({"beginIds": [1, 2]}, "beginIds has 2 values"),
        ({"beginIds": [3, 0, 0]}, "nothing is left"),
        ({"beginIds": [5, 0, 0], "squeezeMasks": [True, False, False]}, "no element 5"),
    ],
)
def test_slice_static_refuses(change: dict[str, Any], message: str) -> None:
    fields = {"beginIds": [0, 0, 0], "endIds": [2, 2, 2], "strides": [1, 1, 1], **change}
    with pytest.raises(ModelError, match=message):
        run_layer("sliceStatic", fields, [normal(5, 6, 7)])


def test_slice_dynamic_refuses_by_name() -> None:
    with pytest.raises(ModelError, match="beginIds has the shape"):
        run_layer("sliceDynamic", {"endIds": [1, 1, 1]}, [normal(5, 6, 7), np.zeros(2, np.float32)])


@pytest.mark.parametrize(("begin", "window"), [(0, np.s_[:, 0:3]), (3, np.s_[:, 3:6]), (-5, np.s_[:, 1:4])])
def test_slice_by_size(begin: int, window: Any) -> None:
    x = normal(4, 6, 5)
    check_layer("sliceBySize", {"axis": -2, "size": 3}, [x, np.array([begin], np.float32)], x[window])
    with pytest.raises(ModelError, match="size is 7"):
        run_layer("sliceBySize", {"axis": 1, "size": 7}, [x, np.array([begin], np.float32)])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize(("size", "step"), [(3, 1), (2, 2), (4, 3)])
def test_sliding_windows(axis: int, size: int, step: int) -> None:
    x = normal(7, 9, 8)
    every = np.lib.stride_tricks.sliding_window_view(x, size, axis)
    kept = every.take(range(0, every.shape[axis % 3], step), axis % 3)
    expected = np.moveaxis(kept, -1, axis % 3 + 1)
    check_layer("slidingWindows", {"axis": axis, "windowSize": size, "step": step}, [x], expected)
    if step == 1:
        check_layer("slidingWindows", {"axis": axis, "windowSize": size}, [x], expected)
    with pytest.raises(ModelError, match="windowSize is 10"):
        run_layer("slidingWindows", {"axis": axis, "windowSize": 10}, [x])


def test_reverse() -> None:
    x = normal(3, 4, 5)
    check_layer("reverse", {"reverseDim": [True, False, True]}, [x], x[::-1, :, ::-1])
    check_layer("reverse", {"reverseDim": [False, False, False]}, [x], x)
    with pytest.raises(ModelError, match="reverseDim has 2 values"):
        run_layer("reverse", {"reverseDim": [True, False]}, [x])


@pytest.mark.parametrize(("batch", "sequence"), [(0, 1), (1, 2), (0, 3), (1, -1), (2, 0), (-2, 1)])
def test_reverse_seq_of_any_axes(batch: int, sequence: int) -> None:
    x = normal(3, 4, 5, 6)
    lengths = np.arange(x.shape[batch]) % (x.shape[sequence] + 1)
    lengths[-1] = x.shape[sequence]
    expected = np.moveaxis(x, (batch, sequence), (0, 1)).copy()
    for index, length in enumerate(lengths):
        expected[index, :length] = expected[index, :length][::-1].copy()
    expected = np.moveaxis(expected, (0, 1), (batch, sequence))
    check_layer("reverseSeq", {"batchAxis": batch, "sequenceAxis": sequence}, [x, lengths.astype(np.float32)], expected)


def test_reverse_seq_refuses_one_axis_for_both() -> None:
    with pytest.raises(ModelError, match="both 1"):
        run_layer("reverseSeq", {"batchAxis": 1, "sequenceAxis": -2}, [normal(3, 4, 5), np.ones(4, np.float32)])
