from __future__ import annotations

import math

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.comparison import psnr, snr
from mlexplorer.errors import InputError


def test_psnr_of_a_constant_difference_is_twenty_log_of_peak_by_it() -> None:
    picture = np.full((4, 6, 3), 100, np.uint8)
    assert psnr(picture, picture + 5) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(picture / 255, (picture + 5) / 255, peak=1.0) == pytest.approx(20 * math.log10(255 / 5))


def test_unsigned_pixels_do_not_wrap_around() -> None:
    dark, bright = np.zeros((3, 5), np.uint8), np.full((3, 5), 255, np.uint8)
    assert psnr(dark, bright) == psnr(bright, dark) == 0.0
    assert snr(bright, dark) == 0.0


def test_snr_is_the_ratio_of_powers() -> None:
    reference = np.array([3.0, -4.0, 0.0, 5.0])
    noise = np.array([0.1, 0.2, -0.2, 0.1])
    assert snr(reference, reference + noise) == pytest.approx(10 * math.log10(50 / 0.10))


def test_equal_is_infinite_and_not_finite_is_the_worst() -> None:
    values = np.arange(6.0)
    assert psnr(values, values) == snr(values, values) == math.inf
    assert snr(values, np.full(6, np.nan)) == snr(np.zeros(6), values) == -math.inf


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match=r"\[2, 3\] and \[3, 2\]"):
        mle.psnr(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(InputError, match="empty"):
        snr([], [])
