"""The arithmetic of error feedback: what it must equal, and what no change may improve."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mlexplorer.calibration import error_feedback
from mlexplorer.calibration.error_feedback import (
    GridLevels,
    Moments,
    TableLevels,
    output_error,
    round_and_fit,
    round_with_feedback,
)

GROUPS, ROWS, COLUMNS = 2, 5, 12


def problem(seed: int, correlated: bool = True) -> tuple[Any, Any, Any]:
    """Matrices, and the vectors that they meet in the original and in the quantized network."""
    rng = np.random.default_rng(seed)
    matrices = rng.normal(size=(GROUPS, ROWS, COLUMNS))
    mixing = rng.normal(size=(COLUMNS, COLUMNS)) if correlated else np.eye(COLUMNS)
    original = rng.normal(size=(GROUPS, 300, COLUMNS)) @ mixing
    quantized = original + 0.2 * rng.normal(size=original.shape)
    return matrices, original, quantized


def levels_of(kind: str) -> Any:
    if kind == "table":
        return TableLevels(np.array([-1.4, -0.4, 0.3, 1.5]))
    size = GROUPS * ROWS if kind == "grid of each row" else 1
    return GridLevels(np.linspace(0.7, 0.9, size), np.linspace(-1.3, -1.1, size), bits=2)


KINDS = ["table", "grid of each row", "grid of all"]
ALL = slice(0, COLUMNS)


def moments_of(matrices: Any, original: Any, quantized: Any) -> Moments:
    moments = Moments(matrices, [matrices.shape[2]])
    moments.add(original, quantized)
    return moments


def nearest(matrices: Any, levels: Any) -> Any:
    columns = [
        [levels.nearest(matrices[group][:, column], group)[0] for column in range(matrices.shape[2])]
        for group in range(len(matrices))
    ]
    return np.array(columns).swapaxes(1, 2)


@pytest.mark.parametrize("kind", KINDS)
def test_independent_columns_are_rounded_to_the_nearest_level(kind: str) -> None:
    matrices, _, _ = problem(1)
    axes = np.stack([np.diag(np.linspace(1, 3, COLUMNS))] * GROUPS)
    pieces, levels = moments_of(matrices, axes, axes).pieces(ALL), levels_of(kind)
    np.testing.assert_array_equal(round_with_feedback(matrices, pieces, levels), nearest(matrices, levels))


@pytest.mark.parametrize("kind", KINDS)
def test_the_outputs_are_nearer_than_by_plain_rounding_and_nearer_still_after_fitting(kind: str) -> None:
    plain = fed = fitted = 0.0
    for seed in range(20):
        matrices, original, _ = problem(seed)
        pieces, levels = moments_of(matrices, original, original).pieces(ALL), levels_of(kind)
        with_feedback = round_with_feedback(matrices, pieces, levels)
        plain += output_error(matrices, pieces, levels.values(nearest(matrices, levels)))
        error = output_error(matrices, pieces, levels.values(with_feedback))
        fed += error
        codes, better = round_and_fit(matrices, pieces, levels)
        best = output_error(matrices, pieces, better.values(codes))
        assert best <= error
        fitted += best
    assert fed < 0.8 * plain
    assert fitted < 0.9 * fed


def test_two_columns_in_two_levels_are_rounded_as_trying_all_would() -> None:
    worse = plain_worse = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        row = rng.uniform(-1, 1, (1, 1, 2))
        vectors = rng.normal(size=(1, 40, 2)) @ np.array([[1.0, 0.9], [0.0, 0.5]])
        pieces = moments_of(row, vectors, vectors).pieces(slice(0, 2))
        levels = TableLevels(np.array([-0.8, 0.8]))
        codes = round_with_feedback(row, pieces, levels)
        errors = {
            c: output_error(row, pieces, levels.values(np.array([[c]]))) for c in itertools.product((0, 1), (0, 1))
        }
        plain = errors[tuple(nearest(row, levels)[0, 0])]
        given = errors[tuple(codes[0, 0])]
        assert given <= plain + 1e-9
        worse += given > min(errors.values()) + 1e-9
        plain_worse += plain > min(errors.values()) + 1e-9
    assert worse < 0.5 * plain_worse


def test_targets_are_the_ridge_regression_of_the_original_outputs() -> None:
    matrices, original, quantized = problem(3)
    moments = moments_of(matrices, original[:, :200], quantized[:, :200])
    moments.add(original[:, 200:], quantized[:, 200:])
    targets = moments.targets(matrices, slice(0, ROWS), ALL)
    for group in range(GROUPS):
        x, y, w = original[group], quantized[group], matrices[group]
        damping = np.sqrt(error_feedback.GIVEN.damping * np.mean(np.sum(y * y, axis=0)))
        rows = np.vstack([y, damping * np.eye(COLUMNS)])
        wanted = np.vstack([x @ w.T, damping * w.T])
        np.testing.assert_allclose(targets[group].T, np.linalg.lstsq(rows, wanted, rcond=None)[0], rtol=1e-8)
    same = moments_of(matrices, original, original)
    np.testing.assert_allclose(same.targets(matrices, slice(0, ROWS), ALL), matrices, rtol=1e-9)


def test_a_weight_makes_up_for_the_one_beside_it_that_is_rounded_already() -> None:
    matrices, original, quantized = problem(7)
    gate, first = slice(2, ROWS), 7  # the rows below others that meet the same vectors
    moments = Moments(matrices, [first, COLUMNS - first])
    moments.add(original, quantized)
    present = matrices[:, gate].copy()
    present[..., :first] = np.rint(2 * present[..., :first]) / 2
    targets = moments.targets(present, gate, slice(first, COLUMNS))
    for group in range(GROUPS):
        x, y, w, p = original[group], quantized[group], matrices[group, gate], present[group]
        damping = np.sqrt(error_feedback.GIVEN.damping * np.mean(np.sum(y[:, first:] ** 2, axis=0)))
        rows = np.vstack([y[:, first:], damping * np.eye(COLUMNS - first)])
        wanted = np.vstack([x @ w.T - y[:, :first] @ p[:, :first].T, damping * w[:, first:].T])
        np.testing.assert_allclose(targets[group].T, np.linalg.lstsq(rows, wanted, rcond=None)[0], rtol=1e-8)


def test_the_factor_is_that_of_the_inverse_in_the_order_of_the_moments() -> None:
    rng = np.random.default_rng(8)
    vectors = rng.normal(size=(1, 400, 150)) @ rng.normal(size=(150, 150))
    (piece,) = moments_of(rng.normal(size=(1, 2, 150)), vectors, vectors).pieces(slice(0, 150))
    moment = piece.moment[np.ix_(piece.order, piece.order)]
    assert np.all(np.diff(np.diag(moment)) <= 0)
    expected = np.linalg.cholesky(np.linalg.inv(moment)).T
    np.testing.assert_allclose(piece.factor, expected, atol=1e-9 * np.abs(expected).max())
    rows = rng.normal(size=(3, 150))
    np.testing.assert_allclose(piece.solve(rows) @ piece.moment, rows, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_no_small_change_of_fitted_levels_lowers_the_error(kind: str) -> None:
    matrices, original, _ = problem(4)
    pieces = moments_of(matrices, original, original).pieces(ALL)
    start = levels_of(kind)
    codes = round_with_feedback(matrices, pieces, start)
    fitted = start.fitted(matrices, pieces, codes)
    least = output_error(matrices, pieces, fitted.values(codes))
    assert least < output_error(matrices, pieces, start.values(codes))
    arrays = [fitted.table] if kind == "table" else [fitted.scale, fitted.bias]
    for array in arrays:
        for index in range(array.size):
            for step in (-1e-3, 1e-3):
                array[index] += step
                assert output_error(matrices, pieces, fitted.values(codes)) > least
                array[index] -= step


def test_entries_that_no_code_uses_stay() -> None:
    matrices, original, _ = problem(5)
    pieces = moments_of(matrices, original, original).pieces(ALL)
    start = TableLevels(np.array([-100.0, -0.5, 0.5, 100.0]))
    codes = nearest(matrices, start)
    table = start.fitted(matrices, pieces, codes).table
    assert table[0] == -100.0
    assert table[3] == 100.0
    assert not np.allclose(table[1:3], [-0.5, 0.5])


def test_inputs_that_are_always_zero_and_matrices_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_feedback, "MOST_COLUMNS", 5)
    matrices, original, quantized = problem(6)
    original, quantized = original.copy(), quantized.copy()
    original[..., 3] = quantized[..., 3] = 0.0
    original[1] = quantized[1] = 0.0
    moments = moments_of(matrices, original, quantized)
    assert [piece.columns for piece in moments.pieces(ALL)] == 2 * [slice(0, 5), slice(5, 10), slice(10, 12)]
    targets = moments.targets(matrices, slice(0, ROWS), ALL)
    np.testing.assert_allclose(targets[1], matrices[1])
    np.testing.assert_allclose(targets[0][:, 3], matrices[0][:, 3])
    codes, levels = round_and_fit(targets, moments.pieces(ALL), levels_of("table"))
    assert np.isfinite(levels.values(codes)).all()
    parts = Moments(matrices, [3, 9])  # no piece holds columns of two weights
    assert [piece.columns for piece in parts.pieces(slice(3, 12))] == 2 * [slice(0, 5), slice(5, 9)]
