"""weight.bin: the weights of ML Programs.

A header of 64 bytes (u32 number of blobs, u32 version 2), then for each blob 64 bytes of metadata (u32 0xDEADBEEF, u32
data type, u64 bytes, u64 offset of the data, u64 bits of padding) and, aligned to 64 bytes, the data; little-endian.
A program refers to the metadata by file name and offset.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from mlexplorer.errors import FileFormatError
from mlexplorer.formats.diagnosis import diagnose
from mlexplorer.formats.member import Member
from mlexplorer.spec.data_types import BY_BLOB, DataType

SENTINEL = 0xDEADBEEF
VERSION = 2
ALIGNMENT = 64

HEADER = struct.Struct("<II")
METADATA = struct.Struct("<IIQQQ")


def read_blob(member: Member, offset: int) -> tuple[DataType, bytes]:
    """The type and the bytes of the blob whose metadata lie at `offset`; nothing else is read.

    Raises FileFormatError where the file is no blob file, is truncated, or has no blob there.
    """
    metadata = member.read(offset, METADATA.size)
    sentinel, number, size, start, _ = METADATA.unpack(metadata.ljust(METADATA.size, b"\0"))
    if sentinel != SENTINEL:
        _check_header(member)
        raise FileFormatError(
            f"{member.label} has no weight at offset {offset:,} of its {member.size:,} bytes; it is damaged or "
            "belongs to another model: get the package again"
        )
    if number not in BY_BLOB:
        raise FileFormatError(f"{member.label} has a weight of the unknown data type {number} at offset {offset:,}")
    if start + size > member.size:
        raise FileFormatError(
            f"{member.label} is truncated: it has {member.size:,} bytes and should have at least {start + size:,}; "
            "copy or download the package again"
        )
    return BY_BLOB[number], member.read(start, size)


def _check_header(member: Member) -> None:
    head = member.read(0, 4096)
    version = HEADER.unpack_from(head)[1] if len(head) >= HEADER.size else None
    if version == VERSION:
        return
    if member.size < 1024 or not head.strip():
        raise FileFormatError(f"{member.label} {diagnose(head)}")
    raise FileFormatError(f"{member.label} is not a weight file of version {VERSION}; get the package again")


class BlobFiles:
    """The weight files of a package by the names that its program uses; `read` is what `graph.Blobs` asks for."""

    def __init__(self, label: str, members: Mapping[str, Member]) -> None:
        """`members` are the files by their path beside the specification: "weights/weight.bin"."""
        self.label = label
        self.members = dict(members)

    def read(self, file_name: str, offset: int) -> tuple[DataType, bytes]:
        """The type and the bytes of a blob; raises FileFormatError where the file is missing or broken."""
        name = file_name.removeprefix("@model_path/")
        if name not in self.members:
            raise FileFormatError(
                f"{self.label} has no file {name!r}, which holds its weights; the package is incomplete: get it again"
            )
        return read_blob(self.members[name], offset)
