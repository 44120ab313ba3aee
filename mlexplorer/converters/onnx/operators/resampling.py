"""Other sizes of images.

Resizing is linear and each axis goes by itself, so it is a matrix [new, old] for each axis: what the operator makes of
the unit vectors. What the matrix is decides the layers, not the name of a mode: rows with a single one pick elements;
a grid that Core ML has is an upsample or resizeBilinear; all else (cubic, antialiased, cropped) is a matrix product.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

from mlexplorer.converters.onnx.folding import evaluate
from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.converters.source import Shape
from mlexplorer.errors import UnsupportedError
from mlexplorer.layers.layer_type import Array

_MOST_ELEMENTS = 1 << 22
_EXACT = 1e-5


def _first_version(node: Node) -> list[Shape]:
    """The shape that Upsample gave in version 1, whose scales are attributes."""
    height, width = (node.attribute(name, 1.0) for name in ("height_scale", "width_scale"))
    shape = node.input().shape
    return [(*shape[:-2], int(shape[-2] * height), int(shape[-1] * width))]


@converts("Upsample", shapes=_first_version)
def upsample(node: Node) -> str:
    """As a Resize on the grid i / scale, the elements at its floor or between them linearly."""
    mode = node.attribute("mode", "nearest")
    resize = onnx.helper.make_node(
        "Resize",
        ["x", "", "scales"],
        ["y"],
        mode="nearest" if mode == "nearest" else "linear",
        nearest_mode="floor",
        coordinate_transformation_mode="asymmetric",
    )
    if "scales" in node.attributes:
        scales = [float(n) for n in node.attributes["scales"]]
    elif node.has(1):
        scales = [float(n) for n in node.known(1, "the scales")]
    else:
        scales = [1.0] * (node.input().rank - 2)
        scales += [node.attribute("height_scale", 1.0), node.attribute("width_scale", 1.0)]
    return _resized(node, [_matrix(node, resize, axis, scales[axis], 13) for axis in range(node.input().rank)])


@converts("Resize")
def resize(node: Node) -> str:
    """Any mode whose result is linear in the input; `extrapolation_value` must be 0, the aspect ratio is not kept."""
    if node.attribute("extrapolation_value", 0.0) and (
        node.attribute("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize"
    ):
        raise UnsupportedError("it fills what lies outside with another value than 0 (extrapolation_value)")
    if node.attribute("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise UnsupportedError("it keeps the aspect ratio (keep_aspect_ratio_policy); give it the sizes themselves")
    rank = node.input().rank
    axes = [axis % rank for axis in node.attribute("axes", list(range(rank)))]
    position = 1 if node.version < 11 else 2
    given = node.known(position, "the scales").reshape(-1) if node.has(position) else np.zeros(0)
    scales = dict(zip(axes, given.tolist(), strict=False)) if given.size else None
    regions: dict[int, tuple[float, float]] = {}
    if position == 2 and node.has(1) and node.input(1).shape != (0,):
        roi = node.known(1, "the region").reshape(2, -1).T.tolist()
        regions = {axis: (start, end) for axis, (start, end) in zip(axes, roi, strict=True)}
    return _resized(
        node,
        [
            _matrix(node, _plain(node), axis, scales.get(axis, 1.0) if scales else None, node.version, regions)
            for axis in range(rank)
        ],
    )


def _plain(node: Node) -> onnx.NodeProto:
    """The node with its mode alone, to be run along one axis."""
    proto = onnx.helper.make_node("Resize", ["x", "scales"] if node.version < 11 else ["x", "roi", "scales"], ["y"])
    proto.attribute.extend(
        attribute for attribute in node.proto.attribute if attribute.name not in ("axes", "keep_aspect_ratio_policy")
    )
    return proto


def _matrix(
    node: Node,
    proto: onnx.NodeProto,
    axis: int,
    scale: float | None,
    version: int,
    regions: Mapping[int, tuple[float, float]] | None = None,
) -> Array | None:
    """What each of the old elements of an axis adds to each of the new ones; None where the axis stays as it is."""
    old, new = node.input().shape[axis], node.shape[axis]
    if old == new and (scale is None or scale == 1) and not (regions and regions.get(axis, (0.0, 1.0)) != (0.0, 1.0)):
        return None
    if old * new > _MOST_ELEMENTS:
        raise UnsupportedError(f"it resizes an axis of {old} to {new}, which is too large for the converter")
    feeds: dict[str, Array] = {"x": np.eye(old, dtype=np.float32)}
    start, end = (regions or {}).get(axis, (0.0, 1.0))
    one_axis = onnx.NodeProto()
    one_axis.CopyFrom(proto)
    if scale is None:
        feeds["sizes"] = np.array([new, old], np.int64)
        del one_axis.input[:]
        one_axis.input.extend(["x", "roi", "", "sizes"])
    else:
        feeds["scales"] = np.array([scale, 1], np.float32)
    if "roi" in one_axis.input:
        feeds["roi"] = np.array([start, 0, end, 1], np.float32)
    try:
        result = evaluate(one_axis, feeds, {"": version})[0]
    except Exception as error:  # onnxruntime's exceptions share no public base
        raise UnsupportedError(f"onnxruntime does not compute this mode of it: {error}") from error
    if result.shape != (new, old):
        raise UnsupportedError(f"it makes {new} elements of {old}, but onnxruntime {result.shape[0]}")
    return result


def _resized(node: Node, matrices: Sequence[Array | None]) -> str:
    blob, rank = node.blob(), len(matrices)
    changed = [axis for axis, matrix in enumerate(matrices) if matrix is not None]
    if not changed:
        return blob
    picture = rank > 2 and changed[0] >= rank - 2
    if picture and (layer := _image_layer(node, matrices[-2], matrices[-1])) is not None:
        return layer
    for axis in changed:
        blob = _multiplied(node, blob, axis, rank, matrices[axis])
    return blob


def _image_layer(node: Node, rows: Array | None, columns: Array | None) -> str | None:
    """The layer that does the same to height and width, where there is one."""
    (old_h, old_w), (new_h, new_w) = node.input().shape[-2:], node.shape[-2:]
    pair = [
        (np.eye(old_h, dtype=np.float32) if rows is None else rows, old_h, new_h),
        (np.eye(old_w, dtype=np.float32) if columns is None else columns, old_w, new_w),
    ]
    whole = all(new % old == 0 for _, old, new in pair)
    factors = [new // old for _, old, new in pair]
    if whole and all(np.array_equal(m, np.eye(old).repeat(new // old, 0)) for m, old, new in pair):
        return node.add("upsample", node.blob(), scalingFactor=factors, mode="NN")

    def on_grid(start: float, endpoints: bool) -> bool:
        return all(np.allclose(m, _bilinear(old, new, start, endpoints), atol=_EXACT) for m, old, new in pair)

    if on_grid(0.0, True):
        mode = {"samplingMethod": "STRICT_ALIGN_ENDPOINTS_MODE"}
        return node.add("resizeBilinear", node.blob(), targetSize=[new_h, new_w], mode=mode)
    if on_grid(0.0, False):
        if whole:
            return node.add("upsample", node.blob(), scalingFactor=factors, mode="BILINEAR")
        mode = {"samplingMethod": "UPSAMPLE_MODE"}
        return node.add("resizeBilinear", node.blob(), targetSize=[new_h, new_w], mode=mode)
    if on_grid(0.5, False):
        fields = {"mode": "BILINEAR", "linearUpsampleMode": "ALIGN_CORNERS_FALSE"}
        if whole:
            return node.add("upsample", node.blob(), scalingFactor=factors, **fields)
        fractions = [float(np.float32(new / old)) for _, old, new in pair]
        if all(int(np.float32(f) * np.float32(old)) == new for f, (_, old, new) in zip(fractions, pair, strict=True)):
            return node.add("upsample", node.blob(), fractionalScalingFactor=fractions, **fields)
    return None


def _bilinear(old: int, new: int, offset: float, endpoints: bool) -> Array:
    """The matrix of bilinear interpolation at (i + offset) * step - offset."""
    step = (old - 1) / max(new - 1, 1) if endpoints else old / new
    places = np.clip((np.arange(new) + offset) * step - offset, 0, old - 1)
    return np.asarray(np.maximum(0, 1 - np.abs(places[:, None] - np.arange(old))))


def _multiplied(node: Node, blob: str, axis: int, rank: int, matrix: Array | None) -> str:
    """A matrix [new, old] applied along an axis; one that picks single elements gathers them."""
    if matrix is None:
        return blob
    places = matrix.argmax(1)
    if np.array_equal(matrix, np.eye(matrix.shape[1])[places]):
        return node.add("gather", blob, node.load(places), axis=axis)
    if rank > 1 and axis == rank - 2:
        return node.add("batchedMatmul", node.load(matrix), blob)
    order = [*(other for other in range(rank) if other != axis), axis]
    blob = node.add(
        "batchedMatmul",
        node.transpose(blob, order),
        weightMatrixFirstDimension=matrix.shape[1],
        weightMatrixSecondDimension=matrix.shape[0],
        weights=matrix,
    )
    return node.transpose(blob, [order.index(other) for other in range(rank)])
