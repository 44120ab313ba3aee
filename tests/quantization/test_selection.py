"""Choosing weights by name, type, size and place; what is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import QuantizationError, UnsupportedError
from mlexplorer.model import Model
from mlexplorer.quantization import Float16, Linear, LookupTable, Plan, Selection, quantize
from mlexplorer.quantization.selection import quantizable


def chosen(model: Model, **selection: Any) -> set[str]:
    """The keys of the chosen weights of a model's outermost network."""
    accepts = Selection(**selection).of(model)
    return {weight.key for weight in model.graph.weights if accepts(weight) and "/" not in weight.key}


def test_biases_and_vectors_of_normalization_are_left_alone_unless_asked(network: Any) -> None:
    model = mle.load(network)
    matrices = chosen(model)
    assert {key for key in matrices if key.startswith(("conv", "dense", "embedding", "norm", "scale", "bias"))} == {
        "conv:weights", "dense:weights", "embedding:weights", "embedding_nd:weights",
    }  # fmt: skip
    assert {"constant:data", "constant_nd:data", "rnn:weightMatrix", "matmul:weights", "deconv:weights"} <= matrices
    assert not any("ias" in key or "eephole" in key for key in matrices)
    vectors = chosen(model, biases=True) - matrices
    assert {"dense:bias", "bias:bias", "rnn:biasVector", "lstm:weightParams.forgetGatePeepholeVector"} <= vectors
    assert not any(key.startswith("norm") for key in vectors)
    assert chosen(model, normalization=True) - matrices == {
        "norm:gamma", "norm:beta", "norm:mean", "norm:variance", "scale:scale",
    }  # fmt: skip
    assert Plan.uniform(model, Linear(4)) == Plan.uniform(model, Linear(4), Selection())
    everything = Plan.uniform(model, Linear(4), Selection(biases=True, normalization=True))
    assert everything.schemes.keys() == {weight.key for _, weight in quantizable(model)}
    halves = {w.key for _, w in quantizable(model) if w.kind == "float32"}
    assert Plan.uniform(model, Float16()).schemes.keys() == halves


def test_names_types_sizes_and_predicates(network: Any) -> None:
    model = mle.load(network)
    assert chosen(model, names="conv") == {"conv:weights"}
    assert chosen(model, names=("de*", "grouped:*")) == {"dense:weights", "deconv:weights", "depthwise:weights",
                                                       "grouped:weights"}  # fmt: skip
    inner = Selection(names="branch/*").of(model)
    assert {weight.node.partition("/")[0] for weight in model.graph.weights if inner(weight)} == {"branch"}
    assert chosen(model, types="innerProduct", biases=True) == {"dense:weights", "dense:bias"}
    sizes = {weight.key: weight.count for weight in model.graph.weights}
    assert {sizes[key] >= 100 for key in chosen(model, minimum_size=100)} == {True}
    assert len(chosen(model, minimum_size=100)) < len(chosen(model))
    assert chosen(model, predicate=lambda weight: weight.shape == (4, 5)) >= {"dense:weights", "rnn:weightMatrix"}
    small = quantize(model, LookupTable(2), select=Selection(names="branch/*Branch/dense"))
    assert [weight.key for weight in small.graph.weights if weight.kind != "float32"] == [
        "branch/ifBranch/dense:weights",
        "branch/elseBranch/dense:weights",
    ]


def diamond() -> Model:
    """In a pipeline's stage: data -> stem -> (left, right -> deep) -> sum -> norm -> head, and data -> aside."""
    specification = spec.Model(specificationVersion=4)
    stage = specification.pipeline.models.add()
    for message in (specification, stage):
        message.description.input.add(name="data")
        message.description.output.add(name="out")
        message.description.output.add(name="other")
    layers = stage.neuralNetwork.layers
    for name, source, target in (
        ("stem", "data", "stem"),
        ("left", "stem", "left"),
        ("right", "stem", "right"),
        ("deep", "right", "deep"),
    ):
        layer = layers.add(name=name, input=[source], output=[target])
        layer.innerProduct.inputChannels, layer.innerProduct.outputChannels = 2, 2
        layer.innerProduct.weights.floatValue.extend(np.arange(4) / 3)
    layers.add(name="sum", input=["left", "deep"], output=["sum"]).add.SetInParent()
    norm = layers.add(name="norm", input=["sum"], output=["norm"]).batchnorm
    norm.channels = 2
    for field in ("gamma", "beta", "mean", "variance"):
        getattr(norm, field).floatValue.extend([1, 2])
    for name, source, target in (("head", "norm", "out"), ("aside", "data", "other")):
        layer = layers.add(name=name, input=[source], output=[target])
        layer.innerProduct.inputChannels, layer.innerProduct.outputChannels = 2, 2
        layer.innerProduct.weights.floatValue.extend(np.arange(4) / 3)
    return Model(specification)


def test_first_and_last_layers_are_those_with_no_weights_before_or_behind() -> None:
    model = diamond()
    accepts = Selection(keep_first_and_last=True).of(model)
    assert [weight.key for weight in model.graph.weights if accepts(weight)] == [
        f"pipeline[0]/{name}:weights" for name in ("left", "right", "deep")
    ]
    with_norm = Selection(keep_first_and_last=True, normalization=True, names="pipeline[0]/n*").of(model)
    assert sum(map(with_norm, model.graph.weights)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"types": "softmax"}, "no weights of layers 'softmax' are quantized; there are .*innerProduct"),
        ({"names": ()}, "names must be a string or several"),
        ({"types": [3]}, "types must be a string or several"),
        ({"predicate": "conv"}, "predicate must be a function"),
    ],
)
def test_what_is_no_selection(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        Selection(**arguments)


def test_a_selection_needs_a_network() -> None:
    with pytest.raises(UnsupportedError, match="has no neural network"):
        Selection().of(Model(spec.Model(identity=spec.Identity())))
