"""Texts of model files inside source code that is written for the user: nothing of a file becomes code.

Texts stand in literals, in comments of one line, and in names reduced to ASCII letters, digits and underscores.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Iterable

LISTED = 20
"""Names that a listing shows."""
_LONGEST = 60
"""Characters of a file's text in a name, and in most comments."""


def listing(names: Iterable[str]) -> str:
    """The first names, separated by commas, and how many more there are."""
    listed = list(names)
    rest = f" and {len(listed) - LISTED} more" if len(listed) > LISTED else ""
    return (", ".join(comment(name) for name in listed[:LISTED]) or "nothing") + rest


def comment(text: str, longest: int = _LONGEST) -> str:
    """Text on one line: it must not end the comment that it stands in, nor turn its direction."""
    line = "".join(c if c.isprintable() else " " for c in text[: longest + 1])
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def identifiers(
    texts: Iterable[str],
    noun: str,
    taken: Iterable[str] = (),
    is_keyword: Callable[[str], bool] = keyword.iskeyword,
) -> list[str]:
    """A name for each text, different from each other and from those taken; `noun` begins those that need it."""
    seen = set(taken)
    result = []
    for text in texts:
        name = re.sub(r"[^0-9A-Za-z_]+", "_", text[:_LONGEST]).strip("_")
        if not name or name[0].isdigit() or is_keyword(name):
            name = f"{noun}_{name}".rstrip("_")
        unique, number = name, 2
        while unique in seen:
            unique, number = f"{name}_{number}", number + 1
        seen.add(unique)
        result.append(unique)
    return result
