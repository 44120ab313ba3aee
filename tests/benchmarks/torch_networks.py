"""Peers of the runtime: a network of the NeuralNetwork format in torch, with the same weights, and exported as ONNX.

Only the layers of the style network and of SqueezeNet are translated, on images of shape [N, C, H, W].
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.graph import Node
from mlexplorer.spec.weight_params import write_floats

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
SQUEEZENET = CORPUS / "mlmodel/chaytanc+ModelVale/SqueezeNetInt8LUT@694a119.mlmodel"


class TorchNetwork(torch.nn.Module):
    """The layers of a model as torch functions; raises ValueError for a layer that is not translated."""

    def __init__(self, model: mle.Model) -> None:
        super().__init__()
        self.nodes = model.graph.nodes
        for node in self.nodes:
            for weight in node.weights:
                array = torch.from_numpy(np.array(weight.array(), np.float32))
                self.register_buffer(buffer_name(node, weight.name), array)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        blobs = {self.nodes[0].inputs[0]: x}
        for node in self.nodes:
            blobs[node.outputs[0]] = self._layer(node, [blobs[name] for name in node.inputs])
        return blobs[self.nodes[-1].outputs[0]]

    def _layer(self, node: Node, inputs: list[torch.Tensor]) -> torch.Tensor:
        params, x = node.params, inputs[0]
        match node.type:
            case "convolution":
                (top, bottom), (left, right) = _edges(params.valid) or [(0, 0), (0, 0)]
                if (top, left) != (bottom, right):
                    raise ValueError(f"layer {node.name!r} pads one side only")
                bias = self._weight(node, "bias") if params.hasBias else None
                weights, stride = self._weight(node, "weights"), list(params.stride)
                return functional.conv2d(x, weights, bias, stride, [top, left], list(params.dilationFactor))
            case "pooling":
                if params.globalPooling and params.type == params.AVERAGE:
                    return x.mean((2, 3), keepdim=True)
                if params.type != params.MAX or any(params.includeLastPixel.paddingAmounts):
                    raise ValueError(f"layer {node.name!r} pools in another way")
                return functional.max_pool2d(x, list(params.kernelSize), list(params.stride), ceil_mode=True)
            case "activation" if params.WhichOneof("NonlinearityType") == "ReLU":
                return torch.relu(x)
            case "activation" if params.WhichOneof("NonlinearityType") == "tanh":
                return torch.tanh(x)
            case "activation" if params.WhichOneof("NonlinearityType") == "linear":
                return x * params.linear.alpha + params.linear.beta
            case "batchnorm" if params.instanceNormalization:
                gamma, beta = self._weight(node, "gamma"), self._weight(node, "beta")
                return functional.instance_norm(x, weight=gamma, bias=beta, eps=params.epsilon)
            case "padding" if params.WhichOneof("PaddingType") == "reflection":
                (top, bottom), (left, right) = _edges(params)
                return functional.pad(x, (left, right, top, bottom), "reflect")
            case "upsample":
                return functional.interpolate(x, scale_factor=float(params.scalingFactor[0]), mode="nearest")
            case "crop":
                return x[..., : inputs[1].shape[2], : inputs[1].shape[3]]
            case "add":
                return x + inputs[1]
            case "concat":
                return torch.cat(inputs, 1)
            case "softmax":
                return torch.softmax(x, 1)
        raise ValueError(f"layer {node.name!r} ({node.type}) is not translated to torch")

    def _weight(self, node: Node, name: str) -> Any:
        return getattr(self, buffer_name(node, name))


def buffer_name(node: Node, weight: str) -> str:
    return f"{node.name}:{weight}".replace(".", "_").replace("/", "_")


def exported(network: TorchNetwork, image: np.ndarray[Any, Any]) -> bytes:
    """The ONNX file that torch's own exporter writes for images of one size."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # this exporter is the older of two, but needs no further package
        torch.onnx.export(network, (torch.from_numpy(image),), file, dynamo=False)
    return file.getvalue()


def squeezenet() -> mle.Model:
    """The SqueezeNet of the corpus, its weights tables of 8 bits, or one with random weights where that is absent."""
    return mle.load(SQUEEZENET) if SQUEEZENET.is_file() else random_squeezenet()


def random_squeezenet() -> mle.Model:
    """SqueezeNet 1.1 (Iandola et al. 2016) for 227x227 pixels and 1,000 classes, with random weights."""
    model = spec.Model(specificationVersion=1)
    description = model.description
    image = description.input.add(name="image").type.imageType
    image.width = image.height = 227
    image.colorSpace = image.ColorSpace.Value("BGR")
    description.output.add(name="scores").type.dictionaryType.stringKeyType.SetInParent()
    description.output.add(name="label").type.stringType.SetInParent()
    description.predictedFeatureName, description.predictedProbabilitiesName = "label", "scores"
    network = model.neuralNetworkClassifier
    network.stringClassLabels.vector.extend(f"class {n}" for n in range(1000))
    rng = np.random.default_rng(0)

    def convolution(name: str, x: str, inputs: int, outputs: int, size: int, stride: int = 1) -> str:
        layer = network.layers.add(name=name, input=[x], output=[name]).convolution
        layer.outputChannels, layer.kernelChannels, layer.nGroups, layer.hasBias = outputs, inputs, 1, True
        for field, value in ((layer.kernelSize, size), (layer.stride, stride), (layer.dilationFactor, 1)):
            field.extend([value, value])
        edge = size // 2 if stride == 1 else 0
        for _ in range(2):
            layer.valid.paddingAmounts.borderAmounts.add(startEdgeSize=edge, endEdgeSize=edge)
        weights = rng.normal(size=(outputs, inputs, size, size)) * (2 / (inputs * size**2)) ** 0.5
        write_floats(layer.weights, weights.astype(np.float32))
        write_floats(layer.bias, np.zeros(outputs, np.float32))
        network.layers.add(name=f"relu_{name}", input=[name], output=[f"relu_{name}"]).activation.ReLU.SetInParent()
        return f"relu_{name}"

    def pooling(name: str, x: str) -> str:
        layer = network.layers.add(name=name, input=[x], output=[name]).pooling
        layer.kernelSize.extend([3, 3])
        layer.stride.extend([2, 2])
        layer.includeLastPixel.paddingAmounts.extend([0, 0])
        return name

    x, inputs = pooling("pool1", convolution("conv1", "image", 3, 64, 3, 2)), 64
    for fire, (squeeze, expand) in enumerate([(16, 64)] * 2 + [(32, 128)] * 2 + [(48, 192)] * 2 + [(64, 256)] * 2, 2):
        s = convolution(f"fire{fire}/squeeze", x, inputs, squeeze, 1)
        both = [convolution(f"fire{fire}/expand{n}", s, squeeze, expand, n) for n in (1, 3)]
        x, inputs = f"fire{fire}", 2 * expand
        network.layers.add(name=x, input=both, output=[x]).concat.SetInParent()
        if fire in (3, 5):
            x = pooling(f"pool{fire}", x)
    x = convolution("conv10", x, inputs, 1000, 1)
    layer = network.layers.add(name="pool10", input=[x], output=["pool10"]).pooling
    layer.type, layer.globalPooling = layer.AVERAGE, True
    layer.valid.SetInParent()
    network.layers.add(name="probabilities", input=["pool10"], output=["probabilities"]).softmax.SetInParent()
    return mle.load(model)


def _edges(params: Any) -> list[tuple[int, int]]:
    return [(edge.startEdgeSize, edge.endEdgeSize) for edge in params.paddingAmounts.borderAmounts]
