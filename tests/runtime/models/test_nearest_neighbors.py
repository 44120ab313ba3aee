"""Nearest neighbours against scikit-learn, and against the definition where scikit-learn decides ties otherwise."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.checks import fill

RNG = np.random.default_rng(31)
LINEAR: dict[str, Any] = {"linearIndex": {}}
TREE: dict[str, Any] = {"singleKdTreeIndex": {"leafSize": 7}}


def classifier(samples: Any, labels: list[Any], k: int, default: Any = None, **fields: Any) -> Any:
    """A model with uniform weights and a linear index unless `fields` say otherwise."""
    model = spec.Model(specificationVersion=4)
    message = model.kNearestNeighborsClassifier
    size = np.shape(samples)[1] if len(samples) else 3
    index = fields.pop("index", LINEAR)
    fill(
        message,
        {
            "nearestNeighborsIndex": {"numberOfDimensions": size, "squaredEuclideanDistance": {}, **index},
            "numberOfNeighbors": {"defaultValue": k, "range": {"minValue": 1, "maxValue": 1000}},
            **({"uniformWeighting": {}} if "inverseDistanceWeighting" not in fields else {}),
            **fields,
        },
    )
    for sample in samples:
        message.nearestNeighborsIndex.floatSamples.add().vector.extend(np.asarray(sample).tolist())
    text = isinstance(labels[0] if labels else default, str)
    kind = "string" if text else "int64"
    vector = getattr(message, f"{kind}ClassLabels").vector
    vector.extend(labels)
    if default is not None:
        setattr(message, "defaultStringLabel" if text else "defaultInt64Label", default)
    array = model.description.input.add(name="x").type.multiArrayType
    array.dataType = 65568
    array.shape.append(size)
    getattr(model.description.output.add(name="label").type, f"{kind}Type").SetInParent()
    getattr(model.description.output.add(name="chances").type.dictionaryType, f"{kind}KeyType").SetInParent()
    model.description.predictedFeatureName, model.description.predictedProbabilitiesName = "label", "chances"
    return model


@pytest.mark.parametrize("index", [LINEAR, TREE], ids=["linear", "tree"])
@pytest.mark.parametrize("k", [1, 4, 11, 1000])
@pytest.mark.parametrize("names", [["ant", "bee", "cat"], [30, -1, 2**40]], ids=["text", "number"])
def test_votes_are_those_of_scikit_learn(index: dict[str, Any], k: int, names: list[Any]) -> None:
    samples = RNG.normal(size=(90, 6)).astype(np.float32)
    classes = RNG.integers(3, size=90)
    predictor = mle.Predictor(mle.load(classifier(samples, [names[i] for i in classes], k, index=index)))
    reference = KNeighborsClassifier(min(k, 90), algorithm="brute").fit(samples.astype(np.float64), classes)
    queries = RNG.normal(size=(40, 6)).astype(np.float32)
    expected = reference.predict_proba(queries)
    for query, shares in zip(queries, expected, strict=True):
        result = predictor.predict({"x": query})
        assert result["chances"] == pytest.approx(dict(zip(names, shares, strict=True)))
        if sorted(shares)[-1] > sorted(shares)[-2]:
            assert result["label"] == names[int(np.argmax(shares))]
        assert shares[names.index(result["label"])] == shares.max()


def test_inverse_distances_are_of_the_squared_distance() -> None:
    samples = RNG.normal(size=(50, 4)).astype(np.float32)
    classes = RNG.integers(3, size=50)
    model = classifier(samples, classes.tolist(), 9, inverseDistanceWeighting={})
    reference = KNeighborsClassifier(9, algorithm="brute", weights=lambda distances: 1 / np.square(distances))
    reference.fit(samples.astype(np.float64), classes)
    predictor = mle.Predictor(mle.load(model))
    for query in RNG.normal(size=(30, 4)).astype(np.float32):
        result = predictor.predict(query)
        shares = reference.predict_proba(query[None].astype(np.float64))[0]
        assert result["chances"] == pytest.approx(dict(enumerate(shares)), rel=1e-6)
        assert result["label"] == np.argmax(shares)


def test_samples_equal_to_the_input_outvote_all_others() -> None:
    samples = [[0.1, 0.2], [0.1, 0.2], [0.1, 0.2], [0.1, 0.20001], [0.1, 0.19999]]
    model = classifier(samples, ["a", "b", "a", "c", "c"], 5, inverseDistanceWeighting={})
    result = mle.predict(mle.load(model), np.array([0.1, 0.2]))  # not exact in float32
    assert result == {"label": "a", "chances": pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0})}


def test_tiny_and_huge_distances_do_not_overflow() -> None:
    samples = [[1e-30, 0], [0, 3e-30], [1e30, 0]]
    model = mle.load(classifier(samples, ["a", "b", "c"], 3, inverseDistanceWeighting={}))
    assert mle.predict(model, np.array([0, 0]))["chances"] == pytest.approx({"a": 0.9, "b": 0.1, "c": 0})
    result = mle.predict(model, np.array([3e38, 0]))
    assert result["label"] == "c"


@pytest.mark.parametrize(("labels", "winner"), [("baabx", "b"), ("abbax", "a"), ("cabxx", "c"), ("caabx", "a")])
def test_the_nearest_of_the_labels_that_tie_wins(labels: str, winner: str) -> None:
    samples = [[1, 0], [0, 2], [3, 0], [0, 4], [5, 0]]
    assert mle.predict(mle.load(classifier(samples, list(labels), 4)), np.array([0, 0]))["label"] == winner


def test_samples_at_the_same_distance_count_in_their_order() -> None:
    samples = [[3, 0], [0, 1], [-1, 0], [1, 0], [0, -1]]
    for k, expected in ((1, {"a"}), (2, {"a", "b"}), (3, {"a", "b", "c"}), (4, {"a", "b", "c", "d"})):
        chances = mle.predict(mle.load(classifier(samples, list("zabcd"), k)), np.array([0, 0]))["chances"]
        assert {label for label, share in chances.items() if share} == expected


def test_neighbours_are_exact_where_a_shortcut_would_cancel() -> None:
    offsets = RNG.permutation(200)
    samples = (1e4 + offsets[:, None] * 2.0**-6 * np.ones((200, 3))).astype(np.float32)
    model = mle.load(classifier(samples, offsets.tolist(), 1))
    for offset in (0, 77, 199):
        assert mle.predict(model, 1e4 + offset * 2.0**-6 * np.ones(3))["label"] == offset


def test_without_samples_the_default_label_is_given() -> None:
    assert mle.predict(mle.load(classifier([], [], 3, default="nobody")), np.ones(3)) == {
        "label": "nobody",
        "chances": {},
    }
    model = classifier([], [], 3, default=-7)
    del model.description.output[1]
    model.description.predictedProbabilitiesName = ""
    assert mle.predict(mle.load(model), np.ones(3)) == {"label": -7}


def broken(change: Any, message: str) -> Any:
    return pytest.param(change, message, id=message[:40])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        broken(lambda m: m.stringClassLabels.vector.append("d"), "there are 4 class labels, but floatSamples has 3"),
        broken(lambda m: m.nearestNeighborsIndex.floatSamples[1].vector.append(1), "sample 1 of floatSamples has 3"),
        broken(lambda m: setattr(m.nearestNeighborsIndex, "numberOfDimensions", 0), "numberOfDimensions is 0"),
        broken(lambda m: m.nearestNeighborsIndex.ClearField("linearIndex"), "IndexType is not set"),
        broken(lambda m: m.nearestNeighborsIndex.singleKdTreeIndex.SetInParent(), "leafSize is 0"),
        broken(lambda m: m.nearestNeighborsIndex.ClearField("squaredEuclideanDistance"), "DistanceFunction is not set"),
        broken(lambda m: m.ClearField("uniformWeighting"), "WeightingScheme is not set"),
        broken(lambda m: setattr(m.numberOfNeighbors, "defaultValue", 0), "numberOfNeighbors is 0"),
        broken(lambda m: setattr(m.numberOfNeighbors.range, "maxValue", 1), r"is 2, outside its range 1\.\.1"),
        broken(
            lambda m: m.numberOfNeighbors.set.values.extend([1, 3]), r"is 2, which its set of values \[1, 3\] lacks"
        ),
        broken(lambda m: setattr(m, "defaultInt64Label", 3), "defaultInt64Label and stringClassLabels have different"),
        broken(lambda m: m.ClearField("stringClassLabels"), "there are 0 class labels, but floatSamples has 3"),
    ],
)
def test_contradictions_are_named_when_the_model_is_prepared(change: Any, message: str) -> None:
    model = classifier([[1, 2], [3, 4], [5, 6]], list("abc"), 2)
    change(model.kNearestNeighborsClassifier)
    with pytest.raises(ModelError, match=message):
        mle.Predictor(mle.load(model))


def test_other_contradictions_and_inputs_that_do_not_fit() -> None:
    with pytest.raises(ModelError, match="DefaultClassLabel is not set"):
        mle.Predictor(mle.load(classifier([], [], 2)))
    model = classifier([], [], 2, default="d")
    model.description.input[0].type.multiArrayType.shape[:] = [2**31 - 1]
    model.kNearestNeighborsClassifier.nearestNeighborsIndex.numberOfDimensions = 2**31 - 1
    mle.Predictor(mle.load(model))  # reserves no memory for samples that are not there
    model = classifier([[1, 2], [3, 4]], ["a", "b"], 2)
    model.kNearestNeighborsClassifier.nearestNeighborsIndex.numberOfDimensions = 2**31 - 1
    with pytest.raises(ModelError, match="sample 0 of floatSamples has 2 values, but numberOfDimensions is 2147483647"):
        mle.Predictor(mle.load(model))
    model = classifier([[1, 2], [3, 4]], ["a", "b"], 2)
    model.description.input[0].type.multiArrayType.shape[:] = [3]
    with pytest.raises(ModelError, match="the inputs have 3 values, but numberOfDimensions is 2"):
        mle.Predictor(mle.load(model))
    del model.description.input[0].type.multiArrayType.shape[:]
    with pytest.raises(InputError, match="the input has 5 values, but the samples have 2"):
        mle.predict(mle.load(model), np.zeros(5))
    with pytest.raises(InputError, match="not a number"):
        mle.predict(mle.load(model), np.array([np.nan, 1]))


def test_a_set_of_allowed_numbers_and_many_samples() -> None:
    samples = RNG.normal(size=(20_000, 64)).astype(np.float32)
    labels = RNG.integers(10, size=len(samples)).tolist()
    model = classifier(samples, labels, 7, numberOfNeighbors={"defaultValue": 7, "set": {"values": [3, 7]}})
    predictor = mle.Predictor(mle.load(model))
    query = samples[123] + 0.01
    result = predictor.predict(query)
    nearest = np.argsort(np.square(samples.astype(np.float64) - query).sum(axis=1))[:7]
    assert {label: share for label, share in result["chances"].items() if share} == pytest.approx(
        {label: count / 7 for label, count in Counter(labels[i] for i in nearest).items()}
    )
