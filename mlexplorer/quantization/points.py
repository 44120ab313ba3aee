"""Sorted values with their multiplicities, as running sums: what one-dimensional clustering needs of a weight."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Points:
    """Sorted values with how often each occurs, as running sums of counts, values and squares.

    The values are taken from `centre`, their median, and the sums run from there to both ends, so that outliers cost
    the others no digits. Each sum has one entry more than there are points. A division of the points into k runs is
    given by k + 1 bounds: the first point of each run, and the end.
    """

    count: Doubles
    total: Doubles
    squares: Doubles
    centre: float

    @classmethod
    def of(cls, values: Doubles, counts: Doubles) -> Points:
        """Points from distinct ascending values, and how often each occurs (never 0 times)."""
        running = np.cumsum(counts)
        median = int(np.searchsorted(running, running[-1] / 2))
        centred = values - values[median]
        total = counts * centred
        count, total, squares = (_running(part, median) for part in (counts, total, total * centred))
        return cls(count, total, squares, float(values[median]))

    @cached_property
    def means(self) -> Doubles:
        """The value of each point, less `centre`."""
        return (self.total[1:] - self.total[:-1]) / (self.count[1:] - self.count[:-1])

    def grouped(self, bounds: Indices) -> Points:
        """Points of which each stands for a run of these."""
        return Points(self.count[bounds], self.total[bounds], self.squares[bounds], self.centre)

    def error(self, bounds: Indices) -> float:
        """The squared error of a division whose runs are replaced by their means; infinite where a run is empty."""
        sums = (part[bounds] for part in (self.count, self.total, self.squares))
        count, total, squares = (part[1:] - part[:-1] for part in sums)
        return float(np.sum(squares - total * total / count)) if (count > 0).all() else np.inf

    def __len__(self) -> int:
        return self.count.size - 1


def first_of_each(ordered: NDArray[Any]) -> Indices:
    """Where each distinct value of an ascending array occurs first."""
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


def _running(part: Doubles, middle: int) -> Doubles:
    """Running sums that are zero at an inner bound."""
    return np.concatenate((-np.cumsum(part[:middle][::-1])[::-1], [0.0], np.cumsum(part[middle:])))
