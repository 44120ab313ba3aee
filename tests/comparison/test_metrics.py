"""Metrics against their formulas, scipy, scikit-image, and coremltools where it is right."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

import mlexplorer as mle
from mlexplorer.comparison import max_error, psnr, snr, ssim
from mlexplorer.errors import InputError


def waves(noise: float = 0.0) -> Any:
    """A picture of 37 x 29 pixels of smooth colours, with ripples on it."""
    y, x = np.mgrid[0:29, 0:37]
    smooth = (127 + 90 * np.stack([np.sin(x / 7), np.cos(y / 5), np.sin((x + y) / 9)], -1)).astype(np.uint8)
    return np.clip(smooth + np.round(noise * np.sin(x * y / 11.0))[..., None], 0, 255).astype(np.uint8)


def test_psnr_of_a_constant_difference_is_twenty_log_of_peak_by_it() -> None:
    picture = np.full((4, 6, 3), 100, np.uint8)
    assert psnr(picture, picture + 5) == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(picture / 255, (picture + 5) / 255, peak=1.0) == pytest.approx(20 * math.log10(255 / 5))


def test_unsigned_pixels_do_not_wrap_around() -> None:
    dark, bright = np.zeros((3, 5), np.uint8), np.full((3, 5), 255, np.uint8)
    assert psnr(dark, bright) == psnr(bright, dark) == 0.0
    assert snr(bright, dark) == 0.0
    assert max_error(dark, bright) == max_error(bright, dark) == 255.0


def test_the_snr_of_pictures_is_not_that_of_coremltools_whose_bytes_wrap_around() -> None:
    from coremltools.models.neural_network.quantization_utils import NoiseMetrics

    reference = np.array([[40, 90, 180], [220, 130, 60]], np.uint8)
    other = np.array([[47, 83, 171], [229, 139, 52]], np.uint8)
    signal = 40**2 + 90**2 + 180**2 + 220**2 + 130**2 + 60**2
    true = 10 * math.log10(signal / (7**2 + 7**2 + 9**2 + 9**2 + 9**2 + 8**2))
    assert true == pytest.approx(24.38, abs=0.005)
    assert snr(Image.fromarray(reference), Image.fromarray(other)) == pytest.approx(true)
    peer = NoiseMetrics()
    peer.add_metric(Image.fromarray(other), Image.fromarray(reference))
    wrapped = 40**2 % 256 + 90**2 % 256 + 180**2 % 256 + 220**2 % 256 + 130**2 % 256 + 60**2 % 256
    assert peer._snr[0] == pytest.approx(10 * math.log10(wrapped / 405), abs=1e-6), "squares of bytes in a byte"
    peer.add_metric(other.astype(np.float64), reference.astype(np.float64))
    assert peer._snr[1] == pytest.approx(true, abs=1e-6), "and agrees where it is given floats"


def test_snr_is_the_ratio_of_powers() -> None:
    reference = np.array([3.0, -4.0, 0.0, 5.0])
    noise = np.array([0.1, 0.2, -0.2, 0.1])
    assert snr(reference, reference + noise) == pytest.approx(10 * math.log10(50 / 0.10))
    assert max_error(reference, reference + noise) == pytest.approx(0.2)


def test_equal_is_infinite_and_not_finite_is_the_worst() -> None:
    values = np.arange(6.0)
    assert psnr(values, values) == snr(values, values) == math.inf
    assert snr(values, np.full(6, np.nan)) == snr(np.zeros(6), values) == -math.inf
    assert max_error(values, np.full(6, np.nan)) == math.inf


def test_values_that_are_not_finite_count_as_equal_in_the_same_places_only() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 3.0, 4.0])
    near = np.array([np.nan, np.inf, -np.inf, 3.0, 4.5])
    assert psnr(odd, odd) == snr(odd, odd) == math.inf
    assert max_error(odd, odd) == 0.0
    assert snr(odd, near) == pytest.approx(10 * math.log10(25 / 0.25))
    assert max_error(odd, near) == 0.5
    assert snr(odd, -odd) == -math.inf
    assert max_error(odd, -odd) == math.inf


@pytest.mark.parametrize(
    ("channels", "expected"), [(slice(None), 0.6577854763562648), (0, 0.6032817305370227)], ids=["colours", "grey"]
)
def test_ssim_is_that_of_scikit_image(channels: Any, expected: float) -> None:
    """Recorded from scikit-image 0.26.0: gaussian_weights=True, use_sample_covariance=False, data_range=255."""
    assert ssim(waves()[..., channels], waves(20)[..., channels]) == pytest.approx(expected, abs=1e-12)


def test_ssim_is_the_papers_formula_with_any_range() -> None:
    a, b = waves()[..., 1] / 100, waves(20)[..., 1] / 100 + 0.1
    blur = {"sigma": 1.5, "radius": 5, "mode": "constant"}
    mean_a, mean_b = gaussian_filter(a, **blur), gaussian_filter(b, **blur)
    variance_a, variance_b = gaussian_filter((a * a), **blur) - mean_a**2, gaussian_filter(b * b, **blur) - mean_b**2
    covariance = gaussian_filter(a * b, **blur) - mean_a * mean_b
    c1, c2 = (0.01 * 2.5) ** 2, (0.03 * 2.5) ** 2
    index = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    index /= (mean_a**2 + mean_b**2 + c1) * (variance_a + variance_b + c2)
    assert ssim(a, b, data_range=2.5) == pytest.approx(index[5:-5, 5:-5].mean(), abs=1e-10)


def test_ssim_of_equal_pictures_is_one_and_of_negatives_is_below_zero() -> None:
    assert mle.ssim(Image.fromarray(waves()), waves()) == pytest.approx(1.0, abs=1e-12)
    assert ssim(waves(), 255 - waves()) < 0
    assert ssim(np.zeros((11, 12)), np.full((11, 12), 255)) == pytest.approx(0.0001, rel=1e-3)
    assert math.isnan(ssim(waves(), np.full(waves().shape, np.nan)))


def test_shapes_must_agree() -> None:
    with pytest.raises(InputError, match=r"\[2, 3\] and \[3, 2\]"):
        mle.psnr(np.zeros((2, 3)), np.zeros((3, 2)))
    with pytest.raises(InputError, match="empty"):
        snr([], [])
    with pytest.raises(InputError, match=r"11 x 11 pixels or more, not \[10, 12\]"):
        ssim(np.zeros((10, 12)), np.zeros((10, 12)))
    with pytest.raises(InputError, match="span 0"):
        ssim(np.zeros((11, 12)), np.zeros((11, 12)), data_range=0)
