"""Errors at depths that were not measured, against formulas and against measurements of all depths."""

from __future__ import annotations

import math

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.sensitivity import _error_at, at_all_depths, sensed
from mlexplorer.sweeps import Sweep
from tests.painter import deep_classifier, deep_painter, photo

NOISE = {bits: 0.4 * 4.0**-bits for bits in range(1, 9)}


@pytest.mark.parametrize("power", [0.6, 1.0, 1.4])
def test_a_power_law_is_found_again_below_the_upper_measurement(power: float) -> None:
    law = {bits: 3.0 * noise**power for bits, noise in NOISE.items()}
    measured = {bits: law[bits] for bits in (3, 6)}
    for bits in range(1, 7):
        assert _error_at(bits, measured, NOISE) == pytest.approx(law[bits])
    for bits in (7, 8):
        assert _error_at(bits, measured, NOISE) == pytest.approx(law[6] * NOISE[bits] / NOISE[6]), "in proportion"


def test_one_measurement_goes_on_in_proportion_and_nothing_lost_is_no_error() -> None:
    assert _error_at(1, {4: 0.01}, NOISE) == pytest.approx(0.01 * NOISE[1] / NOISE[4])
    assert _error_at(7, {2: 0.5, 5: 0.1}, {**NOISE, 7: 0.0}) == 0.0
    assert _error_at(1, {2: 0.0, 5: 0.0}, {1: 0.3, 2: 0.0, 5: 0.0}) == 0.0
    assert _error_at(1, {2: 0.9, 5: 0.8}, NOISE) == pytest.approx(0.9 * 2.0), "saturated errors still grow"


@pytest.mark.parametrize("kind", [mle.Linear, mle.LookupTable])
def test_what_is_said_of_all_depths_is_near_to_what_is_measured(kind: type[mle.Scheme]) -> None:
    model, pictures = deep_painter(), [photo(seed=seed) for seed in range(2)]
    measured = mle.sweep(model, pictures, schemes=[kind], bits=(), layers=range(1, 9), progress=False)
    few = Sweep(tuple(row for row in measured if row.bits in (2, 5)), measured.original_nbytes)
    found = at_all_depths(model, few, kind, range(1, 9), None)
    whole = {(row.layer, row.bits): row for row in measured}
    assert {(row.layer, row.bits) for row in found} == whole.keys()
    assert all(row.nbytes == whole[row.layer, row.bits].nbytes for row in found)
    lossy = [(row.error, error) for row in found if (error := whole[row.layer, row.bits].error)]
    apart = [10 * math.log10(estimated / error) for estimated, error in lossy]
    assert abs(float(np.median(apart))) < 1.5
    assert max(map(abs, apart)) < 15.0


def test_a_layer_that_the_inputs_do_not_reach_is_not_given_away() -> None:
    model = deep_classifier()
    measured = mle.sweep(model, [photo()], schemes=[mle.LookupTable], bits=(), layers=(2, 5), progress=False)
    silent = measured.layers[0].layer
    quiet = [row if row.layer != silent else type(row)(**{**vars(row), "error": 0.0}) for row in measured]
    found = at_all_depths(model, Sweep(tuple(quiet), measured.original_nbytes), mle.LookupTable, range(1, 9), None)
    errors = {row.bits: row.error for row in found if row.layer == silent}
    assert sorted(errors.values(), reverse=True) == [errors[bits] for bits in range(1, 9)]
    assert errors[5] > 0


@pytest.mark.parametrize(("bits", "wanted"), [(range(1, 9), [2, 5]), ([4, 8], [4]), ([8, 4, 1], [1, 4]), ([6], [6])])
def test_layers_are_measured_at_two_of_the_depths_that_are_asked_for(bits: list[int], wanted: list[int]) -> None:
    assert sensed(bits) == wanted
