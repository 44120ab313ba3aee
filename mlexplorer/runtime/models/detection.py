"""The last step of an object detector as a model of its own: of the boxes that overlap, the best stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Feature, Model, SizeRange
from mlexplorer.runtime.features import class_labels
from mlexplorer.runtime.model_type import Values, evaluates

Array = NDArray[Any]

_BLOCK = 1024
"""The best boxes are compared among themselves in such blocks; those that stay, with all that are left."""
_MOST_PADDING = 1_000_000
"""Rows that a file may ask for: more would only take memory."""
_COLUMNS = 8
"""A block falls into so many columns of so many groups of neighbours."""


@evaluates("nonMaximumSuppression")
def non_maximum_suppression(model: Model) -> Callable[[Values], Values]:
    """The boxes without those that overlap a more confident one (NonMaximumSuppression).

    Inputs: confidences [N, classes] and boxes [N, 4] of centre x, centre y, width and height; optional numbers replace
    the thresholds. A box's class is the one of its highest confidence, which ranks it; it is dropped below
    confidenceThreshold, or where its intersection over union with a better box (of its own class with pickTop.perClass)
    is above iouThreshold. Outputs: the rows of both arrays that remain, most confident first; equal ones in their
    order. An output whose first size is fixed, or has bounds, gets at most so many rows, and zeros up to the least
    number.
    """
    message = model.spec.nonMaximumSuppression
    if message.WhichOneof("SuppressionMethod") is None:
        raise ModelError("SuppressionMethod is not set; it is pickTop")
    names = _names(model, message)
    _in_range("iouThreshold", message.iouThreshold, 1.0, ModelError)
    _in_range("confidenceThreshold", message.confidenceThreshold, np.inf, ModelError)
    least, most = _rows(model, names[2:])
    labels = len(class_labels(message))
    per_class = message.pickTop.perClass

    def evaluate(values: Values) -> Values:
        confidences, boxes = (_matrix(name, values[name]) for name in names[:2])
        if boxes.shape != (len(confidences), 4):
            raise InputError(
                f"confidences of shape {list(confidences.shape)} and boxes of shape {list(boxes.shape)} do not fit; "
                "they are [N, classes] and [N, 4]"
            )
        if labels not in (0, confidences.shape[1]):
            raise InputError(f"there are confidences of {confidences.shape[1]} classes, but {labels} class labels")
        iou_threshold = _threshold(message, "iouThreshold", values, 1.0)
        confidence_threshold = _threshold(message, "confidenceThreshold", values, np.inf)
        best = confidences.max(axis=1, initial=0.0).astype(np.float64)
        order = np.argsort(-best, kind="stable")
        order = order[best[order] >= confidence_threshold]
        if per_class:
            classes = confidences[order].argmax(axis=1) if len(order) else order
            parts = [np.flatnonzero(classes == number) for number in np.unique(classes)]
        else:
            parts = [np.arange(len(order))]
        with np.errstate(over="ignore", invalid="ignore"):  # boxes that are not finite overlap nothing
            edges = _edges(boxes[order])
            kept = [part[_survivors(edges[:, part], iou_threshold)] for part in parts]
        rows = order[np.sort(np.concatenate([np.zeros(0, np.int64), *kept]))][:most]
        padding = max(0, least - len(rows))
        return {
            name: np.pad(array[rows], ((0, padding), (0, 0)))
            for name, array in zip(names[2:], (confidences, boxes), strict=True)
        }

    return evaluate


def _survivors(edges: Array, threshold: float) -> Array:
    """The positions of the boxes that stay, of boxes [5, N] that come best first."""
    remaining = np.arange(edges.shape[1])
    if threshold >= 1:
        return remaining
    kept = [remaining[:0]]
    while remaining.size:
        block, remaining = remaining[:_BLOCK], remaining[_BLOCK:]
        overlaps = np.triu(_overlap(edges[:, block], edges[:, block]) > threshold, 1)
        alive = np.ones(block.size, bool)
        for position in np.flatnonzero(overlaps.any(axis=1)):
            if alive[position]:
                alive &= ~overlaps[position]
        block = block[alive]
        kept.append(block)
        remaining = remaining[~_hidden(edges[:, block], edges[:, remaining], threshold)]
    return np.concatenate(kept)


def _hidden(best: Array, others: Array, threshold: float) -> Array:
    """Which of the others overlap one of the best boxes too much.

    Groups of neighbours are compared with those boxes only that touch their common frame: among 25,000 boxes that all
    stay, this is ten times as fast as comparing each with each.
    """
    hidden = np.zeros(others.shape[1], bool)
    for group in _groups(best) if others.size else ():
        left, top = group[:2].min(axis=1)
        right, bottom = group[2:4].max(axis=1)
        near = (others[0] < right) & (others[2] > left) & (others[1] < bottom) & (others[3] > top) & ~hidden
        positions = np.flatnonzero(near)
        hidden[positions] = (_overlap(group, others[:, positions]) > threshold).any(axis=0)
    return hidden


def _groups(boxes: Array) -> Iterator[Array]:
    """Boxes [5, N] in groups that lie close together."""
    for column in np.array_split(boxes[:, np.argsort(boxes[0])], _COLUMNS, axis=1):
        for group in np.array_split(column[:, np.argsort(column[1])], _COLUMNS, axis=1):
            if group.size:
                yield group


def _overlap(a: Array, b: Array) -> Array:
    """Intersection over union of each box of [5, A] with each of [5, B]; 0 for boxes without an area."""
    shared = np.minimum(a[2, :, None], b[2]) - np.maximum(a[0, :, None], b[0])
    np.maximum(shared, 0, out=shared)
    heights = np.minimum(a[3, :, None], b[3]) - np.maximum(a[1, :, None], b[1])
    np.maximum(heights, 0, out=heights)
    shared *= heights
    union = np.add(a[4, :, None], b[4], out=heights)
    union -= shared
    overlap: Array = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


def _edges(boxes: Array) -> Array:
    """Left, top, right, bottom and area of boxes [N, 4] as [5, N]; negative sizes count as none."""
    centres, halves = boxes[:, :2].astype(np.float64), np.maximum(boxes[:, 2:].astype(np.float64), 0) / 2
    low, high = centres - halves, centres + halves
    return np.ascontiguousarray(np.column_stack([low, high, np.prod(high - low, axis=1)]).T)


def _names(model: Model, message: Any) -> list[str]:
    """The names of confidences and boxes, as inputs and as outputs."""
    names = []
    for field, features in (
        ("confidenceInputFeatureName", model.inputs),
        ("coordinatesInputFeatureName", model.inputs),
        ("confidenceOutputFeatureName", model.outputs),
        ("coordinatesOutputFeatureName", model.outputs),
    ):
        name = getattr(message, field)
        found = next((feature for feature in features if feature.name == name), None)
        if found is None or found.type != "multiArray" or found.optional:
            raise ModelError(f"{field} is {name!r}; it must name an array that the model's description states")
        names.append(name)
    return names


def _rows(model: Model, names: list[str]) -> tuple[int, int | None]:
    """The least and the highest number of rows that the outputs ask for, which must agree."""
    bounds = {_bounds(feature) for feature in model.outputs if feature.name in names} - {(0, None)}
    if len(bounds) > 1:
        raise ModelError(f"the outputs {names[0]!r} and {names[1]!r} ask for different numbers of boxes")
    least, most = bounds.pop() if bounds else (0, None)
    if least > _MOST_PADDING:
        raise ModelError(f"the outputs ask for {least} boxes or more; at most {_MOST_PADDING} are padded")
    return least, most


def _bounds(feature: Feature) -> tuple[int, int | None]:
    if feature.flexible:
        first = feature.flexible[0]
        if not isinstance(first, SizeRange):
            raise ModelError(f"the output {feature.name!r} lists the shapes it may have; only ranges are possible")
        return first.lower, first.upper
    if feature.shape and len(feature.shape) != 2:
        raise ModelError(f"the output {feature.name!r} has the shape {list(feature.shape)}; it must have two axes")
    return (feature.shape[0], feature.shape[0]) if feature.shape else (0, None)


def _matrix(name: str, value: Any) -> Array:
    """An array as a matrix; leading axes of size 1, as networks give them, are dropped."""
    array = np.asarray(value)
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim != 2:
        raise InputError(f"input {name!r} has the shape {list(array.shape)}; it must have one row per box")
    return array


def _threshold(message: Any, field: str, values: Values, upper: float) -> float:
    name = getattr(message, f"{field}InputFeatureName")
    if not name or name not in values:
        return float(getattr(message, field))
    if not isinstance(values[name], float | int):  # a pipeline hands on what has this name
        raise InputError(f"input {name!r} takes a number, not a {type(values[name]).__name__}")
    return _in_range(f"input {name!r}", float(values[name]), upper, InputError)


def _in_range(what: str, value: float, upper: float, error: type[Exception]) -> float:
    if not 0 <= value <= upper:
        raise error(f"{what} is {value}; it must be {'0 or more' if upper == np.inf else 'between 0 and 1'}")
    return value
