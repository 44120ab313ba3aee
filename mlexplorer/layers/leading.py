"""Leading axes: Core ML folds whatever stands before the last axes of a layer into its batch."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Builder, Tensor


def require_rank(x: Tensor, minimum: int) -> None:
    """Raise ModelError where a tensor has fewer axes than its layer needs."""
    if len(x.shape) < minimum:
        raise ModelError(f"an input of shape {list(x.shape)} has too few axes; at least {minimum} are needed")


def with_rank(build: Builder, x: Tensor, rank: int, function: Callable[[Any], Any]) -> Any:
    """Apply a function of tensors with `rank` axes: the first axis takes all leading ones, and gives them back.

    `x` may also lack the first axis: it is one then. The function keeps the first axis and the rank. Raises ModelError
    where still more axes are missing.
    """
    require_rank(x, rank - 1)
    split = len(x.shape) - rank + 1
    if split == 1:
        return function(x)
    leading, own = x.shape[:split], x.shape[split:]
    y = function(build.reshape(x, (prod(leading), *own)))
    return build.reshape(y, (*leading, *y.shape[1:]))


def with_rank4(build: Builder, x: Tensor, function: Callable[[Any], Any]) -> Any:
    """Apply a function of [N, C, H, W] tensors to one of shape [..., C, H, W]; see `with_rank`."""
    return with_rank(build, x, 4, function)
