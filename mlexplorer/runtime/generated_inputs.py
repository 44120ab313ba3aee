"""Inputs for a model where the user has none: noise, the same every time."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from mlexplorer.errors import InputError
from mlexplorer.model import Feature, Model, SizeRange

NOISE_INPUTS = 4
_NOISE_SIDE = 256
_MEAN, _DEVIATION = 128.0, 60.0
_SHARED = 2.0


def generated_inputs(model: Model, count: int = NOISE_INPUTS) -> list[dict[str, Any]]:
    """Noise for all inputs that are not optional, by name, one dictionary for each run.

    Pictures have a spectrum that falls with the frequency, as that of photographs does; arrays and numbers are normally
    distributed. Raises InputError, naming the input, for types that noise says nothing about: whole numbers, texts,
    dictionaries, sequences, and arrays without a shape.
    """
    return [{f.name: _noise(f, seed) for f in model.inputs if not f.optional} for seed in range(count)]


def noise_picture(width: int, height: int, seed: int) -> Image.Image:
    """A picture of noise whose amplitude is inverse to the frequency, its colours correlated as in photographs."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    amplitude = np.divide(1.0, frequency, where=frequency > 0, out=np.zeros_like(frequency))
    *own, shared = (np.fft.ifft2(np.fft.fft2(rng.normal(size=frequency.shape)) * amplitude).real for _ in range(4))
    planes = []
    for plane in own:
        mixed = _SHARED * shared + plane
        deviation = mixed.std() or 1.0
        planes.append(_MEAN + _DEVIATION * (mixed - mixed.mean()) / deviation)
    return Image.fromarray(np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8))


def _noise(feature: Feature, seed: int) -> Any:
    if feature.type == "image":
        return noise_picture(*_picture_size(feature), seed)
    rng = np.random.default_rng(seed)
    if feature.type == "multiArray" and feature.shape:
        return rng.normal(size=feature.shape).astype(np.float32)
    if feature.type == "double":
        return float(rng.normal())
    raise InputError(f"input {feature.name!r} ({feature}) cannot be noise; give inputs, [{{input name: value}}, ...]")


def _picture_size(feature: Feature) -> tuple[int, int]:
    width, height = (
        (_NOISE_SIDE, _NOISE_SIDE) if feature.accepts_size(_NOISE_SIDE, _NOISE_SIDE) else feature.shape or (0, 0)
    )
    if min(width, height) < 1 and feature.flexible and isinstance(feature.flexible[0], SizeRange):
        width, height = (max(side.lower, 1) for side in feature.flexible if isinstance(side, SizeRange))
    return width, height
