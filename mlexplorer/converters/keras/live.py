"""Keras models in memory. Keras itself is not imported: whoever made the model has done so."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.converters.keras.configuration import model_of, parse_json
from mlexplorer.converters.keras.source_model import KerasModel
from mlexplorer.converters.keras.weights import Variable, with_variables
from mlexplorer.errors import UnsupportedError


def is_live_model(source: Any) -> bool:
    """Whether it is a model of Keras 2 or 3, judged by its classes' names and by what it offers."""
    of_keras = any(
        base.__name__ == "Model" and ({"keras", "tf_keras"} & set(base.__module__.split(".")))
        for base in type(source).__mro__
    )
    return of_keras and callable(getattr(source, "to_json", None)) and not isinstance(source, type)


def read_live(model: Any) -> KerasModel:
    """The model as it is now; weights that Keras keeps in NumPy's reach are not copied.

    Raises UnsupportedError for subclassed models, and for layers that cannot tell their configuration.
    """
    try:
        text = model.to_json()
    except Exception as error:  # whatever a layer of the user's own raises
        raise UnsupportedError(
            f"Keras cannot write the architecture of {type(model).__name__} ({error}); its layers need get_config"
        ) from error
    architecture = model_of(parse_json(text, "the model's architecture"), _version(model))
    return _with_weights(architecture, model)


def _with_weights(model: KerasModel, live: Any) -> KerasModel:
    objects = {layer.name: layer for layer in live.layers}
    layers = []
    for layer in model.layers:
        if layer.model is not None:
            layers.append(replace(layer, model=_with_weights(layer.model, objects[layer.name])))
        else:
            layers.append(with_variables(layer, _variables(objects.get(layer.name))))
    return replace(model, layers=layers)


def _variables(layer: Any) -> list[Variable]:
    """The variables of a layer; none of a layer that is not there: Sequential hides its InputLayer."""
    variables = [] if layer is None else layer.weights
    return [Variable(str(getattr(variable, "path", variable.name)), _reader(variable)) for variable in variables]


def _reader(variable: Any) -> Callable[[], NDArray[Any]]:
    return lambda: np.asarray(variable.numpy())


def _version(model: Any) -> str:
    for base in type(model).__mro__:
        if base.__name__ == "Model":
            return str(getattr(sys.modules.get(base.__module__.partition(".")[0]), "__version__", ""))
    return ""
