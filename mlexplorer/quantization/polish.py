"""Divisions of points into clusters, moved from near an optimum into it.

Newton's method finds the next local optimum: the gradient of the squared error by the centres is 2 n_i (c_i - m_i)
with the count n_i and the mean m_i of the values nearest to c_i, and its derivative is tridiagonal, since only
neighbours share a bound: 2 (n_i - a_i - a_(i-1)) on the diagonal and -2 a_i beside it, where a_i is the density of the
values at the bound times a quarter of the gap between its centres. Where Newton's step would raise the error, a step of
Lloyd's iteration is taken (Lloyd, "Least squares quantization in PCM", 1982).

Jagged densities have many local optima. To leave them, all bounds of a division are moved at once: each has some
positions to choose from, and dynamic programming over the bounds finds the best choice for all (Viterbi, 1967).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlexplorer.quantization.points import Doubles, Indices, Points

_NEWTON_STEPS = 3
_POSITIONS = 12
_REACH = 4
_NARROWER = 0.3
_FEW_BOUNDS = 33
_MOST_SHARED = 0.249


def polish(points: Points, divisions: Sequence[Indices], groups: int) -> list[Indices]:
    """Divisions with at most the squared errors of these, as a rule much closer to the least there is.

    No run of `divisions` is empty; none becomes so.
    """
    polished = []
    most = max((len(bounds) for bounds in divisions), default=0)
    room = np.empty((3, most, 2 * _POSITIONS + 1, 2 * _POSITIONS + 1))
    for bounds in divisions:
        moved = _descended(points, bounds)
        offset = np.linspace(-1, 1, 2 * _POSITIONS + 1) * min(1, len(bounds) * _REACH / groups)
        while True:
            apart = np.diff(moved).max() * (offset[1] - offset[0])
            before, moved = moved, _rechosen(points, moved, offset, room)
            if apart > 1:
                offset *= _NARROWER
            elif len(moved) > _FEW_BOUNDS or np.array_equal(before, moved):
                break
        polished.append(moved)
    return polished


def _descended(points: Points, bounds: Indices) -> Indices:
    """The division after some steps of Newton, or of Lloyd where those would raise the error."""
    error = points.error(bounds)
    for _ in range(_NEWTON_STEPS):
        mean = points.grouped(bounds).means
        nearest = _nearest(points, mean)
        if np.isinf(points.error(nearest)):
            break
        jumped = _nearest(points, _newton(points, mean, points.grouped(nearest)))
        best = min((nearest, jumped), key=points.error)
        if points.error(best) >= error:
            break
        bounds, error = best, points.error(best)
    return bounds


def _nearest(points: Points, centres: Doubles) -> Indices:
    """The bounds of the points that are nearest to each centre; crossed centres leave empty runs."""
    middles = np.searchsorted(points.means, (centres[1:] + centres[:-1]) / 2)
    return np.concatenate(([0], middles, [len(points)]))


def _newton(points: Points, centres: Doubles, clusters: Points) -> Doubles:
    """The centres after one step of Newton; `clusters` are the values that are nearest to each."""
    count = clusters.count[1:] - clusters.count[:-1]
    middle, quarter = (centres[1:] + centres[:-1]) / 2, (centres[1:] - centres[:-1]) / 4
    inside = np.searchsorted(points.means, middle + quarter), np.searchsorted(points.means, middle - quarter)
    shared = (points.count[inside[0]] - points.count[inside[1]]) / 2
    shared = np.minimum(shared, np.minimum(count[1:], count[:-1]) * _MOST_SHARED)
    diagonal = count - np.append(shared, 0) - np.append(0, shared)
    return centres - _solved(diagonal.tolist(), (-shared).tolist(), (count * (centres - clusters.means)).tolist())


def _solved(diagonal: list[float], beside: list[float], right: list[float]) -> Doubles:
    """The solution of a symmetric tridiagonal system, by elimination; its diagonal dominates, so none needs a pivot."""
    for row, value in enumerate(beside, 1):
        factor = value / diagonal[row - 1]
        diagonal[row] -= factor * value
        right[row] -= factor * right[row - 1]
    solution = [right[-1] / diagonal[-1]]
    for row in range(len(beside) - 1, -1, -1):
        solution.append((right[row] - beside[row] * solution[-1]) / diagonal[row])
    return np.array(solution[::-1])


def _rechosen(points: Points, bounds: Indices, offset: Doubles, room: Doubles) -> Indices:
    """The division with its inner bounds at the best of some positions each.

    `offset`, ascending, says where these are, as parts of the runs on both sides of the bound. The errors of the runs
    between all pairs of positions of neighbouring bounds are computed at once, and then summed from bound to bound.
    `room` is memory to compute in.
    """
    size = np.diff(bounds)[:, None]
    place = np.repeat(bounds[:, None], offset.size, axis=1)
    place[1:-1] += np.rint(offset * np.where(offset < 0, size[:-1], size[1:])).astype(np.intp)
    for part, differences in zip((points.count, points.total, points.squares), room, strict=True):
        sums = part[place]
        np.subtract(sums[1:, None, :], sums[:-1, :, None], out=differences[: len(size)])
    count, total, squares = room[:, : len(size)]
    empty = count <= 0
    count[empty] = 1
    total *= total
    total /= count
    error = np.subtract(squares, total, out=squares)
    error[empty] = np.inf
    least = np.zeros((len(place), offset.size))
    sums = np.empty(error.shape[1:])
    add, smallest = np.add, np.minimum.reduce  # all of this is called for each bound
    for before, added, after in zip(least[:-1, :, None], error, least[1:], strict=True):
        add(before, added, sums)
        smallest(sums, 0, None, after)
    positions = [0]
    for before, added in zip(least[-2::-1], error[::-1], strict=True):
        positions.append(add(before, added[:, positions[-1]]).argmin())
    return place[np.arange(len(bounds)), positions[::-1]]
