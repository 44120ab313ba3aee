"""HDF5 files that nobody vouches for: groups, texts and arrays, of which nothing leads out of the file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from math import prod
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlexplorer.converters.keras.heaps import Budget, HeapGuard
from mlexplorer.errors import FileFormatError, MissingDependencyError, MlexplorerError

Array = NDArray[Any]
SIGNATURE = b"\x89HDF\r\n\x1a\n"

_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # built in; others are loaded from a library
_NAMES_LIMIT = 1 << 17
_TEXT_LIMIT = 1 << 24

_DAMAGE = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, UnicodeError, MemoryError)
_P = ParamSpec("_P")
_R = TypeVar("_R")


def _in_our_words(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """What h5py raises for a damaged file, as FileFormatError."""

    @wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except MlexplorerError:
            raise
        except _DAMAGE as error:
            raise FileFormatError(f"the HDF5 file is damaged ({error}); copy, download or save it again") from error

    return guarded


@dataclass
class _File:
    """What the groups of a file share.

    Texts of any length are read behind the guard, from `guarded`, which is opened for them where all else is not read
    behind it: that would cost some microseconds whenever HDF5 reads.
    """

    budget: Budget
    guard: HeapGuard
    guarded: Callable[[], Any]
    seen: mmap | None

    def view(self, start: int | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """The array that begins at a byte, where it lies in the file; None where the file's bytes are not at hand."""
        if self.seen is None or start is None or start + prod(shape) * dtype.itemsize > len(self.seen):
            return None
        return np.ndarray(shape, dtype, self.seen, start)


class Group:
    """A group of an HDF5 file; all methods raise FileFormatError, for damage and for what leads out of the file.

    Soft, external and user-defined links, external and virtual datasets, filters that would be loaded from a library,
    and arrays of anything but numbers are refused. What is read in all is limited to 20 times the size of the file and
    256 MiB, before memory is taken.
    """

    def __init__(self, group: Any, file: _File, path: str = "") -> None:
        self._id = group
        self._file = file
        self._path = path
        self._below: dict[str, Any] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and bool(self._id == other._id)

    def __hash__(self) -> int:
        return hash(self._id)

    @_in_our_words
    def names(self) -> list[str]:
        """The names of the members."""
        if len(self._id) > _NAMES_LIMIT:
            raise FileFormatError(f"{self._label()} has {len(self._id):,} members; no Keras model has so many")
        try:
            return [name.decode() for name in self._id]
        except UnicodeDecodeError as error:
            raise FileFormatError(f"{self._label()} has members whose names are not UTF-8") from error

    def group(self, name: str) -> Group | None:
        """The group of that name below this one, "a/b" for nested ones; None where there is none."""
        import h5py

        member = self._member(name)
        if member is None or isinstance(member, h5py.h5g.GroupID):
            return None if member is None else Group(member, self._file, f"{self._path}/{name}")
        raise FileFormatError(f"{self._label(name)} is a dataset where a group must be")

    @_in_our_words
    def array(self, name: str) -> Array:
        """The array of a dataset, in native byte order; bfloat16 as float32."""
        import h5py

        label = self._label(name)
        dataset = self._member(name)
        if not isinstance(dataset, h5py.h5d.DatasetID):
            raise FileFormatError(f"there is no dataset {label}; the file was not saved as a whole")
        dtype, shape = dataset.dtype, dataset.shape
        bfloat16 = (
            dtype.kind == "V" and dtype.itemsize == 2 and Group(dataset, self._file, label).text("dtype") == "bfloat16"
        )
        if not bfloat16 and dtype.kind not in "fiub":
            raise FileFormatError(f"{label} is of type {dtype}; weights are arrays of numbers")
        if shape is None:
            raise FileFormatError(f"{label} has no shape; the file was not saved as a whole")
        start = dataset.get_offset()  # of what lies in the file as it is, in one piece
        if start is None:
            self._require_own_values(dataset, label)
        size = prod(shape) * dtype.itemsize
        self._file.budget.spend(size, label)
        if size and not dataset.get_storage_size():
            raise FileFormatError(f"{label} declares the shape {shape} and holds no values")
        array = self._file.view(start, shape, dtype)
        if array is None:
            array = np.asarray(h5py.Dataset(dataset)[()])
        if bfloat16:
            return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        return np.asarray(array, dtype.newbyteorder("="))

    @staticmethod
    def _require_own_values(dataset: Any, label: str) -> None:
        import h5py

        properties = dataset.get_create_plist()
        if properties.get_external_count() or properties.get_layout() == h5py.h5d.VIRTUAL:
            raise FileFormatError(f"{label} takes its values from other files; only files that hold all are read")
        filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
        if unknown := filters - _FILTERS.keys():
            raise FileFormatError(
                f"{label} is packed with the HDF5 filter {min(unknown)}; only {', '.join(_FILTERS.values())} are read"
            )

    @_in_our_words
    def text(self, name: str) -> str | None:
        """The text in an attribute; None where there is none."""
        texts = self._texts(name)
        if texts is not None and len(texts) != 1:
            raise FileFormatError(f"the attribute {name!r} of {self._label()} is not a text")
        return texts[0] if texts else None

    @_in_our_words
    def texts(self, name: str) -> list[str] | None:
        """The list of texts in an attribute, or in name0, name1, ... where it was too long for one; else None."""
        whole = self._texts(name)
        if whole is not None:
            return whole
        parts: list[str] = []
        for number in itertools.count():
            part = self._texts(f"{name}{number}")
            if part is None:
                return parts if number else None
            parts += part
        return None

    def _texts(self, name: str) -> list[str] | None:
        import h5py

        if not h5py.h5a.exists(self._id, name.encode()):
            return None
        attribute = h5py.h5a.open(self._id, name.encode())
        shape = attribute.shape
        count = prod(shape) if shape is not None else 0
        if not count:
            return []
        # HDF5 itself crashes on some damaged types, so that only texts are read.
        if not isinstance(attribute.get_type(), h5py.h5t.TypeStringID) or len(shape) > 1:
            raise FileFormatError(f"the attribute {name!r} of {self._label()} does not hold text, or a list of texts")
        if count > _NAMES_LIMIT or attribute.get_storage_size() > _TEXT_LIMIT:
            raise FileFormatError(f"the attribute {name!r} of {self._label()} is too long; it is not read")
        texts = np.empty(shape, attribute.dtype)
        if attribute.get_type().is_variable_str():
            self._read_guarded(name, texts)
        else:
            attribute.read(texts)
        return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in texts.reshape(-1)]

    def _read_guarded(self, name: str, texts: Array) -> None:
        """Read an attribute's texts of any length."""
        import h5py

        file = self._file
        file.guard.expect(texts.size)
        try:
            h5py.h5a.open(file.guarded(), name.encode(), obj_name=(self._path or ".").encode()).read(texts)
        except _DAMAGE as error:
            raise file.guard.fault or error from error
        file.budget.spend(sum(map(len, texts.reshape(-1))), f"the attribute {name!r} of {self._label()}")

    @_in_our_words
    def _member(self, path: str) -> Any:
        """The group or dataset below this one; groups on the way are kept open for what else is in them."""
        above, _, name = path.rpartition("/")
        if above and above not in self._below:
            self._below[above] = self._member(above)
        return self._opened(self._below[above] if above else self._id, name, path)

    def _opened(self, group: Any, name: str, path: str) -> Any:
        import h5py

        if group is None:
            return None
        if name in ("", ".", "..") or not isinstance(group, h5py.h5g.GroupID):
            raise FileFormatError(f"{self._label(path)} is not a path within the file")
        key, links = name.encode(), group.links
        if not links.exists(key):
            return None
        if links.get_info(key).type != h5py.h5l.TYPE_HARD:
            raise FileFormatError(
                f"{self._label(path)} is a soft, external or user-defined link; only files that hold all their "
                "weights are read"
            )
        return h5py.h5o.open(group, key)

    def _label(self, name: str = "") -> str:
        return f"{self._path}/{name}".rstrip("/") or "/"


@contextmanager
def open_hdf5(file: Path | BinaryIO, size: int) -> Iterator[Group]:
    """The root of an HDF5 file, given by its path or open, of `size` bytes.

    Arrays of a file with a path are seen where they lie in it, without a copy, as far as they are not packed: they are
    read-only, and good for as long as nobody shortens the file.

    Raises FileFormatError for a damaged file, MissingDependencyError without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError("Keras' weights are HDF5: pip install h5py, or mlexplorer[keras]") from error
    budget = Budget(size)
    with ExitStack() as stack:

        @cache
        @_in_our_words
        def opened(source: Path | HeapGuard) -> Any:
            stored = stack.enter_context(h5py.File(source, "r"))
            if stored.id.get_create_plist().get_sizes() != (8, 8):
                raise FileFormatError("the addresses in the HDF5 file have not eight bytes, as those of Keras have")
            return stored

        if isinstance(file, Path):
            guard = HeapGuard(stack.enter_context(file.open("rb", buffering=0)), budget)
            stored = opened(file)
            seen = None if stored.userblock_size else _seen(file)
        else:
            guard = HeapGuard(file, budget)
            stored, seen = opened(guard), None
        root = _in_our_words(h5py.h5g.open)(stored.id, b"/")
        yield Group(root, _File(budget, guard, lambda: opened(guard).id, seen))


def _seen(path: Path) -> mmap | None:
    try:
        with path.open("rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)
    except (OSError, ValueError):
        return None
