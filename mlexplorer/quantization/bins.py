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
    """The bin of each value, flat; the value of each bin, ascending, and how many it holds.

    Where there are no more than BINS distinct values, each has its own bin and the `width` is zero. More lie in bins of
    equal width around their value; those that are `outside` of all of them are counted in none, and their code is 0.
    There are no bins and no codes where all values are outside.
    """

    codes: NDArray[np.uint16]
    values: Doubles
    counts: Doubles
    outside: Indices
    width: float = 0.0


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
            bins = _in_equal_bins(flat, lower, upper)
            if _fine_enough(bins.counts):
                return bins, *_merged(bins, flat)
            narrower = _without_outliers(bins.counts, flat.size)
            if narrower[1] - narrower[0] > 0.8 * BINS:
                break
            lower, upper = (float(bins.values[bin_]) for bin_ in narrower)
    return _by_rank(flat)


def _in_equal_bins(flat: Floats, lower: float, upper: float) -> Bins:
    """Equal bins whose values are from `lower` to `upper`."""
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
    width = (upper - lower) / (BINS - 1)
    return Bins(codes, np.linspace(lower, upper, BINS), counts.astype(np.float64), every, width)


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


def _merged(bins: Bins, flat: Floats) -> tuple[Doubles, Doubles]:
    """The values of the bins that are not empty, and of those outside, with their counts."""
    used = np.flatnonzero(bins.counts)
    values, counts = bins.values[used], bins.counts[used]
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
    known = values.astype(np.float64)
    if known.size > BINS:
        return Bins(np.empty(0, np.uint16), known[:0], counts[:0], np.arange(flat.size)), known, counts
    codes = np.empty(flat.size, np.uint16)
    for start in range(0, flat.size, _CHUNK):
        codes[start : start + _CHUNK] = np.searchsorted(values, flat[start : start + _CHUNK])
    return Bins(codes, known, counts, np.empty(0, np.intp)), known, counts
