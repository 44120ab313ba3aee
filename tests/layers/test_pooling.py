from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal, uniform

MAX, AVERAGE, L2 = 0, 1, 2


def pooled(x: Array, type: int, kernel: Any, stride: Any, pads: Any, exclude: bool = True) -> Array:
    """The definition, window by window, on what of a window lies inside."""
    dims = len(kernel)
    extent = [(n + sum(p) - k) // s + 1 for n, p, k, s in zip(x.shape[-dims:], pads, kernel, stride, strict=True)]
    y = np.empty((*x.shape[:-dims], *extent))
    axes = tuple(range(-dims, 0))
    for place in itertools.product(*map(range, extent)):
        starts = [p * s - pad[0] for p, s, pad in zip(place, stride, pads, strict=True)]
        window = tuple(slice(max(0, a), max(0, a + k)) for a, k in zip(starts, kernel, strict=True))
        part = x[(..., *window)].astype(np.float64)
        if type == MAX:
            value = part.max(axes)
        elif type == L2:
            value = np.sqrt((part**2).sum(axes))
        else:
            value = part.mean(axes) if exclude else part.sum(axes) / np.prod(kernel)
        y[(..., *place)] = value
    return y


def valid(*amounts: tuple[int, int]) -> dict[str, Any]:
    edges = [{"startEdgeSize": start, "endEdgeSize": end} for start, end in amounts]
    return {"valid": {"paddingAmounts": {"borderAmounts": edges}}}


CASES = [
    ({}, [], [], [(0, 0), (0, 0)]),
    ({"valid": {}}, [2, 5], [3, 1], [(0, 0), (0, 0)]),
    ({"valid": {"paddingAmounts": {}}}, [2, 5], [3, 1], [(0, 0), (0, 0)]),
    (valid((2, 1), (0, 3)), [3, 4], [2, 1], [(2, 1), (0, 3)]),
    ({"same": {}}, [4, 3], [1, 2], [(1, 2), (1, 1)]),
    ({"same": {"asymmetryMode": 1}}, [4, 3], [1, 2], [(2, 1), (1, 1)]),
    ({"includeLastPixel": {}}, [3, 2], [2, 3], [(0, 1), (0, 0)]),
    ({"includeLastPixel": {"paddingAmounts": [1, 1]}}, [3, 3], [2, 2], [(1, 2), (1, 1)]),
    ({"includeLastPixel": {"paddingAmounts": [1, 0]}}, [2, 3], [3, 2], [(1, 0), (0, 0)]),
]


@pytest.mark.parametrize(("padding", "kernel", "stride", "pads"), CASES)
@pytest.mark.parametrize(("type", "exclude"), [(MAX, False), (AVERAGE, False), (AVERAGE, True), (L2, False)])
def test_pooling(padding: Any, kernel: Any, stride: Any, pads: Any, type: int, exclude: bool) -> None:
    x = -uniform(2, 3, 8, 11)
    expected = pooled(x, type, kernel or [3, 3], stride or [1, 1], pads, exclude)
    fields = {"type": type, "kernelSize": kernel, "stride": stride, "avgPoolExcludePadding": exclude, **padding}
    check_layer("pooling", fields, [x], expected)


def test_average_pooling_counts_what_includeLastPixel_adds_as_a_device_does() -> None:
    """The numbers are those of a Mac in apple/coremltools pull request 2844; PyTorch's differ at the borders."""
    x = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
    fields = {"type": AVERAGE, "kernelSize": [2, 2], "stride": [3, 3], "includeLastPixel": {}}
    expected = np.array([[4, 7, 4.75], [25, 28, 15.25], [21.25, 22.75, 12]])
    check_layer("pooling", fields, [x], expected[None, None])
    inside = np.array([[4, 7, 9.5], [25, 28, 30.5], [42.5, 45.5, 48]])
    check_layer("pooling", {**fields, "avgPoolExcludePadding": True}, [x], inside[None, None])


@pytest.mark.parametrize("type", [AVERAGE, L2])
@pytest.mark.parametrize("pads", [[(4, 0), (1, 3)], [(0, 7), (2, 2)]])
def test_padding_wider_than_the_window_counts_as_zeros(type: int, pads: list[tuple[int, int]]) -> None:
    x = uniform(2, 3, 8, 11)
    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    expected = pooled(padded, type, [3, 2], [2, 3], [(0, 0), (0, 0)])
    check_layer("pooling", {"type": type, "kernelSize": [3, 2], "stride": [2, 3], **valid(*pads)}, [x], expected)


def test_padding_that_no_window_reaches_is_no_reason_to_refuse() -> None:
    x = normal(2, 3, 6, 5)
    fields = {"kernelSize": [2, 2], "stride": [4, 1], **valid((0, 3), (0, 0))}
    check_layer("pooling", fields, [x], pooled(x, MAX, [2, 2], [4, 1], [(0, 0), (0, 0)]))


@pytest.mark.parametrize("type", [MAX, AVERAGE, L2])
@pytest.mark.parametrize(("shape", "exact"), [((3, 5, 7), False), ((3, 5, 7), True), ((2, 4, 3, 5, 7), True)])
def test_global_pooling(type: int, shape: tuple[int, ...], exact: bool) -> None:
    x = normal(*shape)
    expected = pooled(x, type, shape[-2:], [1, 1], [(0, 0), (0, 0)])
    expected = expected if exact else expected[None, None]
    check_layer("pooling", {"type": type, "globalPooling": True, "kernelSize": [2, 2]}, [x], expected, exact=exact)


@pytest.mark.parametrize(
    ("fields", "stride", "pads"),
    [
        ({"paddingType": 1, "customPaddingTop": 1}, [1, 2, 1], [(0, 0)] * 3),
        ({"paddingType": 2}, [1, 2, 3], [(0, 1), (0, 1), (1, 2)]),
        (
            {"customPaddingFront": 1, "customPaddingBottom": 2, "customPaddingLeft": 2},
            [2, 1, 1],
            [(1, 0), (0, 2), (2, 0)],
        ),
        ({"customPaddingBack": 1, "customPaddingTop": 2, "customPaddingRight": 3}, [1, 2, 2], [(0, 1), (2, 0), (0, 3)]),
    ],
)
@pytest.mark.parametrize(("type", "exclude"), [(MAX, False), (AVERAGE, False), (AVERAGE, True)])
def test_pooling3d(fields: Any, stride: list[int], pads: Any, type: int, exclude: bool) -> None:
    x = -uniform(2, 3, 5, 6, 7)
    expected = pooled(x, type, [2, 3, 4], stride, pads, exclude)
    sizes = {"kernelDepth": 2, "kernelHeight": 3, "kernelWidth": 4}
    sizes |= dict(zip(("strideDepth", "strideHeight", "strideWidth"), stride, strict=True))
    check_layer("pooling3d", {"type": type, "countExcludePadding": exclude, **sizes, **fields}, [x], expected)


@pytest.mark.parametrize("type", [MAX, AVERAGE])
def test_global_pooling3d(type: int) -> None:
    x = normal(2, 3, 4, 5, 6)
    expected = pooled(x, type, x.shape[-3:], [1, 1, 1], [(0, 0)] * 3)
    check_layer("globalPooling3d", {"type": type}, [x], expected)


@pytest.mark.parametrize(
    ("type", "fields", "message"),
    [
        ("pooling", {"kernelSize": [3, 0]}, "kernelSize is"),
        ("pooling", {"kernelSize": [9, 3]}, "does not fit"),
        ("pooling", {"kernelSize": [2, 2], **valid((2, 0), (0, 0))}, "lies in the padding alone"),
        ("pooling", {"kernelSize": [1, 1], "stride": [1, 4], "includeLastPixel": {}}, "lies in the padding alone"),
        ("pooling", {"type": AVERAGE, "avgPoolExcludePadding": True, **valid((0, 3), (0, 0))}, "the padding alone"),
        ("pooling", {"includeLastPixel": {"paddingAmounts": [1]}}, "paddingAmounts has 1"),
        ("pooling3d", {"kernelDepth": 2, "kernelHeight": 2}, "kernelWidth"),
        ("pooling3d", {"kernelDepth": 2, "kernelHeight": 2, "kernelWidth": 2, "customPaddingTop": -1}, "negative"),
    ],
)
def test_pooling_refuses_by_name(type: str, fields: Any, message: str) -> None:
    with pytest.raises(ModelError, match=rf"'layer' \({type}\).*{message}"):
        run_layer(type, fields, [normal(2, 3, 5, 6, 7) if type == "pooling3d" else normal(2, 3, 5, 6)])
