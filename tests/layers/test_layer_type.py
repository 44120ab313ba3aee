"""What holds for every layer type: how many inputs it takes, and options that the format does not name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mlexplorer import spec
from mlexplorer.errors import ModelError
from mlexplorer.layers import EVALUATIONS, LOWERINGS
from tests.checks import run_layer
from tests.layers.arrays import uniform

FROM_NOTHING = {
    *("loadConstant", "loadConstantND", "fillStatic", "rangeStatic"),
    *(f"random{kind}Static" for kind in ("Normal", "Uniform", "Bernoulli")),
}
OF_ANY_NUMBER = {"add", "multiply", "average", "max", "min", "concat", "concatND", "stack"}
TYPES = {*LOWERINGS, *EVALUATIONS}
WRONG = [(type, 0) for type in sorted(TYPES - FROM_NOTHING)] + [(type, 8) for type in sorted(TYPES - OF_ANY_NUMBER)]


@pytest.mark.parametrize(("type", "given"), WRONG)
def test_a_wrong_number_of_inputs_is_refused(type: str, given: int) -> None:
    with pytest.raises(ModelError, match=rf"'layer' \({type}\): there are {given} inputs; there must be"):
        run_layer(type, {}, [np.ones((1, 1), np.float32)] * given)


BOXES = [uniform(1, 2, 3, 6, 8), uniform(4, 1, 4, 1, 1)]
UPDATED = [uniform(3, 4), np.zeros(2, np.float32), uniform(2, 4)]
ENUMS: dict[tuple[str, str], tuple[dict[str, Any], list[Any]]] = {
    ("pooling", "type"): ({}, [uniform(2, 3, 4, 5)]),
    ("pooling", "same.asymmetryMode"): ({}, [uniform(2, 3, 4, 5)]),
    ("pooling3d", "type"): (dict.fromkeys(("kernelDepth", "kernelHeight", "kernelWidth"), 2), [uniform(2, 3, 4, 5, 6)]),
    ("pooling3d", "paddingType"): (
        dict.fromkeys(("kernelDepth", "kernelHeight", "kernelWidth"), 2),
        [uniform(2, 3, 4, 5, 6)],
    ),
    ("globalPooling3d", "type"): ({}, [uniform(2, 3, 4, 5, 6)]),
    ("gelu", "mode"): ({}, [uniform(3)]),
    ("unary", "type"): ({}, [uniform(3)]),
    ("reduce", "mode"): ({}, [uniform(2, 3, 4)]),
    ("reduce", "axis"): ({}, [uniform(2, 3, 4)]),
    ("slice", "axis"): ({"endIndex": 1}, [uniform(2, 3, 4)]),
    ("scatter", "mode"): ({}, UPDATED),
    ("scatterND", "mode"): ({}, [UPDATED[0], np.zeros((2, 1), np.float32), UPDATED[2]]),
    ("scatterAlongAxis", "mode"): ({}, [UPDATED[0], np.zeros((2, 4), np.float32), UPDATED[2]]),
    ("flatten", "mode"): ({}, [uniform(2, 3, 4)]),
    ("reshape", "mode"): ({"targetShape": [4, 3, 2]}, [uniform(2, 3, 4)]),
    ("reorganizeData", "mode"): ({"blockSize": 2}, [uniform(4, 2, 6)]),
    ("upsample", "mode"): ({}, [uniform(2, 3, 4)]),
    ("upsample", "linearUpsampleMode"): ({"mode": 1}, [uniform(2, 3, 4)]),
    ("resizeBilinear", "mode.samplingMethod"): ({}, [uniform(2, 3, 4)]),
    ("cropResize", "mode.samplingMethod"): ({}, BOXES),
    ("cropResize", "boxIndicesMode.boxMode"): ({}, BOXES),
}


@pytest.mark.parametrize(("type", "path"), ENUMS)
def test_a_number_that_no_option_has_is_refused(type: str, path: str) -> None:
    fields, inputs = ENUMS[type, path]
    *messages, field = path.split(".")
    change: dict[str, Any] = {field: 77}
    for message in messages[::-1]:
        change = {message: change}
    run_layer(type, fields, inputs)
    with pytest.raises(ModelError, match=rf"'layer' \({type}\): {field} is 77, which is not known"):
        run_layer(type, {**fields, **change}, inputs)


def test_every_option_of_every_layer_type_is_among_them() -> None:
    def paths(message: Any, prefix: str) -> Iterator[str]:
        for field in message.fields:
            if field.enum_type is not None:
                yield prefix + field.name
            elif field.message_type is not None and field.message_type.name != "WeightParams":
                yield from paths(field.message_type, f"{prefix}{field.name}.")

    layers = spec.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields
    nested = {"branch", "loop", "convolution", "convolution3d"}  # convolutions: test_convolution.py
    found = {
        (layer.name, path) for layer in layers if layer.name not in nested for path in paths(layer.message_type, "")
    }
    assert found == set(ENUMS)


HUGE = 1 << 40
TOO_LARGE: list[tuple[str, dict[str, Any], list[tuple[int, ...]]]] = [
    ("fillStatic", {"targetShape": [2, HUGE]}, []),
    ("rangeStatic", {"endValue": 1e12, "stepSizeValue": 1.0}, []),
    *((f"random{kind}Static", {"outputShape": [HUGE, 2]}, []) for kind in ("Normal", "Uniform", "Bernoulli")),
    ("categoricalDistribution", {"numSamples": HUGE}, [(2, 3)]),
    ("oneHot", {"oneHotVectorSize": HUGE}, [(2, 3)]),
    ("broadcastToStatic", {"targetShape": [HUGE, 3]}, [(1, 3)]),
    ("upsample", {"scalingFactor": [1, HUGE]}, [(2, 3, 4)]),
    ("resizeBilinear", {"targetSize": [HUGE, 1]}, [(2, 3, 4)]),
    ("cropResize", {"targetSize": [HUGE, 1]}, [(1, 2, 3, 6, 8), (4, 1, 4, 1, 1)]),
    ("tile", {"reps": [1, HUGE]}, [(2, 3)]),
    ("sequenceRepeat", {"nRepetitions": HUGE}, [(2, 3, 4, 5, 6)]),
    ("constantPad", {"padAmounts": [0, 0, 0, HUGE]}, [(2, 3)]),
    (
        "padding",
        {"constant": {}, "paddingAmounts": {"borderAmounts": [{}, {"startEdgeSize": HUGE}]}},
        [(2, 3, 4)],
    ),
]


@pytest.mark.parametrize(("type", "fields", "shapes"), TOO_LARGE, ids=[type for type, _, _ in TOO_LARGE])
def test_a_tensor_that_no_machine_has_room_for_is_refused(
    type: str, fields: dict[str, Any], shapes: list[tuple[int, ...]]
) -> None:
    with pytest.raises(ModelError, match=rf"'layer' \({type}\): a tensor of shape .* elements; at most 2147483648"):
        run_layer(type, fields, [np.ones(shape, np.float32) for shape in shapes])
