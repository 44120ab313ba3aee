"""Classes told apart by thresholds of their confidence."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlexplorer.errors import InputError, ModelError
from mlexplorer.model import Model
from mlexplorer.runtime.features import single_input, single_output
from mlexplorer.runtime.model_type import Values, evaluates


@evaluates("classConfidenceThresholding")
def class_confidence_thresholding(model: Model) -> Callable[[Values], Values]:
    """The confidences [classes] with 1 for every class below them, [2, classes] (ClassConfidenceThresholding).

    The format says that all classes are taken; its precision and recall curves are for the app to choose thresholds
    from and change nothing.
    """
    name, output = single_input(model), single_output(model)
    if model.inputs[0].type != "multiArray" or model.outputs[0].type != "multiArray":
        raise ModelError(f"a {model.kind} takes and gives arrays, but has {model.inputs[0]} and {model.outputs[0]}")
    curves = len(model.spec.classConfidenceThresholding.precisionRecallCurves)
    shape = model.inputs[0].shape
    if curves and shape and shape[-1] != curves:
        raise ModelError(f"precisionRecallCurves has {curves} curves, but {name!r} has {shape[-1]} classes")

    def evaluate(values: Values) -> Values:
        confidences = np.asarray(values[name])
        if confidences.ndim != 1 or curves not in (0, confidences.size):
            wanted = f"[{curves or 'classes'}]"
            raise InputError(f"input {name!r} has the shape {list(confidences.shape)}; it must be {wanted}")
        return {output: np.stack([confidences, np.ones_like(confidences)])}

    return evaluate
