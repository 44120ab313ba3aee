"""What the custom layers and custom models of a model are given and give, in one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import MlexplorerError
from mlexplorer.graph import Node
from mlexplorer.model import Model
from mlexplorer.runtime.custom import (
    CustomLayer,
    CustomLayerClass,
    CustomModel,
    CustomModelClass,
    registered_custom_layers,
    registered_custom_models,
)
from mlexplorer.runtime.generated_inputs import generated_inputs
from mlexplorer.runtime.prediction import Predictor

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass
class LayerRecording:
    """The first evaluation of a custom layer.

    `input_shapes` are known where the run came to the layer; all else where there is a Python class for it.
    `weight_shapes` are those that the class reshapes its weights to, None for one that it keeps otherwise.
    """

    input_shapes: Sequence[Shape] | None = None
    output_shapes: Sequence[Shape] | None = None
    inputs: Sequence[Array] | None = None
    outputs: Sequence[Array] | None = None
    weight_shapes: Sequence[Shape | None] = ()


@dataclass
class ModelRecording:
    """The first prediction of a custom model: values by feature name."""

    inputs: Mapping[str, Any] | None = None
    outputs: Mapping[str, Any] | None = None


@dataclass
class Recordings:
    """Recordings by the ids of the custom nodes, and why the run ended early, "" where it did not."""

    layers: dict[str, LayerRecording] = field(default_factory=dict)
    models: dict[str, ModelRecording] = field(default_factory=dict)
    ended: str = ""


def record(
    model: Model,
    inputs: Any = None,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    custom_models: Mapping[str, CustomModelClass] | None = None,
) -> Recordings:
    """Run a model once on `inputs`, or on noise where they are None, and record its custom layers and models.

    Classes are those given by class name, beside the registered ones. The run ends at the first layer without one, and
    where noise does not suit the model; given inputs that cannot be run raise the errors of `mlexplorer.predict`.
    """
    layer_classes = {**registered_custom_layers(), **(custom_layers or {})}
    model_classes = {**registered_custom_models(), **(custom_models or {})}
    recordings, missing = Recordings(), list[str]()
    layers: dict[str, CustomLayerClass] = {}
    models: dict[str, CustomModelClass] = {}
    copy = model.copy()
    for node in copy.graph.custom_layers:
        name = str(node.params.className)
        # a class name of its own for each node tells the layers of one class apart
        node.params.className = own = f"{name} of {node.id}"
        if node.type == "custom":
            layer_recording = recordings.layers[node.id] = LayerRecording()
            layers[own] = _layer_recorder(node, layer_classes.get(name), layer_recording, missing)
        else:
            model_recording = recordings.models[node.id] = ModelRecording()
            models[own] = _model_recorder(name, model_classes.get(name), model_recording, missing)
    try:
        predictor = Predictor(copy, layers, custom_models=models)
        predictor.predict(generated_inputs(model, 1)[0] if inputs is None else inputs)
    except MlexplorerError as error:
        if missing:
            recordings.ended = f"the run ended where {missing[0]!r} has no Python class"
        elif inputs is None:
            recordings.ended = f"the run on noise failed: {error}"
        else:
            raise
    return recordings


class _NoClassError(Exception):
    pass


def _layer_recorder(
    node: Node, layer_class: CustomLayerClass | None, recording: LayerRecording, missing: list[str]
) -> CustomLayerClass:
    """What makes the layer, in the place of its class, and takes down what it is given and gives."""

    class Recorder:
        def __init__(self, parameters: dict[str, Any]) -> None:
            self._layer: CustomLayer | None = layer_class(parameters) if layer_class else None

        def set_weights(self, weights: Sequence[Array]) -> None:
            if self._layer is not None:
                self._layer.set_weights(weights)
                recording.weight_shapes = [_shape_within(self._layer, weight) for weight in weights]

        def output_shapes(self, input_shapes: Sequence[Shape]) -> Sequence[Sequence[int]]:
            first = recording.input_shapes is None
            if first:
                recording.input_shapes = list(input_shapes)
            if self._layer is None:
                missing.append(node.params.className.removesuffix(f" of {node.id}"))
                raise _NoClassError
            shapes = self._layer.output_shapes(input_shapes)
            if first:
                recording.output_shapes = [tuple(int(size) for size in shape) for shape in shapes]
            return shapes

        def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
            assert self._layer is not None  # output_shapes comes first
            given = [array.copy() for array in inputs]  # the class may write into its inputs
            outputs = self._layer.evaluate(inputs)
            if recording.inputs is None:
                arrays = [outputs] if isinstance(outputs, np.ndarray) else outputs
                recording.inputs = given
                recording.outputs = [np.array(array, np.float32) for array in arrays]
            return outputs

    return Recorder


def _model_recorder(
    name: str, model_class: CustomModelClass | None, recording: ModelRecording, missing: list[str]
) -> CustomModelClass:
    class Recorder:
        def __init__(self, parameters: dict[str, Any]) -> None:
            self._model: CustomModel | None = model_class(parameters) if model_class else None

        def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
            if self._model is None:
                missing.append(name)
                raise _NoClassError
            given = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in inputs.items()}
            outputs = self._model.predict(inputs)
            if recording.inputs is None:
                recording.inputs, recording.outputs = given, dict(outputs)
            return outputs

    return Recorder


def _shape_within(layer: CustomLayer, weight: Array) -> Shape | None:
    """The shape of the attribute that holds all values of a weight, where the class has one."""
    for value in getattr(layer, "__dict__", {}).values():
        if isinstance(value, np.ndarray) and value.size == weight.size and np.may_share_memory(value, weight):
            return tuple(value.shape)
    return None
