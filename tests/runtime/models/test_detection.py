"""Non-maximum suppression models against a plain loop, and the last stages of real detectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.checks import fill

RNG = np.random.default_rng(47)
NAMES = {
    "confidenceInputFeatureName": "raw_confidence",
    "coordinatesInputFeatureName": "raw_boxes",
    "confidenceOutputFeatureName": "confidence",
    "coordinatesOutputFeatureName": "coordinates",
    "iouThresholdInputFeatureName": "iou",
    "confidenceThresholdInputFeatureName": "least",
}


def detector(*, per_class: bool = True, iou: float = 0.45, least: float = 0.25, double: bool = False) -> Any:
    model = spec.Model(specificationVersion=5)
    fields = {**NAMES, "iouThreshold": iou, "confidenceThreshold": least, "pickTop": {"perClass": per_class}}
    fill(model.nonMaximumSuppression, fields)
    description = model.description
    for features, names in (
        (description.input, ("raw_confidence", "raw_boxes")),
        (description.output, ("confidence", "coordinates")),
    ):
        for name in names:
            features.add(name=name).type.multiArrayType.dataType = 65600 if double else 65568
    for name in ("iou", "least"):
        feature = description.input.add(name=name)
        feature.type.doubleType.SetInParent()
        feature.type.isOptional = True
    return model


def plain(confidences: Any, boxes: Any, per_class: bool, iou: float, least: float) -> list[int]:
    """The textbook's loop: take the best, drop what overlaps it, repeat."""
    best, classes = confidences.max(axis=1), confidences.argmax(axis=1)
    waiting = np.argsort(-best, kind="stable")
    waiting = waiting[best[waiting] >= least]
    kept: list[int] = []
    while waiting.size:
        top, waiting = waiting[0], waiting[1:]
        kept.append(int(top))
        apart = intersection_over_union(boxes[waiting], boxes[top]) <= iou
        waiting = waiting[apart | (per_class and classes[waiting] != classes[top])]
    return kept


def intersection_over_union(a: Any, b: Any) -> Any:
    ends = np.minimum(a[:, :2] + a[:, 2:] / 2, b[:2] + b[2:] / 2)
    starts = np.maximum(a[:, :2] - a[:, 2:] / 2, b[:2] - b[2:] / 2)
    shared = np.maximum(0, ends - starts).prod(axis=1)
    return shared / (a[:, 2] * a[:, 3] + b[2] * b[3] - shared)


def random_boxes(count: int, classes: int) -> tuple[Any, Any]:
    confidences = RNG.random((count, classes)).astype(np.float32) ** 3
    boxes = np.concatenate([RNG.random((count, 2)), 0.05 + 0.3 * RNG.random((count, 2))], axis=1).astype(np.float32)
    return confidences, boxes


@pytest.mark.parametrize("per_class", [True, False])
@pytest.mark.parametrize("iou", [0.0, 0.3, 0.7])
@pytest.mark.parametrize(("count", "classes"), [(3000, 3), (40, 1), (1, 2)])
def test_the_boxes_of_the_plain_loop_stay(per_class: bool, iou: float, count: int, classes: int) -> None:
    confidences, boxes = random_boxes(count, classes)
    expected = plain(confidences, boxes.astype(np.float64), per_class, iou, 0.1)
    model = mle.load(detector(per_class=per_class, iou=iou, least=0.1))
    result = mle.predict(model, {"raw_confidence": confidences, "raw_boxes": boxes})
    assert list(result) == ["confidence", "coordinates"]
    np.testing.assert_array_equal(result["confidence"], confidences[expected])
    np.testing.assert_array_equal(result["coordinates"], boxes[expected])
    assert result["confidence"].dtype == np.float32


def test_a_chain_of_overlaps_a_dropped_box_drops_nothing() -> None:
    boxes = np.array([[x, 0.5, 1, 1] for x in (0, 0.3, 0.6, 0.9)])  # neighbours overlap by 0.54, others by less
    confidences = np.array([[0.9], [0.8], [0.7], [0.6]])
    result = mle.predict(mle.load(detector(iou=0.5, double=True)), {"raw_confidence": confidences, "raw_boxes": boxes})
    assert result["coordinates"][:, 0].tolist() == [0, 0.6]


def test_thresholds_given_with_the_input_override_those_of_the_model() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 1], [8, 8, 1, 1]], np.float64)
    confidences = np.array([[0.9, 0], [0.8, 0], [0, 0.3]])
    model = mle.load(detector(double=True))

    def kept(**given: float) -> list[float]:
        result = mle.predict(model, {"raw_confidence": confidences, "raw_boxes": boxes, **given})
        return [float(value) for value in result["confidence"].max(axis=1)]

    assert kept() == [0.9, 0.3]
    assert kept(iou=0.5) == [0.9, 0.8, 0.3]  # equal to the threshold is not above it
    assert kept(iou=0.499) == [0.9, 0.3]
    assert kept(least=0.3) == [0.9, 0.3]
    assert kept(least=0.31) == [0.9]
    assert kept(iou=1.0, least=0.0) == [0.9, 0.8, 0.3]
    assert kept(least=2) == []


def test_a_threshold_of_one_suppresses_nothing_not_even_equal_boxes() -> None:
    boxes = np.repeat(RNG.random((1, 4)).astype(np.float32), 5, axis=0)
    confidences = np.array([[0.3], [0.5], [0.5], [0.4], [0.9]], np.float32)
    for iou, expected in ((1.0, [0.9, 0.5, 0.5, 0.4, 0.3]), (0.999, [0.9])):
        result = mle.predict(mle.load(detector(iou=iou)), {"raw_confidence": confidences, "raw_boxes": boxes})
        np.testing.assert_allclose(result["confidence"][:, 0], expected)


def test_boxes_of_equal_confidence_keep_their_order() -> None:
    boxes = np.array([[k, -k, 0.5, 0.5] for k in range(400)], np.float32)
    confidences = np.tile(np.array([[0.5, 0.2], [0.25, 0.5], [0.75, 0.0]], np.float32), (134, 1))[:400]
    result = mle.predict(mle.load(detector()), {"raw_confidence": confidences, "raw_boxes": boxes})
    expected = [*range(2, 400, 3), *(k for k in range(400) if k % 3 != 2)]
    np.testing.assert_array_equal(result["coordinates"][:, 0], expected)


@pytest.mark.parametrize("count", [0, 4])
def test_where_no_box_is_left_the_arrays_are_empty(count: int) -> None:
    feeds = {"raw_confidence": np.full((count, 3), 0.01, np.float32), "raw_boxes": np.ones((count, 4), np.float32)}
    result = mle.predict(mle.load(detector()), feeds)
    assert result["confidence"].shape == (0, 3)
    assert result["coordinates"].shape == (0, 4)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("column", [0, 1, 2, 3])
def test_boxes_that_are_not_finite_suppress_nothing(value: float, column: int) -> None:
    boxes = np.array([[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.19]], np.float32)
    boxes[0, column] = value
    confidences = np.array([[0.9], [0.8], [0.7]], np.float32)
    result = mle.predict(mle.load(detector()), {"raw_confidence": confidences, "raw_boxes": boxes, "least": 0.0})
    np.testing.assert_array_equal(result["coordinates"], boxes[:2])
    result = mle.predict(mle.load(detector()), {"raw_confidence": confidences, "raw_boxes": boxes, "least": 1e300})
    assert not len(result["coordinates"])


def test_boxes_without_an_area_stay() -> None:
    boxes = np.array([[0.5, 0.5, 0, 0.2], [0.5, 0.5, 0, 0.2], [0.5, 0.5, -1, 0.2]], np.float32)
    confidences = np.array([[0.5], [0.6], [0.7]], np.float32)
    result = mle.predict(mle.load(detector(iou=0.0)), {"raw_confidence": confidences, "raw_boxes": boxes})
    np.testing.assert_array_equal(result["coordinates"], boxes[::-1])


@pytest.mark.parametrize(
    ("sizes", "expected"), [((3, 3), 3), ((9, 9), 9), ((0, None), 6), ((2, 4), 4), ((8, None), 8), ((1, 20), 6)]
)
@pytest.mark.parametrize("output", [0, 1])
def test_the_declared_number_of_boxes_cuts_and_pads(sizes: tuple[int, int | None], expected: int, output: int) -> None:
    model = detector()
    array = model.description.output[output].type.multiArrayType
    if sizes[0] == sizes[1]:
        array.shape.extend([sizes[0], (2, 4)[output]])
    else:
        array.shapeRange.sizeRanges.add(lowerBound=sizes[0], upperBound=-1 if sizes[1] is None else sizes[1])
        array.shapeRange.sizeRanges.add(lowerBound=(2, 4)[output], upperBound=(2, 4)[output])
    boxes = np.array([[k, k, 1, 1] for k in range(6)], np.float32)
    confidences = np.array([[0.3 + k / 10, 0] for k in range(6)], np.float32)
    result = mle.predict(mle.load(model), {"raw_confidence": confidences, "raw_boxes": boxes})
    rows = min(6, expected)
    for name, whole in (("confidence", confidences), ("coordinates", boxes)):
        assert len(result[name]) == expected
        np.testing.assert_array_equal(result[name][:rows], whole[::-1][:rows])
        assert not result[name][rows:].any()


def test_leading_axes_of_networks_are_dropped() -> None:
    confidences, boxes = random_boxes(9, 2)
    model = mle.load(detector())
    a = mle.predict(model, {"raw_confidence": confidences[None], "raw_boxes": boxes[None, None]})
    b = mle.predict(model, {"raw_confidence": confidences, "raw_boxes": boxes})
    np.testing.assert_array_equal(a["coordinates"], b["coordinates"])


@pytest.mark.parametrize("name", ["HorataYoshinori+CoreML_Test", "john-rocky+CoreML-Models"])
def test_the_last_stage_of_real_detectors(name: str, corpus: Path) -> None:
    for path in sorted((corpus / "mlpackage" / name).glob("*.mlpackage")):
        stage = mle.load(path).spec.pipeline.models[-1]
        message = stage.nonMaximumSuppression
        model = mle.load(stage)
        count, classes = model.inputs[0].shape or (0, 0)
        confidences = np.zeros((count, classes), np.float32)
        boxes = np.full((count, 4), 0.5, np.float32)
        for place, (row, column) in enumerate([(11, 0), (500, classes - 1), (501, classes - 1), (8000, 0)]):
            confidences[row, column] = 0.9 - place / 10
            boxes[row] = (0.2 * place, 0.1, 0.2, 0.2 + place / 100)
        boxes[501] = boxes[500] * (1, 1, 1.1, 1)
        feeds = {message.confidenceInputFeatureName: confidences, message.coordinatesInputFeatureName: boxes}
        result = mle.predict(model, feeds)
        np.testing.assert_array_equal(result["coordinates"], boxes[[11, 500, 8000]])
        np.testing.assert_array_equal(result["confidence"], confidences[[11, 500, 8000]])


def broken(change: Any, message: str) -> Any:
    return pytest.param(change, message, id=message[:40])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        broken(lambda m: m.nonMaximumSuppression.ClearField("pickTop"), "SuppressionMethod is not set"),
        broken(lambda m: setattr(m.nonMaximumSuppression, "iouThreshold", 1.5), "iouThreshold is 1.5"),
        broken(lambda m: setattr(m.nonMaximumSuppression, "confidenceThreshold", -1), "confidenceThreshold is -1.0"),
        broken(
            lambda m: setattr(m.nonMaximumSuppression, "coordinatesOutputFeatureName", "boxes"),
            "coordinatesOutputFeatureName is 'boxes'",
        ),
        broken(
            lambda m: setattr(m.nonMaximumSuppression, "confidenceInputFeatureName", ""),
            "confidenceInputFeatureName is ''",
        ),
        broken(lambda m: m.description.input[1].type.doubleType.SetInParent(), "coordinatesInputFeatureName is 'raw_b"),
        broken(lambda m: m.description.output[0].type.multiArrayType.shape.append(3), r"has the shape \[3\]"),
        broken(
            lambda m: [m.description.output[i].type.multiArrayType.shape.extend([n, 4]) for i, n in enumerate((3, 5))],
            "ask for different numbers of boxes",
        ),
        broken(
            lambda m: m.description.output[0].type.multiArrayType.shape.extend([2**40, 4]),
            "ask for 1099511627776 boxes or more",
        ),
        broken(
            lambda m: m.description.output[0].type.multiArrayType.enumeratedShapes.shapes.add().shape.extend([1, 2]),
            "lists the shapes it may have",
        ),
    ],
)
def test_contradictions_are_named_when_the_model_is_prepared(change: Any, message: str) -> None:
    model = detector()
    change(model)
    with pytest.raises(ModelError, match=message):
        mle.Predictor(mle.load(model))


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"raw_boxes": np.zeros((3, 4))}, r"confidences of shape \[2, 2\] and boxes of shape \[3, 4\] do not fit"),
        ({"raw_boxes": np.zeros((2, 5))}, r"boxes of shape \[2, 5\] do not fit"),
        ({"raw_confidence": np.zeros(2)}, r"input 'raw_confidence' has the shape \[2\]"),
        ({"raw_confidence": np.zeros((2, 3))}, "there are confidences of 3 classes, but 2 class labels"),
        ({"iou": -0.1}, "input 'iou' is -0.1; it must be between 0 and 1"),
        ({"iou": 1.1}, "input 'iou' is 1.1"),
        ({"least": float("nan")}, "input 'least' is nan; it must be 0 or more"),
        ({"least": "much"}, "input 'least' takes a number"),
    ],
)
def test_inputs_that_do_not_fit(feeds: dict[str, Any], message: str) -> None:
    model = detector()
    model.nonMaximumSuppression.stringClassLabels.vector.extend(["dog", "cat"])
    valid = {"raw_confidence": np.zeros((2, 2)), "raw_boxes": np.zeros((2, 4))}
    with pytest.raises(InputError, match=message):
        mle.predict(mle.load(model), {**valid, **feeds})
