"""How Swift writes things: literals, names and comments from values of a model file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mlexplorer.source_text import identifiers

# The Swift Programming Language, "Lexical Structure": reserved everywhere, or in places where our names stand.
_KEYWORDS = frozenset(
    """
    Any Protocol Self Type _ actor as associatedtype async await borrowing break case catch class consuming continue
    default defer deinit didSet do dynamic else enum extension fallthrough false fileprivate final for func get guard if
    import in indirect infix init inout internal is lazy let macro mutating nil nonisolated nonmutating open operator
    optional override package postfix precedencegroup prefix private protocol public repeat required rethrows return
    self set some static struct subscript super switch throw throws true try typealias unowned var weak where while
    willSet
    """.split()  # noqa: SIM905
)
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_MOST_LINES = 50


def is_keyword(name: str) -> bool:
    """Whether Swift reserves a name."""
    return name in _KEYWORDS


def names(texts: Iterable[str], noun: str, taken: Iterable[str]) -> list[str]:
    """A Swift name for each text, different from each other and from those taken."""
    return identifiers(texts, noun, taken, is_keyword)


def literal(text: str) -> str:
    r"""A string literal of ASCII characters; a backslash is doubled, so that "\(" interpolates nothing."""
    return f'"{"".join(map(_escaped, text))}"'


def shown(value: Any) -> str:
    """A parameter's value: a literal, but for bytes, of which only the number is told."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    return (_no_number(value) or repr(value)) if isinstance(value, float) else repr(value)


def number(value: Any) -> str:
    """A 32-bit float in the fewest digits that give it back."""
    return _no_number(float(value)) or str(np.float32(value))


def cut(lines: list[str], indent: str = "") -> list[str]:
    """The first lines, and a comment with the number of the others: files may have thousands."""
    rest = len(lines) - _MOST_LINES
    return [*lines[:_MOST_LINES], f"{indent}// and {rest} more"] if rest > 0 else lines


def _escaped(character: str) -> str:
    plain = character.isascii() and character.isprintable()
    return _ESCAPES.get(character) or (character if plain else f"\\u{{{ord(character):x}}}")


def _no_number(value: float) -> str:
    if np.isnan(value):
        return "Float.nan"
    return "" if np.isfinite(value) else f"{'-' if value < 0 else ''}Float.infinity"
