"""Copies of specifications whose weights are to be replaced: what is replaced is never copied."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from mlexplorer.spec import reflection

_REPLACED = ("floatValue", "float16Value", "rawValue", "int8RawValue", "quantization")


def copy_without(spec: Any, weights: Collection[Any]) -> tuple[Any, dict[int, Any]]:
    """A copy of a specification in which these WeightParams messages of it hold no values.

    With it comes the message in the copy for each WeightParams message of the specification, by its `id`. A message
    with fields that this version does not know is copied whole, values included.
    """
    copy = type(spec)()
    _copy(spec, copy, {id(weight) for weight in weights})
    return copy, {id(weight): twin for weight, twin in _twins(spec, copy)}


def _copy(source: Any, target: Any, emptied: Collection[int]) -> None:
    if not _holds_weights(source.DESCRIPTOR) or len(UnknownFieldSet(source)):
        target.CopyFrom(source)
        return
    is_weight = source.DESCRIPTOR.full_name == reflection.WEIGHT
    if is_weight and id(source) not in emptied:
        target.CopyFrom(source)
        return
    for field, value in source.ListFields():
        if is_weight and field.name in _REPLACED:
            continue
        if field.message_type is None:
            if reflection.is_repeated(field):
                getattr(target, field.name).extend(value)
            else:
                setattr(target, field.name, value)
        elif not reflection.is_repeated(field):
            getattr(target, field.name).SetInParent()
            _copy(value, getattr(target, field.name), emptied)
        elif _holds_weights(field.message_type) and not reflection.is_map(field):
            for item in value:
                _copy(item, getattr(target, field.name).add(), emptied)
        else:
            getattr(target, field.name).MergeFrom(value)


def _twins(source: Any, target: Any) -> Iterator[tuple[Any, Any]]:
    """All pairs of WeightParams messages of a specification and of its copy."""
    if source.DESCRIPTOR.full_name == reflection.WEIGHT:
        yield source, target
        return
    for field, value in source.ListFields():
        if field.message_type is None or not _holds_weights(field.message_type) or reflection.is_map(field):
            continue
        other = getattr(target, field.name)
        for one, twin in zip(value, other, strict=True) if reflection.is_repeated(field) else ((value, other),):
            yield from _twins(one, twin)


@cache
def _holds_weights(descriptor: Any) -> bool:
    """Whether messages of this type can hold WeightParams, at any depth."""
    seen, waiting = set(), [descriptor]
    while waiting:
        message_type = waiting.pop()
        if message_type.full_name == reflection.WEIGHT:
            return True
        if message_type.full_name not in seen:
            seen.add(message_type.full_name)
            waiting.extend(field.message_type for field in message_type.fields if field.message_type is not None)
    return False
