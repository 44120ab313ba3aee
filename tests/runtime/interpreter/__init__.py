"""A second interpreter of NeuralNetwork specifications, to compare the runtime with.

It shares no code with the package: it reads the specification's messages itself, one function for each layer type, and
computes in float64 with NumPy and torch, as plainly as it can. Weights are floats, not quantized.
"""

from __future__ import annotations

from tests.runtime.interpreter import (  # noqa: F401 - each registers its layer types
    elements,
    images,
    indexing,
    normalization,
    recurrent,
    reductions,
    shapes,
    windows,
)
from tests.runtime.interpreter.core import Fragile, run, run_layer

__all__ = ["Fragile", "run", "run_layer"]
