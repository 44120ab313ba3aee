"""The border of a model of any type: what is given for its inputs, and what its outputs are given as."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.images import open_picture

Array = NDArray[Any]

_ARRAY_DTYPES = {"FLOAT16": np.float16, "FLOAT32": np.float32, "DOUBLE": np.float64, "INT32": np.int32, "INT8": np.int8}


def read_inputs(model: Model, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a model's inputs in one form per type.

    Pictures become PIL images, multi-arrays NumPy arrays of an accepted shape, numbers float and int, keys and texts
    str and int. Optional inputs that are absent stay absent. Raises InputError for missing and unknown names and for
    values that do not fit, saying what was expected and what was given.
    """
    features = {feature.name: feature for feature in model.inputs}
    unknown = [name for name in inputs if name not in features]
    if unknown:
        raise InputError(f"the model has no input {', '.join(map(repr, unknown))}; its inputs are {_names(features)}")
    absent = [name for name, feature in features.items() if inputs.get(name) is None and not feature.optional]
    if absent:
        raise InputError(
            f"the input {', '.join(map(repr, absent))} is missing; the model's inputs are {_names(features)}"
        )
    sequences = _takes_sequences(model)
    return {
        name: _read(feature, inputs[name], sequences)
        for name, feature in features.items()
        if inputs.get(name) is not None
    }


def write_outputs(model: Model, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a model computed as the types that its outputs declare: NumPy arrays, PIL images, float, int, str, dicts.

    Raises ModelError where an output that is declared was not computed or has another type.
    """
    outputs = {}
    for feature in model.outputs:
        if feature.name not in values:
            raise ModelError(f"nothing in the model writes its output {feature.name!r}")
        outputs[feature.name] = _write(feature, values[feature.name])
    return outputs


def input_vector(model: Model, values: Mapping[str, Any]) -> Array:
    """All inputs of a model one after the other as a float64 vector: numbers and flattened arrays, in their order."""
    parts = []
    for feature in model.inputs:
        _check_numeric(model, feature)
        if feature.name in values:
            parts.append(np.asarray(values[feature.name], np.float64).reshape(-1))
    return np.concatenate(parts) if parts else np.zeros(0)


def input_size(model: Model) -> int | None:
    """How many values `input_vector` gives where every input is there; None where an array's size is open.

    Raises ModelError where an input is neither a number nor an array.
    """
    sizes: list[int | None] = []
    for feature in model.inputs:
        _check_numeric(model, feature)
        is_open = feature.type == "multiArray" and (bool(feature.flexible) or not feature.shape)
        sizes.append(None if is_open else math.prod(feature.shape or ()))
    return None if None in sizes else sum(size or 0 for size in sizes)


def _check_numeric(model: Model, feature: Feature) -> None:
    if feature.type not in ("double", "int64", "multiArray"):
        raise ModelError(f"a {model.kind} takes numbers and arrays, but its input {feature.name!r} is a {feature.type}")


def as_picture(value: Any) -> Image.Image:
    """A picture from a PIL image, a path, an address, or an array or torch tensor.

    Arrays are [H, W, C] or [C, H, W], of values 0..255. Raises InputError as `open_picture` does, and for values
    between 0 and 1.
    """
    value = _without_torch(value)
    return open_picture(_channels_last(value) if isinstance(value, np.ndarray) else value)


def single_input(model: Model) -> str:
    """The name of a model's only input; raises ModelError where it has none or several."""
    if len(model.inputs) != 1:
        raise ModelError(f"a {model.kind} has one input, this one has {len(model.inputs)}")
    return model.inputs[0].name


def single_output(model: Model) -> str:
    """The name of a model's only output; raises ModelError where it has none or several."""
    if len(model.outputs) != 1:
        raise ModelError(f"a {model.kind} has one output, this one has {len(model.outputs)}")
    return model.outputs[0].name


def class_labels(classifier: Any) -> list[str] | list[int]:
    """The labels of a classifier's message in the order of its probabilities; empty where it states none."""
    kind = classifier.WhichOneof("ClassLabels")
    return list(getattr(classifier, kind).vector) if kind else []


def classification(model: Model, labels: Sequence[Any], probabilities: Any, label: Any = None) -> dict[str, Any]:
    """A classifier's outputs: the label, the most probable one unless given, and the dictionary of probabilities.

    Raises ModelError where there are more or fewer labels than probabilities.
    """
    values = np.asarray(probabilities, np.float64).reshape(-1)
    if len(labels) != values.size or not values.size:
        raise ModelError(f"the classifier has {len(labels)} class labels but {values.size} probabilities")
    description = model.spec.description
    result: dict[str, Any] = {}
    if description.predictedFeatureName:
        result[description.predictedFeatureName] = labels[int(np.argmax(values))] if label is None else label
    if description.predictedProbabilitiesName:
        result[description.predictedProbabilitiesName] = dict(zip(labels, values.tolist(), strict=True))
    return result


def _read(feature: Feature, value: Any, sequences: bool) -> Any:
    value = _without_torch(value)
    if feature.type == "image":
        return _read_picture(feature, value)
    if feature.type == "multiArray":
        return _read_array(feature, value, sequences)
    if feature.type in ("double", "int64"):
        return _read_number(feature, value)
    if feature.type == "string":
        if not isinstance(value, str):
            raise InputError(f"input {feature.name!r} takes a text, not {_given(value)}")
        return str(value)
    if feature.type == "dictionary":
        return _read_dictionary(feature, value)
    if feature.type == "sequence":
        return _read_sequence(feature, value)
    raise InputError(f"input {feature.name!r} has the type {feature.type}, for which no value can be given")


def _without_torch(value: Any) -> Any:
    """A torch tensor as an array; torch itself is never imported."""
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        value = value.detach().cpu()
        return (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    return value


def _read_picture(feature: Feature, value: Any) -> Image.Image:
    if not isinstance(value, Image.Image | np.ndarray | str | Path):
        raise InputError(
            f"input {feature.name!r} is a picture: give a PIL image, a path or an [H, W, 3] array, not {_given(value)}"
        )
    try:
        picture = as_picture(value)
    except InputError as error:
        raise InputError(f"input {feature.name!r}: {error}") from error
    if not feature.accepts_size(picture.width, picture.height):
        raise InputError(
            f"input {feature.name!r} takes pictures of {feature.size_text} pixels, not "
            f"{picture.width}x{picture.height}; resize the picture first"
        )
    return picture


def _channels_last(array: Array) -> Array:
    """A picture as torch has it, [C, H, W] or [1, C, H, W], as [H, W, C]; values between 0 and 1 are refused."""
    if array.ndim == 4 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4) and array.shape[0] in (1, 3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.dtype.kind == "f" and array.size:
        if not np.isfinite(array).all():
            raise InputError("the picture has values that are not finite")
        if array.max() <= 1.0 and array.min() >= 0.0 and (array != np.rint(array)).any():
            raise InputError("the picture has values between 0 and 1, but pixels go from 0 to 255; multiply by 255")
    return array


def _read_array(feature: Feature, value: Any, sequences: bool) -> Array:
    if isinstance(value, Image.Image | str | bytes | Mapping):
        raise InputError(
            f"input {feature.name!r} takes an array of numbers, shape {_shape(feature)}, not {_given(value)}"
        )
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "fiub":
            array = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"input {feature.name!r} takes an array of numbers, shape {_shape(feature)}, not {_given(value)}"
        ) from error
    array = np.atleast_1d(array)
    if feature.accepts(array.shape) or (sequences and _is_sequence(feature, array)):
        return array
    shape = feature.shape or ()
    if [n for n in array.shape if n != 1] != [n for n in shape if n != 1]:
        raise InputError(f"input {feature.name!r} takes an array of shape {feature.size_text}, not {list(array.shape)}")
    return array.reshape(shape)


def _is_sequence(feature: Feature, array: Array) -> bool:
    """Whether [Seq, Batch, C], or [Seq, Batch, C, H, W], is given where the legacy mapping describes one step."""
    shape = feature.shape or ()
    if array.ndim == 3:
        return len(shape) == 1 and array.shape[2:] == shape
    return array.ndim == 5 and array.shape[2:] == {1: (*shape, 1, 1), 3: shape}.get(len(shape))


def _takes_sequences(model: Model) -> bool:
    """Whether the model is a network whose arrays are mapped to five axes, a sequence's steps first."""
    return getattr(getattr(model.spec, model.kind, None), "arrayInputShapeMapping", 1) == 0


def _read_number(feature: Feature, value: Any) -> float | int:
    kind = "a number" if feature.type == "double" else "a whole number"
    array = np.asarray(value) if not isinstance(value, str | bytes | Image.Image | Mapping) else np.asarray(None)
    if array.size != 1 or array.dtype.kind not in "fiub":
        raise InputError(f"input {feature.name!r} takes {kind}, not {_given(value)}")
    number = array.reshape(-1)[0].item()
    if feature.type == "double":
        return float(number)
    if isinstance(number, float) and not number.is_integer():
        raise InputError(f"input {feature.name!r} takes {kind}, not {number}")
    return int(number)


def _read_dictionary(feature: Feature, value: Any) -> dict[Any, float]:
    if not isinstance(value, Mapping):
        raise InputError(
            f"input {feature.name!r} takes a dictionary from {_keys(feature)} to numbers, not {_given(value)}"
        )
    result = {}
    for key, number in value.items():
        whole = isinstance(key, int | np.integer) and not isinstance(key, bool)
        # coremltools declares texts, too, where it converts a scikit-learn DictVectorizer whose keys are whole numbers
        if not (whole or (isinstance(key, str) and feature.dtype == "string")):
            raise InputError(
                f"input {feature.name!r} takes a dictionary from {_keys(feature)} to numbers, not a key {key!r}"
            )
        try:
            result[int(key) if whole else str(key)] = float(number)
        except (TypeError, ValueError):
            raise InputError(
                f"input {feature.name!r}: the value of {key!r} is {_given(number)}, not a number"
            ) from None
    return result


def _read_sequence(feature: Feature, value: Any) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__iter__"):
        raise InputError(f"input {feature.name!r} takes a list of {_keys(feature)}, not {_given(value)}")
    items = list(value)
    wanted: Any = str if feature.dtype == "string" else (int, np.integer)
    for item in items:
        if not isinstance(item, wanted):
            raise InputError(f"input {feature.name!r} takes a list of {_keys(feature)}, not one with {_given(item)}")
    return [str(item) if feature.dtype == "string" else int(item) for item in items]


def _write(feature: Feature, value: Any) -> Any:
    try:
        if feature.type in ("double", "int64"):
            number = np.asarray(value).reshape(-1)
            if number.size != 1:
                raise ValueError(f"{number.size} values")
            return _whole(number[0].item()) if feature.type == "int64" else float(number[0])
        if feature.type == "string":
            return str(value)
        if feature.type == "dictionary":
            key = str if feature.dtype == "string" else int
            return {key(name): float(number) for name, number in value.items()}
        if feature.type == "multiArray":
            return _write_array(feature, value)
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"the output {feature.name!r} is declared as {feature}, but the model computes {_given(value)}: {error}"
        ) from error
    return value


def _whole(number: float | int) -> int:
    if not math.isfinite(number):
        raise ValueError(f"{number} is no whole number")
    return int(number)


def _write_array(feature: Feature, value: Any) -> Array:
    """An array of the declared type; of the declared shape too, where only axes of size 1 differ."""
    array = np.asarray(value)
    dtype = _ARRAY_DTYPES.get(feature.dtype or "")
    if dtype in (np.int32, np.int8) and array.dtype.kind == "f":
        array, limits = np.trunc(array), np.iinfo(np.int32 if dtype is np.int32 else np.int8)
        if not ((array >= limits.min) & (array <= limits.max)).all():
            raise ValueError(f"values outside {limits.min}..{limits.max}")
    shape = feature.shape
    if shape and array.shape != shape and [n for n in array.shape if n != 1] == [n for n in shape if n != 1]:
        array = array.reshape(shape)
    with np.errstate(over="ignore"):  # beyond the range of 16-bit floats lies infinity
        return array.astype(dtype) if dtype else array


def _shape(feature: Feature) -> str:
    return str(list(feature.shape or ()))


def _keys(feature: Feature) -> str:
    return "texts" if feature.dtype == "string" else "whole numbers"


def _given(value: Any) -> str:
    """What was given, in few words: its type, and its shape or beginning."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {list(value.shape)} of {value.dtype}"
    if isinstance(value, Image.Image):
        return f"a picture of {value.width}x{value.height}"
    text = repr(value)
    return f"the {type(value).__name__} {text if len(text) <= 40 else text[:37] + '...'}"


def _names(features: Mapping[str, Feature]) -> str:
    return ", ".join(map(repr, features)) or "none"
