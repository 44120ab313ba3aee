from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, one_layer_model, run_layer
from tests.layers.arrays import normal
from tests.layers.operators import lowered

ONE = {"startEdgeSize": 1, "endEdgeSize": 0}


def correlated(
    x: Array,
    weights: Array,
    pads: Sequence[tuple[int, int]],
    stride: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Array:
    """The definition: each output is the sum over kernel taps and the channels of its group."""
    x = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *pads])
    outputs, own = weights.shape[:2]
    kernel = weights.shape[2:]
    extent = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)]
    y = np.zeros((len(x), outputs, *extent))
    for output in range(outputs):
        first = output // (outputs // groups) * own
        for tap in itertools.product(*map(range, kernel)):
            window = tuple(
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, s, n in zip(tap, dilation, stride, extent, strict=True)
            )
            taps = weights[(output, slice(None), *tap)]
            y[:, output] += np.tensordot(x[(slice(None), slice(first, first + own), *window)], taps, (1, 0))
    return y


def spread(x: Array, weights: Array, stride: Sequence[int], groups: int) -> Array:
    """The definition of a deconvolution: each input adds its multiple of the kernel; nothing is cropped."""
    own = weights.shape[1]
    kernel = weights.shape[2:]
    extent = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], stride, kernel, strict=True)]
    y = np.zeros((len(x), own * groups, *extent))
    for channel, place in itertools.product(range(x.shape[1]), itertools.product(*map(range, x.shape[2:]))):
        first = channel // (x.shape[1] // groups) * own
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, stride, kernel, strict=True))
        y[(slice(None), slice(first, first + own), *window)] += np.multiply.outer(
            x[(slice(None), channel, *place)], weights[channel]
        )
    return y


def parameters(outputs: int, kernel_channels: int, kernel: Sequence[int], **fields: Any) -> dict[str, Any]:
    return {"outputChannels": outputs, "kernelChannels": kernel_channels, "kernelSize": list(kernel), **fields}


VALID = {"valid": {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 2, "endEdgeSize": 1}, ONE]}}}
SAME, TOP_LEFT = {"same": {}}, {"same": {"asymmetryMode": 1}}


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "groups", "pads"),
    [
        ({}, [], [], 1, [(0, 0), (0, 0)]),
        (VALID, [2, 1], [1, 2], 2, [(2, 1), (1, 0)]),
        (SAME, [2, 2], [], 1, [(1, 1), (0, 1)]),
        (TOP_LEFT, [2, 2], [], 1, [(1, 1), (1, 0)]),
        (SAME, [], [2, 1], 4, [(2, 2), (0, 1)]),
    ],
)
def test_convolution(padding: Any, stride: list[int], dilation: list[int], groups: int, pads: Any) -> None:
    x, weights, bias = normal(2, 4, 7, 11), normal(8, 4 // groups, 3, 2), normal(8)
    expected = correlated(x, weights, pads, stride or [1, 1], dilation or [1, 1], groups) + bias[:, None, None]
    fields = parameters(8, 4 // groups, (3, 2), stride=stride, dilationFactor=dilation, hasBias=True, **padding)
    if groups > 1:
        fields["nGroups"] = groups
    check_layer("convolution", fields, [x], expected, weights={"weights": weights, "bias": bias})


def test_a_convolution_without_bias_has_two_operands() -> None:
    """An empty third one keeps onnxruntime from its faster layout of channels in blocks."""
    model = one_layer_model(
        "convolution", parameters(7, 3, (3, 3)), [(1, 3, 5, 6)], weights={"weights": normal(7, 3, 3, 3)}
    )
    (node,) = lowered(model).node
    assert len(node.input) == 2


@pytest.mark.parametrize(("shape", "exact"), [((3, 5, 6), True), ((3, 5, 6), False), ((2, 4, 3, 5, 6), True)])
def test_convolution_keeps_the_leading_axes_and_defaults_to_a_kernel_of_3x3(
    shape: tuple[int, ...], exact: bool
) -> None:
    x, weights = normal(*shape), normal(7, 3, 3, 3)
    y = correlated(x.reshape(-1, 3, 5, 6), weights, [(0, 0), (0, 0)], [1, 1], [1, 1], 1)
    expected = y.reshape(*(shape[:-3] if exact else (1, 1)), *y.shape[1:])
    fields = {"outputChannels": 7, "kernelChannels": 3}
    check_layer("convolution", fields, [x], expected, weights={"weights": weights}, exact=exact)


def test_convolution_takes_its_weights_from_a_second_input() -> None:
    x, weights, bias = normal(1, 3, 8, 9), normal(5, 3, 2, 4), normal(5)
    fields = parameters(5, 3, (2, 4), hasBias=True, **SAME)
    expected = correlated(x, weights, [(0, 1), (1, 2)], [1, 1], [1, 1], 1) + bias[:, None, None]
    check_layer("convolution", fields, [x, weights], expected, weights={"bias": bias})


@pytest.mark.parametrize(
    ("fields", "stride", "groups", "crop"),
    [
        ({}, [2, 3], 1, [(0, 0), (0, 0)]),
        (VALID, [2, 3], 2, [(2, 1), (1, 0)]),
        (SAME, [2, 1], 1, [(0, 1), (1, 2)]),
        (TOP_LEFT, [2, 1], 1, [(1, 0), (2, 1)]),
        (SAME, [5, 4], 1, [(0, -2), (0, 0)]),
        ({"outputShape": [10, 13]}, [2, 2], 3, [(0, 1), (0, 1)]),
        ({"outputShape": [12, 15], **SAME}, [2, 3], 1, [(0, -1), (2, 2)]),
    ],
)
def test_deconvolution_crops_or_extends_what_the_kernels_cover(
    fields: Any, stride: list[int], groups: int, crop: Any
) -> None:
    x, weights, bias = normal(2, 6, 5, 6), normal(6, 4, 3, 4), normal(4 * groups)
    y = spread(x, weights, stride, groups)
    for axis, (start, end) in zip((2, 3), crop, strict=True):
        y = np.pad(y, [(0, max(0, -end)) if a == axis else (0, 0) for a in range(4)])
        y = np.take(y, range(start, y.shape[axis] - max(0, end)), axis)
    fields = parameters(
        4 * groups, 6, (3, 4), isDeconvolution=True, stride=stride, nGroups=groups, hasBias=True, **fields
    )
    expected = y + bias[:, None, None]
    check_layer("convolution", fields, [x], expected, weights={"weights": weights, "bias": bias})


@pytest.mark.parametrize(
    ("padding", "stride", "dilation", "groups", "crop"),
    [
        (VALID, [1, 1], [2, 3], 1, [(2, 1), (1, 0)]),
        (VALID, [2, 3], [3, 2], 2, [(2, 1), (1, 0)]),
        (SAME, [2, 1], [2, 2], 1, [(1, 2), (3, 3)]),
    ],
)
def test_a_dilated_deconvolution_is_one_with_zeros_in_its_kernel(
    padding: Any, stride: list[int], dilation: list[int], groups: int, crop: Any
) -> None:
    x, weights = normal(2, 6, 5, 6), normal(6, 4, 3, 4)
    sparse = np.zeros((6, 4, 2 * dilation[0] + 1, 3 * dilation[1] + 1), np.float32)
    sparse[:, :, :: dilation[0], :: dilation[1]] = weights
    y = spread(x, sparse, stride, groups)
    (top, bottom), (left, right) = crop
    expected = y[:, :, top : y.shape[2] - bottom, left : y.shape[3] - right]
    fields = parameters(
        4 * groups, 6, (3, 4), isDeconvolution=True, stride=stride, dilationFactor=dilation, nGroups=groups, **padding
    )
    check_layer("convolution", fields, [x], expected, weights={"weights": weights})


def parameters3d(outputs: int, inputs: int, kernel: Sequence[int], **fields: Any) -> dict[str, Any]:
    depth, height, width = kernel
    sizes = {"kernelDepth": depth, "kernelHeight": height, "kernelWidth": width}
    return {"outputChannels": outputs, "inputChannels": inputs, **sizes, **fields}


@pytest.mark.parametrize(
    ("fields", "stride", "dilation", "pads"),
    [
        ({"paddingType": 1, "customPaddingTop": 3}, [1, 1, 1], [1, 1, 1], [(0, 0)] * 3),
        ({"paddingType": 2}, [2, 1, 3], [1, 2, 1], [(0, 1), (2, 2), (0, 1)]),
        (
            {"customPaddingFront": 1, "customPaddingTop": 2, "customPaddingRight": 3},
            [1, 2, 2],
            [1, 1, 1],
            [(1, 0), (2, 0), (0, 3)],
        ),
    ],
)
def test_convolution3d(fields: Any, stride: list[int], dilation: list[int], pads: Any) -> None:
    x, weights, bias = normal(2, 4, 6, 7, 8), normal(6, 2, 2, 3, 3), normal(6)
    expected = correlated(x, weights, pads, stride, dilation, 2) + bias[:, None, None, None]
    steps = dict(zip(("strideDepth", "strideHeight", "strideWidth"), stride, strict=True))
    gaps = dict(zip(("dilationDepth", "dilationHeight", "dilationWidth"), dilation, strict=True))
    fields = parameters3d(6, 4, (2, 3, 3), nGroups=2, hasBias=True, **steps, **gaps, **fields)
    check_layer("convolution3d", fields, [x], expected, weights={"weights": weights, "bias": bias})


@pytest.mark.parametrize(
    ("fields", "crop"),
    [
        ({"paddingType": 1}, [(0, 0)] * 3),
        ({"paddingType": 2}, [(0, 0), (0, 1), (1, 1)]),
        ({"outputShape": [7, 7, 9], "paddingType": 1}, [(0, 1), (1, 1), (0, 1)]),
    ],
)
def test_deconvolution3d(fields: Any, crop: Any) -> None:
    x, weights = normal(1, 3, 4, 3, 4), normal(3, 2, 2, 4, 4)
    y = spread(x, weights, [2, 3, 2], 1)
    if "outputShape" in fields:
        crop = [(n // 2, n - n // 2) for n in np.subtract(y.shape[2:], fields["outputShape"])]
    for axis, (start, end) in zip((2, 3, 4), crop, strict=True):
        y = np.take(y, range(start, y.shape[axis] - end), axis)
    steps = {"strideDepth": 2, "strideHeight": 3, "strideWidth": 2}
    fields = parameters3d(2, 3, (2, 4, 4), isDeconvolution=True, **steps, **fields)
    check_layer("convolution3d", fields, [x], y, weights={"weights": weights})


@pytest.mark.parametrize(
    ("change", "shape", "message"),
    [
        ({"stride": [0, 1]}, (1, 3, 5, 6), "stride is"),
        ({"stride": [2]}, (1, 3, 5, 6), "stride is"),
        ({}, (1, 4, 5, 6), "4 channels meets weights for 3"),
        ({}, (1, 3, 2, 6), "does not fit"),
        ({}, (3, 6), "too few axes"),
        ({"valid": {"paddingAmounts": {"borderAmounts": [ONE]}}}, (1, 3, 5, 6), "paddingAmounts has 1"),
        ({"isDeconvolution": True, "outputShape": [9]}, (1, 3, 5, 6), "outputShape has 1"),
        ({"isDeconvolution": True, "outputShape": [8, 9]}, (1, 3, 5, 6), r"\[8, 9\], but the kernels cover \[7, 8\]"),
    ],
)
def test_convolution_refuses_by_name(change: Any, shape: tuple[int, ...], message: str) -> None:
    fields = parameters(3, 3, (3, 3), **change)
    with pytest.raises(ModelError, match=rf"'layer' \(convolution\).*{message}"):
        run_layer("convolution", fields, [normal(*shape)], weights={"weights": normal(3, 3, 3, 3)})
