"""The operators of ONNX by family; importing them fills the table."""

from mlexplorer.converters.onnx.operators import (
    activation,
    arithmetic,
    constant,
    convolution,
    indexing,
    joining,
    legacy,
    normalization,
    padding,
    pooling,
    product,
    quantization,
    recurrent,
    reduction,
    resampling,
    reshaping,
    sampling,
)
from mlexplorer.converters.onnx.operators.table import OPERATORS, converts

__all__ = [
    "OPERATORS",
    "activation",
    "arithmetic",
    "constant",
    "converts",
    "convolution",
    "indexing",
    "joining",
    "legacy",
    "normalization",
    "padding",
    "pooling",
    "product",
    "quantization",
    "recurrent",
    "reduction",
    "resampling",
    "reshaping",
    "sampling",
]
