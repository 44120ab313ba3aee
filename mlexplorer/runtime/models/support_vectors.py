"""Support vector machines as LIBSVM runs them: kernels, duels of two classes, coupled probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Model
from mlexplorer.runtime.features import class_labels, classification, input_size, input_vector, single_output
from mlexplorer.runtime.model_type import Values, evaluates

Array = NDArray[Any]

_LEAST_PROBABILITY = 1e-7


@evaluates("supportVectorRegressor")
def support_vector_regressor(model: Model) -> Callable[[Values], Values]:
    """The sum of coefficients times kernels with the support vectors, less rho (SupportVectorRegressor)."""
    machine = model.spec.supportVectorRegressor
    kernel = _kernel(machine, model)
    alpha = np.array(machine.coefficients.alpha, np.float64)
    if alpha.size != kernel.count:
        raise ModelError(f"coefficients has {alpha.size} values, but there are {kernel.count} support vectors")
    output = model.spec.description.predictedFeatureName or single_output(model)

    def evaluate(values: Values) -> Values:
        kernels = kernel(input_vector(model, values))
        with np.errstate(invalid="ignore"):
            return {output: float(alpha @ kernels - machine.rho)}

    return evaluate


@evaluates("supportVectorClassifier")
def support_vector_classifier(model: Model) -> Callable[[Values], Values]:
    """The class that wins most duels of two classes, or the most probable one (SupportVectorClassifier).

    Where probA and probB are given, the probabilities are Platt's of each pair, coupled by the second method of Wu, Lin
    and Weng, "Probability Estimates for Multi-class Classification by Pairwise Coupling" (2004), as LIBSVM does; with
    two classes Platt's probability itself. Where they are not, the class with most votes, the first of those that tie,
    has the probability 1.
    """
    machine = model.spec.supportVectorClassifier
    kernel = _kernel(machine, model)
    duels = _duels(machine, kernel.count)
    labels = class_labels(machine)
    classes = len(machine.numberOfSupportVectorsPerClass)
    if len(labels) != classes:
        raise ModelError(
            f"there are {len(labels)} class labels, but numberOfSupportVectorsPerClass has {classes} entries"
        )
    rho = np.array(machine.rho, np.float64)
    slopes, offsets = np.array(machine.probA, np.float64), np.array(machine.probB, np.float64)

    def evaluate(values: Values) -> Values:
        kernels = kernel(input_vector(model, values))
        with np.errstate(invalid="ignore"):
            decisions = duels @ kernels - rho
        if slopes.size:
            return classification(model, labels, _coupled(_platt(slopes * decisions + offsets), classes))
        first, second = np.triu_indices(classes, 1)
        votes = np.bincount(np.where(decisions > 0, first, second), minlength=classes)
        return classification(model, labels, np.arange(classes) == np.argmax(votes))

    return evaluate


def _duels(machine: Any, count: int) -> Array:
    """The coefficients of all support vectors in each duel [pairs, vectors], (0, 1), (0, 2), ..., (1, 2), ...

    Row j of the message's coefficients holds, for a vector of class i, the factor against the class j of those other
    than i.
    """
    numbers = list(machine.numberOfSupportVectorsPerClass)
    classes = len(numbers)
    if not numbers or min(numbers) < 0 or sum(numbers) != count:
        raise ModelError(f"numberOfSupportVectorsPerClass is {numbers}, but there are {count} support vectors")
    rows = [len(row.alpha) for row in machine.coefficients]
    if rows != [count] * (classes - 1):
        raise ModelError(
            f"coefficients has rows of {rows} values; for {classes} classes and {count} support vectors it needs "
            f"{classes - 1} of {count} each"
        )
    pairs = classes * (classes - 1) // 2
    for field in ("rho", "probA", "probB"):
        given = len(getattr(machine, field))
        if given != pairs and (field == "rho" or machine.probA or machine.probB):
            raise ModelError(f"{field} has {given} values; {classes} classes make {pairs} pairs")
    alpha = np.array([row.alpha for row in machine.coefficients], np.float64).reshape(classes - 1, count)
    starts = np.concatenate([[0], np.cumsum(numbers)])
    duels = np.zeros((pairs, count))
    for pair, (i, j) in enumerate(zip(*np.triu_indices(classes, 1), strict=True)):
        for own, other in ((i, j - 1), (j, i)):
            vectors = slice(starts[own], starts[own + 1])
            duels[pair, vectors] = alpha[other, vectors]
    return duels


def _platt(exponents: Array) -> Array:
    """1 / (1 + exp(x)), without overflow and away from 0 and 1."""
    powers = np.exp(-np.abs(exponents))
    probabilities = np.where(exponents >= 0, powers, 1.0) / (1.0 + powers)
    # as LIBSVM compares, what is no number goes to the lower end: a degenerate training leaves such offsets
    above = np.where(probabilities > _LEAST_PROBABILITY, probabilities, _LEAST_PROBABILITY)
    return np.minimum(above, 1 - _LEAST_PROBABILITY)


def _coupled(duels: Array, classes: int) -> Array:
    """The probabilities of all classes from those of the first class of each pair.

    Minimizes the sum over pairs of (r_ji p_i - r_ij p_j)^2 by Gauss-Seidel steps; LIBSVM's number of rounds and bound
    are kept, because they show in the result's fourth digit.
    """
    if classes <= 2:
        return np.array([1.0]) if classes < 2 else np.array([duels[0], 1 - duels[0]])
    r = np.zeros((classes, classes))
    r[np.triu_indices(classes, 1)] = duels
    r += np.tril(1 - r.T, -1)
    q = -r * r.T
    np.fill_diagonal(q, (r * r).sum(axis=0))
    p = np.full(classes, 1 / classes)
    for _ in range(max(100, classes)):
        qp = q @ p
        pqp = p @ qp
        if np.abs(qp - pqp).max() < 0.005 / classes:
            break
        for t in range(classes):
            step = (pqp - qp[t]) / q[t, t]
            p[t] += step
            pqp = (pqp + step * (step * q[t, t] + 2 * qp[t])) / (1 + step) ** 2
            qp = (qp + step * q[t]) / (1 + step)
            p /= 1 + step
    return p


@dataclass(frozen=True)
class _Dense:
    """Support vectors as a matrix."""

    matrix: Array

    def products(self, x: Array) -> Array:
        return self.matrix @ x

    def distances(self, x: Array) -> Array:
        distances: Array = np.square(self.matrix - x).sum(axis=1)
        return distances


@dataclass(frozen=True)
class _Sparse:
    """Support vectors without their zeros: positions and values of all vectors one after the other."""

    positions: Array
    values: Array
    owners: Array
    count: int

    def products(self, x: Array) -> Array:
        return self._sums(self.values * x[self.positions])

    def distances(self, x: Array) -> Array:
        there = x[self.positions]
        elsewhere: Array = np.maximum(0.0, x @ x - self._sums(there * there))
        return self._sums(np.square(self.values - there)) + elsewhere

    def _sums(self, terms: Array) -> Array:
        sums: Array = np.bincount(self.owners, terms, minlength=self.count)
        return sums


@dataclass(frozen=True)
class _Kernel:
    """The kernel of an input with each support vector."""

    count: int
    size: int | None
    least: int
    function: Callable[[Array], Array]

    def __call__(self, x: Array) -> Array:
        if x.size < self.least or self.size not in (None, x.size):
            wanted = f"{self.least} or more" if self.size is None else str(self.size)
            raise InputError(f"the inputs hold {x.size} values, but the support vectors take {wanted}")
        with np.errstate(over="ignore", invalid="ignore"):
            return self.function(x)


def _kernel(machine: Any, model: Model) -> _Kernel:
    vectors, count, size, least = _vectors(machine)
    known = input_size(model)
    if known is not None and (known < least or size not in (None, known)):
        raise ModelError(f"the inputs have {known} values, but the support vectors have {least}")
    kind = machine.kernel.WhichOneof("kernel")
    if kind is None:
        raise ModelError("kernel is not set; it is linear, RBF, polynomial or sigmoid")
    params = getattr(machine.kernel, kind)
    if kind == "polyKernel" and params.degree < 0:
        raise ModelError(f"degree of the polyKernel is {params.degree}; it must not be negative")
    functions: dict[str, Callable[[Array], Array]] = {
        "linearKernel": vectors.products,
        "rbfKernel": lambda x: np.exp(-params.gamma * vectors.distances(x)),
        "polyKernel": lambda x: (params.gamma * vectors.products(x) + params.c) ** params.degree,
        "sigmoidKernel": lambda x: np.tanh(params.gamma * vectors.products(x) + params.c),
    }
    return _Kernel(count, size, least, functions[kind])


def _vectors(machine: Any) -> tuple[_Dense | _Sparse, int, int | None, int]:
    """The support vectors, how many there are, the size of an input where it is certain, and its least size."""
    kind = machine.WhichOneof("supportVectors")
    if kind is None:
        raise ModelError("supportVectors is not set; the machine has neither dense nor sparse support vectors")
    vectors = getattr(machine, kind).vectors
    if kind == "denseSupportVectors" and vectors:
        sizes = {len(vector.values) for vector in vectors}
        if len(sizes) > 1:
            raise ModelError(f"denseSupportVectors has vectors of different sizes: {sorted(sizes)[:5]}")
        size = sizes.pop()
        matrix = np.array([vector.values for vector in vectors], np.float64).reshape(len(vectors), size)
        return _Dense(matrix), len(vectors), size, size
    positions: list[int] = []
    values: list[float] = []
    owners: list[int] = []
    for number, vector in enumerate(vectors if kind == "sparseSupportVectors" else ()):
        own = [node.index for node in vector.nodes]
        if own and (own[0] < 1 or any(a >= b for a, b in pairwise(own))):
            raise ModelError(f"sparseSupportVectors: the indices of vector {number} must count from 1 and rise")
        positions += own
        values += [node.value for node in vector.nodes]
        owners += [number] * len(own)
    sparse = _Sparse(np.array(positions, np.int64) - 1, np.array(values), np.array(owners, np.int64), len(vectors))
    return sparse, len(vectors), None, max(positions, default=0)
