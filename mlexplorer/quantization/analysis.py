"""What the schemes need to know of a weight, computed once for all of them and kept for the next bit depth."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from mlexplorer.quantization.kmeans import Points, tables
from mlexplorer.spec.weight_params import Floats

DEPTHS = range(1, 9)

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
        self._tables: dict[int, Floats] = {}
        self._lock = threading.Lock()

    @property
    def finite(self) -> bool:
        """Whether no value is NaN or infinite."""
        return bool(np.isfinite(self.low) and np.isfinite(self.high))

    @property
    def nbytes(self) -> int:
        """About how many bytes this analysis takes, once it is complete."""
        return 4096 + (2 * self.size if self.size > _FEW_VALUES else 0)

    def ranges(self, rows: Floats, channels: Hashable) -> tuple[Floats, Floats]:
        """The minimum and the maximum of each row, kept under `channels`, which says what the rows are."""
        if channels not in self._ranges:
            self._ranges[channels] = rows.min(axis=1), rows.max(axis=1)
        return self._ranges[channels]

    def kmeans_table(self, array: Floats, bits: int) -> Floats:
        """The k-means centres, float32, ascending, 2^bits of them; where there are fewer values, the last repeats."""
        self._prepare(array)
        table = self._tables[bits]
        return np.append(table, np.repeat(table[-1:], (1 << bits) - table.size))

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

    def _prepare(self, array: Floats) -> None:
        """Bin or sort the values and find the tables, the first time."""
        with self._lock:
            if self._tables:
                return
            flat = array.reshape(-1)
            centre = float(flat.mean(dtype=np.float64))  # running sums of centred values stay exact
            points = self._binned(flat, centre) if flat.size > _FEW_VALUES else None
            few = np.empty(0, np.float32)
            if points is None:
                values, counts = _distinct(flat)
                points = Points.of(counts, (values.astype(np.float64) - centre) * counts)
                few = values
            found = {bits: (table + centre).astype(np.float32) for bits, table in tables(points, DEPTHS).items()}
            found.update((bits, few) for bits in DEPTHS if 0 < few.size <= 1 << bits)
            self._tables = found

    def _binned(self, flat: Floats, centre: float) -> Points | None:
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
            total += np.bincount(bins[some], flat[some].astype(np.float64) - centre, minlength=_BINS)
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


class Kept:
    """Analyses by the digest of their weights, the least recently used ones dropped above a bound on their bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._by_digest: OrderedDict[bytes, Analysis] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._by_digest)

    def analysis(self, array: Floats) -> Analysis:
        """The analysis of a weight, from an earlier call with the same values and shape where there was one."""
        array = np.ascontiguousarray(array)
        digest = hashlib.blake2b(array.reshape(-1).view(np.uint8).data, digest_size=16)
        digest.update(repr(array.shape).encode())
        key = digest.digest()
        with self._lock:
            found = self._by_digest.get(key)
            if found is None:
                found = self._by_digest[key] = Analysis(array)
                self._bytes += found.nbytes
                while self._bytes > self._most_bytes and len(self) > 1:
                    self._bytes -= self._by_digest.popitem(last=False)[1].nbytes
            self._by_digest.move_to_end(key)
        return found


KEPT = Kept(256 << 20)
"""The analyses that all schemes share: a sweep over bit depths analyses each weight once."""
