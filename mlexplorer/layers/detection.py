"""Boxes around objects: non-maximum suppression, in NumPy because its result depends on every box in turn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Array, Layer, evaluates


@evaluates("NonMaximumSuppression", inputs=(2, 5))
def non_maximum_suppression(layer: Layer, x: Sequence[Array]) -> Sequence[Array]:
    """The best boxes, without those that overlap a better one (NonMaximumSuppressionLayerParams).

    Inputs: boxes [B, N, 4] as centre x, centre y, width, height; scores [B, N, C]; then, overriding the parameters, the
    threshold of intersection over union, the threshold of scores, the number of boxes. Outputs: boxes [B, M, 4], scores
    [B, M, C] and indices [B, M], padded with 0, 0 and -1, and how many boxes there are [B]. Where no score reaches the
    threshold, the box with the highest score is given.
    """
    boxes, scores, *overrides = (np.asarray(array, np.float32) for array in x)
    if boxes.ndim != 3 or scores.ndim != 3 or boxes.shape[2] != 4 or boxes.shape[:2] != scores.shape[:2]:
        raise ModelError(
            f"boxes of shape {list(boxes.shape)} and scores of shape "
            f"{list(scores.shape)} do not fit; they must be [B, N, 4] and [B, N, C]"
        )
    defaults = (layer.params.iouThreshold, layer.params.scoreThreshold, layer.params.maxBoxes)
    given = [float(array.reshape(-1)[0]) for array in overrides]
    thresholds = [*given, *defaults[len(given) :]]
    iou_threshold, score_threshold, count = thresholds[0], thresholds[1], int(thresholds[2])
    if count < 1 or boxes.shape[1] < 1:
        raise ModelError(f"{boxes.shape[1]} boxes, of which {count} are wanted")
    batch = boxes.shape[0]
    chosen_boxes = np.zeros((batch, count, 4), np.float32)
    chosen_scores = np.zeros((batch, count, scores.shape[2]), np.float32)
    indices = np.full((batch, count), -1, np.float32)
    numbers = np.zeros(batch, np.float32)
    for image in range(batch):
        best = scores[image].max(axis=1)
        classes = scores[image].argmax(axis=1) if layer.params.perClassSuppression else np.zeros(len(best), np.int64)
        kept = _survivors(boxes[image], best, classes, iou_threshold, score_threshold, count)
        chosen_boxes[image, : len(kept)] = boxes[image, kept]
        chosen_scores[image, : len(kept)] = scores[image, kept]
        indices[image, : len(kept)] = kept
        numbers[image] = len(kept)
    return chosen_boxes, chosen_scores, indices, numbers


def _survivors(
    boxes: Array, scores: Array, classes: Array, iou_threshold: float, score_threshold: float, count: int
) -> list[int]:
    half = boxes[:, 2:] / 2
    low, high, area = boxes[:, :2] - half, boxes[:, :2] + half, boxes[:, 2] * boxes[:, 3]
    order = np.argsort(-scores, kind="stable")
    alive = scores >= score_threshold
    kept: list[int] = []
    for index in order:
        if len(kept) == count:
            break
        if not alive[index]:
            continue
        kept.append(int(index))
        sides = np.maximum(0, np.minimum(high, high[index]) - np.maximum(low, low[index]))
        shared = sides[:, 0] * sides[:, 1]
        union = area + area[index] - shared
        overlap = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        alive &= (overlap <= iou_threshold) | (classes != classes[index])
    return kept or [int(order[0])]
