"""Support vector machines against LIBSVM and Platt's formula; specifications that contradict themselves."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.checks import fill

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from sklearn.svm import SVC, SVR, NuSVC, NuSVR

RNG = np.random.default_rng(23)
X = RNG.normal(size=(60, 5)) * (1, 3, 0.5, 2, 1)
X[RNG.random(X.shape) < 0.3] = 0
KERNELS: list[dict[str, Any]] = [
    {"kernel": "linear"},
    {"kernel": "rbf"},
    {"kernel": "rbf", "gamma": 1.2},
    {"kernel": "poly", "degree": 2, "gamma": 0.75},
    {"kernel": "poly", "degree": 3, "gamma": 0.1, "coef0": 0.8},
    {"kernel": "poly", "degree": 0, "gamma": 0.9, "coef0": 2},
    {"kernel": "sigmoid", "gamma": 0.02, "coef0": 0.4},
]
LABELS: dict[int, list[Any]] = {2: ["no", "yes"], 3: [12, 33, -1], 5: ["e", "d", "c", "b", "a"]}


def targets(classes: int) -> Any:
    score = X @ RNG.normal(size=5) + np.sin(3 * X[:, 0]) + 0.3 * RNG.normal(size=len(X))
    return np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))


def quietly(function: Callable[[], Any]) -> Any:
    """Newer versions of scikit-learn announce the end of probabilities, and poor fits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function()


def machine_fields(estimator: Any, sparse: bool) -> dict[str, Any]:
    parameters = {"gamma": estimator._gamma, "c": estimator.coef0, "degree": estimator.degree}
    name, fields = {
        "linear": ("linearKernel", ()),
        "rbf": ("rbfKernel", ("gamma",)),
        "poly": ("polyKernel", ("gamma", "c", "degree")),
        "sigmoid": ("sigmoidKernel", ("gamma", "c")),
    }[estimator.kernel]
    vectors = estimator.support_vectors_.tolist()
    if sparse:
        nodes = [[{"index": i + 1, "value": v} for i, v in enumerate(row) if v] for row in vectors]
        stored = {"sparseSupportVectors": {"vectors": [{"nodes": row} for row in nodes]}}
    else:
        stored = {"denseSupportVectors": {"vectors": [{"values": row} for row in vectors]}}
    return {"kernel": {name: {field: parameters[field] for field in fields}}, **stored}


def inputs(model: Any, as_array: bool, size: int = 5) -> None:
    if as_array:
        array = model.description.input.add(name="x").type.multiArrayType
        array.dataType = 65600
        array.shape.append(size)
    else:
        for index in range(size):
            model.description.input.add(name=f"x{index}").type.doubleType.SetInParent()


def feed(row: Any, as_array: bool) -> dict[str, Any]:
    return {"x": row} if as_array else {f"x{index}": value for index, value in enumerate(row)}


def classifier(fields: dict[str, Any], labels: list[Any], as_array: bool = True) -> Any:
    model = spec.Model(specificationVersion=1)
    fill(model.supportVectorClassifier, fields)
    kind = "string" if labels and isinstance(labels[0], str) else "int64"
    getattr(model.supportVectorClassifier, f"{kind}ClassLabels").vector.extend(labels)
    inputs(model, as_array)
    getattr(model.description.output.add(name="label").type, f"{kind}Type").SetInParent()
    getattr(model.description.output.add(name="chances").type.dictionaryType, f"{kind}KeyType").SetInParent()
    model.description.predictedFeatureName, model.description.predictedProbabilitiesName = "label", "chances"
    return model


def classifier_fields(estimator: Any, sparse: bool = False) -> dict[str, Any]:
    rho = estimator.intercept_ if len(estimator.classes_) == 2 else -estimator.intercept_
    return {
        **machine_fields(estimator, sparse),
        "numberOfSupportVectorsPerClass": estimator.n_support_.tolist(),
        "coefficients": [{"alpha": row.tolist()} for row in estimator._dual_coef_],
        "rho": rho.tolist(),
        "probA": quietly(lambda: estimator.probA_).tolist(),
        "probB": quietly(lambda: estimator.probB_).tolist(),
    }


def regressor(fields: dict[str, Any], as_array: bool = True) -> Any:
    model = spec.Model(specificationVersion=1)
    fill(model.supportVectorRegressor, fields)
    inputs(model, as_array)
    model.description.output.add(name="y").type.doubleType.SetInParent()
    model.description.predictedFeatureName = "y"
    return model


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("sparse", [False, True])
def test_regressors(kernel: dict[str, Any], sparse: bool) -> None:
    y = X @ RNG.normal(size=5) + np.cos(X[:, 1])
    for estimator in (SVR(**kernel, max_iter=500), NuSVR(**kernel, nu=0.3, max_iter=500)):
        quietly(lambda estimator=estimator: estimator.fit(X, y))
        alpha = {"alpha": estimator._dual_coef_[0].tolist()}
        fields = {**machine_fields(estimator, sparse), "coefficients": alpha, "rho": -float(estimator.intercept_[0])}
        predictor = mle.Predictor(mle.load(regressor(fields, sparse)))
        given = [result["y"] for result in predictor.predict([feed(row, sparse) for row in X])]
        np.testing.assert_allclose(given, estimator.predict(X), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
@pytest.mark.parametrize("classes", LABELS)
def test_classes_are_voted_for(kernel: dict[str, Any], classes: int) -> None:
    labels, y = LABELS[classes], targets(classes)
    for estimator in (SVC(**kernel), NuSVC(**kernel, nu=0.1)):
        try:
            quietly(lambda estimator=estimator: estimator.set_params(max_iter=200).fit(X, y))
        except ValueError:  # scikit-learn found no finite NuSVC
            continue
        predictor = mle.Predictor(mle.load(classifier(classifier_fields(estimator, classes == 3), labels)))
        results = predictor.predict([{"x": row} for row in X])
        assert [result["label"] for result in results] == [labels[i] for i in estimator.predict(X)]
        for result in results[:5]:
            assert list(result["chances"]) == labels
            assert result["chances"] == {label: float(label == result["label"]) for label in labels}


@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.parametrize("kernel", KERNELS[:5], ids=str)
def test_probabilities_are_those_of_libsvm(kernel: dict[str, Any], classes: int) -> None:
    labels, y = LABELS[classes], targets(classes)
    estimator = SVC(**kernel, probability=True, random_state=3, max_iter=500)
    quietly(lambda: estimator.fit(X, y))
    expected = quietly(lambda: estimator.predict_proba(X))
    predictor = mle.Predictor(mle.load(classifier(classifier_fields(estimator), labels, as_array=False)))
    results = predictor.predict([feed(row, False) for row in X])
    given = np.array([[result["chances"][label] for label in labels] for result in results])
    np.testing.assert_allclose(given, expected, atol=1e-9)
    assert [result["label"] for result in results] == [labels[i] for i in expected.argmax(axis=1)]


def test_two_classes_have_platts_probability() -> None:
    estimator = quietly(lambda: SVC(probability=True, random_state=3).fit(X, targets(2)))
    fields = classifier_fields(estimator)
    results = mle.predict(mle.load(classifier(fields, LABELS[2])), [{"x": row} for row in X])
    decisions = -estimator.decision_function(X)
    expected = 1 / (1 + np.exp(fields["probA"][0] * decisions + fields["probB"][0]))
    np.testing.assert_allclose([result["chances"]["no"] for result in results], expected, atol=1e-12)
    np.testing.assert_allclose([result["chances"]["yes"] for result in results], 1 - expected, atol=1e-12)


def linear(classes: int, rho: list[float], **more: Any) -> dict[str, Any]:
    """A machine whose decisions are -rho: its only support vector is zero."""
    return {
        "kernel": {"linearKernel": {}},
        "denseSupportVectors": {"vectors": [{"values": [0.0] * 5}]},
        "numberOfSupportVectorsPerClass": [1] + [0] * (classes - 1),
        "coefficients": [{"alpha": [1.0]}] * (classes - 1),
        "rho": rho,
        **more,
    }


def test_the_first_of_the_classes_that_tie_wins_and_zero_is_a_vote_for_the_second() -> None:
    def winner(rho: list[float], labels: str) -> str:
        model = mle.load(classifier(linear(len(labels), rho), list(labels)))
        return str(mle.predict(model, np.ones(5))["label"])

    assert winner([0.0], "ab") == "b"
    assert winner([-1e-9], "ab") == "a"
    assert winner([-1, 1, -1], "abc") == "a"  # a beats b, c beats a, b beats c
    assert winner([0, 0, 0], "abc") == "c"
    assert winner([1, 1, -1, -1, -1, 1], "abcd") == "b"  # pairs ab ac ad bc bd cd; b and c and d each: b 3


def test_an_offset_that_is_no_number_gives_the_second_class_as_libsvm_says() -> None:
    fields = linear(2, [float("nan")], probA=[-0.5], probB=[-0.25])
    result = mle.predict(mle.load(classifier(fields, ["a", "b"])), np.ones(5))
    assert result["label"] == "b"
    assert list(result["chances"].values()) == pytest.approx([1e-7, 1 - 1e-7])


def test_extreme_probabilities_stay_within_libsvms_bounds() -> None:
    fields = linear(2, [-1.0], probA=[5000.0], probB=[0.0])
    chances = mle.predict(mle.load(classifier(fields, ["a", "b"])), np.ones(5))["chances"]
    assert chances == {"a": 1e-7, "b": 1 - 1e-7}
    fields = linear(3, [1.0, 1.0, -1.0], probA=[-900.0] * 3, probB=[0.0] * 3)
    result = mle.predict(mle.load(classifier(fields, ["a", "b", "c"])), np.ones(5))
    assert result["label"] == "b"
    assert sum(result["chances"].values()) == pytest.approx(1)


BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"rho": []}, "rho has 0 values; 3 classes make 3 pairs"),
    ({"probA": [1.0]}, "probA has 1 values"),
    ({"probA": [1.0] * 3}, "probB has 0 values"),
    ({"probB": [1.0] * 3}, "probA has 0 values"),
    ({"coefficients": [{"alpha": [1.0]}]}, r"coefficients has rows of \[1\] values; .* needs 2 of 1 each"),
    ({"coefficients": [{"alpha": [1.0]}, {"alpha": [1.0, 2.0]}]}, r"coefficients has rows of \[1, 2\]"),
    ({"numberOfSupportVectorsPerClass": [1, 1, 0]}, r"is \[1, 1, 0\], but there are 1 support vectors"),
    ({"numberOfSupportVectorsPerClass": [2, -1, 0]}, r"is \[2, -1, 0\]"),
    ({"numberOfSupportVectorsPerClass": []}, r"is \[\]"),
    ({"numberOfSupportVectorsPerClass": [1, 0]}, "rows of"),
    ({"kernel": {}}, "kernel is not set"),
    ({"kernel": {"polyKernel": {"degree": -1}}}, "degree of the polyKernel is -1"),
    ({"denseSupportVectors": {"vectors": [{"values": [1.0] * 4}]}}, "the inputs have 5 values, .* have 4"),
    ({"denseSupportVectors": {"vectors": [{"values": [1.0]}, {"values": []}]}}, r"different sizes: \[0, 1\]"),
    ({"sparseSupportVectors": {"vectors": [{"nodes": [{"index": 0}]}]}}, "indices of vector 0 must count from 1"),
    (
        {"sparseSupportVectors": {"vectors": [{"nodes": [{"index": 2}, {"index": 2}]}]}},
        "indices of vector 0 must count from 1 and rise",
    ),
    ({"sparseSupportVectors": {"vectors": [{"nodes": [{"index": 6}]}]}}, "the inputs have 5 values, .* have 6"),
]


@pytest.mark.parametrize(("change", "message"), BROKEN, ids=lambda value: str(value)[:50])
def test_contradictions_are_named_when_the_model_is_prepared(change: dict[str, Any], message: str) -> None:
    fields = linear(3, [1.0, 2.0, 3.0])
    if "sparseSupportVectors" in change:
        del fields["denseSupportVectors"]
    with pytest.raises(ModelError, match=message):
        mle.Predictor(mle.load(classifier({**fields, **change}, ["a", "b", "c"])))


def test_other_contradictions() -> None:
    fields = linear(2, [1.0])
    with pytest.raises(ModelError, match="there are 3 class labels, but numberOfSupportVectorsPerClass has 2"):
        mle.Predictor(mle.load(classifier(fields, ["a", "b", "c"])))
    del fields["denseSupportVectors"]
    with pytest.raises(ModelError, match="supportVectors is not set"):
        mle.Predictor(mle.load(classifier(fields, ["a", "b"])))
    machine = {"kernel": fields["kernel"], "denseSupportVectors": {"vectors": [{"values": [1.0] * 5}]}}
    with pytest.raises(ModelError, match="coefficients has 0 values, but there are 1 support vectors"):
        mle.Predictor(mle.load(regressor(machine)))
    text = classifier(linear(2, [1.0]), ["a", "b"])
    text.description.input[0].type.stringType.SetInParent()
    with pytest.raises(ModelError, match="takes numbers and arrays, but its input 'x' is a string"):
        mle.Predictor(mle.load(text))


def test_inputs_that_do_not_fit() -> None:
    model = classifier(linear(2, [1.0]), ["a", "b"])
    del model.description.input[0].type.multiArrayType.shape[:]
    with pytest.raises(InputError, match="the inputs hold 4 values, but the support vectors take 5"):
        mle.predict(mle.load(model), np.zeros(4))
    sparse = linear(2, [1.0])
    del sparse["denseSupportVectors"]
    sparse["sparseSupportVectors"] = {"vectors": [{"nodes": [{"index": 3, "value": 1.0}]}]}
    model = classifier(sparse, ["a", "b"])
    del model.description.input[0].type.multiArrayType.shape[:]
    with pytest.raises(InputError, match="hold 2 values, but the support vectors take 3 or more"):
        mle.predict(mle.load(model), np.zeros(2))
    assert mle.predict(mle.load(model), np.full(7, 2.0))["label"] == "a"


def test_a_machine_without_support_vectors_answers_by_its_offsets() -> None:
    fields = {
        "kernel": {"rbfKernel": {"gamma": 1.0}},
        "denseSupportVectors": {"vectors": []},
        "numberOfSupportVectorsPerClass": [0, 0],
        "coefficients": [{}],
        "rho": [-2.0],
    }
    assert mle.predict(mle.load(classifier(fields, ["a", "b"])), np.ones(5))["label"] == "a"


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_are_not_finite_are_carried_through_without_a_word(value: float) -> None:
    for kernel in ({"linearKernel": {}}, {"polyKernel": {"degree": 3, "gamma": 1.0}}, {"rbfKernel": {"gamma": 1.0}}):
        machine = {"kernel": kernel, "coefficients": {"alpha": [0.0, 1.0]}}
        vectors = {"vectors": [{"values": [1.0] * 5}, {"values": [0.0, -1.0, 1.0, 0.0, 0.0]}]}
        model = mle.load(regressor({**machine, "denseSupportVectors": vectors}))
        assert isinstance(mle.predict(model, {"x": np.full(5, value)})["y"], float)
