"""Dense and Embedding, and layers that do nothing when a model is used."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.layers.activation import activate
from mlexplorer.converters.keras.layers.convolution import borders
from mlexplorer.converters.keras.values import Value


@converts("InputLayer")
def input_layer(c: Context) -> Value:
    """InputLayer: the walk knows those of the model's inputs; there is no other."""
    c.refuse("it is not among the model's inputs")


@converts(
    "ActivityRegularization",
    "AlphaDropout",
    "Dropout",
    "GaussianDropout",
    "GaussianNoise",
    "Identity",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "StochasticDepth",
    "StopGradient",
    keeps_mask=True,
)
def identity(c: Context) -> Value:
    """Layers that only training knows vanish."""
    return c.input


@converts(
    "RandomBrightness",
    "RandomColorDegeneration",
    "RandomColorJitter",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomGaussianBlur",
    "RandomGrayscale",
    "RandomHue",
    "RandomPosterization",
    "RandomRotation",
    "RandomSaturation",
    "RandomSharpness",
    "RandomShear",
    "RandomTranslation",
    "RandomZoom",
)
def augmentation(c: Context) -> Value:
    """Augmentation vanishes: Keras applies it in training only."""
    return c.input


@converts("Masking")
def masking(c: Context) -> Value:
    """Masking: steps whose features all are mask_value become zeros, and layers after it leave them out."""
    x = c.as_plain(c.input)
    different = c.add("notEqual", x.blob, part="different", alpha=c.number("mask_value", 0))
    kept = c.add("reduceMax", different, part="kept", axes=[x.rank - 1], keepDims=True)
    y = c.add("multiplyBroadcastable", x.blob, kept)
    return Value(y, x.shape, mask=c.lazily(lambda c: str(c.add("squeeze", kept, axes=[x.rank - 1]))))


@converts("Embedding")
def embedding(c: Context) -> Value:
    """Embedding: rows of a matrix by their index (Core ML: embeddingND). With mask_zero, index 0 is masked."""
    x, (table,) = c.as_plain(c.input), c.weights(1)
    words, size = table.shape
    indices = c.add("expandDims", x.blob, part="indices", axes=[x.rank])
    y = c.add("embeddingND", indices, vocabSize=words, embeddingSize=size, hasBias=False, weights=table.T)
    mask = c.lazily(lambda c: str(c.add("notEqual", x.blob, alpha=0))) if c.get("mask_zero", False) else None
    return Value(y, (*x.shape, size), mask=mask)


@converts("Dense", keeps_mask=True)
def dense(c: Context) -> Value:
    """Dense on the last axis: an innerProduct, on planes a convolution, on more axes a batchedMatmul."""
    use_bias = bool(c.get("use_bias", True))
    kernel, *biases = c.weights(1 + use_bias)
    return activate(c, product(c, c.input, kernel, biases[0] if biases else None), c.get("activation"))


def product(c: Context, x: Value, kernel: Array, bias: Array | None, part: str = "") -> Value:
    """The last axis times a matrix [inputs, outputs], plus a bias."""
    inputs, outputs = kernel.shape
    if x.shape[-1] != inputs:
        raise ValueError(f"the input has {x.shape[-1]} features, its kernel takes {inputs}")
    fields: dict[str, Any] = {} if bias is None else {"hasBias": True, "bias": bias}
    shape = (*x.shape[:-1], outputs)
    if x.planes and x.rank < 5:
        fields |= {"kernelSize": [1, 1], "stride": [1, 1], "dilationFactor": [1, 1], "nGroups": 1}
        fields |= {"valid": {"paddingAmounts": borders([(0, 0), (0, 0)])}}
        y = c.add(
            "convolution",
            x.blob,
            part=part,
            outputChannels=outputs,
            kernelChannels=inputs,
            weights=kernel.T,
            **fields,
        )
        return Value(y, shape, planes=True)
    if x.rank < 4:
        sizes = {"inputChannels": inputs, "outputChannels": outputs}
        return Value(c.add("innerProduct", c.plain(x), part=part, **sizes, weights=kernel.T, **fields), shape)
    sizes = {"weightMatrixFirstDimension": inputs, "weightMatrixSecondDimension": outputs}
    # Core ML stores the matrix column by column.
    return Value(c.add("batchedMatmul", c.plain(x), part=part, **sizes, weights=kernel.T, **fields), shape)


@converts("EinsumDense")
def einsum_dense(c: Context) -> Value:
    """EinsumDense whose equation is a Dense on the last axes, such as "abc,cd->abd" or "abc,cde->abde"."""
    x = c.input
    left, result = str(c.get("equation")).replace(" ", "").replace("...", "").split("->")
    source, matrix = left.split(",")
    has_bias = c.get("bias_axes") is not None
    kernel, *biases = c.weights(1 + has_bias)
    common = [axis for axis in matrix if axis in source and axis not in result]
    new = [axis for axis in matrix if axis not in source]
    kept = source[: len(source) - len(common)]
    if (
        not common
        or list(matrix) != [*common, *new]
        or source != kept + "".join(common)
        or result != kept + "".join(new)
    ):
        c.refuse(f"its equation is {c.get('equation')!r}; it must be a product over the last axes")
    shape = x.shape[: x.rank - len(common)]
    sizes = kernel.shape[len(common) :]
    rows = c.reshape(x, [*shape, int(np.prod(kernel.shape[: len(common)]))], "rows") if len(common) > 1 else x
    bias = np.broadcast_to(biases[0], sizes).reshape(-1) if biases else None
    split = len(sizes) != 1
    y = product(c, rows, kernel.reshape(rows.shape[-1], -1), bias, "product" if split else "")
    return activate(c, c.reshape(y, [*shape, *sizes]) if split else y, c.get("activation"))
