""".keras files: zip archives of config.json, metadata.json and model.weights.h5. Nothing is unpacked onto the disk."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from struct import error as StructError
from typing import BinaryIO
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from mlexplorer.errors import FileFormatError, MlexplorerError

SIGNATURE = b"PK\x03\x04"
_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_MEMBERS_LIMIT = 10_000
_TEXT_LIMIT = 1 << 24
_FLOOR = 1 << 28
_EXPANSION = 20
_CHUNK = 1 << 20
_DAMAGE = (BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, StructError, zlib.error)


class KerasArchive:
    """An open .keras file; methods raise FileFormatError for archives that are damaged, or made to do harm.

    Names that lead out of a folder, names that stand there twice, encrypted members, and members that unpack to more
    than 20 times their size and 256 MiB are refused.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        with _in_our_words():
            self._zip = ZipFile(file)
            self._members = self._checked()

    @property
    def is_keras(self) -> bool:
        """Whether the archive holds an architecture."""
        return _CONFIG in self._members

    def config(self) -> bytes:
        """The architecture, JSON."""
        return self._text(_CONFIG)

    def metadata(self) -> bytes:
        """What was written and when, JSON."""
        return self._text(_METADATA) if _METADATA in self._members else b"{}"

    @contextmanager
    def weights(self) -> Iterator[tuple[BinaryIO, int]]:
        """The HDF5 file of weights, open, and the bytes that it takes in the archive."""
        info = self._members.get(_WEIGHTS)
        if info is None:
            raise FileFormatError(f"the archive holds no {_WEIGHTS}; save the model again with Keras, as .keras or .h5")
        with _in_our_words():
            file = self._stored(info) if info.compress_type == ZIP_STORED else self._unpacked(info)
        with file:
            yield file, self._size(info)

    def _size(self, info: ZipInfo) -> int:
        """The bytes that a member takes, at most those of the archive whatever it says of itself."""
        return min(info.compress_size, self._file.seek(0, io.SEEK_END))

    def _checked(self) -> dict[str, ZipInfo]:
        members = self._zip.infolist()
        if len(members) > _MEMBERS_LIMIT:
            raise FileFormatError(f"the archive has {len(members):,} members; no Keras model has so many")
        for member in members:
            parts = re.split(r"[/\\]", member.filename)
            if ".." in parts or not parts[0] or ":" in parts[0]:
                raise FileFormatError(f"the archive has a member {member.filename!r}, which leads out of its folder")
            if member.flag_bits & 1:
                raise FileFormatError(f"{member.filename} in the archive is encrypted; save it without a password")
        name, count = Counter(member.filename for member in members).most_common(1)[0] if members else ("", 0)
        if count > 1:
            raise FileFormatError(f"{name} stands in the archive {count} times")
        return {member.filename: member for member in members}

    def _text(self, name: str) -> bytes:
        if name not in self._members:
            raise FileFormatError(f"the archive holds no {name}, so it is no Keras model")
        with _in_our_words(), self._zip.open(self._members[name]) as member:
            text = member.read(_TEXT_LIMIT + 1)
        if len(text) > _TEXT_LIMIT:
            raise FileFormatError(f"{name} in the archive is longer than {_TEXT_LIMIT:,} bytes; it is not read")
        return text

    def _stored(self, info: ZipInfo) -> BinaryIO:
        """The member where it lies in the archive, as nothing is packed."""
        with self._zip.open(info):  # checks the header of the member
            pass
        self._file.seek(info.header_offset + 26)
        name, extra = (int.from_bytes(self._file.read(2), "little") for _ in range(2))
        start = info.header_offset + 30 + name + extra
        if start + info.file_size > self._file.seek(0, io.SEEK_END):
            raise FileFormatError(f"the archive is damaged: {info.filename} goes beyond its end; copy or save it again")
        return io.BufferedReader(_Section(self._file, start, info.file_size))

    def _unpacked(self, info: ZipInfo) -> BinaryIO:
        limit = _FLOOR + _EXPANSION * self._size(info)
        if info.file_size > limit:  # no more than this many bytes are unpacked, whatever is there
            raise FileFormatError(
                f"{info.filename} in the archive unpacks to {info.file_size:,} bytes: a decompression bomb"
            )
        with ExitStack() as kept:
            file = kept.enter_context(tempfile.TemporaryFile())
            with self._zip.open(info) as member:
                shutil.copyfileobj(member, file, _CHUNK)
            file.seek(0)
            kept.pop_all()  # whoever gets it closes it
        return file


class _Section(io.RawIOBase):
    """A part of an open file, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        wanted = max(0, min(len(buffer), self._size - self._position))
        self._file.seek(self._start + self._position)
        read = self._file.readinto(memoryview(buffer)[:wanted])  # type: ignore[attr-defined]
        self._position += read
        return int(read)


@contextmanager
def _in_our_words() -> Iterator[None]:
    try:
        yield
    except MlexplorerError:
        raise
    except _DAMAGE as error:
        raise FileFormatError(f"the archive is damaged ({error}); copy, download or save it again") from error
