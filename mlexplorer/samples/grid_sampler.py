"""The grid sampler of a spatial transformer: as a Python class for the runtime, and as what the converter makes of it.

    >>> from mlexplorer.samples.grid_sampler import grid_sampler
    >>> model = mle.convert(path, custom_conversion_functions={"GridSampler": grid_sampler})

Importing this module registers the class. Source: Jaderberg et al., "Spatial Transformer Networks", 2015.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.converters.source import CustomLayerParams, SourceLayer
from mlexplorer.errors import InputError
from mlexplorer.runtime.custom import custom_layer

Array = NDArray[Any]


def grid_sampler(layer: SourceLayer) -> CustomLayerParams:
    """The Keras layer GridSampler of `train_spatial_transformer.py` as a custom layer of the same name."""
    image, _ = layer.input_shapes
    if image is None:
        raise InputError(f"layer {layer.name!r}: the shape of the image is not known; convert what comes before it")
    batch, _, _, channels = image
    size = {key: layer.configuration[key] for key in ("height", "width")}
    shape = (batch, *size.values(), channels)
    return CustomLayerParams("GridSampler", "Samples an image on an affine grid", size, output_shapes=[shape])


@custom_layer("GridSampler")
class GridSampler:
    """An image [batch, channels, H, W] and theta [batch, 6] to the sampled image [batch, channels, height, width]."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self.height, self.width = int(parameters["height"]), int(parameters["width"])

    def set_weights(self, weights: Sequence[Array]) -> None:
        """There are none."""

    def output_shapes(self, input_shapes: Sequence[tuple[int, ...]]) -> Sequence[tuple[int, ...]]:
        """The batch and the channels of the image, the height and the width of the parameters."""
        return [(*input_shapes[0][:2], self.height, self.width)]

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """See `sample`."""
        image, theta = inputs
        return [sample(image, theta, self.height, self.width)]


def sample(image: Array, theta: Array, height: int, width: int) -> Array:
    """The image at the places to which theta takes the pixels of a picture of this height and width.

    Both pictures reach from -1 (the centre of the first pixel) to 1 (that of the last) along each axis. For the pixel
    at (x, y) of the result, theta's rows [a, b, c] and [d, e, f] give the place (ax + by + c, dx + ey + f), where the
    four pixels around are blended; beyond the border there are zeros. `image` is [batch, channels, H, W], `theta`
    [batch, 6], the result [batch, channels, height, width].
    """
    rows, columns = image.shape[2:]
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    grid = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    places = theta.reshape(-1, 2, 3) @ grid.astype(theta.dtype)
    column, row = (places[:, 0] + 1) * (columns - 1) / 2, (places[:, 1] + 1) * (rows - 1) / 2
    left, top = np.floor(column), np.floor(row)
    examples = np.arange(len(image))[:, None]
    result = np.zeros((len(image), height * width, image.shape[1]), image.dtype)
    for r in (top, top + 1):
        for c in (left, left + 1):
            weight = (1 - abs(row - r)) * (1 - abs(column - c))
            weight *= (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
            i, j = np.clip(r, 0, rows - 1).astype(int), np.clip(c, 0, columns - 1).astype(int)
            result += weight[..., None] * image[examples, :, i, j]
    return result.transpose(0, 2, 1).reshape(len(image), image.shape[1], height, width)
