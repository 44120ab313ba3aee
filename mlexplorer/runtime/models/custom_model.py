"""Custom models: a class of the user's in the place of the app's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from mlexplorer.errors import CustomLayerError, ModelError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.custom import registered_custom_models
from mlexplorer.runtime.custom_stub import missing_model_text
from mlexplorer.runtime.features import write_outputs
from mlexplorer.runtime.model_type import FunctionRunner, Runner, Settings, Values, runs

_TYPES: dict[str, Any] = {
    "image": Image.Image,
    "string": str,
    "dictionary": Mapping,
    "sequence": list | tuple | np.ndarray,
}
"""What the value of an output must be; numbers and arrays are what NumPy takes for one."""


@runs("customModel")
def custom_model(model: Model, settings: Settings) -> Runner:
    """Runs a CustomModel by the Python class of its class name.

    Raises CustomLayerError where there is no such class, where its methods fail, and where the outputs that they give
    lack a name or have other types than the model's description states.
    """
    (node,) = model.graph.nodes
    name = str(node.params.className)
    model_class = {**registered_custom_models(), **settings.custom_models}.get(name)
    if model_class is None:
        raise CustomLayerError(missing_model_text(node, model.inputs, model.outputs))
    try:
        instance = model_class(dict(node.custom.parameters) if node.custom else {})
        predict = instance.predict
    except Exception as error:  # a user's class may raise anything
        raise _failed(name, "__init__", error) from error

    def evaluate(values: Values) -> Values:
        try:
            answer = predict(dict(values))
        except Exception as error:
            raise _failed(name, "predict", error) from error
        return _checked(model, name, answer)

    return FunctionRunner(lambda _: evaluate, model)


def _checked(model: Model, name: str, answer: Any) -> Values:
    """What the class gave, with the names and types that the model's description states."""
    if not isinstance(answer, Mapping):
        raise CustomLayerError(
            f"custom model: predict of class {name!r} returned a {type(answer).__name__}; it must return a dictionary "
            "from output name to value"
        )
    missing = [feature.name for feature in model.outputs if feature.name not in answer]
    if missing:
        raise CustomLayerError(
            f"custom model: predict of class {name!r} returned {', '.join(map(repr, answer)) or 'nothing'}, but not "
            f"the output {', '.join(map(repr, missing))}"
        )
    for feature in model.outputs:
        value = answer[feature.name]
        if not isinstance(value, _TYPES.get(feature.type, object)) or not _fits(feature, value):
            raise CustomLayerError(
                f"custom model: predict of class {name!r} returned a {type(value).__name__} for the output "
                f"{feature.name!r}, which is declared as {feature}"
            )
    try:
        return write_outputs(model, answer)
    except ModelError as error:
        raise CustomLayerError(f"custom model: class {name!r}: {error}") from error


def _fits(feature: Feature, value: Any) -> bool:
    """Whether keys and items have the declared type, and an array holds numbers."""
    if feature.type in ("dictionary", "sequence"):
        wanted: Any = str if feature.dtype == "string" else (int, np.integer)
        return all(isinstance(item, wanted) for item in value)
    if feature.type == "multiArray":
        try:
            return np.asarray(value).dtype.kind in "fiub"
        except ValueError:  # lists of different lengths
            return False
    return value is not None


def _failed(name: str, method: str, error: Exception) -> CustomLayerError:
    return CustomLayerError(f"custom model: {method} of class {name!r} failed: {type(error).__name__}: {error}")
