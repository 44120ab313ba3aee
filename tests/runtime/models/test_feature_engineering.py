"""Vectors joined, scaled, normalised and taken apart, against scikit-learn and NumPy; features handed through."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.preprocessing import Normalizer, StandardScaler

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.runtime.models.specifications import predict, specification

RNG = np.random.default_rng(53)
X = RNG.normal(size=(20, 5)) * (1, 30, 0.2, 5, 1) + (0, 3, 0, -7, 1)


def columns(**sizes: int) -> dict[str, Any]:
    return {"inputList": [{"inputColumn": name, "inputDimensions": size} for name, size in sizes.items()]}


def test_columns_are_joined_in_the_order_of_the_list() -> None:
    matrix = X[2:4, :3]
    inputs = {
        "number": ("double", 1.5),
        "matrix": ("array 2 3", matrix),
        "whole": ("int64", -4),
        "sparse": ("int64 dictionary", {3: 7.0, 0: -1.0}),
        "open": ("open", X[1]),
        "unused": ("string", "not joined"),
    }
    fields = columns(sparse=4, number=1, open=5, matrix=6, whole=1)
    expected = np.concatenate([[-1, 0, 0, 7], [1.5], X[1], matrix.reshape(-1), [-4]])
    np.testing.assert_array_equal(predict("featureVectorizer", fields, inputs, "array 17"), expected)


def test_a_column_that_is_listed_twice_is_joined_twice() -> None:
    fields = {"inputList": [{"inputColumn": name, "inputDimensions": 2} for name in ("a", "b", "a")]}
    inputs = {"a": ("array 2", [1, 2]), "b": ("singles 2", [3, 4])}
    assert predict("featureVectorizer", fields, inputs, "array 6").tolist() == [1, 2, 3, 4, 1, 2]


@pytest.mark.parametrize(
    ("declared", "value", "text"),
    [
        ("double?", None, "the input 'x' is missing"),
        ("int64 dictionary?", None, "the input 'x' is missing"),
        ("int64 dictionary", {0: 1.0, 5: 1.0}, r"input 'x': position 5 is not in 0\.\.4"),
        ("int64 dictionary", {-1: 1.0}, r"input 'x': position -1 is not in 0\.\.4"),
        ("open", [1.0] * 4, "input 'x' has 4 values, but inputDimensions is 5"),
        ("open", [1.0], "input 'x' has 1 values, but inputDimensions is 5"),
    ],
)
def test_columns_that_do_not_fit(declared: str, value: Any, text: str) -> None:
    size = 1 if declared == "double?" else 5
    with pytest.raises(InputError, match=text):
        predict("featureVectorizer", columns(x=size), {"x": (declared, value)}, f"array {size}")


def test_the_default_of_an_optional_array() -> None:
    model = mle.load(specification("featureVectorizer", columns(x=3), {"x": "array 3?"}, {"y": "array 3"}))
    model.spec.description.input[0].type.multiArrayType.doubleDefaultValue = 2.5
    assert mle.predict(model, {})["y"].tolist() == [2.5] * 3


def test_scaling_as_scikit_learn_does() -> None:
    estimator = StandardScaler().fit(X)
    fields = {"shiftValue": (-estimator.mean_).tolist(), "scaleValue": (1 / estimator.scale_).tolist()}
    for row, expected in zip(X, estimator.transform(X), strict=True):
        np.testing.assert_allclose(predict("scaler", fields, {"x": ("array 5", row)}, "array 5"), expected, rtol=1e-12)


@pytest.mark.parametrize("shift", [[], [0.5], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
@pytest.mark.parametrize("scale", [[], [-2.0], [6.0, 5.0, 4.0, 3.0, 2.0, 1.0]])
def test_shifts_and_scales_of_one_value_each_or_none(shift: list[float], scale: list[float]) -> None:
    x = RNG.normal(size=(2, 3))
    fields = {"shiftValue": shift, "scaleValue": scale}
    wide = {0: lambda _, default: default, 1: lambda v, _: v[0], 6: lambda v, _: np.reshape(v, (2, 3))}
    expected = wide[len(scale)](scale, 1.0) * (x + wide[len(shift)](shift, 0.0))
    np.testing.assert_allclose(predict("scaler", fields, {"x": ("array 2 3", x)}, "array 2 3"), expected, rtol=1e-14)
    if len(shift) < 6 and len(scale) < 6:
        y = predict("scaler", fields, {"x": ("double", x[0, 0])}, "double")
        assert y == pytest.approx(expected[0, 0], rel=1e-14)


def test_whole_numbers_are_not_rounded() -> None:
    assert predict("scaler", {"scaleValue": [0.5]}, {"x": ("int64", 6)}, "int64") == 3
    assert predict("scaler", {"scaleValue": [0.5]}, {"x": ("int64", 7)}, "double") == 3.5
    assert predict("scaler", {"scaleValue": [0.5]}, {"x": ("integers 2", [6, -2])}, "integers 2").tolist() == [3, -1]
    for declared, value in (("int64", 7), ("integers 2", [6, 7])):
        with pytest.raises(InputError, match="the output 'y' holds whole numbers, but the scaled values are not whole"):
            predict("scaler", {"scaleValue": [0.5]}, {"x": (declared, value)}, declared)


@pytest.mark.parametrize(("norm", "name"), [("max", "LMax"), ("l1", "L1"), ("l2", "L2")])
def test_normalizing_as_scikit_learn_does(norm: str, name: str) -> None:
    fields = {"normType": spec.Normalizer.NormType.Value(name)}
    rows = np.vstack([X, np.zeros(5), [-8, 1, 2, 3, 4]])
    for row, expected in zip(rows, Normalizer(norm).transform(rows), strict=True):
        y = predict("normalizer", fields, {"x": ("array 5", row)}, "array 5")
        np.testing.assert_allclose(y, expected, rtol=1e-14)
    y = predict("normalizer", fields, {"x": ("array 2 3", X[0, 0] * np.arange(6).reshape(2, 3))}, "array 2 3")
    np.testing.assert_allclose(y.reshape(-1), Normalizer(norm).transform([X[0, 0] * np.arange(6)])[0], rtol=1e-14)
    assert np.isnan(predict("normalizer", fields, {"x": ("array 2", [1.0, math.nan])}, "array 2")).all()


def test_elements_of_arrays() -> None:
    matrix = np.arange(6).reshape(2, 3) + 0.75
    inputs = {"x": ("array 2 3", matrix)}
    y = predict("arrayFeatureExtractor", {"extractIndex": [4, 0, 4, 5]}, inputs, "array 4")
    np.testing.assert_array_equal(y, matrix.reshape(-1)[[4, 0, 4, 5]])
    assert predict("arrayFeatureExtractor", {"extractIndex": [3]}, inputs, "double") == 3.75
    assert predict("arrayFeatureExtractor", {"extractIndex": [3]}, inputs, "array 1").tolist() == [3.75]
    whole = predict("arrayFeatureExtractor", {"extractIndex": [2]}, {"x": ("array 3", [1.0, 2.0, 2.0**53])}, "int64")
    assert (whole, type(whole)) == (2**53, int)
    with pytest.raises(InputError, match="input 'x' has 3 values, but extractIndex has 3"):
        predict("arrayFeatureExtractor", {"extractIndex": [3]}, {"x": ("open", [1.0, 2.0, 3.0])}, "double")


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("double", 2.5),
        ("int64", 2**60 + 1),
        ("string", ""),
        ("array 2 3", np.arange(6.0).reshape(2, 3)),
        ("string dictionary", {"a": 1.0}),
        ("int64 dictionary", {-1: 2.0}),
    ],
)
def test_an_identity_hands_through_every_type(declared: str, value: Any) -> None:
    np.testing.assert_equal(predict("identity", {}, {"x": (declared, value)}, declared), value)


def test_several_features_of_an_identity_go_by_name() -> None:
    types = {"a": "double", "b": "string"}
    model = mle.load(specification("identity", {}, types, dict(reversed(types.items()))))
    assert mle.predict(model, {"a": 1.5, "b": "x"}) == {"b": "x", "a": 1.5}


@pytest.mark.parametrize(
    ("kind", "fields", "source", "target", "text"),
    [
        ("featureVectorizer", {}, "double", "array 1", "inputList is empty"),
        ("featureVectorizer", columns(z=1), "double", "array 1", "inputList names 'z', which is none of the inputs"),
        ("featureVectorizer", columns(x=0), "int64 dictionary", "array 1", "inputDimensions of 'x' is 0, but"),
        (
            "featureVectorizer",
            columns(x=2),
            "double",
            "array 2",
            "inputDimensions of 'x' is 2, but the input is x: double",
        ),
        (
            "featureVectorizer",
            columns(x=3),
            "array 2 2",
            "array 3",
            "inputDimensions of 'x' is 3, but the input is x: mul",
        ),
        ("featureVectorizer", columns(x=1), "string", "array 1", "takes numbers, arrays and dictionaries by position"),
        (
            "featureVectorizer",
            columns(x=1),
            "string dictionary",
            "array 1",
            "takes numbers, arrays and dictionaries by",
        ),
        ("featureVectorizer", columns(x=4), "array 2 2", "array 5", "inputList gives 4 values, but the output is y"),
        ("featureVectorizer", columns(x=4), "array 2 2", "string", "inputList gives 4 values, but the output is y"),
        ("scaler", {}, "string", "string", "a scaler takes an input of type double or int64 or multiArray, not x"),
        (
            "scaler",
            {"shiftValue": [1.0, 2.0]},
            "array 2 2",
            "array 2 2",
            "shiftValue has 2 values, but the input 'x' has 4",
        ),
        ("scaler", {"scaleValue": [1.0, 2.0]}, "double", "double", "scaleValue has 2 values, but the input 'x' has 1"),
        ("normalizer", {}, "double", "double", "a normalizer takes an input of type multiArray, not x: double"),
        ("normalizer", {"normType": 3}, "array 2 2", "array 2 2", "normType 3 is none"),
        ("arrayFeatureExtractor", {}, "array 2 2", "double", "extractIndex is empty"),
        ("arrayFeatureExtractor", {"extractIndex": [0]}, "double", "double", "takes an input of type multiArray"),
        (
            "arrayFeatureExtractor",
            {"extractIndex": [0, 4]},
            "array 2 2",
            "array 2",
            "extractIndex has 4, but the input",
        ),
        (
            "arrayFeatureExtractor",
            {"extractIndex": [2**64 - 1]},
            "array 2 2",
            "double",
            "extractIndex has 184467440737",
        ),
        (
            "arrayFeatureExtractor",
            {"extractIndex": [0, 1]},
            "array 2 2",
            "int64",
            "extractIndex gives 2 values, but the",
        ),
        (
            "arrayFeatureExtractor",
            {"extractIndex": [0, 1]},
            "array 2 2",
            "array 3",
            "extractIndex gives 2 values, but the",
        ),
        (
            "identity",
            {},
            "double",
            "string",
            "an identity changes nothing, but its input is x: double, its output y: str",
        ),
    ],
)
def test_contradictions_are_refused(kind: str, fields: Any, source: str, target: str, text: str) -> None:
    value = {"string": "a", "double": 1.0}.get(source, {} if "dictionary" in source else np.ones((2, 2)))
    with pytest.raises(ModelError, match=text):
        predict(kind, fields, {"x": (source, value)}, target)


def test_arrays_of_another_size_are_refused() -> None:
    with pytest.raises(InputError, match="input 'x' has 3 values, but scaleValue has 2"):
        predict("scaler", {"scaleValue": [1.0, 2.0]}, {"x": ("open", [1.0, 2.0, 3.0])}, "open")


def test_models_with_other_numbers_of_features_are_refused() -> None:
    two = mle.load(specification("scaler", {}, {"a": "double", "b": "double"}, {"y": "double"}))
    with pytest.raises(ModelError, match="a scaler has one input, this one has 2"):
        mle.predict(two, {"a": 1, "b": 2})
    other = mle.load(specification("identity", {}, {"a": "double", "b": "double"}, {"y": "double"}))
    with pytest.raises(ModelError, match="the output 'y' of an identity is none of its inputs"):
        mle.predict(other, {"a": 1, "b": 2})


def test_a_pipeline_from_a_text_and_a_number_to_one_vector() -> None:
    encoder = {"stringCategories": {"vector": ["a", "b", "c"]}, "outputSparse": True}
    stages = [
        specification("oneHotEncoder", encoder, {"kind": "string"}, {"kind": "int64 dictionary"}),
        specification("imputer", {"imputedDoubleValue": 5.0}, {"size": "double?"}, {"size": "double"}),
        specification("scaler", {"shiftValue": [-1.0]}, {"size": "double"}, {"size": "double"}),
        specification(
            "featureVectorizer",
            columns(kind=3, size=1),
            {"kind": "int64 dictionary", "size": "double"},
            {"y": "array 4"},
        ),
    ]
    model = specification("pipeline", {}, {"kind": "string", "size": "double?"}, {"y": "array 4"})
    for stage in stages:
        model.pipeline.models.add().CopyFrom(stage)
    assert mle.predict(mle.load(model), {"kind": "b", "size": 3.5})["y"].tolist() == [0, 1, 0, 2.5]
    assert mle.predict(mle.load(model), {"kind": "c", "size": math.nan})["y"].tolist() == [0, 0, 1, 4]
    assert mle.predict(mle.load(model), {"kind": "a"})["y"].tolist() == [1, 0, 0, 4]
    with pytest.raises(InputError, match=r"pipeline\[0\] \(oneHotEncoder\): input 'kind': 'd' is none of"):
        mle.predict(mle.load(model), {"kind": "d", "size": 1.0})
