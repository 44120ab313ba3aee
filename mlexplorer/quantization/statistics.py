"""What schemes cost: errors, sizes and histograms of one weight, for as many schemes as one likes."""

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
    edges = float(array.min()), float(array.max())
    power = float(np.mean(np.square(array, dtype=np.float64)))
    channels = Channels(array.shape, channel_axis, groups)
    found: analysis.Analysis | None = None
    rows = []
    for scheme in schemes:
        if isinstance(scheme, LookupTable) and scheme.method == "kmeans" and np.isfinite(power):
            found = found or analysis.KEPT.analysis(array)
            table = found.kmeans_table(array, scheme.bits)
            squared, largest, counts = found.errors(array, table)
            histogram = _binned(table, edges, bins, counts) if bins else None
        else:
            squared, largest, histogram = 0.0, 0.0, np.zeros(bins, np.intp) if bins else None
            for one, other in _decoded(scheme, array, channels, name):
                apart = one.astype(np.float64)
                apart -= other
                squared += float(np.einsum("i,i->", apart, apart))
                largest = max(largest, float(apart.max()), -float(apart.min()))
                if histogram is not None:
                    histogram += _binned(other, edges, histogram.size)
        mse = squared / array.size
        nbytes = scheme.blank(array.shape, channel_axis, groups=groups).nbytes
        rows.append(SchemeError(scheme, nbytes, mse, _decibels(power, mse), largest, histogram))
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


def _decibels(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf


def _binned(
    values: Floats, edges: tuple[float, float], bins: int, counts: NDArray[np.intp] | None = None
) -> NDArray[np.intp]:
    """How many values, or how many of each where `counts` says so, are in each of some equal bins."""
    total = np.zeros(bins, np.intp)
    low, high = edges
    width = (high - low) / bins
    for start in range(0, values.size, _CHUNK):
        part = slice(start, start + _CHUNK)
        place = np.full(values[part].shape, bins // 2, np.intp)
        if width > 0:
            place = np.clip((values[part].astype(np.float64) - low) / width, 0, bins - 1).astype(np.intp)
        weights = None if counts is None else counts[part].astype(np.float64)
        total += np.bincount(place, weights, bins).astype(np.intp)
    return total
