"""The same values under other shapes: reshape, flatten, permute, squeeze, broadcast.

The layers of the first format version look at the last axes [..., C, H, W] of legacy tensors [Seq, Batch, C, H, W]; the
later ones take any rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.axes import positive_axes, positive_axis
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank
from mlexplorer.layers.limits import require_room

_CHANNEL_LAST = "CHANNEL_LAST"


@lowers("reshape")
def reshape(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[Seq, Batch, C, H, W] with other C, H, W, or other Seq, C, H, W (ReshapeLayerParams).

    In CHANNEL_LAST order the values are read as H, W, C and written as H', W', C'. Raises UnsupportedError where a new
    Seq meets a batch of more than one.
    """
    source, target = x[0], [int(n) for n in layer.params.targetShape]
    require_rank(source, 3)
    leading = list(source.shape[:-3])
    if len(target) == 4:
        if prod(leading[1:]) != 1:
            raise UnsupportedError("a targetShape of four numbers needs a batch of one")
        leading = [target[0], *leading[1:]] if leading else []
        if not leading and target[0] != 1:
            raise ModelError("a targetShape of four numbers needs an input of rank 4 or 5")
        target = target[1:]
    if len(target) != 3:
        raise ModelError(f"targetShape has {len(layer.params.targetShape)} numbers; it must have three or four")
    if enum_name(layer.params, "mode") != _CHANNEL_LAST:
        return build.reshape(source, [*leading, *target])
    channels, height, width = target
    rows = build.reshape(_channel_last(build, source), [*leading, height, width, channels])
    rank = len(rows.shape)
    return build.transpose(rows, [*range(rank - 3), rank - 1, rank - 3, rank - 2])


@lowers("flatten")
def flatten(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[..., C, H, W] to [..., C * H * W, 1, 1]; CHANNEL_LAST reads the values as H, W, C (FlattenLayerParams)."""
    require_rank(x[0], 3)
    ordered = _channel_last(build, x[0]) if enum_name(layer.params, "mode") == _CHANNEL_LAST else x[0]
    return build.reshape(ordered, [*x[0].shape[:-3], prod(x[0].shape[-3:]), 1, 1])


def _channel_last(build: Builder, x: Tensor) -> Any:
    rank = len(x.shape)
    return build.transpose(x, [*range(rank - 3), rank - 2, rank - 1, rank - 3])


@lowers("permute")
def permute(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """[Seq, Batch, C, H, W] with Seq, C, H, W (numbered 0 to 3) in another order; the batch stays (PermuteLayerParams).

    Tensors of rank 3 or 4 may permute C, H, W.
    """
    order = [int(axis) for axis in layer.params.axis] or [0, 1, 2, 3]
    if sorted(order) != [0, 1, 2, 3]:
        raise ModelError(f"axis is {order}; it must be a permutation of 0, 1, 2, 3")
    rank = len(x[0].shape)
    first = rank - 3
    if rank == 5:
        axes = [0 if axis == 0 else axis + 1 for axis in order]
        return build.transpose(x[0], [axes[0], 1, *axes[1:]])
    if rank in (3, 4) and order[0] == 0:
        return build.transpose(x[0], [*range(first), *(first + axis - 1 for axis in order[1:])])
    raise ModelError(f"an input of shape {list(x[0].shape)} cannot be permuted by {order}; five axes are needed")


@lowers("transpose")
def transpose(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The axes in another order (TransposeLayerParams; ONNX Transpose).

    Leading axes of length 1 beyond those that `axes` names vanish: coremltools writes [1, 2, 0] behind a picture
    [1, C, H, W] where the network takes [H, W, C], and its tests expect that.
    """
    axes, shape = [int(axis) for axis in layer.params.axes], x[0].shape
    surplus = len(shape) - len(axes)
    if not axes or surplus < 0 or sorted(axes) != list(range(len(axes))) or any(n != 1 for n in shape[:surplus]):
        raise ModelError(f"axes is {axes}; it must be a permutation of the axes of an input of {list(shape)}")
    return build.transpose(build.reshape(x[0], shape[surplus:]) if surplus else x[0], axes)


@lowers("squeeze")
def squeeze(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Without some axes of length 1, or all of them with squeezeAll; one axis always remains (SqueezeLayerParams)."""
    shape = x[0].shape
    if layer.params.squeezeAll:
        axes = [axis for axis, n in enumerate(shape) if n == 1]
    else:
        axes = positive_axes(layer.params.axes, len(shape))
    if any(shape[axis] != 1 for axis in axes):
        raise ModelError(
            f"the axes {axes} of an input of shape {list(shape)} cannot be dropped; their length must be 1"
        )
    return build.reshape(x[0], [n for axis, n in enumerate(shape) if axis not in axes] or [1])


@lowers("expandDims")
def expand_dims(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """New axes of length 1; `axes` are positions in the result (ExpandDimsLayerParams; ONNX Unsqueeze)."""
    rank = len(x[0].shape) + len(layer.params.axes)
    axes = positive_axes(layer.params.axes, rank)
    lengths = iter(x[0].shape)
    return build.reshape(x[0], [1 if axis in axes else next(lengths) for axis in range(rank)])


@lowers("flattenTo2D")
def flatten_to_2d(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """A matrix: the axes before `axis`, and those from it on (FlattenTo2DLayerParams)."""
    shape, axis = x[0].shape, int(layer.params.axis)
    cut = len(shape) if axis == len(shape) else positive_axis(axis, len(shape))
    return build.reshape(x[0], [prod(shape[:cut]), prod(shape[cut:])])


@lowers("reshapeStatic")
def reshape_static(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Another shape, in which one -1 is inferred (ReshapeStaticLayerParams; ONNX Reshape)."""
    return build.reshape(x[0], list(layer.params.targetShape))


@lowers("rankPreservingReshape")
def rank_preserving_reshape(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Another shape of the same rank: 0 keeps an axis, one -1 is inferred (RankPreservingReshapeLayerParams)."""
    target, shape = list(layer.params.targetShape), x[0].shape
    if len(target) != len(shape):
        raise ModelError(f"targetShape is {target}; it must have one number for each axis of {list(shape)}")
    return build.reshape(x[0], [n or kept for n, kept in zip(target, shape, strict=True)])


@lowers("reshapeLike", inputs=2)
def reshape_like(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The shape of the second input (ReshapeLikeLayerParams)."""
    return build.reshape(x[0], x[1].shape)


@lowers("reshapeDynamic", inputs=2)
def reshape_dynamic(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The shape that the second input holds (ReshapeDynamicLayerParams; ONNX Reshape)."""
    if x[1].value is not None:
        return build.reshape(x[0], x[1].value.astype(np.int64).reshape(-1).tolist())
    return build.op("Reshape", x[0], build.cast(x[1], np.int64))


@lowers("getShape")
def get_shape(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The lengths of the axes as a vector (GetShapeLayerParams)."""
    return build.constant(np.array(x[0].shape, np.float32))


@lowers("broadcastToStatic")
def broadcast_to_static(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Repeated along axes of length 1 up to targetShape (BroadcastToStaticLayerParams; ONNX Expand)."""
    return _broadcast(build, x[0], [int(n) for n in layer.params.targetShape])


@lowers("broadcastToLike", inputs=2)
def broadcast_to_like(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Repeated along axes of length 1 up to the shape of the second input (BroadcastToLikeLayerParams; ONNX Expand)."""
    return _broadcast(build, x[0], x[1].shape)


@lowers("broadcastToDynamic", inputs=2)
def broadcast_to_dynamic(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Repeated along axes of length 1 up to the shape that the second input holds (BroadcastToDynamicLayerParams)."""
    if x[1].value is not None:
        return _broadcast(build, x[0], x[1].value.astype(np.int64).reshape(-1).tolist())
    return build.op("Expand", x[0], build.cast(x[1], np.int64))


def _broadcast(build: Builder, x: Tensor, shape: Sequence[int]) -> Any:
    missing = len(shape) - len(x.shape)
    if missing < 0 or any(n not in (1, m) for n, m in zip(x.shape, shape[missing:], strict=True)):
        raise ModelError(f"an input of shape {list(x.shape)} cannot be broadcast to {list(shape)}")
    require_room(shape)
    return build.op("Expand", x, np.array(shape, np.int64))
