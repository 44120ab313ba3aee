"""NeuralNetwork, NeuralNetworkClassifier and NeuralNetworkRegressor: feature values to blobs, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.features import class_labels, classification
from mlexplorer.runtime.images import to_array, to_picture
from mlexplorer.runtime.model_type import Settings, Values, runs
from mlexplorer.runtime.program import NETWORK_KINDS, Program
from mlexplorer.spec.weight_params import read_floats

Array = NDArray[Any]


@runs(*NETWORK_KINDS)
class NetworkRunner:
    """Runs a neural network; lowering happens once per input shape and is shared with quantized copies."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model = model
        self._program = Program(model, settings.custom_layers, settings.half_precision)

    def run(self, values: Values) -> Values:
        """The values of the model's outputs."""
        blobs = self._program.run(encode(self._model, values), self._needed)
        return decode(self._model, blobs)

    def intermediates(self, values: Values, names: Sequence[str]) -> Values:
        """Blobs by name, raw: float32 arrays of the network's own ranks; a classifier's label and probabilities too."""
        blobs = self._program.run(encode(self._model, values), intermediate_blobs(self._model, names))
        return intermediate_values(self._model, blobs, names)

    def rebind(self, model: Model) -> NetworkRunner:
        """A runner for a copy of the model whose weights differ."""
        other = object.__new__(NetworkRunner)
        other._model = model
        other._program = self._program.rebind(model)
        return other

    def cancel(self) -> None:
        """Stop the run that is under way."""
        self._program.cancel()

    @cached_property
    def _needed(self) -> list[str]:
        return output_blobs(self._model)


def network(model: Model) -> Any:
    """The NeuralNetwork, NeuralNetworkClassifier or NeuralNetworkRegressor message of a model."""
    return getattr(model.spec, model.kind)


def encode(model: Model, values: Mapping[str, Any]) -> dict[str, Array]:
    """The network's input blobs for input values: mapped to the network's ranks, pictures preprocessed.

    An optional input that is absent takes its default, 0 where it states none; raises InputError for a picture.
    """
    blobs = {}
    for feature in model.inputs:
        if feature.type == "image":
            if feature.name not in values:
                raise InputError(f"the input {feature.name!r} is missing; a picture has no default")
            blobs[feature.name] = _encode_picture(model, feature, values[feature.name])
        else:
            blobs[feature.name] = _encode_array(model, feature, values.get(feature.name))
    return blobs


def decode(model: Model, blobs: Mapping[str, Array]) -> Values:
    """A network's output values from its blobs: arrays, pictures, a class label, a dictionary of probabilities."""
    outputs: Values = {}
    for feature in model.outputs:
        if feature.name in blobs:
            if feature.type == "image":
                outputs[feature.name] = to_picture(blobs[feature.name], feature)
            else:
                outputs[feature.name] = _decode_array(model, feature, blobs[feature.name])
    if model.kind == "neuralNetworkClassifier":
        outputs.update(_classify(model, blobs))
    return outputs


def output_blobs(model: Model) -> list[str]:
    """The blobs that a prediction needs."""
    names = [feature.name for feature in model.outputs]
    if model.kind == "neuralNetworkClassifier":
        written, labels = _written(model), _label_features(model)
        names = [name for name in names if name in written or name not in labels]
        names.append(probabilities_blob(model))
    return list(dict.fromkeys(names))


def intermediate_blobs(model: Model, names: Sequence[str]) -> list[str]:
    """The blobs that `intermediate_values` needs for these names."""
    decoded = _decoded(model, names)
    needed = [name for name in names if name not in decoded]
    return list(dict.fromkeys([*needed, probabilities_blob(model)] if decoded else needed))


def intermediate_values(model: Model, blobs: Mapping[str, Array], names: Sequence[str]) -> Values:
    """Blobs by name, raw; a classifier's label and probabilities too."""
    decoded = _decoded(model, names)
    results = _classify(model, blobs) if decoded else {}
    return {name: results[name] if name in decoded else blobs[name] for name in names}


def probabilities_blob(model: Model) -> str:
    """The blob that holds a classifier's probabilities: the one it names, else what its last layer writes."""
    classifier = network(model)
    if classifier.labelProbabilityLayerName:
        return str(classifier.labelProbabilityLayerName)
    if not classifier.layers or not classifier.layers[-1].output:
        raise ModelError("the classifier has no layer that gives probabilities")
    return str(classifier.layers[-1].output[-1])


def _decoded(model: Model, names: Sequence[str]) -> set[str]:
    """Those of some names that are no blobs but what a classifier makes of one."""
    if model.kind != "neuralNetworkClassifier":
        return set()
    return _label_features(model).intersection(names) - _written(model)


def _label_features(model: Model) -> set[str]:
    description = model.spec.description
    return {description.predictedFeatureName, description.predictedProbabilitiesName} - {""}


def _written(model: Model) -> set[str]:
    return {name for layer in network(model).layers for name in layer.output}


def _classify(model: Model, blobs: Mapping[str, Array]) -> Values:
    return classification(model, class_labels(network(model)), blobs[probabilities_blob(model)])


def _encode_picture(model: Model, feature: Feature, picture: Any) -> Array:
    pixels = _preprocess(model, feature, to_array(picture, feature))
    exact = network(model).imageInputShapeMapping == 1
    return pixels[None] if exact else pixels[None, None]


@np.errstate(all="ignore")  # a scale that is no number is no reason to warn
def _preprocess(model: Model, feature: Feature, pixels: Array) -> Array:
    for step in network(model).preprocessing:
        if step.featureName not in ("", feature.name):
            continue
        if step.WhichOneof("preprocessor") == "scaler":
            scaler = step.scaler
            bias = {
                "RGB": (scaler.redBias, scaler.greenBias, scaler.blueBias),
                "BGR": (scaler.blueBias, scaler.greenBias, scaler.redBias),
            }.get(feature.color_space or "", (scaler.grayBias,))
            pixels *= np.float32(scaler.channelScale)
            pixels += np.asarray(bias, np.float32)[:, None, None]
        elif step.WhichOneof("preprocessor") == "meanImage":
            mean = read_floats(step.meanImage, "meanImage")
            if mean.size != pixels.size:
                raise ModelError(
                    f"input {feature.name!r}: the mean image has {mean.size} values, the picture has {pixels.size}"
                )
            pixels -= mean.reshape(pixels.shape)
    return pixels


def _encode_array(model: Model, feature: Feature, value: Any) -> Array:
    if feature.type not in ("multiArray", "double", "int64"):
        raise ModelError(f"a network takes pictures and arrays, but its input {feature.name!r} is a {feature.type}")
    if value is None:
        value = np.full(feature.shape or (1,), feature.default if feature.default is not None else 0.0)
    array = np.atleast_1d(np.asarray(value, np.float32))
    return array if network(model).arrayInputShapeMapping == 1 else _rank5(feature, array)


def _rank5(feature: Feature, array: Array) -> Array:
    """[C], [Batch, C], [C, H, W], [Batch, C, H, W] or [Seq, Batch, C, H, W] as rank 5; [Seq, Batch, C] for a [C]."""
    shape = array.shape
    if array.ndim > 5:
        raise InputError(f"input {feature.name!r}: networks with the legacy shape mapping take at most five axes")
    if array.ndim == 3 and len(feature.shape or ()) == 1:
        return array.reshape(*shape, 1, 1)
    ranks = {1: (1, 1, *shape, 1, 1), 2: (1, *shape, 1, 1), 3: (1, 1, *shape), 4: (1, *shape), 5: shape}
    return array.reshape(ranks[array.ndim])


def _decode_array(model: Model, feature: Feature, array: Array) -> Any:
    if feature.type in ("double", "int64"):
        if not array.size:
            raise ModelError(f"the output {feature.name!r} is declared as a number, but the network computes no value")
        return array.reshape(-1)[0]
    if network(model).arrayInputShapeMapping != 1:
        shape = feature.shape
        if shape and int(np.prod(shape)) == array.size:
            return array.reshape(shape)
        if array.ndim == 5:
            return _legacy_output(array)
    return array


def _legacy_output(array: Array) -> Array:
    """[1, 1, C, 1, 1] as [C], [1, 1, C, H, W] as [C, H, W]; sequences and batches stay."""
    if array.shape[0] == array.shape[1] == 1:
        return array.reshape(array.shape[2:] if array.shape[3:] != (1, 1) else array.shape[2:3])
    return array
