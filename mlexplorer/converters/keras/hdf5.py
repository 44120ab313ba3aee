"""HDF5 files that nobody vouches for: groups, texts and arrays, of which nothing leads out of the file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from math import prod
from typing import Any, BinaryIO, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import FileFormatError, MissingDependencyError, MlexplorerError

Array = NDArray[Any]
SIGNATURE = b"\x89HDF\r\n\x1a\n"

_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32", 32000: "lzf"}  # built in; others are loaded from a library
_NAMES_LIMIT = 1 << 17
_TEXT_LIMIT = 1 << 24
_FLOOR = 1 << 28
_EXPANSION = 20

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


class _Budget:
    """How many bytes of arrays may be read: what honest files hold, whatever a file declares of itself."""

    def __init__(self, file_size: int) -> None:
        self._left = _FLOOR + _EXPANSION * file_size

    def spend(self, size: int, what: str) -> None:
        self._left -= size
        if self._left < 0:
            raise FileFormatError(
                f"{what} declares {size:,} bytes, far more than the file can hold: a decompression bomb; it is not read"
            )


class Group:
    """A group of an HDF5 file; all methods raise FileFormatError, for damage and for what leads out of the file.

    Soft, external and user-defined links, external and virtual datasets, filters that would be loaded from a library,
    and arrays of anything but numbers are refused. What is read in all is limited to 20 times the size of the file and
    256 MiB, before memory is taken.
    """

    def __init__(self, group: Any, budget: _Budget) -> None:
        self._group = group
        self._budget = budget

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Group) and bool(self._group == other._group)

    def __hash__(self) -> int:
        return hash(self._group)

    @_in_our_words
    def names(self) -> list[str]:
        """The names of the members."""
        if len(self._group) > _NAMES_LIMIT:
            raise FileFormatError(f"{self._label()} has {len(self._group):,} members; no Keras model has so many")
        names = list(self._group)
        if not all(isinstance(name, str) for name in names):
            raise FileFormatError(f"{self._label()} has members whose names are not UTF-8")
        return names

    def group(self, name: str) -> Group | None:
        """The group of that name below this one, "a/b" for nested ones; None where there is none."""
        import h5py

        member = self._member(name)
        if member is None or isinstance(member, h5py.Group):
            return None if member is None else Group(member, self._budget)
        raise FileFormatError(f"{self._label(name)} is a dataset where a group must be")

    @_in_our_words
    def array(self, name: str) -> Array:
        """The array of a dataset, in native byte order; bfloat16 as float32."""
        import h5py

        label = self._label(name)
        dataset = self._member(name)
        if not isinstance(dataset, h5py.Dataset):
            raise FileFormatError(f"there is no dataset {label}; the file was not saved as a whole")
        dtype, shape = dataset.dtype, dataset.shape
        bfloat16 = (
            dtype.kind == "V" and dtype.itemsize == 2 and Group(dataset, self._budget).text("dtype") == "bfloat16"
        )
        if not bfloat16 and dtype.kind not in "fiub":
            raise FileFormatError(f"{label} is of type {dtype}; weights are arrays of numbers")
        if shape is None:
            raise FileFormatError(f"{label} has no shape; the file was not saved as a whole")
        properties = dataset.id.get_create_plist()
        if properties.get_external_count() or properties.get_layout() == h5py.h5d.VIRTUAL:
            raise FileFormatError(f"{label} takes its values from other files; only files that hold all are read")
        filters = {properties.get_filter(index)[0] for index in range(properties.get_nfilters())}
        if unknown := filters - _FILTERS.keys():
            raise FileFormatError(
                f"{label} is packed with the HDF5 filter {min(unknown)}; only {', '.join(_FILTERS.values())} are read"
            )
        size = prod(shape) * dtype.itemsize
        self._budget.spend(size, label)
        if size and not dataset.id.get_storage_size():
            raise FileFormatError(f"{label} declares the shape {shape} and holds no values")
        array = np.asarray(dataset[()])
        if bfloat16:
            return (array.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        return np.asarray(array, dtype.newbyteorder("="))

    @_in_our_words
    def text(self, name: str) -> str | None:
        """The text in an attribute; None where there is none."""
        if name not in self._group.attrs:
            return None
        texts = self._texts(name)
        if len(texts) != 1:
            raise FileFormatError(f"the attribute {name!r} of {self._label()} is not a text")
        return texts[0]

    @_in_our_words
    def texts(self, name: str) -> list[str] | None:
        """The list of texts in an attribute, or in name0, name1, ... where it was too long for one; else None."""
        if name in self._group.attrs:
            return self._texts(name)
        texts: list[str] = []
        part = 0
        while f"{name}{part}" in self._group.attrs:
            texts += self._texts(f"{name}{part}")
            part += 1
        return texts if part else None

    def _texts(self, name: str) -> list[str]:
        import h5py

        attribute = self._group.attrs.get_id(name)
        count = prod(attribute.shape or ()) if attribute.shape is not None else 0
        if not count:
            return []
        # HDF5 itself crashes on some damaged types, so that only texts are read.
        if not isinstance(attribute.get_type(), h5py.h5t.TypeStringID) or len(attribute.shape) > 1:
            raise FileFormatError(f"the attribute {name!r} of {self._label()} does not hold text, or a list of texts")
        if count > _NAMES_LIMIT or attribute.get_storage_size() > _TEXT_LIMIT:
            raise FileFormatError(f"the attribute {name!r} of {self._label()} is too long; it is not read")
        return [
            value.decode("utf-8") if isinstance(value, bytes) else str(value)
            for value in np.atleast_1d(self._group.attrs[name])
        ]

    @_in_our_words
    def _member(self, path: str) -> Any:
        import h5py

        member = self._group
        for part in path.split("/"):
            if part in ("", ".", "..") or not isinstance(member, h5py.Group):
                raise FileFormatError(f"{self._label(path)} is not a path within the file")
            key = part.encode()
            if not member.id.links.exists(key):
                return None
            if member.id.links.get_info(key).type != h5py.h5l.TYPE_HARD:
                raise FileFormatError(
                    f"{self._label(path)} is a soft, external or user-defined link; only files that hold all their "
                    "weights are read"
                )
            member = member[part]
        return member

    def _label(self, name: str = "") -> str:
        return f"{self._group.name.rstrip('/')}/{name}".rstrip("/") or "/"


@contextmanager
def open_hdf5(file: BinaryIO, size: int) -> Iterator[Group]:
    """The root of an open HDF5 file of `size` bytes.

    Raises FileFormatError for a damaged file, MissingDependencyError without h5py.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingDependencyError("Keras' weights are HDF5: pip install h5py, or mlexplorer[keras]") from error
    with _in_our_words(h5py.File)(file, "r") as opened:
        yield Group(opened, _Budget(size))
