"""Loops that go round in circles: found by Brent's method, to be cut short, or refused, and not run for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.graph import Node

Array = NDArray[Any]

_FIRST_LOOK = 1024
"""Turns before which nothing is compared."""


class Watch:
    """What a loop's layers write, watched for values that come again; not where chance or a user's class decides.

    `networks` are the layers of all networks of a model by scope. Source: Brent, "An improved Monte Carlo factorization
    algorithm", 1980.
    """

    def __init__(self, networks: Mapping[str, Sequence[Node]], loop: Node) -> None:
        inner = [node for scope, nodes in networks.items() if scope.startswith(f"{loop.id}/") for node in nodes]
        self._written = tuple({blob for node in inner for blob in node.outputs})
        self._watches = not any(_is_unsteady(node) for node in inner)
        self._turns = self._look = 0
        self._seen: dict[str, Array | None] = {}

    def period(self, blobs: Mapping[str, Array]) -> int:
        """After a turn: after how many turns all values recur, 0 where that is not known."""
        self._turns += 1
        if not self._watches or self._turns < _FIRST_LOOK:
            return 0
        state = {blob: blobs.get(blob) for blob in self._written}
        if self._look and all(_same(state[blob], self._seen[blob]) for blob in self._written):
            return self._turns - self._look
        if self._turns & (self._turns - 1) == 0:
            self._look, self._seen = self._turns, state
        return 0


def _is_unsteady(node: Node) -> bool:
    return node.type == "custom" or getattr(node.params, "seed", 0) < 0


def _same(a: Array | None, b: Array | None) -> bool:
    if a is None or b is None:
        return a is b
    return a is b or (a.shape == b.shape and np.array_equal(a, b, equal_nan=True))
