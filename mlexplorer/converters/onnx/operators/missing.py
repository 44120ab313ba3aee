"""Why operators that Core ML seems to have, too, are not among those that are converted."""

from __future__ import annotations

from collections.abc import Mapping

_OPEN = "how much it gives depends on the values, and the converter works at fixed shapes"
_TREES = (
    "Core ML has tree ensembles as a kind of model, not as a layer: convert what the trees were trained with "
    "(scikit-learn, XGBoost) with coremltools.converters"
)

REASONS: Mapping[str, str] = {
    "Compress": _OPEN,
    "If": "its condition is computed by the network; only one that is known at these shapes is decided",
    "Loop": "its number of steps is computed by the network; only constant ones are written out",
    "MaxUnpool": "it needs the places of its maxima from a pooling, and Core ML's pooling does not tell them",
    "NonMaxSuppression": (
        "it gives as many rows as boxes are left; Core ML's layer gives a fixed number, filled up, and one box at "
        "least: end the model before it and choose the boxes in the app, or add the layer NonMaximumSuppression with "
        "mle.NetworkBuilder"
    ),
    "NonZero": _OPEN,
    "Scan": "in this version it runs along batches of sequences; export the model for opset 9 or later",
    "Unique": _OPEN,
    "ai.onnx.ml::TreeEnsemble": _TREES,
    "ai.onnx.ml::TreeEnsembleClassifier": _TREES,
    "ai.onnx.ml::TreeEnsembleRegressor": _TREES,
}
