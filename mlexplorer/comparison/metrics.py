"""Distances between two arrays or pictures, all computed in float64."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlexplorer.errors import InputError

Array = NDArray[Any]

WINDOW = 11
"""The side of the window of `ssim` in pixels."""
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03


def psnr(reference: ArrayLike, other: ArrayLike, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(peak^2 / mean squared difference); infinite for equal arrays.

    Takes pictures (PIL images or arrays of one shape, values 0..`peak`) and computes in float64, so nothing wraps
    around. Values that are no numbers, or infinite, in the same places of both count as equal; elsewhere they make the
    ratio minus infinity. Raises InputError where the shapes differ.
    """
    return decibels(peak * peak, mean_squared_error(reference, other))


def snr(reference: ArrayLike, other: ArrayLike) -> float:
    """Signal-to-noise ratio in dB: 10 log10(mean reference^2 / mean squared difference); infinite for equal arrays.

    Takes arrays of one shape and computes in float64. Values that are not finite are treated as in `psnr`. Raises
    InputError where the shapes differ.
    """
    return decibels(power(reference), mean_squared_error(reference, other))


def mean_squared_error(reference: ArrayLike, other: ArrayLike) -> float:
    """The mean of the squared differences; values that are not finite are treated as in `psnr`.

    Computed in float64. Raises InputError where the shapes differ.
    """
    a, b = _pair(reference, other)
    return _mean_square(_differences(a, b))


def power(values: ArrayLike) -> float:
    """The mean of the squared values, those that are not finite taken for 0; computed in float64.

    Raises InputError where there are none.
    """
    array, _ = _pair(values, values)
    return _mean_square(np.where(np.isfinite(array), array, 0.0))


def decibels(signal: float, noise: float) -> float:
    """The ratio of two powers in dB: 10 log10(signal / noise).

    Infinite where there is no noise; minus infinity where there is no signal, or the noise is not finite.
    """
    if noise == 0.0:
        return math.inf
    return 10.0 * math.log10(signal / noise) if signal > 0.0 and math.isfinite(noise) else -math.inf


def max_error(reference: ArrayLike, other: ArrayLike) -> float:
    """The largest absolute difference; infinite where only one of two values is a finite number.

    Computed in float64. Raises InputError where the shapes differ.
    """
    a, b = _pair(reference, other)
    return float(np.max(np.abs(_differences(a, b))))


def ssim(reference: ArrayLike, other: ArrayLike, data_range: float = 255.0) -> float:
    """Structural similarity of two pictures, 1 for equal ones: Wang, Bovik, Sheikh, Simoncelli 2004.

    Takes PIL images or arrays [H, W] or [H, W, C] of one shape, both sides 11 pixels or more, whose values span
    `data_range`. The mean over all windows within the picture (Gaussian, 11 x 11 pixels, sigma 1.5; K1 0.01, K2 0.03)
    and over the channels, as scikit-image's `structural_similarity` with `gaussian_weights=True` and
    `use_sample_covariance=False`. NaN where values are not finite. Raises InputError where the shapes differ or the
    picture is smaller than the window.
    """
    a, b = _pair(reference, other)
    if a.ndim not in (2, 3) or min(a.shape[:2]) < WINDOW:
        raise InputError(
            f"SSIM compares pictures [H, W] or [H, W, C] of {WINDOW} x {WINDOW} pixels or more, not {list(a.shape)}"
        )
    if data_range <= 0.0:
        raise InputError(f"the values of a picture cannot span {data_range}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return math.nan
    a, b = a / data_range, b / data_range
    mean_a, mean_b = _windowed(a), _windowed(b)
    variances = _windowed(a * a + b * b) - mean_a * mean_a - mean_b * mean_b
    covariance = _windowed(a * b) - mean_a * mean_b
    c1, c2 = _K1 * _K1, _K2 * _K2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a * mean_a + mean_b * mean_b + c1)
    return float(np.mean(luminance * (2 * covariance + c2) / (variances + c2)))


def _windowed(values: Array) -> Array:
    """The Gaussian mean of each window that lies within the picture."""
    taps = np.exp(-0.5 * np.square((np.arange(WINDOW) - WINDOW // 2) / _SIGMA))
    taps /= taps.sum()
    for axis in (0, 1):
        length = values.shape[axis] - WINDOW + 1
        pieces = (values[(slice(None),) * axis + (slice(k, k + length),)] for k in range(WINDOW))
        values = sum(tap * piece for tap, piece in zip(taps, pieces, strict=True))
    return values


def _pair(reference: ArrayLike, other: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    if a.shape != b.shape:
        raise InputError(f"arrays of the shapes {list(a.shape)} and {list(b.shape)} cannot be compared")
    if not a.size:
        raise InputError("empty arrays cannot be compared")
    return a, b


def _differences(a: Array, b: Array) -> Array:
    """The differences: 0 where both are the same infinity or no number, infinite where only one is finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        differences = a - b
    if np.isfinite(differences).all():
        return differences
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.where(np.isnan(differences), np.inf, differences))


def _mean_square(values: Array) -> float:
    with np.errstate(over="ignore"):
        return float(np.mean(np.square(values)))
