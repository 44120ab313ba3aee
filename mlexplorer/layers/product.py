"""Matrix products, and the rows of a matrix by their index."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from mlexplorer.errors import ModelError
from mlexplorer.layers.layer_type import Array, Builder, Layer, Tensor, lowers


@lowers("innerProduct")
def inner_product(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Weights [outputChannels, inputChannels] times each vector, plus a bias (InnerProductLayerParams; ONNX Gemm).

    Vectors lie on the last axis; from rank 4 on they are all of [C, H, W] and become [outputChannels, 1, 1].
    int8DynamicQuantize is computed in floats.
    """
    params = layer.params
    shape = x[0].shape
    leading, own = (shape[:-3], shape[-3:]) if len(shape) > 3 else (shape[:-1], shape[-1:])
    columns, rows = int(params.inputChannels), int(params.outputChannels)
    if prod(own) != columns:
        raise ModelError(
            f"an input of shape {list(shape)} has vectors of {prod(own)} values; inputChannels is {columns}"
        )
    bias = build.weight(layer, "bias") if params.hasBias else None
    y = build.op("Gemm", build.reshape(x[0], [-1, columns]), build.weight(layer, "weights"), bias, transB=1)
    return build.reshape(y, [*leading, rows, *([1, 1] if len(shape) > 3 else [])])


@lowers("batchedMatmul", inputs=(1, 2))
def batched_matmul(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """The matrix product of two inputs, broadcast over the leading axes; of one with weights, plus a bias.

    BatchedMatMulLayerParams; ONNX MatMul. Of two inputs, a vector is a row on the left and a column on the right, and
    the product keeps both axes; transposeA and transposeB count. Of one, the weights are stored column by column.
    """
    params = layer.params
    if len(x) > 1:
        a, b = _matrix(build, x[0], True, params.transposeA), _matrix(build, x[1], False, params.transposeB)
        return build.op("MatMul", a, b)
    shape = int(params.weightMatrixFirstDimension), int(params.weightMatrixSecondDimension)
    if not x[0].shape or x[0].shape[-1] != shape[0]:
        raise ModelError(f"an input of shape {list(x[0].shape)} meets a weight matrix of {list(shape)}")
    y = build.op("MatMul", x[0], build.weight(layer, "weights", combine=lambda w: w.reshape(shape[::-1]).T))
    return build.op("Add", y, build.weight(layer, "bias")) if params.hasBias else y


@lowers("embedding")
def embedding(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Indices [..., 1, 1, 1] to columns [..., outputChannels, 1, 1] of weights (EmbeddingLayerParams; ONNX Gather)."""
    shape = x[0].shape
    if len(shape) < 4 or shape[-3:] != (1, 1, 1):
        raise ModelError(f"an input of shape {list(shape)} must have at least 4 axes, the last three of length 1")
    y = _columns(build, layer, build.reshape(x[0], shape[:-3]))
    return build.reshape(y, [*y.shape, 1, 1])


@lowers("embeddingND")
def embedding_nd(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
    """Indices [..., 1] to columns [..., embeddingSize] of the weights (EmbeddingNDLayerParams; ONNX Gather)."""
    shape = x[0].shape
    if len(shape) < 2 or shape[-1] != 1:
        raise ModelError(f"an input of shape {list(shape)} must have at least 2 axes, the last of length 1")
    return _columns(build, layer, build.reshape(x[0], shape[:-1]))


def _columns(build: Builder, layer: Layer, indices: Tensor) -> Any:
    """The columns of the weights [output, input] at these indices, plus the bias."""
    table = build.weight(layer, "weights", combine=_transposed)
    y = build.op("Gather", table, build.cast(indices, np.int64), axis=0)
    return build.op("Add", y, build.weight(layer, "bias")) if layer.params.hasBias else y


def _transposed(weights: Array) -> Array:
    return weights.T


def _matrix(build: Builder, x: Tensor, left: bool, transposed: bool) -> Any:
    rank = len(x.shape)
    if rank == 1:
        return build.reshape(x, [1, -1] if left else [-1, 1])
    if not transposed:
        return x
    return build.transpose(x, [*range(rank - 2), rank - 1, rank - 2])
