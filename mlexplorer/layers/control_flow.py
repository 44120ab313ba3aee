"""Copying blobs. Branches and loops run nested networks and are the runtime's own: `mlexplorer.runtime.program`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlexplorer.layers.layer_type import Builder, Layer, lowers


@lowers("copy")
def copy(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The same value under another name, which may be one that exists already (CopyLayerParams)."""
    return x[0]
