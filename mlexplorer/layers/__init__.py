"""What cannot be derived of a layer type: one file per family, filled registries of `layer_type`."""

from __future__ import annotations

from mlexplorer.layers import (
    activation,
    arithmetic,
    constant,
    control_flow,
    convolution,
    layouts,
    normalization,
    pooling,
    product,
    random,
    reduction,
)
from mlexplorer.layers.layer_type import EVALUATIONS, LAYOUTS, LOWERINGS

__all__ = [
    "EVALUATIONS",
    "LAYOUTS",
    "LOWERINGS",
    "activation",
    "arithmetic",
    "constant",
    "control_flow",
    "convolution",
    "layouts",
    "normalization",
    "pooling",
    "product",
    "random",
    "reduction",
]
