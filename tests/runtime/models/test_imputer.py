"""Missing values filled in, against scikit-learn and element by element; every type of value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.impute import SimpleImputer

from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.runtime.models.specifications import predict

RNG = np.random.default_rng(47)
LEAST = -(2**63)


def impute(kind: str, value: Any, **fields: Any) -> Any:
    return predict("imputer", fields, {"x": (kind, value)}, kind.removesuffix("?"))


@pytest.mark.parametrize("missing", [math.nan, 0.0, -999.1])
@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent"])
def test_arrays_filled_in_as_scikit_learn_does(missing: float, strategy: str) -> None:
    x = np.round(RNG.normal(size=(40, 4)), 1) + 0.05
    x[RNG.random(x.shape) < 0.3] = missing
    estimator = SimpleImputer(missing_values=missing, strategy=strategy).fit(x)
    fields = {"imputedDoubleArray": {"vector": estimator.statistics_.tolist()}, "replaceDoubleValue": missing}
    for row, expected in zip(x, estimator.transform(x), strict=True):
        np.testing.assert_array_equal(impute("array 4", row, **fields), expected)
        singles = impute("singles 4", row.astype(np.float32), **fields)  # -999.1 is no single
        np.testing.assert_array_equal(singles, expected.astype(np.float32))


SCALARS: list[tuple[str, str, Any, str, Any, Any, Any]] = [
    # type, ImputedValue, its value, ReplaceValue, its value, what is missing where it is not set, another value
    ("double", "imputedDoubleValue", 2.5, "replaceDoubleValue", -1.0, math.nan, 3.0),
    ("int64", "imputedInt64Value", 2**60, "replaceInt64Value", -1, LEAST, 3),
    ("string", "imputedStringValue", "fig", "replaceStringValue", "?", "", "pear"),
]


@pytest.mark.parametrize(("kind", "imputed", "value", "replaced", "marker", "default", "other"), SCALARS)
def test_scalars_of_every_type(
    kind: str, imputed: str, value: Any, replaced: str, marker: Any, default: Any, other: Any
) -> None:
    fields = {imputed: value}
    assert impute(kind, default, **fields) == value
    assert impute(f"{kind}?", None, **fields) == value
    assert impute(kind, other, **fields) == other
    assert impute(kind, marker, **fields) == marker
    fields[replaced] = marker
    assert impute(kind, marker, **fields) == value
    assert impute(f"{kind}?", None, **fields) == value
    assert impute(kind, other, **fields) == other
    kept = impute(kind, default, **fields)
    assert kept == default or (math.isnan(kept) and math.isnan(default))


@pytest.mark.parametrize("marker", [math.inf, -math.inf, math.nan])
def test_numbers_that_are_not_finite_can_stand_for_missing_ones(marker: float) -> None:
    fields = {"imputedDoubleValue": 7.0, "replaceDoubleValue": marker}
    others = [1.0, *({math.inf, -math.inf} - {marker})]
    assert impute("double", marker, **fields) == 7
    assert [impute("double", other, **fields) for other in others] == others
    array = np.array([[marker, *others], [0.0, marker, 2.0, 3.0][: 1 + len(others)]])
    expected = np.where(np.isnan(array) if math.isnan(marker) else array == marker, 7.0, array)
    kind = f"array {array.shape[0]} {array.shape[1]}"
    np.testing.assert_array_equal(impute(kind, array, **fields), expected)


def test_integers_of_arrays() -> None:
    fields: dict[str, Any] = {"imputedInt64Array": {"vector": [10, 20, 30]}}
    assert impute("integers 3", np.array([1, LEAST, 3]), **fields).tolist() == [1, 20, 3]
    assert impute("array 3", np.array([1.5, np.nan, LEAST]), **fields).tolist() == [1.5, 20, 30]
    fields["replaceInt64Value"] = -1
    result = impute("integers 3", np.array([-1, 2, -1], np.int32), **fields)
    assert result.tolist() == [10, 2, 30]
    assert result.dtype == np.int32
    assert impute("array 3", np.array([-1.0, 2.5, -1.5]), **fields).tolist() == [10, 2.5, -1.5]


def test_arrays_that_are_absent_are_missing_as_a_whole() -> None:
    np.testing.assert_array_equal(impute("array 2 3?", None, imputedDoubleValue=4.0), np.full((2, 3), 4.0))
    vector = {"vector": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}
    expected = np.arange(1.0, 7).reshape(2, 3)
    np.testing.assert_array_equal(impute("array 2 3?", None, imputedDoubleArray=vector), expected)
    np.testing.assert_array_equal(impute("open?", None, imputedDoubleArray=vector), expected.reshape(-1))
    holes = np.where(expected % 2 == 0, np.nan, expected)
    np.testing.assert_array_equal(impute("array 2 3", holes, imputedDoubleArray=vector), expected)


@pytest.mark.parametrize(
    ("kind", "field"), [("string", "imputedStringDictionary"), ("int64", "imputedInt64Dictionary")]
)
def test_keys_of_dictionaries(kind: str, field: str) -> None:
    a, b, c = ("a", "", "c") if kind == "string" else (1, -2, 2**40)
    message = spec.Imputer(**{field: {"map": {a: 1.5, b: -2.0}}})
    for value, expected in [
        ({}, {a: 1.5, b: -2.0}),
        ({a: 7.0}, {a: 7.0, b: -2.0}),
        ({b: math.nan, c: 3.0}, {a: 1.5, b: -2.0, c: 3.0}),
        ({a: 0.0, b: 0.0}, {a: 0.0, b: 0.0}),
        (None, {a: 1.5, b: -2.0}),
    ]:
        declared = f"{kind} dictionary" + "?" * (value is None)
        assert predict("imputer", message, {"x": (declared, value)}, f"{kind} dictionary") == expected


DICTIONARY = spec.Imputer(imputedStringDictionary={"map": {"a": 1.0}})


@pytest.mark.parametrize(
    ("source", "target", "fields", "text"),
    [
        ("double", "double", {}, "states no ImputedValue"),
        (
            "int64",
            "int64",
            {"imputedDoubleValue": 1.0},
            "imputedDoubleValue goes with an input of type double or multiA",
        ),
        (
            "double",
            "double",
            {"imputedInt64Value": 1},
            "imputedInt64Value goes with an input of type int64, not with x",
        ),
        (
            "double",
            "double",
            {"imputedDoubleArray": {"vector": [1.0]}},
            "imputedDoubleArray goes with an input of type",
        ),
        ("int64", "int64", {"imputedStringValue": "a"}, "imputedStringValue goes with an input of type string"),
        ("string", "string", DICTIONARY, "imputedStringDictionary goes with an input of type dictionary"),
        ("int64 dictionary", "int64 dictionary", DICTIONARY, "goes with a dictionary of string, not with x"),
        ("string dictionary", "int64 dictionary", DICTIONARY, "has another type than the input"),
        (
            "double",
            "int64",
            {"imputedDoubleValue": 1.0},
            "the output y: int64 has another type than the input x: double",
        ),
        (
            "double",
            "double",
            {"imputedDoubleValue": 1.0, "replaceInt64Value": 1},
            "replaceInt64Value does not go with imputedDoubleValue",
        ),
        (
            "string dictionary",
            "string dictionary",
            spec.Imputer(imputedStringDictionary={"map": {"a": 1.0}}, replaceDoubleValue=1.0),
            "replaceDoubleValue does not go with imputedStringDictionary",
        ),
        ("array 3", "array 3", {"imputedDoubleArray": {"vector": [1.0, 2.0]}}, "has 2 values, but the input 'x' has 3"),
    ],
)
def test_contradictions_are_refused(source: str, target: str, fields: Any, text: str) -> None:
    value = {"string": "a", "array 3": [1.0, 2.0, 3.0]}.get(source, {} if "dictionary" in source else 1)
    with pytest.raises(ModelError, match=text):
        predict("imputer", fields, {"x": (source, value)}, target)


def test_an_array_of_another_size_is_refused() -> None:
    with pytest.raises(InputError, match="input 'x' has 3 values, but imputedDoubleArray has 2"):
        impute("open", [1.0, 2.0, 3.0], imputedDoubleArray={"vector": [1.0, 2.0]})
