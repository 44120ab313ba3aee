"""What the schemes need to know of a weight, computed once for all of them and kept for the next bit depth."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from mlexplorer.quantization.bins import BINS, Bins, binned
from mlexplorer.quantization.kmeans import tables
from mlexplorer.quantization.points import Points, first_of_each
from mlexplorer.spec.weight_params import Floats

DEPTHS = range(1, 9)

_CHUNK = 1 << 15


class Analysis:
    """The bins and the k-means tables of one weight.

    It keeps no reference to the weight: methods that need the values again are given them.
    """

    def __init__(self, array: Floats) -> None:
        self.size = array.size
        self.low = array.min() if array.size else np.float32(0)
        self.high = array.max() if array.size else np.float32(0)
        self._bins: Bins | None = None
        self._tables: dict[int, Floats] = {}
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """About how many bytes this analysis takes, once it is complete."""
        return 4096 + 16 * min(self.size, BINS) + 2 * self.size

    def kmeans_table(self, array: Floats, bits: int) -> Floats:
        """The k-means centres, float32, ascending, 2^bits of them; where there are fewer values, the last repeats."""
        self._prepare(array)
        table = self._tables[bits]
        return np.append(table, np.repeat(table[-1:], (1 << bits) - table.size))

    def nearest(self, array: Floats, table: Floats) -> NDArray[np.uint8]:
        """The index of the nearest entry of an ascending table for each value, flat; the lower one on a tie.

        Exact for up to 65,536 distinct values; more are told apart to 1/65,535 of the range that holds most of them.
        """
        bins = self._prepare(array)
        index, outside = _indices(bins, array, table)
        out = np.empty(self.size, np.uint8)
        for start in range(0, bins.codes.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            np.take(index, bins.codes[part].astype(np.intp), out=out[part], mode="wrap")
        out[bins.outside] = outside
        return out

    def errors(self, array: Floats, table: Floats) -> tuple[float, float, NDArray[np.intp]]:
        """What the nearest entries of an ascending table cost: the sum of the squared errors, the largest error, and
        how many values each entry stands for.

        From the bins alone, without the codes; as exact as `nearest`.
        """
        bins = self._prepare(array)
        index, outside = _indices(bins, array, table)
        entries = table.astype(np.float64)
        apart = np.abs(bins.values - entries[index])
        beyond = array.reshape(-1)[bins.outside] - entries[outside]
        inside = self.size - bins.outside.size
        squared = float(np.sum(bins.counts * apart * apart) + inside * bins.width**2 / 12 + np.sum(beyond * beyond))
        largest = float(np.max(apart, where=bins.counts > 0, initial=0))
        if bins.width and inside:  # the largest error is that of a value in one of these bins
            near = np.flatnonzero(apart >= largest - bins.width)
            values = array.reshape(-1)[_members(bins, near)].astype(np.float64)
            middles = (entries[1:] + entries[:-1]) / 2
            largest = float(np.abs(values - entries[np.searchsorted(middles, values)]).max())
        largest = max(largest, float(np.abs(beyond).max(initial=0)))
        counts = np.bincount(index, bins.counts, table.size) + np.bincount(outside, minlength=table.size)
        return squared, largest, counts.astype(np.intp)

    def _prepare(self, array: Floats) -> Bins:
        """Bin the values and find the tables, the first time."""
        with self._lock:
            if self._bins is None:
                bins, values, counts = binned(array.reshape(-1), float(self.low), float(self.high))
                exact = {bits: values for bits in DEPTHS if values.size <= 1 << bits}
                found = exact | tables(Points.of(values, counts), [bits for bits in DEPTHS if bits not in exact])
                self._tables = {bits: table.astype(np.float32) for bits, table in found.items()}
                self._bins = bins
            return self._bins


def _indices(bins: Bins, array: Floats, table: Floats) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The index of the nearest entry of an ascending table for each bin, and for each value outside of the bins."""
    distinct = first_of_each(table)
    entries = table[distinct].astype(np.float64)
    bounds = (entries[1:] + entries[:-1]) / 2
    places = np.searchsorted(bins.values, bounds, side="right")
    inside = np.repeat(distinct, np.diff(places, prepend=0, append=bins.values.size))
    outside = distinct[np.searchsorted(bounds, array.reshape(-1)[bins.outside])]
    return inside.astype(np.uint8), outside.astype(np.uint8)


def _members(bins: Bins, some: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where the values of some bins are."""
    wanted = np.zeros(BINS, np.bool_)
    wanted[some] = True
    parts = range(0, bins.codes.size, _CHUNK)
    hits = [np.flatnonzero(wanted[bins.codes[start : start + _CHUNK]]) + start for start in parts]
    return np.concatenate(hits)


class Kept:
    """Analyses by the digest of their weights, the least recently used ones dropped above a bound on their bytes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._by_digest: OrderedDict[bytes, Analysis] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._held: dict[int, tuple[Floats, Analysis]] = {}

    def __len__(self) -> int:
        return len(self._by_digest)

    def analysis(self, array: Floats) -> Analysis:
        """The analysis of a weight, from an earlier call with the same values and shape where there was one."""
        array = np.ascontiguousarray(array)
        held = self._held.get(id(array))
        if held is not None and held[0] is array:
            return held[1]
        digest = hashlib.sha256(array.reshape(-1).view(np.uint8).data)
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

    @contextmanager
    def holding(self, array: Floats) -> Iterator[None]:
        """Meanwhile this very array is known without a digest; the caller sees to it that its values stay."""
        self._held[id(array)] = array, self.analysis(array)
        try:
            yield
        finally:
            self._held.pop(id(array), None)


KEPT = Kept(256 << 20)
"""The analyses that all schemes share: a sweep over bit depths analyses each weight once."""
