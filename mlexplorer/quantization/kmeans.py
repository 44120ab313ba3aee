"""One-dimensional k-means, near the optimum and without random numbers, for all bit depths in one pass.

Clusters of sorted values are intervals, so the best division into k of them follows from the best divisions of all
prefixes into k - 1: dynamic programming (Wang and Song, "Ckmeans.1d.dp", The R Journal, 2011). Up to MOST_POINTS
distinct values are solved exactly. More are first gathered into about that many groups, spaced as the levels of an
optimal quantizer are (Panter and Dite, "Quantization distortion in pulse-count modulation", 1951: density to the power
1/3); `polish` then moves the bounds, which the groups had fixed, among all values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.quantization.points import Doubles, Indices, Points
from mlexplorer.quantization.polish import polish

MOST_POINTS = 1024
_GROUPS = 768
_MANY_POINTS = 8192
_LEVELLING_STEPS = 12
_ROWS = 16


def tables(points: Points, depths: Sequence[int]) -> dict[int, Doubles]:
    """The cluster centres for tables of 2^bits entries, for each bit depth asked: ascending, no more than points."""
    solved = [bits for bits in depths if 1 << bits < len(points)]
    first = _groups(points)
    sizes, exact = [1 << bits for bits in solved], first.size > len(points)
    divisions = [first[division] for division in _best_divisions(points.grouped(first), sizes, exact=exact)]
    if not exact:
        divisions = polish(points, divisions, first.size)
    every = dict.fromkeys(depths, points) | dict(zip(solved, map(points.grouped, divisions), strict=True))
    return {bits: clusters.means + points.centre for bits, clusters in every.items()}


def _groups(points: Points) -> Indices:
    """Bounds of at most MOST_POINTS runs of about equal count^(1/3) * width^(2/3), none of less than one point."""
    size = len(points)
    if size <= MOST_POINTS:
        return np.arange(size + 1)
    groups = MOST_POINTS if size <= _MANY_POINTS else _GROUPS
    gap = np.diff(points.means)
    width = np.concatenate((gap[:1], (gap[1:] + gap[:-1]) / 2, gap[-1:]))
    share = np.cbrt(np.diff(points.count)) * np.cbrt(np.square(width / width.max()))
    share *= groups / share.sum()
    for _ in range(_LEVELLING_STEPS):  # what points alone in their runs have too much goes to the others
        shared = share < 1
        rest = share[shared].sum()
        alone = size - np.count_nonzero(shared)
        if not alone or rest >= groups - alone:
            break
        share[shared] *= (groups - alone) / rest
        np.minimum(share, 1, out=share)
    runs = np.floor(np.cumsum(np.minimum(share, 1)) * (1 - 1e-9))
    return np.concatenate((np.flatnonzero(np.diff(runs, prepend=-1) > 0), [size]))


def _best_divisions(points: Points, sizes: Sequence[int], *, exact: bool) -> list[Indices]:
    """The division of the points into k runs with the least sum of squared errors, as k + 1 bounds, for each k asked.

    least[k, j] is the least error of the first j points in k runs: the minimum over the last run's length of
    least[k - 1, j - length] + cost[length - 1, j]. All j and lengths of one k are one matrix operation. The last run
    of a best division never grows with k, so that the matrix shrinks like 1 / k. Where it need not be `exact`, half
    the digits do.
    """
    if not sizes:
        return []
    size = len(points)
    cost = _run_costs(points, np.float64 if exact else np.float32)
    most = max(sizes)
    least = np.full((most + 1, size + 1), np.inf, cost.dtype)
    least[0, 0] = 0
    least[1, 1:] = cost[np.arange(size), np.arange(1, size + 1)]
    longest, look_again = size, 2
    longest_at = np.full(most + 1, size)
    shifted = np.full(2 * size + 1, np.inf, cost.dtype)
    step = shifted.strides[0]
    before = np.lib.stride_tricks.as_strided(shifted[size - 1 :], cost.shape, (-step, step), writeable=False)
    sums = np.empty_like(cost)
    for k in range(2, most + 1):
        longest_at[k] = longest
        shifted[size:] = least[k - 1]
        total = np.add(before[:longest], cost[:longest], out=sums[:longest])
        np.minimum.reduce(total, axis=0, out=least[k])
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


def _run_costs(points: Points, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """cost[length - 1, j]: the squared error of the `length` points before j; infinite where there are fewer.

    In units of which the run of all points has 1e30: 32-bit floats then hold what is 1e-68 of it.
    """
    size = len(points)
    cost = np.empty((size, size + 1), dtype)
    unit = points.error(np.array([0, size])) / 1e30
    starts = (
        _before(points.count, points.count[0] - 1),
        _before(points.total, 0.0),
        _before(points.squares, -np.inf),
    )
    for first in range(0, size, _ROWS):
        rows = slice(first, first + _ROWS)
        count, total, error = (
            end - start[rows] for end, start in zip((points.count, points.total, points.squares), starts, strict=True)
        )
        total *= total
        total /= count
        error -= total
        error /= unit
        np.maximum(error, 0, out=cost[rows])
    return cost


def _before(sums: Doubles, outside: float) -> Doubles:
    """A view: [length - 1, j] is the running sum `length` points before j, and `outside` where there are fewer."""
    size = sums.size - 1
    padded = np.concatenate((np.full(size, outside), sums))
    step = padded.strides[0]
    return np.lib.stride_tricks.as_strided(padded[size - 1 :], (size, size + 1), (-step, step), writeable=False)
