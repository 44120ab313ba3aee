from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal

STRICT, ALIGNED, UPSAMPLED, ROI = range(4)


def grid(start: float, end: float, points: int, mode: int) -> Array:
    """The places that the specification's SamplingMode gives for the interval [start, end]."""
    span = end - start
    if mode == UPSAMPLED:
        return start + np.minimum(span, np.linspace(0, (span + 1) - (span + 1) / points, points))
    if mode == ROI:
        spacing = max(1.0, span) / points
        return start + np.minimum(span, 0.5 * spacing + np.arange(points) * spacing)
    if mode == ALIGNED and points == 1:
        return np.array([(start + end) / 2])
    return np.linspace(start, end, points)


def sample(x: Array, rows: Array, columns: Array) -> Array:
    """Bilinear interpolation, one point after the other."""
    height, width = x.shape[-2:]
    result = np.empty((*x.shape[:-2], len(rows), len(columns)))
    for i, r in enumerate(np.clip(rows, 0, height - 1)):
        for j, c in enumerate(np.clip(columns, 0, width - 1)):
            top, left = int(r), int(c)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            above = x[..., top, left] * (1 - c + left) + x[..., top, right] * (c - left)
            below = x[..., bottom, left] * (1 - c + left) + x[..., bottom, right] * (c - left)
            result[..., i, j] = above * (1 - r + top) + below * (r - top)
    return result


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4, 5), (2, 1, 3, 4, 5)])
def test_upsample_nearest_repeats(shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    check_layer("upsample", {"scalingFactor": [2, 3]}, [x], x.repeat(2, -2).repeat(3, -1))
    check_layer("upsample", {}, [x], x)


@pytest.mark.parametrize("factors", [[2, 3], [1, 4]])
def test_upsample_bilinear_samples_from_the_corner(factors: list[int]) -> None:
    x = normal(2, 3, 4, 5)
    rows, columns = np.arange(4 * factors[0]) / factors[0], np.arange(5 * factors[1]) / factors[1]
    check_layer("upsample", {"scalingFactor": factors, "mode": 1}, [x], sample(x, rows, columns))


@pytest.mark.parametrize("factors", [(2.0, 3.0), (1.66, 2.3), (2.98, 1.0), (0.5, 0.72), (0.1, 1.5)])
@pytest.mark.parametrize("align", [False, True])
def test_upsample_bilinear_aligned_is_pytorch_s(factors: tuple[float, float], align: bool) -> None:
    torch = pytest.importorskip("torch")
    x = normal(2, 3, 10, 7)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(x), scale_factor=factors, mode="bilinear", align_corners=align, recompute_scale_factor=True
    ).numpy()
    parameters = {"mode": 1, "linearUpsampleMode": 1 if align else 2, "fractionalScalingFactor": factors}
    check_layer("upsample", parameters, [x], expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"fractionalScalingFactor": [1.5, 2.0]}, "needs bilinear"),
        ({"fractionalScalingFactor": [1.5, 2.0], "mode": 1}, "but DEFAULT"),
        ({"scalingFactor": [2]}, "two positive numbers"),
        ({"fractionalScalingFactor": [0.1, 0.1], "mode": 1, "linearUpsampleMode": 1}, "nothing is left"),
    ],
)
def test_upsample_refuses(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        run_layer("upsample", parameters, [normal(3, 4, 5)])


@pytest.mark.parametrize("mode", [STRICT, ALIGNED, UPSAMPLED, ROI])
@pytest.mark.parametrize("shape", [(5, 7), (1, 4)])
@pytest.mark.parametrize("size", [[8, 3], [1, 11], [4, 1], [1, 1]])
def test_resize_bilinear_on_all_grids(mode: int, shape: tuple[int, int], size: list[int]) -> None:
    x = normal(2, 3, *shape)
    rows, columns = (grid(0, n - 1, points, mode) for n, points in zip(shape, size, strict=True))
    check_layer("resizeBilinear", {"targetSize": size, "mode": {"samplingMethod": mode}}, [x], sample(x, rows, columns))


def test_resize_bilinear_has_a_default_size() -> None:
    x = normal(3, 4, 5)
    check_layer("resizeBilinear", {}, [x], x[:, :1, :1])
    with pytest.raises(ModelError, match="targetSize"):
        run_layer("resizeBilinear", {"targetSize": [3, 0]}, [x])


BOXES = [(0.5, 1.0, 3.25, 6.0), (2.0, 3.0, 2.5, 3.0), (4.0, 5.0, 1.0, 2.0)]
"""Top, left, bottom, right."""


def encoded(order: int, scale: tuple[float, float]) -> Array:
    """The boxes in one of the four conventions, divided by a scale of height and width."""
    rows = []
    for top, left, bottom, right in BOXES:
        a, b = (top, bottom), (left, right)
        if order >= 2:
            a, b = ((top + bottom) / 2, bottom - top), ((left + right) / 2, right - left)
        a, b = (a[0] / scale[0], a[1] / scale[0]), (b[0] / scale[1], b[1] / scale[1])
        first, second = (a, b) if order in (0, 2) else (b, a)
        rows.append((first[0], second[0], first[1], second[1]))
    return np.array(rows, np.float32)


@pytest.mark.parametrize("order", range(4))
@pytest.mark.parametrize("mode", [STRICT, ALIGNED, UPSAMPLED, ROI])
@pytest.mark.parametrize("size", [[3, 4], [1, 1]])
def test_crop_resize(order: int, mode: int, size: list[int]) -> None:
    x = normal(1, 2, 3, 6, 8)
    samples = []
    for top, left, bottom, right in BOXES:
        rows, columns = grid(top, bottom, size[0], mode), grid(left, right, size[1], mode)
        samples.append(sample(x[0], rows, columns))
    expected = np.stack(samples)
    common = {"targetSize": size, "mode": {"samplingMethod": mode}, "boxIndicesMode": {"boxMode": order}}
    boxes = encoded(order, (1, 1)).reshape(3, 1, 4, 1, 1)
    check_layer("cropResize", common, [x, boxes], expected)
    check_layer("cropResize", {**common, "spatialScale": 0.5}, [x, 2 * boxes], expected)
    normalized = encoded(order, (5, 7)).reshape(3, 1, 4, 1, 1)
    check_layer("cropResize", {**common, "normalizedCoordinates": True}, [x, normalized], expected)
    numbered = np.concatenate([np.array([1, 0, 1], np.float32)[:, None], encoded(order, (1, 1))], axis=1)
    chosen = expected[np.arange(3), [1, 0, 1]][:, None]
    check_layer("cropResize", common, [x, numbered.reshape(3, 1, 5, 1, 1)], chosen)


def test_crop_resize_in_the_middle_of_cells_and_beyond_the_border() -> None:
    x = normal(1, 1, 2, 6, 8)
    box = np.array([-2, 1, 3, 9], np.float32).reshape(1, 1, 4, 1, 1)
    expected = sample(x[0], grid(-2, 3, 4, ROI), grid(1, 9, 5, ROI))[None]
    check_layer("cropResize", {"targetSize": [4, 5], "mode": {"samplingMethod": ROI}}, [x, box], expected)
    with pytest.raises(ModelError, match="4 or 5"):
        run_layer("cropResize", {}, [x, np.zeros((1, 1, 6, 1, 1), np.float32)])
    with pytest.raises(ModelError, match=r"\[1, Batch, C, H, W\]"):
        run_layer("cropResize", {}, [normal(2, 1, 2, 6, 8), box])


def test_reorganize_data() -> None:
    x = normal(2, 12, 3, 5)
    blocks = x.reshape(2, 2, 2, 3, 3, 5)  # batch, block row, block column, C, H, W
    depth_to_space = blocks.transpose(0, 3, 4, 1, 5, 2).reshape(2, 3, 6, 10)
    check_layer("reorganizeData", {"mode": 1, "blockSize": 2}, [x], depth_to_space)
    check_layer("reorganizeData", {"mode": 0, "blockSize": 2}, [depth_to_space], x)
    shuffled = x.reshape(2, 3, 2, 2, 3, 5).transpose(0, 1, 4, 2, 5, 3).reshape(2, 3, 6, 10)
    check_layer("reorganizeData", {"mode": 2, "blockSize": 2}, [x], shuffled)
    for parameters in ({"mode": 0, "blockSize": 2}, {"mode": 1, "blockSize": 5}, {"mode": 1, "blockSize": 1}):
        with pytest.raises(ModelError, match="blockSize"):
            run_layer("reorganizeData", parameters, [x])
