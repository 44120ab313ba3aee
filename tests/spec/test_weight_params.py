"""Weights on the wire: against protobuf's own fields, hand-made wire bytes, and the formulas of the format."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from mlexplorer import spec
from mlexplorer.errors import ModelError
from mlexplorer.spec import weight_params
from mlexplorer.spec.packing import pack_bits
from mlexplorer.spec.weight_params import (
    Encoded,
    describe,
    floats_on_the_wire,
    read,
    read_floats,
    weight_count,
    write,
    write_floats,
)


def quantized(codes: list[int], bits: int, **linear: Any) -> Any:
    params = spec.WeightParams(rawValue=pack_bits(np.array(codes, np.uint8), bits))
    params.quantization.numberOfBits = bits
    for field, values in linear.items():
        getattr(params.quantization.linearQuantization, field).extend(values)
    return params


def test_floats_are_read_as_protobuf_reads_them_on_both_paths() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    params = spec.WeightParams(floatValue=values.tolist(), isUpdatable=True)
    assert read_floats(params).dtype == np.float32
    np.testing.assert_array_equal(read_floats(params), list(params.floatValue))
    np.testing.assert_array_equal(floats_on_the_wire(params.SerializeToString(), 1), values)


def test_single_values_packed_chunks_and_other_fields_may_mix_on_the_wire() -> None:
    data = (
        b"\x0a\x08" + struct.pack("<2f", 1, 2)  # floatValue, packed
        + b"\x90\x03\x01"  # isUpdatable
        + b"\x0d" + struct.pack("<f", 3)  # floatValue, single
        + b"\xf2\x01\x03abc"  # rawValue
        + b"\x0a\x00"  # floatValue, packed and empty
        + b"\x0a\x04" + struct.pack("<f", 4)
    )  # fmt: skip
    assert floats_on_the_wire(data, 1).tolist() == [1, 2, 3, 4]
    assert list(spec.WeightParams.FromString(data).floatValue) == [1, 2, 3, 4]


def test_the_wire_is_the_way_where_protobuf_has_no_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    class Boxed:
        """A message of an older protobuf: its repeated fields are no arrays."""

        def __init__(self, params: Any) -> None:
            self.DESCRIPTOR = params.DESCRIPTOR
            self.SerializeToString = params.SerializeToString
            self.floatValue = list(params.floatValue)

    values = np.arange(3000, dtype=np.float32)
    params = spec.WeightParams(floatValue=values.tolist())
    asked = []
    monkeypatch.setattr(weight_params, "floats_on_the_wire", lambda *a: asked.append(a[1]) or floats_on_the_wire(*a))
    np.testing.assert_array_equal(read_floats(Boxed(params)), values)
    assert asked == [1]


@pytest.mark.parametrize("count", [0, 1, 31, 32, 5000])
def test_written_floats_replace_and_serialize_as_protobuf_writes_them(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    params = spec.WeightParams(floatValue=[7, 8])
    weight_params.write_floats(params, values)
    assert params.SerializeToString() == spec.WeightParams(floatValue=values.tolist()).SerializeToString()


def test_linear_values_per_channel_on_any_axis() -> None:
    codes = [0, 1, 2, 3, 3, 2]
    params = quantized(codes, 2, scale=[0.5, 2, 10], bias=[1, 0, -4])
    by_hand = np.array([[1, 2, 16], [2.5, 6, 16]], np.float32)
    np.testing.assert_array_equal(read(params).decode((2, 3), 1), by_hand)
    rows = quantized(codes, 2, scale=[0.5, 2], bias=[1, 0])
    np.testing.assert_array_equal(read(rows).decode((2, 3), 0), [[1, 1.5, 2], [6, 6, 4]])
    one = quantized(codes, 2, scale=[0.5])
    np.testing.assert_array_equal(read(one).decode((6,)), np.array(codes) / 2)


def test_a_grouped_deconvolution_may_have_one_scale_for_each_of_all_its_outputs() -> None:
    # [4 inputs, 3 outputs per group, 1, 1] in 2 groups: output g * 3 + j reads inputs 2g and 2g + 1
    params = quantized([1] * 12, 1, scale=[1, 2, 3, 4, 5, 6], bias=[0] * 6)
    decoded = read(params).decode((4, 3, 1, 1), 1).reshape(4, 3)
    np.testing.assert_array_equal(decoded, [[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]])
    few = quantized([1] * 12, 1, scale=[1, 2, 3], bias=[0] * 3)
    np.testing.assert_array_equal(read(few).decode((4, 3, 1, 1), 1).reshape(4, 3), [[1, 2, 3]] * 4)


def test_table_float16_and_dynamic_values() -> None:
    table = quantized([3, 0, 1], 2)
    table.quantization.lookupTableQuantization.floatValue.extend([10, 20, 30, 40])
    assert read(table).decode((3,)).tolist() == [40, 10, 20]
    half = spec.WeightParams(float16Value=struct.pack("<3e", 1.5, -2, 65504))
    assert read(half).decode((3, 1)).tolist() == [[1.5], [-2], [65504]]
    dynamic = spec.WeightParams(int8RawValue=struct.pack("4b", -128, -1, 0, 127))
    dynamic.quantization.numberOfBits = 8
    dynamic.quantization.linearQuantization.scale.extend([0.5, 2])
    np.testing.assert_array_equal(read(dynamic).decode((2, 2), 0), [[-64, -0.5], [0, 254]])


@pytest.mark.parametrize(
    ("encoded", "kind", "bits", "nbytes"),
    [
        (Encoded(32, values=np.ones(5, np.float32)), "float32", 32, 20),
        (Encoded(16, values=np.ones(5, np.float16)), "float16", 16, 10),
        (Encoded(3, codes=np.array([7, 0, 5], np.uint8), table=np.arange(8, dtype=np.float32)), "lookup_table", 3, 34),
        (Encoded(8, codes=np.array([-7, 5], np.int8), scale=np.ones(1, np.float32)), "int8", 8, 6),
        (Encoded(32, values=np.empty(0, np.float32)), "empty", 0, 0),
        (
            Encoded(6, codes=np.array([63, 1], np.uint8), scale=np.ones(2, np.float32), bias=np.ones(2, np.float32)),
            "linear",
            6,
            18,
        ),
    ],
)
def test_each_kind_is_written_described_and_read_back(encoded: Encoded, kind: str, bits: int, nbytes: int) -> None:
    params = quantized([1, 2], 8, scale=[1], bias=[2])
    params.isUpdatable = True
    write(params, encoded)
    back = read(params)
    assert params.isUpdatable
    assert (encoded.kind, back.kind, describe(params)) == (kind, kind, (kind, bits))
    assert (encoded.nbytes, back.nbytes) == (nbytes, nbytes)
    stored = back.values if back.codes is None else back.codes
    assert stored is not None
    assert weight_count(params) == stored.size
    for field in ("values", "codes", "scale", "bias", "table"):
        before, after = getattr(encoded, field), getattr(back, field)
        if before is None:
            assert after is None
        else:
            np.testing.assert_array_equal(after[: before.size], before)


@pytest.mark.parametrize(
    ("params", "shape", "axis", "message"),
    [
        (quantized([1] * 8, 1, scale=[1], bias=[0]), (9,), None, "conv: shape .9,. needs 9 codes of 1 bits, .* 8"),
        (quantized([1] * 6, 1, scale=[1, 2], bias=[0, 0]), (3, 2), 0, "2 scales fit neither .* 3 channels"),
        (quantized([1] * 6, 1, scale=[1, 2], bias=[0]), (3, 2), 1, "2 scales but 1 biases"),
        (quantized([1] * 6, 1), (3, 2), 0, "without a scale or a table"),
        (spec.WeightParams(floatValue=[1, 2]), (3,), None, "needs 3 values, the file has 2"),
        (spec.WeightParams(), (3,), None, "needs 3 values, the file has 0"),
        (spec.WeightParams(float16Value=b"123"), (1,), None, "odd number of bytes"),
        (spec.WeightParams(floatValue=[1], float16Value=b"12"), (1,), None, "given twice, as floatValue and float16"),
        (spec.WeightParams(rawValue=b"12"), (2,), None, "numberOfBits is 0"),
    ],
)
def test_contradictions_are_named(params: Any, shape: tuple[int, ...], axis: int | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        read(params, name="conv").decode(shape, axis, name="conv")


def test_a_table_of_the_wrong_length_is_named() -> None:
    params = quantized([1, 2], 2)
    params.quantization.lookupTableQuantization.floatValue.extend([1, 2, 3])
    with pytest.raises(ModelError, match="lookup: 2 bits need a table of 4 entries, not 3"):
        read(params).decode((2,), name="lookup")


@pytest.mark.parametrize("axes", [(3, 2, 0, 1), (3, 2, 1, 0), (0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1)])
def test_the_axes_of_a_large_array_may_lie_in_any_order(axes: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).normal(size=(3, 5, 37, 131)).astype(np.float32).transpose(axes)
    for values in (array, array[..., ::-1], array[::2], array.astype(">f4"), array.astype(np.float64)):
        params = spec.WeightParams()
        write_floats(params, values)
        np.testing.assert_array_equal(np.array(params.floatValue, np.float32), values.astype(np.float32).ravel())
