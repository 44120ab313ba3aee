"""Scale and bias of linear quantization with the least squared error, for each channel by itself.

Rounding to the nearest levels and a regression of the values on the codes alternate: neither raises the error. What is
found depends on the start, so there are several: the range of the values, shrunk towards their mean step by step, so
that rare large values are clipped and the others get finer levels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlexplorer.quantization.points import Doubles
from mlexplorer.spec.weight_params import Floats

_CHUNK = 1 << 15
_BOTH = tuple((0.87**n, 0.87**n) for n in range(14))
_EACH = tuple(
    ((1 - by, 1), (1 + by, 1), (1, 1 - by), (1, 1 + by), (1 - by, 1 + by), (1 + by, 1 - by))
    for by in (0.06, 0.03, 0.015)
)
_ALIKE = tuple(((1 - by, 1 - by), (1 + by, 1 + by)) for by in (0.06, 0.03, 0.015))
_STEPS = 6


@dataclass(frozen=True)
class _Levels:
    """The codes 0 to `top`, which stand for code - zero times a scale; without a `zero` there is a bias, too."""

    top: int
    zero: int | None


def least_squares(rows: Floats, low: Floats, high: Floats, bits: int, *, symmetric: bool) -> tuple[Floats, Floats]:
    """Scale and bias for each row, whose minima and maxima are `low` and `high`.

    Rows whose values are all equal, or (symmetric) all zero, and rows for which nothing better was found have a scale
    of zero.
    """
    levels = _Levels((1 << bits) - 1, 1 << (bits - 1) if symmetric else None)
    scale, bias = np.zeros((2, len(rows)), np.float32)
    block = max(1, _CHUNK // rows.shape[1])
    for first in range(0, len(rows), block):
        some = slice(first, first + block)
        scale[some], bias[some] = _fitted(rows[some], low[some], high[some], levels)
    return scale, bias


def _fitted(rows: Floats, low: Floats, high: Floats, levels: _Levels) -> tuple[Floats, Floats]:
    """Scale and bias of some rows, computed with values of about -1 to 1."""
    least, most = low.astype(np.float64), high.astype(np.float64)
    centre = np.zeros(len(rows)) if levels.zero is not None else (least + most) / 2
    reach = np.maximum(most - centre, centre - least)
    unit = np.where(reach > 0, reach, 1)
    values = ((rows - centre[:, None]) / unit[:, None]).astype(np.float32)
    mean = values.mean(axis=1, dtype=np.float64)
    scale, bias = _best_start(values, mean, levels)
    best = np.full(len(rows), np.inf)
    kept = scale, bias
    for _ in range(_STEPS):
        error, next_scale, next_bias = _regressed(values, scale, bias, levels)
        better = error < best
        best = np.where(better, error, best)
        kept = np.where(better, scale, kept[0]), np.where(better, bias, kept[1])
        scale, bias = next_scale, next_bias
    with np.errstate(over="ignore"):
        step: Floats = (kept[0] * unit * (reach > 0)).astype(np.float32)
        start = centre + kept[1] * unit if levels.zero is None else np.float32(-levels.zero) * step
        return step, start.astype(np.float32)


def _best_start(values: Floats, mean: Doubles, levels: _Levels) -> tuple[Doubles, Doubles]:
    """Of the shrunk ranges, the one with the least squared error for each row.

    Both ends are shrunk alike at first, and then each by itself around the best.
    """
    ends = np.stack((values.min(axis=1) - mean, values.max(axis=1) - mean))
    best = np.full(len(values), np.inf)
    shrunk = np.ones((2, len(values)))
    found = np.ones((2, len(values)))
    for factors in (_BOTH, *(_EACH if levels.zero is None else _ALIKE)):
        for factor in shrunk * np.asarray(factors)[:, :, None]:
            if levels.zero is None:
                bias, most = mean + factor * ends
                scale = (most - bias) / levels.top
            else:
                scale = factor[0] / (levels.zero - 1)
                bias = -levels.zero * scale
            scale = np.where(scale > 0, scale, 1)
            error = _regressed(values, scale, bias, levels, only_error=True)[0]
            better = error < best
            shrunk, found = np.where(better, factor, shrunk), np.where(better, (scale, bias), found)
            best = np.minimum(error, best)
    return found[0], found[1]


def _regressed(
    values: Floats, scale: Doubles, bias: Doubles, levels: _Levels, *, only_error: bool = False
) -> tuple[Doubles, Doubles, Doubles]:
    """The squared error of each row with this scale and bias, and then the best scale and bias for the same codes."""
    squares, products, error, codes_sum, errors_sum = np.zeros((5, len(values)))
    step, start = scale.astype(np.float32)[:, None], bias.astype(np.float32)[:, None]
    for begin in range(0, values.shape[1], _CHUNK):
        part = values[:, begin : begin + _CHUNK]
        codes = part - start
        codes *= 1 / step
        np.rint(codes, out=codes)
        np.maximum(codes, 0, out=codes)
        np.minimum(codes, levels.top, out=codes)
        errors = codes * step
        errors += start
        np.subtract(part, errors, out=errors)
        error += np.einsum("ij,ij->i", errors, errors)
        if not only_error:
            codes -= levels.zero or 0
            squares += np.einsum("ij,ij->i", codes, codes)
            products += np.einsum("ij,ij->i", codes, errors)
            codes_sum += codes.sum(axis=1)
            errors_sum += errors.sum(axis=1)
    if levels.zero is not None:
        scale = scale + np.divide(products, squares, where=squares > 0, out=np.zeros_like(squares))
        return error, scale, -levels.zero * scale
    size = values.shape[1]
    spread = squares - codes_sum * codes_sum / size
    slope = np.divide(products - codes_sum * errors_sum / size, spread, where=spread > 0, out=np.zeros_like(spread))
    return error, scale + slope, bias + (errors_sum - slope * codes_sum) / size


def nearest_codes(rows: Floats, scale: Floats, bias: Floats, bits: int) -> tuple[NDArray[np.uint8], Doubles]:
    """The nearest codes for each row, and the squared error of each row, in float64; scales of zero have code 0."""
    codes = np.empty(rows.shape, np.uint8)
    error = np.zeros(len(rows))
    wide, start = scale.astype(np.float64)[:, None], bias.astype(np.float64)[:, None]
    step = np.where(wide > 0, wide, np.inf)
    for some, part in _parts(rows.shape):
        values = rows[part].astype(np.float64)
        code = np.clip(np.rint((values - start[some]) / step[some]), 0, (1 << bits) - 1)
        codes[part] = code
        values -= code * wide[some] + start[some]
        error[some] += np.einsum("ij,ij->i", values, values)
    return codes, error


def squared_errors(rows: Floats, codes: NDArray[np.uint8], scale: Floats, bias: Floats) -> Doubles:
    """The squared error of each row, in float64."""
    error = np.zeros(len(rows))
    wide, start = scale.astype(np.float64)[:, None], bias.astype(np.float64)[:, None]
    for some, part in _parts(rows.shape):
        values = rows[part] - (codes[part] * wide[some] + start[some])
        error[some] += np.einsum("ij,ij->i", values, values)
    return error


def _parts(shape: tuple[int, ...]) -> Iterator[tuple[slice, tuple[slice, slice]]]:
    """The rows, and the rows and columns, of the parts of a matrix that a cache holds."""
    block = max(1, _CHUNK // shape[1])
    for first in range(0, shape[0], block):
        some = slice(first, first + block)
        for begin in range(0, shape[1], _CHUNK):
            yield some, (some, slice(begin, begin + _CHUNK))
