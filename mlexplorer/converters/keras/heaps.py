"""Texts of any length lie in global heaps of an HDF5 file, which HDF5 itself walks for ever where they are damaged.

Source: HDF5 File Format Specification, III.E, Disk Format: Level 1E - Global Heap.
"""

from __future__ import annotations

import io
from typing import BinaryIO

from mlexplorer.errors import FileFormatError

_FLOOR = 1 << 28
_EXPANSION = 20
_SIGNATURE = b"GCOL"
_HEADER = 16
"""Bytes before the first object of a heap, and before the data of each object; lengths take eight bytes."""
_MOST_OBJECTS = 1 << 16
"""They are numbered by sixteen bits."""


class Budget:
    """How many bytes may still be read of a file: as many as honest ones hold, whatever it declares of itself."""

    def __init__(self, size: int) -> None:
        self._left = _FLOOR + _EXPANSION * size

    def spend(self, size: int, what: str) -> None:
        """Read so many bytes; raises FileFormatError where they are too many."""
        self.require(size, what)
        self._left -= size

    def require(self, size: int, what: str) -> None:
        """Raise FileFormatError where so many bytes are too many."""
        if size > self._left:
            raise FileFormatError(
                f"{what} declares {size:,} bytes, far more than the file can hold: a decompression bomb; it is not read"
            )


class HeapGuard(io.RawIOBase):
    """A file for HDF5 to read, by which no damaged heap reaches it: HDF5 reads each heap by itself, from its start.

    `fault` is what was wrong with a heap, as HDF5 says only that it cannot read.
    """

    def __init__(self, file: BinaryIO, budget: Budget) -> None:
        self.fault: FileFormatError | None = None
        self._file, self._budget = file, budget
        self._walked: set[int] = set()
        self._largest = self._count = 0

    def expect(self, count: int) -> None:
        """So many texts are read next; raises FileFormatError where the longest of all, so often, would be too much."""
        self._count = count
        self._budget.require(count * self._largest, "a list of texts")

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def seekable(self) -> bool:
        """At any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place of the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """The place in the file."""
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what is at the place; raises FileFormatError for a damaged heap."""
        start = self._file.tell()
        read = int(self._file.readinto(buffer))  # type: ignore[attr-defined]
        if bytes(buffer[:4]) == _SIGNATURE:
            try:
                self._admit(start)
            except FileFormatError as error:
                self.fault = error
                raise
            self._file.seek(start + read)
        return read

    def _admit(self, start: int) -> None:
        size = int.from_bytes(self._bytes(start, _HEADER)[8:], "little")
        self._budget.spend(size, "a heap of texts")
        if start in self._walked:
            return
        self._walked.add(start)
        heap = self._bytes(start, size)
        place, objects = _HEADER, 0
        while place + _HEADER <= size:
            number = int.from_bytes(heap[place : place + 2], "little")
            length = int.from_bytes(heap[place + 8 : place + _HEADER], "little")
            room = _HEADER + (length + 7) // 8 * 8 if number else length  # what is free counts its own header
            objects += 1
            if room < _HEADER or place + room > size or objects > _MOST_OBJECTS:
                raise FileFormatError(
                    f"the HDF5 file is damaged (object {number} of the heap at {start:,} is said to have {length:,} "
                    "bytes); copy, download or save it again"
                )
            self._largest = max(self._largest, length if number else 0)
            place += room
        self.expect(self._count)

    def _bytes(self, start: int, size: int) -> bytes:
        self._file.seek(start)
        data = self._file.read(size)
        if len(data) < size:
            raise FileFormatError(
                f"the HDF5 file is damaged (the heap at {start:,} goes beyond its end); copy, download or save it again"
            )
        return data
