"""How large a tensor may become that a layer makes of a few numbers in a file."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

from mlexplorer.errors import ModelError

ELEMENTS = 1 << 31
"""8 GiB of 32-bit floats."""


def require_room(shape: Iterable[int]) -> None:
    """Raise ModelError where a tensor of this shape has more than ELEMENTS elements."""
    lengths = [int(n) for n in shape]
    if prod(lengths) > ELEMENTS:
        raise ModelError(
            f"a tensor of shape {lengths} has {prod(lengths)} elements; at most {ELEMENTS} can be computed"
        )
