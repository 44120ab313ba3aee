"""Train the spatial-transformer digit classifier of the samples, on scikit-learn's digits under random affine maps.

    python -m mlexplorer.samples.train_spatial_transformer --output FOLDER

It needs Keras 3 with PyTorch, and scikit-learn; the defaults take some minutes on two CPU cores. It writes
`spatial_transformer.h5` as Keras saves it, and `digits.png`, a sheet of distorted digits that were held out, and prints
the accuracy on all of those, and what the same network reaches without the transformer: with theta kept at the
identity. README.md beside this file has the numbers.

- A digit of 8 x 8 pixels is turned by up to 60 degrees, sheared, stretched and moved on a canvas of 28 x 28.
- The localisation network looks at the canvas and gives theta; its last layer starts at the identity.
- GridSampler, a layer that Keras does not know, cuts 20 x 20 pixels out of the canvas; a small CNN classifies them.
- 360 of the 1,797 digits are held out; the others are distorted anew for every epoch. Nothing is chosen by the held-out
  digits: the number of epochs is fixed, and they are looked at once, after the last.

Source: Jaderberg et al., "Spatial Transformer Networks", 2015.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from keras import layers, ops
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.samples.grid_sampler import sample

Array = NDArray[Any]

CANVAS = 28
SAMPLED = 20
HELD_OUT = 360
SHEET_COLUMNS = 20
DISTORTIONS = 10
"""Distortions of each held-out digit that the accuracy is taken on."""
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class GridSampler(layers.Layer):  # type: ignore[misc, unused-ignore]
    """An image [batch, H, W, channels] and theta [batch, 6] to [batch, height, width, channels]; see `sample`."""

    def __init__(self, height: int, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.height, self.width = height, width

    def compute_output_shape(self, input_shape: Any) -> tuple[int | None, ...]:
        """The batch and the channels of the image, the height and the width of the configuration."""
        batch, _, _, channels = input_shape[0]
        return (batch, self.height, self.width, channels)

    def get_config(self) -> dict[str, Any]:
        """Height and width of the output."""
        return {**super().get_config(), "height": self.height, "width": self.width}

    def call(self, inputs: Any) -> Any:
        """The sampled image."""
        image, theta = inputs
        rows, columns, channels = image.shape[1:]
        y, x = ops.meshgrid(ops.linspace(-1.0, 1.0, self.height), ops.linspace(-1.0, 1.0, self.width), indexing="ij")
        grid = ops.stack([ops.reshape(x, -1), ops.reshape(y, -1), ops.ones(self.height * self.width)])
        places = ops.matmul(ops.reshape(theta, (-1, 2, 3)), grid)
        column, row = (places[:, 0] + 1) * (columns - 1) / 2, (places[:, 1] + 1) * (rows - 1) / 2
        left, top = ops.floor(column), ops.floor(row)
        pixels = ops.reshape(image, (-1, rows * columns, channels))
        result = 0.0
        for r in (top, top + 1):
            for c in (left, left + 1):
                weight = (1 - ops.abs(row - r)) * (1 - ops.abs(column - c))
                inside = (r >= 0) & (r < rows) & (c >= 0) & (c < columns)
                index = ops.clip(r, 0, rows - 1) * columns + ops.clip(c, 0, columns - 1)
                index = ops.broadcast_to(ops.cast(index, "int32")[..., None], (*index.shape, channels))
                blended = ops.take_along_axis(pixels, index, axis=1)
                result = result + (weight * ops.cast(inside, weight.dtype))[..., None] * blended
        return ops.reshape(result, (-1, self.height, self.width, channels))


def network(*, transformer: bool = True) -> keras.Model:
    """The classifier, from [batch, 28, 28, 1] in 0..1 to the probabilities of ten digits, with fresh weights.

    Without the transformer the localisation network is kept as it starts: at the identity.
    """
    image = keras.Input((CANVAS, CANVAS, 1), name="image")
    x = layers.AveragePooling2D(2, name="halve")(image)
    x = layers.Conv2D(16, 3, activation="relu", name="locate1")(x)
    x = layers.MaxPooling2D(2, name="locate_pool")(x)
    x = layers.Conv2D(32, 3, activation="relu", name="locate2")(x)
    x = layers.Flatten(name="locate_flat")(x)
    x = layers.Dense(32, activation="relu", name="locate3")(x)
    start = keras.initializers.Constant(np.asarray(IDENTITY, np.float32))
    theta = layers.Dense(6, kernel_initializer="zeros", bias_initializer=start, trainable=transformer, name="theta")(x)
    x = GridSampler(SAMPLED, SAMPLED, name="sampler")([image, theta])
    x = layers.Conv2D(16, 3, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(32, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(64, activation="relu", name="hidden")(x)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(x), name="spatial_transformer")


def distort(digits: Array, rng: np.random.Generator) -> Array:
    """Digits [N, 8, 8] in 0..1 on canvases, each under a random affine map: [N, 28, 28, 1] in steps of 1/255."""
    count = len(digits)
    angle, shear = rng.uniform(-np.pi / 3, np.pi / 3, count), rng.uniform(-0.3, 0.3, count)
    width, height = rng.uniform(0.4, 0.75, (2, count))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.array([[width, shear * width], [np.zeros(count), height]])
    inverse = np.linalg.inv(np.einsum("ijn,jkn->nik", turn, stretch))  # from places on the canvas to the digit's
    shift = rng.uniform(-1, 1, (count, 2, 1)) * (1 - np.maximum(width, height))[:, None, None]
    theta = np.concatenate([inverse, -inverse @ shift], axis=2).reshape(count, 6).astype(digits.dtype)
    canvases: Array = np.rint(sample(digits[:, None], theta, CANVAS, CANVAS) * 255) / 255
    return canvases.transpose(0, 2, 3, 1)


def read_digits(seed: int) -> tuple[Array, Array, Array, Array]:
    """Digits [N, 8, 8] in 0..1 and labels to train with, then those that are held out."""
    from sklearn.datasets import load_digits

    found = load_digits()
    order = np.random.default_rng(seed).permutation(len(found.target))
    digits, labels = np.asarray(found.images[order] / 16, np.float32), found.target[order]
    return digits[HELD_OUT:], labels[HELD_OUT:], digits[:HELD_OUT], labels[:HELD_OUT]


def train(model: keras.Model, digits: Array, labels: Array, epochs: int, repeats: int, seed: int) -> None:
    """Adam on digits that are distorted anew, `repeats` times each, for every epoch; the rate falls along a cosine."""
    rng = np.random.default_rng(seed + 1)
    batch = 64
    steps = epochs * -(-len(digits) * repeats // batch)
    rate = keras.optimizers.schedules.CosineDecay(2e-3, steps, alpha=0.02)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    for epoch in range(epochs):
        distorted = distort(np.tile(digits, (repeats, 1, 1)), rng)
        history = model.fit(distorted, np.tile(labels, repeats), batch_size=batch, verbose=0).history
        print(f"epoch {epoch + 1}: loss {history['loss'][0]:.4f}, accuracy {history['accuracy'][0]:.4f}", flush=True)


def accuracy(model: keras.Model, digits: Array, labels: Array, seed: int) -> float:
    """Of each digit distorted `DISTORTIONS` times, the same ones for every model."""
    distorted = distort(np.tile(digits, (DISTORTIONS, 1, 1)), np.random.default_rng(seed + 2))
    predicted = model.predict(distorted, batch_size=256, verbose=0).argmax(axis=1)
    return float((predicted == np.tile(labels, DISTORTIONS)).mean())


def sheet(digits: Array, labels: Array, seed: int) -> Image.Image:
    """A row of distorted digits for each class, 0 to 9, each from another digit."""
    rng = np.random.default_rng(seed + 3)
    rows = [distort(digits[labels == label][:SHEET_COLUMNS], rng)[..., 0] for label in range(10)]
    return Image.fromarray(np.rint(np.block([list(row) for row in rows]) * 255).astype(np.uint8))


def arguments() -> argparse.ArgumentParser:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder for the model and the sheet of digits")
    parser.add_argument("--epochs", type=int, default=40, help="times that the digits are distorted (%(default)s)")
    parser.add_argument("--repeats", type=int, default=4, help="distortions of a digit in an epoch (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, split and distortions (%(default)s)")
    return parser


def main() -> None:
    """Train from the command line."""
    options = arguments().parse_args()
    torch.set_num_threads(1)  # so small a network takes ten times as long where several threads wait for each other
    digits, labels, held_out, held_out_labels = read_digits(options.seed)
    for transformer in (True, False):
        keras.utils.set_random_seed(options.seed)
        model = network(transformer=transformer)
        train(model, digits, labels, options.epochs, options.repeats, options.seed)
        result = accuracy(model, held_out, held_out_labels, options.seed)
        print(f"{'with' if transformer else 'without'} the transformer: held-out accuracy {result:.4f}", flush=True)
        if transformer:
            options.output.mkdir(parents=True, exist_ok=True)
            model.save(options.output / "spatial_transformer.h5", include_optimizer=False)
            sheet(held_out, held_out_labels, options.seed).save(options.output / "digits.png", optimize=True)


if __name__ == "__main__":
    main()
