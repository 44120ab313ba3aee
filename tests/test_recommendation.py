"""Recommendations keep what they promise, and mixed plans are where the hull of the layers' errors says."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import recommendation
from mlexplorer.comparison import Rate
from mlexplorer.errors import InputError
from mlexplorer.measurement import Measurement
from mlexplorer.quantization.plan import Plan
from mlexplorer.recommendation import Choice, Recommendation, recommend
from mlexplorer.sweeps import Row, Sweep
from tests.painter import deep_classifier, deep_painter, photo


@pytest.fixture(scope="module")
def found() -> Recommendation:
    return recommend(deep_painter(), photo(), psnr=30.0)


def test_both_choices_meet_the_target_when_the_models_that_they_make_are_run(found: Recommendation) -> None:
    model = deep_painter()
    original = mle.predict(model, {"photo": photo()})["painted"]
    for choice in (found.uniform, found.mixed):
        assert choice is not None
        small = choice.plan.apply(model)
        assert small.size == choice.nbytes
        quality = mle.psnr(original, mle.predict(small, {"photo": photo()})["painted"])
        assert quality == pytest.approx(choice.measurement.psnr, rel=1e-6)
        assert quality >= 30.0
    assert found.best is min((found.uniform, found.mixed), key=lambda choice: choice.nbytes)


def test_the_uniform_choice_is_the_fewest_bits_that_do(found: Recommendation) -> None:
    good = [row.bits for row in found.sweep.models if row.quality >= 30.0]
    assert found.uniform is not None
    assert {scheme.bits for scheme in found.uniform.plan.schemes.values()} == {min(good)}


def test_nothing_on_the_frontier_is_larger_and_worse_than_another(found: Recommendation) -> None:
    sizes = [choice.nbytes for choice in found.frontier]
    errors = [choice.measurement.error for choice in found.frontier]
    assert sizes == sorted(sizes)
    assert errors == sorted(errors, reverse=True)
    for row in found.sweep.models:
        assert any(c.nbytes <= row.nbytes and c.measurement.error <= row.error for c in found.frontier)
    assert len(found.to_pandas()) == len(found.frontier)
    assert "Recommendation for PSNR of at least 30 dB" in repr(found)


def test_a_size_is_kept_and_filled_with_the_best_quality() -> None:
    model = deep_painter()
    budget = mle.quantize(model, mle.LookupTable(bits=4)).size
    found = recommend(model, photo(), nbytes=budget)
    assert found.uniform is not None
    assert found.mixed is not None
    assert found.uniform.nbytes == budget
    assert found.mixed.nbytes <= budget
    assert found.mixed.measurement.error <= found.uniform.measurement.error


def test_an_agreement_is_kept_by_plans_from_sensitivities_that_were_measured_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = deep_classifier()
    pictures = [photo(seed=seed) for seed in range(8)]
    known = mle.sweep(model, pictures[:2], schemes=[mle.LookupTable], layers=True, progress=False)
    monkeypatch.setattr(recommendation, "sweep", None)
    for target in (0.5, 1.0):
        found = recommend(model, pictures, agreement=target, sensitivities=known, progress=False)
        for choice in (found.uniform, found.mixed):
            assert choice is not None
            small = choice.plan.apply(model)
            rate = mle.compare(model, small, pictures, progress=False).top1_agreement
            assert choice.measurement.agreement == rate >= target
            assert (rate.count, rate.total) == (choice.measurement.agreement.count, 8)  # type: ignore[union-attr]
        shares = [choice.measurement.agreement for choice in found.frontier]
        assert shares == sorted(set(shares)), "each costs more than the one before, and keeps more labels"  # type: ignore[type-var]
    with pytest.raises(InputError, match=r"no single layers; make them by mle\.sweep"):
        recommend(model, pictures, agreement=1, sensitivities=Sweep(known.models, known.original_nbytes))


def test_with_calibration_layers_and_models_are_rounded_with_error_feedback() -> None:
    model = deep_painter()
    budget = mle.quantize(model, mle.LookupTable(bits=3)).size
    found = recommend(model, photo(), nbytes=budget, bits=(2, 3, 4), calibration="noise", progress=False)
    original = mle.predict(model, {"photo": photo()})["painted"]
    for choice in (found.uniform, found.mixed):
        assert choice is not None
        small = mle.quantize(model, choice.plan, calibration="noise", progress=False)
        assert small.size == choice.nbytes <= budget
        quality = mle.psnr(original, mle.predict(small, {"photo": photo()})["painted"])
        assert quality == pytest.approx(choice.measurement.psnr, rel=1e-6)
    plain = mle.sweep(model, photo(), schemes=[mle.LookupTable], bits=(), layers=(2, 4), progress=False)
    assert [(row.layer, row.bits) for row in found.sweep.layers] == [(row.layer, row.bits) for row in plain]
    assert all(one.error != other.error for one, other in zip(found.sweep.layers, plain, strict=True))


def test_what_cannot_be_met_is_none() -> None:
    found = recommend(deep_painter(), photo(), nbytes=10, bits=(4, 8))
    assert (found.uniform, found.mixed, found.best) == (None, None, None)
    assert "nothing meets the target" in repr(found)


@pytest.mark.parametrize("targets", [{}, {"psnr": 30.0, "nbytes": 1000}])
def test_there_is_one_target(targets: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="give one target: psnr, snr, agreement, nbytes"):
        recommend(deep_painter(), photo(), **targets)


def test_a_target_that_the_model_has_not_is_an_error() -> None:
    with pytest.raises(InputError, match="the model has no agreement; it has PSNR"):
        recommend(deep_painter(), photo(), agreement=0.9, bits=(4,))


@pytest.mark.parametrize("seed", range(20))
def test_allocations_are_the_best_of_all_combinations_of_their_size(seed: int) -> None:
    """By trying all: no combination is at most as large as an allocation and has a smaller sum of errors."""
    rng = np.random.default_rng(seed)
    model = deep_painter()
    nodes = list(dict.fromkeys(weight.node for weight in model.graph.weights))[:4]
    rows, options = [], {}
    for node in nodes:
        sizes = np.sort(rng.integers(100, 1000, 3))
        errors = np.sort(rng.uniform(0.001, 1.0, 3))[::-1]
        for bits, size, error in zip((2, 4, 8), sizes, errors, strict=True):
            rows.append(Row(node, mle.LookupTable(bits=bits), 10000 - 1000 + int(size), float(error), 0.0, "SNR", None))
        options[node] = [
            (0, 0.0),
            *((int(size) - 1000, float(error)) for size, error in zip(sizes, errors, strict=True)),
        ]
    select = lambda weight: weight.node in nodes  # noqa: E731
    allocations = recommendation._allocations(model, Sweep(tuple(rows), 10000), select)
    combinations = [
        (10000 + sum(size for size, _ in chosen), sum(error for _, error in chosen))
        for chosen in itertools.product(*options.values())
    ]
    errors_by_scheme = {(row.layer, row.scheme): row.error for row in rows}
    assert allocations[-1].plan.schemes == {}
    for allocation in allocations:
        chosen = {key.partition(":")[0]: scheme for key, scheme in allocation.plan.schemes.items()}
        error = sum(errors_by_scheme[node, scheme] for node, scheme in chosen.items())
        assert all(e >= error - 1e-9 for size, e in combinations if size <= allocation.nbytes)


@pytest.mark.parametrize("offset", [-2.0, 0.3, 5.0])
@pytest.mark.parametrize("wanted", [5.0, 17.3, 60.0, 200.0])
def test_the_first_allocation_that_meets_a_target_is_found_in_few_runs(wanted: float, offset: float) -> None:
    """Errors that are predicted wrongly by a factor, and a little more for each plan."""
    allocations = [recommendation._Allocation(Plan({}), 100 + index, 0.5**index) for index in range(64)]
    true = [0.5**index * 10 ** (-offset / 10) * 0.99**index for index in range(64)]
    runs: dict[int, Choice] = {}

    def allocated(index: int) -> Choice:
        assert index not in runs or index == 63
        return runs.setdefault(index, Choice(Plan({}), "mixed", 100 + index, Measurement(true[index])))

    for index in (4, 30):
        allocated(index)
    search = recommendation._search
    search(allocations, recommendation._Target("snr", wanted), lambda i: runs.get(i) or allocated(i), runs)
    first = next((index for index, error in enumerate(true) if -10 * math.log10(error) >= wanted), 63)
    assert first in runs
    assert len(runs) <= 2 + 4 if first < 63 else 2 + 6


def test_targets_that_are_no_decibels_are_found_by_halves() -> None:
    allocations = [recommendation._Allocation(Plan({}), 100 + index, 0.5**index) for index in range(64)]
    runs: dict[int, Choice] = {}

    def allocated(index: int) -> Choice:
        rate = Rate(min(index, 40), 40)
        return runs.setdefault(index, Choice(Plan({}), "mixed", 100 + index, Measurement(0.1, agreement=rate)))

    recommendation._search(allocations, recommendation._Target("agreement", 0.8), allocated, runs)
    assert 32 in runs
    assert 31 in runs
    assert len(runs) <= 7
