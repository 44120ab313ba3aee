"""Pooling, padding, cropping and enlarging against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from tests.converters.keras.comparing import check, keras, layer_types, sequential

L = keras.layers

ONE, TWO, THREE = (11, 6), (9, 11, 6), (5, 7, 9, 4)
EXTENTS = {1: ONE, 2: TWO, 3: THREE}


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize(
    "arguments", [{"pool_size": 2}, {"pool_size": 3, "strides": 2, "padding": "same"}, {"pool_size": 2, "strides": 3}]
)
def test_pooling(rank: int, kind: str, arguments: dict[str, Any]) -> None:
    check(sequential(getattr(L, f"{kind}Pooling{rank}D")(**arguments), shape=EXTENTS[rank]))


def test_pooling_windows_of_unequal_sides() -> None:
    check(sequential(L.MaxPooling2D((3, 2), strides=(1, 2)), shape=TWO))
    check(sequential(L.AveragePooling3D((1, 2, 3), padding="same"), shape=THREE))


@pytest.mark.parametrize(("kernel", "stride"), [((4, 3), (3, 2)), ((2, 2), (1, 1)), ((3, 5), (2, 4))])
def test_averages_do_not_count_padding(kernel: tuple[int, int], stride: tuple[int, int]) -> None:
    """Against the definition: Keras on torch repeats the border where the padding is uneven; TensorFlow does not."""
    model = sequential(L.AveragePooling2D(kernel, strides=stride, padding="same"), shape=TWO)
    x = np.random.default_rng(5).normal(size=(1, *TWO)).astype(np.float32)
    starts = []
    for n, k, s in zip(TWO, kernel, stride, strict=False):
        count = -(-n // s)
        first = -(max((count - 1) * s + k - n, 0) // 2)
        starts.append([(max(first + s * i, 0), min(first + s * i + k, n)) for i in range(count)])
    expected = [[x[0, a:b, c:d].mean((0, 1)) for c, d in starts[1]] for a, b in starts[0]]
    converted = mle.convert(model)
    (output,) = mle.predict(converted, {converted.inputs[0].name: x}).values()
    np.testing.assert_allclose(output[0], expected, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_global_pooling(rank: int, kind: str, keepdims: bool) -> None:
    layer = getattr(L, f"Global{kind}Pooling{rank}D")
    check(sequential(layer(keepdims=keepdims), shape=EXTENTS[rank]))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_channels_first(rank: int) -> None:
    first = {"data_format": "channels_first"}
    channels, *extent = EXTENTS[rank][-1], *EXTENTS[rank][:-1]
    for layer in (
        getattr(L, f"MaxPooling{rank}D")(2, **first),
        getattr(L, f"GlobalAveragePooling{rank}D")(**first),
        getattr(L, f"GlobalMaxPooling{rank}D")(keepdims=True, **first),
        *([getattr(L, f"ZeroPadding{rank}D")(1, **first)] if rank > 1 else []),
        *([getattr(L, f"UpSampling{rank}D")(2, **first)] if rank > 1 else []),
        L.Flatten(**first),
    ):
        check(sequential(layer, shape=(channels, *extent)))


def test_global_average_of_steps_leaves_masked_ones_out() -> None:
    model = sequential(L.Embedding(9, 5, mask_zero=True), L.GlobalAveragePooling1D(), shape=(7,))
    check(model, [np.array([[3, 0, 8, 1, 0, 0, 5]], np.float32)])
    model = sequential(L.Masking(0.0), L.GlobalAveragePooling1D(), L.Dense(3), shape=(6, 4))
    feed = np.random.default_rng(3).normal(size=(1, 6, 4)).astype(np.float32)
    feed[0, [1, 4]] = 0
    check(model, [feed])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (lambda: L.ZeroPadding1D(2), ONE),
        (lambda: L.ZeroPadding1D((1, 3)), ONE),
        (lambda: L.ZeroPadding2D(2), TWO),
        (lambda: L.ZeroPadding2D((1, 2)), TWO),
        (lambda: L.ZeroPadding2D(((1, 2), (3, 0))), TWO),
        (lambda: L.ZeroPadding3D(((1, 2), (3, 0), (0, 4))), THREE),
        (lambda: L.Cropping1D((1, 3)), ONE),
        (lambda: L.Cropping2D(((1, 2), (3, 0))), TWO),
        (lambda: L.Cropping2D(2), TWO),
        (lambda: L.Cropping3D(((1, 0), (3, 1), (0, 4))), THREE),
        (lambda: L.UpSampling1D(3), ONE),
        (lambda: L.UpSampling2D((2, 3)), TWO),
        (lambda: L.UpSampling2D((2, 3), interpolation="bilinear"), TWO),
        (lambda: L.UpSampling3D((2, 3, 1)), THREE),
        (lambda: L.Resizing(7, 17), TWO),
        (lambda: L.Resizing(20, 5, interpolation="nearest"), TWO),
    ],
)
def test_resizing(layer: Any, shape: tuple[int, ...]) -> None:
    check(sequential(layer(), shape=shape))


def test_refusals_name_the_layer_and_the_reason() -> None:
    model = sequential(L.UpSampling2D(2, interpolation="bicubic", name="larger"), shape=TWO)
    with pytest.raises(mle.errors.UnsupportedError, match=r"'larger'.*interpolation is 'bicubic'"):
        mle.convert(model)


def test_global_pooling_is_a_pooling_layer() -> None:
    converted = check(sequential(L.Conv2D(3, 2), L.GlobalAveragePooling2D(), shape=TWO))
    assert layer_types(converted)[-2:] == ["pooling", "squeeze"]


@pytest.mark.parametrize("kind", ["Max", "Average"])
@pytest.mark.parametrize(
    ("size", "shape"),
    [
        (5, (11, 6)),
        (4, (12, 6)),
        ((4, 3), (9, 11, 6)),
        ((9, 5), (9, 11, 6)),
        ((3, 13), (9, 11, 6)),
        ((2, 3, 4), (5, 7, 9, 6)),
    ],
)
def test_adaptive_pooling(kind: str, size: Any, shape: tuple[int, ...]) -> None:
    layer = getattr(L, f"Adaptive{kind}Pooling{len(shape) - 1}D")
    check(sequential(layer(size), shape=shape))
    check(sequential(layer(size, data_format="channels_first"), shape=(shape[-1], *shape[:-1])))


def test_center_crop() -> None:
    check(sequential(L.CenterCrop(4, 7), shape=TWO))
    check(sequential(L.CenterCrop(4, 7, data_format="channels_first"), shape=(6, 9, 11)))
    with pytest.raises(mle.errors.UnsupportedError, match=r"'crop'.*are fewer than \[12, 7\]"):
        mle.convert(sequential(L.CenterCrop(12, 7, name="crop"), shape=TWO))


def test_adaptive_pooling_to_too_much_is_refused() -> None:
    with pytest.raises(mle.errors.UnsupportedError, match=r"'huge'.*too large"):
        mle.convert(sequential(L.AdaptiveMaxPooling1D(10**9, name="huge"), shape=ONE))
