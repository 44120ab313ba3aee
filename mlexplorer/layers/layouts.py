"""The shapes of all weights of the NeuralNetwork format: one table of facts for the layer types that hold WeightParams.

Matrices are row-major with output channels first, with two exceptions: a deconvolution stores its input channels first,
and batchedMatmul stores its matrix column by column, which is the row-major transpose given here. Linear quantization
may have one scale for each output channel of the weights with a `channel_axis`, and a single one elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlexplorer.layers.layer_type import WeightLayout, lays_out

_LSTM_GATES = ("inputGate", "forgetGate", "blockInput", "outputGate")
_LSTM_PEEPHOLES = ("inputGate", "forgetGate", "outputGate")
_GRU_GATES = ("updateGate", "resetGate", "outputGate")


def _vector(length: int) -> WeightLayout:
    return WeightLayout((int(length),))


def _matrix(rows: int, columns: int) -> WeightLayout:
    return WeightLayout((int(rows), int(columns)), 0)


@lays_out("convolution")
def convolution(params: Any) -> Mapping[str, WeightLayout]:
    """[out, in / groups, height, width]; a deconvolution's are [in, out / groups, height, width]."""
    outputs, kernel_channels = int(params.outputChannels), int(params.kernelChannels)
    kernel = tuple(int(n) for n in params.kernelSize) or (3, 3)
    if params.isDeconvolution:
        weights = WeightLayout((kernel_channels, outputs // (int(params.nGroups) or 1), *kernel), 1)
    else:
        weights = WeightLayout((outputs, kernel_channels, *kernel), 0)
    return {"weights": weights, "bias": _vector(outputs)}


@lays_out("convolution3d")
def convolution3d(params: Any) -> Mapping[str, WeightLayout]:
    """[out, in / groups, depth, height, width]; a deconvolution's are [in, out / groups, depth, height, width]."""
    outputs, inputs, groups = int(params.outputChannels), int(params.inputChannels), int(params.nGroups) or 1
    kernel = (int(params.kernelDepth), int(params.kernelHeight), int(params.kernelWidth))
    if params.isDeconvolution:
        weights = WeightLayout((inputs, outputs // groups, *kernel), 1)
    else:
        weights = WeightLayout((outputs, inputs // groups, *kernel), 0)
    return {"weights": weights, "bias": _vector(outputs)}


@lays_out("innerProduct")
def inner_product(params: Any) -> Mapping[str, WeightLayout]:
    """[out, in]."""
    return {
        "weights": _matrix(params.outputChannels, params.inputChannels),
        "bias": _vector(params.outputChannels),
    }


@lays_out("batchedMatmul")
def batched_matmul(params: Any) -> Mapping[str, WeightLayout]:
    """[second dimension, first dimension]: the matrix of shape [first, second] is stored column by column."""
    columns = params.weightMatrixSecondDimension
    return {"weights": _matrix(columns, params.weightMatrixFirstDimension), "bias": _vector(columns)}


@lays_out("embedding")
def embedding(params: Any) -> Mapping[str, WeightLayout]:
    """[out, inputDim]."""
    return {"weights": _matrix(params.outputChannels, params.inputDim), "bias": _vector(params.outputChannels)}


@lays_out("embeddingND")
def embedding_nd(params: Any) -> Mapping[str, WeightLayout]:
    """[embeddingSize, vocabSize]."""
    return {"weights": _matrix(params.embeddingSize, params.vocabSize), "bias": _vector(params.embeddingSize)}


@lays_out("batchnorm")
def batchnorm(params: Any) -> Mapping[str, WeightLayout]:
    """Four vectors over the channels."""
    return dict.fromkeys(("gamma", "beta", "mean", "variance"), _vector(params.channels))


@lays_out("layerNormalization")
def layer_normalization(params: Any) -> Mapping[str, WeightLayout]:
    """Two arrays of normalizedShape."""
    return dict.fromkeys(("gamma", "beta"), _constant(params.normalizedShape))


@lays_out("scale")
def scale(params: Any) -> Mapping[str, WeightLayout]:
    """[1], [C] or [1, C, H, W], as shapeScale and shapeBias say."""
    return {"scale": _constant(params.shapeScale), "bias": _constant(params.shapeBias)}


@lays_out("bias")
def bias(params: Any) -> Mapping[str, WeightLayout]:
    """[1], [C] or [1, C, H, W], as shape says."""
    return {"bias": _constant(params.shape)}


@lays_out("loadConstant", "loadConstantND")
def load_constant(params: Any) -> Mapping[str, WeightLayout]:
    """The shape that the layer states."""
    return {"data": _constant(params.shape)}


def _constant(shape: Any) -> WeightLayout:
    return WeightLayout(tuple(int(n) for n in shape) or (1,))


@lays_out("activation", "custom")
def vectors(params: Any) -> Mapping[str, WeightLayout]:
    """Nothing states a shape: the slopes of an activation and the weights of a custom layer are vectors."""
    return {}


@lays_out("simpleRecurrent")
def simple_recurrent(params: Any) -> Mapping[str, WeightLayout]:
    """[out, in] for the input, [out, out] for the state."""
    inputs, outputs = params.inputVectorSize, params.outputVectorSize
    return {
        "weightMatrix": _matrix(outputs, inputs),
        "recursionMatrix": _matrix(outputs, outputs),
        "biasVector": _vector(outputs),
    }


@lays_out("gru")
def gru(params: Any) -> Mapping[str, WeightLayout]:
    """[out, in] for the input, [out, out] for the state, for each of three gates."""
    return _gates(_GRU_GATES, params)


@lays_out("uniDirectionalLSTM", "biDirectionalLSTM")
def lstm(params: Any) -> Mapping[str, WeightLayout]:
    """[out, in] for the input, [out, out] for the state, for each of four gates; peepholes are vectors.

    `weightParams` is repeated, forward then backward, in a biDirectionalLSTM.
    """
    gates = _gates(_LSTM_GATES, params)
    gates |= {f"{gate}PeepholeVector": _vector(params.outputVectorSize) for gate in _LSTM_PEEPHOLES}
    both = params.DESCRIPTOR.name == "BiDirectionalLSTMLayerParams"
    prefixes = ("weightParams[0]", "weightParams[1]") if both else ("weightParams",)
    return {f"{prefix}.{name}": layout for prefix in prefixes for name, layout in gates.items()}


def _gates(gates: tuple[str, ...], params: Any) -> dict[str, WeightLayout]:
    inputs, outputs = params.inputVectorSize, params.outputVectorSize
    kinds = {
        "WeightMatrix": _matrix(outputs, inputs),
        "RecursionMatrix": _matrix(outputs, outputs),
        "BiasVector": _vector(outputs),
    }
    return {f"{gate}{kind}": layout for kind, layout in kinds.items() for gate in gates}
