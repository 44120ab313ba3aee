"""Numbers of classes and bins against Keras."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.converters.keras.conversion import convert_keras
from mlexplorer.converters.keras.source_model import Call, KerasLayer, KerasModel, TensorRef
from mlexplorer.converters.options import Options
from tests.converters.keras.comparing import check, keras, sequential

L = keras.layers

WORDS = np.array([[3, 0, 4, 3, 1]], np.float32)


@pytest.mark.parametrize("mode", ["one_hot", "multi_hot", "count"])
def test_category_encoding(mode: str) -> None:
    check(sequential(L.CategoryEncoding(7, output_mode=mode), shape=(5,)), [WORDS])
    check(sequential(L.CategoryEncoding(7, output_mode=mode), shape=(1,)), [WORDS[:, 2:3]])


def test_counts_are_weighted() -> None:
    words, weights = keras.Input((5,)), keras.Input((5,))
    model = keras.Model([words, weights], L.CategoryEncoding(7, output_mode="count")(words, count_weights=weights))
    check(model, [WORDS, np.array([[0.5, 1, 2, 0.25, -1]], np.float32)])


@pytest.mark.parametrize("arguments", [{}, {"output_mode": "one_hot"}, {"output_mode": "count"}])
def test_discretization(arguments: dict[str, Any]) -> None:
    """Numbers on a boundary belong to the bin above it."""
    numbers = np.array([[-3, -0.5, 0.25, 0.3, 9]], np.float32)
    model = sequential(L.Discretization(bin_boundaries=[-0.5, 0.25, 2.0], **arguments), L.Rescaling(0.5), shape=(5,))
    check(model, [numbers])


def test_sparse_vectors_are_refused() -> None:
    config = {"num_tokens": 7, "output_mode": "multi_hot", "sparse": True}
    layers = [
        KerasLayer("x", "InputLayer", {"batch_shape": [None, 5]}, calls=[Call()]),
        KerasLayer("vectors", "CategoryEncoding", config, calls=[Call((TensorRef("x"),))]),
    ]
    with pytest.raises(mle.errors.UnsupportedError, match=r"'vectors'.*sparse True"):
        convert_keras(KerasModel("m", layers, [TensorRef("x")], [TensorRef("vectors")]), Options())
