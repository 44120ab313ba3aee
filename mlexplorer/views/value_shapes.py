"""The shapes of the values inside a network, which its file does not tell: seen in one run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.generated_inputs import generated_inputs
from mlexplorer.runtime.prediction import Predictor


def value_shapes(
    model: Model, inputs: Any = None, custom_layers: Mapping[str, CustomLayerClass] | None = None
) -> dict[str, tuple[int, ...]]:
    """The shapes of all values by name, but those inside loops and branches, for `inputs` or for noise without them.

    All values are held at once. Raises what `mlexplorer.predict` raises: CustomLayerError where a class is missing,
    UnsupportedError for models that do not run.
    """
    names = dict.fromkeys(name for node in model.graph.nodes if not node.scope for name in node.outputs)
    fed = generated_inputs(model, 1)[0] if inputs is None else inputs
    values = Predictor(model, custom_layers).predict(fed, outputs=list(names))
    return {name: tuple(value.shape) for name, value in values.items() if hasattr(value, "shape")}
