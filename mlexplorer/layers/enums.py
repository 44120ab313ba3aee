"""Enumerated options of layers: the format lets a file hold numbers that no version of it names."""

from __future__ import annotations

from typing import Any

from mlexplorer.errors import ModelError


def enum_name(params: Any, field: str) -> str:
    """The name of an enum field's value. Raises ModelError where the schema has no name for it."""
    number = getattr(params, field)
    value = params.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number.get(number)
    if value is None:
        raise ModelError(f"{field} is {number}, which is not known")
    return str(value.name)
