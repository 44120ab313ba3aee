"""Files to models and back: one row for each file format."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import EncodeError

from mlexplorer import spec
from mlexplorer.errors import FileFormatError, InputError
from mlexplorer.formats import mlmodel, mlpackage
from mlexplorer.formats.member import BytesMember
from mlexplorer.model import Model
from mlexplorer.progress import reporting

__all__ = ["FORMATS", "Format", "fetched", "is_address", "load", "save"]


@dataclass(frozen=True)
class Format:
    """One file format: `matches` tells it by a path and the first bytes there, `suffix` chooses it for saving."""

    suffix: str
    matches: Callable[[Path, bytes], bool]
    read: Callable[[Path], Model]
    write: Callable[[Model, Path], None]


FORMATS = (
    Format(".mlpackage", mlpackage.matches_folder, mlpackage.read_folder, mlpackage.write_folder),
    Format(".zip", mlpackage.matches_archive, mlpackage.read_archive, mlpackage.write_archive),
    Format(".mlmodel", mlmodel.matches, mlmodel.read, mlmodel.write),
)
"""All formats; the first that matches reads a path."""


def is_address(source: Any) -> bool:
    """Whether this is an address, `https://...` say, and not a path."""
    return isinstance(source, str) and re.match(r"\s*[a-z][a-z0-9+.-]+://", source, re.IGNORECASE) is not None


def fetched(source: Any) -> Any:
    """The path of a copy of the file at an address; what is no address as it is. Raises as `download` does."""
    if not is_address(source):
        return source
    from mlexplorer.formats.download import download  # HTTPS takes longer to import than a model to load

    with reporting(True) as report:
        return download(source, progress=report)


def load(source: Any) -> Model:
    """A model from a file, or from what another program has at hand.

    `source` is the path of a .mlmodel file, of a .mlpackage folder or of a zip archive of one; the http or https
    address of such a file, of which a copy is kept in the user's cache (in `XDG_CACHE_HOME` or `~/.cache`; beyond 5 GB
    those go that were longest not asked for) and fetched again where it has changed; the bytes of such a file; a
    coremltools MLModel; or a specification message of coremltools or of `mlexplorer.spec`, which is copied. Weight
    files are opened when a weight is asked for. Nothing in a model is executed.

    Raises FileFormatError, which names the file and says what to do, for everything that is not a whole model, and
    InputError for a `source` of another type.
    """
    source = fetched(source)
    if isinstance(source, str | os.PathLike):
        return _load_path(Path(source))
    if isinstance(source, bytes | bytearray | memoryview):
        data = bytes(source)
        if mlpackage.matches_archive(Path(), data[:4]):
            return mlpackage.read_archive_bytes(data, "the zipped model")
        return mlmodel.read_bytes(BytesMember("the specification", data))
    if callable(getattr(source, "get_spec", None)):
        weights = getattr(source, "weights_dir", None)
        return mlpackage.from_weights_folder(
            _own_message(source.get_spec()), Path(weights) if weights else None, "the weights of the MLModel"
        )
    if getattr(getattr(source, "DESCRIPTOR", None), "full_name", None) == spec.Model.DESCRIPTOR.full_name:
        return Model(_own_message(source))
    raise InputError(
        f"a model is loaded from a path, bytes, a coremltools MLModel or a specification, not from a "
        f"{type(source).__name__}"
    )


def _load_path(path: Path) -> Model:
    if not os.path.exists(path):  # not Path.exists, which raises for texts that are too long to be a name
        raise FileFormatError(f"{path} does not exist; check the path (the working folder is {Path.cwd()})")
    try:
        head = b"" if path.is_dir() else _head(path)
        for file_format in FORMATS:
            if file_format.matches(path, head):
                return file_format.read(path)
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}") from error
    raise FileFormatError(f"{path} is neither a file nor a folder; give the path of a model")


def _head(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(4)


def _own_message(message: Any) -> Any:
    if isinstance(message, spec.Model):
        copy = spec.Model()
        copy.CopyFrom(message)
        return copy
    try:
        return spec.Model.FromString(message.SerializeToString())
    except EncodeError as error:
        raise FileFormatError(f"the specification cannot be handed over: {error}; protobuf's limit is 2 GB") from error


def save(model: Model, path: str | os.PathLike[str]) -> None:
    """Write a model to a file whose name says the format: .mlmodel, .mlpackage (a folder) or .zip (of that folder).

    What was there before is replaced in one step, or left alone where anything goes wrong. A model that was not changed
    is written byte for byte as it was read; fields of newer specifications are kept.

    Raises InputError for another ending, a missing folder, or an ML Program that is to be a .mlmodel; FileFormatError
    where the specification is larger than 2 GB, or weight files have been changed since; OSError where the disk is
    full.
    """
    target = Path(path)
    for file_format in FORMATS:
        if target.suffix.lower() == file_format.suffix:
            return file_format.write(model, target)
    endings = ", ".join(file_format.suffix for file_format in FORMATS)
    raise InputError(f"{target} has no ending that says the format; choose one of {endings}")
