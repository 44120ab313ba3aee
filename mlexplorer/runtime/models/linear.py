"""Generalised linear models: a matrix, an offset and a link function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Model
from mlexplorer.runtime.features import class_labels, classification, input_size, input_vector, single_output
from mlexplorer.runtime.model_type import Values, evaluates
from mlexplorer.runtime.models.link_functions import Floats, log_logistic, logistic, normal_distribution, softmax

_REGRESSOR_TRANSFORMS: dict[int, Callable[[Floats], Floats]] = {
    0: lambda scores: scores,
    1: logistic,
    2: normal_distribution,
}
_LOGIT, _PROBIT = 0, 1
_REFERENCE_CLASS, _ONE_VS_REST = 0, 1


@evaluates("glmRegressor")
def glm_regressor(model: Model) -> Callable[[Values], Values]:
    """The transformed weights @ x + offset, as a number or an array (GLMRegressor)."""
    message = model.spec.glmRegressor
    scores = _scores(message, model)
    transform = _REGRESSOR_TRANSFORMS.get(message.postEvaluationTransform)
    if transform is None:
        raise ModelError(f"postEvaluationTransform {message.postEvaluationTransform} is none that the format knows")
    output = model.spec.description.predictedFeatureName or single_output(model)
    rows = len(message.weights)
    if rows > 1 and any(feature.name == output and feature.type != "multiArray" for feature in model.outputs):
        raise ModelError(f"weights has {rows} rows, but the output {output!r} is declared as one number")

    def evaluate(values: Values) -> Values:
        return {output: transform(scores(values))}

    return evaluate


@evaluates("glmClassifier")
def glm_classifier(model: Model) -> Callable[[Values], Values]:
    """Probabilities of classes from the scores weights @ x + offset (GLMClassifier).

    With two classes there is one row of weights, and the logistic (Logit) or normal (Probit) distribution function of
    its score is the probability of the second class. With more classes and OneVsRest, each class has a row, and the
    logistic functions of the scores are divided by their sum, as scikit-learn does; with ReferenceClass the first class
    has the score zero and no row, and the probabilities are the softmax. The answer is the first class with the largest
    score. The labels are 0, 1, ... where none are stated.
    """
    message = model.spec.glmClassifier
    scores = _scores(message, model)
    transform, encoding, rows = message.postEvaluationTransform, message.classEncoding, len(message.weights)
    if transform not in (_LOGIT, _PROBIT):
        raise ModelError(f"postEvaluationTransform {transform} is none that the format knows")
    if encoding not in (_REFERENCE_CLASS, _ONE_VS_REST):
        raise ModelError(f"classEncoding {encoding} is none that the format knows")
    labels: Any = class_labels(message)
    labels = labels or list(range(rows + 1 if encoding == _REFERENCE_CLASS or rows == 1 else rows))
    classes = len(labels)
    if classes < 2:
        raise ModelError(f"there is {classes} class label, but there must be two or more")
    needed = classes - 1 if encoding == _REFERENCE_CLASS or classes == 2 else classes
    if rows != needed:
        name = ("ReferenceClass", "OneVsRest")[encoding]
        raise ModelError(f"weights has {rows} rows, but {classes} classes with {name} need {needed}")
    if classes > 2 and transform == _PROBIT:
        raise ModelError(f"postEvaluationTransform Probit is for two classes, but there are {classes}")
    distribution = logistic if transform == _LOGIT else normal_distribution

    def evaluate_two(values: Values) -> Values:
        score = scores(values)
        probabilities = np.concatenate([distribution(-score), distribution(score)])
        return classification(model, labels, probabilities, labels[int(score[0] > 0)])

    def evaluate(values: Values) -> Values:
        score = scores(values)
        if encoding == _REFERENCE_CLASS:
            score = np.concatenate([[0.0], score])
            return classification(model, labels, softmax(score), labels[int(np.argmax(score))])
        return classification(model, labels, softmax(log_logistic(score)), labels[int(np.argmax(score))])

    return evaluate_two if classes == 2 else evaluate


def _scores(message: Any, model: Model) -> Callable[[Values], Floats]:
    """The function from input values to weights @ x + offset [rows]."""
    if not message.weights:
        raise ModelError("weights has no rows")
    width = len(message.weights[0].value)
    for index, row in enumerate(message.weights):
        if len(row.value) != width:
            raise ModelError(f"weights[{index}] has {len(row.value)} values, but weights[0] has {width}")
    if len(message.offset) != len(message.weights):
        raise ModelError(f"offset has {len(message.offset)} values, but weights has {len(message.weights)} rows")
    if input_size(model) not in (None, width):
        raise ModelError(f"a row of weights has {width} values, but the inputs have {input_size(model)}")
    weights = np.array([row.value for row in message.weights], np.float64)
    offset = np.array(message.offset, np.float64)
    for name, numbers in (("weights", weights), ("offset", offset)):
        if not np.isfinite(numbers).all():
            raise ModelError(f"{name} has values that are not finite")

    def scores(values: Values) -> Floats:
        vector = input_vector(model, values)
        if vector.size != width:
            raise InputError(f"the inputs have {vector.size} values, but a row of weights has {width}")
        with np.errstate(over="ignore", invalid="ignore"):
            result = weights @ vector + offset
        if np.isnan(result).any():
            odd = [f"value {index} of them is {vector[index]}" for index in np.flatnonzero(~np.isfinite(vector))[:1]]
            raise InputError(f"these inputs give no number; {odd[0] if odd else 'they are too large'}")
        return np.asarray(result)

    return scores
