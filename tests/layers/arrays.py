"""Test arrays: the same ones at every run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    """Standard normal values."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def uniform(*shape: int, low: float = 0.5, high: float = 2.0, seed: int = 0) -> NDArray[np.float32]:
    """Values evenly distributed from low to high."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape).astype(np.float32)
