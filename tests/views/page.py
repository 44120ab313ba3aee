"""The page's end of a view's messages, without a browser; serial numbers are left out of what it shows."""

from __future__ import annotations

from typing import Any

from mlexplorer.views.view import View


class Page:
    """Takes what a view sends, and sends what a page would."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.received: list[tuple[dict[str, Any], list[bytes]]] = []
        self.seen: list[int] = []
        view.send = self._take

    def say(self, **content: Any) -> list[dict[str, Any]]:
        """Send a message and return what came back."""
        self.received.clear()
        self.view._handle_custom_msg(content, [])
        return [content for content, _ in self.received]

    def _take(self, content: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        shown = dict(content)
        self.seen.append(shown.pop("serial", 0))
        self.received.append((shown, list(buffers or [])))
