"""Predictions: from a model's inputs to its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, overload

from mlexplorer.errors import InputError
from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass, CustomModelClass
from mlexplorer.runtime.features import read_inputs, write_outputs
from mlexplorer.runtime.model_type import Settings
from mlexplorer.runtime.models import make_runner


class Predictor:
    """A model made ready to predict many times.

    Lowering happens once per input shape; `rebind` shares it with quantized copies of the model. The arguments are
    those of `predict`. Raises UnsupportedError or CustomLayerError, before anything runs, naming every layer or model
    that cannot run.
    """

    def __init__(
        self,
        model: Model,
        custom_layers: Mapping[str, CustomLayerClass] | None = None,
        *,
        custom_models: Mapping[str, CustomModelClass] | None = None,
        half_precision: bool = False,
    ) -> None:
        self._model = model
        self._runner = make_runner(model, Settings(custom_layers or {}, custom_models or {}, half_precision))

    @overload
    def predict(self, inputs: list[Any], outputs: Sequence[str] | None = None) -> list[dict[str, Any]]: ...

    @overload
    def predict(self, inputs: Any, outputs: Sequence[str] | None = None) -> dict[str, Any]: ...

    def predict(self, inputs: Any, outputs: Sequence[str] | None = None) -> dict[str, Any] | list[dict[str, Any]]:
        """The model's outputs for its inputs by name, or a list of them for a list; see `mlexplorer.predict`."""
        if not isinstance(inputs, list):
            return self._predict(inputs, outputs)
        results = []
        for index, item in enumerate(inputs):
            try:
                results.append(self._predict(item, outputs))
            except InputError as error:
                raise InputError(f"inputs[{index}]: {error}") from error
        return results

    def rebind(self, model: Model) -> Predictor:
        """A predictor for a quantized copy of the model."""
        other = object.__new__(Predictor)
        other._model = model
        other._runner = self._runner.rebind(model)
        return other

    def cancel(self) -> None:
        """Stop the prediction that is under way, from another thread; it raises Cancelled."""
        self._runner.cancel()

    def _predict(self, inputs: Any, outputs: Sequence[str] | None) -> dict[str, Any]:
        values = read_inputs(self._model, inputs if isinstance(inputs, Mapping) else self._named(inputs))
        if outputs is not None:
            return self._runner.intermediates(values, list(outputs))
        return write_outputs(self._model, self._runner.run(values))

    def _named(self, value: Any) -> dict[str, Any]:
        names = [feature.name for feature in self._model.inputs if not feature.optional]
        if len(names) != 1:
            listed = ", ".join(repr(feature.name) for feature in self._model.inputs)
            raise InputError(f"give a dictionary from input name to value: the model's inputs are {listed or 'none'}")
        return {names[0]: value}


@overload
def predict(
    model: Model,
    inputs: list[Any],
    *,
    outputs: Sequence[str] | None = ...,
    custom_layers: Mapping[str, CustomLayerClass] | None = ...,
    custom_models: Mapping[str, CustomModelClass] | None = ...,
    half_precision: bool = ...,
) -> list[dict[str, Any]]: ...


@overload
def predict(
    model: Model,
    inputs: Any,
    *,
    outputs: Sequence[str] | None = ...,
    custom_layers: Mapping[str, CustomLayerClass] | None = ...,
    custom_models: Mapping[str, CustomModelClass] | None = ...,
    half_precision: bool = ...,
) -> dict[str, Any]: ...


def predict(
    model: Model,
    inputs: Any,
    *,
    outputs: Sequence[str] | None = None,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    custom_models: Mapping[str, CustomModelClass] | None = None,
    half_precision: bool = False,
) -> dict[str, Any] | list[dict[str, Any]]:
    """A model's outputs for its inputs, by name; for a list of inputs, the list of outputs.

    `inputs` is a dictionary from name to value, or the value itself where a model takes one. Pictures are given as PIL
    images, paths, addresses or arrays [H, W], [H, W, 3] or [3, H, W] of values 0..255, and come back as PIL images;
    multi-arrays are NumPy arrays or torch tensors and come back as NumPy arrays; numbers, texts, dictionaries and
    lists are Python's. A classifier gives its label and a dictionary of probabilities.

    `outputs` names values to return instead, intermediate ones included: blobs of a network, raw as float32 arrays of
    the network's own ranks, values between the stages of a pipeline, and those within a stage as "pipeline[0]/name".
    `custom_layers` and `custom_models` map class names to classes (see `CustomLayer`, `CustomModel`).
    `half_precision` rounds weights, and the values after each layer of a network, to float16, as the GPU and the Neural
    Engine store them.

    Raises InputError for inputs that do not fit, and, before anything runs, UnsupportedError and CustomLayerError for
    models and layers that cannot run.
    """
    predictor = Predictor(model, custom_layers, custom_models=custom_models, half_precision=half_precision)
    results: dict[str, Any] | list[dict[str, Any]] = predictor.predict(inputs, outputs)
    return results
