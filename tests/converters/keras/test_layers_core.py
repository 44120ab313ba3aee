"""Dense, Embedding, merging and reshaping layers, and operators on tensors, against Keras."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from tests.converters.keras.comparing import check, keras, layer_types, sequential

L, K = keras.layers, keras.ops

ELSEWHERE = (7, 5, 4)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (7, 5, 6), (3, 7, 5, 6)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_dense(shape: tuple[int, ...], use_bias: bool) -> None:
    check(sequential(L.Dense(4, use_bias=use_bias, activation="tanh"), shape=shape))


def test_dense_on_planes_is_a_convolution() -> None:
    converted = check(sequential(L.Conv2D(3, 2), L.Dense(4), L.Conv2D(5, 2), shape=(7, 6, 2)))
    assert layer_types(converted).count("convolution") == 3
    check(sequential(L.Conv1D(3, 2), L.Dense(4), shape=(7, 6)))
    check(sequential(L.Conv3D(3, 2), L.Dense(4), shape=(7, 6, 5, 2)))


def test_einsum_dense() -> None:
    check(sequential(L.EinsumDense("abc,cd->abd", output_shape=(None, 7), bias_axes="d"), shape=(5, 6)))
    check(sequential(L.EinsumDense("abc,cde->abde", output_shape=(None, 3, 7), bias_axes="de"), shape=(5, 6)))
    check(sequential(L.EinsumDense("abcd,cde->abe", output_shape=(None, 7), activation="relu"), shape=(5, 6, 4)))
    with pytest.raises(mle.errors.UnsupportedError, match="equation"):
        mle.convert(sequential(L.EinsumDense("abc,bd->acd", output_shape=(6, 7)), shape=(5, 6)))


@pytest.mark.parametrize("shape", [(5,), (5, 3)])
def test_embedding(shape: tuple[int, ...]) -> None:
    feed = np.random.default_rng(1).integers(0, 11, (1, *shape)).astype(np.float32)
    check(sequential(L.Embedding(11, 6), L.Dense(4), shape=shape), [feed])


@pytest.mark.parametrize(
    "layer",
    [
        L.Dropout(0.3), L.SpatialDropout2D(0.3), L.GaussianNoise(0.3), L.GaussianDropout(0.3), L.AlphaDropout(0.3),
        L.ActivityRegularization(0.1), L.Identity(), L.RandomFlip(), L.RandomRotation(0.2),
    ],
)  # fmt: skip
def test_layers_of_training_vanish(layer: Any) -> None:
    converted = check(sequential(L.Conv2D(3, 2), layer, L.GlobalMaxPooling2D(), shape=(7, 6, 2)))
    assert layer_types(converted) == ["transpose", "convolution", "pooling", "squeeze"]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.Flatten(),
        lambda: L.Reshape((5, 28)),
        lambda: L.Reshape((-1, 2, 7)),
        lambda: L.Reshape((140,)),
        lambda: L.Permute((3, 1, 2)),
        lambda: L.Permute((2, 3, 1)),
    ],
)
def test_reshaping(layer: Any) -> None:
    check(sequential(layer(), shape=ELSEWHERE))
    check(sequential(L.Conv2D(4, 1), layer(), shape=ELSEWHERE))


def test_vectors_repeated() -> None:
    check(sequential(L.RepeatVector(4), shape=(6,)))
    check(sequential(L.Flatten(), shape=(6,)))


def merged(layer: Callable[..., Any], *shapes: tuple[int, ...], planes: bool = False) -> Any:
    inputs = [keras.Input(shape) for shape in shapes]
    values = [L.Conv2D(shape[-1], 1)(value) for value, shape in zip(inputs, shapes, strict=True)] if planes else inputs
    return keras.Model(inputs, layer(values))


@pytest.mark.parametrize("name", ["Add", "Multiply", "Average", "Maximum", "Minimum"])
def test_merging(name: str) -> None:
    layer = getattr(L, name)
    check(merged(layer(), ELSEWHERE, ELSEWHERE))
    check(merged(layer(), ELSEWHERE, ELSEWHERE, ELSEWHERE, planes=True))
    check(merged(layer(), ELSEWHERE, (1, 1, 4), planes=True))
    check(merged(layer(), ELSEWHERE, (5, 4)))
    check(merged(layer(), (5, 1), (1, 6), (5, 6)))


def test_subtract() -> None:
    check(merged(L.Subtract(), ELSEWHERE, ELSEWHERE, planes=True))
    check(merged(L.Subtract(), (5, 6), (6,)))


@pytest.mark.parametrize("axis", [-1, 1, 2, 3])
def test_concatenate(axis: int) -> None:
    shapes = [list(ELSEWHERE) for _ in range(3)]
    for number, shape in enumerate(shapes):
        shape[axis - 1 if axis > 0 else axis] = number + 2
    check(merged(L.Concatenate(axis=axis), *map(tuple, shapes)))
    check(merged(L.Concatenate(axis=axis), *map(tuple, shapes), planes=True))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize(
    ("axes", "shapes"),
    [
        (1, [(6,), (6,)]),
        (2, [(5, 6), (4, 6)]),
        ((1, 2), [(6, 5), (4, 6)]),
        (1, [(6, 5), (6, 4)]),
        ((2, 1), [(5, 6), (6,)]),
        ((1, 3), [(6, 5), (4, 3, 6)]),
    ],
)
def test_dot(axes: Any, shapes: list[tuple[int, ...]], normalize: bool) -> None:
    check(merged(L.Dot(axes=axes, normalize=normalize), *shapes))


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "x + y": lambda x, y: x + y,
    "x - y": lambda x, y: x - y,
    "x * y": lambda x, y: x * y,
    "x / (2 + y * y)": lambda x, y: x / (2 + y * y),
    "x + 2": lambda x, y: x + 2.5,
    "2 - x": lambda x, y: 2.5 - x,
    "x - 2": lambda x, y: x - 2.5,
    "3 * x": lambda x, y: 3 * x,
    "x / 4": lambda x, y: x / 4,
    "1 / (3 + x * x)": lambda x, y: 1 / (3 + x * x),
    "5 / (3 + x * x)": lambda x, y: 5 / (3 + x * x),
    "-x": lambda x, y: -x,
    "abs(x)": lambda x, y: abs(x),
    "x ** 2": lambda x, y: x**2,
    "2 ** x": lambda x, y: 2**x,
    "maximum": lambda x, y: K.maximum(x, y),
    "maximum with a number": lambda x, y: K.maximum(x, 0.3),
    "minimum with a number": lambda x, y: K.minimum(x, 0.3),
    "clip": lambda x, y: K.clip(x, -0.4, 0.7),
    "exp": lambda x, y: K.exp(x),
    "log": lambda x, y: K.log(x * x + 0.5),
    "sqrt": lambda x, y: K.sqrt(x * x + 0.5),
    "rsqrt": lambda x, y: K.rsqrt(x * x + 0.5),
    "square": lambda x, y: K.square(x),
    "sign, floor, sin": lambda x, y: K.sign(x) + K.floor(3 * y) + K.sin(x),
    "mean": lambda x, y: K.mean(x, axis=(1, 2), keepdims=True) + y,
    "mean of channels": lambda x, y: K.mean(x, axis=-1),
    "sum": lambda x, y: K.sum(x, axis=[2, 3]),
    "max": lambda x, y: K.max(x, axis=1),
    "min of all": lambda x, y: K.min(x, axis=(1, 2, 3)),
    "logsumexp": lambda x, y: K.logsumexp(x, axis=2),
    "argmax": lambda x, y: K.cast(K.argmax(x, axis=-1), "float32"),
    "reshape": lambda x, y: K.reshape(x, (-1, 28, 5)),
    "transpose": lambda x, y: K.transpose(x, (0, 3, 1, 2)),
    "expand_dims": lambda x, y: K.expand_dims(x, 2),
    "squeeze": lambda x, y: K.squeeze(x[:, 2:3], 1),
    "concatenate": lambda x, y: K.concatenate([x, y, x], axis=2),
    "stack": lambda x, y: K.stack([x, y], axis=-1),
    "split": lambda x, y: K.split(x, 2, axis=-1)[1],
    "split at places": lambda x, y: K.split(x, [1, 3], axis=1),
    "matmul": lambda x, y: K.matmul(x, K.transpose(y, (0, 1, 3, 2))),
    "softmax": lambda x, y: K.softmax(x, axis=1),
    "log_softmax": lambda x, y: K.log_softmax(x),
    "relu, sigmoid, tanh": lambda x, y: K.relu(x) + K.sigmoid(y) + K.tanh(x),
    "gelu": lambda x, y: K.gelu(x) + K.gelu(y, approximate=False),
    "leaky_relu, elu": lambda x, y: K.leaky_relu(x, 0.3) + K.elu(y, 0.7),
    "relu6, silu, softplus": lambda x, y: K.relu6(4 * x) + K.silu(y) + K.softplus(x),
    "x[:, 1]": lambda x, y: x[:, 1],
    "x[:, ::2, 1:-1]": lambda x, y: x[:, ::2, 1:-1],
    "x[..., 0]": lambda x, y: x[..., 0],
    "x[:, None, -1]": lambda x, y: x[:, None, -1],
    "x[:, ::-1]": lambda x, y: x[:, -2:, :, 1:2],
    "a constant array": lambda x, y: x + K.convert_to_tensor(np.arange(4, dtype=np.float32)),
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("planes", [False, True])
def test_operator(name: str, planes: bool) -> None:
    inputs = [keras.Input(ELSEWHERE), keras.Input(ELSEWHERE)]
    values = [L.Conv2D(4, 1)(value) for value in inputs] if planes else inputs
    check(keras.Model(inputs, OPERATORS[name](*values)))


def test_casts_to_whole_numbers_are_refused() -> None:
    inputs = keras.Input((5,))
    with pytest.raises(mle.errors.UnsupportedError, match="casts to int32"):
        mle.convert(keras.Model(inputs, K.cast(K.cast(inputs, "int32"), "float32")))
