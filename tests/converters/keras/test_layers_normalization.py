"""Normalizations against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from tests.converters.keras.comparing import check, keras, layer_types, randomize, sequential

L = keras.layers


@pytest.mark.parametrize("shape", [(6,), (5, 6), (7, 5, 6), (3, 7, 5, 6)])
@pytest.mark.parametrize("arguments", [{}, {"scale": False}, {"center": False}, {"epsilon": 0.1}, {"axis": 1}])
def test_batch_normalization(shape: tuple[int, ...], arguments: dict[str, Any]) -> None:
    check(sequential(L.BatchNormalization(**arguments), shape=shape))


def test_batch_normalization_along_the_middle() -> None:
    check(sequential(L.Conv2D(4, 1), L.BatchNormalization(axis=2), shape=(7, 5, 6)))
    check(sequential(L.BatchNormalization(axis=2), shape=(7, 5, 6, 3)))


def test_batch_normalization_is_one_layer() -> None:
    converted = check(sequential(L.Conv2D(4, 1), L.BatchNormalization(), shape=(7, 5, 6)))
    assert layer_types(converted)[1:3] == ["convolution", "batchnorm"]


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: L.LayerNormalization(), (6,)),
        (lambda: L.LayerNormalization(), (5, 6)),
        (lambda: L.LayerNormalization(epsilon=0.1, center=False), (7, 5, 6)),
        (lambda: L.LayerNormalization(axis=[1, 2], scale=False), (7, 5)),
        (lambda: L.LayerNormalization(axis=[2, 3]), (7, 5, 6)),
        (lambda: L.RMSNormalization(), (5, 6)),
        (lambda: L.RMSNormalization(epsilon=0.2), (7, 5, 6)),
        (lambda: L.UnitNormalization(), (5, 6)),
        (lambda: L.UnitNormalization(axis=[1, 2]), (7, 5, 6)),
        (lambda: L.GroupNormalization(groups=3), (7, 5, 6)),
        (lambda: L.GroupNormalization(groups=-1, epsilon=0.1), (7, 5, 6)),
        (lambda: L.GroupNormalization(groups=1, scale=False), (5, 6)),
        (lambda: L.GroupNormalization(groups=2), (6,)),
        (lambda: L.GroupNormalization(groups=2, axis=1), (4, 5, 7)),
        (lambda: L.Rescaling(1 / 127.5, offset=-1), (7, 5, 6)),
        (lambda: L.Rescaling([0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0]), (7, 5, 3)),
        (lambda: L.Rescaling([0.1, 0.2, 0.3], offset=1), (3,)),
        (lambda: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]), (7, 5, 3)),
        (lambda: L.Normalization(mean=0.3, variance=2.0, axis=None), (7, 5)),
        (lambda: L.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0], invert=True), (5, 3)),
    ],
)
def test_normalization(layer: Any, shape: tuple[int, ...]) -> None:
    check(sequential(layer(), shape=shape))
    if len(shape) == 3:
        check(sequential(L.Conv2D(shape[-1], 1), layer(), L.Conv2D(2, 1), shape=shape))


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), None])
def test_learned_normalization(axis: Any) -> None:
    layer = L.Normalization(axis=axis)
    layer.adapt(np.random.default_rng(4).normal(3, 2, (40, 5, 6)).astype(np.float32))
    check(sequential(layer, shape=(5, 6)))


@pytest.mark.parametrize("axes", [[1], [1, 3], [2]])
def test_layer_normalization_along_other_axes(axes: list[int]) -> None:
    """Against the definition: Keras on torch normalizes the last axes only."""
    shape = (1, 7, 5, 6)
    model = randomize(sequential(L.LayerNormalization(axis=axes, epsilon=0.01), shape=shape[1:]))
    x = np.random.default_rng(5).normal(size=shape)
    gamma, beta = (
        np.asarray(w, np.float64).reshape([n if axis in axes else 1 for axis, n in enumerate(shape)])
        for w in model.get_weights()
    )
    deviation = np.sqrt(x.var(tuple(axes), keepdims=True) + 0.01)
    expected = (x - x.mean(tuple(axes), keepdims=True)) / deviation * gamma + beta
    converted = mle.convert(model)
    (output,) = mle.predict(converted, {converted.inputs[0].name: x.astype(np.float32)}).values()
    np.testing.assert_allclose(output, expected, atol=1e-5)
