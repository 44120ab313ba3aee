"""Bytes to a specification, and back to the same bytes where nothing was changed."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import DecodeError, EncodeError

from mlexplorer import spec
from mlexplorer.errors import FileFormatError
from mlexplorer.formats.diagnosis import diagnose, has_model_type
from mlexplorer.formats.member import Member
from mlexplorer.model import Model

LIMIT = 2**31 - 1
"""The bytes of the largest message that protobuf can write and read."""


def parse(data: bytes, label: str) -> Any:
    """The specification in `data`; raises FileFormatError, which begins with `label`, for everything else."""
    try:
        message = spec.Model.FromString(data)
    except DecodeError:
        raise FileFormatError(f"{label} {diagnose(data)}") from None
    if message.WhichOneof("Type") is None and not has_model_type(data):  # types of newer versions are kept
        raise FileFormatError(f"{label} {diagnose(data)}")
    return message


def read_specification(member: Member) -> Any:
    """The specification in a file; raises FileFormatError."""
    if member.size > LIMIT:
        raise FileFormatError(
            f"{member.label} has {member.size:,} bytes; protobuf, which the format is made of, reads at most 2 GB"
        )
    return parse(member.read(), member.label)


def specification_bytes(model: Model, original: Member | None) -> bytes:
    """The serialized specification of a model.

    Protobuf may write maps and fields in another order than the file had them in. So where the specification says what
    the `original` file says, the file's own bytes are the answer. Raises FileFormatError above 2 GB.
    """
    try:
        data = bytes(model.spec.SerializeToString()) if model.spec.ByteSize() <= LIMIT else None
    except EncodeError:
        data = None
    if data is None:
        raise FileFormatError(
            "the specification is larger than 2 GB, the most that protobuf can write; quantize its weights first"
        )
    before = original.current() if original is not None else None
    if before is None or before == data:
        return data
    return before if _mean_the_same(before, model.spec) else data


def _mean_the_same(data: bytes, message: Any) -> bool:
    try:
        parsed = type(message).FromString(data)
    except DecodeError:
        return False
    if parsed.ByteSize() != message.ByteSize():
        return False
    return bool(parsed.SerializeToString(deterministic=True) == message.SerializeToString(deterministic=True))
