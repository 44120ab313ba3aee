"""The wire form of weights: `WeightParams` messages to arrays and back, without boxing floats.

kind            field                                              decoded value
"float32"       floatValue                                         as it is
"float16"       float16Value, little-endian                        as it is
"linear"        rawValue, quantization.linearQuantization          code * scale + bias
"lookup_table"  rawValue, quantization.lookupTableQuantization     table[code]
"int8"          int8RawValue, quantization.linearQuantization      code * scale + bias, signed codes
"empty"         none                                               no values
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import ModelError
from mlexplorer.spec.packing import pack_bits, packed_size, unpack_bits

Floats = NDArray[np.float32]

_CHUNK = 1 << 15
_BLOCK = 64
_HEAD = 4  # floats: room for the tag and the length of a field
_VALUE_FIELDS = ("floatValue", "float16Value", "rawValue", "int8RawValue")


def read_floats(message: Any, field: str = "floatValue") -> Floats:
    """A repeated float field as a float32 array, at memory speed on every version of protobuf."""
    values = getattr(message, field)
    if len(values) < 256 or hasattr(values, "__array__"):
        return np.array(values, np.float32)
    return floats_on_the_wire(message.SerializeToString(), message.DESCRIPTOR.fields_by_name[field].number)


def write_floats(message: Any, array: NDArray[Any], field: str = "floatValue") -> None:
    """Replace a repeated float field by the values of an array, at memory speed on every version of protobuf."""
    message.ClearField(field)
    array = np.asarray(array)
    if not array.size:
        return
    head = _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2) + _varint(4 * array.size)
    space = np.empty(_HEAD + array.size, "<f4")
    _fill(space[_HEAD:].reshape(array.shape), array)
    wire = space.data.cast("B")
    start = 4 * _HEAD - len(head)
    wire[start : 4 * _HEAD] = head
    message.MergeFromString(wire[start:])


def _fill(out: Floats, array: NDArray[Any]) -> None:
    """Copy; arrays whose axes lie in another order go in blocks that fit the cache."""
    if array.ndim < 2 or array.flags.c_contiguous or array.size < _CHUNK:
        out[...] = array
        return
    for first in range(0, len(array), _BLOCK):
        some = slice(first, first + _BLOCK)
        out[some] = array[some].copy(order="K")


def floats_on_the_wire(data: bytes, number: int) -> Floats:
    """The values of the repeated float field `number` in a serialized message: packed chunks, single values or both."""
    chunks = [np.frombuffer(data, "<f4", (end - start) // 4, start) for start, end in _payloads(data, number)]
    return np.concatenate(chunks).astype(np.float32, copy=False) if chunks else np.empty(0, np.float32)


def _payloads(data: bytes, number: int) -> Iterator[tuple[int, int]]:
    """Where the payloads of a field of 32-bit values start and end, packed or not."""
    position = 0
    while position < len(data):
        tag, position = _read_varint(data, position)
        wire_type = tag & 7
        if wire_type == 0:
            _, position = _read_varint(data, position)
            continue
        length = 8 if wire_type == 1 else 4
        if wire_type == 2:
            length, position = _read_varint(data, position)
        elif wire_type not in (1, 5):
            raise ModelError(f"wire type {wire_type} in a message of weights")
        if tag >> 3 == number and wire_type in (2, 5):
            yield position, position + length
        position += length


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@dataclass(frozen=True, eq=False)
class Encoded:
    """One weight as the file holds it, unpacked; flat arrays in the order of the file.

    `values` (float32 or float16) where `bits` is 32 or 16; else `codes`, uint8 (int8 for the kind "int8"), with `scale`
    and `bias` (float32, one or one for each channel) or `table` (float32, 2^bits entries). Codes that were read without
    their count may end with the zeros that pad the stream to a whole byte.
    """

    bits: int
    values: NDArray[Any] | None = None
    codes: NDArray[Any] | None = None
    scale: Floats | None = None
    bias: Floats | None = None
    table: Floats | None = None

    @property
    def kind(self) -> str:
        """One of the kinds of this module's table."""
        if self.codes is None:
            return "empty" if self.values is None or not self.values.size else f"float{self.bits}"
        if self.codes.dtype == np.int8:
            return "int8"
        return "linear" if self.table is None else "lookup_table"

    @property
    def nbytes(self) -> int:
        """Bytes of the payload: values or packed codes, scale, bias and table; no tags and lengths."""
        floats = sum(a.nbytes for a in (self.values, self.scale, self.bias, self.table) if a is not None)
        return floats + (0 if self.codes is None else packed_size(self.codes.size, self.bits))

    def decode(self, shape: Sequence[int], channel_axis: int | None = None, *, name: str = "weight") -> Floats:
        """The values as a float32 array of `shape`; `channel_axis` is the axis that scale and bias follow.

        Linear values are code * scale + bias in float64, rounded once, as coremltools has them. Raises ModelError, with
        `name` in the message, where the file has too few values, or a scale, bias or table of the wrong length.
        """
        shape = tuple(int(n) for n in shape)
        count = math.prod(shape)
        stored = self.codes if self.codes is not None else self.values
        if stored is None or (self.codes is None and stored.size != count):
            raise ModelError(
                f"{name}: shape {shape} needs {count} values, the file has {0 if stored is None else stored.size}"
            )
        if self.codes is None:
            return stored.astype(np.float32, copy=False).reshape(shape)
        if stored.size < count:
            raise ModelError(
                f"{name}: shape {shape} needs {count} codes of {self.bits} bits, the file has {stored.size}"
            )
        codes = stored[:count]
        if self.table is not None:
            if self.table.size != 1 << self.bits:
                raise ModelError(
                    f"{name}: {self.bits} bits need a table of {1 << self.bits} entries, not {self.table.size}"
                )
            return np.take(self.table, codes).reshape(shape)
        if self.scale is None or not self.scale.size:
            raise ModelError(f"{name}: quantized values without a scale or a table")
        if self.bias is not None and self.bias.size not in (0, self.scale.size):
            raise ModelError(f"{name}: {self.scale.size} scales but {self.bias.size} biases")
        bias = self.bias if self.bias is not None and self.bias.size else np.zeros_like(self.scale)
        if self.scale.size == 1:
            levels = np.arange(256, dtype=np.uint8).view(codes.dtype) * self.scale.astype(np.float64) + bias
            with np.errstate(over="ignore"):  # of codes that do not occur
                return np.take(levels.astype(np.float32), codes.view(np.uint8)).reshape(shape)
        grouped, broadcast = _channel_shape(shape, channel_axis, self.scale.size)
        if math.prod(broadcast) != self.scale.size:
            channels = math.prod(broadcast)
            raise ModelError(
                f"{name}: {self.scale.size} scales fit neither the whole weight nor its {channels} channels"
            )
        out = np.empty(grouped, np.float32)
        codes, scale, bias = codes.reshape(grouped), self.scale.reshape(broadcast), bias.reshape(broadcast)
        block = max(1, _CHUNK // max(1, math.prod(grouped[1:])))
        for first in range(0, grouped[0], block):
            some = slice(first, first + block)
            of = some if broadcast[0] > 1 else slice(None)
            out[some] = codes[some] * scale[of].astype(np.float64) + bias[of]
        return out.reshape(shape)


def _channel_shape(shape: tuple[int, ...], axis: int | None, scales: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shape to see a weight in, and that of its scale within it.

    A grouped deconvolution is [in, out / groups, ...] with one scale for each of all output channels: it is seen as
    [groups, in / groups, out / groups, ...], channels along axes 0 and 2.
    """
    if axis == 1 and scales > shape[1] > 0 and scales % shape[1] == 0 and shape[0] % (scales // shape[1]) == 0:
        groups = scales // shape[1]
        seen = (groups, shape[0] // groups, *shape[1:])
        return seen, (groups, 1, *shape[1:2], *(1 for _ in shape[2:]))
    return shape, tuple(n if axis == i else 1 for i, n in enumerate(shape))


def describe(params: Any) -> tuple[str, int]:
    """The kind of a WeightParams message, and its bits per value (0 where it is empty), without decoding it."""
    if len(params.floatValue):
        return "float32", 32
    if params.float16Value:
        return "float16", 16
    if params.rawValue:
        table = params.quantization.WhichOneof("QuantizationType") == "lookupTableQuantization"
        return "lookup_table" if table else "linear", int(params.quantization.numberOfBits)
    return ("int8", 8) if params.int8RawValue else ("empty", 0)


def weight_count(params: Any) -> int:
    """How many values a WeightParams message holds.

    For codes of fewer than 8 bits it is the most that fit into the stream: up to seven of them may be padding, and only
    the layer's shape tells.
    """
    kind, bits = describe(params)
    if kind == "float32":
        return len(params.floatValue)
    if kind == "float16":
        return len(params.float16Value) // 2
    if kind == "int8":
        return len(params.int8RawValue)
    return len(params.rawValue) * 8 // bits if bits else 0


def read(params: Any, *, name: str = "weight") -> Encoded:
    """What a WeightParams message holds.

    Raises ModelError, with `name` in the message, where several value fields are set, or the bits are not 1 to 8.
    """
    present = [field for field in _VALUE_FIELDS if len(getattr(params, field))]
    if len(present) > 1:
        raise ModelError(f"{name}: the values are given twice, as {' and '.join(present)}")
    kind, bits = describe(params)
    if kind == "float32":
        return Encoded(32, values=read_floats(params))
    if kind == "float16":
        if len(params.float16Value) % 2:
            raise ModelError(f"{name}: float16Value has an odd number of bytes")
        return Encoded(16, values=np.frombuffer(params.float16Value, "<f2").astype(np.float16))
    if kind == "empty":
        return Encoded(32, values=np.empty(0, np.float32))
    quantization = params.quantization
    linear = quantization.linearQuantization
    if kind == "int8":
        signed = np.frombuffer(params.int8RawValue, np.int8)
        return Encoded(8, codes=signed, scale=_optional(linear, "scale"), bias=_optional(linear, "bias"))
    if not 1 <= bits <= 8:
        raise ModelError(f"{name}: numberOfBits is {bits}, quantized weights have 1 to 8")
    codes = unpack_bits(params.rawValue, bits, weight_count(params))
    if kind == "lookup_table":
        return Encoded(bits, codes=codes, table=read_floats(quantization.lookupTableQuantization))
    return Encoded(bits, codes=codes, scale=_optional(linear, "scale"), bias=_optional(linear, "bias"))


def _optional(message: Any, field: str) -> Floats | None:
    return read_floats(message, field) if len(getattr(message, field)) else None


def write(params: Any, encoded: Encoded) -> None:
    """Make a WeightParams message hold `encoded` instead of what it held; `isUpdatable` stays."""
    for field in (*_VALUE_FIELDS, "quantization"):
        params.ClearField(field)
    if encoded.values is not None:
        if encoded.bits == 32:
            write_floats(params, encoded.values)
        else:
            params.float16Value = encoded.values.astype("<f2").tobytes()
    if encoded.codes is None:
        return
    quantization = params.quantization
    quantization.numberOfBits = encoded.bits
    if encoded.kind == "int8":
        params.int8RawValue = encoded.codes.tobytes()
    else:
        params.rawValue = pack_bits(encoded.codes, encoded.bits)
    if encoded.table is not None:
        write_floats(quantization.lookupTableQuantization, encoded.table)
        return
    quantization.linearQuantization.SetInParent()
    for field in ("scale", "bias"):
        array = getattr(encoded, field)
        if array is not None:
            write_floats(quantization.linearQuantization, array, field)
