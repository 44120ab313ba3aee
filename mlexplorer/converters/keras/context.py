"""The table of conversion functions, and what such a function works with: one call of one Keras layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import prod
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from mlexplorer.converters.keras.source_model import KerasLayer
from mlexplorer.converters.keras.values import Layouts, Mask, Value
from mlexplorer.converters.network import NetworkBuilder
from mlexplorer.errors import UnsupportedError

Array = NDArray[Any]
Results = Value | Sequence[Value]
Conversion = Callable[["Context"], Results]


@dataclass(frozen=True)
class Converter:
    """The function that converts a class, and whether the layer hands the mask of its input on."""

    function: Conversion
    keeps_mask: bool


_MOST_NUMBERS = 1 << 26
CONVERTERS: dict[str, Converter] = {}


def converts(*class_names: str, keeps_mask: bool = False) -> Callable[[Conversion], Conversion]:
    """Register a function as what converts layers of these Keras classes.

    It gets a Context and returns the Value, or the Values, that the call gives. `keeps_mask` says that the mask of the
    first input goes with the result.
    """

    def register(function: Conversion) -> Conversion:
        for class_name in class_names:
            CONVERTERS[class_name] = Converter(function, keeps_mask)
        return function

    return register


@dataclass(frozen=True)
class Context:
    """One call of a layer, and the network in the making.

    `arguments` and `keywords` are those of the call with Values for tensors; `inputs` are all tensors among them.
    `name` is what the layers of the network are named after. `keras_version` is that of the model, "" if unknown;
    `call` converts a layer that this one wraps, called with values.
    """

    network: NetworkBuilder
    layouts: Layouts
    layer: KerasLayer
    name: str
    arguments: Sequence[Any]
    keywords: Mapping[str, Any]
    keras_version: str
    call: Callable[[Context, KerasLayer, str, Sequence[Any]], tuple[Value, ...]]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The tensors that the layer is called with."""
        return tuple(tensors([*self.arguments, *self.keywords.values()]))

    @property
    def input(self) -> Value:
        """The first of them. Raises ValueError where there is none."""
        if not self.inputs:
            raise ValueError("it is called without a tensor")
        return self.inputs[0]

    def refuse(self, reason: str) -> NoReturn:
        """Raise UnsupportedError, which names the layer."""
        raise UnsupportedError(f"layer {self.name!r} ({self.layer.class_name}) cannot be converted: {reason}")

    # What the layer's configuration and weights say

    def get(self, key: str, default: Any = None) -> Any:
        """An entry of the configuration; the default also where it is None."""
        value = self.layer.config.get(key)
        return default if value is None else value

    def number(self, key: str, default: float) -> float:
        """A number of the configuration, however the version of Keras wrote it."""
        return as_number(self.get(key, default))

    def sizes(self, key: str, rank: int, default: int = 1) -> list[int]:
        """Whole numbers, one per spatial axis; a single one stands for all."""
        value = self.get(key, default)
        sizes = [int(value)] * rank if isinstance(value, int | float) else [int(size) for size in value]
        if len(sizes) != rank or min(sizes) < 1:
            raise ValueError(f"{key} is {value}; it must have {rank} positive numbers")
        return sizes

    def refuse_unless(self, key: str, *allowed: Any) -> None:
        """Refuse a layer whose configuration has a value that Core ML has no layer for; None stands for unset."""
        value = self.layer.config.get(key)
        if value is not None and value not in allowed:
            self.refuse(f"{key} is {value!r}; it must be {' or '.join(map(repr, allowed))}")

    def require_room(self, *sizes: int) -> None:
        """Refuse a layer that would put an array of these sizes, which no weight in the file has, into the network."""
        if prod(sizes) > _MOST_NUMBERS:
            self.refuse(f"it would need a constant of the shape {list(sizes)}, which is too large")

    @property
    def channels_first(self) -> bool:
        """Whether the layer's own axes are channels first."""
        return bool(self.get("data_format", "channels_last") == "channels_first")

    def weights(self, count: int) -> list[Array]:
        """The layer's variables in Keras' order, as float32. Raises ValueError where there are not so many."""
        arrays = list(self.layer.weights.values())
        if len(arrays) != count:
            raise ValueError(f"it has {len(arrays)} weights; its configuration asks for {count}")
        return [np.asarray(array, np.float32) for array in arrays]

    # Layers of the network

    def add(self, type: str, /, *blobs: str, part: str = "", outputs: int = 1, **fields: Any) -> Any:
        """Append a layer of the network, named after this one, with `part` after a slash; returns its blob or blobs."""
        name = f"{self.name}/{part}" if part else self.name
        return self.network.add(type, *blobs, name=name, outputs=outputs, **fields)

    def map(self, value: Value, type: str, part: str = "", /, **fields: Any) -> Value:
        """Append a layer that computes each element by itself."""
        return value.with_blob(self.add(type, value.blob, part=part, **fields))

    def within(self, part: str) -> Context:
        """The same call under a name with a part after a slash, for a step that takes several layers."""
        return replace(self, name=f"{self.name}/{part}")

    def constant(self, array: Any, part: str) -> str:
        """A blob that holds numbers."""
        data = np.atleast_1d(np.asarray(array, np.float32))
        return str(self.add("loadConstantND", part=part, shape=list(data.shape), data=data))

    # Orders of axes

    def plain(self, value: Value) -> str:
        """The blob of a value with the axes of Keras."""
        return self.layouts.plain(value)

    def as_plain(self, value: Value) -> Value:
        """The value in the axes of Keras."""
        return replace(value, blob=self.plain(value), planes=False)

    def planes(self, value: Value) -> Value:
        """The value with its last axis as channels before the planes; of rank 3 and more."""
        return replace(value, blob=self.layouts.planes(value), planes=True)

    def image(self, rank: int) -> tuple[str, list[int]]:
        """The input as a blob [N, C, H, W], [N, C, D, H, W] or, of a sequence, [N, C, 1, T], and its sizes N, C, ...

        `rank` is the number of spatial axes. Raises ValueError for an input with another number of axes.
        """
        value = self.input
        if value.rank != rank + 2:
            raise ValueError(f"the input has the shape {list(value.shape)}; it must have {rank + 2} axes")
        if not self.channels_first:
            batch, *extent, channels = value.shape
            return self.planes(value).blob, [batch, channels, *extent]
        blob = self.plain(value)
        if rank == 1:
            blob = self.add("expandDims", blob, axes=[2], part="planes")
        return blob, list(value.shape)

    def from_image(self, blob: str, sizes: Sequence[int]) -> Value:
        """The value that a blob like those of `image` holds, with sizes N, C, ..."""
        batch, channels, *extent = sizes
        if not self.channels_first:
            return Value(blob, (batch, *extent, channels), planes=True)
        if len(extent) == 1:
            blob = self.add("squeeze", blob, axes=[2], part="sequence")
        return Value(blob, tuple(sizes))

    def aligned(self, values: Sequence[Value]) -> list[Value]:
        """The values in one order of axes, such that their blobs broadcast as Keras' tensors do."""
        if any(value.planes for value in values) and len({value.rank for value in values}) == 1:
            return [self.planes(value) for value in values]
        return [self.as_plain(value) for value in values]

    def reshape(self, value: Value, shape: Sequence[int], part: str = "") -> Value:
        """The elements, in the order in which Keras has them, under another shape."""
        if prod(shape) != prod(value.shape):
            raise ValueError(f"a tensor of shape {list(value.shape)} cannot become {list(shape)}")
        blob = self.plain(value)
        if tuple(shape) == value.shape:
            return Value(blob, value.shape)
        return Value(self.add("reshapeStatic", blob, part=part, targetShape=list(shape)), tuple(shape))

    def transpose(self, value: Value, axes: Sequence[int], part: str = "") -> Value:
        """The axes of Keras in another order."""
        shape = tuple(value.shape[axis] for axis in axes)
        return Value(self.add("transpose", self.plain(value), part=part, axes=list(axes)), shape)

    # Masks

    def lazily(self, make: Callable[[Context], str]) -> Mask:
        """A mask that is made when it is asked for, once."""
        return cache(lambda: make(self.within("mask")))


def tensors(arguments: Any) -> list[Value]:
    """The values among nested arguments, in their order."""
    if isinstance(arguments, Value):
        return [arguments]
    if isinstance(arguments, Mapping):
        return [value for item in arguments.values() for value in tensors(item)]
    if isinstance(arguments, list | tuple):
        return [value for item in arguments for value in tensors(item)]
    return []


def as_number(value: Any) -> float:
    """A number, or the one that an old Keras wrote as {"type": "ndarray", "value": ...}."""
    if isinstance(value, Mapping):
        value = value.get("value", value.get("config"))
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return float(np.asarray(value).item())
