"""What the tests of real models share: which files there are, values for their inputs, and their custom layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mlexplorer as mle


class Layer:
    """A custom layer that has no weights and changes no shape."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        assert isinstance(parameters, dict)

    def set_weights(self, weights: Sequence[Any]) -> None:
        assert not len(weights)

    def output_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [shapes[0]]


class CropByTwo(Layer):
    def output_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [(*shapes[0][:-2], shapes[0][-2] - 4, shapes[0][-1] - 4)]

    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        return [inputs[0][..., 2:-2, 2:-2]]


class Rescale(Layer):
    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        return [(inputs[0] + 1) * 127.5]


class Swish(Layer):
    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        return [inputs[0] / (1 + np.exp(-np.maximum(inputs[0], -80)))]


class LeastSquares(Layer):
    """The four results of torch.linalg.lstsq: x of min |A x - b|, squared residual, rank, singular values.

    A comes transposed, [..., n, m], as LAPACK's column order wants it; b is [..., m].
    """

    def output_shapes(self, shapes: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
        *batch, n, m = shapes[0]
        return [(*batch, n), (*batch, 1), (*batch, 1), (*batch, min(n, m))]

    def evaluate(self, inputs: Sequence[Any]) -> list[Any]:
        matrix, target = np.swapaxes(inputs[0], -1, -2), inputs[1][..., None]
        solution = np.linalg.pinv(matrix) @ target
        residual = np.square(matrix @ solution - target).sum(axis=-2)
        rank = np.linalg.matrix_rank(matrix)[..., None].astype(np.float32)
        return [solution[..., 0], residual, rank, np.linalg.svd(matrix, compute_uv=False)]


CUSTOM_LAYERS: dict[str, Any] = {
    "ResCropBlockLambda": CropByTwo,
    "RescaleOutputLambda": Rescale,
    "Swish": Swish,
    "dneprDroid_lstsq": LeastSquares,
}


def model_files(corpus: Path) -> list[Path]:
    """Every model file and package of the corpus."""
    patterns = ("mlmodel/*/*.mlmodel", "mlpackage/*/*.mlpackage", "style/*/*.mlmodel")
    return sorted(path for pattern in patterns for path in corpus.glob(pattern))


def any_inputs(model: mle.Model) -> dict[str, Any]:
    """A value for each input that must be given, the same in every run."""
    rng = np.random.default_rng(3)
    return {feature.name: _any_value(feature, rng) for feature in model.inputs if not feature.optional}


def _any_value(feature: mle.Feature, rng: np.random.Generator) -> Any:
    if feature.type == "image":
        assert feature.shape is not None
        return Image.fromarray(rng.integers(0, 256, (feature.shape[1], feature.shape[0], 3), np.uint8))
    if feature.type == "multiArray":
        return rng.random(feature.shape, np.float32)
    if feature.type == "string":
        return "A sentence of six short words."
    if feature.type == "dictionary":
        words = range(4) if feature.dtype == "int64" else ("good", "bad", "last-letter=a", "no word of any list")
        return {word: float(rng.integers(1, 4)) for word in words}
    assert feature.type in ("double", "int64"), feature
    return int(rng.integers(0, 9)) if feature.type == "int64" else float(rng.normal())


def numbers(outputs: Mapping[str, Any]) -> list[Any]:
    """All numbers that a prediction gives, one array for each output that has any."""
    found = []
    for value in outputs.values():
        if isinstance(value, dict):
            found.append(np.array(list(value.values()), np.float64))
        elif not isinstance(value, str):
            found.append(np.asarray(value, np.float64))
    return found
