"""How far the outputs of two models lie apart."""

from __future__ import annotations

from mlexplorer.comparison.metrics import max_error, psnr, snr, ssim
from mlexplorer.comparison.models import compare
from mlexplorer.comparison.outputs import InputRow
from mlexplorer.comparison.rate import Rate
from mlexplorer.comparison.result import Comparison, OutputRow

__all__ = ["Comparison", "InputRow", "OutputRow", "Rate", "compare", "max_error", "psnr", "snr", "ssim"]
