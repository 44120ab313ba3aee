"""Writing so that a file is there as a whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from mlexplorer.errors import InputError
from mlexplorer.formats.member import Member


def write_file(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file aside, bring it to the disk, and put it in the place of `path`; on any error `path` is as it was."""
    path = _target(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder; choose another name")
    with _aside(path) as aside:
        _write(aside, chunks)
        if path.exists():
            shutil.copymode(path, aside)
        os.replace(aside, path)
    _sync_folder(path.parent)


def write_package(path: Path, members: Mapping[str, Member]) -> None:
    """Write a folder of files aside and put it in the place of `path`; on any error `path` is as it was.

    A package that exists is moved aside in the same moment, since a file system cannot replace a folder, and removed
    when the new one is in its place. Raises InputError where something other than a package is in the way.
    """
    path = _target(path)
    if path.exists() and not (path / "Manifest.json").is_file():
        raise InputError(f"{path} exists and is not a Core ML package; choose another name")
    with _aside(path) as aside:
        for name, member in members.items():
            target = aside / name
            target.parent.mkdir(parents=True, exist_ok=True)
            _write(target, member.chunks())
            if member.times is not None:
                os.utime(target, ns=member.times)
        for parent, _, _ in os.walk(aside):
            _sync_folder(Path(parent))
        _swap(aside, path)
    _sync_folder(path.parent)


def _swap(new: Path, path: Path) -> None:
    if not path.exists():
        os.rename(new, path)
        return
    with _aside(path) as old:
        os.rename(path, old)
        try:
            os.rename(new, path)
        except BaseException:
            os.rename(old, path)
            raise


def _target(path: Path) -> Path:
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise InputError(f"the folder {path.parent} does not exist; create it, or choose another")
    return path


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A name beside `path` for what is being written; what is left of it at the end is removed."""
    aside = path.with_name(f".{path.name}.{token_hex(6)}")
    try:
        yield aside
    finally:
        if aside.is_dir():
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.unlink(missing_ok=True)


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    with path.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
