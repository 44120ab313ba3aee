"""Attention layers against Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.errors import FileFormatError
from tests.converters.keras.comparing import TOLERANCE, check, error, keras, keras_outputs, random_input, randomize

L = keras.layers


def attended(layer: Any, count: int, **arguments: Any) -> Any:
    inputs = [keras.Input((5, 6)), keras.Input((7, 6)), keras.Input((7, 6))][:count]
    return keras.Model(inputs, layer(inputs, **arguments))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize(
    "layer",
    [
        lambda: L.Attention(),
        lambda: L.Attention(use_scale=True),
        lambda: L.Attention(score_mode="concat", use_scale=True),
        lambda: L.AdditiveAttention(),
        lambda: L.AdditiveAttention(use_scale=False),
    ],
)
def test_attention(layer: Any, count: int) -> None:
    check(attended(layer(), count))
    check(attended(layer(), count, use_causal_mask=True))
    check(attended(layer(), count, return_attention_scores=True))


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_heads": 2, "key_dim": 3},
        {"num_heads": 3, "key_dim": 4, "value_dim": 5, "use_bias": False},
        {"num_heads": 2, "key_dim": 3, "output_shape": 9},
        {"num_heads": 2, "key_dim": 3, "value_dim": 5, "use_gate": True},
        {"num_heads": 2, "key_dim": 3, "use_gate": True, "use_bias": False},
        {"num_heads": 2, "key_dim": 3, "sliding_window": 3},
    ],
    ids=str,
)
def test_multi_head_attention(arguments: dict[str, Any]) -> None:
    query, value, key = keras.Input((5, 6)), keras.Input((7, 4)), keras.Input((7, 3))
    layer = L.MultiHeadAttention(**arguments)
    check(keras.Model([query, value], layer(query, value)))
    check(keras.Model([query, value, key], L.MultiHeadAttention(**arguments)(query, value, key=key)))
    layer = L.MultiHeadAttention(**arguments)
    check(keras.Model([query, value], layer(query, value, return_attention_scores=True)))
    check(keras.Model(query, L.MultiHeadAttention(**arguments)(query, query, use_causal_mask=True)))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"use_bias": False},
        {"use_gate": True},
        {"sliding_window": 3},
        {"num_key_value_heads": 1},
        {"num_key_value_heads": 6},
    ],
    ids=str,
)
def test_grouped_query_attention(arguments: dict[str, Any]) -> None:
    def layer() -> Any:
        return L.GroupQueryAttention(**{"head_dim": 4, "num_query_heads": 6, "num_key_value_heads": 3, **arguments})

    query, value, key = keras.Input((5, 8)), keras.Input((7, 8)), keras.Input((7, 3))
    model = keras.Model([query, value], layer()(query, value))
    check(model)
    check(keras.Model([query, value, key], layer()(query, value, key=key, use_causal_mask=True)))
    check(keras.Model([query, value], layer()(query, value, return_attention_scores=True)))


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
@pytest.mark.parametrize("use_gate", [False, True])
@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("kind", [L.MultiHeadAttention, L.GroupQueryAttention])
def test_files_of_attention(kind: Any, use_bias: bool, use_gate: bool, suffix: str, tmp_path: Path) -> None:
    """Files have the weights under other names, and in another order than each other."""
    query, value = keras.Input((5, 8)), keras.Input((7, 8))
    sizes = (2, 3) if kind is L.MultiHeadAttention else (4, 6, 3)
    layers = [kind(*sizes, use_bias=use_bias, use_gate=use_gate) for _ in range(2)]
    model = keras.Model([query, value], layers[0](query, layers[1](value, value)))
    randomize(model)
    path = tmp_path / f"model{suffix}"
    if suffix == ".weights.h5":
        model.save_weights(path)
        converted = mle.convert(model.to_json(), weights=path)
    else:
        model.save(path)
        converted = mle.convert(path)
    feeds = [random_input(shape, seed) for seed, shape in enumerate([(1, 5, 8), (1, 7, 8)])]
    names = [feature.name for feature in converted.inputs]
    (got,) = mle.predict(converted, dict(zip(names, feeds, strict=True))).values()
    assert error(got, keras_outputs(model, feeds)[0]) <= TOLERANCE


def test_weights_of_attention_that_do_not_fit_are_told(tmp_path: Path) -> None:
    query = keras.Input((5, 8))
    model = keras.Model(query, L.GroupQueryAttention(4, 6, 3)(query, query))
    architecture = model.to_json().replace('"use_gate": false', '"use_gate": true')
    model.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(FileFormatError, match=r"has 8 weights and needs 10 \(query/kernel, .*gate/kernel"):
        mle.convert(architecture, weights=tmp_path / "a.weights.h5")


@pytest.mark.parametrize("layer", [lambda: L.MultiHeadAttention(2, 3), lambda: L.GroupQueryAttention(3, 4, 2)])
def test_attention_mask(layer: Any) -> None:
    query, mask = keras.Input((5, 6)), keras.Input((5, 5))
    kept = np.tril(np.ones((1, 5, 5), np.float32))
    kept[0, 3, 1] = 0
    model = keras.Model([query, mask], layer()(query, query, attention_mask=mask))
    check(model, [random_input((1, 5, 6)), kept])


def test_transformer_block() -> None:
    tokens = keras.Input((9,))
    x = L.Embedding(20, 8)(tokens)
    x = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x))
    x = L.LayerNormalization()(x + L.Dense(8)(L.Dense(16, activation="gelu")(x)))
    model = keras.Model(tokens, L.Dense(3)(L.GlobalAveragePooling1D()(x)))
    check(model, [np.random.default_rng(2).integers(0, 20, (1, 9)).astype(np.float32)])


def test_masks_of_the_inputs() -> None:
    """Of query and value: Attention gives zeros for masked queries, MultiHeadAttention the mean of all values."""
    first, second = keras.Input((9,)), keras.Input((7,))
    x, y = (L.Embedding(20, 8, mask_zero=True)(tokens) for tokens in (first, second))
    feeds = [np.array([[3, 0, 7, 1, 0, 2, 9, 0, 4]], np.float32), np.array([[0, 5, 2, 0, 8, 1, 0]], np.float32)]
    for layer in (L.Attention(), L.AdditiveAttention()):
        check(keras.Model([first, second], L.Dense(3)(layer([x, y]))), feeds)
        check(keras.Model([first, second], layer([x, y], use_causal_mask=True)), feeds)
    # With scores, Keras computes by softmax, not by torch's own attention, which gives zeros for masked queries.
    for arguments in ({}, {"use_causal_mask": True}):
        scored = L.MultiHeadAttention(2, 4)(x, y, return_attention_scores=True, **arguments)
        check(keras.Model([first, second], scored), feeds)
        scored = L.GroupQueryAttention(4, 6, 2)(x, y, return_attention_scores=True, **arguments)
        check(keras.Model([first, second], scored), feeds)
    check(keras.Model([first, second], L.MultiHeadAttention(2, 4)(L.Embedding(20, 8)(first), y)), feeds)
