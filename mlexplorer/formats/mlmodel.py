""".mlmodel: one file with the serialized specification."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlexplorer.errors import InputError
from mlexplorer.formats import atomic
from mlexplorer.formats.member import FileMember, Member
from mlexplorer.formats.specification import read_specification, specification_bytes
from mlexplorer.model import Model


@dataclass(frozen=True)
class FileSource:
    """The file that a model was loaded from."""

    specification: Member
    extra_bytes: int = 0


def matches(path: Path, head: bytes) -> bool:
    """Every file may be one; parsing tells."""
    return path.is_file()


def read(path: Path) -> Model:
    """The model in a file; raises FileFormatError."""
    member = FileMember(path)
    return Model(read_specification(member), path=path, source=FileSource(member))


def read_bytes(member: Member) -> Model:
    """The model in bytes; raises FileFormatError."""
    return Model(read_specification(member), source=FileSource(member))


def write(model: Model, path: Path) -> None:
    """Save a model whose weights lie in its specification; raises InputError where they lie beside it."""
    if _holds_program(model.spec):
        raise InputError(
            f"{path}: an ML Program keeps its weights in a file of their own and cannot be saved as .mlmodel; save it "
            f"as {path.with_suffix('.mlpackage').name}"
        )
    atomic.write_file(path, [specification_bytes(model, original_specification(model))])


def original_specification(model: Model) -> Member | None:
    """The file that the specification was read from, where there is one."""
    return getattr(model.source, "specification", None)


def _holds_program(spec: Any) -> bool:
    kind = spec.WhichOneof("Type")
    if kind is None or not kind.startswith("pipeline"):
        return bool(kind == "mlProgram")
    pipeline = spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline
    return any(map(_holds_program, pipeline.models))
