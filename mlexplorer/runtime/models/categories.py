"""Categories as vectors and back: oneHotEncoder, dictVectorizer, categoricalMapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.features import single_input, single_output
from mlexplorer.runtime.model_type import Values, evaluates
from mlexplorer.runtime.models.declarations import check_size, given

_ERROR_ON_UNKNOWN, _IGNORE_UNKNOWN = 0, 1


@evaluates("oneHotEncoder")
def one_hot_encoder(model: Model) -> Callable[[Values], Values]:
    """1 at the position of the category, in an array or in a dictionary with this one entry (OneHotEncoder).

    A category that is not listed gives zeros or an empty dictionary with IgnoreUnknown, else an InputError.
    """
    message = model.spec.oneHotEncoder
    source, target = single_input(model), single_output(model)
    feature, output = model.inputs[0], model.outputs[0]
    field = _chosen(message, "CategoryType")
    _check(feature, field, "string" if field == "stringCategories" else "int64")
    positions = _positions(field, getattr(message, field).vector)
    unknown = message.handleUnknown
    if unknown not in (_ERROR_ON_UNKNOWN, _IGNORE_UNKNOWN):
        raise ModelError(f"handleUnknown {unknown} is none that the format knows")
    _check_vector(output, message.outputSparse, f"outputSparse {message.outputSparse}", field, len(positions))

    def evaluate(values: Values) -> Values:
        category = given(values, feature)
        position = positions.get(category)
        if position is None and unknown == _ERROR_ON_UNKNOWN:
            raise InputError(f"input {source!r}: {category!r} is none of the {len(positions)} categories")
        return {target: _vector({} if position is None else {position: 1.0}, len(positions), output)}

    return evaluate


@evaluates("dictVectorizer")
def dict_vectorizer(model: Model) -> Callable[[Values], Values]:
    """The value of each key at the key's position, in an array or in a dictionary by position (DictVectorizer).

    Keys that are absent give 0 in an array and no entry in a dictionary. Keys that are not listed are passed over, as
    coremltools' test_unseen_or_no_features wants; Apple's format documentation says that there are none. The type of
    the keys is that of the map, whatever the input declares: coremltools' test_int_features_in_pipeline declares texts.
    """
    message = model.spec.dictVectorizer
    source, target = single_input(model), single_output(model)
    feature, output = model.inputs[0], model.outputs[0]
    field = _chosen(message, "Map")
    kind: type = str if field == "stringToIndex" else int
    _check(feature, field, "dictionary")
    positions = _positions(field, getattr(message, field).vector)
    _check_vector(output, output.type == "dictionary", "a vector by position", field, len(positions))

    def evaluate(values: Values) -> Values:
        entries = given(values, feature)
        for key in entries:
            if not isinstance(key, kind):
                raise InputError(
                    f"input {source!r}: {field} takes keys like {next(iter(positions), '')!r}, not {key!r}"
                )
        known = {positions[key]: value for key, value in entries.items() if key in positions}
        return {target: _vector(known, len(positions), output)}

    return evaluate


@evaluates("categoricalMapping")
def categorical_mapping(model: Model) -> Callable[[Values], Values]:
    """The integer of a text, or the text of an integer (CategoricalMapping).

    What is not listed gives ValueOnUnknown, and an InputError where that is not set.
    """
    message = model.spec.categoricalMapping
    source, target = single_input(model), single_output(model)
    feature, output = model.inputs[0], model.outputs[0]
    field = _chosen(message, "MappingType")
    kinds = ("string", "int64") if field == "stringToInt64Map" else ("int64", "string")
    _check(feature, field, kinds[0])
    _check(output, field, kinds[1])
    table: dict[Any, Any] = dict(getattr(message, field).map)
    default = message.WhichOneof("ValueOnUnknown")
    if default and default != {"string": "strValue", "int64": "int64Value"}[kinds[1]]:
        raise ModelError(f"{default} is set, but {field} gives values of another type")
    fallback = getattr(message, default) if default else None

    def evaluate(values: Values) -> Values:
        category = given(values, feature)
        result = table.get(category, fallback)
        if result is None:
            raise InputError(f"input {source!r}: {category!r} is none of the {len(table)} categories of {field}")
        return {target: result}

    return evaluate


def _chosen(message: Any, choice: str) -> str:
    """The name of the field that is set; raises ModelError where none is."""
    field = message.WhichOneof(choice)
    if field is None:
        fields = [field.name for field in message.DESCRIPTOR.oneofs_by_name[choice].fields]
        raise ModelError(f"{message.DESCRIPTOR.name} states neither {' nor '.join(fields)}")
    return str(field)


def _check(feature: Feature, reason: str, kind: str, keys: str | None = None) -> None:
    if feature.type != kind or (keys and feature.dtype != keys):
        raise ModelError(f"{reason} goes with a {kind}{f' of {keys}' if keys else ''}, not with {feature}")


def _check_vector(output: Feature, sparse: bool, reason: str, field: str, size: int) -> None:
    _check(output, reason, *(("dictionary", "int64") if sparse else ("multiArray",)))
    if not sparse:
        check_size(output, size, field)


def _positions(field: str, keys: Any) -> dict[Any, int]:
    positions = {key: index for index, key in enumerate(keys)}
    if len(positions) < len(keys):
        twice = next(key for index, key in enumerate(keys) if positions[key] != index)
        raise ModelError(f"{field} has {twice!r} twice")
    return positions


def _vector(entries: dict[int, float], size: int, output: Feature) -> Any:
    if output.type == "dictionary":
        return entries
    vector = np.zeros(size)
    vector[list(entries)] = list(entries.values())
    return vector
