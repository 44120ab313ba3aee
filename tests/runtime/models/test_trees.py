"""Tree ensembles against scikit-learn and a walk node by node; every behaviour, transform and way to be no tree."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError
from tests.checks import fill
from tests.runtime.models.specifications import classifier, specification

RNG = np.random.default_rng(41)
SIZE = 6
X = RNG.normal(size=(150, SIZE)) * (1, 30, 0.2, 5, 1, 2)
X[:, 4] = RNG.integers(0, 4, len(X))
HOLES = np.where(RNG.random(X.shape) < 0.2, np.nan, X)
SCORE = X[:, 0] + np.sin(X[:, 1]) + 3 * X[:, 2] * X[:, 4]
BEHAVIORS = spec.TreeEnsembleParameters.TreeNode.TreeNodeBehavior
TRANSFORMS = spec.TreeEnsemblePostEvaluationTransform
LESS_EQUAL, LEAF = BEHAVIORS.Value("BranchOnValueLessThanEqual"), BEHAVIORS.Value("LeafNode")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "BranchOnValueLessThanEqual": lambda x, v: x <= v,
    "BranchOnValueLessThan": lambda x, v: x < v,
    "BranchOnValueGreaterThanEqual": lambda x, v: x >= v,
    "BranchOnValueGreaterThan": lambda x, v: x > v,
    "BranchOnValueEqual": lambda x, v: x == v,
    "BranchOnValueNotEqual": lambda x, v: x != v,
}


def logistic(x: Any) -> Any:
    return 1 / (1 + np.exp(-np.asarray(x)))


def softmax(x: Any) -> Any:
    powers = np.exp(np.asarray(x) - np.max(x))
    return powers / powers.sum()


def classes(count: int) -> Any:
    return np.digitize(SCORE, np.quantile(SCORE, np.linspace(0, 1, count + 1)[1:-1]))


def leaf(tree: int, node: int, *amounts: float, **more: Any) -> dict[str, Any]:
    entries = [{"evaluationIndex": index, "evaluationValue": amount} for index, amount in enumerate(amounts)]
    return {"treeId": tree, "nodeId": node, "nodeBehavior": LEAF, "evaluationInfo": entries, **more}


def branch(tree: int, node: int, feature: int, value: float, true: int, false: int, **more: Any) -> dict[str, Any]:
    children = {"trueChildNodeId": true, "falseChildNodeId": false}
    return {
        "treeId": tree,
        "nodeId": node,
        "branchFeatureIndex": feature,
        "branchFeatureValue": value,
        **children,
        **more,
    }


def stump(value: float = 0.5, behavior: str = "BranchOnValueLessThanEqual", **more: Any) -> list[dict[str, Any]]:
    """A tree whose true leaf adds 1 and whose false leaf adds 2."""
    root = branch(0, 0, 0, value, 1, 2, nodeBehavior=BEHAVIORS.Value(behavior), **more)
    return [root, leaf(0, 1, 1.0), leaf(0, 2, 2.0)]


def ensemble(nodes: list[dict[str, Any]], base: list[float], transform: str = "NoTransform") -> dict[str, Any]:
    parameters = {"nodes": nodes, "numPredictionDimensions": len(base), "basePredictionValue": base}
    return {"treeEnsemble": parameters, "postEvaluationTransform": TRANSFORMS.Value(transform)}


def regressor(fields: dict[str, Any], inputs: dict[str, str], output: str = "double") -> mle.Model:
    return mle.load(specification("treeEnsembleRegressor", fields, inputs, {"y": output}, "y"))


def nodes_of(estimators: Any, amounts: Callable[[int, Any], dict[int, float]]) -> list[dict[str, Any]]:
    """The nodes of fitted trees; `amounts` says from a tree's number and a leaf's values what it adds where."""
    nodes = []
    for number, estimator in enumerate(estimators):
        tree = estimator.tree_
        for i in range(tree.node_count):
            if tree.children_left[i] >= 0:
                left, right = int(tree.children_left[i]), int(tree.children_right[i])
                missing = bool(tree.missing_go_to_left[i])
                nodes.append(
                    branch(
                        number,
                        i,
                        int(tree.feature[i]),
                        float(tree.threshold[i]),
                        left,
                        right,
                        missingValueTracksTrueChild=missing,
                    )
                )
            else:
                entries = amounts(number, tree.value[i, 0]).items()
                info = [{"evaluationIndex": int(k), "evaluationValue": float(v)} for k, v in entries]
                nodes.append({**leaf(number, i), "evaluationInfo": info})
    return nodes


def shuffled(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [nodes[i] for i in RNG.permutation(len(nodes))]


REGRESSORS = {
    "tree": lambda: DecisionTreeRegressor(random_state=1),
    "forest": lambda: RandomForestRegressor(12, random_state=1),
    "boosted": lambda: GradientBoostingRegressor(n_estimators=20, learning_rate=0.3, random_state=1),
}


@pytest.mark.parametrize(("name", "holes"), [("tree", False), ("tree", True), ("forest", True), ("boosted", False)])
def test_regressors_of_scikit_learn(name: str, holes: bool) -> None:
    x = (HOLES if holes else X).astype(np.float32)
    estimator = REGRESSORS[name]().fit(x, SCORE)
    trees = np.ravel(getattr(estimator, "estimators_", [estimator]))
    factor = getattr(estimator, "learning_rate", 1 / len(trees))
    nodes = shuffled(nodes_of(trees, lambda _, value: {0: factor * value[0]}))
    base = [float(SCORE.mean()) if name == "boosted" else 0.0]
    model = regressor(ensemble(nodes, base), {"x": f"singles {SIZE}"})
    results = [row["y"] for row in mle.predict(model, [{"x": row} for row in x])]
    np.testing.assert_allclose(results, estimator.predict(x), rtol=1e-12)


CLASSIFIERS = {
    "tree": lambda: DecisionTreeClassifier(max_depth=4, random_state=1),
    "forest": lambda: RandomForestClassifier(15, max_depth=5, random_state=1),
    "extra": lambda: ExtraTreesClassifier(7, max_depth=5, random_state=1),
}


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_of_scikit_learn(name: str, count: int) -> None:
    labels = [f"class {i}" for i in range(count)]
    x = (X if name == "extra" else HOLES).astype(np.float32)
    estimator = CLASSIFIERS[name]().fit(x, classes(count))
    trees = getattr(estimator, "estimators_", [estimator])

    def amounts(_: int, value: Any) -> dict[int, float]:
        shares = value / value.sum() / len(trees)
        return {0: shares[1]} if count == 2 else {k: v for k, v in enumerate(shares) if v} or {0: 0.0}

    nodes = shuffled(nodes_of(trees, amounts))
    fields = ensemble(nodes, [0.0] * (1 if count == 2 else count))
    model = classifier("treeEnsembleClassifier", fields, labels, {"x": f"singles {SIZE}"})
    results = mle.predict(model, [{"x": row} for row in x])
    chances = estimator.predict_proba(x)
    np.testing.assert_allclose([list(row["chances"].values()) for row in results], chances, atol=1e-12)
    clear = np.diff(np.sort(chances, axis=1)[:, -2:], axis=1)[:, 0] > 1e-9
    assert clear.sum() > 100
    assert [row["label"] for row, sure in zip(results, clear, strict=True) if sure] == [
        labels[k] for k in estimator.predict(x)[clear]
    ]


@pytest.mark.parametrize("count", [2, 3])
def test_boosted_classifiers_of_scikit_learn(count: int) -> None:
    x = X.astype(np.float32)
    estimator = GradientBoostingClassifier(n_estimators=8, learning_rate=0.4, random_state=1).fit(x, classes(count))
    nodes = shuffled(nodes_of(estimator.estimators_.ravel(), lambda t, value: {t % count: 0.4 * value[0]}))
    if count == 2:
        nodes = nodes_of(estimator.estimators_.ravel(), lambda _, value: {0: 0.4 * value[0]})
    prior = np.bincount(classes(count)) / len(x)
    base = [math.log(prior[1] / prior[0])] if count == 2 else np.log(prior).tolist()
    fields = ensemble(nodes, base, "Regression_Logistic" if count == 2 else "Classification_SoftMax")
    model = classifier("treeEnsembleClassifier", fields, [7, 5, 6][:count], {f"x{i}": "double" for i in range(SIZE)})
    results = mle.predict(model, [{f"x{i}": float(v) for i, v in enumerate(row)} for row in x])
    np.testing.assert_allclose(
        [list(row["chances"].values()) for row in results], estimator.predict_proba(x), atol=1e-9
    )
    assert [row["label"] for row in results] == [[7, 5, 6][k] for k in estimator.predict(x)]


def random_tree(number: int, depth: int, dimensions: int) -> list[dict[str, Any]]:
    """A tree with every behaviour, thresholds that inputs hit, leaves that add to some dimensions, scattered ids."""
    names = iter(RNG.choice(2**40, 2 ** (depth + 2), replace=False).tolist())
    nodes: list[dict[str, Any]] = []

    def grow(name: int, left: int) -> None:
        if left == 0 or (left < depth - 2 and RNG.random() < 0.2):
            chosen = RNG.permutation(dimensions)[: RNG.integers(1, dimensions + 1)]
            info = [{"evaluationIndex": int(k), "evaluationValue": float(RNG.normal())} for k in chosen]
            nodes.append({**leaf(number, name), "evaluationInfo": info})
            return
        true, false = next(names), next(names)
        feature, value = int(RNG.integers(SIZE)), float(RNG.integers(-2, 3))
        options = {"nodeBehavior": int(RNG.integers(6)), "missingValueTracksTrueChild": bool(RNG.integers(2))}
        nodes.append(branch(number, name, feature, value, true, false, **options))
        grow(true, left - 1)
        grow(false, left - 1)

    grow(next(names), depth)
    return nodes


def walk(nodes: list[dict[str, Any]], base: list[float], x: Any) -> Any:
    """The sums, found node by node."""
    table = {(node["treeId"], node["nodeId"]): node for node in nodes}
    children = {(n["treeId"], n[c]) for n in nodes for c in ("trueChildNodeId", "falseChildNodeId") if c in n}
    sums = np.array(base)
    for root in (key for key in table if key not in children):
        node = table[root]
        while node["nodeBehavior"] != LEAF:
            given, value = x[node["branchFeatureIndex"]], node["branchFeatureValue"]
            holds = COMPARISONS[BEHAVIORS.Name(node["nodeBehavior"])](given, value)
            if math.isnan(given):
                holds = node["missingValueTracksTrueChild"]
            node = table[node["treeId"], node["trueChildNodeId" if holds else "falseChildNodeId"]]
        for entry in node["evaluationInfo"]:
            sums[entry["evaluationIndex"]] += entry["evaluationValue"]
    return sums


def test_any_trees_are_walked_as_node_by_node() -> None:
    numbers = [2**63 + 5, 3, 77, 1, 40_000]
    nodes = shuffled([node for number in numbers for node in random_tree(number, 9, 4)])
    nodes += [leaf(9, 0, 1.0, 2.0)]
    base = [0.5, -1.0, 0.0, 2.0]
    model = regressor(ensemble(nodes, base), {"a": "array 2 1", "b": "double", "c": "int64", "d": "array 2"}, "array 4")
    rows = RNG.integers(-3, 4, (60, SIZE)).astype(float)
    rows[:, [0, 2, 5]] = np.where(RNG.random((60, 3)) < 0.2, np.nan, rows[:, [0, 2, 5]])
    inputs = [{"a": r[:2].reshape(2, 1), "b": r[2], "c": int(r[3]), "d": r[4:]} for r in rows]
    results = np.array([result["y"] for result in mle.predict(model, inputs)])
    np.testing.assert_allclose(results, [walk(nodes, base, row) for row in rows], rtol=1e-13)
    assert len(np.unique(results[:, 0])) > 30


def test_a_long_chain_of_branches() -> None:
    nodes = [branch(0, i, 0, float(i), 10_000 + i, i + 1) for i in range(2000)] + [leaf(0, 2000, -1.0)]
    nodes += [leaf(0, 10_000 + i, float(i)) for i in range(2000)]
    model = regressor(ensemble(nodes, [0.0]), {"x": "double"})
    assert [mle.predict(model, {"x": x})["y"] for x in (-5, 0.5, 1998.5, 1999.5)] == [0, 1, 1999, -1]


@pytest.mark.parametrize("behavior", [name for name in BEHAVIORS.keys() if name != "LeafNode"])  # noqa: SIM118
@pytest.mark.parametrize("missing", [False, True])
def test_every_behaviour(behavior: str, missing: bool) -> None:
    model = regressor(ensemble(stump(2.5, behavior, missingValueTracksTrueChild=missing), [0.0]), {"x": "double"})
    for x in (2.25, 2.5, 2.75, -math.inf, math.inf):
        assert mle.predict(model, {"x": x})["y"] == (1 if COMPARISONS[behavior](x, 2.5) else 2)
    assert mle.predict(model, {"x": math.nan})["y"] == (1 if missing else 2)


def test_features_are_compared_as_singles_where_all_values_are_singles() -> None:
    single = float(np.float32(0.1))
    assert single > 0.1
    tree = stump(single, "BranchOnValueLessThan")
    assert mle.predict(regressor(ensemble(tree, [0.0]), {"x": "double"}), {"x": 0.1})["y"] == 2
    other = [branch(1, 0, 0, 0.7, 1, 2), leaf(1, 1, 0.0), leaf(1, 2, 0.0)]
    assert mle.predict(regressor(ensemble(tree + other, [0.0]), {"x": "double"}), {"x": 0.1})["y"] == 1
    assert mle.predict(regressor(ensemble(tree, [0.0]), {"x": "double"}), {"x": 1e300})["y"] == 2


def test_optional_inputs_that_are_absent_are_missing_values() -> None:
    nodes = [*stump(missingValueTracksTrueChild=True), branch(1, 0, 2, 0.5, 1, 2), leaf(1, 1, 10.0), leaf(1, 2, 20.0)]
    model = regressor(ensemble(nodes, [0.0]), {"a": "double?", "b": "double", "c": "double?"})
    assert mle.predict(model, {"b": 9.0})["y"] == 21
    assert mle.predict(model, {"a": 9.0, "b": 9.0, "c": 0.0})["y"] == 12
    with_array = regressor(ensemble(nodes, [0.0]), {"a": "array 2?", "c": "double"})
    assert mle.predict(with_array, {"c": 0.0})["y"] == 11
    with_array.spec.description.input[0].type.multiArrayType.doubleDefaultValue = 9.0
    assert mle.predict(with_array, {"c": 0.0})["y"] == 12


@pytest.mark.parametrize("score", [-800.0, -0.75, 0.0, 2.0, 800.0])
@pytest.mark.parametrize("transform", ["Regression_Logistic", "Classification_SoftMaxWithZeroClassReference"])
def test_one_dimension_gives_two_classes_by_a_logistic_function(transform: str, score: float) -> None:
    fields = ensemble([leaf(0, 0, score - 0.25)], [0.25], transform)
    result = mle.predict(classifier("treeEnsembleClassifier", fields, ["no", "yes"], {"x": "double"}), {"x": 0.0})
    chance = float(np.exp(-np.logaddexp(0, -score)))
    np.testing.assert_allclose(list(result["chances"].values()), [1 - chance, chance], rtol=1e-12, atol=1e-300)
    assert result["label"] == ("yes" if score > 0 else "no")


@pytest.mark.parametrize(("share", "label"), [(0.5 - 1e-7, 0), (0.5, 0), (0.5 + 1e-7, 1), (0.9, 1)])
def test_shares_without_a_transform_and_without_labels(share: float, label: int) -> None:
    fields = ensemble([leaf(0, 0, share)], [0.0])
    result = mle.predict(classifier("treeEnsembleClassifier", fields, None, {"x": "double"}), {"x": 0.0})
    assert result == {"label": label, "chances": {0: 1 - share, 1: share}}


@pytest.mark.parametrize(
    ("transform", "function"),
    [
        ("NoTransform", np.asarray),
        ("Classification_SoftMax", softmax),
        ("Regression_Logistic", logistic),
        ("Classification_SoftMaxWithZeroClassReference", lambda x: softmax([0, *x[1:]])),
    ],
)
def test_every_transform_of_several_dimensions(transform: str, function: Any) -> None:
    scores = [0.0, 2.5, -1.0, 2.5]
    fields = ensemble([leaf(0, 0, *scores)], [0.0] * 4, transform)
    result = mle.predict(classifier("treeEnsembleClassifier", fields, None, {"x": "double"}), {"x": 0.0})
    np.testing.assert_allclose(list(result["chances"].values()), function(scores), rtol=1e-12)
    assert result["label"] == 1  # the first of those that tie
    if transform != "Classification_SoftMaxWithZeroClassReference":
        y = mle.predict(regressor(fields, {"x": "double"}, "array 4"), {"x": 0.0})["y"]
        np.testing.assert_allclose(y, function(scores), rtol=1e-12)


GOOD = stump()


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([], "no nodes"),
        ([*GOOD, leaf(0, 2, 3.0)], r"tree 0, node 2 is there twice"),
        (GOOD[:2], r"tree 0, node 0: its false child, node 2, is not in the tree"),
        (GOOD[::2], r"tree 0, node 0: its true child, node 1, is not in the tree"),
        ([*GOOD[:2], leaf(5, 2, 1.0)], r"tree 0, node 0: its false child, node 2, is not in the tree"),
        ([*GOOD, leaf(0, 3, 1.0)], r"tree 0 has several nodes without a parent: 0, 3"),
        ([branch(0, 0, 0, 0.5, 1, 1), leaf(0, 1, 1.0)], r"tree 0, node 1 is the child of two nodes"),
        ([branch(4, 0, 0, 0.5, 1, 0), leaf(4, 1, 1.0)], r"tree 4, node 0: the tree has no root"),
        (
            [*GOOD, branch(0, 6, 0, 0.5, 7, 8), leaf(0, 7, 1.0), branch(0, 8, 0, 0.5, 9, 6), leaf(0, 9, 1.0)],
            r"tree 0, node 6 cannot be reached",
        ),
        ([branch(0, 0, 3, 0.5, 1, 2), *GOOD[1:]], r"node 0: branchFeatureIndex is 3, but the inputs have 3 values"),
        ([branch(0, 0, 2**64 - 1, 0.5, 1, 2), *GOOD[1:]], r"branchFeatureIndex is 18446744073709551615"),
        ([branch(0, 0, 0, math.nan, 1, 2), *GOOD[1:]], r"node 0: branchFeatureValue is not a number"),
        ([branch(0, 0, 0, 0.5, 1, 2, nodeBehavior=7), *GOOD[1:]], r"node 0: nodeBehavior 7 is none"),
        ([*GOOD[:2], leaf(0, 2)], r"tree 0, node 2: the leaf has no evaluationInfo"),
        ([*GOOD[:2], leaf(0, 2, 1.0, 2.0)], r"node 2: evaluationIndex is 1, but numPredictionDimensions is 1"),
        (
            [*GOOD[:2], leaf(0, 2) | {"evaluationInfo": [{"evaluationValue": 1.0}, {"evaluationValue": 2.0}]}],
            r"node 2: evaluationIndex 0 is there twice",
        ),
    ],
)
def test_what_is_no_tree_is_refused_by_name(nodes: list[dict[str, Any]], text: str) -> None:
    model = regressor(ensemble(nodes, [0.0]), {"a": "double", "b": "array 2"})
    with pytest.raises(ModelError, match=text):
        mle.predict(model, {"a": 0.0, "b": [0.0, 0.0]})


@pytest.mark.parametrize(
    ("changes", "labels", "text"),
    [
        ({"treeEnsemble": {"numPredictionDimensions": 0}}, None, "numPredictionDimensions is 0"),
        ({"treeEnsemble": {"numPredictionDimensions": 2**60}}, None, "numPredictionDimensions is 1152921504606846976"),
        ({"treeEnsemble": {"numPredictionDimensions": 2}}, None, "basePredictionValue has 1 values, but .* is 2"),
        ({}, ["a"], "there are 1 class labels, but numPredictionDimensions is 1"),
        ({}, ["a", "b", "c"], "there are 3 class labels, but numPredictionDimensions is 1"),
        ({"postEvaluationTransform": 4}, None, "postEvaluationTransform 4 is none"),
        ({"postEvaluationTransform": 1}, None, "Classification_SoftMax of one dimension is always 1"),
    ],
)
def test_contradictions_of_classifiers_are_refused(changes: dict[str, Any], labels: Any, text: str) -> None:
    model = classifier("treeEnsembleClassifier", ensemble(stump(), [0.0]), labels, {"x": "double"})
    fill(model.spec.treeEnsembleClassifier, changes)
    with pytest.raises(ModelError, match=text):
        mle.predict(model, {"x": 0.0})


@pytest.mark.parametrize(("base", "amount"), [(0.5, 0.0), (0.0, 0.5)])
def test_a_reference_class_with_a_score_of_its_own_is_refused(base: float, amount: float) -> None:
    fields = ensemble([leaf(0, 0, amount, 1.0)], [base, 0.0], "Classification_SoftMaxWithZeroClassReference")
    with pytest.raises(ModelError, match="gives the first class the score 0, but"):
        mle.predict(classifier("treeEnsembleClassifier", fields, None, {"x": "double"}), {"x": 0.0})


def test_what_does_not_fit_a_regressor_is_refused() -> None:
    two = ensemble([leaf(0, 0, 1.0, 2.0)], [0.0, 0.0])
    with pytest.raises(ModelError, match="numPredictionDimensions is 2, but the output 'y' is declared as one number"):
        mle.predict(regressor(two, {"x": "double"}), {"x": 0.0})
    zero = ensemble(stump(), [0.0], "Classification_SoftMaxWithZeroClassReference")
    with pytest.raises(ModelError, match="needs a classifier"):
        mle.predict(regressor(zero, {"x": "double"}), {"x": 0.0})
    with pytest.raises(ModelError, match="takes numbers and arrays, but its input 'x' is a string"):
        mle.predict(regressor(ensemble(stump(), [0.0]), {"x": "string"}), {"x": "a"})
    far = ensemble([branch(0, 0, 3, 0.5, 1, 2), *stump()[1:]], [0.0])
    with pytest.raises(InputError, match="the inputs have 3 values, but the trees look at 4 features"):
        mle.predict(regressor(far, {"x": "open"}), {"x": np.zeros(3)})
    assert mle.predict(regressor(far, {"x": "open"}), {"x": np.ones(5)})["y"] == 2


def test_changed_trees_give_changed_answers() -> None:
    model = regressor(ensemble(stump(), [0.0]), {"x": "double"})
    parameters = model.spec.treeEnsembleRegressor.treeEnsemble
    assert mle.predict(model, {"x": 0.0})["y"] == 1
    parameters.nodes[1].evaluationInfo[0].evaluationValue = 7.0
    assert mle.predict(model, {"x": 0.0})["y"] == 7
    parameters.basePredictionValue[0] = 0.5
    assert mle.predict(model, {"x": 0.0})["y"] == 7.5
