"""The page's part of the views: one ES module and one style sheet for all, which a page imports once."""

from __future__ import annotations

import re
import threading
from functools import cache
from importlib.resources import files

import ipywidgets
import traitlets

VIEWS = ("controls", "graph", "preview", "curve", "histogram", "choosing", "opening")
"""The views by their names in the page; the code of each is `static/NAME.js` and its parts `static/NAME_*.js`."""
_SHARED = ("view", "fields")
_STYLES = (*_SHARED, *VIEWS, "explorer")
_EXPORT = re.compile(r"^export default ", re.MULTILINE)
_lock = threading.Lock()


def static(*names: str) -> str:
    """The text of files in `static/`, one after the other."""
    folder = files(__package__).joinpath("static")
    return "\n".join(folder.joinpath(name).read_text("utf-8") for name in names)


@cache
def views_source() -> str:
    """All views as one JavaScript expression: an object with what makes each of them, by name."""
    shared = static(*(f"{name}.js" for name in _SHARED))
    views = ",\n".join(f"{name}: (() => {{\n{_returned(name)}\n}})()" for name in VIEWS)
    return f"(() => {{\n{shared}\nreturn {{\n{views}\n}};\n}})()"


@cache
def styles() -> str:
    """The style sheet of all views and of the explorer."""
    return static(*(file for name in _STYLES for file in _files(name, ".css")))


def view_source(name: str) -> str:
    """The code of one view, without what it shares with others."""
    return static(*_files(name, ".js"))


class PageCode(ipywidgets.Widget):  # type: ignore[misc]
    """Carries the code of all views to the page, once for a kernel.

    A page imports the text of each widget of anywidget's as an ES module of its own, which no browser lets go of
    before the page is left. So a view's own module is small: it takes this text from here, and imports it where that
    was not done before. Texts that differ, of another version in the same page, are different modules.
    """

    module = traitlets.Unicode().tag(sync=True)
    styles = traitlets.Unicode().tag(sync=True)

    _the_one: PageCode | None = None

    @classmethod
    def shared(cls) -> PageCode:
        """The one of this kernel; another takes its place once all widgets were closed."""
        with _lock:
            if cls._the_one is None or cls._the_one.comm is None:
                cls._the_one = cls(module=f"export default {views_source()};\n", styles=styles())
            return cls._the_one


def _files(name: str, suffix: str) -> list[str]:
    """The files of a view, its parts first."""
    known = (file.name for file in files(__package__).joinpath("static").iterdir())
    parts = sorted(file for file in known if file.startswith(f"{name}_") and file.endswith(suffix))
    return [*parts, f"{name}{suffix}"]


def _returned(name: str) -> str:
    """A view's module as the body of a function, so that views do not share what they define."""
    text, exports = _EXPORT.subn("return ", view_source(name))
    if exports != 1:
        raise AssertionError(f"{name}.js must export one thing, not {exports}")
    return text
