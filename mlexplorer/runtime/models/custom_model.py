"""Custom models: a class of the user's in the place of the app's."""

from __future__ import annotations

from mlexplorer.errors import CustomLayerError
from mlexplorer.model import Model
from mlexplorer.runtime.custom import registered_custom_models
from mlexplorer.runtime.custom_stub import missing_model_text
from mlexplorer.runtime.model_type import FunctionRunner, Runner, Settings, Values, runs


@runs("customModel")
def custom_model(model: Model, settings: Settings) -> Runner:
    """Runs a CustomModel by the Python class of its class name; raises CustomLayerError where there is none."""
    (node,) = model.graph.nodes
    name = str(node.params.className)
    model_class = {**registered_custom_models(), **settings.custom_models}.get(name)
    if model_class is None:
        raise CustomLayerError(missing_model_text(node))
    try:
        instance = model_class(dict(node.custom.parameters) if node.custom else {})
    except Exception as error:  # a user's class may raise anything
        raise _failed(name, "__init__", error) from error

    def evaluate(values: Values) -> Values:
        try:
            return dict(instance.predict(dict(values)))
        except Exception as error:
            raise _failed(name, "predict", error) from error

    return FunctionRunner(lambda _: evaluate, model)


def _failed(name: str, method: str, error: Exception) -> CustomLayerError:
    return CustomLayerError(f"custom model: {method} of class {name!r} failed: {type(error).__name__}: {error}")
