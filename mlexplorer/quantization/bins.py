"""A weight's values as 16-bit codes: what makes each further bit depth a look-up in a table of 65,536 entries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlexplorer.quantization.points import Doubles, Indices, first_of_each
from mlexplorer.spec.weight_params import Floats

BINS = 1 << 16

_CHUNK = 1 << 15
_FINEST_TABLE = 1 << 8
_MOST_LOSS = 5e-4
_MOST_OUTSIDE = 0.01
_NARROWINGS = 3


@dataclass(frozen=True)
class Bins:
    """The bin of each value, flat, and what its values are, ascending.

    Where there are no more than BINS distinct values, each has its own bin. More lie in bins of equal width; values
    that are `outside` of all of them have an arbitrary code.
    """

    codes: NDArray[np.uint16]
    values: Doubles
    outside: Indices


def binned(flat: Floats, low: float, high: float) -> tuple[Bins, Doubles, Doubles]:
    """The bins of finite values between `low` and `high`; then their distinct values, ascending, and their counts.

    Equal bins are as a rule so fine that a table of 256 entries loses less than a thousandth of its squared error by
    them. Where outliers stand in the way, up to a hundredth of the values are left outside, and kept as they are.
    """
    if flat.size > BINS:
        lower, upper = low, high
        for _ in range(1 + _NARROWINGS):
            if not 1e-30 < upper - lower < 1e38:
                break
            bins, counts = _in_equal_bins(flat, lower, upper)
            if _fine_enough(counts):
                values, counts = _merged(bins, counts, flat)
                return bins, values, counts
            narrower = _without_outliers(counts, flat.size)
            if narrower[1] - narrower[0] > 0.8 * BINS:
                break
            lower, upper = (float(bins.values[bin_]) for bin_ in narrower)
    return _by_rank(flat)


def _in_equal_bins(flat: Floats, lower: float, upper: float) -> tuple[Bins, Doubles]:
    """Equal bins from `lower` to `upper`, and how many values are in each."""
    codes = np.empty(flat.size, np.uint16)
    counts = np.zeros(BINS, np.intp)
    outside = []
    offset, factor = np.float32(lower), np.float32((BINS - 1) / (upper - lower))
    for start in range(0, flat.size, _CHUNK):
        code = flat[start : start + _CHUNK] - offset
        code *= factor
        code += np.float32(0.5)
        beyond = np.empty(0, np.intp)
        if code.min() < 0 or code.max() >= BINS:
            beyond = np.flatnonzero((code < 0) | (code >= BINS))
            outside.append(beyond + start)
            code[beyond] = 0
        index = code.astype(np.intp)
        codes[start : start + _CHUNK] = index
        counts += np.bincount(index, minlength=BINS)
        counts[0] -= beyond.size
    every = np.concatenate(outside) if outside else np.empty(0, np.intp)
    return Bins(codes, np.linspace(lower, upper, BINS), every), counts.astype(np.float64)


def _fine_enough(counts: Doubles) -> bool:
    """Whether the error within equal bins is small against that of the finest table.

    An optimal table of K entries has the mean squared error (integral of density^(1/3))^3 / (12 K^2) (Panter and Dite,
    1951), bins of width 1 have 1/12, of which a part counts that lies at the bounds between two entries.
    """
    integral = np.sum(np.cbrt(counts / counts.sum()))
    return bool(_FINEST_TABLE**2 / integral**3 < _MOST_LOSS)


def _without_outliers(counts: Doubles, size: int) -> tuple[int, int]:
    """The first and the last bin of those that hold most of the values, the same part left out on both sides."""
    running = np.cumsum(counts)
    lost = size * _MOST_OUTSIDE / 2
    first = int(np.searchsorted(running, lost, side="right"))
    last = int(np.searchsorted(running, size - lost))
    return max(first - 1, 0), min(last + 1, BINS - 1)


def _merged(bins: Bins, counts: Doubles, flat: Floats) -> tuple[Doubles, Doubles]:
    """The values of the bins that are not empty, and of those outside, with their counts."""
    used = np.flatnonzero(counts)
    values, counts = bins.values[used], counts[used]
    if bins.outside.size:
        beyond, times = np.unique(flat[bins.outside].astype(np.float64), return_counts=True)
        place = np.searchsorted(values, beyond)
        values, counts = np.insert(values, place, beyond), np.insert(counts, place, times)
    return values, counts


def _by_rank(flat: Floats) -> tuple[Bins, Doubles, Doubles]:
    """A bin for each distinct value; where there are too many, all values are outside."""
    ordered = np.sort(flat)
    first = first_of_each(ordered)
    values, counts = ordered[first], np.diff(first, append=flat.size).astype(np.float64)
    codes = np.zeros(flat.size, np.uint16)
    outside = np.arange(flat.size if values.size > BINS else 0)
    if not outside.size:
        for start in range(0, flat.size, _CHUNK):
            codes[start : start + _CHUNK] = np.searchsorted(values, flat[start : start + _CHUNK])
    known = values.astype(np.float64)
    return Bins(codes, known[:BINS], outside), known, counts
