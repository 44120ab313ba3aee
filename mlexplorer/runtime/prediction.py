"""Predictions: from a model's inputs to its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.features import decode_outputs, encode_inputs, output_blobs
from mlexplorer.runtime.program import Program


class Predictor:
    """A model made ready to predict many times.

    Lowering happens once per input shape; `rebind` shares it with quantized copies of the model. Raises
    UnsupportedError or CustomLayerError, before anything runs, naming every layer that cannot run.
    """

    def __init__(self, model: Model, custom_layers: Mapping[str, CustomLayerClass] | None = None) -> None:
        self._model = model
        self._program = Program(model, custom_layers)

    def predict(self, inputs: Mapping[str, Any], outputs: Sequence[str] | None = None) -> dict[str, Any]:
        """The model's outputs for its inputs by name; see `predict`."""
        blobs = encode_inputs(self._model, inputs)
        if outputs is not None:
            return dict(self._program.run(blobs, outputs))
        return decode_outputs(self._model, self._program.run(blobs, output_blobs(self._model)))

    def rebind(self, model: Model) -> Predictor:
        """A predictor for a quantized copy of the model."""
        other = object.__new__(Predictor)
        other._model = model
        other._program = self._program.rebind(model)
        return other

    def cancel(self) -> None:
        """Stop the prediction that is under way, from another thread; it raises Cancelled."""
        self._program.cancel()


def predict(
    model: Model,
    inputs: Mapping[str, Any],
    *,
    outputs: Sequence[str] | None = None,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
) -> dict[str, Any]:
    """A model's outputs for its inputs, by name.

    Pictures are given as PIL images, paths or [H, W, 3] arrays and come back as PIL images; multi-arrays are NumPy
    arrays; a classifier gives its label and a dictionary of probabilities. `outputs` names blobs to return instead, raw
    as float32 arrays of the network's own ranks, intermediate ones included. `custom_layers` maps class names to
    classes (see `CustomLayer`). Raises InputError for inputs that do not fit, and, before anything runs,
    UnsupportedError and CustomLayerError for layers that cannot run.
    """
    return Predictor(model, custom_layers).predict(inputs, outputs)
