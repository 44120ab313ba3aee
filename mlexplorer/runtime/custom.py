"""Custom layers and custom models as Python classes, after Swift's MLCustomLayer and MLCustomModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import CustomLayerError
from mlexplorer.graph import Node

Array = NDArray[Any]


@runtime_checkable
class CustomLayer(Protocol):
    """A layer that Core ML does not know, computed by a class of the user's.

    The class is made with one argument, the layer's parameters: a dict of str, float, int and bool values. Arrays are
    float32 of the network's own rank: [Seq, Batch, C, H, W] under the legacy mapping, else as they are.
    Source: MLCustomLayer of Core ML; message CustomLayerParams.
    """

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Receive the layer's weights, each a flat float32 array, once, before the first evaluation."""

    def output_shapes(self, input_shapes: Sequence[tuple[int, ...]]) -> Sequence[Sequence[int]]:
        """The shape of each output for these input shapes."""

    def evaluate(self, inputs: Sequence[Array]) -> Sequence[Array]:
        """The outputs for these inputs, each of the promised shape."""


@runtime_checkable
class CustomModel(Protocol):
    """A whole model that Core ML does not know, computed by a class of the user's.

    The class is made with one argument, the model's parameters: a dict of str, bytes, float, int and bool values.
    Source: MLCustomModel of Core ML; message CustomModel.
    """

    def predict(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """The outputs by name for the inputs by name, both of the types that the model's description states."""


CustomLayerClass = Callable[[dict[str, Any]], CustomLayer]
CustomModelClass = Callable[[dict[str, Any]], CustomModel]
_REGISTERED: dict[str, CustomLayerClass] = {}
_REGISTERED_MODELS: dict[str, CustomModelClass] = {}
_C = TypeVar("_C", bound=CustomLayerClass)
_M = TypeVar("_M", bound=CustomModelClass)


def custom_layer(class_name: str) -> Callable[[_C], _C]:
    """Register a class, or a callable that makes a layer from its parameters, for custom layers of this name."""

    def register(layer_class: _C) -> _C:
        _REGISTERED[class_name] = layer_class
        return layer_class

    return register


def registered_custom_layers() -> Mapping[str, CustomLayerClass]:
    """The classes registered by `custom_layer`, by class name."""
    return dict(_REGISTERED)


def custom_model(class_name: str) -> Callable[[_M], _M]:
    """Register a class, or a callable that makes a model from its parameters, for custom models of this name."""

    def register(model_class: _M) -> _M:
        _REGISTERED_MODELS[class_name] = model_class
        return model_class

    return register


def registered_custom_models() -> Mapping[str, CustomModelClass]:
    """The classes registered by `custom_model`, by class name."""
    return dict(_REGISTERED_MODELS)


class CustomStep:
    """One custom layer of a network, made from its class and checked against what it promises."""

    def __init__(self, node: Node, layer_class: CustomLayerClass) -> None:
        self._node = node
        self._class_name = str(node.params.className)
        parameters = dict(node.custom.parameters) if node.custom else {}
        self._layer = self._call("__init__", lambda: layer_class(parameters))
        weights = [weight.array().reshape(-1) for weight in node.weights]
        self._call("set_weights", lambda: self._layer.set_weights(weights))

    def evaluate(self, inputs: Sequence[Array]) -> list[Array]:
        """The outputs as float32 arrays; raises CustomLayerError where the class fails or breaks its promise."""
        shapes = self._call("output_shapes", lambda: self._shapes([array.shape for array in inputs]))
        arrays: list[Array] = self._call("evaluate", lambda: self._arrays(list(inputs)))
        given = [array.shape for array in arrays]
        if given != shapes or len(given) != len(self._node.outputs):
            raise CustomLayerError(
                f"custom layer {self._node.name!r}: class {self._class_name!r} returned shapes {given}, its "
                f"output_shapes promised {shapes}, and the network names {len(self._node.outputs)} outputs"
            )
        return arrays

    def _shapes(self, input_shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [tuple(int(n) for n in shape) for shape in self._layer.output_shapes(input_shapes)]

    def _arrays(self, inputs: list[Array]) -> list[Array]:
        outputs = self._layer.evaluate(inputs)
        return [
            np.asarray(output, np.float32) for output in ([outputs] if isinstance(outputs, np.ndarray) else outputs)
        ]

    def _call(self, method: str, function: Callable[[], Any]) -> Any:
        try:
            return function()
        except Exception as error:  # a user's class may raise anything, and answer with anything
            raise CustomLayerError(
                f"custom layer {self._node.name!r}: {method} of class {self._class_name!r} failed: "
                f"{type(error).__name__}: {error}"
            ) from error
