"""Linear quantization: equally spaced levels, value = code * scale + bias."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import QuantizationError
from mlexplorer.quantization.least_squares import least_squares, nearest_codes, squared_errors
from mlexplorer.quantization.scheme import Channels, Scheme
from mlexplorer.spec.weight_params import Encoded, Floats

_CHUNK = 1 << 15
_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Linear(Scheme):
    """Equally spaced levels between the minimum and the maximum, for each output channel or for the whole weight.

    scale = (max - min) / (2^bits - 1), bias = min. With `symmetric`, for 2 bits and more, the levels are symmetric to
    zero instead: scale = max|w| / (2^(bits - 1) - 1), bias = -2^(bits - 1) * scale. Codes are rounded half to even.

    With fit="least_squares" scale and bias (with `symmetric` the scale alone) are those of the least squared error that
    was found; values beyond the outermost levels go to these. No channel has a larger error than with fit="range".

    The arithmetic of "range" is float32 and the bytes are those of coremltools 9 with protobuf 7.34 or newer (with an
    older one coremltools computes in float64 and may differ in a last bit). Channels whose scale is at most 1e-6, which
    coremltools flattens to their minimum, are computed in float64 and kept. Weights without channels (biases, vectors,
    constants) have one scale. Message: LinearQuantizationParams.
    """

    bits: int = 8
    symmetric: bool = False
    granularity: Literal["per_channel", "per_tensor"] = "per_channel"
    fit: Literal["range", "least_squares"] = "range"

    name: ClassVar[str] = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.symmetric and self.bits < 2:
            raise QuantizationError("symmetric levels need at least 2 bits: with 1 bit there is none beside zero")
        if self.granularity not in ("per_channel", "per_tensor"):
            raise QuantizationError(f'granularity is "per_channel" or "per_tensor", not {self.granularity!r}')
        if self.fit not in ("range", "least_squares"):
            raise QuantizationError(f'fit is "range" or "least_squares", not {self.fit!r}')

    @property
    def label(self) -> str:
        """A few words for menus and tables."""
        words = [
            "linear",
            "symmetric" if self.symmetric else "",
            "least squares" if self.fit == "least_squares" else "",
            "" if self.per_channel else "per tensor",
        ]
        return " ".join([*filter(None, words), f"{self.bits} bit"])

    @property
    def per_channel(self) -> bool:
        """Whether each output channel has its own scale."""
        return self.granularity == "per_channel"

    def _encode(self, array: Floats, channels: Channels) -> Encoded:
        if not self.per_channel:
            channels = Channels(array.shape)
        codes, scale, bias = self.levels(channels.rows(array))
        return Encoded(self.bits, codes=channels.restore(codes), scale=scale, bias=bias)

    def levels(self, rows: Floats) -> tuple[NDArray[np.uint8], Floats, Floats]:
        """Codes (like `rows`), scale and bias (one for each row) of finite values, each row by itself.

        Raises QuantizationError where the levels do not fit into 32-bit floats.
        """
        low, high = rows.min(axis=1), rows.max(axis=1)
        codes, scale, bias = linear_codes(rows, low, high, self.bits, symmetric=self.symmetric)
        if not self._fits(scale).all():
            raise QuantizationError("the range of the values is too wide for 32-bit floats; use a LookupTable")
        if self.fit == "least_squares":
            self._refit(rows, low, high, codes, scale, bias)
        return codes, scale, bias

    def _fits(self, scale: Floats) -> NDArray[np.bool_]:
        """Whether the largest code times the scale is a 32-bit float."""
        with np.errstate(over="ignore"):
            return np.asarray(np.isfinite(scale * np.float32((1 << self.bits) - 1)))

    def _refit(
        self, rows: Floats, low: Floats, high: Floats, codes: NDArray[np.uint8], scale: Floats, bias: Floats
    ) -> None:
        """Replace codes, scale and bias of the rows for which the least squares are below the error of the range."""
        fitted_scale, fitted_bias = least_squares(rows, low, high, self.bits, symmetric=self.symmetric)
        fitted, error = nearest_codes(rows, fitted_scale, fitted_bias, self.bits)
        better = (fitted_scale > 0) & self._fits(fitted_scale) & (error < squared_errors(rows, codes, scale, bias))
        codes[better], scale[better], bias[better] = fitted[better], fitted_scale[better], fitted_bias[better]

    def blank(self, shape: tuple[int, ...], channel_axis: int | None = None, *, groups: int = 1) -> Encoded:
        """Zeros of the same lengths as the encoding of any weight of this shape has."""
        zeros = np.zeros(len(Channels(shape, channel_axis, groups)) if self.per_channel else 1, np.float32)
        return Encoded(self.bits, codes=np.zeros(math.prod(shape), np.uint8), scale=zeros, bias=zeros)


def linear_codes(
    rows: Floats, low: Floats, high: Floats, bits: int, *, symmetric: bool = False
) -> tuple[NDArray[np.uint8], Floats, Floats]:
    """Codes (like `rows`), scale and bias (one for each row) of rows whose minima and maxima are `low` and `high`.

    Where code * scale would not fit into float32, the codes mean nothing.
    """
    steps = (1 << bits) / 2 - 1 if symmetric else (1 << bits) - 1
    with np.errstate(over="ignore"):
        reach = np.maximum(np.abs(low), np.abs(high)) if symmetric else high - low
        scale: Floats = (reach / np.float32(steps)).astype(np.float32)
        bias: Floats = np.float32(-(1 << bits) / 2) * scale if symmetric else low.copy()
    usual = (scale > np.float32(_LEAST_SCALE)) & np.isfinite(scale) & np.isfinite(bias)
    if usual.all():
        return _usual_codes(rows, scale, bias, symmetric), scale, bias
    codes = np.empty(rows.shape, np.uint8)
    codes[usual] = _usual_codes(rows[usual], scale[usual], bias[usual], symmetric)
    step = scale[~usual, None].astype(np.float64)
    above = rows[~usual] - bias[~usual, None].astype(np.float64)
    exact = np.divide(above, step, where=(step > 0) & np.isfinite(above), out=np.zeros_like(above))
    codes[~usual] = np.clip(np.rint(exact), 0, (1 << bits) - 1)
    return codes, scale, bias


def _usual_codes(rows: Floats, scale: Floats, bias: Floats, symmetric: bool) -> NDArray[np.uint8]:
    """Codes in float32, by coremltools' operations in their order, a cacheful at a time."""
    codes = np.empty(rows.shape, np.uint8)
    move, step = (np.divide, scale) if symmetric else (np.multiply, np.float32(1) / scale)
    block = max(1, _CHUNK // max(1, rows.shape[1]))
    for first in range(0, len(rows), block):
        some = slice(first, first + block)
        for start in range(0, rows.shape[1], _CHUNK):
            part = (some, slice(start, start + _CHUNK))
            code = rows[part] - bias[some, None]
            move(code, step[some, None], out=code)
            codes[part] = np.rint(code, out=code)
    return codes
