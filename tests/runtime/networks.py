"""Small networks that the runtime's tests build by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.spec.weight_params import write_floats
from tests.checks import fill

FLOAT32 = 65568


def array_features(features: Any, shapes: Mapping[str, Sequence[int]]) -> None:
    """Add multi-array features with these names and shapes."""
    for name, shape in shapes.items():
        array = features.add(name=name).type.multiArrayType
        array.dataType = FLOAT32
        array.shape.extend(shape)


def network(inputs: Mapping[str, Sequence[int]], outputs: Sequence[str], *, exact: bool = True) -> tuple[Any, Any]:
    """An empty NeuralNetwork model with multi-array features: (specification, network)."""
    model = spec.Model(specificationVersion=4)
    model.neuralNetwork.arrayInputShapeMapping = int(exact)
    array_features(model.description.input, inputs)
    array_features(model.description.output, dict.fromkeys(outputs, ()))
    return model, model.neuralNetwork


def add(network: Any, type: str, inputs: str, outputs: str, /, name: str = "", **parameters: Any) -> Any:
    """Append a layer; blob names are separated by spaces. Returns its parameter message."""
    layer = network.layers.add(name=name or f"{type}_{len(network.layers)}")
    layer.input.extend(inputs.split())
    layer.output.extend(outputs.split())
    params = getattr(layer, type)
    params.SetInParent()
    fill(params, parameters)
    return params


def constant(network: Any, output: str, values: Any) -> None:
    """Append a loadConstantND layer."""
    array = np.asarray(values, np.float32)
    params = add(network, "loadConstantND", "", output, shape=list(array.shape) or [1])
    write_floats(params.data, array.reshape(-1))


def run(model: Any, feeds: Mapping[str, Any], outputs: Sequence[str], **options: Any) -> list[Any]:
    """The named blobs of a specification for these inputs."""
    result = mle.predict(mle.load(model), feeds, outputs=outputs, **options)
    return [result[name] for name in outputs]
