"""Random options that many layers share."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlexplorer.spec.weight_params import write_floats
from tests.runtime.random_networks import Sketch


def weigh(params: Any, s: Sketch, field: str, *shape: int, scale: float = 0.0, mean: float = 0.0) -> None:
    """Fill a weight with random floats, small enough for sums over all but the first axis."""
    fan = float(np.prod(shape[1:])) if len(shape) > 1 else 1.0
    target = params
    for name in field.split("."):
        target = getattr(target, name)
    write_floats(target, (s.normal(*shape, scale=scale or 1 / np.sqrt(fan)) + np.float32(mean)).reshape(-1))


def edges(s: Sketch, highest: int) -> list[list[int]]:
    return [[s.whole(0, highest), s.whole(0, highest)] for _ in range(2)]


def put_edges(message: Any, amounts: list[list[int]]) -> None:
    for start, end in amounts:
        message.borderAmounts.add(startEdgeSize=start, endEdgeSize=end)


def divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
