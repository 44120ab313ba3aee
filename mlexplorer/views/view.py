"""What every view shares: the linked traits, and data that goes to the page as messages instead of synced state."""

from __future__ import annotations

import threading
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any, ClassVar

import anywidget
import ipywidgets
import traitlets

from mlexplorer.exploration import CHOICES
from mlexplorer.views.page_code import PageCode, static

_OF_PICTURES = ("row", "frontier", "search", "forget_pictures")
"""The types of messages that tell what was measured on pictures."""
_WIDGET_TRAITS = frozenset(anywidget.AnyWidget.class_trait_names(sync=True))


class View(anywidget.AnyWidget):
    """A view of a model at a chosen bit depth.

    Traits, to be linked among views with `ipywidgets.jslink`: `bits` (1..8), `scheme` ("linear", "linear_feedback",
    "lookup_table", "lookup_table_feedback" or "mixed"; those with feedback are rounded with error feedback), `layer`
    (the id of a graph node, "" for none), `image` (the index of the picture), `teach` (whether a caption says why one
    sees what one sees). Views of the same `group` follow each other in the page, and Python hears of a choice once it
    has rested for a moment; "" is no group.

    Everything else reaches the page as custom messages with buffers, each kept under its key. The page says "ready"
    when it shows the view for the first time, and again after it was reloaded, with the serial numbers of what it
    has; it gets the rest. A kernel that is busy with a cell cannot hear that, so messages are sent at once as well:
    a page whose modules are loaded takes them, and `repeat` sends those that came too early once more.
    """

    name: ClassVar[str]
    """What the page calls the view: see `page_code.VIEWS`."""
    _esm = static("loader.js")

    bits = traitlets.Int(4, min=1, max=8).tag(sync=True)
    scheme = traitlets.Enum(CHOICES, "lookup_table").tag(sync=True)
    layer = traitlets.Unicode("").tag(sync=True)
    image = traitlets.Int(0, min=0).tag(sync=True)
    teach = traitlets.Bool(False).tag(sync=True)
    group = traitlets.Unicode("").tag(sync=True)
    _code = traitlets.Instance(PageCode).tag(sync=True, **ipywidgets.widget_serialization)
    _name = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self._messages: dict[Hashable, tuple[dict[str, Any], list[bytes]]] = {}
        self._lock = threading.RLock()
        self._serial = 0
        self._page_is_ready = False
        super().__init__(_code=PageCode.shared(), _name=self.name, **traits)
        self.on_msg(self._receive)

    def publish(self, key: Hashable, content: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> None:
        """Show this to the page now, or as soon as it is there; a later message of the same key takes its place."""
        with self._lock:
            self._serial += 1
            self._messages[key] = {**content, "serial": self._serial}, list(buffers)
            self.send(*self._messages[key])

    def repeat(self) -> None:
        """Send everything once more to a page that has not said yet that it is ready."""
        with self._lock:
            if not self._page_is_ready:
                self._send_all()

    def withdraw(self, scheme: str) -> bool:
        """Forget the rows of a scheme, which a page that comes later is not to get; whether there were any."""
        with self._lock:
            rows = [key for key in self._messages if isinstance(key, tuple) and key[0] == "row"]
            old = [key for key in rows if key[-1][0] == scheme]
            for key in old:
                del self._messages[key]
            return bool(old)

    def forget_pictures(self) -> None:
        """Forget what was measured on pictures, whose place others take; sizes and plans stay."""
        with self._lock:
            for key, (content, _) in list(self._messages.items()):
                if content["type"] in _OF_PICTURES and content.get("stage") != "size":
                    del self._messages[key]
            self.publish("forget_pictures", {"type": "forget_pictures"})

    def handle(self, content: Mapping[str, Any]) -> None:
        """Answer a message of the page; views that ask for something override this."""

    def recorded(self) -> list[tuple[dict[str, Any], list[bytes]]]:
        """All messages that a page which comes later would get, in their order."""
        with self._lock:
            return list(self._messages.values())

    def shown_state(self) -> dict[str, Any]:
        """The synced traits that are the view's own, by name."""
        own = (name for name in self.trait_names(sync=True) if name not in _WIDGET_TRAITS and not name.startswith("_"))
        return {name: getattr(self, name) for name in own}

    def close(self) -> None:
        """Take the view off the page and forget what was to be shown."""
        with self._lock:
            self._page_is_ready = False
            self._messages.clear()
        super().close()

    def _send(self, msg: Any, buffers: Any = None) -> None:
        super()._send(msg, buffers)
        # ipykernel 7.4 leads what the page sends to the subshell from which this came, and which may be gone by then:
        # JupyterLab closes the one in which it asked for the widgets of a notebook that is opened again
        if self.comm is not None:
            self.comm.__dict__.pop("_reply_subshell_id", None)

    def _receive(self, _widget: Any, content: Any, _buffers: Any) -> None:
        if content.get("type") == "ready":
            with self._lock:
                self._page_is_ready = True
                self._send_all(content.get("seen", ()))
        else:
            self.handle(content)

    def _send_all(self, seen: Collection[int] = ()) -> None:
        for content, buffers in self._messages.values():
            if content["serial"] not in seen:
                self.send(content, buffers)
