"""What a model's inputs and outputs are declared as, held against its parameters and the values given."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature
from mlexplorer.runtime.model_type import Values


def declared_size(feature: Feature) -> int | None:
    """How many values a feature has: 1 of a number, None where an array's shape is open."""
    if feature.type == "multiArray" and (feature.flexible or not feature.shape):
        return None
    return math.prod(feature.shape or ())


def check_size(output: Feature, size: int, field: str) -> None:
    """Raise ModelError where a field gives another number of values than an output is declared to hold."""
    if output.type not in ("double", "int64", "multiArray") or declared_size(output) not in (None, size):
        raise ModelError(f"{field} gives {size} values, but the output is {output}")


def given(values: Values, feature: Feature) -> Any:
    """The value of an input, its default where it is absent; raises InputError where it has none."""
    if feature.name in values:
        return values[feature.name]
    if feature.default is None:
        raise InputError(f"the input {feature.name!r} is missing")
    return np.full(feature.shape or (1,), feature.default)
