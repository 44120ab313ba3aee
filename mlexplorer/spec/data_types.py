"""The data types of ML Program tensors: their numbers in weight.bin and in MIL, and their bytes as arrays.

Values are little-endian; those below 8 bits are packed least significant bit first. NumPy has no bfloat16 and no 8-bit
floats, which become float32; packed integers become int8 or uint8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import ModelError


@dataclass(frozen=True)
class DataType:
    """One data type: `name` as NumPy has it, `mil` as the enum DataType has it, `blob` its number in weight.bin."""

    name: str
    mil: str
    bits: int
    blob: int | None = None

    def nbytes(self, count: int) -> int:
        """Bytes that `count` values take."""
        return (count * self.bits + 7) // 8

    def decode(self, data: bytes, count: int) -> NDArray[Any]:
        """The first `count` values in `data` as a flat array; raises ModelError where there are fewer."""
        if len(data) < self.nbytes(count):
            raise ModelError(f"{count} values of type {self.name} need {self.nbytes(count)} bytes, not {len(data)}")
        data = data[: self.nbytes(count)]
        if self.name == "bfloat16":
            return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
        if self.name in _FLOAT8:
            return _FLOAT8[self.name][np.frombuffer(data, np.uint8)]
        if self.bits >= 8:
            return np.frombuffer(data, np.dtype(self.name).newbyteorder("<")).astype(self.name)
        return self._unpack(data, count)

    def _unpack(self, data: bytes, count: int) -> NDArray[Any]:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little", count=count * self.bits)
        values = np.packbits(bits.reshape(-1, self.bits), axis=1, bitorder="little")[:, 0]
        if self.name == "int4":
            return (values << 4).view(np.int8) >> 4
        return values


def _float8(exponent_bits: int, bias: int, *, has_infinity: bool) -> NDArray[np.float32]:
    """All 256 values of an 8-bit float: sign, exponent, mantissa; OCP 8-bit floating point specification."""
    code = np.arange(256)
    mantissa_bits = 7 - exponent_bits
    mantissa = (code & ((1 << mantissa_bits) - 1)) / (1 << mantissa_bits)
    exponent = (code >> mantissa_bits) & ((1 << exponent_bits) - 1)
    magnitude = np.where(
        exponent == 0, mantissa * 2.0 ** (1 - bias), (1 + mantissa) * 2.0 ** (exponent - bias).astype(np.float64)
    )
    if has_infinity:
        top = exponent == (1 << exponent_bits) - 1
        magnitude = np.where(top, np.where(mantissa == 0, np.inf, np.nan), magnitude)
    else:
        magnitude = np.where((code & 0x7F) == 0x7F, np.nan, magnitude)
    return np.where(code < 128, magnitude, -magnitude).astype(np.float32)


_FLOAT8 = {
    "float8e4m3fn": _float8(4, 7, has_infinity=False),
    "float8e5m2": _float8(5, 15, has_infinity=True),
}

DATA_TYPES = (
    DataType("float16", "FLOAT16", 16, 1),
    DataType("float32", "FLOAT32", 32, 2),
    DataType("uint8", "UINT8", 8, 3),
    DataType("int8", "INT8", 8, 4),
    DataType("bfloat16", "BFLOAT16", 16, 5),
    DataType("int16", "INT16", 16, 6),
    DataType("uint16", "UINT16", 16, 7),
    DataType("int4", "INT4", 4, 8),
    DataType("uint1", "UINT1", 1, 9),
    DataType("uint2", "UINT2", 2, 10),
    DataType("uint4", "UINT4", 4, 11),
    DataType("uint3", "UINT3", 3, 12),
    DataType("uint6", "UINT6", 6, 13),
    DataType("int32", "INT32", 32, 14),
    DataType("uint32", "UINT32", 32, 15),
    DataType("float8e4m3fn", "FLOAT8E4M3FN", 8, 16),
    DataType("float8e5m2", "FLOAT8E5M2", 8, 17),
    DataType("float64", "FLOAT64", 64),
    DataType("int64", "INT64", 64),
    DataType("uint64", "UINT64", 64),
    DataType("bool", "BOOL", 8),
    DataType("string", "STRING", 0),
)

BY_BLOB = {data_type.blob: data_type for data_type in DATA_TYPES if data_type.blob is not None}
BY_MIL = {data_type.mil: data_type for data_type in DATA_TYPES}
