"""All 17 data types of weight.bin: files written by formula and by coremltools' own writer, values by formula."""

from __future__ import annotations

import struct
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from coremltools.libmilstoragepython import _BlobStorageWriter

from mlexplorer.errors import FileFormatError
from mlexplorer.formats.blob_file import BlobFiles, read_blob
from mlexplorer.formats.member import BytesMember, FileMember

COUNT = 37

# data type: its number in the file, NumPy's type for its values, bits
TYPES = {
    "float16": (1, np.float16, 16),
    "float32": (2, np.float32, 32),
    "uint8": (3, np.uint8, 8),
    "int8": (4, np.int8, 8),
    "bfloat16": (5, ml_dtypes.bfloat16, 16),
    "int16": (6, np.int16, 16),
    "uint16": (7, np.uint16, 16),
    "int4": (8, np.int8, 4),
    "uint1": (9, np.uint8, 1),
    "uint2": (10, np.uint8, 2),
    "uint4": (11, np.uint8, 4),
    "uint3": (12, np.uint8, 3),
    "uint6": (13, np.uint8, 6),
    "int32": (14, np.int32, 32),
    "uint32": (15, np.uint32, 32),
    "float8e4m3fn": (16, ml_dtypes.float8_e4m3fn, 8),
    "float8e5m2": (17, ml_dtypes.float8_e5m2, 8),
}


def values_of(name: str) -> np.ndarray:
    _, dtype, bits = TYPES[name]
    rng = np.random.default_rng(len(name))
    if "float" in name:
        return rng.normal(size=COUNT).astype(np.float32).astype(dtype)
    low, high = (-(1 << bits - 1), 1 << bits - 1) if name.startswith("int") else (0, 1 << bits)
    return np.concatenate([[low, high - 1], rng.integers(low, high, COUNT - 2)]).astype(dtype)


def packed(name: str, values: np.ndarray) -> bytes:
    bits = TYPES[name][2]
    if bits >= 8:
        return values.tobytes()
    number = sum((int(value) & ((1 << bits) - 1)) << (bits * i) for i, value in enumerate(values))
    return number.to_bytes((bits * len(values) + 7) // 8, "little")


def blob_file(*blobs: tuple[int, bytes, int]) -> tuple[bytes, list[int]]:
    """A file of (data type, data, padding bits), and the offsets of the metadata."""
    out, offsets = bytearray(struct.pack("<II56x", len(blobs), 2)), []
    for number, data, padding in blobs:
        out += bytes(-len(out) % 64)
        offsets.append(len(out))
        out += struct.pack("<IIQQQ32x", 0xDEADBEEF, number, len(data), len(out) + 64, padding) + data
    return bytes(out), offsets


def test_all_data_types_by_formula() -> None:
    stored = {name: (TYPES[name][0], packed(name, values_of(name)), -COUNT * TYPES[name][2] % 8) for name in TYPES}
    file, offsets = blob_file(*stored.values())
    blobs = BlobFiles("some.mlpackage", {"weights/weight.bin": BytesMember("weight.bin", file)})
    for name, offset in zip(TYPES, offsets, strict=True):
        data_type, data = blobs.read("@model_path/weights/weight.bin", offset)
        assert (data_type.name, data_type.bits, len(data)) == (name, TYPES[name][2], len(stored[name][1]))
        decoded = data_type.decode(data, COUNT)
        np.testing.assert_array_equal(decoded, values_of(name).astype(decoded.dtype))
        assert decoded.dtype == (np.float32 if name.startswith(("bfloat", "float8")) else TYPES[name][1])


@pytest.mark.parametrize("name", ["float8e4m3fn", "float8e5m2"])
def test_every_code_of_the_8_bit_floats(name: str) -> None:
    file, offsets = blob_file((TYPES[name][0], bytes(range(256)), 0))
    data_type, data = read_blob(BytesMember("weight.bin", file), offsets[0])
    expected = np.frombuffer(bytes(range(256)), TYPES[name][1]).astype(np.float32)
    np.testing.assert_array_equal(data_type.decode(data, 256), expected)


def test_files_of_coremltools(tmp_path: Path) -> None:
    path = tmp_path / "weight.bin"
    writer = _BlobStorageWriter(str(path))
    offsets = {}
    for name in TYPES:
        method = {"float32": "write_float_data", "float16": "write_fp16_data"}.get(name, f"write_{name}_data")
        if hasattr(writer, method):
            values = values_of(name)
            offsets[name] = getattr(writer, method)(values.view(np.uint16) if name == "float16" else values)
    del writer
    assert len(offsets) == 14
    for name, offset in offsets.items():
        data_type, data = read_blob(FileMember(path), offset)
        assert data_type.name == name
        np.testing.assert_array_equal(data_type.decode(data, COUNT), values_of(name))


def test_broken_files_are_named_and_explained() -> None:
    file, offsets = blob_file((2, np.arange(50, dtype=np.float32).tobytes(), 0), (99, b"1234", 0))

    def refused(data: bytes, offset: int, words: str) -> None:
        with pytest.raises(FileFormatError, match=f"some/weight.bin.*{words}"):
            read_blob(BytesMember("some/weight.bin", data), offset)

    refused(file, 128, "no weight at offset 128")
    refused(file, 10**12, "no weight at offset 1,000,000,000,000")
    refused(file, offsets[1], "unknown data type 99")
    refused(file[:200], offsets[0], "is truncated: it has 200 bytes and should have at least 328")
    refused(b"version https://git-lfs.github.com/spec/v1\nsize 5\n", 64, "git lfs pull")
    refused(struct.pack("<II", 3, 1) + bytes(2000), 64, "not a weight file of version 2")
    with pytest.raises(FileFormatError, match=r"some.mlpackage has no file 'weights/0-weight.bin'"):
        BlobFiles("some.mlpackage", {}).read("@model_path/weights/0-weight.bin", 64)


def test_a_file_that_changed_after_loading_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weight.bin"
    file, offsets = blob_file((2, bytes(200), 0))
    path.write_bytes(file)
    member = FileMember(path)
    assert len(read_blob(member, offsets[0])[1]) == 200
    path.write_bytes(file + b"more")
    with pytest.raises(FileFormatError, match="changed or removed after the model was loaded"):
        read_blob(member, offsets[0])
