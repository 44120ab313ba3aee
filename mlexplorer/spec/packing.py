"""Streams of n-bit codes, most significant bit first, as `WeightParams.rawValue` holds them.

Eight codes are viewed as one 64-bit word and merged in three steps of mask and shift (8 -> 16 -> 32 -> 64-bit lanes);
the n lowest bytes of the word are then the n packed bytes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import ModelError, QuantizationError

Codes = NDArray[np.uint8]

_CHUNK = 1 << 15
_LANES = tuple(
    (width, np.uint64(high), np.uint64(low))
    for width, high, low in (
        (8, 0xFF00FF00FF00FF00, 0x00FF00FF00FF00FF),
        (16, 0xFFFF0000FFFF0000, 0x0000FFFF0000FFFF),
        (32, 0xFFFFFFFF00000000, 0x00000000FFFFFFFF),
    )
)


def packed_size(count: int, bits: int) -> int:
    """Bytes that `count` codes of `bits` bits take: padded to a byte once, at the very end."""
    return (count * bits + 7) // 8


def pack_bits(codes: Codes, bits: int) -> bytes:
    """Pack codes (uint8, any shape, C order) of 1 to 8 bits each into one stream.

    Raises QuantizationError where a code does not fit into `bits` bits.
    """
    _check_bits(bits)
    flat = np.ascontiguousarray(codes, dtype=np.uint8).reshape(-1)
    if bits == 8:
        return flat.tobytes()
    if flat.size and int(flat.max()) >> bits:
        raise QuantizationError(f"a code of {int(flat.max())} does not fit into {bits} bits")
    packed = np.empty(-(-flat.size // 8) * bits, np.uint8)
    for start in range(0, flat.size, _CHUNK):
        part = flat[start : start + _CHUNK]
        if part.size % 8:
            part = np.pad(part, (0, -part.size % 8))
        word = part.view(">u8").astype(np.uint64)
        for width, high, low in _LANES:
            word = ((word & high) >> np.uint64(width - bits * width // 8)) | (word & low)
        columns = word.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 8 - bits :]
        first = start // 8 * bits
        packed[first : first + columns.size].reshape(-1, bits)[...] = columns
    return packed[: packed_size(flat.size, bits)].tobytes()


def unpack_bits(data: bytes, bits: int, count: int) -> Codes:
    """The first `count` codes of a packed stream, as a flat uint8 array of its own.

    Raises ModelError where the stream is shorter than `count` codes.
    """
    _check_bits(bits)
    size = packed_size(count, bits)
    if len(data) < size:
        raise ModelError(f"{count} codes of {bits} bits take {size} bytes, but there are only {len(data)}")
    stream = np.frombuffer(data, np.uint8, size)
    if bits == 8:
        return stream.copy()
    codes = np.empty(count + -count % 8, np.uint8)
    step = _CHUNK // 8 * bits
    for start in range(0, size, step):
        part = stream[start : start + step]
        if part.size % bits:
            part = np.pad(part, (0, -part.size % bits))
        columns = np.zeros((part.size // bits, 8), np.uint8)
        columns[:, 8 - bits :] = part.reshape(-1, bits)
        word = columns.view(">u8").reshape(-1).astype(np.uint64)
        for width, high, _ in reversed(_LANES):
            used = bits * width // 8
            word = ((word << np.uint64(width - used)) & high) | (word & _lanes(used, width))
        codes[start // bits * 8 :][: word.size * 8] = word.astype(">u8").view(np.uint8)
    return codes[:count]


def _lanes(used: int, width: int) -> np.uint64:
    """A mask of the `used` lowest bits of every lane of 2 * `width` bits."""
    return np.uint64(sum(((1 << used) - 1) << shift for shift in range(0, 64, 2 * width)))


def _check_bits(bits: int) -> None:
    if not 1 <= bits <= 8:
        raise QuantizationError(f"codes have 1 to 8 bits, not {bits}")
