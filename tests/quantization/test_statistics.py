"""Errors, sizes and histograms of all depths at once, against encoding and decoding one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import QuantizationError
from mlexplorer.quantization import Float16, Linear, LookupTable, error_table
from mlexplorer.quantization.statistics import ALL_DEPTHS


def draw(name: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    drawn: dict[str, Any] = {
        "small": lambda: rng.laplace(size=(7, 5, 3, 2)),
        "large": lambda: rng.laplace(size=(110, 800)) * rng.uniform(0.1, 3, size=(110, 1)),
        "outliers": lambda: rng.standard_t(2, size=(110, 800)),
        "16-bit floats": lambda: rng.normal(size=(110, 800)).astype(np.float16),
        "tiny": lambda: rng.normal(size=(110, 800)) * 1e-33,
        "constant": lambda: np.full((3, 4), 0.7),
    }
    return np.asarray(drawn[name](), np.float32)


@pytest.mark.parametrize("name", ["small", "large", "outliers", "16-bit floats", "tiny", "constant"])
def test_all_depths_at_once_are_what_each_gives_alone(name: str) -> None:
    array = draw(name)
    schemes = (*ALL_DEPTHS, Linear(3, fit="least_squares"), LookupTable(4, "linear"), Float16())
    rows = error_table(array, schemes, 0, bins=50)
    assert [row.scheme for row in rows] == list(schemes)
    power = np.mean(array.astype(np.float64) ** 2)
    edges = np.linspace(float(array.min()), float(array.max()), 51)
    for row in rows:
        encoded = row.scheme.encode(array, 0)
        values = encoded.decode(array.shape, 0)
        apart = np.abs(array.astype(np.float64) - values)
        assert row.nbytes == encoded.nbytes
        assert row.mse == pytest.approx(np.mean(apart**2), rel=1e-4)
        assert row.max_error == pytest.approx(apart.max(), rel=1e-4)
        assert row.histogram is not None
        assert row.histogram.sum() == array.size
        if name == "constant":
            assert (row.mse, row.snr, row.max_error) == (0, np.inf, 0) or row.scheme == Float16()
            continue
        assert row.snr == (pytest.approx(10 * np.log10(power / row.mse)) if row.mse else np.inf)
        expected = np.histogram(np.clip(values.astype(np.float64), edges[0], edges[-1]), edges)[0]
        # a level on the edge of a bin may count on either side
        np.testing.assert_allclose(np.cumsum(row.histogram), np.cumsum(expected), atol=0.01 * array.size + 30)


def test_without_bins_there_is_no_histogram_and_nonsense_is_refused_by_name() -> None:
    assert error_table(draw("small"))[3].histogram is None
    with pytest.raises(QuantizationError, match="conv:weights: a weight without values"):
        error_table(np.zeros((0, 3)), name="conv:weights")
    for scheme in (Linear(4), LookupTable(4)):
        with pytest.raises(QuantizationError, match="conv:weights: 1 of 3 values are NaN"):
            error_table([1, np.nan, 2], [scheme], name="conv:weights")
