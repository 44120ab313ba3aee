"""Reductions: sums, norms, extremes and their places, running sums, scalar products."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.axes import positive_axes, positive_axis
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank

_OPERATORS = {
    "reduceL1": "ReduceL1",
    "reduceL2": "ReduceL2",
    "reduceMax": "ReduceMax",
    "reduceMin": "ReduceMin",
    "reduceSum": "ReduceSum",
    "reduceProd": "ReduceProd",
    "reduceMean": "ReduceMean",
    "reduceLogSum": "ReduceLogSum",
    "reduceSumSquare": "ReduceSumSquare",
    "reduceLogSumExp": "ReduceLogSumExp",
}
_MODES = {
    "SUM": "ReduceSum",
    "AVG": "ReduceMean",
    "PROD": "ReduceProd",
    "SUMSQUARE": "ReduceSumSquare",
    "L1": "ReduceL1",
    "L2": "ReduceL2",
    "MAX": "ReduceMax",
    "MIN": "ReduceMin",
}
_AXES = {"CHW": [-3, -2, -1], "HW": [-2, -1], "C": [-3], "H": [-2], "W": [-1]}


@lowers("reduce")
def reduce(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """One number instead of C, H or W, of H and W, or of all three; the axes stay with length 1 (ReduceLayerParams).

    LOGSUM is the sum of log(x + epsilon), epsilon 1e-6 where unset; ARGMAX takes one axis.
    """
    params = layer.params
    mode, axes = enum_name(params, "mode"), _AXES[enum_name(params, "axis")]
    require_rank(x[0], -axes[0])
    if mode == "ARGMAX":
        if len(axes) > 1:
            raise ModelError("ARGMAX runs along one axis; set the axis to C, H or W")
        return build.op("ArgMax", x[0], axis=axes[0], keepdims=1)
    if mode == "LOGSUM":
        logarithms = build.op("Log", build.op("Add", x[0], params.epsilon or 1e-6))
        return build.op("ReduceSum", logarithms, axes, keepdims=1)
    return build.op(_MODES[mode], x[0], axes, keepdims=1)


@lowers(*_OPERATORS)
def reduce_axes(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The ONNX operator of the same name over some axes, or all with reduceAll (ReduceSumLayerParams, ...).

    Without keepDims the axes vanish; a scalar has the shape [1].
    """
    params = layer.params
    rank = len(x[0].shape)
    axes = list(range(rank)) if params.reduceAll else positive_axes(params.axes, rank)
    if not axes:
        raise ModelError("no axes to reduce; set axes or reduceAll")
    y = build.op(_OPERATORS[layer.type], x[0], axes, keepdims=1)
    return y if params.keepDims else _without(build, y, axes)


@lowers("argMax", "argMin")
def arg_extreme(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Where along an axis the first largest or smallest element stands (ArgMaxLayerParams; ONNX ArgMax, ArgMin)."""
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    y = build.op("ArgMax" if layer.type == "argMax" else "ArgMin", x[0], axis=axis, keepdims=1)
    return _without(build, y, [axis]) if layer.params.removeDim else y


@lowers("cumSum", inputs=(1, 2))
def cumulative_sum(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The sum up to each element along an axis, which a second input may give (CumSumLayerParams; ONNX CumSum)."""
    params = layer.params
    axis = (
        build.reshape(build.cast(x[1], np.int64), [1]) if len(x) > 1 else [positive_axis(params.axis, len(x[0].shape))]
    )
    return build.op("CumSum", x[0], axis, exclusive=int(params.excludeFinalSum), reverse=int(params.reverse))


@lowers("dot", inputs=2)
def dot(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The scalar product along axis -3, with cosineSimilarity of the vectors at length one (DotProductLayerParams)."""
    require_rank(x[0], 3)
    product = build.op("ReduceSum", build.op("Mul", x[0], x[1]), [-3], keepdims=1)
    if not layer.params.cosineSimilarity:
        return product
    a, b = (build.op("ReduceL2", v, [-3], keepdims=1) for v in x)
    return build.op("Div", product, build.op("Mul", a, b))


def _without(build: Builder, x: Tensor, axes: Sequence[int]) -> Any:
    return build.reshape(x, [n for axis, n in enumerate(x.shape) if axis not in axes] or [1])
