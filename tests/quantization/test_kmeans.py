"""k-means tables: against exhaustive search, scikit-learn's best of ten, and values worked out by hand."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest

from mlexplorer.quantization import analysis
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.spec.weight_params import Encoded


def squared_error(array: np.ndarray, encoded: Encoded) -> float:
    return float(np.sum((array.astype(np.float64) - encoded.decode(array.shape)) ** 2))


def samples(name: str, size: int) -> np.ndarray:
    rng = np.random.default_rng(size)
    drawn: dict[str, Any] = {
        "laplace": lambda: rng.laplace(size=size),
        "gauss with an offset": lambda: rng.normal(3, 0.1, size=size),
        "two far humps": lambda: np.concatenate((rng.normal(-9, 0.1, size // 2), rng.normal(2, 1, size - size // 2))),
        "outlier": lambda: np.append(rng.normal(size=size - 1), 1000),
        "rounded": lambda: np.round(rng.normal(size=size), 1),
        "uniform": lambda: rng.random(size),
    }
    return np.asarray(drawn[name](), np.float32)


NAMES = ("laplace", "gauss with an offset", "two far humps", "outlier", "rounded", "uniform")


@pytest.mark.parametrize("name", NAMES)
def test_small_weights_have_the_best_of_all_divisions(name: str) -> None:
    array = samples(name, 13)
    value = np.sort(array).astype(np.float64)
    for bits in (1, 2):
        least = min(
            sum(float(np.sum((part - part.mean()) ** 2)) for part in np.split(value, cuts))
            for cuts in combinations(range(1, 13), (1 << bits) - 1)
        )
        assert squared_error(array, LookupTable(bits).encode(array)) == pytest.approx(least, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize(("size", "depths"), [(700, (2, 5)), (2500, (1, 3, 4)), (17_000, (2,)), (70_000, (1, 2))])
@pytest.mark.parametrize("name", NAMES)
def test_never_worse_than_the_best_of_ten_of_scikit_learn(name: str, size: int, depths: tuple[int, ...]) -> None:
    array = samples(name, size)
    for bits in depths:
        # More than 65,536 distinct values are told apart to 1/65,535 of the range of most of them only.
        assert squared_error(array, LookupTable(bits).encode(array)) <= best_of_ten(array, bits) * (1 + 2e-7)


@pytest.mark.parametrize("name", NAMES)
def test_far_better_than_the_best_of_ten_of_scikit_learn_with_many_entries(name: str) -> None:
    array = samples(name, 3000)
    ours = squared_error(array, LookupTable(8).encode(array))
    assert ours <= best_of_ten(array, 8) * (1 if name == "rounded" else 0.97)


def best_of_ten(array: np.ndarray, bits: int) -> float:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it warns of fewer distinct values than entries
        return float(KMeans(1 << bits, n_init=10, random_state=0).fit(array.astype(np.float64)[:, None]).inertia_)


def least_squared_error(array: np.ndarray, bits: int) -> float:
    """That of kmeans1d (dynamic programming with SMAWK), which coremltools brings along."""
    from coremltools._deps import kmeans1d

    values, counts = np.unique(array, return_counts=True)
    if values.size <= 1 << bits:
        return 0.0
    best = kmeans1d.cluster(values.astype(np.float64), 1 << bits, weights=counts.astype(np.float64))
    entries = np.asarray(best.centroids)[np.asarray(best.clusters)]
    return float(np.sum(counts * (values - entries) ** 2))


@pytest.mark.parametrize(
    ("size", "depths", "most"),
    [
        (900, range(1, 9), 1 + 1e-6),  # solved exactly
        (6000, (3, 6, 8), 1.003),
        (100_000, (4,), 1.0001),
        pytest.param(147_456, range(5, 9), 1.003, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_within_three_thousandths_of_the_optimum(name: str, size: int, depths: Sequence[int], most: float) -> None:
    array = samples(name, size)
    for bits in depths:
        ours = squared_error(array, LookupTable(bits).encode(array))
        assert ours <= least_squared_error(array, bits) * most + 1e-12, bits


@pytest.mark.parametrize("source", ["16-bit floats", "8-bit codes", "linear per channel", "far from zero", "denormal"])
def test_sources_with_few_digits_keep_to_the_optimum(source: str) -> None:
    array = samples("laplace", 100_000).reshape(100, 1000)
    if source == "16-bit floats":
        array = array.astype(np.float16).astype(np.float32)
    elif source == "8-bit codes":
        array = LookupTable(8).encode(array).decode(array.shape)
        np.testing.assert_array_equal(LookupTable(8).encode(array).decode(array.shape), array)
    elif source == "linear per channel":
        array = Linear(6).encode(array, 0).decode(array.shape, 0)
    elif source == "far from zero":
        array = array + np.float32(20_000)
    else:
        array = array * np.float32(1e-42)
    for bits in (2, 7):
        ours = squared_error(array, LookupTable(bits).encode(array))
        assert ours <= least_squared_error(array, bits) * 1.003


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**100])
@pytest.mark.parametrize("name", ["laplace", "outlier"])
def test_any_magnitude_has_the_same_codes(name: str, factor: float) -> None:
    small = samples(name, 3000)
    large = np.tile(small, 23) + np.repeat(samples("uniform", 23), 3000)
    for bits in (3, 8):
        one, other = (LookupTable(bits).encode(array) for array in (small, small * np.float32(factor)))
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_array_equal(one.table * np.float32(factor), other.table)
        expected = squared_error(large, LookupTable(bits).encode(large))
        scaled = large * np.float32(factor)
        entries = LookupTable(bits).encode(scaled).decode(large.shape).astype(np.float64) / factor
        assert np.sum((large - entries) ** 2) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("outlier", [1e3, 1e8, 1e20])
def test_an_outlier_takes_one_entry_and_no_more(outlier: float) -> None:
    array = samples("laplace", 80_000)
    expected = squared_error(array, LookupTable(6).encode(array))
    array = np.append(array, np.float32([outlier, -outlier]))
    assert squared_error(array, LookupTable(6).encode(array)) < expected * 1.15
    assert squared_error(array[-5000:], LookupTable(6).encode(array[-5000:])) < expected / 16 * 1.15


@pytest.mark.parametrize("size", [500, 40_000, 70_000])
@pytest.mark.parametrize("name", NAMES)
def test_each_code_is_the_nearest_entry_of_an_ascending_table(name: str, size: int) -> None:
    array = samples(name, size)
    bin_width = np.ptp(array) / 65_535 if size > 65_536 else 0
    for bits in (1, 3, 8):
        encoded = LookupTable(bits).encode(array)
        assert encoded.codes is not None
        assert encoded.table is not None
        assert encoded.table.shape == (1 << bits,)
        assert np.all(np.diff(encoded.table) >= 0)
        distance = np.abs(array[:, None].astype(np.float64) - encoded.table)
        chosen = distance[np.arange(size), encoded.codes]
        assert np.all(chosen <= distance.min(axis=1) + bin_width + 1e-6 * np.abs(array))


def test_more_bits_are_never_worse() -> None:
    array = samples("laplace", 50_000)
    errors = [squared_error(array, LookupTable(bits).encode(array)) for bits in range(1, 9)]
    assert all(later < earlier / 2.5 for earlier, later in pairwise(errors))


def test_few_values_are_kept_exactly_and_the_last_entry_repeats() -> None:
    array = np.repeat(np.array([0.1, -7, 1e-30, 3e30], np.float32), 5000)
    encoded = LookupTable(3).encode(array)
    np.testing.assert_array_equal(encoded.table, np.float32([-7, 1e-30, 0.1, 3e30, 3e30, 3e30, 3e30, 3e30]))
    assert encoded.codes is not None
    assert encoded.codes.max() == 3


@pytest.mark.parametrize("value", [0.0, 1e-38, -3.25, 3e38])
@pytest.mark.parametrize("size", [1, 5, 20_000])
def test_constant_weights_are_kept_exactly(value: float, size: int) -> None:
    array = np.full((size,), value, np.float32)
    for bits in (1, 8):
        np.testing.assert_array_equal(LookupTable(bits).encode(array).decode(array.shape), array)


def test_the_same_weight_gives_the_same_bytes_and_is_analysed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(analysis, "KEPT", analysis.Kept(1 << 20))
    solve = analysis.tables
    monkeypatch.setattr(analysis, "tables", lambda *a: asked.append(1) or solve(*a))
    array = samples("laplace", 20_000).reshape(100, 200)
    first = [LookupTable(bits).encode(array) for bits in range(1, 9)]
    assert len(asked) == 1
    monkeypatch.setattr(analysis, "KEPT", analysis.Kept(1 << 20))
    again = [LookupTable(bits).encode(array.copy()) for bits in range(1, 9)]
    assert len(asked) == 2
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.codes, other.codes)
        np.testing.assert_array_equal(one.table, other.table)


def test_kept_analyses_stay_below_their_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = analysis.Kept(800_000)
    monkeypatch.setattr(analysis, "KEPT", kept)
    for seed in range(8):
        LookupTable(4).encode(np.random.default_rng(seed).normal(size=20_000).astype(np.float32))
    assert len(kept) == 2
