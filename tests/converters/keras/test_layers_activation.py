"""Every activation of Keras, as a layer, as a setting of another layer, and the layers that are one."""

from __future__ import annotations

from typing import Any

import pytest

import mlexplorer as mle
from tests.converters.keras.comparing import check, keras, layer_types, random_input, sequential

L = keras.layers

NAMES = [
    "relu", "relu6", "elu", "selu", "gelu", "silu", "swish", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid",
    "hard_swish", "hard_silu", "exponential", "linear", "softmax", "log_softmax", "mish", "leaky_relu", "glu", "celu",
    "log_sigmoid", "tanh_shrink", "squareplus", "soft_shrink", "hard_tanh",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(6,), (5, 7, 4)])
def test_activation(name: str, shape: tuple[int, ...]) -> None:
    check(sequential(L.Activation(name), shape=shape), [4 * random_input((1, *shape))])


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.ReLU(),
        lambda: L.ReLU(max_value=1.5),
        lambda: L.ReLU(negative_slope=0.2),
        lambda: L.ReLU(negative_slope=0.2, max_value=1.1),
        lambda: L.ReLU(threshold=0.4),
        lambda: L.ReLU(threshold=0.4, negative_slope=0.3),
        lambda: L.ReLU(threshold=0.3, negative_slope=0.4, max_value=1.2),
        lambda: L.LeakyReLU(negative_slope=0.17),
        lambda: L.ELU(alpha=0.7),
        lambda: L.Softmax(),
        lambda: L.Softmax(axis=1),
        lambda: L.Softmax(axis=2),
        lambda: L.Softmax(axis=(1, 2)),
        lambda: L.PReLU(),
        lambda: L.PReLU(shared_axes=[1, 2]),
        lambda: L.PReLU(shared_axes=[1]),
        lambda: L.PReLU(shared_axes=[2, 3]),
        lambda: L.Activation(L.LeakyReLU(negative_slope=0.4)),
    ],
)
def test_layer(layer: Any) -> None:
    check(sequential(layer(), shape=(5, 7, 4)))
    check(sequential(L.Conv2D(6, 1), layer(), shape=(5, 7, 4)))


def test_prelu_of_vectors_and_sequences() -> None:
    check(sequential(L.PReLU(), shape=(6,)))
    check(sequential(L.PReLU(), shape=(5, 6)))
    check(sequential(L.PReLU(shared_axes=[1]), shape=(5, 6)))


@pytest.mark.parametrize(("version", "slope"), [("2.2.4", 0.2), ("1.2", 0.2), ("3.4.1", 1 / 6), ("", 1 / 6)])
def test_hard_sigmoid_is_steeper_since_keras_3(version: str, slope: float) -> None:
    from mlexplorer.converters.keras.conversion import convert_keras
    from mlexplorer.converters.keras.source_model import Call, KerasLayer, KerasModel, TensorRef
    from mlexplorer.converters.options import Options

    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, 3]}, calls=[Call()])
    layer = KerasLayer("a", "Activation", {"activation": "hard_sigmoid"}, calls=[Call((TensorRef("x"),))])
    model = KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("a")], keras_version=version)
    result = mle.predict(convert_keras(model, Options()), {"x": [[-0.9, 0.3, 1.0]]})["a"]
    assert result.ravel().tolist() == pytest.approx([0.5 - 0.9 * slope, 0.5 + 0.3 * slope, 0.5 + slope], abs=1e-6)


def test_thresholded_relu_is_above_its_threshold_only() -> None:
    from mlexplorer.converters.keras.conversion import convert_keras
    from mlexplorer.converters.keras.source_model import Call, KerasLayer, KerasModel, TensorRef
    from mlexplorer.converters.options import Options

    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, 4]}, calls=[Call()])
    layer = KerasLayer("a", "ThresholdedReLU", {"theta": 0.5}, calls=[Call((TensorRef("x"),))])
    model = KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("a")])
    result = mle.predict(convert_keras(model, Options()), {"x": [[0.5, 0.51, -2.0, 3.0]]})["a"]
    assert result.ravel().tolist() == pytest.approx([0, 0.51, 0, 3], abs=1e-6)


def test_activation_of_a_layer_is_a_layer_named_after_both() -> None:
    converted = check(sequential(L.Conv2D(5, 2, activation="relu", name="conv"), L.ReLU(name="last"), shape=(6, 7, 3)))
    names = [layer.name for layer in converted.spec.neuralNetwork.layers]
    assert "conv" in names
    assert "conv/relu" in names
    assert layer_types(converted).count("activation") == 2


def test_layers_as_activations_of_layers() -> None:
    check(sequential(L.Dense(5, activation=L.LeakyReLU(negative_slope=0.3)), shape=(7,)))
