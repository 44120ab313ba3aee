"""Axes that a layer names: negative ones count from the end."""

from __future__ import annotations

from collections.abc import Iterable

from mlexplorer.errors import ModelError


def positive_axis(axis: int, rank: int) -> int:
    """The axis counted from the start. Raises ModelError where a tensor of that rank does not have it."""
    if not -rank <= axis < rank:
        raise ModelError(f"there is no axis {axis} in a tensor of rank {rank}")
    return int(axis) % rank


def positive_axes(axes: Iterable[int], rank: int) -> list[int]:
    """Several axes counted from the start, ascending. Raises ModelError where one is missing or named twice."""
    found = sorted(positive_axis(axis, rank) for axis in axes)
    if len(set(found)) < len(found):
        raise ModelError(f"the axes {found} name one axis twice")
    return found
