"""Rounding with error feedback: the error of each column is made up for by the columns that are not rounded yet.

Frantar, Ashkboos, Hoefler and Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
Transformers" (2023), on the entries of a table as well as on a linear grid. The matrix that is rounded is not the
original W but the one that comes nearest to the original outputs W x from the inputs x' that the quantized layers
before produce (as in Li et al., "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration", 2025), and
the levels are fitted to the outcome by least squares.

Matrices are [groups, rows, columns], a row for each output; moments are those of the vectors that they multiply. Where
several weights multiply parts of one vector, as in the gates of recurrent layers, they stand side by side and are
rounded one after the other, and each makes up for those before it.
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
    is made up for of what was lost before a weight: on the way to its layer, and by the weights beside it.
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
_TRIANGLE = 64
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
        turned = self.order[::-1]
        root: Array = np.linalg.cholesky(self.moment[np.ix_(turned, turned)])[::-1, ::-1]
        return _triangle_inverse(root)

    def of(self, matrices: Array) -> Array:
        """Its part [rows, columns] of all matrices."""
        part: Array = matrices[self.group][:, self.columns]
        return part

    def solve(self, rows: Doubles) -> Doubles:
        """Rows [rows, columns] times the inverse of the moments."""
        out = np.empty_like(rows)
        out[:, self.order] = (rows[:, self.order] @ self.factor.T) @ self.factor
        return out


def _triangle_inverse(triangle: Array) -> Array:
    """The inverse of an upper triangular matrix, which NumPy has none for: halves first."""
    size = len(triangle)
    if size <= _TRIANGLE:
        inverse: Array = np.linalg.inv(triangle)
        return inverse
    half = size // 2
    first, last = _triangle_inverse(triangle[:half, :half]), _triangle_inverse(triangle[half:, half:])
    out = np.zeros_like(triangle)
    out[:half, :half], out[half:, half:] = first, last
    out[:half, half:] = -first @ (triangle[:half, half:] @ last)
    return out


class Levels(Protocol):
    """The values that a weight may take: a table, or a linear grid for each row."""

    def nearest(self, column: Doubles, group: int) -> tuple[Codes, Doubles]:
        """The codes and the values nearest to one column of a group's matrix."""

    def values(self, codes: Codes) -> Doubles:
        """The values of codes [groups, rows, columns]."""

    def fitted(self, targets: Doubles, pieces: Sequence[Piece], codes: Codes) -> Levels:
        """Levels that come nearer to the targets' outputs, for given codes."""


class Moments:
    """Second moments of the vectors that a layer's matrices meet in the quantized network and in the original.

    `matrices` [groups, rows, columns] are the original ones of all that meet these vectors, one below the other;
    `widths` are the columns of the weights that stand side by side in them.
    """

    def __init__(self, matrices: Array, widths: Sequence[int], trust: Trust = GIVEN) -> None:
        self._matrices, self._trust = matrices, trust
        groups, rows, _ = matrices.shape
        self._places = [(group, columns) for group in range(groups) for columns in _chunks(widths)]
        sizes = [columns.stop - columns.start for _, columns in self._places]
        self._own = [np.zeros((n, n)) for n in sizes]
        self._outputs = [np.zeros((rows, n)) for n in sizes]
        self._pieces: dict[tuple[int, int], list[Piece]] = {}

    def add(self, original: Array, quantized: Array) -> None:
        """Add [groups, n, columns] vectors as the original layer, and as the quantized network, meets them."""
        for (group, columns), own, outputs in zip(self._places, self._own, self._outputs, strict=True):
            x, y = (np.ascontiguousarray(vectors[group][:, columns]) for vectors in (original, quantized))
            own += y.T @ y
            outputs += (self._matrices[group][:, columns].astype(x.dtype) @ x.T) @ y

    def pieces(self, columns: slice) -> list[Piece]:
        """The moments of the quantized network's vectors in some columns, damped."""
        key = columns.start, columns.stop
        if key not in self._pieces:
            self._pieces[key] = [self._piece(place, columns) for place in self._among(columns)]
        return self._pieces[key]

    def targets(self, present: Array, rows: slice, columns: slice) -> Doubles:
        """What some columns must be to bring the quantized vectors nearest to the original outputs of some rows.

        They are found by damped least squares, beside all other columns as they are: `present` are the matrices of
        these rows, with the columns in question still the original ones.
        """
        out = present[..., columns].astype(np.float64)
        for place, piece in zip(self._among(columns), self.pieces(columns), strict=True):
            group, whole = self._places[place]
            now = present[group][:, whole].astype(np.float64)
            lost = self._trust.drift * (self._outputs[place][rows] - now @ self._own[place])
            start = columns.start + piece.columns.start - whole.start
            piece.of(out)[...] += piece.solve(lost[:, start : start + len(piece.moment)])
        return out

    def _among(self, columns: slice) -> list[int]:
        """The places that hold some of these columns."""
        return [
            place
            for place, (_, whole) in enumerate(self._places)
            if whole.start < columns.stop and columns.start < whole.stop
        ]

    def _piece(self, place: int, columns: slice) -> Piece:
        group, whole = self._places[place]
        start, stop = max(columns.start, whole.start), min(columns.stop, whole.stop)
        own = self._own[place][start - whole.start : stop - whole.start, start - whole.start : stop - whole.start]
        mean = float(np.mean(np.diag(own)))
        damped = own + np.eye(len(own)) * (self._trust.damping * mean or 1.0)
        return Piece(group, slice(start - columns.start, stop - columns.start), damped)


def _chunks(widths: Sequence[int]) -> list[slice]:
    """All columns at once, or where they are too many, those of each weight, in pieces."""
    if sum(widths) <= MOST_COLUMNS:
        return [slice(0, sum(widths))]
    ends = np.cumsum(widths).tolist()
    return [
        slice(start, min(start + MOST_COLUMNS, end))
        for end, width in zip(ends, widths, strict=True)
        for start in range(end - width, end, MOST_COLUMNS)
    ]


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
    lower = np.ascontiguousarray(piece.factor.T)
    rest = np.asfortranarray(target[:, piece.order])
    codes = np.empty(rest.shape, np.uint8, order="F")
    columns = rest.shape[1]
    for start in range(0, columns, _BLOCK):
        check(cancelled)
        stop = min(start + _BLOCK, columns)
        errors = np.zeros((len(rest), stop - start), order="F")
        for column in range(start, stop):
            wanted = rest[:, column] - errors[:, : column - start] @ lower[column, start:column]
            codes[:, column], values = levels.nearest(wanted, piece.group)
            errors[:, column - start] = (wanted - values) / lower[column, column]
        rest[:, stop:] -= errors @ lower[stop:, start:stop].T
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
