"""What a conversion function gets and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]
Value = str | bool | int | float


@dataclass(frozen=True)
class SourceLayer:
    """A layer of the model that is being converted: a Keras layer, or an ONNX node.

    `class_name` is the Keras class ("Conv2D"), or the ONNX operator with its domain where that is not ONNX's own
    ("Resize", "com.example::GridSampler"). `configuration` holds Keras' configuration or the operator's attributes,
    `weights` the arrays by name in the order of the source: Keras variables ("kernel", "bias"), or the inputs of the
    operator that are constant. Shapes are those of the source, of one example: batch axis 1 included; an output's is
    empty where nothing in the file tells it. An input's is None behind a layer that nothing converts, which only a
    refusal has to do with: conversion functions get shapes.
    """

    name: str
    class_name: str
    configuration: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Array] = field(default_factory=dict)
    input_shapes: Sequence[Shape | None] = ()
    output_shapes: Sequence[Shape] = ()


@dataclass(frozen=True)
class CustomLayerParams:
    """A custom layer of the converted model (CustomLayerParams).

    `class_name` is the class that the app, or `mle.custom_layer`, registers; `parameters` are handed to it when it is
    made, `weights` afterwards, in their order. `output_shapes` are the shapes that the layer gives, in the axes of the
    source, for the layers that follow; without it, what the source says of them, or else the shape of the first input.
    The class itself sees images as [batch, channels, height, width].
    """

    class_name: str
    description: str = ""
    parameters: Mapping[str, Value] = field(default_factory=dict)
    weights: Sequence[Array] = ()
    output_shapes: Sequence[Shape] | None = None


CustomConversionFunction = Callable[[SourceLayer], CustomLayerParams]
