"""Rounding with error feedback: the error of each column is made up for by the columns that are not rounded yet.

Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers" (2023), on the entries of a table as well as on a linear grid. The matrix that is rounded is not the
original W but the one that comes nearest to the original outputs W x from the inputs x' that the quantized layers
before produce (as in Li et al., "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration", 2025), and
the levels are fitted to the outcome by least squares.

Matrices are [groups, rows, columns], a row for each output; moments are those of the vectors that they multiply.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlexplorer.progress import check

Array = NDArray[Any]
Doubles = NDArray[np.float64]
Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Trust:
    """How far the vectors that were seen are taken for those to come.

    `damping` is what is added to the second moments' diagonal, as a fraction of its mean; `drift`, 0 to 1, is how much
    of the way from the original vectors to those of the quantized network is made up for.
    """

    damping: float
    drift: float


GIVEN = Trust(damping=0.01, drift=1.0)
"""For inputs of the kind that the model is made for."""
GENERATED = Trust(damping=0.1, drift=0.5)
"""For noise: with less damping a classifier fits the noise, with more a style network gains less."""

MOST_COLUMNS = 4608
"""Wider matrices are rounded in pieces of at most so many columns, between which no error is handed on."""
FITS = 2
"""How often the levels are fitted to the outcome, and the matrix rounded anew."""
_BLOCK = 128
_ONE_HOT_ELEMENTS = 1 << 23


@dataclass(frozen=True)
class Piece:
    """Some columns of one group's matrix, and the damped second moments of what they are multiplied by."""

    group: int
    columns: slice
    moment: Doubles

    @cached_property
    def order(self) -> NDArray[np.intp]:
        """The columns, those with the largest moments first."""
        return np.argsort(-np.diag(self.moment), kind="stable")

    @cached_property
    def factor(self) -> Doubles:
        """The upper triangular factor U of the inverse of the moments in that order, U^T U."""
        return np.linalg.cholesky(np.linalg.inv(self.moment[np.ix_(self.order, self.order)])).T

    def of(self, matrices: Array) -> Array:
        """Its part [rows, columns] of all matrices."""
        part: Array = matrices[self.group][:, self.columns]
        return part


class Levels(Protocol):
    """The values that a weight may take: a table, or a linear grid for each row."""

    def nearest(self, column: Doubles, group: int) -> tuple[Codes, Doubles]:
        """The codes and the values nearest to one column of a group's matrix."""

    def values(self, codes: Codes) -> Doubles:
        """The values of codes [groups, rows, columns]."""

    def fitted(self, targets: Doubles, pieces: Sequence[Piece], codes: Codes) -> Levels:
        """Levels that come nearer to the targets' outputs, for given codes."""


class Moments:
    """Second moments of the vectors that a layer's matrices meet in the quantized network and in the original."""

    def __init__(self, groups: int, columns: int, trust: Trust = GIVEN) -> None:
        self._trust = trust
        starts = range(0, columns, MOST_COLUMNS)
        self._places = [
            (group, slice(start, min(start + MOST_COLUMNS, columns))) for group in range(groups) for start in starts
        ]
        sizes = [columns.stop - columns.start for _, columns in self._places]
        self._own = [np.zeros((n, n)) for n in sizes]
        self._cross = [np.zeros((n, n)) for n in sizes]

    def add(self, original: Array, quantized: Array) -> None:
        """Add [groups, n, columns] vectors as the original layer, and as the quantized network, meets them."""
        for (group, columns), own, cross in zip(self._places, self._own, self._cross, strict=True):
            y = np.ascontiguousarray(quantized[group][:, columns])
            own += y.T @ y
            cross += np.ascontiguousarray(original[group][:, columns]).T @ y

    def pieces(self) -> list[Piece]:
        """The moments of the quantized network's vectors, damped."""
        return [Piece(*place, own + self._damping(own)) for place, own in zip(self._places, self._own, strict=True)]

    def targets(self, matrices: Array) -> Doubles:
        """The matrices that bring the quantized vectors nearest to the original outputs, by damped least squares."""
        out = matrices.astype(np.float64)
        drift = self._trust.drift
        for piece, own, cross in zip(self.pieces(), self._own, self._cross, strict=True):
            wanted = piece.of(out) @ (drift * cross + (1.0 - drift) * own + self._damping(own))
            out[piece.group][:, piece.columns] = np.linalg.solve(piece.moment, wanted.T).T
        return out

    def _damping(self, moment: Doubles) -> Doubles:
        mean = float(np.mean(np.diag(moment))) if moment.size else 0.0
        return np.eye(len(moment)) * (self._trust.damping * mean or 1.0)


def round_and_fit(
    targets: Doubles, pieces: Sequence[Piece], levels: Levels, cancelled: threading.Event | None = None
) -> tuple[Codes, Levels]:
    """The codes and the levels with the least error found: rounded, fitted and rounded anew, `FITS` times.

    Raises Cancelled once `cancelled` is set.
    """
    best: tuple[Codes, Levels] | None = None
    least = np.inf
    for turn in range(FITS + 1):
        codes = round_with_feedback(targets, pieces, levels, cancelled)
        error = output_error(targets, pieces, levels.values(codes))
        if best is None or error < least:
            best, least = (codes, levels), error
        if turn < FITS:
            check(cancelled)
            levels = levels.fitted(targets, pieces, codes)
    assert best is not None
    return best


def output_error(targets: Doubles, pieces: Sequence[Piece], values: Doubles) -> float:
    """The sum of the squared errors of the outputs, and what the damping adds to it."""
    differences = (piece.of(targets) - piece.of(values) for piece in pieces)
    return sum(float(np.sum((d @ piece.moment) * d)) for piece, d in zip(pieces, differences, strict=True))


def round_with_feedback(
    targets: Doubles, pieces: Sequence[Piece], levels: Levels, cancelled: threading.Event | None = None
) -> Codes:
    """The codes of all matrices, column after column; raises Cancelled once `cancelled` is set."""
    codes = np.empty(targets.shape, np.uint8)
    for piece in pieces:
        codes[piece.group][:, piece.columns] = _round(piece.of(targets), piece, levels, cancelled)
    return codes


def _round(target: Doubles, piece: Piece, levels: Levels, cancelled: threading.Event | None) -> Codes:
    factor = piece.factor
    rest = np.asfortranarray(target[:, piece.order])
    codes = np.empty(rest.shape, np.uint8, order="F")
    columns = rest.shape[1]
    for start in range(0, columns, _BLOCK):
        check(cancelled)
        stop = min(start + _BLOCK, columns)
        errors = np.empty((len(rest), stop - start))
        for column in range(start, stop):
            codes[:, column], values = levels.nearest(rest[:, column], piece.group)
            error = (rest[:, column] - values) / factor[column, column]
            errors[:, column - start] = error
            rest[:, column + 1 : stop] -= error[:, None] * factor[column, column + 1 : stop]
        rest[:, stop:] -= errors @ factor[start:stop, stop:]
    restored = np.empty(codes.shape, np.uint8)
    restored[:, piece.order] = codes
    return restored


class TableLevels:
    """One ascending table for the whole weight."""

    def __init__(self, table: Array) -> None:
        self.table = np.asarray(table, np.float64)
        self._bounds = (self.table[1:] + self.table[:-1]) / 2

    def nearest(self, column: Doubles, group: int) -> tuple[Codes, Doubles]:
        """The entries nearest to a column."""
        codes = np.searchsorted(self._bounds, column)
        return codes.astype(np.uint8), self.table[codes]

    def values(self, codes: Codes) -> Doubles:
        """The entries of codes."""
        found: Doubles = self.table[codes]
        return found

    def fitted(self, targets: Doubles, pieces: Sequence[Piece], codes: Codes) -> TableLevels:
        """The table with the least squared error of the outputs; entries that no code uses stay where they are."""
        entries = len(self.table)
        matrix, vector = np.zeros((entries, entries)), np.zeros(entries)
        for piece in pieces:
            target, code = piece.of(targets), piece.of(codes)
            some = max(1, _ONE_HOT_ELEMENTS // (len(piece.moment) * entries))
            for start in range(0, len(target), some):
                part = slice(start, start + some)
                chosen = np.eye(entries)[code[part]].transpose(1, 0, 2)  # [columns, rows, entries]
                flat = chosen.reshape(len(piece.moment), -1)
                weighted = (piece.moment @ flat).reshape(-1, entries)
                matrix += chosen.reshape(-1, entries).T @ weighted
                vector += weighted.T @ target[part].T.reshape(-1)
        used = np.bincount(codes.reshape(-1), minlength=entries) > 0
        table = self.table.copy()
        table[used] = np.linalg.lstsq(matrix[np.ix_(used, used)], vector[used], rcond=1e-10)[0]
        return TableLevels(np.sort(table.astype(np.float32)))


class GridLevels:
    """Equally spaced levels: value = code * scale + bias, one scale and bias for each row, or for all."""

    def __init__(self, scale: Array, bias: Array, bits: int) -> None:
        self.scale = np.asarray(scale, np.float64)
        self.bias = np.asarray(bias, np.float64)
        self._bits = bits

    def nearest(self, column: Doubles, group: int) -> tuple[Codes, Doubles]:
        """The levels nearest to a column."""
        place = slice(None) if self.scale.size == 1 else slice(group * len(column), (group + 1) * len(column))
        scale, bias = self.scale[place], self.bias[place]
        step = np.where(scale == 0.0, 1.0, scale)
        codes = np.clip(np.rint((column - bias) / step), 0, (1 << self._bits) - 1)
        return codes.astype(np.uint8), codes * scale + bias

    def values(self, codes: Codes) -> Doubles:
        """The levels of codes."""
        shape = (1, 1, 1) if self.scale.size == 1 else (*codes.shape[:2], 1)
        found: Doubles = codes.astype(np.float64) * self.scale.reshape(shape) + self.bias.reshape(shape)
        return found

    def fitted(self, targets: Doubles, pieces: Sequence[Piece], codes: Codes) -> GridLevels:
        """The scale and the bias of each row, or of all, with the least squared error of the outputs."""
        groups, rows, _ = targets.shape
        sums = np.zeros((5, groups, rows))
        for piece in pieces:
            target, code, ones = piece.of(targets), piece.of(codes).astype(np.float64), piece.moment.sum(axis=1)
            weighted = code @ piece.moment
            sums[0, piece.group] += np.sum(weighted * code, axis=1)
            sums[1, piece.group] += code @ ones
            sums[2, piece.group] += ones.sum()
            sums[3, piece.group] += np.sum(weighted * target, axis=1)
            sums[4, piece.group] += target @ ones
        flat = sums.reshape(5, -1)
        squares, code_sums, count, products, target_sums = flat if self.scale.size > 1 else flat.sum(1, keepdims=True)
        determinant = squares * count - code_sums**2
        good = determinant > 1e-9 * squares * count
        safe = np.where(good, determinant, 1.0)
        scale = np.where(good, (count * products - code_sums * target_sums) / safe, self.scale)
        bias = np.where(good, (squares * target_sums - code_sums * products) / safe, self.bias)
        return GridLevels(scale.astype(np.float32), bias.astype(np.float32), self._bits)
