"""One-dimensional k-means, near the optimum and without random numbers, for all bit depths in one pass.

Clusters of sorted values are intervals, so the best division into k of them follows from the best divisions of all
prefixes into k - 1: dynamic programming (Wang and Song, "Ckmeans.1d.dp", The R Journal, 2011). Up to MOST_POINTS
distinct values are solved exactly. More are first gathered into that many groups, spaced as the levels of an optimal
quantizer are (Panter and Dite, "Quantization distortion in pulse-count modulation", 1951: density to the power 1/3);
`polish` then moves the bounds, which the groups had fixed, among all values.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlexplorer.quantization.points import Doubles, Indices, Points
from mlexplorer.quantization.polish import polish

MOST_POINTS = 1024
_LEVELLING_STEPS = 12


def tables(points: Points, depths: Sequence[int]) -> dict[int, Doubles]:
    """The cluster centres for tables of 2^bits entries, for each bit depth asked: ascending, no more than points."""
    solved = [bits for bits in depths if 1 << bits < len(points)]
    first = _groups(points)
    divisions = [first[division] for division in _best_divisions(points.grouped(first), [1 << bits for bits in solved])]
    if first.size <= len(points):
        divisions = polish(points, divisions)
    every = dict.fromkeys(depths, points) | dict(zip(solved, map(points.grouped, divisions), strict=True))
    return {bits: clusters.means + points.centre for bits, clusters in every.items()}


def _groups(points: Points) -> Indices:
    """Bounds of at most MOST_POINTS runs of about equal count^(1/3) * width^(2/3), none of less than one point."""
    size = len(points)
    if size <= MOST_POINTS:
        return np.arange(size + 1)
    gap = np.diff(points.means)
    width = np.concatenate((gap[:1], (gap[1:] + gap[:-1]) / 2, gap[-1:]))
    share = np.cbrt(np.diff(points.count)) * np.cbrt(np.square(width / width.max()))
    share *= MOST_POINTS / share.sum()
    for _ in range(_LEVELLING_STEPS):  # what points alone in their runs have too much goes to the others
        shared = share < 1
        rest = share[shared].sum()
        alone = size - np.count_nonzero(shared)
        if not alone or rest >= MOST_POINTS - alone:
            break
        share[shared] *= (MOST_POINTS - alone) / rest
        np.minimum(share, 1, out=share)
    runs = np.floor(np.cumsum(np.minimum(share, 1)) * (1 - 1e-9))
    return np.concatenate((np.flatnonzero(np.diff(runs, prepend=-1) > 0), [size]))


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
