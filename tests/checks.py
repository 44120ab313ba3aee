"""Checks that many tests share: one layer in one network, run by the runtime, against values from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.spec.weight_params import write_floats

Array = NDArray[Any]


def one_layer_model(
    type: str,
    parameters: Mapping[str, Any] | Callable[[Any], None],
    input_shapes: Sequence[Sequence[int]],
    *,
    outputs: int = 1,
    weights: Mapping[str, Array] | None = None,
    exact: bool = True,
) -> mle.Model:
    """A network of one layer, its inputs named x0, x1, ... and its outputs y0, y1, ...

    `parameters` are fields of the layer's message (lists extend repeated fields, dicts fill messages), or a function
    that fills the message; `weights` maps field paths to arrays, written as floats.
    """
    model = spec.Model(specificationVersion=4)
    network = model.neuralNetwork
    network.arrayInputShapeMapping = int(exact)
    layer = network.layers.add(name="layer")
    params = getattr(layer, type)
    params.SetInParent()
    if callable(parameters):
        parameters(params)
    else:
        fill(params, parameters)
    for path, array in (weights or {}).items():
        write_floats(_at(params, path), np.asarray(array, np.float32).reshape(-1))
    for index, shape in enumerate(input_shapes):
        feature = model.description.input.add(name=f"x{index}")
        feature.type.multiArrayType.dataType = 65568
        feature.type.multiArrayType.shape.extend(shape)
        layer.input.append(feature.name)
    for index in range(outputs):
        feature = model.description.output.add(name=f"y{index}")
        feature.type.multiArrayType.dataType = 65568
        layer.output.append(feature.name)
    return mle.load(model)


def run_layer(
    type: str,
    parameters: Mapping[str, Any] | Callable[[Any], None],
    inputs: Sequence[Array],
    *,
    outputs: int = 1,
    weights: Mapping[str, Array] | None = None,
    exact: bool = True,
) -> list[Array]:
    """What the runtime gives for one layer: arrays of the network's own ranks."""
    model = one_layer_model(
        type, parameters, [array.shape for array in inputs], outputs=outputs, weights=weights, exact=exact
    )
    names = [f"y{index}" for index in range(outputs)]
    result = mle.predict(model, {f"x{index}": array for index, array in enumerate(inputs)}, outputs=names)
    return [result[name] for name in names]


def check_layer(
    type: str,
    parameters: Mapping[str, Any] | Callable[[Any], None],
    inputs: Sequence[Array],
    expected: Array | Sequence[Array],
    *,
    weights: Mapping[str, Array] | None = None,
    exact: bool = True,
    tolerance: float = 1e-4,
) -> None:
    """Assert that the runtime's outputs have the expected shapes and values (relative and absolute tolerance)."""
    wanted = [expected] if isinstance(expected, np.ndarray) else list(expected)
    given = run_layer(type, parameters, inputs, outputs=len(wanted), weights=weights, exact=exact)
    for a, b in zip(given, wanted, strict=True):
        assert a.shape == b.shape, f"{type}: shape {a.shape}, expected {b.shape}"
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def fill(message: Any, values: Mapping[str, Any]) -> None:
    """Set a message's fields from plain values."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            getattr(message, name).SetInParent()
            fill(getattr(message, name), value)
        elif isinstance(value, list | tuple):
            field = getattr(message, name)
            if value and isinstance(value[0], Mapping):
                for item in value:
                    fill(field.add(), item)
            else:
                field.extend(value)
        else:
            setattr(message, name, value)


def _at(message: Any, path: str) -> Any:
    for part in path.split("."):
        name, _, index = part.partition("[")
        message = getattr(message, name)
        if index:
            position = int(index.rstrip("]"))
            while len(message) <= position:
                message.add()
            message = message[position]
    return message
