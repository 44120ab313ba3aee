"""Opening: fields for a model and for pictures, and the explorer that they open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ipywidgets

from mlexplorer import samples
from mlexplorer.formats import load
from mlexplorer.model import Model
from mlexplorer.runtime.images import picture_sources
from mlexplorer.views.cells import replace
from mlexplorer.views.explorer import Explorer
from mlexplorer.views.fields import Field, FieldView, Recent, pictures_field

CORE_ML = (".mlmodel", ".mlpackage", ".zip")
CONVERTED = (".h5", ".hdf5", ".keras", ".onnx")
SAMPLE = "the bundled style network"


def open_model(path: Path) -> Model:
    """The model of a file: read if it is Core ML's, converted, with placeholders, if Keras' or ONNX'."""
    if path.suffix.lower() in CONVERTED:
        from mlexplorer.converters.convert import convert

        return convert(path, add_custom_layers=True)
    return load(path)


class Opening(FieldView):
    """Two fields, "model" and "pictures": a path or address with completion, an upload, the samples, recent files.

    `on_model` and `on_pictures` open what is given: see `Field.open`.
    """

    name = "opening"

    def __init__(
        self,
        *,
        on_model: Callable[[Path | None, bool], str],
        on_pictures: Callable[[Path | None, bool], str],
        **traits: Any,
    ) -> None:
        model = Field(on_model, (*CORE_ML, *CONVERTED), SAMPLE, Recent())
        super().__init__({"model": model, "pictures": pictures_field(on_pictures)}, **traits)


class OpenExplorer(ipywidgets.VBox):  # type: ignore[misc]
    """The explorer with fields to open models and pictures in: what `explore()` shows without a model.

    `explorer` is the one on the screen, None before a model was opened; `opening` are the fields. The options are those
    of `explore`.
    """

    explorer: Explorer | None = None
    opening: Opening | None = None

    def __init__(self, images: Any = None, **options: Any) -> None:
        self._images, self._options = images, options
        self._lock = threading.Lock()
        self.opening = Opening(on_model=self._open_model, on_pictures=self._open_pictures)
        super().__init__(children=[self.opening])
        replace(self)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until what was asked for is open and computed; False where `timeout` seconds were not enough."""
        waited = self.opening is None or self.opening.wait_for_fields(timeout)
        return waited and (self.explorer is None or self.explorer.wait(timeout))

    def close(self) -> None:
        """Stop the threads and take everything off the page."""
        for part in (self.opening, self.explorer):
            if part is not None:
                part.close()
        layout = self.layout
        super().close()
        layout.close()

    def _open_model(self, path: Path | None, _added: bool) -> str:
        model = samples.style() if path is None else open_model(path)
        with self._lock:
            before = self.explorer
            self.explorer = explorer = Explorer(model, before.images if before else self._images, **self._options)
            if self.opening is not None:  # pictures uploaded in one explorer are shown in the next
                explorer.preview.uploads = self.opening.uploads
            self.children = [self.opening, explorer]
        if before is not None:
            before.close()
        return f"{path.name if path else SAMPLE} is open: {model.kind}, {len(model.graph.nodes)} layers."

    def _open_pictures(self, path: Path | None, add: bool) -> str:
        with self._lock:
            explorer = self.explorer
            if explorer is None:
                self._images = None if path is None else picture_sources(path)
                count = f"{len(self._images)} picture{'s' * (len(self._images) > 1)}" if path else "The samples"
                return f"{count} will be used; now open a model."
        return explorer.open_pictures(path, add)
