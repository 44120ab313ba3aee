"""Opening: a model and pictures by path, from an upload, from the samples or from what was open before."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import ipywidgets

from mlexplorer import samples
from mlexplorer.errors import InputError, MlexplorerError
from mlexplorer.formats import load
from mlexplorer.model import Model
from mlexplorer.runtime.images import SUFFIXES
from mlexplorer.views.background import Background
from mlexplorer.views.cells import replace
from mlexplorer.views.explorer import Explorer
from mlexplorer.views.view import View, static

CORE_ML = (".mlmodel", ".mlpackage", ".zip")
CONVERTED = (".h5", ".hdf5", ".keras", ".onnx")
SAMPLE = "the bundled style network"
_COMPLETIONS = 50
_RECENT = 8
_MOST_BYTES = 8 << 30
"""An upload beyond this size is a mistake."""


def open_model(path: Path) -> Model:
    """The model of a file: read if it is Core ML's, converted, with placeholders, if Keras' or ONNX'."""
    if path.suffix.lower() in CONVERTED:
        from mlexplorer.converters.convert import convert

        return convert(path, add_custom_layers=True)
    return load(path)


def completions(text: str, suffixes: Sequence[str]) -> list[str]:
    """Paths that begin with a text: folders, with a slash at their end, and files with one of the suffixes."""
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
    """The paths that were opened last, the latest first; kept in a file in the user's cache, where that can be."""

    def __init__(self, file: Path | None = None) -> None:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._file = file or cache / "mlexplorer" / "recent.json"

    def paths(self) -> list[str]:
        """Those that are still there."""
        try:
            paths = json.loads(self._file.read_text("utf-8"))
        except (OSError, ValueError):
            return []
        known = paths if isinstance(paths, list) else []
        return [path for path in known if isinstance(path, str) and Path(path).exists()][:_RECENT]

    def add(self, path: Path) -> None:
        """Put a path first."""
        text = str(path.absolute())
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps([text, *(p for p in self.paths() if p != text)][:_RECENT]), "utf-8")
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
        if not 0 <= total <= _MOST_BYTES or state.received + len(chunk) > state.total or offset < 0:
            raise InputError(f"the upload of {name} is larger than it said")
        file = state.folder.joinpath(*parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("r+b" if file.exists() else "wb") as opened:
            opened.seek(offset)
            opened.write(chunk)
        state.received += len(chunk)
        return state.folder if state.received == state.total else None

    def close(self) -> None:
        """Remove what was uploaded."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


class Opening(View):
    """Two fields, for a model and for pictures: a path with completion, an upload, the samples, recent files.

    `on_model` gets the path of a model, or None for the sample; `on_pictures` a path, or None for the samples. Both
    return what to say, and raise MlexplorerError where something is wrong, which is said in place.
    """

    _esm = static("view.js", "opening.js")
    _css = static("view.css", "opening.css")

    def __init__(
        self,
        *,
        on_model: Callable[[Path | None], str],
        on_pictures: Callable[[Path | None], str],
        recent: Recent | None = None,
        **traits: Any,
    ) -> None:
        self._uploads = Uploads()
        self._background = Background("mlexplorer opening")
        super().__init__(**traits)
        self._calls: Mapping[str, Callable[[Path | None], str]] = {"model": on_model, "pictures": on_pictures}
        self._suffixes: dict[str, Sequence[str]] = {"model": (*CORE_ML, *CONVERTED), "pictures": sorted(SUFFIXES)}
        self._recent = recent or Recent()
        self._offer()

    def take(self, field: str, path: Path | None) -> None:
        """Open a path, or the sample, as the "model" or as "pictures", in the background."""
        name = path.name if path is not None else SAMPLE if field == "model" else "the sample photographs"
        self._say(field, "running", f"Opening {name} …")
        self._background.submit(lambda _cancelled: self._open(field, path))

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was asked for is open; False where `timeout` seconds were not enough."""
        return self._background.wait(timeout)

    def handle(self, content: Mapping[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Complete, open, or take a chunk, as the page asks."""
        kind, field = content.get("type"), str(content.get("field", ""))
        if field not in self._calls:
            return
        if kind == "complete":
            text = str(content.get("text", ""))
            self.send({"type": "completions", "field": field, "paths": completions(text, self._suffixes[field])})
        elif kind == "open":
            text = str(content.get("path", "")).strip()
            if text:
                self.take(field, Path(text).expanduser())
            else:
                self._say(field, "failed", "Give a path, drop a file here, or take a sample.")
        elif kind == "sample":
            self.take(field, None)
        elif kind == "chunk":
            self._take(field, content, bytes(buffers[0]) if buffers else b"")

    def close(self) -> None:
        """Take the fields off the page, and remove what was uploaded."""
        self._background.close()
        self._uploads.close()
        super().close()

    def _receive(self, widget: Any, content: Any, buffers: Any) -> None:
        if content.get("type") == "ready":
            super()._receive(widget, content, buffers)
        else:
            self.handle(content, buffers or ())

    def _take(self, field: str, content: Mapping[str, Any], chunk: bytes) -> None:
        upload, name = str(content["upload"]), str(content["name"])
        try:
            folder = self._uploads.take(upload, name, int(content["offset"]), int(content["total"]), chunk)
        except (InputError, OSError) as error:
            self.send({"type": "refused", "field": field, "upload": upload})
            self._say(field, "failed", str(error))
            return
        self.send({"type": "taken", "field": field, "upload": upload, "bytes": len(chunk)})
        if folder is not None:
            entries = sorted(folder.iterdir())
            self.take(field, entries[0] if len(entries) == 1 else folder)

    def _open(self, field: str, path: Path | None) -> None:
        try:
            said = self._calls[field](path)
        except (MlexplorerError, OSError) as error:
            self._say(field, "failed", str(error))
            return
        if field == "model" and path is not None:
            self._recent.add(path)
            self._offer()
        self._say(field, "done", said)

    def _offer(self) -> None:
        self.publish("offer", {"type": "offer", "recent": self._recent.paths(), "sample": SAMPLE})

    def _say(self, field: str, state: str, text: str) -> None:
        self.publish(("said", field), {"type": "said", "field": field, "state": state, "text": text})


class OpenExplorer(ipywidgets.VBox):  # type: ignore[misc]
    """The explorer with fields to open models and pictures in: what `explore()` shows without a model.

    `explorer` is the one on the screen, None before a model was opened; `opening` are the fields. The options are those
    of `explore`.
    """

    explorer: Explorer | None = None
    opening: Opening | None = None

    def __init__(self, images: Any = None, **options: Any) -> None:
        self._images, self._options = images, options
        self.opening = Opening(on_model=self._open_model, on_pictures=self._open_pictures)
        super().__init__(children=[self.opening])
        replace(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was asked for is open and computed; False where `timeout` seconds were not enough."""
        waited = self.opening is None or self.opening.wait(timeout)
        return waited and (self.explorer is None or self.explorer.wait(timeout))

    def close(self) -> None:
        """Stop the threads and take everything off the page."""
        for part in (self.opening, self.explorer):
            if part is not None:
                part.close()
        layout = self.layout
        super().close()
        layout.close()

    def _open_model(self, path: Path | None) -> str:
        model = samples.style() if path is None else open_model(path)
        self._show(model)
        return f"{path.name if path else SAMPLE} is open: {model.kind}, {len(model.graph.nodes)} layers."

    def _open_pictures(self, path: Path | None) -> str:
        if path is not None and not path.exists():
            raise InputError(f"{path} does not exist; check the path (the working folder is {Path.cwd()})")
        self._images = path
        name = "the sample photographs" if path is None else path.name
        if self.explorer is None:
            return f"{name} will be used; now open a model."
        self._show(self.explorer.model)
        return f"{name} is used."

    def _show(self, model: Model) -> None:
        explorer = Explorer(model, self._images, **self._options)
        before, self.explorer = self.explorer, explorer
        self.children = [self.opening, explorer]
        if before is not None:
            before.close()
