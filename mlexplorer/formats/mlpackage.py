""".mlpackage: a folder with a manifest, the specification and weight files; or a zip archive of such a folder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from mlexplorer.errors import FileFormatError
from mlexplorer.formats import atomic
from mlexplorer.formats.blob_file import BlobFiles
from mlexplorer.formats.diagnosis import diagnose
from mlexplorer.formats.member import BytesMember, Member, ZipMember, files_below
from mlexplorer.formats.mlmodel import original_specification
from mlexplorer.formats.specification import read_specification, specification_bytes
from mlexplorer.model import Model

MANIFEST = "Manifest.json"
AUTHOR = "com.apple.CoreML"
SPECIFICATION = f"Data/{AUTHOR}/model.mlmodel"
WEIGHTS = f"Data/{AUTHOR}/weights"


@dataclass(frozen=True)
class PackageSource:
    """The package that a model was loaded from: all its files by name, and the name of the specification."""

    members: Mapping[str, Member]
    specification_name: str

    @property
    def specification(self) -> Member | None:
        """The file of the specification; None where the model never was in a package as a whole."""
        return self.members.get(self.specification_name)

    @property
    def extra_bytes(self) -> int:
        """Bytes that the package takes beside the specification."""
        return sum(member.size for name, member in self.members.items() if name != self.specification_name)


def matches_folder(path: Path, head: bytes) -> bool:
    """Whether the path is a folder: every folder that is not a package is refused in this file's words."""
    return path.is_dir()


def matches_archive(path: Path, head: bytes) -> bool:
    """Whether the file is a zip archive."""
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def read_folder(path: Path) -> Model:
    """The model in a package; raises FileFormatError for a folder that is none."""
    if not (path / MANIFEST).is_file():
        if path.suffix == ".mlmodelc" or (path / "coremldata.bin").is_file():
            raise FileFormatError(
                f"{path} is a compiled model, which cannot be turned back; load the .mlmodel or .mlpackage that it was "
                "compiled from"
            )
        inside = sorted(p.name for p in path.iterdir() if p.suffix in (".mlmodel", ".mlpackage"))
        hint = f"load one of {', '.join(inside[:5])} in it" if inside else "give the path of a model"
        raise FileFormatError(f"{path} is a folder without {MANIFEST}, so it is no Core ML package; {hint}")
    return _read(files_below(path, str(path)), str(path), path)


def read_archive(path: Path) -> Model:
    """The model in a zipped package; raises FileFormatError."""
    return _read(_archive_members(lambda: ZipFile(path), str(path)), str(path), path)


def read_archive_bytes(data: bytes, label: str) -> Model:
    """The model in the bytes of a zipped package; raises FileFormatError."""
    return _read(_archive_members(lambda: ZipFile(io.BytesIO(data)), label), label, None)


def _archive_members(archive: Callable[[], ZipFile], label: str) -> dict[str, Member]:
    try:
        with archive() as opened:
            infos = {info.filename: info for info in opened.infolist() if not info.is_dir()}
    except (BadZipFile, OSError) as error:
        raise FileFormatError(f"{label} is a damaged zip archive ({error}); copy or download it again") from error
    for name in infos:
        _check_name(name, label)
    manifests = sorted((n for n in infos if PurePosixPath(n).name == MANIFEST), key=lambda n: (n.count("/"), n))
    manifests = [name for name in manifests if not name.startswith("__MACOSX/")]
    if not manifests:
        raise FileFormatError(f"{label} {_other_archive(infos)}")
    prefix = manifests[0].removesuffix(MANIFEST)
    return {
        name.removeprefix(prefix): ZipMember(f"{label}: {name}", archive, name, info.file_size)
        for name, info in infos.items()
        if name.startswith(prefix)
    }


def _other_archive(infos: Mapping[str, ZipInfo]) -> str:
    names = {PurePosixPath(name).name for name in infos}
    if {"config.json", "model.weights.h5"} <= names:
        return "is a Keras model; convert it first (mlexplorer.convert)"
    if "data.pkl" in names:
        return "is a PyTorch file; convert the network to Core ML first"
    models = sorted(name for name in infos if name.endswith(".mlmodel"))
    if models:
        return f"is a zip archive of {models[0]}; unpack it and load that"
    return f"is a zip archive without {MANIFEST}, so it holds no Core ML package"


def _check_name(name: str, label: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise FileFormatError(
            f"{label} names the file {name!r}, which leads out of the package; it is not to be trusted"
        )


def _read(members: Mapping[str, Member], label: str, path: Path | None) -> Model:
    name = _root_model(members, label)
    blobs_folder = f"{PurePosixPath(name).parent}/"
    blobs = {key.removeprefix(blobs_folder): value for key, value in members.items() if key.startswith(blobs_folder)}
    return Model(
        read_specification(members[name]),
        blobs=BlobFiles(label, blobs),
        path=path,
        source=PackageSource(members, name),
    )


def _root_model(members: Mapping[str, Member], label: str) -> str:
    """The name of the specification, as the manifest says."""
    data = members[MANIFEST].read()
    try:
        manifest = json.loads(data)
        item = manifest["itemInfoEntries"][manifest["rootModelIdentifier"]]
        name = f"Data/{item['path']}"
    except (ValueError, KeyError, TypeError) as error:
        reason = (
            diagnose(data) if data[:1] != b"{" else f"does not name the root model ({type(error).__name__} {error})"
        )
        raise FileFormatError(f"{members[MANIFEST].label} {reason}; get the package again") from None
    _check_name(name, label)
    if name not in members:
        raise FileFormatError(f"{label} has no file {name!r}, which its manifest names; the package is incomplete")
    return name


def from_weights_folder(spec: Any, folder: Path | None, label: str) -> Model:
    """A model whose specification is at hand and whose weight files lie in a folder, as coremltools has them."""
    if folder is None or not folder.is_dir():
        return Model(spec)
    files = files_below(folder, label)
    blobs = BlobFiles(label, {f"weights/{name}": member for name, member in files.items()})
    members: dict[str, Member] = {MANIFEST: _new_manifest(bool(files))}
    members |= {f"{WEIGHTS}/{name}": member for name, member in files.items()}
    return Model(spec, blobs=blobs, source=PackageSource(members, SPECIFICATION))


def _new_manifest(has_weights: bool) -> BytesMember:
    model, weights = (str(uuid5(NAMESPACE_URL, f"{AUTHOR}/{name}")).upper() for name in ("model.mlmodel", "weights"))
    entries = {model: ("CoreML Model Specification", "model.mlmodel")}
    if has_weights:
        entries[weights] = ("CoreML Model Weights", "weights")
    items = {
        key: {"author": AUTHOR, "description": description, "name": name, "path": f"{AUTHOR}/{name}"}
        for key, (description, name) in entries.items()
    }
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": items, "rootModelIdentifier": model}
    return BytesMember(MANIFEST, json.dumps(manifest, indent=4).encode())


def _members_to_write(model: Model) -> dict[str, Member]:
    source = (
        model.source
        if isinstance(model.source, PackageSource)
        else PackageSource({MANIFEST: _new_manifest(has_weights=False)}, SPECIFICATION)
    )
    data = specification_bytes(model, original_specification(model))
    return {**source.members, source.specification_name: BytesMember(source.specification_name, data)}


def write_folder(model: Model, path: Path) -> None:
    """Save a model as a package; weight files are copied as they are. Raises InputError where a package cannot be."""
    atomic.write_package(path, _members_to_write(model))


def write_archive(model: Model, path: Path) -> None:
    """Save a model as a zip archive of a package named like the archive."""
    folder = path.name.removesuffix(".zip").removesuffix(".mlpackage") + ".mlpackage"
    buffer = io.BytesIO()
    with ZipFile(buffer, "w", ZIP_STORED) as archive:
        for name, member in sorted(_members_to_write(model).items()):
            with archive.open(ZipInfo(f"{folder}/{name}"), "w") as file:
                for chunk in member.chunks():
                    file.write(chunk)
    atomic.write_file(path, [buffer.getvalue()])
