"""What a file is that is not a Core ML model, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlexplorer import spec

_BINARY_SIGNATURES = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them; convert it first (mlexplorer.convert)"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\x00", "an xz archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive; unpack it first"),
    (b"PK\x03\x04", "a zip archive, but a Core ML model in one file is not zipped; unpack it first"),
    (b"\x80\x02", "a Python pickle, which is never opened here; convert the network to Core ML first"),
)


def diagnose(data: bytes) -> str:
    """What bytes are that are not a Core ML model: the end of a sentence "FILE ..."; what to do is in it."""
    head = data[:4096]
    if not data:
        return "is empty; copy or download it again"
    if head.startswith(b"version https://git-lfs"):
        size = re.search(rb"^size (\d+)$", head, re.MULTILINE)
        stands_for = f" for a file of {int(size[1]):,} bytes" if size else ""
        return f"is a Git LFS pointer{stands_for}, not the model; run `git lfs pull` in its repository to get the model"
    if is_web_page(head):
        return "is a web page; download the file itself (on GitHub, the raw file)"
    for signature, meaning in _BINARY_SIGNATURES:
        if head.startswith(signature):
            return f"is {meaning}"
    if head[4:8] == b"TFL3":
        return "is a TensorFlow Lite model; convert it to Core ML first"
    if _is_text(head):
        return "is a text file, perhaps a link that Git has stored as text; get the model file itself"
    return _diagnose_message(data)


def is_web_page(head: bytes) -> bool:
    """Whether a file that begins like this is a web page."""
    return re.match(rb"\s*(<!doctype html|<html|<head|<\?xml[^>]*>\s*<!doctype html)", head, re.IGNORECASE) is not None


def has_model_type(data: bytes) -> bool:
    """Whether bytes have the fields of a Core ML model, one of a known or unknown type among them."""
    numbers = {number for number, _ in top_level_fields(data)}
    return {1, 2} <= numbers and max(numbers) >= 200


def _diagnose_message(data: bytes) -> str:
    fields = list(top_level_fields(data))
    numbers = {number for number, _ in fields}
    end = fields[-1][1] if fields else 0
    if {1, 7} <= numbers and max(numbers) <= 30:
        return "is an ONNX model; convert it first (mlexplorer.convert)"
    known = spec.Model.DESCRIPTOR.fields_by_number
    if 1 in numbers and end > len(data):
        return f"is truncated: it has {len(data):,} bytes and should have at least {end:,}; copy or download it again"
    if {1, 2} <= numbers:
        models = [known[number].name for number in sorted(numbers) if number >= 200 and number in known]
        if models:
            return (
                f"is a Core ML model whose {models[-1]!r} does not follow the specification: it is damaged, or was "
                "written by an unreleased version of a tool; get or convert it again"
            )
        return "describes a Core ML model but holds none; copy or download it again"
    return "is not a Core ML model; check where it comes from"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n\f" for character in text)


def top_level_fields(data: bytes) -> Iterator[tuple[int, int]]:
    """The number of each field of a serialized message, and where it ends or should end; stops at what is none.

    A model has fewer than ten; the search ends after a thousand.
    """
    position = 0
    for _ in range(1000):
        if position >= len(data):
            return
        try:
            tag, position = _varint(data, position)
            wire_type = tag & 7
            if wire_type == 0:
                _, position = _varint(data, position)
            elif wire_type == 2:
                length, position = _varint(data, position)
                position += length
            elif wire_type in (1, 5):
                position += 8 if wire_type == 1 else 4
            else:
                return
        except ValueError:
            return
        if not tag >> 3:
            return
        yield tag >> 3, position


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if position >= len(data):
            raise ValueError("a number that does not end")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise ValueError("a number that does not end")
