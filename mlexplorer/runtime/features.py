"""The border between a model's features and its network's blobs: ranks, preprocessing, pictures, class labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.images import open_picture, to_array, to_picture
from mlexplorer.spec.weight_params import read_floats

Array = NDArray[Any]

_ARRAY_DTYPES = {"FLOAT16": np.float16, "FLOAT32": np.float32, "DOUBLE": np.float64, "INT32": np.int32, "INT8": np.int8}


def network(model: Model) -> Any:
    """The NeuralNetwork, NeuralNetworkClassifier or NeuralNetworkRegressor message of a model."""
    return getattr(model.spec, model.kind)


def encode_inputs(model: Model, inputs: Mapping[str, Any]) -> dict[str, Array]:
    """The network's input blobs for a model's inputs: pictures and arrays, mapped to the network's ranks, preprocessed.

    Raises InputError for missing and unknown names and for values that do not fit.
    """
    features = {feature.name: feature for feature in model.inputs}
    unknown = [name for name in inputs if name not in features]
    if unknown:
        raise InputError(f"the model has no input {', '.join(map(repr, unknown))}; its inputs are {_names(features)}")
    missing = [name for name, feature in features.items() if name not in inputs and not feature.optional]
    if missing:
        raise InputError(
            f"the input {', '.join(map(repr, missing))} is missing; the model's inputs are {_names(features)}"
        )
    blobs = {}
    for name, feature in features.items():
        if feature.type == "image":
            blobs[name] = _encode_image(model, feature, inputs[name])
        else:
            blobs[name] = _encode_array(model, feature, inputs.get(name))
    return blobs


def decode_outputs(model: Model, blobs: Mapping[str, Array]) -> dict[str, Any]:
    """A model's outputs from its network's blobs: arrays, pictures, a class label, a dictionary of probabilities."""
    outputs: dict[str, Any] = {}
    for feature in model.outputs:
        if feature.name in blobs:
            if feature.type == "image":
                outputs[feature.name] = to_picture(blobs[feature.name], feature)
            else:
                outputs[feature.name] = _decode_array(model, feature, blobs[feature.name])
    if model.kind == "neuralNetworkClassifier":
        outputs.update(_decode_classes(model, blobs[probabilities_blob(model)]))
    return outputs


def output_blobs(model: Model) -> list[str]:
    """The blobs that a prediction needs."""
    names = [feature.name for feature in model.outputs]
    if model.kind == "neuralNetworkClassifier":
        description = model.spec.description
        written = {name for layer in network(model).layers for name in layer.output}
        labels = {description.predictedFeatureName, description.predictedProbabilitiesName}
        names = [name for name in names if name in written or name not in labels]
        names.append(probabilities_blob(model))
    return list(dict.fromkeys(names))


def probabilities_blob(model: Model) -> str:
    """The blob that holds a classifier's probabilities: the one it names, else what its last layer writes."""
    classifier = network(model)
    if classifier.labelProbabilityLayerName:
        return str(classifier.labelProbabilityLayerName)
    if not classifier.layers:
        raise ModelError("the classifier has no layers")
    return str(classifier.layers[-1].output[-1])


def class_labels(model: Model) -> list[str] | list[int]:
    """The labels of a classifier in the order of its probabilities."""
    classifier = network(model)
    kind = classifier.WhichOneof("ClassLabels")
    return list(getattr(classifier, kind).vector) if kind else []


def _encode_image(model: Model, feature: Feature, value: Any) -> Array:
    if not isinstance(value, Image.Image | np.ndarray | str | Path):
        raise InputError(f"input {feature.name!r} is a picture: give a PIL image, a path or an [H, W, 3] array")
    picture = open_picture(value)
    if not feature.accepts_size(picture.width, picture.height):
        raise InputError(
            f"input {feature.name!r} takes pictures of {feature.size_text} pixels, not "
            f"{picture.width}x{picture.height}; resize the picture first"
        )
    pixels = _preprocess(model, feature, to_array(picture, feature))
    exact = network(model).imageInputShapeMapping == 1
    return pixels[None] if exact else pixels[None, None]


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
            pixels = pixels * np.float32(scaler.channelScale) + np.asarray(bias, np.float32)[:, None, None]
        elif step.WhichOneof("preprocessor") == "meanImage":
            mean = read_floats(step.meanImage, "meanImage")
            if mean.size != pixels.size:
                raise ModelError(
                    f"input {feature.name!r}: the mean image has {mean.size} values, the picture has {pixels.size}"
                )
            pixels = pixels - mean.reshape(pixels.shape)
    return pixels


def _encode_array(model: Model, feature: Feature, value: Any) -> Array:
    exact = network(model).arrayInputShapeMapping == 1
    if value is None:
        shape = feature.shape or (1,)
        value = np.full(shape, feature.default if feature.default is not None else 0.0, np.float32)
    try:
        array = np.asarray(value, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"input {feature.name!r} takes an array of numbers, shape {list(feature.shape or ())}, not a "
            f"{type(value).__name__}"
        ) from error
    array = np.atleast_1d(array)
    if not exact and _is_sequence(feature, array):
        return array
    if not feature.accepts(array.shape):
        shape = feature.shape or ()
        if [n for n in array.shape if n != 1] != [n for n in shape if n != 1]:
            raise InputError(
                f"input {feature.name!r} takes an array of shape {feature.size_text}, not {list(array.shape)}"
            )
        array = array.reshape(shape)
    return array if exact else _rank5(feature, array)


def _is_sequence(feature: Feature, array: Array) -> bool:
    """Whether [Seq, Batch, C, H, W] is given where the legacy mapping describes one step: [C] or [C, H, W]."""
    shape = feature.shape or ()
    return array.ndim == 5 and array.shape[2:] == {1: (*shape, 1, 1), 3: shape}.get(len(shape))


def _rank5(feature: Feature, array: Array) -> Array:
    """[C], [Batch, C], [C, H, W], [Batch, C, H, W] or [Seq, Batch, C, H, W] as rank 5."""
    shape = array.shape
    if array.ndim > 5:
        raise InputError(f"input {feature.name!r}: networks with the legacy shape mapping take at most five axes")
    ranks = {1: (1, 1, *shape, 1, 1), 2: (1, *shape, 1, 1), 3: (1, 1, *shape), 4: (1, *shape), 5: shape}
    return array.reshape(ranks[array.ndim])


def _decode_array(model: Model, feature: Feature, array: Array) -> Any:
    if feature.type in ("double", "int64"):
        number = float(array.reshape(-1)[0])
        return int(number) if feature.type == "int64" else number
    dtype = _ARRAY_DTYPES.get(feature.dtype or "", np.float32)
    if dtype in (np.int32, np.int8):
        array = np.trunc(array)
    shape = feature.shape
    if network(model).arrayInputShapeMapping != 1:
        if shape and int(np.prod(shape)) == array.size:
            array = array.reshape(shape)
        elif array.ndim == 5:
            array = _legacy_output(array)
    return array.astype(dtype)


def _legacy_output(array: Array) -> Array:
    """[1, 1, C, 1, 1] as [C], [1, 1, C, H, W] as [C, H, W]; sequences and batches stay."""
    if array.shape[0] == array.shape[1] == 1:
        return array.reshape(array.shape[2:] if array.shape[3:] != (1, 1) else array.shape[2:3])
    return array


def _decode_classes(model: Model, probabilities: Array) -> dict[str, Any]:
    labels = class_labels(model)
    values = probabilities.reshape(-1)
    if len(labels) != values.size:
        raise ModelError(f"the classifier has {len(labels)} class labels but {values.size} probabilities")
    description = model.spec.description
    result: dict[str, Any] = {}
    if description.predictedFeatureName:
        result[description.predictedFeatureName] = labels[int(np.argmax(values))]
    if description.predictedProbabilitiesName:
        result[description.predictedProbabilitiesName] = dict(zip(labels, map(float, values), strict=True))
    return result


def _names(features: Mapping[str, Feature]) -> str:
    return ", ".join(map(repr, features)) or "none"
