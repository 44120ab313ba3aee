"""Quantization by a table: value = table[code], one table of 2^bits entries for the whole weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from mlexplorer.errors import QuantizationError
from mlexplorer.quantization import analysis
from mlexplorer.quantization.linear import linear_codes
from mlexplorer.quantization.scheme import Channels, Scheme
from mlexplorer.spec.weight_params import Encoded, Floats

TableFunction = Callable[[int, Floats], tuple[Any, Any]]

_METHODS = {"kmeans": "lookup table", "linear": "linear lookup table", "function": "own lookup table"}


@dataclass(frozen=True)
class LookupTable(Scheme):
    """A table of 2^bits values, chosen by `method`; each code is the index of its weight's entry.

    "kmeans": the cluster centres with the least squared error (see `kmeans`); the tables of all bit depths come from
    one pass over the weight. "linear": equally spaced, the bytes of coremltools 9. "function": the user's own, in
    coremltools' form `function(bits, weights) -> (table, indices)`, `weights` float32 in the layer's shape, `table` of
    2^bits finite values, `indices` whole numbers below 2^bits, one for each weight; anything else raises
    QuantizationError. Message: LookUpTableQuantizationParams.
    """

    bits: int = 8
    method: Literal["kmeans", "linear", "function"] = "kmeans"
    function: TableFunction | None = None

    name: ClassVar[str] = "lookup_table"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in _METHODS:
            raise QuantizationError(f"method is one of {', '.join(_METHODS)}, not {self.method!r}")
        if (self.method == "function") != (self.function is not None):
            raise QuantizationError('method="function" and function=... belong together')
        if self.function is not None and not callable(self.function):
            raise QuantizationError(f"function must be callable, not {self.function!r}")

    def __repr__(self) -> str:
        own = "" if self.function is None else f", function={getattr(self.function, '__qualname__', self.function)}"
        return f"LookupTable(bits={self.bits}, method={self.method!r}{own})"

    @property
    def label(self) -> str:
        """A few words for menus and tables."""
        return f"{_METHODS[self.method]} {self.bits} bit"

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values. Raises QuantizationError for method="function": a function cannot be stored."""
        if self.function is not None:
            raise QuantizationError(
                f"{self!r} cannot be stored as JSON: keep the function's code and build the scheme anew"
            )
        return {"scheme": self.name, "bits": self.bits, "method": self.method}

    def _encode(self, array: Floats, channels: Channels) -> Encoded:
        if self.function is not None:
            return self._from_function(self.function, array)
        if self.method == "kmeans":
            found = analysis.KEPT.analysis(array)
            table = found.kmeans_table(array, self.bits)
            return Encoded(self.bits, codes=found.nearest(array, table), table=table)
        row = array.reshape(1, -1)
        low, high = row.min(axis=1), row.max(axis=1)
        codes, scale, _ = linear_codes(row, low, high, self.bits)
        if np.isfinite(scale[0]):
            table = (np.arange(1 << self.bits) * float(scale[0]) + float(low[0])).astype(np.float32)
            return Encoded(self.bits, codes=codes.reshape(-1), table=table)
        table = np.linspace(float(low[0]), float(high[0]), 1 << self.bits).astype(np.float32)
        return Encoded(self.bits, codes=analysis.KEPT.analysis(array).nearest(array, table), table=table)

    def _from_function(self, function: TableFunction, array: Floats) -> Encoded:
        try:
            answer = function(self.bits, array.copy())
        except Exception as error:
            raise QuantizationError(f"the table function raised {type(error).__name__}: {error}") from error
        try:
            table, indices = (np.asarray(part) for part in answer)
        except (TypeError, ValueError):
            raise QuantizationError("the table function must return two arrays: the table and the indices") from None
        entries = 1 << self.bits
        if table.size != entries or table.shape not in ((entries,), (entries, 1), (1, entries)):
            raise QuantizationError(f"{self.bits} bits need a table of {entries} entries, not of shape {table.shape}")
        if table.dtype.kind not in "iuf":
            raise QuantizationError(f"the table must hold real numbers, not {table.dtype}")
        with np.errstate(over="ignore"):
            table = table.reshape(-1).astype(np.float32)
        if not np.isfinite(table).all():
            raise QuantizationError("the table has entries that are NaN, infinite or too large for 32-bit floats")
        if indices.size != array.size:
            raise QuantizationError(f"there must be one index for each of the {array.size} weights, not {indices.size}")
        if indices.dtype.kind not in "iuf" or (indices.dtype.kind == "f" and not np.all(indices == np.rint(indices))):
            raise QuantizationError(f"indices must be whole numbers; {indices.dtype} values with fractions are not")
        if indices.min() < 0 or indices.max() >= entries:
            raise QuantizationError(
                f"indices must be 0 to {entries - 1}; there are {indices.min():g} to {indices.max():g}"
            )
        return Encoded(self.bits, codes=indices.reshape(-1).astype(np.uint8), table=table)

    def blank(self, shape: tuple[int, ...], channel_axis: int | None = None, *, groups: int = 1) -> Encoded:
        """Zeros of the same lengths as the encoding of any weight of this shape has."""
        return Encoded(
            self.bits, codes=np.zeros(math.prod(shape), np.uint8), table=np.zeros(1 << self.bits, np.float32)
        )
