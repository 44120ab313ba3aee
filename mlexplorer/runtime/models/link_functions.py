"""From scores to probabilities: the logistic function, the normal distribution function, softmax."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def logistic(scores: Floats) -> Floats:
    """1 / (1 + exp(-x)) of each score, without overflow."""
    power = np.exp(-np.abs(scores))
    return np.where(scores >= 0, 1.0, power) / (1.0 + power)


def log_logistic(scores: Floats) -> Floats:
    """The logarithm of `logistic`, which still tells scores apart whose probability is 0 or 1 in double precision."""
    return -np.logaddexp(0.0, -scores)


def normal_distribution(scores: Floats) -> Floats:
    """The distribution function of the standard normal distribution at each score; also precise far below 0."""
    return np.array([0.5 * math.erfc(-score / math.sqrt(2.0)) for score in scores.tolist()])


def softmax(scores: Floats) -> Floats:
    """exp(x) of each score over their sum, without overflow; scores that are infinite share the whole."""
    top = scores.max()
    with np.errstate(invalid="ignore"):
        powers = np.asarray(scores == top, np.float64) if np.isinf(top) else np.exp(scores - top)
        return np.asarray(powers / powers.sum())
