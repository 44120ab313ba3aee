"""Convolutions of every kind against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.converters.keras.conversion import convert_keras
from mlexplorer.converters.keras.source_model import Call, KerasLayer, KerasModel, TensorRef
from mlexplorer.converters.options import Options
from tests.converters.keras.comparing import TOLERANCE, check, error, keras, layer_types, sequential

L = keras.layers

ONE, TWO, THREE = (11, 6), (9, 11, 6), (5, 7, 9, 4)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: L.Conv1D(5, 3), ONE),
        (lambda: L.Conv1D(5, 3, padding="same", strides=2, activation="relu"), ONE),
        (lambda: L.Conv1D(5, 3, padding="causal", dilation_rate=2), ONE),
        (lambda: L.Conv1D(5, 3, padding="causal", strides=2), ONE),
        (lambda: L.Conv1D(4, 4, padding="same", dilation_rate=2, groups=2), ONE),
        (lambda: L.Conv2D(5, (3, 2)), TWO),
        (lambda: L.Conv2D(5, (2, 3), use_bias=False, strides=(2, 3)), TWO),
        (lambda: L.Conv2D(5, (4, 3), padding="same", strides=(2, 1)), TWO),
        (lambda: L.Conv2D(5, (3, 4), padding="same", dilation_rate=(2, 1)), TWO),
        (lambda: L.Conv2D(4, 3, groups=2, activation="swish"), TWO),
        (lambda: L.Conv2D(8, 3, groups=2, dilation_rate=2), TWO),
        (lambda: L.Conv3D(5, (2, 3, 4)), THREE),
        (lambda: L.Conv3D(5, (2, 3, 4), padding="same", strides=(1, 2, 3), activation="relu"), THREE),
        (lambda: L.Conv3D(6, 2, groups=2, dilation_rate=(1, 2, 3), use_bias=False), THREE),
        (lambda: L.DepthwiseConv1D(3, depth_multiplier=2), ONE),
        (lambda: L.DepthwiseConv1D(3, padding="same", strides=2), ONE),
        (lambda: L.DepthwiseConv2D((3, 2)), TWO),
        (lambda: L.DepthwiseConv2D((3, 2), depth_multiplier=3, padding="same", strides=2, activation="relu6"), TWO),
        (lambda: L.DepthwiseConv2D(3, use_bias=False, dilation_rate=2), TWO),
        (lambda: L.SeparableConv1D(5, 3, depth_multiplier=2), ONE),
        (lambda: L.SeparableConv1D(5, 3, padding="same", strides=2), ONE),
        (lambda: L.SeparableConv2D(5, (3, 2), depth_multiplier=2, activation="relu"), TWO),
        (lambda: L.SeparableConv2D(5, (3, 4), padding="same", strides=2, use_bias=False), TWO),
    ],
)
def test_convolution(layer: Any, shape: tuple[int, ...]) -> None:
    check(sequential(layer(), shape=shape))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: L.Conv1DTranspose(5, 3), ONE),
        (lambda: L.Conv1DTranspose(5, 4, strides=2, padding="same"), ONE),
        (lambda: L.Conv2DTranspose(5, (3, 2), activation="relu"), TWO),
        (lambda: L.Conv2DTranspose(5, (2, 3), strides=2), TWO),
        (lambda: L.Conv2DTranspose(5, (4, 6), strides=2, padding="same", use_bias=False), TWO),
        (lambda: L.Conv2DTranspose(5, (2, 1), strides=(2, 3)), TWO),
        (lambda: L.Conv2DTranspose(5, 2, strides=3, output_padding=1), TWO),
        (lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same", output_padding=0), TWO),
        (lambda: L.Conv2DTranspose(5, (2, 3), dilation_rate=(1, 2)), TWO),
        (lambda: L.Conv3DTranspose(5, (2, 3, 4)), THREE),
        (lambda: L.Conv3DTranspose(5, 2, strides=2, padding="same"), THREE),
        (lambda: L.Conv3DTranspose(5, (1, 2, 3), strides=(2, 2, 1)), THREE),
    ],
)
def test_transposed_convolution(layer: Any, shape: tuple[int, ...]) -> None:
    check(sequential(layer(), shape=shape))


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_sizes_of_transposed_convolutions_are_those_of_tensorflow(padding: str, kernel: int, stride: int) -> None:
    """Against the definition, the gradient of a convolution: y[s i + j - start] += x[i] w[j]."""
    n = 5
    model = sequential(L.Conv1DTranspose(1, kernel, strides=stride, padding=padding), shape=(n, 1))
    weights = np.arange(1, kernel + 1, dtype=np.float32)
    model.set_weights([weights.reshape(kernel, 1, 1), np.full(1, 0.5, np.float32)])
    x = np.arange(1, n + 1, dtype=np.float32)
    size = n * stride if padding == "same" else n * stride + max(kernel - stride, 0)
    start = max(kernel - stride, 0) // 2 if padding == "same" else 0
    full = np.zeros((n + 2) * stride + kernel + size)
    for i in range(n):
        full[stride * i : stride * i + kernel] += x[i] * weights
    converted = mle.convert(model)
    (output,) = mle.predict(converted, {converted.inputs[0].name: x.reshape(1, n, 1)}).values()
    np.testing.assert_allclose(np.ravel(output), full[start : start + size] + 0.5, rtol=1e-5)


def test_images_stay_channels_first_between_layers() -> None:
    layers = [L.Conv2D(5, 3), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D(2), L.DepthwiseConv2D(2), L.Dropout(0.5)]
    converted = check(sequential(*layers, L.GlobalAveragePooling2D(), L.Dense(3), shape=(13, 11, 2)))
    assert layer_types(converted).count("transpose") == 1


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: L.Conv1D(5, 3, data_format="channels_first"), (6, 11)),
        (lambda: L.Conv2D(5, 3, data_format="channels_first", strides=2, padding="same"), (6, 9, 11)),
        (lambda: L.DepthwiseConv2D(3, data_format="channels_first"), (6, 9, 11)),
        (lambda: L.SeparableConv2D(5, 3, data_format="channels_first"), (6, 9, 11)),
        (lambda: L.Conv2DTranspose(5, 3, data_format="channels_first"), (6, 9, 11)),
        (lambda: L.Conv3D(5, 2, data_format="channels_first"), (4, 5, 7, 9)),
    ],
)
def test_channels_first(layer: Any, shape: tuple[int, ...]) -> None:
    converted = check(sequential(layer(), shape=shape))
    assert "transpose" not in layer_types(converted)


def locally_connected(kernel: Any, bias: Any, x: Any, size: Any, strides: Any, first: bool) -> Any:
    """The definition, place by place, on [*extent, channels] or with the channels first."""
    extent = x.shape[1:] if first else x.shape[:-1]
    target = [(n - k) // s + 1 for n, k, s in zip(extent, size, strides, strict=True)]
    result = np.zeros((*target, kernel.shape[-1]))
    for number, place in enumerate(np.ndindex(*target)):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, strides, size, strict=True))
        pixels = x[(slice(None), *window)] if first else x[window]
        result[place] = pixels.reshape(-1) @ kernel[number]
    result = np.moveaxis(result, -1, 0) if first else result
    return result + bias.reshape(result.shape)


def of_all_pairs(kernel: Any, extent: Any, channels: int, size: Any, strides: Any, target: Any, first: bool) -> Any:
    """The kernel of implementation 2: numbers for all pairs, of which those within windows are used."""
    rank, filters = len(size), kernel.shape[-1]
    pairs = np.random.default_rng(9).standard_normal((*extent, channels, *target, filters))
    for number, place in enumerate(np.ndindex(*target)):
        window = tuple(slice(p * s, p * s + k) for p, s, k in zip(place, strides, size, strict=True))
        own = kernel[number].reshape((channels, *size, filters) if first else (*size, channels, filters))
        pairs[(*window, slice(None), *place)] = np.moveaxis(own, 0, -2) if first else own
    order = [rank, *range(rank), 2 * rank + 1, *range(rank + 1, 2 * rank + 1)]
    return pairs.transpose(order) if first else pairs


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("implementation", [1, 2, 3])
@pytest.mark.parametrize(
    ("extent", "size", "strides"), [((11,), (3,), (2,)), ((9, 8), (3, 2), (1, 1)), ((9, 8), (2, 4), (3, 2))]
)
def test_locally_connected(extent: Any, size: Any, strides: Any, implementation: int, first: bool) -> None:
    """Layers of Keras 2, which Keras 3 has not: against their definition."""
    rng, channels, filters = np.random.default_rng(4), 5, 6
    target = [(n - k) // s + 1 for n, k, s in zip(extent, size, strides, strict=True)]
    kernel = rng.standard_normal((np.prod(target), np.prod(size) * channels, filters))
    bias = rng.standard_normal((*target, filters))
    stored = kernel
    if implementation == 2:
        stored = of_all_pairs(kernel, extent, channels, size, strides, target, first)
    elif implementation == 3:  # rows of a sparse matrix [outputs, inputs]; of channels first the filters come first
        stored = kernel.transpose((2, 0, 1) if first else (0, 2, 1)).reshape(-1)
    config = {
        "filters": filters,
        "kernel_size": list(size),
        "strides": list(strides),
        "padding": "valid",
        "data_format": "channels_first" if first else "channels_last",
        "implementation": implementation,
        "activation": "tanh",
        "use_bias": True,
    }
    shape = (channels, *extent) if first else (*extent, channels)
    layer = KerasLayer(
        "local",
        f"LocallyConnected{len(size)}D",
        config,
        {"kernel": stored, "bias": bias},
        [Call((TensorRef("x"),))],
    )
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, *shape]}, calls=[Call()])
    model = KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("local")], "2.13.1")
    for batch in (1, 2):
        x = rng.standard_normal((batch, *shape)).astype(np.float32)
        converted = convert_keras(model, Options(input_name_shape_dict={"x": x.shape}))
        (got,) = mle.predict(converted, {"x": x}).values()
        wanted = [np.tanh(locally_connected(kernel, bias, example, size, strides, first)) for example in x]
        assert error(np.asarray(got), np.stack(wanted)) <= TOLERANCE


def test_locally_connected_layers_of_more_windows_than_memory_are_refused() -> None:
    config = {"filters": 6, "kernel_size": [3, 3], "strides": [1, 1]}
    weights = {"kernel": np.ones((2, 18, 6)), "bias": np.ones(6)}
    inputs = KerasLayer("x", "InputLayer", {"batch_shape": [None, 10**5, 10**5, 2]}, calls=[Call()])
    layer = KerasLayer("local", "LocallyConnected2D", config, weights, [Call((TensorRef("x"),))])
    with pytest.raises(mle.errors.UnsupportedError, match=r"'local'.*too large"):
        convert_keras(KerasModel("m", [inputs, layer], [TensorRef("x")], [TensorRef("local")]), Options())
