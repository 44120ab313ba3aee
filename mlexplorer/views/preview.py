"""The preview: what a model gives before and after quantization, for one picture and for many."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlexplorer.exploration import MIXED, Row
from mlexplorer.inputs import Given
from mlexplorer.views.fields import FieldView, pictures_field
from mlexplorer.views.preview_data import preview_data, thumbnail
from mlexplorer.views.preview_report import Recorded, smaller


class Preview(FieldView):
    """What a model gives, before and after quantization, and a filmstrip of all depths.

    >>> from mlexplorer.exploration import rows
    >>> Preview(rows(model, "photo.jpg"))

    Pictures are split, side by side, or their difference as a heat map, at any zoom; classifiers show their best labels
    beside each other, and over many pictures how often the best one is the same; arrays are drawn as lines or images,
    other values stand in tables. Traits: `bits`, `scheme`, `image` (see `View`). Pixels, labels and values are sent
    once, as messages with buffers. `on_pictures` opens other pictures than these (see `Field.open`); without it the
    page offers no others.
    """

    name = "preview"

    def __init__(
        self, rows: Iterable[Row] = (), *, on_pictures: Callable[[Path | None, bool], str] | None = None, **traits: Any
    ) -> None:
        self._drawn = False
        super().__init__({"pictures": pictures_field(on_pictures)} if on_pictures else {}, **traits)
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of a sweep; a full picture takes the place of a coarse one, a mixed plan that of another."""
        if not row.outputs:
            if row.scheme == MIXED and self.withdraw(MIXED):
                self.publish("forget", {"type": "forget", "scheme": MIXED})
            return
        self.publish(("row", row.image, row.key), *preview_data(row))

    @property
    def is_drawn(self) -> bool:
        """Whether a page has drawn outputs, or none ever will, as there is no kernel that it could hear."""
        return self._drawn or getattr(self.comm, "kernel", None) is None

    def handle(self, content: Mapping[str, Any]) -> None:
        """See `View.handle`."""
        self._drawn = self._drawn or content.get("type") == "drawn"

    def recorded(self) -> list[Recorded]:
        """See `View.recorded`; pictures take a fifth of the bytes, so that a report of them can be sent."""
        return list(smaller(super().recorded()))

    def offer(self, inputs: Sequence[Given]) -> None:
        """Show what the model can be run on, by name, to pick one of."""
        thumbnails = [thumbnail(given.small) for given in inputs]
        self.publish("inputs", {"type": "inputs", "names": [given.name for given in inputs]}, thumbnails)

    def working(self, scheme: str, bits: int, layer: int, layers: int) -> None:
        """Show in the cell of a depth with error feedback which layer is being calibrated; 0 bits for none."""
        if bits or "working" in self._messages:
            self.publish(
                "working", {"type": "working", "scheme": scheme, "bits": bits, "layer": layer, "layers": layers}
            )

    def say(self, text: str) -> None:
        """Say in the picture's place why there is none."""
        self.publish("notice", {"type": "notice", "text": text})
