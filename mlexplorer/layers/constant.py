"""Tensors from the model itself: constants, fillings, ranges."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Builder, Layer, Operand, lowers
from mlexplorer.layers.limits import require_room


@lowers("loadConstant", inputs=0)
def load_constant(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Stored values as [1, 1, C, H, W] (LoadConstantLayerParams)."""
    shape = [int(n) for n in layer.params.shape]
    if len(shape) != 3:
        raise ModelError(f"shape is {shape}; it must have three entries")
    return build.reshape(build.weight(layer, "data"), [1, 1, *shape])


@lowers("loadConstantND", inputs=0)
def load_constant_nd(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Stored values in a shape of any rank (LoadConstantNDLayerParams)."""
    return build.reshape(build.weight(layer, "data"), [int(n) for n in layer.params.shape] or [1])


@lowers("fillLike")
def fill_like(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """One value in the shape of the input (FillLikeLayerParams)."""
    return _filled(build, layer, x[0].shape)


@lowers("fillStatic", inputs=0)
def fill_static(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """One value in the shape targetShape (FillStaticLayerParams)."""
    shape = [int(n) for n in layer.params.targetShape] or [1]
    require_room(shape)
    return _filled(build, layer, shape)


@lowers("fillDynamic")
def fill_dynamic(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """One value in the shape that the input's values are (FillDynamicLayerParams)."""
    shape = build.reshape(build.cast(x[0], np.int64), [-1])
    if shape.value is not None:
        require_room(shape.value)
    return _filled(build, layer, shape)


@lowers("rangeStatic", inputs=0)
def range_static(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """startValue, and on by stepSizeValue, before endValue (RangeStaticLayerParams)."""
    params = layer.params
    _require_step(params.stepSizeValue)
    require_room([max(0, ceil((params.endValue - params.startValue) / params.stepSizeValue))])
    return build.constant(np.arange(params.startValue, params.endValue, params.stepSizeValue))


@lowers("rangeDynamic", inputs=(1, 3))
def range_dynamic(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """A range whose end, start and step are the first, second and third input (RangeDynamicLayerParams; ONNX Range).

    What is no input is startValue or stepSizeValue.
    """
    params = layer.params
    end, *rest = (build.reshape(value, []) for value in x)
    start = rest[0] if rest else build.constant(params.startValue)
    step = rest[1] if len(rest) > 1 else build.constant(params.stepSizeValue)
    if step.value is not None:
        _require_step(float(step.value))
    return build.op("Range", start, end, step)


def _filled(build: Builder, layer: Layer, shape: Operand) -> Any:
    return build.op("Expand", layer.params.value, shape)


def _require_step(step: float) -> None:
    if step == 0:
        raise ModelError("stepSizeValue is 0; a range needs another step")
