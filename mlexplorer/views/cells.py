"""A notebook's cell that runs again takes the place of what it made when it ran before."""

from __future__ import annotations

import sys
import weakref
from typing import Any, Protocol


class Closable(Protocol):
    """What can be taken off the page."""

    def close(self) -> None:
        """Take it off."""


_made: dict[str, tuple[str, weakref.WeakSet[Any]]] = {}


def replace(made: Closable) -> None:
    """Close what the running cell made in earlier runs, which nobody sees any more, and remember this.

    Jupyter keeps every widget until it is closed, so that running a cell again would keep the models of all runs.
    Outside of a cell, and where the page does not say which one is running, nothing is closed.
    """
    cell, run = _running()
    if not cell:
        return
    before, widgets = _made.get(cell, ("", weakref.WeakSet()))
    if before != run:
        for widget in list(widgets):
            widget.close()
        widgets = weakref.WeakSet()
    widgets.add(made)
    _made[cell] = run, widgets


def _running() -> tuple[str, str]:
    """The id of the cell that is running and the one of this run of it, "" where that is not known."""
    ipython = sys.modules.get("IPython")
    shell: Any = ipython.get_ipython() if ipython is not None else None
    request = shell.get_parent() if hasattr(shell, "get_parent") else {}
    cell = request.get("metadata", {}).get("cellId", "")
    return str(cell), str(request.get("header", {}).get("msg_id", ""))
