"""Elements by index: gather and scatter, sorting, one-hot vectors, masks and selection.

Indices are floats that hold integers; negative ones count from the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.axes import positive_axis
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank
from mlexplorer.layers.limits import require_room

_REDUCTIONS = {
    "SCATTER_UPDATE": "none",
    "SCATTER_ADD": "add",
    "SCATTER_SUB": "add",
    "SCATTER_MUL": "mul",
    "SCATTER_DIV": "mul",
    "SCATTER_MAX": "max",
    "SCATTER_MIN": "min",
}
_INVERSES = {"SCATTER_SUB": "Neg", "SCATTER_DIV": "Reciprocal"}


@lowers("gather", inputs=2)
def gather(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Slices of one axis at the indices, whose axes take that axis's place (GatherLayerParams; ONNX Gather)."""
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    return build.op("Gather", x[0], build.cast(x[1], np.int64), axis=axis)


@lowers("gatherND", inputs=2)
def gather_nd(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Slices at the multi-indices along the last axis of the second input (GatherNDLayerParams; ONNX GatherND).

    A single element has the shape [1].
    """
    indices = build.cast(x[1], np.int64)
    if tuple(indices.shape) == (len(x[0].shape),):
        indices = build.reshape(indices, [1, len(x[0].shape)])
    return build.op("GatherND", x[0], indices)


@lowers("gatherAlongAxis", inputs=2)
def gather_along_axis(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """NumPy's take_along_axis (GatherAlongAxisLayerParams; ONNX GatherElements)."""
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    return build.op("GatherElements", x[0], build.cast(x[1], np.int64), axis=axis)


@lowers("scatter", inputs=3)
def scatter(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The first input with slices of one axis, at the indices, updated by the third (ScatterLayerParams).

    The updates have the indices' axes in place of that axis. Source: ONNX ScatterND on the axis moved to the front.
    """
    container, indices, updates = x
    axis = positive_axis(layer.params.axis, len(container.shape))
    others = [*container.shape[:axis], *container.shape[axis + 1 :]]
    wanted = [*container.shape[:axis], *indices.shape, *container.shape[axis + 1 :]]
    if list(updates.shape) != wanted:
        raise ModelError(f"the updates have the shape {list(updates.shape)}; it must be {wanted}")
    front = [axis, *(other for other in range(len(container.shape)) if other != axis)]
    moved = [*range(axis, axis + len(indices.shape))]
    moved += [other for other in range(len(wanted)) if other not in moved]
    count = int(np.prod(indices.shape))
    y = build.op(
        "ScatterND",
        build.transpose(container, front),
        build.reshape(build.cast(indices, np.int64), [count, 1]),
        _updates(build, layer, build.reshape(build.transpose(updates, moved), [count, *others])),
        reduction=_reduction(layer),
    )
    return build.transpose(y, np.argsort(front).tolist())


@lowers("scatterND", inputs=3)
def scatter_nd(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The first input, updated by the third at multi-indices (ScatterNDLayerParams; ONNX ScatterND)."""
    indices = build.cast(x[1], np.int64)
    return build.op("ScatterND", x[0], indices, _updates(build, layer, x[2]), reduction=_reduction(layer))


@lowers("scatterAlongAxis", inputs=3)
def scatter_along_axis(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """NumPy's put_along_axis, with accumulation (ScatterAlongAxisLayerParams; ONNX ScatterElements)."""
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    indices, updates = build.cast(x[1], np.int64), _updates(build, layer, x[2])
    return build.op("ScatterElements", x[0], indices, updates, axis=axis, reduction=_reduction(layer))


def _reduction(layer: Layer) -> str:
    return _REDUCTIONS[enum_name(layer.params, "mode")]


def _updates(build: Builder, layer: Layer, updates: Tensor) -> Any:
    inverse = _INVERSES.get(enum_name(layer.params, "mode"))
    return build.op(inverse, updates) if inverse else updates


@lowers("topK", inputs=(1, 2))
def top_k(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The K largest values of an axis and their indices, or smallest with useBottomK (TopKLayerParams; ONNX TopK).

    A second input overrides K. Of equal values the one with the lower index comes first.
    """
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    count = build.cast(x[1], np.int64) if len(x) > 1 else build.constant(int(layer.params.K))
    if count.value is not None and not 1 <= int(count.value.reshape(-1)[0]) <= x[0].shape[axis]:
        raise ModelError(f"K is {int(count.value.reshape(-1)[0])}; it must be 1 to {x[0].shape[axis]}")
    largest = int(not layer.params.useBottomK)
    return build.op("TopK", x[0], build.reshape(count, [1]), outputs=2, axis=axis, largest=largest)


@lowers("argSort")
def arg_sort(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The indices that sort an axis; equal values stay in their order (ArgSortLayerParams; ONNX TopK)."""
    axis = positive_axis(layer.params.axis, len(x[0].shape))
    largest = int(layer.params.descending)
    return build.op("TopK", x[0], [x[0].shape[axis]], outputs=2, axis=axis, largest=largest)[1]


@lowers("oneHot", inputs=(1, 2))
def one_hot(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """A new axis with onValue at the index and offValue elsewhere; all offValue where the index is out of range.

    A second input overrides oneHotVectorSize. Source: OneHotLayerParams; ONNX OneHot would count -1 from the end.
    """
    params, shape = layer.params, list(x[0].shape)
    axis = positive_axis(params.axis, len(shape) + 1)
    size = build.cast(x[1], np.int64) if len(x) > 1 else build.constant(int(params.oneHotVectorSize))
    places = [1] * axis + [-1] + [1] * (len(shape) - axis)
    if size.value is not None:
        length = int(size.value.reshape(-1)[0])
        if length < 1:
            raise ModelError(f"oneHotVectorSize is {length}; it must be at least 1")
        require_room([*shape, length])
        positions = build.constant(np.arange(length).reshape(places))
    else:
        positions = build.op("Reshape", build.op("Range", 0, build.reshape(size, []), 1), places)
    indices = build.reshape(build.cast(x[0], np.int64), [*shape[:axis], 1, *shape[axis:]])
    hit = build.op("Equal", indices, positions)
    return build.op("Where", hit, float(params.onValue), float(params.offValue))


@lowers("whereNonZero")
def where_non_zero(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The indices of all elements that are not zero: [count, rank] (WhereNonZeroLayerParams; ONNX NonZero)."""
    return build.op("Transpose", build.op("NonZero", x[0]), perm=[1, 0])


@lowers("whereBroadcastable", inputs=3)
def where_broadcastable(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The second input where the first is not zero, else the third (WhereBroadcastableLayerParams; ONNX Where)."""
    return build.op("Where", build.cast(x[0], np.bool_), x[1], x[2])


@lowers("matrixBandPart")
def matrix_band_part(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The diagonals from numLower below to numUpper above the main one; a negative number keeps all on its side.

    Source: MatrixBandPartLayerParams; ONNX Trilu.
    """
    require_rank(x[0], 2)
    below, above = int(layer.params.numLower), int(layer.params.numUpper)
    y = x[0]
    if below >= 0:
        y = build.op("Trilu", y, -below, upper=1)
    return build.op("Trilu", y, above, upper=0) if above >= 0 else y


@lowers("lowerTriangular", "upperTriangular")
def triangular(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Zeros above, or below, the k-th diagonal (LowerTriangularLayerParams, UpperTriangularLayerParams; ONNX Trilu)."""
    require_rank(x[0], 2)
    return build.op("Trilu", x[0], int(layer.params.k), upper=int(layer.type == "upperTriangular"))
