"""Class thresholds: every class is taken, as the format says; curves that do not fit are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import InputError, ModelError


def thresholds(curves: int = 0, size: int | None = None, dtype: int = 65600) -> Any:
    model = spec.Model(specificationVersion=7)
    model.classConfidenceThresholding.SetInParent()
    for _ in range(curves):
        model.classConfidenceThresholding.precisionRecallCurves.add().recallValues.vector.append(0.5)
    for features, name in ((model.description.input, "confidences"), (model.description.output, "filtered")):
        features.add(name=name).type.multiArrayType.dataType = dtype
    if size is not None:
        model.description.input[0].type.multiArrayType.shape.append(size)
    return model


@pytest.mark.parametrize(("dtype", "numpy"), [(65552, np.float16), (65568, np.float32), (65600, np.float64)])
@pytest.mark.parametrize("curves", [0, 3])
def test_all_classes_are_taken(dtype: int, numpy: Any, curves: int) -> None:
    confidences = np.array([0.25, 0.0, 1.0])
    result = mle.predict(mle.load(thresholds(curves, 3, dtype)), confidences)["filtered"]
    assert result.dtype == numpy
    np.testing.assert_array_equal(result, [confidences, [1, 1, 1]])


def test_what_does_not_fit() -> None:
    with pytest.raises(ModelError, match="precisionRecallCurves has 2 curves, but 'confidences' has 3 classes"):
        mle.Predictor(mle.load(thresholds(2, 3)))
    with pytest.raises(InputError, match=r"has the shape \[4\]; it must be \[2\]"):
        mle.predict(mle.load(thresholds(2)), np.zeros(4))
    with pytest.raises(InputError, match=r"has the shape \[2, 2\]; it must be \[classes\]"):
        mle.predict(mle.load(thresholds()), np.zeros((2, 2)))
    model = thresholds()
    model.description.input[0].type.doubleType.SetInParent()
    with pytest.raises(ModelError, match="takes and gives arrays, but has confidences: double"):
        mle.Predictor(mle.load(model))
