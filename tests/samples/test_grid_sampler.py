"""The sampler of the spatial transformer, in NumPy and in Keras, against formulas and against PyTorch's."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from mlexplorer.converters.source import SourceLayer
from mlexplorer.samples.grid_sampler import GridSampler, grid_sampler, sample

RNG = np.random.default_rng(7)
IDENTITY = np.array([1, 0, 0, 0, 1, 0], np.float32)


def picture(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


def by_loops(image: Any, theta: Any, height: int, width: int) -> Any:
    """The definition, pixel by pixel: every pixel of the image counts as far as it is less than one pixel away."""
    batch, channels, rows, columns = image.shape
    result = np.zeros((batch, channels, height, width))
    for b, i, j in np.ndindex(batch, height, width):
        x, y = -1 + 2 * j / (width - 1), -1 + 2 * i / (height - 1)
        u, v = theta[b].reshape(2, 3) @ [x, y, 1]
        column, row = (u + 1) / 2 * (columns - 1), (v + 1) / 2 * (rows - 1)
        for r, c in np.ndindex(rows, columns):
            result[b, :, i, j] += image[b, :, r, c] * max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - c))
    return result


def test_sampling_is_bilinear_with_zeros_beyond_the_border() -> None:
    image, theta = picture(3, 2, 6, 5), picture(3, 6)
    np.testing.assert_allclose(sample(image, theta, 4, 7), by_loops(image, theta, 4, 7), rtol=1e-4, atol=1e-5)


def test_the_identity_gives_the_picture_and_a_shift_by_one_pixel_moves_it() -> None:
    image = picture(2, 3, 5, 9)
    theta = np.tile(IDENTITY, (2, 1))
    np.testing.assert_allclose(sample(image, theta, 5, 9), image, atol=1e-5)
    theta[:, 2] = 2 / 8  # one of eight steps between nine columns
    moved = sample(image, theta, 5, 9)
    np.testing.assert_allclose(moved[..., :-1], image[..., 1:], atol=1e-5)
    np.testing.assert_allclose(moved[..., -1], 0, atol=1e-5)


def test_the_class_keeps_what_it_promises() -> None:
    layer = GridSampler({"height": 4, "width": 7})
    layer.set_weights([])
    image, theta = picture(3, 2, 6, 5), picture(3, 6)
    assert list(layer.output_shapes([image.shape, theta.shape])) == [(3, 2, 4, 7)]
    (output,) = layer.evaluate([image, theta])
    assert output.dtype == np.float32
    np.testing.assert_array_equal(output, sample(image, theta, 4, 7))


def test_the_conversion_function_takes_the_size_from_the_configuration() -> None:
    layer = SourceLayer("s", "GridSampler", {"height": 4, "width": 7, "dtype": "float32"}, {}, [(1, 6, 5, 2), (1, 6)])
    params = grid_sampler(layer)
    assert (params.class_name, params.parameters) == ("GridSampler", {"height": 4, "width": 7})
    assert params.output_shapes == [(1, 4, 7, 2)]


def test_sampling_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    image, theta = picture(3, 2, 6, 5), picture(3, 6)
    grid = torch.nn.functional.affine_grid(torch.tensor(theta).reshape(3, 2, 3), (3, 2, 4, 7), align_corners=True)
    expected = torch.nn.functional.grid_sample(torch.tensor(image), grid, align_corners=True).numpy()
    np.testing.assert_allclose(sample(image, theta, 4, 7), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning")
def test_the_layer_of_keras_samples_alike() -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    from mlexplorer.samples import train_spatial_transformer

    image, theta = picture(3, 2, 6, 5), picture(3, 6)
    layer = train_spatial_transformer.GridSampler(4, 7)
    output = keras.ops.convert_to_numpy(layer([image.transpose(0, 2, 3, 1), theta]))
    assert output.shape == layer.compute_output_shape([(3, 6, 5, 2), (3, 6)]) == (3, 4, 7, 2)
    np.testing.assert_allclose(output.transpose(0, 3, 1, 2), sample(image, theta, 4, 7), rtol=1e-4, atol=1e-5)
