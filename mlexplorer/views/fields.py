"""Fields to open files in: by path or address with completion, by upload in pieces, the samples, what was open last."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mlexplorer.errors import Cancelled, InputError, MlexplorerError
from mlexplorer.formats import is_address
from mlexplorer.formats.download import MOST_BYTES, cache_folder, download, file_name
from mlexplorer.inputs import Given, input_feature
from mlexplorer.model import Model
from mlexplorer.runtime.images import MOST_BYTES as MOST_BYTES_OF_A_PICTURE
from mlexplorer.runtime.images import SUFFIXES
from mlexplorer.views.background import Background
from mlexplorer.views.view import View

_COMPLETIONS = 50
_RECENT = 8
_MOST_UPLOADED = 8 << 30
"""An upload beyond this size is a mistake."""


def completions(text: str, suffixes: Sequence[str]) -> list[str]:
    """Paths that begin with a text: folders, with a slash at their end, and files with one of the suffixes."""
    if is_address(text):
        return []
    path = Path(text or ".").expanduser()
    folder, stem = (path, "") if text.endswith(("/", os.sep)) or not text else (path.parent, path.name)
    try:
        entries = sorted(folder.iterdir(), key=lambda entry: entry.name.lower())
    except OSError:
        return []
    found = []
    for entry in entries:
        if not entry.name.lower().startswith(stem.lower()) or (entry.name.startswith(".") and not stem):
            continue
        if entry.suffix.lower() in suffixes:
            found.append(str(entry))
        elif entry.is_dir():
            found.append(f"{entry}{os.sep}")
    return found[:_COMPLETIONS]


class Recent:
    """The paths and addresses that were opened last, the latest first; in a file in the user's cache."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file or cache_folder() / "recent.json"

    def sources(self) -> list[str]:
        """Addresses, and the paths that are still there."""
        try:
            sources = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return []
        known = [source for source in sources if isinstance(source, str)] if isinstance(sources, list) else []
        return [source for source in known if is_address(source) or Path(source).exists()][:_RECENT]

    def add(self, source: Path | str) -> None:
        """Put a path or an address first."""
        text = source if isinstance(source, str) else str(source.absolute())
        kept = [text, *(known for known in self.sources() if known != text)][:_RECENT]
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps(kept), "utf-8")
        except OSError:
            pass  # what cannot be remembered is no reason to stop


@dataclass
class _Upload:
    """One drop or choice of files on its way: where they go, and how many bytes of how many are there."""

    folder: Path
    total: int
    received: int = 0


class Uploads:
    """Files that come in chunks, each written where it belongs, in a folder that goes away with the explorer."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._uploads: dict[str, _Upload] = {}

    def take(self, upload: str, name: str, offset: int, total: int, chunk: bytes) -> Path | None:
        """Write a chunk of the file `name`, a relative path, at an offset; `total` are the bytes of all files.

        Returns the folder once all is there. Raises InputError for names that lead out of it, and for wrong sizes.
        """
        if upload not in self._uploads:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="mlexplorer-"))
            folder = self._folder / f"upload-{len(self._uploads) + 1}"
            folder.mkdir()
            self._uploads[upload] = _Upload(folder, total)
        state = self._uploads[upload]
        parts = PurePosixPath(name).parts
        if not parts or any(part in ("..", "/") or ":" in part or "\\" in part for part in parts):
            raise InputError(f"a file cannot be named {name!r}")
        if not 0 <= total <= _MOST_UPLOADED or state.received + len(chunk) > state.total or offset < 0:
            raise InputError(f"the upload of {name} is larger than it said")
        file = state.folder.joinpath(*parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("r+b" if file.exists() else "wb") as opened:
            opened.seek(offset)
            opened.write(chunk)
        state.received += len(chunk)
        return state.folder if state.received == state.total else None

    def named(self, text: str) -> str:
        """A text that names files as the user knows them, without the folders in which uploads are kept."""
        return re.sub(re.escape(f"{self._folder}{os.sep}") + r"upload-\d+[/\\]?", "", text) if self._folder else text

    def close(self) -> None:
        """Remove what was uploaded."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


@dataclass(frozen=True)
class Field:
    """What one field is for.

    `open` gets a path, or None for the `sample`, and whether it comes to what is there instead of taking its place; it
    returns what to say, and raises MlexplorerError where something is wrong. Files have one of the `suffixes`.
    """

    open: Callable[[Path | None, bool], str]
    suffixes: Sequence[str]
    sample: str
    recent: Recent
    most_bytes: int = MOST_BYTES


def pictures_field(open_pictures: Callable[[Path | None, bool], str]) -> Field:
    """A field for pictures: a folder, a picture, several that are uploaded."""
    recent = Recent(cache_folder() / "recent-pictures.json")
    return Field(open_pictures, sorted(SUFFIXES), "the sample photographs", recent, MOST_BYTES_OF_A_PICTURE)


def takes_pictures(model: Model) -> bool:
    """Whether a model is run on pictures: one picture is all that it must be fed."""
    try:
        return input_feature(model).type == "image"
    except InputError:
        return False


def said_of_pictures(model: Model, pictures: Sequence[Given], left: int, faults: Sequence[str], added: bool) -> str:
    """What there is to say once pictures were opened: how many, which of them are fitted, which cannot be read.

    `left` is how many have still to be read.
    """
    feature, count = input_feature(model), len(pictures)
    others = [given for given in pictures if given.size is not None and not feature.accepts_size(*given.size)]
    counted = f"{count} picture{'s' if count > 1 else ''}"
    said = [f"{counted} added." if added else f"{counted} shown."]
    if left:
        said.append(f"{left} more follow{'s' if left == 1 else ''} as they are read.")
    if others:
        which = "It is" if count == 1 else "All are" if len(others) == count else f"{len(others)} of them are"
        said.append(f"{which} fitted to the model's size, {feature.size_text}.")
    if faults:
        said.append(f"Left out: {'; '.join(faults)}")
    return " ".join(said)


class FieldView(View):
    """A view with fields; what is given in one is opened in the background, and what is wrong is said beside it.

    `uploads` keeps what was uploaded; views may share one.
    """

    def __init__(self, fields: Mapping[str, Field], **traits: Any) -> None:
        self._fields = dict(fields)
        self._backgrounds = {name: Background(f"mlexplorer {name}") for name in fields}
        self.uploads = self._own_uploads = Uploads()
        super().__init__(**traits)
        for name in fields:
            self._offer(name)

    def take(self, field: str, source: Path | str | None, *, add: bool = False) -> None:
        """Open a path, an address, or None for the sample, in the field of this name, in the background."""
        self._submit(field, source, add, remembered=True)

    def wait_for_fields(self, timeout: float | None = None) -> bool:
        """Wait until what was asked for is open; False where `timeout` seconds were not enough."""
        return all(background.wait(timeout) for background in self._backgrounds.values())

    def handle_field(self, content: Mapping[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Complete, open, cancel, or take a chunk, as the page asks."""
        kind, field, add = content.get("type"), str(content.get("field")), bool(content.get("add"))
        if kind == "complete":
            text = str(content.get("text", ""))
            paths = completions(text, self._fields[field].suffixes)
            self.send({"type": "completions", "field": field, "paths": paths})
        elif kind == "open":
            text = str(content.get("path", "")).strip()
            if text:
                self.take(field, text if is_address(text) else Path(text).expanduser(), add=add)
            else:
                self._say(field, "failed", "Give a path or an address, drop a file here, or take a sample.")
        elif kind == "sample":
            self.take(field, None, add=add)
        elif kind == "chunk":
            self._take_chunk(field, content, bytes(buffers[0]) if buffers else b"", add)
        elif kind == "cancel":
            self._backgrounds[field].cancel()
            self._say(field, "done", "Cancelled.")

    def close(self) -> None:
        """Take the view off the page, and remove what was uploaded."""
        for background in self._backgrounds.values():
            background.close()
        self._own_uploads.close()
        super().close()

    def _receive(self, widget: Any, content: Any, buffers: Any) -> None:
        if content.get("field") in self._fields:
            self.handle_field(content, buffers or ())
        else:
            super()._receive(widget, content, buffers)

    def _submit(self, field: str, source: Path | str | None, add: bool, *, remembered: bool) -> None:
        if is_address(source):
            self._say(field, "running", f"Asking for {file_name(str(source)) or source} …", cancels=True)
        else:
            self._say(
                field, "running", f"Opening {self._fields[field].sample if source is None else Path(source).name} …"
            )
        self._backgrounds[field].submit(lambda cancelled: self._open(field, source, add, remembered, cancelled))

    def _take_chunk(self, field: str, content: Mapping[str, Any], chunk: bytes, add: bool) -> None:
        upload, name = str(content["upload"]), str(content["name"])
        try:
            folder = self.uploads.take(upload, name, int(content["offset"]), int(content["total"]), chunk)
        except (InputError, OSError) as error:
            self.send({"type": "refused", "field": field, "upload": upload})
            self._say(field, "failed", str(error))
            return
        self.send({"type": "taken", "field": field, "upload": upload, "bytes": len(chunk)})
        if folder is not None:
            entries = sorted(folder.iterdir())
            self._submit(field, entries[0] if len(entries) == 1 else folder, add, remembered=False)

    def _open(
        self, field: str, source: Path | str | None, add: bool, remembered: bool, cancelled: threading.Event
    ) -> None:
        try:
            path = self._fetch(field, source, cancelled) if isinstance(source, str) else source
            said = self._fields[field].open(path, add)
        except Cancelled:
            return  # that was said when it was asked for
        except (MlexplorerError, OSError) as error:
            self._say(field, "failed", str(error))
            return
        except Exception as error:
            self._say(field, "failed", f"It failed unexpectedly: {type(error).__name__}: {error}")
            raise
        if remembered and source is not None:
            self._fields[field].recent.add(source)
            self._offer(field)
        self._say(field, "done", said)

    def _fetch(self, field: str, address: str, cancelled: threading.Event) -> Path:
        def report(name: str, done: int, total: int) -> None:
            of = f" of {total / 1e6:,.1f}" if total else ""
            text = f"Downloading {name}: {done / 1e6:,.1f}{of} MB"
            self._say(field, "running", text, done=done, total=total, cancels=True)

        path = download(address, progress=report, cancelled=cancelled, most_bytes=self._fields[field].most_bytes)
        self._say(field, "running", f"Opening {path.name} …")
        return path

    def _offer(self, field: str) -> None:
        kept = self._fields[field]
        self.publish(("offer", field), {"type": "offer", "field": field, "recent": kept.recent.sources()})

    def _say(self, field: str, state: str, text: str, **more: Any) -> None:
        said = {"type": "said", "field": field, "state": state, "text": self.uploads.named(text), **more}
        self.publish(("said", field), said)
