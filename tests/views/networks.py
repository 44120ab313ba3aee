"""Graphs of networks that are written down as a list: what a layer is called, what it is, what it reads."""

from __future__ import annotations

from typing import Any

from mlexplorer import spec
from mlexplorer.model import Model


def network(*layers: tuple[str, ...], inputs: tuple[str, ...] = ("x",), outputs: tuple[str, ...] = ()) -> Model:
    """A model of layers (name, type, what it reads ...), each of which writes a blob of its own name.

    The type "relu" is an activation; "custom:Name" a custom layer of that class; "convolution:5" one of five channels.
    Without `outputs` the last layer is the output.
    """
    message = spec.Model(specificationVersion=4)
    for name in inputs:
        feature = message.description.input.add(name=name)
        feature.type.multiArrayType.shape.extend((3, 5, 7))
    add_layers(message.neuralNetwork, *layers)
    for name in outputs or (layers[-1][0],):
        message.description.output.add(name=name).type.multiArrayType.SetInParent()
    return Model(message)


def add_layers(target: Any, *layers: tuple[str, ...]) -> None:
    """Append layers to a NeuralNetwork message."""
    for name, kind, *reads in layers:
        layer = target.layers.add(name=name, input=reads, output=[name])
        kind, _, detail = kind.partition(":")
        if kind == "relu":
            layer.activation.ReLU.SetInParent()
        elif kind == "custom":
            layer.custom.className = detail
            layer.custom.description = f"what {detail} does"
            layer.custom.parameters["crop"].intValue = 2
        elif kind == "convolution":
            channels = int(detail or 3)
            layer.convolution.outputChannels = channels
            layer.convolution.kernelChannels = 2
            layer.convolution.kernelSize.extend((1, 1))
            layer.convolution.weights.floatValue.extend(range(channels * 2))
        else:
            getattr(layer, kind).SetInParent()


def residual(count: int, kind: str = "convolution", channels: str = "3") -> list[tuple[str, ...]]:
    """Blocks of two layers and the sum of what they give and what they get, one after the other."""
    layers: list[tuple[str, ...]] = [("stem", "pooling", "x")]
    before = "stem"
    for i in range(count):
        layers += [
            (f"first{i}", f"convolution:{channels}", before),
            (f"rest{i}", "relu", f"first{i}"),
            (f"second{i}", kind, f"rest{i}"),
            (f"sum{i}", "add", before, f"second{i}"),
        ]
        before = f"sum{i}"
    return [*layers, ("head", "pooling", before)]
