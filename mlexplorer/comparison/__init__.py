"""How far the outputs of two models lie apart."""

from __future__ import annotations

from mlexplorer.comparison.metrics import max_error, psnr, snr, ssim
from mlexplorer.comparison.rate import Rate

__all__ = ["Rate", "max_error", "psnr", "snr", "ssim"]
