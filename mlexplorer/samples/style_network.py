"""The style-transfer network of Johnson et al. (2016) as a Core ML specification, and back to its weights.

    image ─ conv1 9x9 ─ conv2 3x3, halves ─ conv3 3x3, halves ─ residual1 ... residual5
          ─ upsample1 3x3, doubles ─ upsample2 3x3, doubles ─ crop ─ output 9x9 ─ stylized

Every convolution is padded by reflection and, but for the last, followed by instance normalization; the upsamplings
repeat pixels and convolve. Two halvings round up, so the upsampled picture is up to three pixels larger than the
input: it is cropped to the input's size, and any size of picture works.

Weights travel as a mapping from names in PyTorch's form to float32 arrays: `conv1.weight` (out, in, height, width),
`conv1.norm.weight` and `conv1.norm.bias` (channels), `residual3.conv2.weight`, `upsample1.conv.weight`,
`output.weight`, `output.bias`. The layers of the specification have the same names without the last part.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer import spec
from mlexplorer.errors import ModelError
from mlexplorer.spec.weight_params import read_floats, write_floats

INPUT = "image"
OUTPUT = "stylized"
DEFAULT_SIZE = (480, 320)
SIZE_RANGE = (64, 1920)
EPSILON = 1e-5

Weights = Mapping[str, NDArray[np.float32]]


def export(weights: Weights, description: str = "Paints a photograph in another style.") -> Any:
    """The `spec.Model` of a style network with these weights, in 32-bit floats.

    The number of residual blocks and the channels of each layer are those of the arrays. The image, RGB, may have any
    width and height from 64 to 1920 (480 x 320 by default); the stylized image has the same size. Raises `ModelError`
    where an array is missing or has the wrong number of axes.
    """
    model = spec.Model(specificationVersion=3)
    _describe(model.description, description)
    network = model.neuralNetwork
    network.preprocessing.add(featureName=INPUT).scaler.channelScale = 1 / 255
    build = _Builder(network, weights)
    x = build.convolution("conv1", INPUT)
    x = build.convolution("conv2", x, stride=2)
    x = build.convolution("conv3", x, stride=2)
    for block in _residual_blocks(weights):
        x = build.residual(block, x)
    x = build.upsampling("upsample1", x)
    x = build.upsampling("upsample2", x)
    x = build.crop("crop", x, INPUT)
    build.output("output", x)
    return model


def weights_of(model: Any) -> dict[str, NDArray[np.float32]]:
    """The weights of a `spec.Model` that `export` made, by name.

    Raises `ModelError` where a layer holds no 32-bit floats, in a quantized copy say.
    """
    weights = {}
    for layer in model.neuralNetwork.layers:
        match layer.WhichOneof("layer"):
            case "convolution":
                convolution = layer.convolution
                shape = (convolution.outputChannels, convolution.kernelChannels, *convolution.kernelSize)
                weights[f"{layer.name}.weight"] = _floats(layer.name, convolution.weights, shape)
                if convolution.hasBias:
                    weights[f"{layer.name}.bias"] = _floats(layer.name, convolution.bias, shape[:1])
            case "batchnorm":
                channels = (layer.batchnorm.channels,)
                weights[f"{layer.name}.weight"] = _floats(layer.name, layer.batchnorm.gamma, channels)
                weights[f"{layer.name}.bias"] = _floats(layer.name, layer.batchnorm.beta, channels)
    return weights


class _Builder:
    """Appends layers to a NeuralNetwork; each method returns the name of what the last layer gives."""

    def __init__(self, network: Any, weights: Weights) -> None:
        self.network = network
        self.weights = weights

    def convolution(self, name: str, x: str, *, stride: int = 1, relu: bool = True) -> str:
        x = self._padded_convolution(name, x, stride)
        x = self._normalization(f"{name}.norm", x)
        return self._activation(f"{name}.relu", x, "ReLU") if relu else x

    def residual(self, name: str, x: str) -> str:
        y = self.convolution(f"{name}.conv1", x)
        y = self.convolution(f"{name}.conv2", y, relu=False)
        self._layer(f"{name}.add", [x, y]).add.SetInParent()
        return f"{name}.add"

    def upsampling(self, name: str, x: str) -> str:
        upsample = self._layer(name, [x]).upsample
        upsample.scalingFactor.extend([2, 2])
        upsample.mode = upsample.InterpolationMode.Value("NN")
        return self.convolution(f"{name}.conv", name)

    def crop(self, name: str, x: str, reference: str) -> str:
        self._layer(name, [x, reference]).crop.offset.extend([0, 0])
        return name

    def output(self, name: str, x: str) -> None:
        x = self._padded_convolution(name, x, stride=1)
        x = self._activation(f"{name}.tanh", x, "tanh")
        scale = self._layer(f"{name}.scale", [x], output=OUTPUT).activation.linear
        scale.alpha = scale.beta = 127.5

    def _padded_convolution(self, name: str, x: str, stride: int) -> str:
        weight = self._array(f"{name}.weight", axes=4)
        padding = self._layer(f"{name}.pad", [x]).padding
        padding.reflection.SetInParent()
        for size in weight.shape[2:]:
            padding.paddingAmounts.borderAmounts.add(startEdgeSize=size // 2, endEdgeSize=size // 2)
        convolution = self._layer(name, [f"{name}.pad"]).convolution
        convolution.outputChannels, convolution.kernelChannels = weight.shape[:2]
        convolution.nGroups = 1
        convolution.kernelSize.extend(weight.shape[2:])
        convolution.stride.extend([stride, stride])
        convolution.dilationFactor.extend([1, 1])
        for _ in range(2):
            convolution.valid.paddingAmounts.borderAmounts.add()
        write_floats(convolution.weights, weight)
        if f"{name}.bias" in self.weights:
            convolution.hasBias = True
            write_floats(convolution.bias, self._array(f"{name}.bias", axes=1))
        return name

    def _normalization(self, name: str, x: str) -> str:
        gamma, beta = self._array(f"{name}.weight", axes=1), self._array(f"{name}.bias", axes=1)
        batchnorm = self._layer(name, [x]).batchnorm
        batchnorm.channels = len(gamma)
        batchnorm.computeMeanVar = batchnorm.instanceNormalization = True
        batchnorm.epsilon = EPSILON
        write_floats(batchnorm.gamma, gamma)
        write_floats(batchnorm.beta, beta)
        return name

    def _activation(self, name: str, x: str, kind: str) -> str:
        getattr(self._layer(name, [x]).activation, kind).SetInParent()
        return name

    def _layer(self, name: str, inputs: list[str], output: str = "") -> Any:
        return self.network.layers.add(name=name, input=inputs, output=[output or name])

    def _array(self, name: str, axes: int) -> NDArray[np.float32]:
        if name not in self.weights:
            raise ModelError(f"The style network needs the array {name!r}; there is none of that name.")
        array = np.asarray(self.weights[name], np.float32)
        if array.ndim != axes:
            raise ModelError(f"The array {name!r} of the style network has shape {array.shape}; it needs {axes} axes.")
        return array


def _describe(description: Any, text: str) -> None:
    description.metadata.shortDescription = text
    description.metadata.author = "mlexplorer"
    description.metadata.license = "MIT"
    for feature, meaning in (
        (description.input.add(name=INPUT), "A photograph."),
        (description.output.add(name=OUTPUT), "The photograph in the style, at the same size."),
    ):
        feature.shortDescription = meaning
        image = feature.type.imageType
        image.width, image.height = DEFAULT_SIZE
        image.colorSpace = image.ColorSpace.Value("RGB")
        for side in (image.imageSizeRange.widthRange, image.imageSizeRange.heightRange):
            side.lowerBound, side.upperBound = SIZE_RANGE


def _residual_blocks(weights: Weights) -> list[str]:
    blocks = {name.partition(".")[0] for name in weights if name.startswith("residual")}
    return sorted(blocks, key=lambda block: (len(block), block))


def _floats(layer: str, params: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    values = read_floats(params)
    if values.size != np.prod(shape):
        raise ModelError(f"Layer {layer!r} holds {values.size} 32-bit floats; its shape {shape} needs another number.")
    return values.reshape(shape)
