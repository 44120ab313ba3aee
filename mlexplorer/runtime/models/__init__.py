"""One file per family of model types: what runs a model of that type, registered by its import."""

from __future__ import annotations

from mlexplorer.runtime.model_type import make_runner
from mlexplorer.runtime.models import (
    builtin,
    categories,
    custom_model,
    detection,
    feature_engineering,
    imputer,
    linear,
    nearest_neighbors,
    network,
    pipeline,
    probit,
    recommender,
    support_vectors,
    thresholds,
    trees,
)

__all__ = [
    "builtin",
    "categories",
    "custom_model",
    "detection",
    "feature_engineering",
    "imputer",
    "linear",
    "make_runner",
    "nearest_neighbors",
    "network",
    "pipeline",
    "probit",
    "recommender",
    "support_vectors",
    "thresholds",
    "trees",
]
