"""Finding the blocks that a sequence repeats: elements of equal kind that read from equally placed ones.

The sequence is compared with itself, shifted by each period; a run of equal elements as long as the period or longer is
a candidate. It counts as a repeated block where each copy reads one value of the copy before, which nobody else reads
(or, side by side, all copies read and are read by the same), so that one copy drawn once tells everything.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LONGEST_PERIOD = 192
"""The most elements that a block may have."""

_WIDTH = 8  # producers compared one by one; the further ones of the few elements that read more, as a whole
_PHASES = 4  # beginnings of a block that are tried, those with the fewest values alive first


@dataclass(frozen=True)
class Repeat:
    """A block of `period` elements from `start` on, `count` times; `parallel` where the copies lie side by side."""

    start: int
    period: int
    count: int
    parallel: bool

    @property
    def end(self) -> int:
        """The first element after it."""
        return self.start + self.period * self.count

    @property
    def hidden(self) -> int:
        """How many elements are not drawn when one copy is."""
        return self.period * (self.count - 1)


class Repeats:
    """The repeated blocks of a sequence.

    `signatures` tell the kind of each element. `producers` are the positions of the earlier elements that it reads,
    below zero for what lies outside. `exposed` are the elements that are read outside.
    """

    def __init__(
        self, signatures: Sequence[Hashable], producers: Sequence[Collection[int]], exposed: Collection[int]
    ) -> None:
        self._producers = [sorted(found) for found in producers]
        self._exposed = frozenset(exposed)
        self._readers: list[list[int]] = [[] for _ in self._producers]
        for at, found in enumerate(self._producers):
            for producer in found:
                if producer >= 0:
                    self._readers[producer].append(at)
        self._live = self._values_alive()
        self._kinds, self._shifts, self._sources = self._arrays(signatures)
        self._equal: dict[int, NDArray[np.bool_]] = {}

    def best(self, low: int, high: int) -> Repeat | None:
        """The repeat between two positions that hides the most elements, the shortest period of equals."""
        best: Repeat | None = None
        for possible, period, start, length in self._candidates(low, high):
            if best is not None and possible <= best.hidden:
                break
            phases = range(min(period - 1, length - 2 * period) + 1)
            for _, phase in sorted((self._live[start + phase], phase) for phase in phases)[:_PHASES]:
                found = self._repeat(start + phase, period, (length - phase) // period)
                worth_it = found.count >= 3 or found.hidden >= 3
                if worth_it and (best is None or found.hidden > best.hidden):
                    best = found
        return best

    def _candidates(self, low: int, high: int) -> list[tuple[int, int, int, int]]:
        """What each run of equal elements could hide at most, its period, start and length; the most hiding first."""
        candidates = []
        for period in range(1, min(LONGEST_PERIOD, (high - low) // 2) + 1):
            equal = self._equal_after(period)[low : high - period]
            edges = np.flatnonzero(np.diff(np.concatenate(([False], equal, [False]))))
            starts, lengths = edges[::2], edges[1::2] - edges[::2] + period
            for start, length in zip(starts[lengths >= 2 * period], lengths[lengths >= 2 * period], strict=True):
                possible = int(length) // period * period - period
                candidates.append((possible, period, low + int(start), int(length)))
        return sorted(candidates, key=lambda candidate: (-candidate[0], candidate[1:]))

    def _equal_after(self, period: int) -> NDArray[np.bool_]:
        """Whether each element equals the one a period later, in its kind and in where it reads from."""
        if period not in self._equal:
            same = self._shifts[:-period] == self._shifts[period:]
            same |= self._sources[:-period] == self._sources[period:]
            self._equal[period] = same.all(axis=1) & (self._kinds[:-period] == self._kinds[period:])
        return self._equal[period]

    def _repeat(self, start: int, period: int, count: int) -> Repeat:
        """As many of these copies as make a block; fewer than two where none do."""
        shared = {p for at in range(start + period, start + 2 * period) for p in self._producers[at] if p < start}
        leaving: int | None = None
        parallel = False
        for copy in range(count):
            first = start + copy * period
            entries = {p for at in range(first, first + period) for p in self._producers[at] if p < first} - shared
            exits = self._exits(first, period)
            if copy == 0:
                leaving = min(exits, default=None)
            elif copy == 1:
                parallel = not entries
            fits = len(entries) <= 1 and exits <= {leaving}
            if copy and parallel:
                fits = fits and not entries and self._readers_at(first, leaving) == self._readers_at(start, leaving)
            elif copy:
                fits = fits and len(entries) == 1 and self._only_read_by_next(first - period, leaving, period)
            if not fits:
                return Repeat(start, period, copy, parallel)
        return Repeat(start, period, count, parallel)

    def _exits(self, first: int, period: int) -> set[int]:
        """The places in a copy that are read outside of it."""
        return {
            at - first
            for at in range(first, first + period)
            if at in self._exposed or any(reader >= first + period for reader in self._readers[at])
        }

    def _only_read_by_next(self, first: int, place: int | None, period: int) -> bool:
        """Whether a copy's value goes to the next copy and nowhere else."""
        if place is None or first + place in self._exposed:
            return False
        return all(first + period <= reader < first + 2 * period for reader in self._readers[first + place])

    def _readers_at(self, first: int, place: int | None) -> list[int]:
        return [] if place is None else self._readers[first + place]

    def _values_alive(self) -> list[int]:
        """How many values are still to be read at each position: a block begins where they are few."""
        change = np.zeros(len(self._readers) + 1, np.int64)
        for at, readers in enumerate(self._readers):
            if readers:
                change[at + 1] += 1
                change[readers[-1] + 1] -= 1
        return [int(count) for count in np.cumsum(change)]

    def _arrays(self, signatures: Sequence[Hashable]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Each element's kind as a number, how far back its producers lie, and where."""
        numbers: dict[Hashable, int] = {}
        shape = (len(signatures), _WIDTH)
        kinds = np.zeros(len(signatures), np.int64)
        shifts, sources = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for at, (signature, producers) in enumerate(zip(signatures, self._producers, strict=True)):
            back = tuple(at - producer for producer in producers)
            kinds[at] = numbers.setdefault((signature, len(back), back[_WIDTH:]), len(numbers))
            shifts[at, : len(back)] = back[:_WIDTH]
            sources[at, : len(back)] = producers[:_WIDTH]
        return kinds, shifts, sources
