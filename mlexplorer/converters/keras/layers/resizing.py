"""Other sizes of planes: padding, cropping, enlarging."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Context, converts
from mlexplorer.converters.keras.layers.convolution import Pads, borders
from mlexplorer.converters.keras.values import Value


@converts("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(c: Context) -> Value:
    """ZeroPadding1D, ZeroPadding2D, ZeroPadding3D (Core ML: padding, constantPad)."""
    rank = c.input.rank - 2
    pads = _amounts(c.get("padding", 1), rank)
    blob, (batch, channels, *extent) = c.image(rank)
    if rank == 3:
        y = c.add("constantPad", blob, padAmounts=[0, 0, 0, 0, *(n for pair in pads for n in pair)])
    else:
        y = c.add("padding", blob, constant={"value": 0}, paddingAmounts=borders(_of_planes(pads)))
    return c.from_image(y, [batch, channels, *(n + sum(pair) for n, pair in zip(extent, pads, strict=True))])


@converts("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(c: Context) -> Value:
    """Cropping1D, Cropping2D, Cropping3D (Core ML: crop, sliceStatic)."""
    rank = c.input.rank - 2
    cuts = _amounts(c.get("cropping", 1), rank)
    blob, (batch, channels, *extent) = c.image(rank)
    left = [n - sum(pair) for n, pair in zip(extent, cuts, strict=True)]
    if min(left) < 1:
        raise ValueError(f"nothing is left of {list(c.input.shape)}")
    if rank == 3:
        y = c.add(
            "sliceStatic",
            blob,
            beginIds=[0, 0, *(start for start, _ in cuts)],
            endIds=[batch, channels, *(n - end for n, (_, end) in zip(extent, cuts, strict=True))],
            beginMasks=[False] * 5,
            endMasks=[False] * 5,
            strides=[1] * 5,
        )
    else:
        y = c.add("crop", blob, cropAmounts=borders(_of_planes(cuts)))
    return c.from_image(y, [batch, channels, *left])


@converts("CenterCrop")
def center_crop(c: Context) -> Value:
    """CenterCrop of pictures that are large enough: Keras resizes others."""
    blob, (batch, channels, *extent) = c.image(2)
    target = [int(c.get("height")), int(c.get("width"))]
    surplus = [n - size for n, size in zip(extent, target, strict=True)]
    if min(surplus) < 0:
        c.refuse(
            f"{extent} pixels are fewer than {target}; Keras resizes them, which only Resizing can be converted for"
        )
    cuts = [(n // 2, n - n // 2) for n in surplus]
    return c.from_image(c.add("crop", blob, cropAmounts=borders(cuts)), [batch, channels, *target])


@converts("UpSampling1D", "UpSampling2D", "UpSampling3D")
def upsampling(c: Context) -> Value:
    """UpSampling1D, UpSampling2D, UpSampling3D: nearest, of planes also bilinear (Core ML: upsample).

    Bilinear interpolation aligns the centres of pixels; until Keras 2.2 it aligned their corners with the origin.
    """
    rank = c.input.rank - 2
    factors = c.sizes("size", rank, 2)
    c.refuse_unless("interpolation", "nearest", "bilinear")
    blob, (batch, channels, *extent) = c.image(rank)
    target = [n * factor for n, factor in zip(extent, factors, strict=True)]
    if rank == 3:
        depth, *plane = target
        y = c.add("upsample", blob, part="planes", scalingFactor=factors[1:], mode="NN")
        y = c.add("reshapeStatic", y, part="rows", targetShape=[batch, channels, extent[0], plane[0] * plane[1]])
        y = c.add("upsample", y, part="depth", scalingFactor=[factors[0], 1], mode="NN")
        return c.from_image(
            c.add("reshapeStatic", y, targetShape=[batch, channels, depth, *plane]), [batch, channels, *target]
        )
    fields: dict[str, Any] = {"mode": "NN"}
    if c.get("interpolation", "nearest") == "bilinear":
        fields = {"mode": "BILINEAR"}
        if not c.keras_version.startswith(("1.", "2.0", "2.1", "2.2")):
            fields["linearUpsampleMode"] = "ALIGN_CORNERS_FALSE"
    y = c.add("upsample", blob, scalingFactor=[*[1] * (2 - rank), *factors], **fields)
    return c.from_image(y, [batch, channels, *target])


@converts("Resizing")
def resizing(c: Context) -> Value:
    """Resizing to a height and width: two products with the weights of the pixels around each sample.

    Samples lie at (i + 1/2) * n / m - 1/2, which of Core ML's layers only an upsample by a whole factor knows.
    """
    for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        c.refuse_unless(key, False)
    c.refuse_unless("interpolation", "bilinear", "nearest")
    blob, (batch, channels, *extent) = c.image(2)
    target = [int(c.get("height")), int(c.get("width"))]
    nearest = c.get("interpolation", "bilinear") == "nearest"
    for n, m in zip(extent, target, strict=True):
        c.require_room(max(n, m), n)
    rows, columns = (_samples(n, m, nearest) for n, m in zip(extent, target, strict=True))
    y = c.add("batchedMatmul", c.constant(rows[None, None], "rows"), blob, part="height")
    y = c.add("batchedMatmul", y, c.constant(columns.T[None, None], "columns"))
    return c.from_image(y, [batch, channels, *target])


def _samples(length: int, count: int, nearest: bool) -> Any:
    """What each of `length` pixels adds to each of `count` samples."""
    places = (np.arange(count) + 0.5) * length / count
    if nearest:
        return np.eye(length, dtype=np.float32)[np.floor(places).astype(int)]
    places = np.clip(places - 0.5, 0, length - 1)
    return np.maximum(0, 1 - np.abs(places[:, None] - np.arange(length))).astype(np.float32)


def _amounts(given: Any, rank: int) -> list[tuple[int, int]]:
    """Pairs of start and end for each axis: of one number, of one per axis, or of two per axis."""
    if isinstance(given, int):
        return [(given, given)] * rank
    if rank == 1 and len(given) == 2 and all(isinstance(item, int) for item in given):
        return [(given[0], given[1])]
    pairs = [(item, item) if isinstance(item, int) else (int(item[0]), int(item[1])) for item in given]
    if len(pairs) != rank or any(n < 0 for pair in pairs for n in pair):
        raise ValueError(f"{given} must have {rank} pairs of amounts")
    return pairs


def _of_planes(pads: Sequence[tuple[int, int]]) -> Pads:
    return pads if len(pads) == 2 else [(0, 0), *pads]
