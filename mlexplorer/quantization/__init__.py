"""Quantization: schemes, and plans that apply them to the weights of a model."""

from __future__ import annotations

from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.plan import Plan, dequantize, quantize, quantize_each
from mlexplorer.quantization.scheme import SCHEMES, Float16, Float32, Scheme
from mlexplorer.quantization.selection import Selection
from mlexplorer.quantization.statistics import SchemeError, error_table

__all__ = [
    "SCHEMES",
    "Float16",
    "Float32",
    "Linear",
    "LookupTable",
    "Plan",
    "Scheme",
    "SchemeError",
    "Selection",
    "dequantize",
    "error_table",
    "quantize",
    "quantize_each",
]
