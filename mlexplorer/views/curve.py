"""The curve: the size of the file against the quality of the output, for every bit depth of every scheme."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from mlexplorer.exploration import Row
from mlexplorer.views.controls import row_data
from mlexplorer.views.view import View, static


class Curve(View):
    """File size in MB against PSNR (or SNR) in dB; a click on a point, or an arrow key, chooses its bits and scheme.

    >>> from mlexplorer.exploration import rows
    >>> Curve(rows(model, "photo.jpg"))

    Traits: `bits`, `scheme`, `image` (see `View`).
    """

    _esm = static("view.js", "curve.js")
    _css = static("view.css", "curve.css")

    def __init__(self, rows: Iterable[Row] = (), **traits: Any) -> None:
        super().__init__(**traits)
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of a sweep."""
        self.publish(("row", row.stage == "size", row.image, row.key), row_data(row))
