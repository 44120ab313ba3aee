from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import check_layer, run_layer
from tests.layers.arrays import normal


@pytest.mark.parametrize(
    ("shape", "result"),
    [
        ((24,), (7,)),
        ((5, 24), (5, 7)),
        ((3, 5, 24), (3, 5, 7)),
        ((5, 2, 3, 4), (5, 7, 1, 1)),
        ((6, 5, 2, 3, 4), (6, 5, 7, 1, 1)),
    ],
)
@pytest.mark.parametrize("has_bias", [False, True])
def test_inner_product_keeps_the_rank(shape: tuple[int, ...], result: tuple[int, ...], has_bias: bool) -> None:
    x, weights, bias = normal(*shape), normal(7, 24, seed=1), normal(7)
    expected = x.reshape(-1, 24) @ weights.T + (bias if has_bias else 0)
    fields = {"inputChannels": 24, "outputChannels": 7, "hasBias": has_bias}
    own = {"weights": weights} | ({"bias": bias} if has_bias else {})
    check_layer("innerProduct", fields, [x], expected.reshape(result), weights=own)


def test_inner_product_of_a_legacy_vector() -> None:
    x, weights = normal(24), normal(7, 24, seed=1)
    fields = {"inputChannels": 24, "outputChannels": 7}
    check_layer(
        "innerProduct", fields, [x], (weights @ x).reshape(1, 1, 7, 1, 1), weights={"weights": weights}, exact=False
    )


@pytest.mark.parametrize("type", ["innerProduct", "batchedMatmul"])
def test_weights_of_dynamic_quantization(type: str) -> None:
    x, codes, bias = normal(3, 6), np.random.default_rng(1).integers(-127, 128, (4, 6), np.int8), normal(4)

    def fill(params: Any) -> None:
        if type == "innerProduct":
            params.inputChannels, params.outputChannels = 6, 4
        else:
            params.weightMatrixFirstDimension, params.weightMatrixSecondDimension = 6, 4
        params.int8DynamicQuantize = params.hasBias = True
        params.weights.int8RawValue = codes.tobytes()
        params.weights.quantization.numberOfBits = 8
        params.weights.quantization.linearQuantization.scale.append(0.03125)

    check_layer(type, fill, [x], x @ codes.T * 0.03125 + bias, weights={"bias": bias})


@pytest.mark.parametrize(
    ("a", "b", "shape"),
    [
        ((6,), (6,), (1, 1)),
        ((4, 6), (6,), (4, 1)),
        ((6,), (2, 6, 3), (2, 1, 3)),
        ((3, 4), (4, 5), (3, 5)),
        ((2, 1, 3, 4), (5, 4, 6), (2, 5, 3, 6)),
    ],
)
def test_batched_matmul_of_two_inputs(a: tuple[int, ...], b: tuple[int, ...], shape: tuple[int, ...]) -> None:
    x, y = normal(*a, seed=1), normal(*b, seed=2)
    expected = np.matmul(x, y).reshape(shape)
    check_layer("batchedMatmul", {}, [x, y], expected)
    turned = [v.swapaxes(-1, -2) if v.ndim > 1 else v for v in (x, y)]
    check_layer("batchedMatmul", {"transposeA": True, "transposeB": True}, turned, expected)


@pytest.mark.parametrize("shape", [(6,), (5, 6), (2, 3, 1, 5, 6)])
def test_batched_matmul_with_weights_stored_column_by_column(shape: tuple[int, ...]) -> None:
    x, matrix, bias = normal(*shape), normal(6, 4, seed=1), normal(4)
    fields = {"weightMatrixFirstDimension": 6, "weightMatrixSecondDimension": 4, "hasBias": True, "transposeA": True}
    own = {"weights": matrix.flatten("F"), "bias": bias}
    check_layer("batchedMatmul", fields, [x], x @ matrix + bias, weights=own)


@pytest.mark.parametrize("has_bias", [False, True])
def test_embeddings(has_bias: bool) -> None:
    indices, weights, bias = np.array([4, 0, 2], np.float32), normal(6, 5), normal(6)
    rows = weights[:, indices.astype(int)].T + (bias if has_bias else 0)
    own = {"weights": weights} | ({"bias": bias} if has_bias else {})
    fields: dict[str, Any] = {"inputDim": 5, "outputChannels": 6, "hasBias": has_bias}
    check_layer(
        "embedding", fields, [indices.reshape(3, 1, 1, 1, 1)], rows.reshape(3, 1, 6, 1, 1), weights=own, exact=False
    )
    check_layer("embedding", fields, [indices.reshape(3, 1, 1, 1)], rows.reshape(3, 6, 1, 1), weights=own)
    fields = {"vocabSize": 5, "embeddingSize": 6, "hasBias": has_bias}
    check_layer("embeddingND", fields, [indices.reshape(1, 3, 1)], rows.reshape(1, 3, 6), weights=own)


@pytest.mark.parametrize(
    ("type", "fields", "shape", "message"),
    [
        ("innerProduct", {"inputChannels": 6, "outputChannels": 4}, (3, 5), "vectors of 5 values"),
        ("batchedMatmul", {"weightMatrixFirstDimension": 6, "weightMatrixSecondDimension": 4}, (3, 5), "weight matrix"),
        ("embedding", {"inputDim": 4, "outputChannels": 6}, (3, 1, 1, 2), "last three"),
        ("embeddingND", {"vocabSize": 4, "embeddingSize": 6}, (3, 2), "last of length 1"),
    ],
)
def test_products_refuse_by_name(type: str, fields: Any, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ModelError, match=rf"'layer' \({type}\).*{message}"):
        run_layer(type, fields, [normal(*shape)], weights={"weights": normal(24)})
