"""One-dimensional k-means, near the optimum and without random numbers, for all bit depths in one pass.

Clusters of sorted values are intervals, so the best division into k of them follows from the best divisions of all
prefixes into k - 1: dynamic programming (Wang and Song, "Ckmeans.1d.dp", The R Journal, 2011). Up to MOST_POINTS
distinct values are solved exactly. More are first gathered into that many groups, spaced as the levels of an optimal
quantizer are (Panter and Dite, "Quantization distortion in pulse-count modulation", 1951: density to the power 1/3),
and Lloyd's iteration on all values then moves the bounds that the groups had fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Indices = NDArray[np.intp]

MOST_POINTS = 1024
_TAIL_POINTS = 32
_DENSITY_WINDOWS = 512
_LLOYD_STEPS = 12


@dataclass(frozen=True)
class Points:
    """Sorted values with how often each occurs, as running sums from zero (one entry more than there are points)."""

    count: Doubles
    total: Doubles
    squares: Doubles

    @classmethod
    def of(cls, count: Doubles, total: Doubles) -> Points:
        """Points from the count and the sum of each; every count is positive, the means ascend."""
        return cls(*(np.concatenate(([0.0], np.cumsum(part))) for part in (count, total, total * total / count)))

    @property
    def means(self) -> Doubles:
        """The value of each point."""
        return np.asarray(np.diff(self.total) / np.diff(self.count), np.float64)

    def grouped(self, bounds: Indices) -> Points:
        """Points of which each stands for a run of these; `bounds` are the first of each run, and the end."""
        return Points(self.count[bounds], self.total[bounds], self.squares[bounds])

    def __len__(self) -> int:
        return self.count.size - 1


def tables(points: Points, depths: Sequence[int]) -> dict[int, Doubles]:
    """The cluster centres for tables of 2^bits entries, for each bit depth asked: ascending, no more than points."""
    grouped = points.grouped(_groups(points))
    solved = [bits for bits in depths if 1 << bits < len(grouped)]
    centres = [grouped.grouped(division).means for division in _best_divisions(grouped, [1 << bits for bits in solved])]
    if len(grouped) < len(points):
        centres = _polish(points, centres)
    return dict.fromkeys(depths, grouped.means) | dict(zip(solved, centres, strict=True))


def _groups(points: Points) -> Indices:
    """Bounds of at most MOST_POINTS runs: the outermost points alone, the others by the cube root of the density."""
    size = len(points)
    if size <= MOST_POINTS:
        return np.arange(size + 1)
    value = points.means
    width = np.diff(value, prepend=2 * value[0] - value[1])
    window = np.linspace(0, size, _DENSITY_WINDOWS + 1).astype(np.intp)
    span = np.add.reduceat(width, window[:-1])
    density = np.repeat(np.cbrt(np.diff(points.count[window]) / span), np.diff(window))
    companded = np.cumsum(density * width)
    inner = np.linspace(0, companded[-1], MOST_POINTS + 1 - 2 * _TAIL_POINTS)
    tail = np.arange(_TAIL_POINTS + 1)
    return np.unique(np.concatenate((tail, np.searchsorted(companded, inner), size - tail)))


def _best_divisions(points: Points, sizes: Sequence[int]) -> list[Indices]:
    """The division of the points into k runs with the least sum of squared errors, as k + 1 bounds, for each k asked.

    least[k, j] is the least error of the first j points in k runs: the minimum over the last run's length of
    least[k - 1, j - length] + cost[length - 1, j]. All j and lengths of one k are one matrix operation. The last run
    of a best division never grows with k, so that the matrix shrinks like 1 / k.
    """
    size = len(points)
    cost = _run_costs(points)
    most = max(sizes, default=0)
    least = np.full((most + 1, size + 1), np.inf)
    least[0, 0] = 0
    longest, look_again = size, 2
    longest_at = np.empty(most + 1, np.intp)
    shifted = np.full(2 * size + 1, np.inf)
    step = shifted.strides[0]
    sums = np.empty_like(cost)
    for k in range(1, most + 1):
        longest_at[k] = longest
        shifted[size:] = least[k - 1]
        before = np.lib.stride_tricks.as_strided(
            shifted[size - 1 :], (longest, size + 1), (-step, step), writeable=False
        )
        total = np.add(before, cost[:longest], out=sums[:longest])
        total.min(axis=0, out=least[k])
        if k == look_again:
            longest = 1 + int(np.flatnonzero((total[:, k:] == least[k, k:]).any(axis=1))[-1])
            look_again = max(k + 1, k * 5 // 4)
    divisions = []
    for k in sizes:
        bounds = [size]
        for runs in range(k, 0, -1):
            end = bounds[-1]
            first = max(0, end - int(longest_at[runs]))
            before_last = least[runs - 1, first:end][::-1]
            bounds.append(end - 1 - int((before_last + cost[: end - first, end]).argmin()))
        divisions.append(np.array(bounds[::-1]))
    return divisions


def _run_costs(points: Points) -> Doubles:
    """cost[length - 1, j]: the squared error of the `length` points before j; infinite where there are fewer."""
    size = len(points)
    cost = np.full((size, size + 1), np.inf)
    for length in range(1, size + 1):
        total = points.total[length:] - points.total[:-length]
        count = points.count[length:] - points.count[:-length]
        error = points.squares[length:] - points.squares[:-length] - total * total / count
        np.maximum(error, 0, out=cost[length - 1, length:])
    return cost


def _polish(points: Points, centres: list[Doubles]) -> list[Doubles]:
    """Lloyd's iteration on all points: each centre moves to the mean of the points that are nearest to it."""
    value = points.means
    for _ in range(_LLOYD_STEPS):
        moved = []
        for centre in centres:
            bounds = np.searchsorted(value, (centre[1:] + centre[:-1]) / 2)
            bounds = np.concatenate(([0], bounds, [value.size]))
            count = np.diff(points.count[bounds])
            mean = np.diff(points.total[bounds]) / np.maximum(count, 1)
            moved.append(np.where(count > 0, mean, centre))
        centres = moved
    return centres
