"""One file per family of model types: what runs a model of that type, registered by its import."""

from __future__ import annotations

from mlexplorer.runtime.model_type import make_runner
from mlexplorer.runtime.models import (
    builtin,
    custom_model,
    detection,
    nearest_neighbors,
    network,
    pipeline,
    probit,
    recommender,
    support_vectors,
    thresholds,
)

__all__ = [
    "builtin",
    "custom_model",
    "detection",
    "make_runner",
    "nearest_neighbors",
    "network",
    "pipeline",
    "probit",
    "recommender",
    "support_vectors",
    "thresholds",
]
