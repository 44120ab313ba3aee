from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import uniform


def iou(a: Array, b: Array) -> float:
    """Intersection over union of two boxes given by centre and size."""
    sides = [
        min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2) for i in (0, 1)
    ]
    shared = max(0.0, sides[0]) * max(0.0, sides[1])
    return float(shared / (a[2] * a[3] + b[2] * b[3] - shared))


def suppressed(boxes: Array, scores: Array, overlap: float, least: float, count: int, per_class: bool) -> list[int]:
    """The definition, one box after the other."""
    best, classes = scores.max(axis=1), scores.argmax(axis=1)
    kept: list[int] = []
    for index in sorted(range(len(boxes)), key=lambda i: -best[i]):
        rivals = [other for other in kept if not per_class or classes[other] == classes[index]]
        if best[index] >= least and all(iou(boxes[index], boxes[other]) <= overlap for other in rivals):
            kept.append(index)
    return kept[:count] or [int(best.argmax())]


@pytest.mark.parametrize("per_class", [False, True])
@pytest.mark.parametrize(("overlap", "least", "count"), [(0.3, 0.2, 40), (0.1, 0.0, 5), (0.9, 0.7, 60), (0.5, 2.0, 3)])
def test_non_maximum_suppression(per_class: bool, overlap: float, least: float, count: int) -> None:
    boxes, scores = uniform(2, 50, 4, low=0, high=1), uniform(2, 50, 3, low=0, high=1)
    expected = [np.zeros((2, count, 4)), np.zeros((2, count, 3)), np.full((2, count), -1.0), np.zeros(2)]
    for image in range(2):
        kept = suppressed(boxes[image], scores[image], overlap, least, count, per_class)
        for output, values in zip(expected, (boxes[image, kept], scores[image, kept], kept), strict=False):
            output[image, : len(kept)] = values
        expected[3][image] = len(kept)
    parameters: dict[str, Any] = {"perClassSuppression": per_class}
    stated = {**parameters, "iouThreshold": overlap, "scoreThreshold": least, "maxBoxes": count}
    check_layer("NonMaximumSuppression", stated, [boxes, scores], expected)
    numbers = {"iouThreshold": overlap, "scoreThreshold": least, "maxBoxes": count}
    for given in (1, 2, 3):  # as inputs, in this order; the others are parameters, and those overridden are absurd
        overrides = [np.array([value], np.float32) for value in numbers.values()][:given]
        rest = {name: value for index, (name, value) in enumerate(numbers.items()) if index >= given}
        absurd = {"iouThreshold": 0.001, "scoreThreshold": 0.999, "maxBoxes": 1}
        check_layer("NonMaximumSuppression", {**parameters, **absurd, **rest}, [boxes, scores, *overrides], expected)


def test_one_score_for_each_box_and_boxes_that_only_touch() -> None:
    boxes = np.array([[[1, 1, 2, 2], [3, 1, 2, 2], [1, 1, 2, 2], [1.5, 1, 2, 2], [9, 9, 1, 1]]], np.float32)
    scores = np.array([[[0.5], [0.25], [0.75], [0.7], [0.125]]], np.float32)
    expected = [boxes[:, [2, 3, 1]], scores[:, [2, 3, 1]], np.array([[2, 3, 1]]), np.array([3])]
    fields = {"iouThreshold": 0.61, "scoreThreshold": 0.25, "maxBoxes": 3}  # the fourth shares 3 / 5 with the third
    check_layer("NonMaximumSuppression", fields, [boxes, scores], expected)
    expected = [boxes[:, [2, 1]], scores[:, [2, 1]], np.array([[2, 1]]), np.array([2])]
    padded = [
        np.concatenate([e, np.full((1, 1, *e.shape[2:]), v)], 1) for e, v in zip(expected, (0, 0, -1), strict=False)
    ]
    check_layer("NonMaximumSuppression", {**fields, "iouThreshold": 0.59}, [boxes, scores], [*padded, expected[3]])


def test_refused_boxes() -> None:
    with pytest.raises(ModelError, match=r"layer 'layer' \(NonMaximumSuppression\).*\[B, N, 4\]"):
        run_layer("NonMaximumSuppression", {"maxBoxes": 3}, [uniform(2, 5, 3), uniform(2, 5, 1)], outputs=4)
    with pytest.raises(ModelError, match="5 boxes, of which 0 are wanted"):
        run_layer("NonMaximumSuppression", {}, [uniform(2, 5, 4), uniform(2, 5, 1)], outputs=4)
