"""What schemes cost: errors, sizes and histograms of one weight, for as many schemes as one likes, bin by bin too."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import QuantizationError
from mlexplorer.quantization import analysis
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.scheme import Channels, Scheme
from mlexplorer.spec.weight_params import Floats

ALL_DEPTHS: tuple[Scheme, ...] = tuple(kind(bits) for kind in (Linear, LookupTable) for bits in range(1, 9))
"""Linear quantization with the range of each channel, and k-means tables, at 1 to 8 bits."""

_CHUNK = 1 << 15


@dataclass(frozen=True)
class Axis:
    """Equal bins from one value to another, the last one closed as numpy's are; what lies beyond is in the outermost.

    Where there is nothing between the two values, everything lies in the middle.
    """

    low: float
    high: float
    bins: int

    @classmethod
    def of(cls, array: NDArray[Any], bins: int) -> Axis:
        """Bins from the minimum to the maximum of an array that is not empty."""
        return cls(float(array.min()), float(array.max()), bins)

    def places(self, values: NDArray[Any]) -> NDArray[np.intp]:
        """The bin of each of some finite values, flat."""
        span = self.high - self.low
        if not span >= np.finfo(np.float64).tiny * self.bins:
            return np.full(values.size, self.bins // 2, np.intp)
        places = (values.reshape(-1).astype(np.float64) - self.low) * (self.bins / span)
        return np.clip(places, 0, self.bins - 1).astype(np.intp)

    def histogram(self, values: NDArray[Any], counts: NDArray[np.intp] | None = None) -> NDArray[np.intp]:
        """How many values are in each bin; with `counts`, how many times each of them is there."""
        flat, total = values.reshape(-1), np.zeros(self.bins, np.intp)
        for start in range(0, flat.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            weights = None if counts is None else counts[part].astype(np.float64)
            total += np.bincount(self.places(flat[part]), weights, self.bins).astype(np.intp)
        return total


@dataclass(frozen=True)
class Distribution:
    """What became of a weight, in the bins of an axis.

    `histogram` counts the values that it was quantized to. `errors` are sums of squared errors: in a bin are those of
    the values that lay there before, and all together are the error of the weight.
    """

    histogram: NDArray[np.intp]
    errors: NDArray[np.float64]

    def __add__(self, other: Distribution) -> Distribution:
        return Distribution(self.histogram + other.histogram, self.errors + other.errors)


def distribution(array: Floats, quantized: Floats, axis: Axis) -> Distribution:
    """What became of the finite values of a weight; both arrays have its shape."""
    histogram, errors = np.zeros(axis.bins, np.intp), np.zeros(axis.bins)
    before, after = array.reshape(-1), quantized.reshape(-1)
    for start in range(0, before.size, _CHUNK):
        one, other = before[start : start + _CHUNK], after[start : start + _CHUNK]
        apart = one.astype(np.float64)
        apart -= other
        apart *= apart
        errors += np.bincount(axis.places(one), apart, axis.bins)
        histogram += np.bincount(axis.places(other), minlength=axis.bins)
    return Distribution(histogram, errors)


def decibels(signal: float, noise: float) -> float:
    """The ratio of two powers in dB: infinite where there is no noise, minus infinity where there is nothing else."""
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


@dataclass(frozen=True)
class SchemeError:
    """What one scheme makes of a weight.

    `nbytes` are those of codes with scale and bias or table; `mse` is the mean squared error, `snr` the ratio of the
    mean square of the weight to it in dB (infinite where nothing is lost), `max_error` the largest absolute error.
    `histogram` counts the quantized values in equal bins between the weight's minimum and maximum, where it was asked
    for; values beyond lie in the outermost bins.
    """

    scheme: Scheme
    nbytes: int
    mse: float
    snr: float
    max_error: float
    histogram: NDArray[np.intp] | None = field(default=None, repr=False, compare=False)


def error_table(
    array: Any,
    schemes: Iterable[Scheme] = ALL_DEPTHS,
    channel_axis: int | None = None,
    *,
    groups: int = 1,
    bins: int | None = None,
    name: str = "weight",
) -> list[SchemeError]:
    """The errors and sizes of a weight in some schemes, in their order; with `bins` also histograms of so many bins.

    `array`, `channel_axis`, `groups` and `name` are those of `Scheme.encode`, which raises the same errors. All k-means
    tables come from one pass over the weight; their errors are those of its 65,536 bins, within 1e-4 of the exact ones.
    Raises QuantizationError for an empty weight.
    """
    array = np.ascontiguousarray(array, dtype=np.float32)
    if not array.size:
        raise QuantizationError(f"{name}: a weight without values has no errors")
    axis = Axis.of(array, bins or 1)
    power = float(np.mean(np.square(array, dtype=np.float64)))
    channels = Channels(array.shape, channel_axis, groups)
    found: analysis.Analysis | None = None
    rows = []
    for scheme in schemes:
        if isinstance(scheme, LookupTable) and scheme.method == "kmeans" and np.isfinite(power):
            found = found or analysis.KEPT.analysis(array)
            table = found.kmeans_table(array, scheme.bits)
            squared, largest, counts = found.errors(array, table)
            histogram = axis.histogram(table, counts) if bins else None
        else:
            squared, largest, histogram = 0.0, 0.0, np.zeros(bins, np.intp) if bins else None
            for one, other in _decoded(scheme, array, channels, name):
                apart = one.astype(np.float64)
                apart -= other
                squared += float(np.einsum("i,i->", apart, apart))
                largest = max(largest, float(apart.max()), -float(apart.min()))
                if histogram is not None:
                    histogram += axis.histogram(other)
        mse = squared / array.size
        nbytes = scheme.blank(array.shape, channel_axis, groups=groups).nbytes
        rows.append(SchemeError(scheme, nbytes, mse, decibels(power, mse), largest, histogram))
    return rows


def _decoded(scheme: Scheme, array: Floats, channels: Channels, name: str) -> Iterator[tuple[Floats, Floats]]:
    """A weight's values, flat, with what they become: whole, or in parts that a cache holds."""
    if not isinstance(scheme, Linear) or not np.isfinite(array.min()) or not np.isfinite(array.max()):
        encoded = scheme.encode(array, channels.axis, groups=channels.groups, name=name)
        values = encoded.decode(array.shape, channels.axis, name=name)
        yield array.reshape(-1), values.reshape(-1)
        return
    rows = (channels if scheme.per_channel else Channels(array.shape)).rows(array)
    block = max(1, _CHUNK // rows.shape[1])
    for first in range(0, len(rows), block):
        some = rows[first : first + block]
        try:
            codes, scale, bias = scheme.levels(some)
        except QuantizationError as error:
            raise QuantizationError(f"{name}: {error}") from error
        step = scale.astype(np.float64)[:, None]
        for begin in range(0, rows.shape[1], _CHUNK):
            part = slice(begin, begin + _CHUNK)
            values = (codes[:, part] * step + bias[:, None]).astype(np.float32)
            yield some[:, part].reshape(-1), values.reshape(-1)
