"""Generalised linear models against scikit-learn, SciPy and formulas."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.checks import fill
from tests.runtime.models.specifications import classifier, predict, specification

RNG = np.random.default_rng(43)
SIZE = 5
X = RNG.normal(size=(90, SIZE)) * (1, 4, 0.5, 2, 1)
SCORE = X @ RNG.normal(size=SIZE) + RNG.normal(size=len(X))
REGRESSOR, CLASSIFIER = spec.GLMRegressor, spec.GLMClassifier
LABELS: dict[int, list[Any]] = {2: ["Foo", "Bar"], 3: [4, -7, 2], 5: ["e", "d", "c", "b", "a"]}


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x)))


def softmax(x: Any) -> Any:
    powers = np.exp(np.asarray(x) - np.max(x))
    return powers / powers.sum()


def classes(count: int) -> Any:
    return np.digitize(SCORE, np.quantile(SCORE, np.linspace(0, 1, count + 1)[1:-1]))


def weights(rows: Any, offset: Any, **more: Any) -> dict[str, Any]:
    return {"weights": [{"value": list(map(float, row))} for row in rows], "offset": [*map(float, offset)], **more}


def glm(fields: dict[str, Any], labels: list[Any] | None) -> mle.Model:
    return classifier("glmClassifier", fields, labels, {"x": f"array {SIZE}"})


def test_linear_regression_of_numbers_and_arrays_in_their_order() -> None:
    estimator = LinearRegression().fit(X, SCORE)
    fields = weights([estimator.coef_], [estimator.intercept_])
    for row, expected in zip(X[:9], estimator.predict(X[:9]), strict=True):
        array = predict("glmRegressor", fields, {"x": (f"array {SIZE}", row)}, "double")
        parts = {"b": ("array 1 3", row[None, :3]), "a": ("double", row[3]), "c": ("double", row[4])}
        assert array == pytest.approx(expected, rel=1e-12)
        assert predict("glmRegressor", fields, parts, "double") == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("transform", "function"), [("NoTransform", np.asarray), ("Logit", logistic), ("Probit", norm.cdf)]
)
def test_every_transform_of_a_regressor(transform: str, function: Any) -> None:
    rows, offset = RNG.normal(size=(3, SIZE)), [-30.0, 0.5, 8.0]
    kind = REGRESSOR.PostEvaluationTransform.Value(transform)
    for row in X[:9]:
        inputs = {"x": (f"array {SIZE}", row)}
        many = predict("glmRegressor", weights(rows, offset, postEvaluationTransform=kind), inputs, "array 3")
        np.testing.assert_allclose(many, function(rows @ row + offset), rtol=1e-10)
        single = weights(rows[:1], offset[:1], postEvaluationTransform=kind)
        assert predict("glmRegressor", single, inputs, "double") == pytest.approx(many[0], rel=1e-14)


def one_vs_rest(count: int) -> Any:
    """Coefficients, intercepts and the estimator; scikit-learn 1.9 does one against the rest by a class of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if count == 2:
            estimator: Any = LogisticRegression(C=0.5).fit(X, classes(count))
            return estimator.coef_, estimator.intercept_, estimator
        estimator = OneVsRestClassifier(LogisticRegression(C=0.5)).fit(X, classes(count))
    parts = estimator.estimators_
    return np.vstack([p.coef_ for p in parts]), np.concatenate([p.intercept_ for p in parts]), estimator


@pytest.mark.parametrize("count", [2, 3, 5])
def test_one_vs_rest_normalizes_logistic_functions_as_scikit_learn_does(count: int) -> None:
    rows, offset, estimator = one_vs_rest(count)
    encoding = CLASSIFIER.ClassEncoding.Value("OneVsRest")
    model = glm(weights(rows, offset, classEncoding=encoding), LABELS[count])
    results = mle.predict(model, [{"x": row} for row in X])
    assert [list(row["chances"]) for row in results] == [LABELS[count]] * len(X)
    np.testing.assert_allclose(
        [list(row["chances"].values()) for row in results], estimator.predict_proba(X), rtol=1e-9, atol=1e-14
    )
    assert [row["label"] for row in results] == [LABELS[count][k] for k in estimator.predict(X)]


@pytest.mark.parametrize("count", [2, 3])
def test_the_label_is_the_one_of_the_largest_score_also_where_probabilities_are_one(count: int) -> None:
    estimator = LinearSVC(random_state=1, max_iter=20_000).fit(X, classes(count))
    fields = weights(1e4 * estimator.coef_, 1e4 * estimator.intercept_, classEncoding=1)
    results = mle.predict(glm(fields, LABELS[count]), [{"x": row} for row in X])
    assert [row["label"] for row in results] == [LABELS[count][k] for k in estimator.predict(X)]
    sums = [sum(row["chances"].values()) for row in results]
    np.testing.assert_allclose(sums, 1, rtol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_the_reference_class_has_the_score_zero(count: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = LogisticRegression().fit(X, classes(count))
    rows, offset = estimator.coef_, estimator.intercept_
    if count > 2:  # a softmax keeps its values where the same is taken from all scores
        rows, offset = rows[1:] - rows[0], offset[1:] - offset[0]
    model = glm(weights(rows, offset, classEncoding=CLASSIFIER.ClassEncoding.Value("ReferenceClass")), LABELS[count])
    results = mle.predict(model, [{"x": row} for row in X])
    np.testing.assert_allclose(
        [list(row["chances"].values()) for row in results], estimator.predict_proba(X), rtol=1e-9, atol=1e-14
    )
    assert [row["label"] for row in results] == [LABELS[count][k] for k in estimator.predict(X)]


@pytest.mark.parametrize("encoding", ["ReferenceClass", "OneVsRest"])
@pytest.mark.parametrize(("transform", "distribution"), [("Logit", logistic), ("Probit", norm.cdf)])
def test_two_classes_by_every_transform_and_encoding(encoding: str, transform: str, distribution: Any) -> None:
    row = RNG.normal(size=SIZE)
    fields = weights(
        [row],
        [0.25],
        classEncoding=CLASSIFIER.ClassEncoding.Value(encoding),
        postEvaluationTransform=CLASSIFIER.PostEvaluationTransform.Value(transform),
    )
    model = glm(fields, None)
    for x in [*X[:5], 6 * X[5], np.zeros(SIZE)]:
        score = row @ x + 0.25
        result = mle.predict(model, {"x": x})
        np.testing.assert_allclose(
            [result["chances"][0], result["chances"][1]], [distribution(-score), distribution(score)], rtol=1e-10
        )
        assert result["label"] == int(score > 0)


def test_scores_that_no_probability_tells_apart() -> None:
    fields = weights([[1.0], [1.0], [0.0]], [-2000.0, -1999.0, -5000.0], classEncoding=1)
    model = classifier("glmClassifier", fields, None, {"x": "double"})
    result = mle.predict(model, {"x": 0.0})
    np.testing.assert_allclose(list(result["chances"].values()), softmax([-1, 0, -np.inf]), rtol=1e-12)
    assert result["label"] == 1


ROW = {"value": [1.0] * SIZE}


@pytest.mark.parametrize(
    ("changes", "labels", "text"),
    [
        ({"weights": []}, ["a", "b"], "weights has no rows"),
        ({"offset": [0.0, 0.0]}, ["a", "b"], "offset has 2 values, but weights has 1 rows"),
        ({"weights": [ROW, {"value": [1.0]}]}, ["a", "b"], r"weights\[1\] has 1 values, but weights\[0\] has 5"),
        ({"weights": [{"value": [1.0] * 4}]}, ["a", "b"], "a row of weights has 4 values, but the inputs have 5"),
        ({"weights": [{"value": [1.0] * 4 + [np.nan]}]}, ["a", "b"], "weights has values that are not finite"),
        ({"offset": [np.inf]}, ["a", "b"], "offset has values that are not finite"),
        ({"postEvaluationTransform": 2}, ["a", "b"], "postEvaluationTransform 2 is none"),
        ({"classEncoding": 2}, ["a", "b"], "classEncoding 2 is none"),
        ({}, ["a"], "there is 1 class label"),
        ({}, ["a", "b", "c"], "weights has 1 rows, but 3 classes with ReferenceClass need 2"),
        ({"classEncoding": 1}, ["a", "b", "c"], "weights has 1 rows, but 3 classes with OneVsRest need 3"),
        (
            {"classEncoding": 1, "weights": [ROW, ROW], "offset": [0.0, 0.0]},
            None,
            "weights has 2 rows, but 2 classes with OneVsRest need 1",
        ),
        (
            {"postEvaluationTransform": 1, "weights": [ROW, ROW], "offset": [0.0, 0.0]},
            ["a", "b", "c"],
            "Probit is for two classes, but there are 3",
        ),
    ],
)
def test_contradictions_of_classifiers_are_refused(changes: dict[str, Any], labels: Any, text: str) -> None:
    model = glm({"weights": [ROW], "offset": [0.0], **changes}, labels)
    with pytest.raises(ModelError, match=text):
        mle.predict(model, {"x": X[0]})


def test_what_does_not_fit_a_regressor_is_refused() -> None:
    array = {"x": (f"array {SIZE}", X[0])}
    with pytest.raises(ModelError, match="weights has 2 rows, but the output 'y' is declared as one number"):
        predict("glmRegressor", weights([X[0], X[1]], [0, 0]), array, "double")
    with pytest.raises(ModelError, match="postEvaluationTransform 3 is none"):
        predict("glmRegressor", weights([X[0]], [0], postEvaluationTransform=3), array, "double")
    with pytest.raises(ModelError, match="takes numbers and arrays, but its input 'x' is a dictionary"):
        predict("glmRegressor", weights([X[0]], [0]), {"x": ("string dictionary", {})}, "double")
    with pytest.raises(InputError, match="the inputs have 4 values, but a row of weights has 5"):
        predict("glmRegressor", weights([X[0]], [0]), {"x": ("open", X[0, :4])}, "double")
    with pytest.raises(InputError, match="the inputs have 1 values, but a row of weights has 2"):
        predict("glmRegressor", weights([[1, 2]], [0]), {"a": ("double?", None), "b": ("double", 1.0)}, "double")
    with pytest.raises(InputError, match="these inputs give no number; value 3 of them is nan"):
        predict("glmRegressor", weights([X[0]], [0]), {"x": ("array 5", [0, 0, 0, np.nan, 0])}, "double")
    with pytest.raises(InputError, match="these inputs give no number; value 0 of them is inf"):
        predict("glmRegressor", weights([[1, -1]], [0]), {"x": ("array 2", [np.inf, np.inf])}, "double")


def test_infinite_inputs_give_what_the_formula_gives() -> None:
    four = classifier("glmClassifier", weights([[1.0], [2.0], [-1.0]], [0, 0, 0]), None, {"x": "double"})
    assert mle.predict(four, {"x": np.inf}) == {"label": 1, "chances": {0: 0, 1: 0.5, 2: 0.5, 3: 0}}
    fields = weights([[1.0, 0.5]], [0.0], postEvaluationTransform=1)
    assert predict("glmRegressor", fields, {"x": ("array 2", [-np.inf, 3.0])}, "double") == 0
    model = mle.load(specification("glmRegressor", weights([[2.0]], [1.0]), {"x": "int64"}, {"y": "int64"}, "y"))
    assert mle.predict(model, {"x": 3}) == {"y": 7}
    fill(model.spec.glmRegressor, {"postEvaluationTransform": 1})
    assert mle.predict(model, {"x": 3}) == {"y": 0}  # declared as a whole number
