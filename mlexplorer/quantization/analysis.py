"""What the schemes need to know of a weight, computed once for all of them and kept for the next bit depth."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mlexplorer.quantization.kmeans import Points, tables
from mlexplorer.spec.weight_params import Floats

DEPTHS = range(1, 9)
KEPT_BYTES = 256 << 20

_FEW_VALUES = 1 << 14
_BINS = 1 << 16
_CHUNK = 1 << 15


class Analysis:
    """The range, the channels' ranges, the fine histogram and the k-means tables of one weight.

    It keeps no reference to the weight: methods that need the values again are given them.
    """

    def __init__(self, array: Floats) -> None:
        self.size = array.size
        self.low = array.min() if array.size else np.float32(0)
        self.high = array.max() if array.size else np.float32(0)
        self._ranges: dict[Hashable, tuple[Floats, Floats]] = {}
        self._bins: NDArray[np.uint16] | None = None
        self._points: Points | None = None
        self._few = np.empty(0, np.float32)
        self._centre = 0.0
        self._lock = threading.Lock()

    @property
    def finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def nbytes(self) -> int:
        """Bytes that keeping this analysis costs, without the tables."""
        points = 0 if self._points is None else 3 * self._points.count.nbytes
        return points + (0 if self._bins is None else self._bins.nbytes)

    def ranges(self, rows: Floats, channels: Hashable) -> tuple[Floats, Floats]:
        """The minimum and the maximum of each row, kept under `channels`, which says what the rows are."""
        if channels not in self._ranges:
            self._ranges[channels] = rows.min(axis=1), rows.max(axis=1)
        return self._ranges[channels]

    def kmeans_table(self, array: Floats, bits: int) -> Floats:
        """The k-means centres, float32, ascending, 2^bits of them; where there are fewer values, the last repeats."""
        self._prepare(array)
        centres = self._few if self._few.size and self._few.size <= 1 << bits else self._centres[bits]
        return np.append(centres, np.repeat(centres[-1:], (1 << bits) - centres.size))

    def nearest(self, array: Floats, table: Floats) -> NDArray[np.uint8]:
        """The index of the nearest entry of an ascending table for each value, flat; the lower one on a tie.

        Weights of more than 16,384 values are looked up by the 65,536 bins of their range, as a rule.
        """
        self._prepare(array)
        distinct = _firsts(table)
        entries = table[distinct].astype(np.float64)
        bounds = (entries[1:] + entries[:-1]) / 2
        if self._bins is None:
            return distinct[np.searchsorted(bounds, array.reshape(-1))].astype(np.uint8)
        values = np.linspace(float(self.low), float(self.high), _BINS)
        index = distinct[np.searchsorted(bounds, values)].astype(np.uint8)
        out = np.empty(self._bins.size, np.uint8)
        for start in range(0, out.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            np.take(index, self._bins[part].astype(np.intp), out=out[part], mode="wrap")
        return out

    @cached_property
    def _centres(self) -> dict[int, Floats]:
        assert self._points is not None
        found = tables(self._points, DEPTHS)
        return {bits: (centres + self._centre).astype(np.float32) for bits, centres in found.items()}

    def _prepare(self, array: Floats) -> None:
        """Bin or sort the values, the first time; values are centred, so that running sums stay exact."""
        with self._lock:
            if self._points is not None:
                return
            flat = array.reshape(-1)
            self._centre = float(flat.mean(dtype=np.float64))
            points = self._binned(flat) if flat.size > _FEW_VALUES else None
            if points is None:
                self._bins = None
                values, counts = _distinct(flat)
                self._few = values if values.size <= 1 << max(DEPTHS) else self._few
                points = Points.of(counts, (values.astype(np.float64) - self._centre) * counts)
            self._points = points

    def _binned(self, flat: Floats) -> Points | None:
        """The values in 65,536 equal bins, or None where an outlier leaves too few of them to the other values."""
        span = float(self.high) - float(self.low)
        if not 1e-30 < span < 1e38:
            return None
        bins = np.empty(flat.size, np.uint16)
        count = np.zeros(_BINS)
        total = np.zeros(_BINS)
        for start in range(0, flat.size, _CHUNK):
            part = flat[start : start + _CHUNK]
            code = ((part - self.low) * np.float32((_BINS - 1) / span) + np.float32(0.5)).astype(np.intp)
            np.minimum(code, _BINS - 1, out=code)
            bins[start : start + _CHUNK] = code
        for start in range(0, flat.size, 8 * _CHUNK):
            some = slice(start, start + 8 * _CHUNK)
            count += np.bincount(bins[some], minlength=_BINS)
            total += np.bincount(bins[some], flat[some].astype(np.float64) - self._centre, minlength=_BINS)
        used = np.flatnonzero(count)
        fullest = np.cumsum(np.sort(count[used])[::-1])
        if np.searchsorted(fullest, 0.99 * flat.size) < 2000:
            return None
        self._bins = bins
        return Points.of(count[used], total[used])


def _distinct(flat: Floats) -> tuple[Floats, NDArray[np.float64]]:
    """The distinct values, ascending, and how often each occurs."""
    ordered = np.sort(flat)
    first = _firsts(ordered)
    return ordered[first], np.diff(first, append=flat.size).astype(np.float64)


def _firsts(ordered: Floats) -> NDArray[np.intp]:
    """Where each distinct value of an ascending array occurs first."""
    return np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))


_KEPT: OrderedDict[bytes, Analysis] = OrderedDict()
_KEPT_LOCK = threading.Lock()


def analyse(array: Floats) -> Analysis:
    """The analysis of a float32 weight, kept from an earlier call with the same values and shape where there was one.

    The least recently used ones are dropped above KEPT_BYTES (256 MB).
    """
    array = np.ascontiguousarray(array)
    digest = hashlib.blake2b(array.reshape(-1).view(np.uint8).data, digest_size=16)
    digest.update(repr(array.shape).encode())
    key = digest.digest()
    with _KEPT_LOCK:
        found = _KEPT.get(key)
        if found is None:
            found = _KEPT[key] = Analysis(array)
            kept = sum(analysis.nbytes for analysis in _KEPT.values())
            while kept > KEPT_BYTES and len(_KEPT) > 1:
                kept -= _KEPT.popitem(last=False)[1].nbytes
        _KEPT.move_to_end(key)
    return found
