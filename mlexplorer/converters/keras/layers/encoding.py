"""Numbers of classes and of bins, as whole numbers or as vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlexplorer.converters.keras.context import Context, converts
from mlexplorer.converters.keras.values import Value


@converts("CategoryEncoding")
def category_encoding(c: Context) -> Value:
    """CategoryEncoding: whole numbers as vectors that are 1 where any, or count how many, have the place."""
    x, *weights = c.inputs
    return _encoded(c, c.as_plain(x), int(c.get("num_tokens")), str(c.get("output_mode", "multi_hot")), weights)


@converts("Discretization")
def discretization(c: Context) -> Value:
    """Discretization: how many boundaries are not above a number, as it is or as a vector."""
    boundaries = c.get("bin_boundaries")
    if boundaries is None:
        c.refuse("it has no bin_boundaries; adapt the layer before the model is saved")
    x = c.as_plain(c.input)
    if x.rank > 4:
        c.refuse(f"its input has the shape {list(x.shape)}; four axes are the most")
    column = c.add("expandDims", x.blob, part="column", axes=[x.rank])
    above = c.add("greaterEqual", column, c.constant(np.asarray(boundaries, np.float32), "boundaries"), part="above")
    bins = c.add("reduceSum", above, part="bins", axes=[x.rank], keepDims=False)
    return _encoded(c, Value(bins, x.shape), len(boundaries) + 1, str(c.get("output_mode", "int")), ())


def _encoded(c: Context, x: Value, depth: int, mode: str, weights: Sequence[Value]) -> Value:
    """keras.src.utils.numerical_utils.encode_categorical_inputs."""
    if mode == "int":
        return x
    if mode not in ("one_hot", "multi_hot", "count") or bool(c.get("sparse", False)):
        c.refuse(f"output_mode is {mode!r}, sparse {bool(c.get('sparse', False))}; dense vectors are known")
    if mode == "one_hot" and x.shape[-1] == 1:
        x = c.reshape(x, x.shape[:-1], "numbers")
    part = "" if mode == "one_hot" else "one_hot"
    vectors = c.add("oneHot", x.blob, part=part, oneHotVectorSize=depth, axis=-1, onValue=1, offValue=0)
    if mode == "one_hot":
        return Value(vectors, (*x.shape, depth))
    if weights:
        factors = c.add("expandDims", c.plain(weights[0]), part="weights", axes=[x.rank])
        vectors = c.add("multiplyBroadcastable", vectors, factors, part="weighted")
    reduction = "reduceMax" if mode == "multi_hot" else "reduceSum"
    y = c.add(reduction, vectors, axes=[1], keepDims=False)
    return Value(y, (x.shape[0], *x.shape[2:], depth))
