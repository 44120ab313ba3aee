"""What the schemes need to know of a weight, computed once for all of them and kept for the next bit depth."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

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
        return 4096 + 8 * min(self.size, BINS) + 2 * self.size

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
        distinct = first_of_each(table)
        entries = table[distinct].astype(np.float64)
        bounds = (entries[1:] + entries[:-1]) / 2
        index = distinct[np.searchsorted(bounds, bins.values)].astype(np.uint8)
        out = np.empty(self.size, np.uint8)
        for start in range(0, out.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            np.take(index, bins.codes[part].astype(np.intp), out=out[part], mode="wrap")
        if bins.outside.size:
            out[bins.outside] = distinct[np.searchsorted(bounds, array.reshape(-1)[bins.outside])]
        return out

    def _prepare(self, array: Floats) -> Bins:
        """Bin the values and find the tables, the first time."""
        with self._lock:
            if self._bins is None:
                bins, values, counts = binned(array.reshape(-1), float(self.low), float(self.high))
                if values.size <= 1 << DEPTHS[-1]:
                    self._tables = dict.fromkeys(
                        (b for b in DEPTHS if values.size <= 1 << b), values.astype(np.float32)
                    )
                wanted = [bits for bits in DEPTHS if bits not in self._tables]
                solved = tables(Points.of(values, counts), wanted)
                self._tables |= {bits: table.astype(np.float32) for bits, table in solved.items()}
                self._bins = bins
            return self._bins


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


KEPT = Kept(256 << 20)
"""The analyses that all schemes share: a sweep over bit depths analyses each weight once."""
