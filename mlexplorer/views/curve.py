"""The curve: the size of the file against the quality of the output, for every bit depth of every scheme."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlexplorer.exploration import Row
from mlexplorer.views.choosing import asked_plan
from mlexplorer.views.controls import publish_row
from mlexplorer.views.view import View


class Curve(View):
    """File size in MB against PSNR (or SNR) in dB; a click on a point, or an arrow key, chooses its bits and scheme.

    >>> from mlexplorer.exploration import rows
    >>> Curve(rows(model, "photo.jpg"))

    Traits: `bits`, `scheme`, `image` (see `View`). `on_plan` gets the bits of each layer of a mixed plan that was
    clicked, and its scheme.
    """

    name = "curve"

    def __init__(
        self, rows: Iterable[Row] = (), *, on_plan: Callable[[dict[str, int], str], None] | None = None, **traits: Any
    ) -> None:
        super().__init__(**traits)
        self._on_plan = on_plan
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of a sweep."""
        publish_row(self, row)

    def show_frontier(self, choices: Iterable[Mapping[str, Any]]) -> None:
        """Draw the choices of a frontier (see `frontier_data`): those with mixed plans can be clicked."""
        self.publish("frontier", {"type": "frontier", "choices": list(choices), "edits": self._on_plan is not None})

    def handle(self, content: Mapping[str, Any]) -> None:
        """Take the plan of the point that was clicked."""
        if content.get("type") == "plan" and self._on_plan is not None:
            self._on_plan(*asked_plan(content))
