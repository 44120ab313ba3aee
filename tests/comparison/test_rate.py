"""Shares and their intervals against scipy's."""

from __future__ import annotations

import pickle

import pytest
from scipy.stats import binomtest

from mlexplorer.comparison import Rate
from mlexplorer.errors import InputError


@pytest.mark.parametrize(("count", "total"), [(0, 7), (18, 20), (19, 20), (20, 20), (1, 1), (948, 1000)])
def test_the_interval_is_wilsons(count: int, total: int) -> None:
    rate = Rate(count, total)
    expected = binomtest(count, total).proportion_ci(method="wilson")
    assert rate.interval == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert rate == count / total


def test_twenty_inputs_do_not_support_a_decimal() -> None:
    assert str(Rate(18, 20)) == "90.0 % (18 of 20; 69.9..97.2 %)"


def test_a_rate_is_a_float_that_keeps_its_counts() -> None:
    rate = Rate.of([True, False, True, True])
    assert rate > 0.7
    copy = pickle.loads(pickle.dumps(rate))
    assert (copy, copy.count, copy.total) == (0.75, 3, 4)
    assert repr(copy) == "Rate(3, 4)"


@pytest.mark.parametrize(("count", "total"), [(0, 0), (3, 2), (-1, 4)])
def test_impossible_counts_are_refused(count: int, total: int) -> None:
    with pytest.raises(InputError, match=f"{count} of {total}"):
        Rate(count, total)
