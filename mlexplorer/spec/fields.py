"""Messages filled from Python values, by the names of the format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlexplorer.errors import InputError
from mlexplorer.spec.reflection import WEIGHT, is_map, is_repeated
from mlexplorer.spec.weight_params import write_floats


def fill(message: Any, values: Mapping[str, Any]) -> None:
    """Set the fields of a message.

    An array fills a WeightParams (as float16Value where it is float16, else as floatValue) or a repeated field, a dict
    the fields of a message within it (an empty one chooses it, in a oneof) or a map, a list of dicts a repeated
    message; enums take their names. None leaves a field unset.

    Raises InputError, which names the field, where there is none of that name or the value does not fit.
    """
    known = message.DESCRIPTOR.fields_by_name
    for name, value in values.items():
        if name not in known:
            raise InputError(
                f"{message.DESCRIPTOR.name} has no field {name!r}; it has {', '.join(sorted(known)) or 'none'}"
            )
        if value is None:
            continue
        try:
            _set(message, known[name], value)
        except (TypeError, ValueError, OverflowError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{message.DESCRIPTOR.name}.{name} cannot be {_short(value)}: {error}") from error


def _set(message: Any, field: Any, value: Any) -> None:
    inner = field.message_type
    if inner is None and is_repeated(field):
        getattr(message, field.name).extend(_plain(field, item) for item in value)
    elif inner is None:
        setattr(message, field.name, _plain(field, value))
    elif is_map(field):
        _set_map(getattr(message, field.name), inner, value)
    elif is_repeated(field):
        entries = getattr(message, field.name)
        for item in value:
            _set_message(entries.add(), inner, item)
    else:
        entry = getattr(message, field.name)
        entry.SetInParent()
        _set_message(entry, inner, value)


def _set_message(message: Any, descriptor: Any, value: Any) -> None:
    if descriptor.full_name == WEIGHT and not isinstance(value, Mapping):
        _weights(message, value)
    else:
        fill(message, value)


def _set_map(entries: Any, inner: Any, values: Mapping[Any, Any]) -> None:
    is_message = inner.fields_by_name["value"].message_type is not None
    for key, value in values.items():
        if is_message:
            fill(entries[key], value)
        else:
            entries[key] = value


def _plain(field: Any, value: Any) -> Any:
    if field.enum_type is not None and isinstance(value, str):
        numbers = field.enum_type.values_by_name
        if value not in numbers:
            raise InputError(f"{field.name} cannot be {value!r}; it may be {', '.join(numbers)}")
        return numbers[value].number
    return value.item() if isinstance(value, np.generic) else value


def _weights(params: Any, value: Any) -> None:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"weights are numbers, not {array.dtype}")
    if array.dtype == np.float16:
        params.float16Value = np.ascontiguousarray(array, "<f2").tobytes()
    else:
        write_floats(params, array)


def _short(value: Any) -> str:
    text = f"an array of shape {list(value.shape)}" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) < 80 else f"{text[:77]}..."
