"""Schemes as values, and their encodings where coremltools is no example to follow."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import QuantizationError
from mlexplorer.quantization import SCHEMES, Float16, Float32, Linear, LookupTable, Scheme

ALL = [
    *(Linear(bits) for bits in range(1, 9)),
    *(LookupTable(bits) for bits in range(1, 9)),
    Linear(8, symmetric=True),
    Linear(3, granularity="per_tensor"),
    Linear(4, fit="least_squares"),
    Linear(2, symmetric=True, fit="least_squares"),
    LookupTable(2, method="linear"),
    Float16(),
    Float32(),
]


def halves(bits: int, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    table = np.linspace(-1, 1, 1 << bits)
    return table, (weights > 0) * ((1 << bits) - 1)


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.label)
def test_a_scheme_is_a_value(scheme: Scheme) -> None:
    assert eval(repr(scheme)) == scheme
    assert hash(eval(repr(scheme))) == hash(scheme)
    assert Scheme.from_json(json.loads(json.dumps(scheme.to_json()))) == scheme
    assert type(scheme).from_json(scheme.to_json()) == scheme
    assert sum(other == scheme for other in ALL) == 1


def test_labels_and_the_registry() -> None:
    assert dict(SCHEMES.items()) == {
        "linear": Linear, "lookup_table": LookupTable, "float16": Float16, "float32": Float32,
    }  # fmt: skip
    assert Linear(4).label == "linear 4 bit"
    assert Linear(8, symmetric=True, granularity="per_tensor").label == "linear symmetric per tensor 8 bit"
    assert Linear(3, True, "per_tensor", "least_squares").label == "linear symmetric least squares per tensor 3 bit"
    assert LookupTable(2).label == "lookup table 2 bit"
    assert LookupTable(2, "function", halves).label == "own lookup table 2 bit"
    assert Linear(np.int64(3)) == Linear(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Linear(0), "Linear stores 1 to 8 bits per weight, not 0"),
        (lambda: LookupTable(9), "1 to 8 bits per weight, not 9"),
        (lambda: Linear(2.5), "whole number"),  # type: ignore[arg-type]
        (lambda: Linear(1, symmetric=True), "symmetric levels need at least 2 bits"),
        (lambda: Linear(granularity="per_row"), '"per_channel" or "per_tensor", not \'per_row\''),  # type: ignore[arg-type]
        (lambda: Linear(fit="maximum"), '"range" or "least_squares", not \'maximum\''),  # type: ignore[arg-type]
        (lambda: LookupTable(4, "median"), "one of kmeans, linear, function, not 'median'"),  # type: ignore[arg-type]
        (lambda: LookupTable(4, "function"), "belong together"),
        (lambda: LookupTable(4, function=halves), "belong together"),
        (lambda: LookupTable(4, "function", 3), "callable"),  # type: ignore[arg-type]
        (lambda: LookupTable(4, "function", halves).to_json(), "function=halves.* cannot be stored as JSON"),
        (
            lambda: Scheme.from_json({"bits": 4}),
            "no scheme is called None; there are float16, float32, linear, lookup_table",
        ),
        (lambda: Scheme.from_json({"scheme": "linear", "bit": 4}), "'linear' has no bit"),
        (lambda: Linear.from_json({"scheme": "float16"}), "'float16' is the scheme Float16, not Linear"),
    ],
)
def test_what_is_no_scheme(make: Callable[[], object], message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        make()


@pytest.mark.parametrize("bits", range(2, 9))
def test_symmetric_levels_are_symmetric_to_zero_at_every_depth(bits: int) -> None:
    array = np.random.default_rng(bits).normal(size=(3, 50)).astype(np.float32)
    encoded = Linear(bits, symmetric=True).encode(array, 0)
    step = np.abs(array).max(axis=1) / (2 ** (bits - 1) - 1)
    np.testing.assert_allclose(encoded.scale, step, rtol=1e-6)
    np.testing.assert_array_equal(encoded.bias, -(2 ** (bits - 1)) * encoded.scale)
    assert np.all(np.abs(encoded.decode(array.shape, 0) - array) <= step[:, None] * 0.50001)
    assert np.all(Linear(bits, symmetric=True).encode(np.zeros((2, 3))).decode((2, 3)) == 0)


@pytest.mark.parametrize("magnitude", [1e-5, 1e-7, 1e-20, 1e-37, 1e30, 1e38])
@pytest.mark.parametrize("symmetric", [False, True])
def test_channels_of_any_magnitude_keep_their_values(magnitude: float, symmetric: bool) -> None:
    # coremltools flattens channels whose scale is at most 1e-6 to their minimum
    rng = np.random.default_rng(0)
    array = np.stack([rng.uniform(-1, 1, 40), rng.uniform(-1, 1, 40) * magnitude]).astype(np.float32)
    for bits in (3, 8):
        decoded = Linear(bits, symmetric=symmetric).encode(array, 0).decode(array.shape, 0)
        reach = 2 * np.abs(array).max(axis=1) if symmetric else np.ptp(array.astype(np.float64), axis=1)
        levels = 2**bits - (2 if symmetric else 1)
        assert np.all(np.abs(decoded - array.astype(np.float64)) <= (reach / levels * 0.5001)[:, None])


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("source", ["laplace", "gauss", "skewed", "outliers", "offset", "two values", "any magnitude"])
def test_least_squares_are_never_worse_than_the_range(source: str, symmetric: bool, granularity: Any) -> None:
    rng = np.random.default_rng(0)
    drawn = {
        "laplace": lambda: rng.laplace(size=(9, 700)),
        "gauss": lambda: rng.normal(size=(9, 700)),
        "skewed": lambda: rng.exponential(size=(9, 700)) ** 2,
        "outliers": lambda: rng.normal(size=(9, 700)) * np.where(rng.random((9, 700)) < 0.01, 100, 1),
        "offset": lambda: rng.normal(1000, 0.1, size=(9, 700)),
        "two values": lambda: rng.integers(0, 2, (9, 700)) * 3.7 - 0.2,
        "any magnitude": lambda: rng.laplace(size=(9, 700)) * 10.0 ** np.arange(-36, 36, 8)[:, None],
    }
    array = drawn[source]().astype(np.float32)
    for bits in range(2 if symmetric else 1, 9):
        errors = []
        for fit in ("range", "least_squares"):
            encoded = Linear(bits, symmetric, granularity, fit).encode(array, 0)
            assert encoded.codes.max() < 1 << bits
            if symmetric:
                np.testing.assert_array_equal(encoded.bias, -(2 ** (bits - 1)) * encoded.scale)
            wide = (array - encoded.decode(array.shape, 0).astype(np.float64)) ** 2
            errors.append(wide.sum(axis=1 if granularity == "per_channel" else None))
        # values are rounded to 32-bit floats once more when they are decoded
        rounding = array.shape[1] * (np.abs(array).max(axis=1).astype(np.float64) * 2e-7) ** 2
        assert np.all(
            errors[1] <= errors[0] * (1 + 1e-6) + (rounding if granularity == "per_channel" else rounding.sum())
        )


@pytest.mark.parametrize(("bits", "best"), [(1, 4.40), (2, 9.25), (3, 14.27), (4, 19.38), (5, 24.57)])
def test_least_squares_reach_the_optimal_uniform_quantizer(bits: int, best: float) -> None:
    """The signal-to-noise ratios of J. Max, "Quantizing for minimum distortion", 1960, for a Gaussian, in dB."""
    array = np.random.default_rng(0).normal(size=(2, 100_000)).astype(np.float32)

    def ratio(scheme: Linear) -> float:
        noise = array - scheme.encode(array, 0).decode(array.shape, 0).astype(np.float64)
        return float(10 * np.log10(np.mean(np.square(array, dtype=np.float64)) / np.mean(noise**2)))

    assert ratio(Linear(bits, fit="least_squares")) == pytest.approx(best, abs=0.06)
    if 1 < bits < 5:
        assert ratio(Linear(bits, fit="least_squares")) > ratio(Linear(bits)) + 3
        assert ratio(Linear(bits, symmetric=True, fit="least_squares")) > ratio(Linear(bits, symmetric=True)) + 3


def test_constant_channels_keep_their_value_exactly() -> None:
    values = np.float32([0.1, -3e-9, 7e20, 0])
    array = np.repeat(values[:, None], 5, axis=1)
    for scheme in (Linear(1), Linear(8), Linear(4, fit="least_squares"), LookupTable(4), LookupTable(2, "linear")):
        np.testing.assert_array_equal(scheme.encode(values[1:2], 0).decode((1,)), values[1:2])
        if isinstance(scheme, Linear):
            np.testing.assert_array_equal(scheme.encode(array, 0).decode(array.shape, 0), array)


def test_a_range_too_wide_for_a_scale_needs_a_table() -> None:
    array = np.float32([-3e38, -1e38, 3e38])
    for scheme in (Linear(1), Linear(8), Linear(3, symmetric=True), Linear(8, fit="least_squares")):
        with pytest.raises(QuantizationError, match=r"gain: the range .* too wide .* use a LookupTable"):
            scheme.encode(array, name="gain")
    np.testing.assert_allclose(LookupTable(2, "linear").encode(array).decode((3,)), array, rtol=1e-6)


@pytest.mark.parametrize("values", [[1e38, -1e38], [3e-45], [1e-37, 0, 0], [7.5]])
def test_extreme_values_have_levels(values: list[float]) -> None:
    array = np.float32(values)
    for scheme in (
        Linear(3),
        Linear(2, True, "per_tensor", "least_squares"),
        LookupTable(2),
        Linear(8, fit="least_squares"),
    ):
        decoded = scheme.encode(array, 0).decode(array.shape, 0)
        assert np.abs(decoded - array).max() <= np.ptp(array) / 4


def test_channels_of_a_grouped_deconvolution_are_those_of_all_groups() -> None:
    array = np.random.default_rng(0).normal(size=(4, 3, 2, 5)).astype(np.float32)
    encoded = Linear(5).encode(array, 1, groups=2)
    by_group = array.reshape(2, 2, 3, 2, 5)
    np.testing.assert_array_equal(encoded.bias, by_group.min(axis=(1, 3, 4)).reshape(-1))
    assert encoded.scale is not None
    step = np.broadcast_to(encoded.scale.reshape(2, 1, 3, 1, 1), by_group.shape).reshape(array.shape)
    assert np.all(np.abs(encoded.decode(array.shape, 1) - array) <= step * 0.5001)


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.label)
def test_nan_and_infinity_are_refused_by_name_and_nothing_stays_nothing(scheme: Scheme) -> None:
    for bad in (np.nan, np.inf, -np.inf):
        array = np.ones((3, 4), np.float32)
        array[1, 2:] = bad
        with pytest.raises(QuantizationError, match="dense:weights: 2 of 12 values are NaN or infinite"):
            scheme.encode(array, 0, name="dense:weights")
    assert scheme.encode(np.zeros((0, 4)), 0).kind == "empty"


@pytest.mark.parametrize("scheme", ALL, ids=lambda scheme: scheme.label)
def test_blank_has_the_lengths_of_every_encoding(scheme: Scheme) -> None:
    array = np.random.default_rng(1).normal(size=(4, 3, 2, 5)).astype(np.float32)
    for axis, groups in ((None, 1), (0, 1), (1, 1), (1, 2)):
        encoded, blank = scheme.encode(array, axis, groups=groups), scheme.blank(array.shape, axis, groups=groups)
        for field in ("values", "codes", "scale", "bias", "table"):
            one, other = getattr(encoded, field), getattr(blank, field)
            assert (one is None) == (other is None)
            assert one is None or (one.shape == other.shape and one.dtype == other.dtype)


def test_16_bit_floats_are_rounded_half_to_even_and_never_overflow() -> None:
    encoded = Float16().encode(np.float32([1 + 2**-11, 1 + 3 * 2**-11, -65504]))
    assert encoded.decode((3,)).tolist() == [1, 1 + 2**-9, -65504]
    with pytest.raises(QuantizationError, match="bias: 70000 is beyond 65504"):
        Float16().encode(np.float32([1, -70000]), name="bias")


def test_the_users_function_gets_the_weight_and_gives_the_codes() -> None:
    array = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    before = array.copy()

    def signs(bits: int, weights: np.ndarray) -> tuple[Any, Any]:
        assert (bits, weights.shape, weights.dtype) == (2, (2, 3), np.float32)
        positive = weights > 0
        weights[:] = 0
        return [[-1], [1], [5], [6]], positive.astype(float)

    encoded = LookupTable(2, "function", signs).encode(array)
    np.testing.assert_array_equal(encoded.decode((2, 3)), np.sign(array))
    np.testing.assert_array_equal(array, before)
    np.testing.assert_array_equal(encoded.table, [-1, 1, 5, 6])


TABLE, INDICES = [0.0, 1.0], [0, 1, 1]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "must return two arrays"),
        ((TABLE,), "must return two arrays"),
        (([0, 1, 2], INDICES), "table of 2 entries, not of shape"),
        (([[0], [1]] * 2, INDICES), "table of 2 entries"),
        (([0, np.nan], INDICES), "NaN, infinite or too large"),
        (([0, 1e39], INDICES), "NaN, infinite or too large"),
        ((["a", "b"], INDICES), "real numbers"),
        ((TABLE, [0, 1]), "one index for each of the 3 weights, not 2"),
        ((TABLE, [0, 1, 2]), "indices must be 0 to 1; there are 0 to 2"),
        ((TABLE, [0, -1, 1]), "indices must be 0 to 1; there are -1 to 1"),
        ((TABLE, [0, 0.5, 1]), "whole numbers"),
        ((TABLE, [0, np.nan, 1]), "whole numbers"),
        ((TABLE, [True, False, True]), "whole numbers"),
    ],
)
def test_wrong_answers_of_the_users_function_are_refused(answer: Any, message: str) -> None:
    scheme = LookupTable(1, "function", lambda bits, weights: answer)
    with pytest.raises(QuantizationError, match=f"bias: .*{message}"):
        scheme.encode(np.float32([1, 2, 3]), name="bias")


def test_an_error_of_the_users_function_is_passed_on() -> None:
    scheme = LookupTable(1, "function", lambda bits, weights: 1 / 0)  # type: ignore[arg-type, return-value]
    with pytest.raises(QuantizationError, match="bias: the table function raised ZeroDivisionError") as caught:
        scheme.encode(np.ones(3, np.float32), name="bias")
    assert caught.value.__cause__ is not None
