"""Quantization that looks at what the layers compute: error feedback, calibrated on pictures, arrays or noise."""

from __future__ import annotations

from mlexplorer.calibration.layerwise import calibrate

__all__ = ["calibrate"]
