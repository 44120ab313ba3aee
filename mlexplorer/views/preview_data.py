"""What the page needs of a model's outputs: pictures, labels, arrays and tables, each as JSON and buffers."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile  # asked for a format by name only, Pillow loads all that it knows

from mlexplorer.exploration import Output, Row
from mlexplorer.inputs import COARSE_SIDE, SMALL_SIDE, Input
from mlexplorer.views.controls import row_data

Array = NDArray[Any]
Message = tuple[dict[str, Any], list[bytes]]

LINE = 4096
"""So many values of a line are sent, at most."""
SIDE = 128
"""So many rows and columns of a plane are sent, at most."""
PLANES = 256
"""So many planes of an array are sent, at most."""
ENTRIES = 24
"""So many entries of a dictionary are sent, at most: the largest ones."""
_PLANE = 4
_SQUARE = 8
_THUMBNAIL_QUALITY = 85


def preview_data(row: Row) -> Message:
    """A row with its outputs; each output says how many of the buffers are its own (`buffers`), in their order."""
    content, outputs, buffers = row_data(row), [], []
    for output in row.outputs:
        data, own = output_data(output)
        outputs.append({"name": output.name, **_quality(output), **data, "buffers": len(own)})
        buffers += own
    scale = round(1 / COARSE_SIDE) if row.stage == "coarse" else 1
    return {**content, "scale": scale, "outputs": outputs}, buffers


def output_data(output: Output) -> Message:
    """One output: `shows` is "picture", "classes", "array" or "table"."""
    for is_such, data in _KINDS:
        if is_such(output.value):
            return data(output.value)
    return {"shows": "table", "entries": [[output.name, _number_or_text(output.value)]], "more": 0}, []


def lossless(picture: Array) -> bytes:
    """A picture as a WebP file with the same pixels: what is told apart may differ by one."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, WebPImageFile.format, lossless=True, quality=0, method=0)
    return file.getvalue()


def thumbnail(small: Input) -> bytes:
    """A picture, or the values of an array as greys, of at most 160 pixels a side, as a WebP file."""
    if isinstance(small, Image.Image):
        picture = small
    else:
        picture = _greys(small)
        picture.thumbnail((SMALL_SIDE, SMALL_SIDE))
    file = io.BytesIO()
    picture.save(file, WebPImageFile.format, quality=_THUMBNAIL_QUALITY, method=2)
    return file.getvalue()


def _greys(array: Array) -> Image.Image:
    """The first plane of an array from its smallest value in black to its largest in white.

    A line as long as a square has pixels is shown as one, as digits often come; others are stretched.
    """
    values = np.nan_to_num(np.asarray(array, np.float64))
    plane = values.reshape(-1, *values.shape[-2:])[0] if values.ndim > 1 and values.size else values.reshape(1, -1)
    side = math.isqrt(plane.size)
    if len(plane) == 1 and side * side == plane.size and side >= _SQUARE:
        plane = plane.reshape(side, side)
    span = np.ptp(plane) if plane.size else 0.0
    grey = (plane - plane.min()) / span * 255 if span else np.full((1, 1), 127.0)
    height, width = grey.shape
    scale = max(1, 64 // max(height, width))
    size = width * scale, max(height * scale, width * scale // 3)
    return Image.fromarray(grey.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)


def _picture(pixels: Array) -> Message:
    return {"shows": "picture", "width": pixels.shape[1], "height": pixels.shape[0]}, [lossless(pixels)]


def _classes(ranked: tuple[Any, ...]) -> Message:
    labels = [
        [str(label), _finite(probability), rank, _finite(before), rank_before]
        for label, probability, rank, before, rank_before in ranked
    ]
    return {"shows": "classes", "labels": labels}, []


def _array(array: Array) -> Message:
    """An array as float32 values: planes of its last two axes, or a line; thinned out evenly where it is large.

    `shape` is that of the array, `drawn` that of the buffer, `every` the distance between the values that are sent, by
    axis. `min`, `mean` and `max` are those of the whole array, None where it has none that is finite.
    """
    values = np.asarray(array, np.float32)
    if values.ndim > 1 and min(values.shape[-2:]) >= _PLANE:
        limits: tuple[int, ...] = (PLANES, SIDE, SIDE)
        planes = values.reshape(math.prod(values.shape[:-2]), *values.shape[-2:])
    else:
        limits, planes = (LINE,), values.reshape(-1)
    every = [max(1, math.ceil(size / limit)) for size, limit in zip(planes.shape, limits, strict=True)]
    drawn = planes[tuple(slice(None, None, step) for step in every)]
    finite = values[np.isfinite(values)].astype(np.float64)
    numbers = {name: float(getattr(finite, name)()) if finite.size else None for name in ("min", "mean", "max")}
    shapes = {"shape": list(values.shape), "drawn": list(drawn.shape), "every": every}
    return {"shows": "array", **shapes, **numbers}, [drawn.astype("<f4").tobytes()]


def _table(entries: dict[Any, Any]) -> Message:
    """The largest entries of a dictionary; the page compares them by their keys, in the order of the original."""
    largest = sorted(entries.items(), key=lambda item: -item[1] if item[1] == item[1] else math.inf)[:ENTRIES]
    shown = [[str(key), _number_or_text(value)] for key, value in largest]
    return {"shows": "table", "entries": shown, "more": len(entries) - len(shown)}, []


def _number_or_text(value: Any) -> float | int | str:
    return value if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)) else str(value)


def _quality(output: Output) -> dict[str, Any]:
    """The metric; equal outputs are marked `exact`, not infinite, as JSON has no infinity."""
    quality = output.quality
    exact = quality is not None and quality == math.inf
    return {"metric": output.metric, "exact": exact, "quality": None if quality is None else _finite(quality)}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


_KINDS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Message]], ...] = (
    (lambda v: isinstance(v, np.ndarray) and v.dtype == np.uint8 and v.ndim == 3 and v.shape[2] == 3, _picture),
    (lambda v: isinstance(v, tuple), _classes),
    (lambda v: isinstance(v, np.ndarray), _array),
    (lambda v: isinstance(v, dict), _table),
)
