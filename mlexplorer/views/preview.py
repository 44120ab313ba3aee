"""The preview: what a model gives before and after quantization, for one picture and for many."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray
from PIL import Image

from mlexplorer.comparison import Rate
from mlexplorer.exploration import MIXED, ORIGINAL, Key, Row
from mlexplorer.views.preview_data import preview_data, thumbnail
from mlexplorer.views.preview_report import Recorded, smaller
from mlexplorer.views.view import View, static

_PARTS = ("colours", "picture", "classes", "arrays", "film")


class Preview(View):
    """What a model gives, before and after quantization, and a filmstrip of all depths.

    >>> from mlexplorer.exploration import rows
    >>> Preview(rows(model, "photo.jpg"))

    Pictures are split, side by side, or their difference as a heat map, at any zoom; classifiers show their best labels
    beside each other, and over many pictures how often the best one is the same; arrays are drawn as lines or images,
    other values stand in tables. Traits: `bits`, `scheme`, `image` (see `View`). Pixels, labels and values are sent
    once, as messages with buffers.
    """

    _esm = static("view.js", *(f"preview_{part}.js" for part in _PARTS), "preview.js")
    _css = static("view.css", "preview.css", *(f"preview_{part}.css" for part in _PARTS[1:]))

    def __init__(self, rows: Iterable[Row] = (), **traits: Any) -> None:
        self._best: dict[int, Any] = {}
        self._agrees: dict[Key, dict[int, bool]] = {}
        super().__init__(**traits)
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of a sweep; a full picture takes the place of a coarse one, a mixed plan that of another."""
        if not row.outputs:
            if row.scheme == MIXED:
                self._forget(MIXED)
            return
        content, buffers = preview_data(row)
        rate = self.agreement(row)
        if rate is not None:
            low, high = rate.interval
            content["agreement"] = {"count": rate.count, "total": rate.total, "low": low, "high": high}
        self.publish(("row", row.image, row.key), content, buffers)

    def recorded(self) -> list[Recorded]:
        """See `View.recorded`; pictures take a fifth of the bytes, so that a report of them can be sent."""
        return list(smaller(super().recorded()))

    def agreement(self, row: Row) -> Rate | None:
        """How often the best label at this depth is the original's, with this row counted; None for other outputs."""
        if not isinstance(row.output, tuple) or row.stage != "full":
            return None
        best = row.output[0].label if row.output else None
        if row.scheme == ORIGINAL:
            self._best[row.image] = best
        if row.image not in self._best:
            return None
        agrees = self._agrees.setdefault(row.key, {})
        agrees[row.image] = best == self._best[row.image]
        return Rate.of(agrees.values())

    def _forget(self, scheme: str) -> None:
        self._agrees = {key: agrees for key, agrees in self._agrees.items() if key[0] != scheme}
        with self._lock:
            old = [key for key in self._messages if isinstance(key, tuple) and key[0] == "row" and key[2][0] == scheme]
            for key in old:
                del self._messages[key]
            if old:
                self.publish("forget", {"type": "forget", "scheme": scheme})

    def offer(self, inputs: Sequence[tuple[str, Image.Image | NDArray[Any]]]) -> None:
        """Show what the model can be run on, by name, to pick one of."""
        thumbnails = [thumbnail(given) for _, given in inputs]
        self.publish("inputs", {"type": "inputs", "names": [name for name, _ in inputs]}, thumbnails)

    def working(self, bits: int, layer: int, layers: int) -> None:
        """Show in the cell of a depth with error feedback which layer is being calibrated; 0 bits for none."""
        if bits or "working" in self._messages:
            self.publish("working", {"type": "working", "bits": bits, "layer": layer, "layers": layers})

    def say(self, text: str) -> None:
        """Say in the picture's place why there is none."""
        self.publish("notice", {"type": "notice", "text": text})
