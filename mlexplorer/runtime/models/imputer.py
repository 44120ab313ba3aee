"""Missing values filled in."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.features import single_input, single_output
from mlexplorer.runtime.model_type import Values, evaluates
from mlexplorer.runtime.models.declarations import declared_size

_LEAST_INTEGER = -(2**63)

_ALLOWED = {
    "imputedDoubleValue": (("double", "multiArray"), "replaceDoubleValue"),
    "imputedInt64Value": (("int64",), "replaceInt64Value"),
    "imputedStringValue": (("string",), "replaceStringValue"),
    "imputedDoubleArray": (("multiArray",), "replaceDoubleValue"),
    "imputedInt64Array": (("multiArray",), "replaceInt64Value"),
    "imputedStringDictionary": (("dictionary",), None),
    "imputedInt64Dictionary": (("dictionary",), None),
}
"""For each ImputedValue the types of the feature and the ReplaceValue that go with it, as Apple's validator has it."""


@evaluates("imputer")
def imputer(model: Model) -> Callable[[Values], Values]:
    """The input with what is missing filled in (Imputer).

    Missing is what equals the ReplaceValue; where that is not set, NaN, the least integer or the empty text; and an
    optional input that is absent. Elements of arrays are filled in one by one. Of a dictionary, the keys that are
    absent or NaN are.
    """
    message = model.spec.imputer
    source, target = single_input(model), single_output(model)
    feature, output = model.inputs[0], model.outputs[0]
    field, replaced = message.WhichOneof("ImputedValue"), message.WhichOneof("ReplaceValue")
    if field is None:
        raise ModelError("Imputer states no ImputedValue")
    types, replaceable = _ALLOWED[field]
    if feature.type not in types:
        raise ModelError(f"{field} goes with an input of type {' or '.join(types)}, not with {feature}")
    if output.type != feature.type or (feature.type == "dictionary" and output.dtype != feature.dtype):
        raise ModelError(f"the output {output} has another type than the input {feature}")
    if replaced not in (None, replaceable):
        raise ModelError(f"{replaced} does not go with {field}")
    fill = _fill(field, getattr(message, field), getattr(message, replaced) if replaced else None, feature)

    def evaluate(values: Values) -> Values:
        return {target: fill(values.get(source))}

    return evaluate


def _fill(field: str, imputed: Any, replaced: Any, feature: Feature) -> Callable[[Any], Any]:
    """The function from a value, None where it is absent, to the value filled in."""
    if feature.type == "dictionary":
        return _fill_dictionary(field, dict(imputed.map), feature)
    if feature.type == "multiArray":
        return _fill_array(field, imputed, replaced, feature)
    missing = (
        {"double": math.nan, "int64": _LEAST_INTEGER, "string": ""}[feature.type] if replaced is None else replaced
    )
    if missing != missing:
        return lambda value: imputed if value is None or math.isnan(value) else value
    return lambda value: imputed if value is None or value == missing else value


def _fill_dictionary(field: str, imputed: dict[Any, float], feature: Feature) -> Callable[[Any], Any]:
    keys = "string" if field == "imputedStringDictionary" else "int64"
    if feature.dtype != keys:
        raise ModelError(f"{field} goes with a dictionary of {keys}, not with {feature}")

    def fill(value: Any) -> Any:
        given = value or {}
        return {**given, **{key: number for key, number in imputed.items() if math.isnan(given.get(key, math.nan))}}

    return fill


def _fill_array(field: str, imputed: Any, replaced: Any, feature: Feature) -> Callable[[Any], Any]:
    numbers: NDArray[Any] = np.array(imputed if field == "imputedDoubleValue" else imputed.vector).reshape(-1)
    size = declared_size(feature)
    each = field != "imputedDoubleValue"
    if each and size not in (None, numbers.size):
        raise ModelError(f"{field} has {numbers.size} values, but the input {feature.name!r} has {size}")

    def fill(value: Any) -> Any:
        if value is None:
            return (
                numbers.reshape(feature.shape if size else (-1,)) if each else np.full(feature.shape or (1,), numbers)
            )
        array = np.asarray(value)
        if each and array.size != numbers.size:
            raise InputError(f"input {feature.name!r} has {array.size} values, but {field} has {numbers.size}")
        return np.where(_missing(array, replaced, field), numbers.reshape(array.shape) if each else numbers[0], array)

    return fill


def _missing(array: NDArray[Any], replaced: Any, field: str) -> NDArray[np.bool_]:
    floating = array.dtype.kind == "f"
    if field == "imputedInt64Array":
        if not floating:
            return np.asarray(array.astype(np.int64) == np.int64(_LEAST_INTEGER if replaced is None else replaced))
        if replaced is None:
            return np.asarray(np.isnan(array) | (array == float(_LEAST_INTEGER)))
    if replaced is None or replaced != replaced:
        return np.asarray(np.isnan(array) if floating else np.zeros(array.shape, np.bool_))
    # an array of singles holds the nearest single of the value that stands for a missing one
    with np.errstate(over="ignore"):
        return np.asarray(array == np.asarray(replaced, array.dtype if floating else np.float64))
