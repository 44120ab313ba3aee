"""What the explorer shows where the user says nothing."""

from __future__ import annotations

from pathlib import Path

from mlexplorer.formats.download import downloaded_from
from mlexplorer.model import Model


def sample_photos() -> list[Path]:
    """The photographs that a model is shown on."""
    from mlexplorer import samples

    return samples.photos()


def model_source(model: Model) -> str | None:
    """The expression that loads a bundled model, or one from an address; None for others."""
    from mlexplorer import samples

    if model.path is None:
        return None
    path = Path(model.path)
    address = downloaded_from(path)
    return "mle.samples.style()" if path.parent == samples.FOLDER else f"mle.load({address!r})" if address else None


def heaviest_layer(model: Model) -> str:
    """The id of the layer with the most weights, the first to be looked at; "" where there are no weights."""
    weights = model.graph.weights
    return max(weights, key=lambda weight: weight.count).node if weights else ""
