"""What real pipelines, linear models and tree ensembles compute, against formulas read from their specifications."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from tests.runtime.corpus_models import any_inputs


def load(corpus: Path, name: str) -> mle.Model:
    return mle.load(corpus / "mlmodel" / f"{name}.mlmodel")


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def linear(regressor: Any, values: Any) -> float:
    """A glmRegressor's prediction."""
    return float(np.dot(list(regressor.weights[0].value), values) + regressor.offset[0])


# CRIM, ZN, INDUS, CHAS, NOX, RM, AGE, DIS, RAD, TAX, PTRATIO, B, LSTAT of the first tracts of Boston's housing data
BOSTON = [
    [0.00632, 18.0, 2.31, 0.0, 0.538, 6.575, 65.2, 4.0900, 1.0, 296.0, 15.3, 396.90, 4.98],
    [0.02731, 0.0, 7.07, 0.0, 0.469, 6.421, 78.9, 4.9671, 2.0, 242.0, 17.8, 396.90, 9.14],
    [0.02729, 0.0, 7.07, 0.0, 0.469, 7.185, 61.1, 4.9671, 2.0, 242.0, 17.8, 392.83, 4.03],
]
BOSTON_PRICES = [24.0, 21.6, 34.7]


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("archdanny+mlmodels/MarsHabitatPricer@c80a2a1", [[1.0, 2.0, 750.0], [4.5, 5.0, 3000.0]]),
        ("archdanny+mlmodels/custom@fabce20", [[1.0, 2.0, 750.0], [4.5, 5.0, 3000.0]]),
        ("KevCendana+Swift-Projects/SleepCalculator@0a1f684", [[25200.0, 8.0, 1.0], [28800.0, 6.25, 3.0]]),
        ("microsoft+Windows-Machine-Learning/coreml_LinearRegression_sklearn_load_boston@db94bc7", BOSTON),
    ],
)
def test_a_pipeline_of_numbers_is_a_linear_formula(corpus: Path, name: str, rows: list[list[float]]) -> None:
    model = load(corpus, name)
    vectorizer, regressor = model.spec.pipelineRegressor.pipeline.models
    columns = [column.inputColumn for column in vectorizer.featureVectorizer.inputList]
    (output,) = (feature.name for feature in model.outputs)
    for row in rows:
        prediction = mle.predict(model, dict(zip(columns, row, strict=True)))[output]
        assert isinstance(prediction, float)
        assert prediction == pytest.approx(linear(regressor.glmRegressor, row), rel=1e-9)


def test_a_sleep_calculator_wants_more_sleep_after_coffee(corpus: Path) -> None:
    model = load(corpus, "KevCendana+Swift-Projects/SleepCalculator@0a1f684")
    wake = 7 * 3600.0
    one, three = mle.predict(model, [{"wake": wake, "estimatedSleep": 8.0, "coffee": coffee} for coffee in (1.0, 3.0)])
    assert 8 * 3600 < one["actualSleep"] < three["actualSleep"] < 9.5 * 3600  # seconds


def test_linear_regressions_know_the_prices_of_boston(corpus: Path) -> None:
    array = load(corpus, "likedan+Awesome-CoreML-Models/PlotCVPredict@f9e6ddd")
    numbers = load(corpus, "microsoft+Windows-Machine-Learning/coreml_LinearRegression_sklearn_load_boston@db94bc7")
    for row, price in zip(BOSTON, BOSTON_PRICES, strict=True):
        prediction = mle.predict(array, {"input": np.array(row)})["prediction"]
        assert prediction == pytest.approx(linear(array.spec.glmRegressor, row), rel=1e-9)
        assert prediction == pytest.approx(price, abs=7)  # the residual's standard deviation is 4.7
        named = {str(index + 1): value for index, value in enumerate(row)}
        assert mle.predict(numbers, named)["0"] == pytest.approx(prediction, abs=1)


class Trees:
    """A tree ensemble with one score, walked node by node."""

    def __init__(self, params: Any) -> None:
        self.base = params.basePredictionValue[0]
        self.trees: dict[int, dict[int, Any]] = defaultdict(dict)
        self.thresholds: dict[int, list[float]] = defaultdict(list)
        children = set()
        for node in params.nodes:
            self.trees[node.treeId][node.nodeId] = node
            if not self.is_leaf(node):
                self.thresholds[node.branchFeatureIndex].append(node.branchFeatureValue)
                children |= {(node.treeId, node.trueChildNodeId), (node.treeId, node.falseChildNodeId)}
        self.roots = [
            node for tree, nodes in self.trees.items() for key, node in nodes.items() if (tree, key) not in children
        ]

    @staticmethod
    def is_leaf(node: Any) -> bool:
        behavior: int = node.nodeBehavior
        return behavior == 6

    def score(self, values: Mapping[int, float]) -> float:
        """The sum of the leaves that one vector reaches; features that are not given are 0, NaN is missing."""
        return float(self.base + sum(self._walk(root, values) for root in self.roots))

    def _walk(self, node: Any, values: Mapping[int, float]) -> float:
        if self.is_leaf(node):
            return float(sum(info.evaluationValue for info in node.evaluationInfo))
        x, threshold = values.get(node.branchFeatureIndex, 0.0), node.branchFeatureValue
        if np.isnan(x):
            true = node.missingValueTracksTrueChild
        else:  # in the order of TreeNodeBehavior: <=, <, >=, >, ==, !=
            true = (x <= threshold, x < threshold, x >= threshold, x > threshold, x == threshold, x != threshold)[
                node.nodeBehavior
            ]
        child = node.trueChildNodeId if true else node.falseChildNodeId
        return self._walk(self.trees[node.treeId][child], values)

    def vectors(self, features: int, count: int) -> Any:
        """[count, features] values that lie on thresholds, beside them, or are missing."""
        rng = np.random.default_rng(5)
        vectors = rng.normal(size=(count, features))
        for feature, thresholds in self.thresholds.items():
            beside = rng.choice([0.0, 0.1, -0.1, np.nan], count, p=[0.5, 0.2, 0.2, 0.1])
            vectors[:, feature] = rng.choice(thresholds, count) + beside
        return vectors


@pytest.mark.parametrize("name", ["12_11_2020_verses_conv@ec822a2", "dummy_v6@e5541af", "experimental_verses@f7f6d72"])
def test_boosted_trees_classify_as_a_walk_over_their_nodes(corpus: Path, name: str) -> None:
    model = load(corpus, f"improve-ai+python-ranker/{name}")
    trees = Trees(model.spec.treeEnsembleClassifier.treeEnsemble)
    array = model.inputs[0].type == "multiArray"
    predictor = mle.Predictor(model)
    scores = set()
    for vector in trees.vectors(3070 if array else len(model.inputs), 8):
        names = [feature.name for feature in model.inputs]
        outputs = predictor.predict({names[0]: vector} if array else dict(zip(names, vector, strict=True)))
        score = trees.score(dict(enumerate(vector)))
        expected = {0: 1 - sigmoid(score), 1: sigmoid(score)}
        assert outputs["classProbability"] == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert outputs["target"] == (score > 0)
        scores.add(round(score, 3))
    assert len(scores) > 4


def test_boosted_trees_predict_as_a_walk_over_their_nodes(corpus: Path) -> None:
    model = load(corpus, "improve-ai+python-ranker/songs@baf6017")
    trees = Trees(model.spec.treeEnsembleRegressor.treeEnsemble)
    predictor = mle.Predictor(model)
    for vector in trees.vectors(len(model.inputs), 8):
        named = dict(zip((feature.name for feature in model.inputs), vector, strict=True))
        expected = trees.score(dict(enumerate(vector)))
        assert predictor.predict(named) == {"target": pytest.approx(expected, rel=1e-5, abs=1e-7)}


def letters(name: str) -> dict[str, float]:
    """What the classifier of first names was trained on."""
    found = {"first-letter": name[0], "first2-letters": name[:2], "first3-letters": name[:3]}
    found |= {"last-letter": name[-1], "last2-letters": name[-2:], "last3-letters": name[-3:]}
    return {f"{key}={value}": 1.0 for key, value in found.items()}


def test_a_decision_tree_knows_names_by_their_letters(corpus: Path) -> None:
    model = load(corpus, "cocoa-ai+NamesCoreMLDemo/NamesDT@789862a")
    vectorizing, classifier = model.spec.pipelineClassifier.pipeline.models
    words = list(vectorizing.pipeline.models[0].dictVectorizer.stringToIndex.vector)
    trees = Trees(classifier.treeEnsembleClassifier.treeEnsemble)
    predictor = mle.Predictor(model)
    women = ["mary", "anna", "linda", "sandra", "nicole", "christina"]
    men = ["john", "robert", "peter", "kevin", "david", "bob"]
    for name, sex in [*zip(women, "F" * 6, strict=True), *zip(men, "M" * 6, strict=True)]:
        given = letters(name)
        outputs = predictor.predict({"input": given})
        male = trees.score({words.index(key): value for key, value in given.items() if key in words})
        assert outputs["classProbability"] == pytest.approx({"F": 1 - male, "M": male})
        assert outputs["classLabel"] == sex, name


@pytest.mark.parametrize("name", ["SentimentPolarity@5f50926", "SentimentPolarity@c64d318"])
def test_sentiment_is_the_logistic_of_a_weighted_count_of_words(corpus: Path, name: str) -> None:
    model = load(corpus, f"cocoa-ai+SentimentCoreMLDemo/{name}")
    vectorizing, classifier = model.spec.pipelineClassifier.pipeline.models
    words = list(vectorizing.pipeline.models[0].dictVectorizer.stringToIndex.vector)
    glm = classifier.glmClassifier
    for text, label in (
        ("great great car comfortable excellent quality reliable fun", "Pos"),
        ("terrible problems broke worst transmission awful", "Neg"),
        ("xylophonesque", None),
    ):
        counts = {word: float(text.split().count(word)) for word in text.split()}
        vector = np.zeros(len(words))
        for word, count in counts.items():
            if word in words:
                vector[words.index(word)] = count
        positive = sigmoid(linear(glm, vector))
        outputs = mle.predict(model, {"input": counts})
        assert outputs["classProbability"] == pytest.approx({"Neg": 1 - positive, "Pos": positive}, rel=1e-6)
        assert outputs["classLabel"] == (label or ("Pos" if positive > 0.5 else "Neg"))


@pytest.mark.parametrize(
    "name",
    [
        "kodecocodes+mlt-materials/MultiSnacks@2208746",
        "kodecocodes+mlt-materials/MultiSnacks@af9e374",
        "kodecocodes+mlt-materials/MultiSnacks_10_iter@375d07b",
        "kodecocodes+mlt-materials/MultiSnacks_manual_val@24111e9",
        "MoonAndEye+CreateMLDemo/FruitClassifier@19751d4",
        "MoonAndEye+CreateMLDemo/KaneshiroOrNot@172dda3",
    ],
)
def test_a_classifier_behind_apples_features_is_a_softmax_with_a_reference_class(corpus: Path, name: str) -> None:
    """The second stage of pipelines whose first cannot run: the first class has the score 0, each other its weights."""
    model = mle.Model(load(corpus, name).spec.pipelineClassifier.pipeline.models[1])
    glm = model.spec.glmClassifier
    features = np.random.default_rng(4).normal(size=2048)
    weights = np.array([row.value for row in glm.weights])
    scores = np.exp([0.0, *(weights @ features + np.array(glm.offset))])
    expected = dict(zip(glm.stringClassLabels.vector, scores / scores.sum(), strict=True))
    outputs = mle.predict(model, {"sceneprint": features})
    assert outputs["classLabelProbs"] == pytest.approx(expected, rel=1e-6)
    assert outputs["classLabel"] == max(expected, key=lambda label: float(expected[label]))


def test_a_network_behind_apples_features_runs_alone(corpus: Path) -> None:
    model = mle.Model(
        load(corpus, "kodecocodes+mlt-materials/HealthySnacks@4f245aa").spec.pipelineClassifier.pipeline.models[1]
    )
    network = model.spec.neuralNetworkClassifier
    dense = network.layers[0].innerProduct
    features = any_inputs(model)["output_name"]
    shape = (dense.outputChannels, dense.inputChannels)
    scores = np.array(dense.weights.floatValue).reshape(shape) @ features.astype(np.float64)
    scores = np.exp(scores + np.array(dense.bias.floatValue))
    outputs = mle.predict(model, {"output_name": features})
    expected = dict(zip(network.stringClassLabels.vector, scores / scores.sum(), strict=True))
    assert outputs["labelProbability"] == pytest.approx(expected, rel=1e-4)
