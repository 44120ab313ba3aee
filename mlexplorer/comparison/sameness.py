"""Whether two models are one network in different weights."""

from __future__ import annotations

from mlexplorer.errors import UnsupportedError
from mlexplorer.model import Model
from mlexplorer.quantization.selection import quantizable, scopes_above
from mlexplorer.spec.weight_params import describe

_VALUES = ("floatValue", "float16Value", "rawValue", "int8RawValue", "quantization")


def same_but_for_weights(model: Model, other: Model) -> bool:
    """Whether two models differ in nothing that a prediction depends on but the values of quantizable weights.

    These may then share one lowered graph (`Predictor.rebind`). Both specifications are compared as bytes, without the
    values of those weights, specification versions and metadata. Weights of other layers, of custom ones say, must be
    the same. False for models without a neural network.
    """
    try:
        return _frame(model) == _frame(other)
    except UnsupportedError:
        return False


def _frame(model: Model) -> tuple[list[tuple[str, bool]], bytes]:
    copy = model.copy()
    filled = []
    for node, weight in list(quantizable(copy)):
        filled.append((weight.key, describe(weight.params)[0] == "empty"))
        for field in _VALUES:
            weight.params.ClearField(field)
        for spec in scopes_above(copy.spec, node.scope):
            spec.ClearField("specificationVersion")
    copy.spec.description.ClearField("metadata")
    return filled, copy.spec.SerializeToString(deterministic=True)
