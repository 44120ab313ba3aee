"""What a message holds, read from its descriptor: parameters as plain values, weights by field path."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

NETWORK = "CoreML.Specification.NeuralNetwork"
WEIGHT = "CoreML.Specification.WeightParams"

LONGEST = 16
"""Longer lists, and strings of bytes, are given as their count: a forest has 30,000 nodes."""


def is_repeated(field: Any) -> bool:
    """Whether a field is a list or a map; protobuf 7 dropped the older way to ask, protobuf 5 lacks the newer one."""
    repeated = getattr(field, "is_repeated", None)
    return bool(field.label == field.LABEL_REPEATED if repeated is None else repeated)


def is_map(field: Any) -> bool:
    """Whether a repeated field is a map, whose values are found by key."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def parameters(message: Any) -> dict[str, Any]:
    """The parameters in a message by field name: what is stored, no default of the format is filled in.

    Numbers, flags and strings outside a oneof always show, since unset and zero are the same; enum values show by
    name. Weights and nested networks are left out. Lists longer than `LONGEST` become their count.
    """
    return {
        field.name: _value(message, field)
        for field in message.DESCRIPTOR.fields
        if _shows(message, field) and not _is_left_out(message, field)
    }


def _shows(message: Any, field: Any) -> bool:
    if is_repeated(field):
        return len(getattr(message, field.name)) > 0
    if field.message_type is not None or field.containing_oneof is not None:
        return bool(message.HasField(field.name))
    return True


def _is_left_out(message: Any, field: Any) -> bool:
    if field.message_type is None:
        return False
    if field.message_type.full_name in (WEIGHT, NETWORK):
        return True
    return field.containing_oneof is None and _is_all_weights(field.message_type)


def _value(message: Any, field: Any) -> Any:
    value = getattr(message, field.name)
    if is_map(field):
        entry = field.message_type.fields_by_name["value"]
        if len(value) > LONGEST:
            return f"{len(value)} entries"
        return {key: _single(value[key], entry) for key in sorted(value)}
    if not is_repeated(field):
        return _single(value, field)
    if len(value) > LONGEST:
        return f"{len(value)} {'values' if field.message_type is None else field.message_type.name}"
    return [_single(item, field) for item in value]


def _single(value: Any, field: Any) -> Any:
    if field.message_type is not None:
        inner = parameters(value)
        # a union of scalars, as the parameters of custom layers are, is just its value
        if field.message_type.oneofs and len(field.message_type.oneofs[0].fields) == len(field.message_type.fields):
            chosen = value.WhichOneof(field.message_type.oneofs[0].name)
            if chosen and value.DESCRIPTOR.fields_by_name[chosen].message_type is None:
                return inner[chosen]
        return inner
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else int(value)
    return f"{len(value)} bytes" if isinstance(value, bytes) else value


def weights(message: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """All WeightParams that are set in a message, outside nested networks, with their field paths."""
    for field in _holders(message.DESCRIPTOR):
        if is_repeated(field):
            items = [(f"{prefix}{field.name}[{i}]", item) for i, item in enumerate(getattr(message, field.name))]
        elif message.HasField(field.name):
            items = [(prefix + field.name, getattr(message, field.name))]
        else:
            continue
        for path, item in items:
            if field.message_type.full_name == WEIGHT:
                yield path, item
            else:
                yield from weights(item, f"{path}.")


@cache
def _holders(descriptor: Any) -> tuple[Any, ...]:
    """The fields of a message that are or hold WeightParams."""
    return tuple(field for field in descriptor.fields if _leads_to_weights(field.message_type, frozenset()))


def _leads_to_weights(descriptor: Any, above: frozenset[str]) -> bool:
    if descriptor is None or descriptor.full_name == NETWORK or descriptor.full_name in above:
        return False
    if descriptor.full_name == WEIGHT:
        return True
    above |= {descriptor.full_name}
    return any(_leads_to_weights(field.message_type, above) for field in descriptor.fields)


@cache
def _is_all_weights(descriptor: Any) -> bool:
    """Whether a message is a group of weights and nothing else, as LSTMWeightParams is."""
    types = [field.message_type for field in descriptor.fields]
    return bool(types) and all(type is not None and type.full_name == WEIGHT for type in types)


def unknown_fields(message: Any) -> list[int]:
    """The numbers of the fields that a newer specification has set in a message."""
    fields: Any = UnknownFieldSet(message)
    return sorted({field.field_number for field in fields})
