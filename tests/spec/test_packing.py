"""Packed codes against NumPy's own bit packing, and against bytes worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from mlexplorer.errors import ModelError, QuantizationError
from mlexplorer.spec.packing import pack_bits, packed_size, unpack_bits

LENGTHS = (0, 1, 2, 7, 8, 9, 63, 65, 1000, 32768, 32769, 100_003)


def by_numpy(codes: np.ndarray, bits: int) -> bytes:
    return np.packbits(np.unpackbits(codes[:, None], axis=1)[:, 8 - bits :]).tobytes()


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_length_packs_like_numpy_and_comes_back(bits: int) -> None:
    rng = np.random.default_rng(bits)
    for length in LENGTHS:
        codes = rng.integers(0, 1 << bits, length).astype(np.uint8)
        packed = pack_bits(codes, bits)
        assert packed == by_numpy(codes, bits)
        assert len(packed) == packed_size(length, bits)
        np.testing.assert_array_equal(unpack_bits(packed, bits, length), codes)


def test_the_most_significant_bit_comes_first_and_only_the_end_is_padded() -> None:
    # 101 011 110 001 -> 10101111 0001(0000)
    assert pack_bits(np.array([5, 3, 6, 1], np.uint8), 3) == bytes([0b10101111, 0b00010000])


def test_any_shape_and_any_strides() -> None:
    codes = np.arange(24, dtype=np.uint8).reshape(2, 3, 4).transpose(2, 0, 1)
    assert pack_bits(codes, 5) == by_numpy(codes.reshape(-1), 5)


def test_a_longer_stream_gives_the_first_codes() -> None:
    np.testing.assert_array_equal(unpack_bits(bytes([0b00011011, 0xFF]), 2, 3), [0, 1, 2])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ModelError, match="7 codes of 3 bits take 3 bytes, but there are only 2"):
        unpack_bits(bytes(2), 3, 7)
    with pytest.raises(QuantizationError, match="a code of 8 does not fit into 3 bits"):
        pack_bits(np.array([1, 8], np.uint8), 3)
    for bits in (0, 9):
        with pytest.raises(QuantizationError, match="1 to 8 bits"):
            pack_bits(np.zeros(1, np.uint8), bits)
