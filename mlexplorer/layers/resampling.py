"""Other sizes of images: upsample, resizeBilinear, cropResize, and channels for pixels.

Bilinear interpolation samples an axis of length n at points of [0, n - 1]. ONNX Resize knows most of Core ML's grids;
the rest, and boxes, are two matrix products with the weights of each point's neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.enums import enum_name
from mlexplorer.layers.layer_type import Array, Builder, Layer, Tensor, lowers
from mlexplorer.layers.leading import require_rank, with_rank4
from mlexplorer.layers.limits import require_room

_UPSAMPLE_GRIDS = {
    "DEFAULT": "asymmetric",
    "ALIGN_CORNERS_TRUE": "align_corners",
    "ALIGN_CORNERS_FALSE": "half_pixel",
}
_RESIZE_GRIDS = {
    "STRICT_ALIGN_ENDPOINTS_MODE": "align_corners",
    "ALIGN_ENDPOINTS_MODE": "align_corners",
    "UPSAMPLE_MODE": "asymmetric",
}


@lowers("upsample")
def upsample(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Height and width times scalingFactor, by nearest or bilinear interpolation (UpsampleLayerParams; ONNX Resize).

    fractionalScalingFactor, which bilinear interpolation with aligned corners or pixel centres may have, gives sizes
    rounded down. Raises ModelError for other uses of it.
    """
    params = layer.params
    bilinear = enum_name(params, "mode") == "BILINEAR"
    grid = enum_name(params, "linearUpsampleMode")
    require_rank(x[0], 3)
    fractions = list(params.fractionalScalingFactor)
    if fractions and not (bilinear and grid != "DEFAULT"):
        raise ModelError("fractionalScalingFactor needs bilinear interpolation and a linearUpsampleMode but DEFAULT")
    factors = fractions or [int(n) for n in params.scalingFactor] or [1, 1]
    if len(factors) != 2 or min(factors) <= 0:
        raise ModelError(f"the scaling factors are {factors}; they must be two positive numbers")
    size = [int(np.float32(factor) * np.float32(n)) for factor, n in zip(factors, x[0].shape[-2:], strict=True)]
    if min(size) < 1:
        raise ModelError(f"nothing is left of {list(x[0].shape[-2:])} with the scaling factors {factors}")
    if bilinear:
        return _resize(build, x[0], size, mode="linear", coordinate_transformation_mode=_UPSAMPLE_GRIDS[grid])
    return _resize(build, x[0], size, mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")


@lowers("resizeBilinear")
def resize_bilinear(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Height and width of targetSize by bilinear interpolation on the grid that `mode` names.

    Source: ResizeBilinearLayerParams, SamplingMode; ONNX Resize, and MatMul where it has no such grid.
    """
    require_rank(x[0], 3)
    size, method = _target_size(layer), _sampling(layer)
    lengths = x[0].shape[-2:]
    if method in _RESIZE_GRIDS and not (method == "ALIGN_ENDPOINTS_MODE" and 1 in size):
        return _resize(build, x[0], size, mode="linear", coordinate_transformation_mode=_RESIZE_GRIDS[method])
    start = build.constant(np.zeros((1, 1), np.float32))
    rows, columns = (
        _weights(build, start, build.constant(np.full((1, 1), n - 1, np.float32)), m, method, n)
        for n, m in zip(lengths, size, strict=True)
    )
    y = build.op("MatMul", build.reshape(rows, [size[0], lengths[0]]), x[0])
    return build.op("MatMul", y, build.transpose(build.reshape(columns, [size[1], lengths[1]]), [1, 0]))


@lowers("cropResize", inputs=2)
def crop_resize(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Boxes of an image, each resized to targetSize by bilinear interpolation.

    The image is [1, Batch, C, H, W]. Boxes of [N, 1, 4, 1, 1] are taken from every image of the batch and give
    [N, Batch, C, height, width]; those of [N, 1, 5, 1, 1] begin with the number of their image and give
    [N, 1, C, height, width]. What lies outside repeats the border. Source: CropResizeLayerParams.
    """
    params, (image, boxes) = layer.params, x
    size, method = _target_size(layer), _sampling(layer)
    order = enum_name(params.boxIndicesMode, "boxMode")
    if len(image.shape) != 5 or image.shape[0] != 1:
        raise ModelError(f"the image has the shape {list(image.shape)}; it must be [1, Batch, C, H, W]")
    count, numbers = boxes.shape[0], boxes.shape[2:3]
    if len(boxes.shape) != 5 or numbers not in ((4,), (5,)) or np.prod(boxes.shape) != count * numbers[0]:
        raise ModelError(f"the boxes have the shape {list(boxes.shape)}; it must be [N, 1, 4 or 5, 1, 1]")
    columns = build.op("Split", build.reshape(boxes, [count, -1]), [1] * numbers[0], outputs=numbers[0], axis=1)
    if len(columns) == 5 and image.shape[1] > 1:
        index = build.reshape(build.cast(columns[0], np.int64), [count])
        image = build.op("Gather", image, index, axis=1)
        image = build.reshape(image, [count, 1, *image.shape[2:]])
    first = columns[-4:-2] if order.endswith("HEIGHT_FIRST") else columns[-4:-2][::-1]
    second = columns[-2:] if order.endswith("HEIGHT_FIRST") else columns[-2:][::-1]
    y = image
    for axis, (a, b, length, points) in enumerate(zip(first, second, image.shape[-2:], size, strict=True)):
        start, end = a, b
        if order.startswith("CENTER_SIZE"):
            half = build.op("Mul", b, 0.5)
            start, end = build.op("Sub", a, half), build.op("Add", a, half)
        scale = float((params.spatialScale or 1.0) * (length - 1 if params.normalizedCoordinates else 1))
        start, end = build.op("Mul", start, scale), build.op("Mul", end, scale)
        weights = _weights(build, start, end, points, method, length)
        if axis == 0:
            y = build.op("MatMul", build.reshape(weights, [count, 1, 1, points, length]), y)
        else:
            turned = build.transpose(weights, [0, 2, 1])
            y = build.op("MatMul", y, build.reshape(turned, [count, 1, 1, length, points]))
    return y


def _target_size(layer: Layer) -> list[int]:
    size = [int(n) for n in layer.params.targetSize] or [1, 1]
    if len(size) != 2 or min(size) < 1:
        raise ModelError(f"targetSize is {size}; it must be a height and a width of at least 1")
    require_room(size)
    return size


def _sampling(layer: Layer) -> str:
    return enum_name(layer.params.mode, "samplingMethod")


def _weights(build: Builder, start: Tensor, end: Tensor, points: int, method: str, length: int) -> Any:
    """What each of `length` elements adds to each of the points sampled from [start, end].

    `start` and `end` are [N, 1]; the result is [N, points, length]. An element weighs 1 at its own place and nothing at
    its neighbours'. The grids are those of the message SamplingMode.
    """
    span = build.op("Sub", end, start)
    steps = np.arange(points, dtype=np.float32)
    if method == "UPSAMPLE_MODE":
        offsets = build.op("Mul", build.op("Add", span, 1.0), steps / points)
        offsets = build.op("Min", offsets, span)
    elif method == "ROI_ALIGN_MODE":
        offsets = build.op("Mul", build.op("Max", span, 1.0), (steps + 0.5) / points)
        offsets = build.op("Min", offsets, span)
    else:
        middle = method == "ALIGN_ENDPOINTS_MODE" and points == 1
        offsets = build.op("Mul", span, np.full(1, 0.5) if middle else steps / max(points - 1, 1))
    places = build.op("Clip", build.op("Add", start, offsets), 0.0, float(length - 1))
    elements: Array = np.arange(length, dtype=np.float32)
    places = build.reshape(places, [*places.shape, 1])
    distances = build.op("Abs", build.op("Sub", places, elements))
    return build.op("Relu", build.op("Sub", 1.0, distances))


@lowers("reorganizeData")
def reorganize_data(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Blocks of pixels to channels or back (ReorganizeDataLayerParams; ONNX SpaceToDepth, DepthToSpace).

    DEPTH_TO_SPACE reads the channels as [block row, block column, C], PIXEL_SHUFFLE as [C, block row, block column].
    """
    params = layer.params
    mode, block = enum_name(params, "mode"), int(params.blockSize)
    require_rank(x[0], 3)
    channels, *extent = x[0].shape[-3:]
    if block < 2:
        raise ModelError(f"blockSize is {block}; it must be at least 2")
    if any(n % block for n in extent) if mode == "SPACE_TO_DEPTH" else channels % block**2:
        raise ModelError(f"a blockSize of {block} does not divide an input of shape {list(x[0].shape)}")

    def move(image: Tensor) -> Any:
        if mode == "SPACE_TO_DEPTH":
            return build.op("SpaceToDepth", image, blocksize=block)
        order = "DCR" if mode == "DEPTH_TO_SPACE" else "CRD"
        return build.op("DepthToSpace", image, blocksize=block, mode=order)

    return with_rank4(build, x[0], move)


def _resize(build: Builder, x: Tensor, size: Sequence[int], **attributes: Any) -> Any:
    require_room([*x.shape[:-2], *size])

    def resize(image: Tensor) -> Any:
        return build.op("Resize", image, None, None, [*image.shape[:2], *size], **attributes)

    return with_rank4(build, x, resize)
