"""A preview's messages for a report: pictures as small as the eye allows, their differences kept as numbers."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]
Recorded = tuple[dict[str, Any], list[bytes]]

WEBP_QUALITY = 90
LEVELS_PER_DOUBLING = 8
"""Differences are kept as levels, logarithmic like the scale on which they are shown: within 5 %."""


def smaller(messages: Iterable[Recorded]) -> Iterator[Recorded]:
    """The messages of a preview with lossy pictures, a fifth as large.

    What is lost would outweigh the difference of two models at 6 bits and more, so each picture brings a second one:
    `levels`, the largest difference of the three channels from the original's pixel, and in `difference` its exact mean
    and largest value, and the share of pixels that differ at all.
    """
    messages = list(messages)
    originals = {
        (content["image"], content["stage"], output["name"]): pixels
        for content, buffers in messages
        if content["type"] == "row" and content["scheme"] == "original"
        for output, pixels in _pictures(content, buffers)
    }
    for content, buffers in messages:
        if content["type"] != "row" or not any(True for _ in _pictures(content, buffers)):
            yield content, buffers
            continue
        pictures = {output["name"]: pixels for output, pixels in _pictures(content, buffers)}
        outputs, own, first = [], [], 0
        for output in content["outputs"]:
            taken = buffers[first : first + output["buffers"]]
            first += output["buffers"]
            if output["name"] in pictures:
                reference = originals.get((content["image"], content["stage"], output["name"]))
                output, taken = _lossy(output, pictures[output["name"]], reference)
            outputs.append(output)
            own += taken
        yield {**content, "outputs": outputs}, own


def _pictures(content: Mapping[str, Any], buffers: list[bytes]) -> Iterator[tuple[dict[str, Any], Array]]:
    first = 0
    for output in content["outputs"]:
        if output["shows"] == "picture":
            yield output, np.asarray(Image.open(io.BytesIO(buffers[first])).convert("RGB"))
        first += output["buffers"]


def _lossy(output: dict[str, Any], pixels: Array, reference: Array | None) -> Recorded:
    buffers = [_webp(pixels, quality=WEBP_QUALITY, method=4)]
    if reference is None or reference.shape != pixels.shape:
        return {**output, "lossy": True}, buffers
    apart = np.abs(pixels.astype(np.int16) - reference).max(axis=2)
    levels = np.rint(np.log2(1.0 + apart) * LEVELS_PER_DOUBLING).astype(np.uint8)
    buffers.append(_webp(levels, lossless=True, quality=50, method=3))
    numbers = {"mean": float(apart.mean()), "largest": int(apart.max()), "share": float((apart > 0).mean())}
    top = 8 * LEVELS_PER_DOUBLING
    return {**output, "lossy": True, "difference": {**numbers, "levels": top}, "buffers": len(buffers)}, buffers


def _webp(pixels: Array, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", **options)
    return file.getvalue()
