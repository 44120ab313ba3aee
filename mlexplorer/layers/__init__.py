"""What cannot be derived of a layer type: one file per family, filling the registries of `layer_type`."""

from __future__ import annotations

from mlexplorer.layers import (  # noqa: F401 - each registers its layer types
    activation,
    arithmetic,
    borders,
    constant,
    control_flow,
    convolution,
    detection,
    indexing,
    joining,
    layouts,
    lstm,
    normalization,
    pooling,
    product,
    random,
    recurrent,
    reduction,
    resampling,
    reshaping,
    slicing,
)
from mlexplorer.layers.layer_type import EVALUATIONS, LAYOUTS, LOWERINGS

__all__ = ["EVALUATIONS", "LAYOUTS", "LOWERINGS"]
