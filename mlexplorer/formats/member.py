"""A file of a model, wherever it lies: on disk, in a zip archive, in memory. It is read when asked, and in part."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol
from zipfile import BadZipFile, ZipFile

from mlexplorer.errors import FileFormatError

CHUNK = 1 << 20


class Member(Protocol):
    """One file of a model."""

    @property
    def label(self) -> str:
        """How messages name the file."""

    @property
    def size(self) -> int:
        """Its size in bytes."""

    @property
    def times(self) -> tuple[int, int] | None:
        """Times of access and modification in nanoseconds, where the file has them."""

    def current(self) -> bytes | None:
        """The whole file as it is now, changed or not; None where it is gone."""

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of the file, fewer at its end; raises FileFormatError where it cannot be read any more."""

    def chunks(self) -> Iterator[bytes]:
        """The whole file piece by piece; raises FileFormatError where it was changed after loading."""


@dataclass(frozen=True)
class BytesMember:
    """A file in memory."""

    label: str
    data: bytes = field(repr=False)
    times: None = None

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return len(self.data)

    def current(self) -> bytes:
        """The whole file."""
        return self.data

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of the file, fewer at its end."""
        return self.data[offset : None if size is None else offset + size]

    def chunks(self) -> Iterator[bytes]:
        """The whole file in one piece."""
        yield self.data


class FileMember:
    """A file on disk. Size and time of modification tell whether it was changed after the model was loaded."""

    def __init__(self, path: Path, label: str = "") -> None:
        self.path = path.absolute()
        self.label = label or str(path)
        try:
            status = path.stat()
        except OSError as error:
            raise FileFormatError(f"{self.label} cannot be read: {error.strerror or error}") from error
        self.size = status.st_size
        self.times: tuple[int, int] = (status.st_atime_ns, status.st_mtime_ns)

    def current(self) -> bytes | None:
        """The whole file as it is now, changed or not; None where it is gone."""
        try:
            return self.path.read_bytes()
        except OSError:
            return None

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of the file, fewer at its end; raises FileFormatError where it was changed after loading."""
        self._require_unchanged()
        try:
            with self.path.open("rb") as file:
                file.seek(offset)
                return file.read() if size is None else file.read(size)
        except OSError as error:
            raise FileFormatError(f"{self.label} cannot be read: {error.strerror or error}") from error

    def chunks(self) -> Iterator[bytes]:
        """The whole file piece by piece; raises FileFormatError where it was changed after loading."""
        self._require_unchanged()
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def _require_unchanged(self) -> None:
        try:
            status = self.path.stat()
        except OSError:
            status = None
        if status is None or (status.st_size, status.st_mtime_ns) != (self.size, self.times[1]):
            raise FileFormatError(
                f"{self.label} was changed or removed after the model was loaded; load the model again"
            )


@dataclass(frozen=True)
class ZipMember:
    """A file in a zip archive; it is unpacked in memory as a whole when it is first asked for."""

    label: str
    archive: Callable[[], ZipFile]
    name: str
    size: int
    times: None = None

    def current(self) -> bytes | None:
        """The whole file; None where the archive is gone or was replaced by another."""
        try:
            return self._data
        except FileFormatError:
            return None

    @cached_property
    def _data(self) -> bytes:
        try:
            with self.archive() as archive:
                return archive.read(self.name)
        except (OSError, BadZipFile, KeyError, RuntimeError, NotImplementedError, EOFError) as error:
            raise FileFormatError(f"{self.label} cannot be unpacked: {error}; zip the model again") from error

    def read(self, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes of the file, fewer at its end; raises FileFormatError where it cannot be unpacked."""
        return self._data[offset : None if size is None else offset + size]

    def chunks(self) -> Iterator[bytes]:
        """The whole file in one piece; raises FileFormatError where it cannot be unpacked."""
        yield self._data


def files_below(folder: Path, label: str) -> dict[str, FileMember]:
    """The files of a folder by their relative names, sorted; links to files are followed, as caches use them."""
    members = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent) / name
            relative = path.relative_to(folder).as_posix()
            members[relative] = FileMember(path, f"{label}: {relative}")
    return members
