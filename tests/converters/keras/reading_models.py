"""Models for the tests of the reader, and what Keras itself says of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

from mlexplorer.converters.keras.source_model import KerasLayer, KerasModel, TensorRef

pytest.importorskip("torch")
keras = pytest.importorskip("keras")
layers = keras.layers

MODELS: dict[str, Callable[[], Any]] = {}


def model(function: Callable[[], Any]) -> Callable[[], Any]:
    MODELS[function.__name__] = function
    return function


def made(name: str) -> Any:
    """The model, with a different number in each place of each weight."""
    keras.utils.clear_session()
    network = MODELS[name]()
    start = 1
    for variable in network.weights:
        values = np.arange(start, start + np.prod(variable.shape)).reshape(variable.shape)
        variable.assign(values)
        start += values.size
    return network


@keras.saving.register_keras_serializable("reading")
class Mixture(layers.Layer):
    """A layer of the user's own, with a weight and two layers in it."""

    def __init__(self, size: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.size = size
        self.first = layers.Dense(size, name="first")
        self.rest = [layers.Dense(size, use_bias=False, name="second")]

    def build(self, shape: Any) -> None:
        self.share = self.add_weight(shape=(self.size,), name="share")
        self.first.build(shape)
        self.rest[0].build(shape)

    def call(self, inputs: Any) -> Any:
        return self.first(inputs) * self.share + self.rest[0](inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "size": self.size}


@keras.saving.register_keras_serializable("reading")
class Trained(keras.Model):
    """A Functional model of a class of its own, as people write to change a training step."""


@model
def sequential() -> Any:
    return keras.Sequential([keras.Input((5,)), layers.Dense(3), layers.ReLU(), layers.Dense(2, use_bias=False)])


@model
def sequential_built_late() -> Any:
    network = keras.Sequential([layers.Conv2D(3, (2, 4)), layers.BatchNormalization(), layers.Flatten()])
    network.build((None, 6, 7, 2))
    return network


@model
def nested_sequentials() -> Any:
    inner = keras.Sequential([layers.Dense(4), layers.Dense(5)])
    return keras.Sequential([keras.Input((3,)), inner, keras.Sequential([keras.Input((5,)), layers.Dense(2)])])


@model
def inputs_and_outputs_by_name() -> Any:
    inputs = {"zulu": keras.Input((3,), name="zulu"), "alpha": keras.Input((4,), name="alpha")}
    both = layers.Concatenate()([inputs["alpha"], inputs["zulu"]])
    return keras.Model(inputs, {"late": layers.Dense(2, name="one")(both), "early": layers.Dense(5, name="two")(both)})


@model
def layer_that_waits_for_itself() -> Any:
    a, b = layers.Dense(4, name="a"), layers.Dense(4, name="b")
    x = keras.Input((4,))
    return keras.Model(x, a(b(a(x))))


@model
def model_called_three_times() -> Any:
    inside = keras.Input((3,))
    inner = keras.Model(inside, layers.BatchNormalization()(layers.Dense(3)(inside)), name="inner")
    x = keras.Input((3,))
    first = inner(x)
    second = inner(layers.Add()([first, x]))
    return keras.Model(x, [second, first, inner(second)])


@model
def layer_in_two_models() -> Any:
    shared, inside, x = layers.Dense(3, name="shared"), keras.Input((3,)), keras.Input((3,))
    inner = keras.Model(inside, layers.ReLU()(shared(inside)), name="inner")
    return keras.Model(x, inner(layers.Dense(3)(shared(x))))


@model
def models_in_models() -> Any:
    def block(size: int, *between: Any) -> Any:
        x = keras.Input((4,))
        y = layers.Dense(4, name="same")(x)
        for inner in between:
            y = inner(y)
        return keras.Model(x, layers.BatchNormalization(name="norm")(y), name=f"block_{size}")

    return block(3, block(2, block(1)), keras.Sequential([layers.Dense(4)], name="extra"))


@model
def wrappers() -> Any:
    x = keras.Input((6, 5))
    y = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(x)
    there, back = layers.GRU(3, return_sequences=True), layers.GRU(3, return_sequences=True, go_backwards=True)
    y = layers.Bidirectional(there, backward_layer=back)(y)
    y = layers.TimeDistributed(layers.Dense(7))(y)
    inner = keras.Sequential([keras.Input((7,)), layers.Dense(5), layers.Dense(2)])
    y = layers.TimeDistributed(inner)(y)
    cells = [layers.LSTMCell(3), layers.GRUCell(4), layers.LSTMCell(5)]
    return keras.Model(x, layers.RNN(layers.StackedRNNCells(cells))(y))


@model
def states() -> Any:
    x, h, c = keras.Input((6, 5)), keras.Input((4,)), keras.Input((4,))
    y, *encoded = layers.LSTM(4, return_sequences=True, return_state=True)(x, initial_state=[h, c])
    z = layers.LSTM(4)(y, encoded)
    return keras.Model([x, h, c], layers.GRU(4)(y, initial_state=z))


@model
def attention() -> Any:
    x, y = keras.Input((6, 5)), keras.Input((3, 7))
    attended = layers.MultiHeadAttention(2, 4, name="heads")(x, value=y, key=layers.Dense(7)(y))
    summed = layers.Attention(use_scale=True, score_mode="concat")([attended, x])
    return keras.Model([x, y], layers.AdditiveAttention()([summed, x]))


@model
def operations() -> Any:
    x = keras.Input((4, 3))
    y = keras.ops.reshape(1.0 - (x * 2 + x[:, 1:2]), (-1, 12))
    y = layers.Add()([layers.Dense(2)(y), layers.Dense(2)(y)])
    return keras.Model(x, keras.ops.concatenate([y, y], axis=-1))


@model
def kinds_of_layers() -> Any:
    x = keras.Input((6, 8, 3))
    y = layers.SeparableConv2D(5, (3, 2), depth_multiplier=2)(x)
    y = layers.DepthwiseConv2D(2, depth_multiplier=3)(y)
    y = layers.Conv2DTranspose(4, (3, 2), use_bias=False)(y)
    y = layers.PReLU(shared_axes=[1, 2])(layers.GroupNormalization(2)(layers.LayerNormalization(axis=(2, 3))(y)))
    y = layers.BatchNormalization(scale=False)(layers.RMSNormalization()(y))
    y = layers.EinsumDense("abcd,de->abce", (5, 7, 2), bias_axes="e")(y)
    text = keras.Input((5,), dtype="int32")
    z = layers.Embedding(11, 4)(text)
    video = keras.Input((4, 6, 7, 2))
    v = layers.ConvLSTM2D(3, (2, 3))(video)
    n = layers.Normalization()(layers.SimpleRNN(3)(z))
    return keras.Model([x, text, video], [y, layers.Conv1D(3, 2)(z), v, n])


@model
def layer_of_the_users_own() -> Any:
    x = keras.Input((3,))
    return Trained(x, layers.Lambda(keras.activations.relu)(Mixture(4, name="mixture")(layers.Dense(4)(x))))


@model
def many_long_names() -> Any:
    x = y = keras.Input((2,))
    for number in range(70):
        y = layers.Dense(2, name=f"{number}_{'long_name_' * 100}")(y)
    return keras.Model(x, y)


# What Keras holds


def held_weights(network: Any, path: str = "") -> dict[str, Any]:
    """The weights of a live model by the names of its layers, found through the layers' attributes."""
    weights: dict[str, Any] = {}
    for layer in network.layers:
        weights.update(_held(layer, f"{path}{layer.name}/"))
    return weights


def _held(layer: Any, path: str) -> dict[str, Any]:
    if isinstance(layer, keras.Model):
        return held_weights(layer, path)
    parts = {
        layers.Bidirectional: ("forward_layer", "backward_layer"),
        layers.TimeDistributed: ("layer",),
        layers.StackedRNNCells: (),
    }.get(type(layer), ("cell",) if type(layer) is layers.RNN else None)
    if type(layer) is layers.StackedRNNCells:
        return {key: value for cell in layer.cells for key, value in _held(cell, f"{path}{cell.name}/").items()}
    if parts is not None:
        inner = [getattr(layer, part) for part in parts]
        return {key: value for part in inner for key, value in _held(part, f"{path}{part.name}/").items()}
    names = {}
    for variable in layer.weights:
        name = re.sub(r"^\w+_cell/", "", variable.path.rpartition(f"{layer.name}/")[2])
        if isinstance(layer, layers.DepthwiseConv2D):
            name = name.replace("kernel", "depthwise_kernel")
        names[f"{path}{name}"] = keras.ops.convert_to_numpy(variable)
    return names


def held_calls(network: Any) -> list[tuple[str, list[tuple[str, int, int]]]]:
    """Every call in a live Functional model, with the tensors it takes, sorted, from the nodes that Keras keeps."""
    origin: dict[int, tuple[str, int, int]] = {}
    nodes = []
    for operation in network.operations:
        own = [node for node in operation._inbound_nodes if node in _own_nodes(network)]
        for call, node in enumerate(own):
            for index, tensor in enumerate(node.output_tensors):
                origin[id(tensor)] = (operation.name, call, index)
            nodes.append((operation.name, node))
    return sorted((name, sorted(origin[id(tensor)] for tensor in node.input_tensors)) for name, node in nodes)


def _own_nodes(network: Any) -> set[Any]:
    return {node for nodes in network._nodes_by_depth.values() for node in nodes}


# What was read


def read_weights(network: KerasModel, path: str = "") -> dict[str, Any]:
    return {key: value for layer in network.layers for key, value in _read(layer, f"{path}{layer.name}/").items()}


def _read(layer: KerasLayer, path: str) -> dict[str, Any]:
    weights: dict[str, Any] = {f"{path}{name}": array for name, array in layer.weights.items()}
    for inner in layer.inner.values():
        weights.update(_read(inner, f"{path}{inner.name}/"))
    return {**weights, **(read_weights(layer.model, path) if layer.model else {})}


def read_calls(network: KerasModel) -> list[tuple[str, list[tuple[str, int, int]]]]:
    calls = ((layer.name, call) for layer in network.layers for call in layer.calls)
    return sorted((name, sorted(map(_triple, call.inputs))) for name, call in calls)


def _triple(tensor: TensorRef) -> tuple[str, int, int]:
    return tensor.layer, tensor.call, tensor.index


def assert_same_weights(read: Mapping[str, Any], held: Mapping[str, Any]) -> None:
    assert read.keys() == held.keys()
    for name, array in held.items():
        np.testing.assert_array_equal(read[name], array, err_msg=name)
        assert read[name].dtype == array.dtype
