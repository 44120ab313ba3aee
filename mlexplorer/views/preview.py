"""The preview: a model's output before and after quantization, and a filmstrip of every bit depth."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.exploration import Row
from mlexplorer.views.controls import row_data
from mlexplorer.views.view import View, static

WEBP_QUALITY = 92
THUMBNAIL = 160
PLOTTED = 240
"""How many values of an array output are drawn."""


def webp(picture: Image.Image | NDArray[Any]) -> bytes:
    """A picture as a WebP file that differs from it by less than the eye sees; greys are sent as they are."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.convert("RGB").save(file, "WEBP", quality=WEBP_QUALITY, method=2)
    return file.getvalue()


def preview_data(row: Row) -> tuple[dict[str, Any], list[bytes]]:
    """What the page needs of a row: a picture as WebP, a classifier's best labels, or an array as float32 values."""
    content, output = row_data(row), row.output
    if isinstance(output, np.ndarray) and output.dtype == np.uint8 and output.ndim == 3:
        size = {"width": output.shape[1], "height": output.shape[0]}
        return {**content, **size, "shows": "picture"}, [webp(output)]
    if isinstance(output, tuple):
        return {**content, "shows": "labels", "labels": [[str(label), float(p)] for label, p in output]}, []
    if output is None:
        return content, []
    values = np.asarray(output, np.float32)
    flat = values.reshape(-1)
    picked = flat[np.linspace(0, flat.size - 1, min(flat.size, PLOTTED)).astype(np.intp)] if flat.size else flat
    numbers = {name: float(getattr(flat, name)()) for name in ("min", "mean", "max")} if flat.size else {}
    finite = {name: value if np.isfinite(value) else None for name, value in numbers.items()}
    return {**content, "shows": "values", "shape": list(values.shape), **finite}, [picked.astype("<f4").tobytes()]


class Preview(View):
    """The picture that a model makes, split between the original and a quantized copy, and a filmstrip of all depths.

    >>> from mlexplorer.exploration import rows
    >>> Preview(rows(model, "photo.jpg"))

    Classifiers show their best labels side by side, arrays their values. Traits: `bits`, `scheme`, `image` (see
    `View`).
    """

    _esm = static("view.js", "preview.js")
    _css = static("view.css", "preview.css")

    def __init__(self, rows: Iterable[Row] = (), **traits: Any) -> None:
        super().__init__(**traits)
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of a sweep; a full picture takes the place of a coarse one."""
        if row.output is not None:
            self.publish(("row", row.image, row.key), *preview_data(row))

    def offer(self, inputs: Sequence[tuple[str, Image.Image | NDArray[Any]]]) -> None:
        """Show what the model can be run on, by name, to pick one of."""
        thumbnails = []
        for _, picture in inputs:
            small = picture.convert("RGB") if isinstance(picture, Image.Image) else Image.new("RGB", (4, 4), "gray")
            small.thumbnail((THUMBNAIL, THUMBNAIL))
            thumbnails.append(webp(small))
        self.publish("inputs", {"type": "inputs", "names": [name for name, _ in inputs]}, thumbnails)

    def working(self, bits: int, layer: int, layers: int) -> None:
        """Show in the cell of a depth with error feedback which layer is being calibrated; 0 bits for none."""
        if bits or "working" in self._messages:
            self.publish("working", {"type": "working", "bits": bits, "layer": layer, "layers": layers})

    def say(self, text: str) -> None:
        """Say in the picture's place why there is none."""
        self.publish("notice", {"type": "notice", "text": text})
