"""Keras files and live models to a KerasModel: which kind it is, and where its architecture and its weights lie."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from mlexplorer.converters.keras import archive, hdf5
from mlexplorer.converters.keras.archive import KerasArchive
from mlexplorer.converters.keras.configuration import model_of, parse_json
from mlexplorer.converters.keras.hdf5 import Group, open_hdf5
from mlexplorer.converters.keras.live import is_live_model, read_live
from mlexplorer.converters.keras.source_model import KerasModel
from mlexplorer.converters.keras.weights import Variable, with_checkpoint, with_listed_weights
from mlexplorer.errors import FileFormatError, InputError, MlexplorerError, UnsupportedError

FilePath = str | os.PathLike[str]

_JSON_LIMIT = 1 << 24
_GIVE_ARCHITECTURE = (
    "it holds weights without the architecture; give that as the source, a file or text of model.to_json(), and this "
    "file as weights=..."
)


def is_keras_source(source: Any) -> bool:
    """Whether `read_keras` is for it.

    That is a path of an HDF5 file, of a .keras archive or of a JSON architecture, such JSON as text, or a Keras model
    in memory. Keras is not imported, and files are judged by what is in them.
    """
    if is_live_model(source):
        return True
    if isinstance(source, str) and _is_json(source.encode("utf-8", "replace")):
        return True
    if not isinstance(source, str | os.PathLike):
        return False
    try:
        path = Path(source)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            kind = _kind(file)
            return kind in ("hdf5", "json") or (kind == "zip" and KerasArchive(file).is_keras)
    except FileFormatError:
        return path.suffix == ".keras"
    except (OSError, ValueError):
        return False


def read_keras(source: Any, *, weights: FilePath | None = None) -> KerasModel:
    """A Keras model from a file, or from memory, without Keras; nothing that it names is imported or executed.

    `source` is the path of an .h5 or .hdf5 file of Keras 2 or 3 or of a .keras file (judged by its content, not by its
    name); the path or the text of what model.to_json() gives, with `weights`, the path of a file of save_weights or of
    a whole model, beside it; or a model in memory, Keras 2 or 3. `weights` replaces the weights of other sources, too.

    Raises FileFormatError, which names the file, for damaged files and those made to do harm, UnsupportedError for
    subclassed models and files of Keras 1, InputError where weights are missing or the source is of another type,
    MissingDependencyError without h5py.
    """
    if is_live_model(source):
        model = read_live(source)
        return model if weights is None else _with_weights(model, Path(weights))
    if isinstance(source, str) and _is_json(source.encode("utf-8", "replace")):
        return _of_json(source, "the JSON architecture", weights)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"a Keras model is read from a path, from JSON or from a Keras model, not from a {type(source).__name__}"
        )
    path = Path(source)
    with _named(path), path.open("rb") as file:
        kind = _kind(file)
        if kind == "json":
            text = file.read(_JSON_LIMIT + 1)
            if len(text) > _JSON_LIMIT:
                raise FileFormatError("the architecture is too long for a Keras model; it is not read")
        elif kind is None:
            raise FileFormatError("it is no Keras model: neither HDF5, nor a .keras archive, nor JSON")
        else:
            with _opened(file, kind) as stored:
                if stored.config is None:
                    stored.require_weights()
                    raise InputError(_GIVE_ARCHITECTURE)
                model = model_of(parse_json(stored.config, "the architecture"), stored.version)
                return stored.into(model) if weights is None else _with_weights(model, Path(weights))
    return _of_json(text, str(path), weights)


def _of_json(text: str | bytes, label: str, weights: FilePath | None) -> KerasModel:
    with _labelled(label):
        model = model_of(parse_json(text, "the architecture"))
    if weights is None:
        raise InputError(f"{label} is an architecture without weights; give their file as weights=...")
    return _with_weights(model, Path(weights))


def _with_weights(model: KerasModel, path: Path) -> KerasModel:
    with _named(path), path.open("rb") as file:
        kind = _kind(file)
        if kind not in ("hdf5", "zip"):
            raise FileFormatError("it holds no weights of Keras: neither HDF5 nor a .keras archive")
        with _opened(file, kind) as stored:
            return stored.into(model)


@dataclass(frozen=True)
class _Stored:
    """An open file of Keras': its architecture, if it has one, and its weights."""

    root: Group = field(repr=False)
    config: str | bytes | None
    version: str

    def into(self, model: KerasModel) -> KerasModel:
        """The model with the weights of the file."""
        self.require_weights()
        listing = self.root.group("model_weights") or self.root
        names = listing.texts("layer_names")
        if names is None:
            return with_checkpoint(model, self.root)
        return with_listed_weights(model, {name: _listed(listing, name) for name in names})

    def require_weights(self) -> None:
        """Raise FileFormatError for HDF5 files of other programs."""
        members = {"model_weights", "layers", "_layer_checkpoint_dependencies"} & set(self.root.names())
        if not members and self.root.texts("layer_names") is None:
            raise FileFormatError("it is an HDF5 file, but Keras did not write it: it holds no layers")


def _listed(listing: Group, name: str) -> list[Variable]:
    group = listing.group(name)
    if group is None:
        raise FileFormatError(f"there is no group for the layer {name!r}; the file was not saved as a whole")

    def variable(path: str) -> Variable:
        return Variable(path, lambda: group.array(path))

    return [variable(path) for path in group.texts("weight_names") or ()]


@contextmanager
def _opened(file: BinaryIO, kind: str) -> Iterator[_Stored]:
    if kind == "zip":
        keras = KerasArchive(file)
        config = keras.config()
        version = parse_json(keras.metadata(), "metadata.json").get("keras_version", "")
        with keras.weights() as (member, size), open_hdf5(member, size) as root:
            yield _Stored(root, config, _version(version))
        return
    with open_hdf5(Path(file.name), os.fstat(file.fileno()).st_size) as root:
        weights = root.group("model_weights") or root
        yield _Stored(
            root, root.text("model_config"), _version(root.text("keras_version") or weights.text("keras_version"))
        )


def _version(version: Any) -> str:
    if not isinstance(version, str):
        return ""
    if version.startswith(("0.", "1.")):
        raise UnsupportedError(f"Keras {version} wrote it; load and save it with Keras 2 first")
    return version


def _kind(file: BinaryIO) -> str | None:
    """What an open file is by its first bytes: "hdf5", "zip", "json" or None; it is at its start afterwards."""
    try:
        head = file.read(4096)
        if head.startswith(archive.SIGNATURE):
            return "zip"
        if _is_json(head):
            return "json"
        offset = 0
        while len(head) >= len(hdf5.SIGNATURE):  # HDF5 begins at 0, 512, 1024, 2048, ...
            if head.startswith(hdf5.SIGNATURE):
                return "hdf5"
            offset = 2 * offset or 512
            file.seek(offset)
            head = file.read(len(hdf5.SIGNATURE))
        return None
    finally:
        file.seek(0)


def _is_json(head: bytes) -> bool:
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"class_name"' in head[:4096]


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Errors that name the file."""
    with _labelled(str(path)):
        if "\0" in str(path):
            raise FileFormatError("no path has a null character in it")
        try:
            yield
        except OSError as error:
            raise FileFormatError(f"it cannot be read: {error.strerror or error}; check the path") from error


@contextmanager
def _labelled(label: str) -> Iterator[None]:
    try:
        yield
    except MlexplorerError as error:
        if str(error).startswith(label):
            raise
        raise type(error)(f"{label}: {error}") from error
