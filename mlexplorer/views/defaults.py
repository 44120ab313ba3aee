"""What the explorer shows where the user says nothing."""

from __future__ import annotations

from pathlib import Path

from mlexplorer.model import Model


def sample_photos() -> list[Path]:
    """The photographs that a model is shown on."""
    from mlexplorer import samples

    return samples.photos()


def sample_source(model: Model) -> str | None:
    """The expression that loads a bundled model."""
    from mlexplorer import samples

    bundled = model.path is not None and Path(model.path).parent == samples.FOLDER
    return "mle.samples.style()" if bundled else None


def heaviest_layer(model: Model) -> str:
    """The id of the layer with the most weights, the first to be looked at; "" where there are no weights."""
    weights = model.graph.weights
    return max(weights, key=lambda weight: weight.count).node if weights else ""
