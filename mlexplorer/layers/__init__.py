"""What cannot be derived of a layer type: one file per family, filled registries of `layer_type`."""

from __future__ import annotations

from mlexplorer.layers import (
    control_flow,
    layouts,
)
from mlexplorer.layers.layer_type import EVALUATIONS, LAYOUTS, LOWERINGS

__all__ = ["EVALUATIONS", "LAYOUTS", "LOWERINGS", "control_flow", "layouts"]
