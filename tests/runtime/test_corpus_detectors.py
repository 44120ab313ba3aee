"""The last stages of real object detectors, whose networks are not in the files: which boxes stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle


def overlaps(boxes: Any) -> Any:
    """[N, N] intersection over union of [N, 4] boxes: centre x and y, width, height."""
    low, high = boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    common = np.prod(np.maximum(sides, 0), axis=2)
    areas = np.prod(boxes[:, 2:], axis=1)
    return common / (areas[:, None] + areas - common)


@pytest.mark.parametrize(
    "name", ["john-rocky+CoreML-Models/yolo11s@23099f4", "HorataYoshinori+CoreML_Test/best@eaae470"]
)
@pytest.mark.parametrize(("iou", "confidence"), [(0.7, 0.25), (0.3, 0.6)])
def test_a_detectors_last_stage_keeps_the_best_of_overlapping_boxes(
    corpus: Path, name: str, iou: float, confidence: float
) -> None:
    """What is kept holds no two boxes of one class that overlap too much; each box left out has a better one there."""
    model = mle.Model(mle.load(corpus / "mlpackage" / f"{name}.mlpackage").spec.pipeline.models[1])
    params = model.spec.nonMaximumSuppression
    assert params.pickTop.perClass
    params.iouThreshold, params.confidenceThreshold = iou, confidence
    rng = np.random.default_rng(8)
    scores = np.zeros((8400, len(params.stringClassLabels.vector)), np.float32)
    boxes = np.tile(np.float32([0.5, 0.5, 0.1, 0.1]), (8400, 1))
    scores[:300] = rng.random((300, scores.shape[1]), np.float32) ** 4
    boxes[:300] = np.concatenate([rng.choice([0.2, 0.3, 0.7], (300, 2)), np.full((300, 2), 0.2)], axis=1)
    boxes[:300] += rng.normal(0, 0.02, (300, 4)).astype(np.float32)

    given = {params.confidenceInputFeatureName: scores, params.coordinatesInputFeatureName: boxes}
    outputs = mle.predict(model, given)
    kept = [int(np.flatnonzero((boxes == box).all(axis=1))[0]) for box in outputs["coordinates"]]
    np.testing.assert_array_equal(outputs["confidence"], scores[kept])
    assert 3 < len(kept) < 300
    best, label = scores.max(axis=1), scores.argmax(axis=1)
    assert (best[kept] > confidence).all()
    overlap = overlaps(boxes[:300].astype(np.float64))
    for index in np.flatnonzero(best > confidence):
        rivals = [other for other in kept if label[other] == label[index] and overlap[index, other] > iou]
        better = [other for other in rivals if best[other] > best[index]]
        assert not better if index in kept else better


def test_a_pipelines_thresholds_reach_a_stage_that_does_not_declare_them(corpus: Path) -> None:
    """As converters write it: the last stage names its threshold inputs, but only the pipeline declares them."""
    model = mle.load(corpus / "mlpackage/HorataYoshinori+CoreML_Test/best@eaae470.mlpackage")
    detector, stage = model.spec.pipeline.models
    inputs = model.spec.description.input
    assert {feature.name for feature in inputs} - {"image"} == {"iouThreshold", "confidenceThreshold"}
    assert len(stage.description.input) == 2
    inputs.remove(next(feature for feature in inputs if feature.name == "image"))
    inputs.extend(stage.description.input)
    model.spec.pipeline.models.remove(detector)
    suppression = model.spec.pipeline.models[0].nonMaximumSuppression

    scores = np.zeros((8400, 1), np.float32)
    boxes = np.full((8400, 4), 0.1, np.float32)
    scores[:3, 0], boxes[:3, 0] = [0.9, 0.8, 0.6], [0.1, 0.12, 0.5]  # the second overlaps the first by two thirds
    given = {suppression.confidenceInputFeatureName: scores, suppression.coordinatesInputFeatureName: boxes}
    for iou, confidence, kept in ((0.5, 0.5, [0.9, 0.6]), (0.75, 0.5, [0.9, 0.8, 0.6]), (0.5, 0.7, [0.9])):
        outputs = mle.predict(model, {**given, "iouThreshold": iou, "confidenceThreshold": confidence})
        assert sorted(outputs["confidence"].ravel(), reverse=True) == pytest.approx(kept)
