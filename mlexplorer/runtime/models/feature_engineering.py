"""Vectors joined, scaled, normalised and taken apart; features handed through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.features import single_input, single_output
from mlexplorer.runtime.model_type import Values, evaluates
from mlexplorer.runtime.models.declarations import check_size, declared_size, given

Floats = NDArray[np.float64]

_NORMS: tuple[Callable[[Floats], Any], ...] = (
    lambda x: np.abs(x).max(initial=0.0),
    lambda x: np.abs(x).sum(),
    lambda x: np.sqrt(np.square(x).sum()),
)
_WHOLE = ("INT32", "INT8")


@evaluates("featureVectorizer")
def feature_vectorizer(model: Model) -> Callable[[Values], Values]:
    """Numbers, arrays and dictionaries by position one after the other in one vector (FeatureVectorizer)."""
    target = single_output(model)
    features = {feature.name: feature for feature in model.inputs}
    columns: list[tuple[Feature, int, int]] = []
    end = 0
    for column in model.spec.featureVectorizer.inputList:
        feature = features.get(column.inputColumn)
        if feature is None:
            raise ModelError(f"inputList names {column.inputColumn!r}, which is none of the inputs")
        _check_column(feature, column.inputDimensions)
        columns.append((feature, end, end + column.inputDimensions))
        end += column.inputDimensions
    if not columns:
        raise ModelError("inputList is empty")
    check_size(model.outputs[0], end, "inputList")

    def evaluate(values: Values) -> Values:
        vector = np.zeros(end)
        for feature, first, last in columns:
            vector[first:last] = _column(feature, given(values, feature), last - first)
        return {target: vector}

    return evaluate


def _check_column(feature: Feature, size: int) -> None:
    is_sparse = feature.type == "dictionary" and feature.dtype == "int64"
    if feature.type not in ("double", "int64", "multiArray") and not is_sparse:
        raise ModelError(f"a featureVectorizer takes numbers, arrays and dictionaries by position, not {feature}")
    if size == 0 or (not is_sparse and declared_size(feature) not in (None, size)):
        raise ModelError(f"inputDimensions of {feature.name!r} is {size}, but the input is {feature}")


def _column(feature: Feature, value: Any, size: int) -> Any:
    if feature.type == "dictionary":
        wrong = [key for key in value if not 0 <= key < size]
        if wrong:
            raise InputError(f"input {feature.name!r}: position {wrong[0]} is not in 0..{size - 1}")
        column = np.zeros(size)
        column[list(value)] = list(value.values())
        return column
    array = np.asarray(value, np.float64)
    if array.size != size:
        raise InputError(f"input {feature.name!r} has {array.size} values, but inputDimensions is {size}")
    return array.reshape(-1)


@evaluates("scaler")
def scaler(model: Model) -> Callable[[Values], Values]:
    """A number or each element of an array as scaleValue * (x + shiftValue) (Scaler).

    Both may have one value, one per element, or none: then the shift is 0, the scale 1. Raises InputError where the
    output is declared as integers and would lose something.
    """
    message = model.spec.scaler
    source, target = single_input(model), single_output(model)
    feature, output = model.inputs[0], model.outputs[0]
    size = _size(feature, "scaler", "double", "int64", "multiArray")
    sizes = {"shiftValue": len(message.shiftValue), "scaleValue": len(message.scaleValue)}
    for name, count in sizes.items():
        if count > 1 and size not in (None, count):
            raise ModelError(f"{name} has {count} values, but the input {source!r} has {size}")
    shift = np.array(message.shiftValue or [0.0], np.float64)
    scale = np.array(message.scaleValue or [1.0], np.float64)
    is_whole = output.type == "int64" or output.dtype in _WHOLE

    def evaluate(values: Values) -> Values:
        array = np.asarray(given(values, feature), np.float64)
        for name, count in sizes.items():
            if count > 1 and count != array.size:
                raise InputError(f"input {source!r} has {array.size} values, but {name} has {count}")
        with np.errstate(over="ignore", invalid="ignore"):
            result = (scale * (array.reshape(-1) + shift)).reshape(array.shape)
        if is_whole and (result != np.rint(result)).any():
            raise InputError(f"the output {target!r} holds whole numbers, but the scaled values are not whole")
        return {target: result}

    return evaluate


@evaluates("normalizer")
def normalizer(model: Model) -> Callable[[Values], Values]:
    """An array over its largest magnitude (LMax), the sum of magnitudes (L1) or its length (L2) (Normalizer).

    Zeros stay zeros, as scikit-learn has it. Apple's format documentation writes max(x_i) for LMax, which is no norm
    where values are negative; scikit-learn, whose Normalizer coremltools converts, takes the largest magnitude.
    """
    kind = model.spec.normalizer.normType
    single_input(model)
    target, feature = single_output(model), model.inputs[0]
    _size(feature, "normalizer", "multiArray")
    if not 0 <= kind < len(_NORMS):
        raise ModelError(f"normType {kind} is none that the format knows")

    def evaluate(values: Values) -> Values:
        array = np.asarray(given(values, feature), np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            norm = _NORMS[kind](array)
            return {target: array / (norm if norm else 1.0)}

    return evaluate


@evaluates("arrayFeatureExtractor")
def array_feature_extractor(model: Model) -> Callable[[Values], Values]:
    """Elements of a flattened array, as an array, or as a number where it is one (ArrayFeatureExtractor)."""
    indices = list(model.spec.arrayFeatureExtractor.extractIndex)
    source, target = single_input(model), single_output(model)
    feature, output = model.inputs[0], model.outputs[0]
    size = _size(feature, "arrayFeatureExtractor", "multiArray")
    if not indices:
        raise ModelError("extractIndex is empty")
    if size is not None and max(indices) >= size:
        raise ModelError(f"extractIndex has {max(indices)}, but the input {source!r} has {size} values")
    check_size(output, len(indices), "extractIndex")

    def evaluate(values: Values) -> Values:
        array = np.asarray(given(values, feature)).reshape(-1)
        if max(indices) >= array.size:
            raise InputError(f"input {source!r} has {array.size} values, but extractIndex has {max(indices)}")
        return {target: array[indices]}

    return evaluate


@evaluates("identity")
def identity(model: Model) -> Callable[[Values], Values]:
    """Each output is the input of its name; where it has none, and there is one of each, the other's (Identity)."""
    inputs = {feature.name: feature for feature in model.inputs}
    sources = {}
    for output in model.outputs:
        feature = inputs.get(output.name, model.inputs[0] if len(inputs) == len(model.outputs) == 1 else None)
        if feature is None:
            raise ModelError(f"the output {output.name!r} of an identity is none of its inputs")
        if feature.type != output.type:
            raise ModelError(f"an identity changes nothing, but its input is {feature}, its output {output}")
        sources[output.name] = feature

    def evaluate(values: Values) -> Values:
        return {name: given(values, feature) for name, feature in sources.items()}

    return evaluate


def _size(feature: Feature, kind: str, *types: str) -> int | None:
    """The declared size of an input; raises ModelError where it has none of these types."""
    if feature.type not in types:
        raise ModelError(f"a {kind} takes an input of type {' or '.join(types)}, not {feature}")
    return declared_size(feature)
