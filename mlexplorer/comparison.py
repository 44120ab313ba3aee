"""How far the outputs of two models lie apart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlexplorer.errors import InputError


def psnr(reference: ArrayLike, other: ArrayLike, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(peak^2 / mean squared difference); infinite for equal arrays.

    Takes pictures (PIL images or arrays of one shape, values 0..`peak`) and computes in float64, so nothing wraps
    around. Raises InputError where the shapes differ.
    """
    a, b = _pair(reference, other)
    return _ratio(peak * peak, float(np.mean(np.square(a - b))))


def snr(reference: ArrayLike, other: ArrayLike) -> float:
    """Signal-to-noise ratio in dB: 10 log10(mean reference^2 / mean squared difference); infinite for equal arrays.

    Takes arrays of one shape and computes in float64. Raises InputError where the shapes differ.
    """
    a, b = _pair(reference, other)
    return _ratio(float(np.mean(np.square(a))), float(np.mean(np.square(a - b))))


def _pair(reference: ArrayLike, other: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise InputError(f"arrays of the shapes {list(a.shape)} and {list(b.shape)} cannot be compared")
    if not a.size:
        raise InputError("empty arrays cannot be compared")
    return a, b


def _ratio(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    if math.isnan(noise) or math.isinf(noise):
        return -math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0.0 else -math.inf
