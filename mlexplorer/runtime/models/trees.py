"""Random forests and boosted trees."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Model
from mlexplorer.runtime.features import class_labels, classification, input_size, single_output
from mlexplorer.runtime.model_type import Values, evaluates
from mlexplorer.runtime.models.forest import Floats, Forest, read_forest
from mlexplorer.runtime.models.link_functions import logistic, softmax

_NONE, _SOFTMAX, _LOGISTIC, _SOFTMAX_ZERO = range(4)
_TRANSFORMS: dict[int, Callable[[Floats], Floats]] = {
    _NONE: lambda sums: sums,
    _SOFTMAX: softmax,
    _LOGISTIC: logistic,
    _SOFTMAX_ZERO: softmax,
}


@evaluates("treeEnsembleClassifier")
def tree_ensemble_classifier(model: Model) -> Callable[[Values], Values]:
    """The transformed sums of what the trees' leaves add, one per class (TreeEnsembleClassifier).

    With one dimension there are two classes, and the transformed sum is the probability of the second one, which is
    the answer above 0.5; with more, the first of those with the largest value is. The labels are 0, 1, ... where none
    are stated. Classification_SoftMaxWithZeroClassReference is a softmax with a first class whose score is zero.
    """
    message = model.spec.treeEnsembleClassifier
    parameters, kind = message.treeEnsemble, message.postEvaluationTransform
    dimensions = parameters.numPredictionDimensions
    labels: Any = class_labels(message)
    if labels and len(labels) != max(dimensions, 2):
        raise ModelError(f"there are {len(labels)} class labels, but numPredictionDimensions is {dimensions}")
    forest = read_forest(parameters, input_size(model))
    labels = labels or list(range(max(dimensions, 2)))
    transform = _transform(kind, forest)
    read = _reader(model, forest)

    def evaluate(values: Values) -> Values:
        return classification(model, labels, transform(forest.sums(read(values))))

    def evaluate_two(values: Values) -> Values:
        (second,) = transform(forest.sums(read(values))).tolist()
        return classification(model, labels, [1.0 - second, second], labels[int(second > 0.5)])

    return evaluate_two if dimensions == 1 else evaluate


@evaluates("treeEnsembleRegressor")
def tree_ensemble_regressor(model: Model) -> Callable[[Values], Values]:
    """The transformed sums of what the trees' leaves add, as a number or an array (TreeEnsembleRegressor)."""
    message = model.spec.treeEnsembleRegressor
    forest = read_forest(message.treeEnsemble, input_size(model))
    output = model.spec.description.predictedFeatureName or single_output(model)
    if forest.base.size > 1 and any(
        feature.name == output and feature.type != "multiArray" for feature in model.outputs
    ):
        raise ModelError(
            f"numPredictionDimensions is {forest.base.size}, but the output {output!r} is declared as one number"
        )
    if message.postEvaluationTransform == _SOFTMAX_ZERO:
        raise ModelError("postEvaluationTransform Classification_SoftMaxWithZeroClassReference needs a classifier")
    transform = _transform(message.postEvaluationTransform, forest)
    read = _reader(model, forest)

    def evaluate(values: Values) -> Values:
        return {output: transform(forest.sums(read(values)))}

    return evaluate


def _transform(kind: int, forest: Forest) -> Callable[[Floats], Floats]:
    if kind not in _TRANSFORMS:
        raise ModelError(f"postEvaluationTransform {kind} is none that the format knows")
    single = forest.base.size == 1
    if kind == _SOFTMAX and single:
        raise ModelError("postEvaluationTransform Classification_SoftMax of one dimension is always 1")
    if kind == _SOFTMAX_ZERO and single:
        return logistic  # softmax of 0 and the sum
    if kind == _SOFTMAX_ZERO and (forest.base[0] or forest.amounts[forest.dimensions == 0].any()):
        raise ModelError(
            "postEvaluationTransform Classification_SoftMaxWithZeroClassReference gives the first class the score 0, "
            "but basePredictionValue or evaluationInfo gives it another one"
        )
    return _TRANSFORMS[kind]


def _reader(model: Model, forest: Forest) -> Callable[[Values], Floats]:
    """What reads the inputs into one vector; of an optional one that is absent, each value is its default or NaN."""
    absent = {
        feature.name: np.full(math.prod(feature.shape or ()), math.nan if feature.default is None else feature.default)
        for feature in model.inputs
    }
    if all(feature.type != "multiArray" for feature in model.inputs):
        return lambda values: np.array([values.get(name, math.nan) for name in absent], np.float64)

    def read(values: Values) -> Floats:
        parts = [np.asarray(values.get(name, value), np.float64).reshape(-1) for name, value in absent.items()]
        vector = np.concatenate(parts)
        if vector.size < forest.size:
            raise InputError(f"the inputs have {vector.size} values, but the trees look at {forest.size} features")
        return vector

    return read
