"""One-hot encoders, dictionary vectorizers and categorical mappings, against scikit-learn; unknown categories."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction import DictVectorizer
from sklearn.preprocessing import OneHotEncoder

from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.runtime.models.specifications import predict

IGNORE = spec.OneHotEncoder.HandleUnknown.Value("IgnoreUnknown")
TEXTS, NUMBERS = ["pear", "", "Äpfel", "fig"], [30, -5, 2**60]


def encoder(categories: list[Any], **more: Any) -> dict[str, Any]:
    field = "stringCategories" if isinstance(categories[0], str) else "int64Categories"
    return {field: {"vector": categories}, **more}


@pytest.mark.parametrize(("categories", "kind"), [(TEXTS, "string"), (NUMBERS, "int64")])
def test_one_hot_encoding_as_scikit_learn_does(categories: list[Any], kind: str) -> None:
    column = np.array(categories, object)[:, None]
    estimator = OneHotEncoder(categories=[categories], handle_unknown="ignore").fit(column)
    for category in [*categories, "kiwi" if kind == "string" else 7]:
        expected = estimator.transform(np.array([[category]], object)).toarray()[0]
        fields = encoder(categories, handleUnknown=IGNORE)
        dense = predict("oneHotEncoder", fields, {"x": (kind, category)}, f"array {len(categories)}")
        np.testing.assert_array_equal(dense, expected)
        sparse = predict("oneHotEncoder", {**fields, "outputSparse": True}, {"x": (kind, category)}, "int64 dictionary")
        assert sparse == {int(i): 1.0 for i in np.flatnonzero(expected)}


@pytest.mark.parametrize("sparse", [False, True])
def test_unknown_categories_are_an_error_unless_they_are_to_be_ignored(sparse: bool) -> None:
    output = "int64 dictionary" if sparse else "array 4"
    with pytest.raises(InputError, match="input 'x': 'kiwi' is none of the 4 categories"):
        predict("oneHotEncoder", encoder(TEXTS, outputSparse=sparse), {"x": ("string", "kiwi")}, output)


def vectorizer(keys: list[Any]) -> dict[str, Any]:
    return {"stringToIndex" if isinstance(keys[0], str) else "int64ToIndex": {"vector": keys}}


@pytest.mark.parametrize("kind", ["string", "int64"])
def test_dictionaries_as_vectors_as_scikit_learn_does(kind: str) -> None:
    rows: list[dict[Any, float]] = [{"foo": 1, "bar": 3.5}, {"bar": 4, "baz": -2}, {"quux": 1, "": 0.25}, {}]
    if kind == "int64":
        rows = [{len(key) - 3: value for key, value in row.items()} for row in rows]
    estimator = DictVectorizer(sparse=False).fit(rows)
    keys = estimator.feature_names_
    for row in [*rows, {"unknown" if kind == "string" else 99: 21.0, keys[1]: 2.0}]:
        expected = estimator.transform([row])[0]
        inputs = {"x": (f"{kind} dictionary", row)}
        dense = predict("dictVectorizer", vectorizer(keys), inputs, f"array {len(keys)}")
        np.testing.assert_array_equal(dense, expected)
        sparse = predict("dictVectorizer", vectorizer(keys), inputs, "int64 dictionary")
        assert sparse == {keys.index(key): value for key, value in row.items() if key in keys}


def test_keys_have_the_type_of_the_map_whatever_the_input_declares() -> None:
    inputs = {"x": ("string dictionary", {30: 2.0, 8: 1.0})}
    assert predict("dictVectorizer", vectorizer(NUMBERS), inputs, "int64 dictionary") == {0: 2.0}
    with pytest.raises(InputError, match="input 'x': stringToIndex takes keys like 'pear', not 30"):
        predict("dictVectorizer", vectorizer(TEXTS), inputs, "int64 dictionary")
    with pytest.raises(InputError, match="input 'x': int64ToIndex takes keys like 30, not 'pear'"):
        predict("dictVectorizer", vectorizer(NUMBERS), {"x": ("string dictionary", {"pear": 1})}, "int64 dictionary")


TO_NUMBERS = {"stringToInt64Map": {"a": 5, "b": -(2**62), "": 0}}
TO_TEXTS = {"int64ToStringMap": {5: "a", -(2**62): "b", 0: ""}}


def mapping(table: dict[str, Any], **more: Any) -> Any:
    return spec.CategoricalMapping(**{name: {"map": items} for name, items in table.items()}, **more)


def mapped(table: dict[str, Any], value: Any, **more: Any) -> Any:
    source, target = ("string", "int64") if "stringToInt64Map" in table else ("int64", "string")
    return predict("categoricalMapping", mapping(table, **more), {"x": (source, value)}, target)


@pytest.mark.parametrize(("table", "more"), [(TO_NUMBERS, {"int64Value": -1}), (TO_TEXTS, {"strValue": "none"})])
def test_categories_are_renamed_both_ways(table: dict[str, Any], more: dict[str, Any]) -> None:
    (items,) = table.values()
    for key, value in items.items():
        assert mapped(table, key) == value
        assert mapped(table, key, **more) == value
    unknown = "z" if "a" in items else 77
    assert mapped(table, unknown, **more) in more.values()
    with pytest.raises(InputError, match=f"input 'x': {unknown!r} is none of the 3 categories of {next(iter(table))}"):
        mapped(table, unknown)


def test_values_for_what_is_unknown_can_be_zero_and_empty() -> None:
    assert mapped(TO_NUMBERS, "z", int64Value=0) == 0
    assert mapped(TO_TEXTS, 77, strValue="") == ""


@pytest.mark.parametrize("kind", ["oneHotEncoder", "dictVectorizer", "categoricalMapping"])
def test_inputs_that_are_absent_are_missing(kind: str) -> None:
    fields = {
        "oneHotEncoder": encoder(TEXTS),
        "dictVectorizer": vectorizer(TEXTS),
        "categoricalMapping": mapping(TO_NUMBERS),
    }[kind]
    source = "string dictionary?" if kind == "dictVectorizer" else "string?"
    with pytest.raises(InputError, match="the input 'x' is missing"):
        predict(kind, fields, {"x": (source, None)}, "int64" if kind == "categoricalMapping" else "array 4")


@pytest.mark.parametrize(
    ("kind", "fields", "source", "target", "text"),
    [
        ("oneHotEncoder", {}, "string", "array 1", "states neither stringCategories nor int64Categories"),
        ("oneHotEncoder", encoder(["a", "b", "a"]), "string", "array 3", "stringCategories has 'a' twice"),
        ("oneHotEncoder", encoder(TEXTS), "int64", "array 4", "stringCategories goes with a string, not with x: int64"),
        ("oneHotEncoder", encoder(NUMBERS), "string", "array 3", "int64Categories goes with a int64"),
        ("oneHotEncoder", encoder(TEXTS), "string", "int64 dictionary", "outputSparse False goes with a multiArray"),
        (
            "oneHotEncoder",
            encoder(TEXTS, outputSparse=True),
            "string",
            "array 4",
            "outputSparse True goes with a dictionary of int64, not with y: multiArray 4 DOUBLE",
        ),
        ("oneHotEncoder", encoder(TEXTS, outputSparse=True), "string", "string dictionary", "a dictionary of int64"),
        ("oneHotEncoder", encoder(TEXTS, handleUnknown=2), "string", "array 4", "handleUnknown 2 is none"),
        ("oneHotEncoder", encoder(TEXTS), "string", "array 3", "stringCategories gives 4 values, but the output is"),
        ("dictVectorizer", {}, "string dictionary", "array 1", "states neither stringToIndex nor int64ToIndex"),
        ("dictVectorizer", vectorizer(TEXTS), "string", "array 4", "stringToIndex goes with a dictionary, not with x"),
        ("dictVectorizer", vectorizer(TEXTS), "string dictionary", "double", "a vector by position goes with"),
        ("dictVectorizer", vectorizer([3, 3]), "int64 dictionary", "array 2", "int64ToIndex has 3 twice"),
        ("dictVectorizer", vectorizer(TEXTS), "string dictionary", "array 5", "stringToIndex gives 4 values, but"),
        ("categoricalMapping", {}, "string", "int64", "states neither stringToInt64Map nor int64ToStringMap"),
        ("categoricalMapping", mapping(TO_NUMBERS), "int64", "int64", "stringToInt64Map goes with a string, not"),
        ("categoricalMapping", mapping(TO_NUMBERS), "string", "string", "stringToInt64Map goes with a int64, not"),
        ("categoricalMapping", mapping(TO_TEXTS, int64Value=1), "int64", "string", "int64Value is set, but"),
        ("categoricalMapping", mapping(TO_NUMBERS, strValue=""), "string", "int64", "strValue is set, but"),
    ],
)
def test_contradictions_are_refused(kind: str, fields: Any, source: str, target: str, text: str) -> None:
    value = {"string": "a", "int64": 5}.get(source, {})
    with pytest.raises(ModelError, match=text):
        predict(kind, fields, {"x": (source, value)}, target)
