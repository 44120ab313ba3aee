"""One file per family of model types: what runs a model of that type, registered by its import."""

from __future__ import annotations

from mlexplorer.runtime.model_type import make_runner
from mlexplorer.runtime.models import custom_model, network, pipeline

__all__ = ["custom_model", "make_runner", "network", "pipeline"]
