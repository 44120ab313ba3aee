"""What the conversion of an operator sees: a node at concrete shapes, its values, and the network in the making."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from mlexplorer.converters.network import NetworkBuilder
from mlexplorer.converters.source import CustomLayerParams, Shape
from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Array

LARGEST_RANK = 5
_EXACT_INTEGERS = 1 << 24
_NUMBERS = "fiubV"
"""Kinds of dtypes; V are the narrow floats of ml_dtypes, bfloat16 say."""
_KEPT_ELEMENTS = 4096
"""Constants up to this size stay decoded."""


@dataclass(eq=False)
class Value:
    """A tensor of the source at its concrete shape.

    `blob` is set once a layer gives it. A blob has the value's shape, but for these: Core ML has no rank 0, so a
    scalar's is [1]; and of more than five axes those of length 1 are left out (see `blob_shape`). `depth` counts the
    constants, computed when asked for, that this one waits for. `guessed` says that the shape depends on a node that
    nothing converts, so that it only serves to find more such nodes.
    """

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    load: Callable[[], Array] | None = None
    blob: str | None = None
    used: bool = False
    depth: int = 0
    guessed: bool = False
    _array: Array | None = None

    @property
    def is_constant(self) -> bool:
        """Whether the value is known without a run."""
        return self.load is not None

    @property
    def array(self) -> Array:
        """The value of a constant."""
        if self._array is not None:
            return self._array
        if self.load is None:
            raise UnsupportedError(f"{self.name!r} is computed by the network; it must be a constant")
        array = self.load()
        if array.size <= _KEPT_ELEMENTS:
            self._array = array
        return array

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def is_integer(self) -> bool:
        """Whether the source computes it in whole numbers."""
        return self.dtype.kind in "iu"


def constant(name: str, array: Array) -> Value:
    """A value that is known."""
    return Value(name, tuple(array.shape), array.dtype, lambda: array)


def blob_shape(shape: Shape) -> Shape:
    """The shape of the blob that holds a value of this shape."""
    kept = tuple(n for n in shape if n != 1) if len(shape) > LARGEST_RANK else shape
    return kept or (1,)


@dataclass(eq=False)
class LayerWriter:
    """Appends layers that bear one name to the network in the making."""

    name: str
    network: NetworkBuilder

    def add(self, type: str, /, *blobs: str, **fields: Any) -> str:
        """Append a layer of one output, which bears the node's name; returns the blob."""
        blob: str = self.network.add(type, *blobs, name=self.name, **fields)
        return blob

    def add_many(self, outputs: int, type: str, /, *blobs: str, **fields: Any) -> list[str]:
        """Append a layer of several outputs; returns their blobs."""
        given = self.network.add(type, *blobs, name=self.name, outputs=outputs, **fields)
        return [given] if outputs == 1 else list(given)

    def activation(self, blob: str, kind: str, **fields: Any) -> str:
        """Append one of the format's activations."""
        return self.add("activation", blob, **{kind: fields})

    def unary(self, function: str, blob: str, **fields: float) -> str:
        """Append one of the format's unary functions, its scale of 1 written out as coremltools does."""
        return self.add("unary", blob, type=function, scale=1.0, **fields)

    def linear(self, blob: str, factor: float, summand: float = 0.0) -> str:
        """The blob times a factor, plus a summand."""
        return blob if (factor, summand) == (1, 0) else self.activation(blob, "linear", alpha=factor, beta=summand)

    def reshape(self, blob: str, old: Sequence[int], new: Sequence[int]) -> str:
        """The blob, of shape `old`, in another shape."""
        source, target = blob_shape(tuple(old)), blob_shape(tuple(new))
        if prod(source) != prod(target):
            raise ModelError(f"values of shape {list(old)} cannot take the shape {list(new)}")
        if len(target) > LARGEST_RANK:
            raise too_many_axes(new)
        return blob if source == target else self.add("reshapeStatic", blob, targetShape=target)

    def transpose(self, blob: str, order: Sequence[int]) -> str:
        """The axes of a blob of at most five in another order."""
        return blob if list(order) == sorted(order) else self.add("transpose", blob, axes=order)

    def blob_of(self, value: Value) -> str:
        """The blob of a value."""
        if value.blob is None:
            value.blob = self.load(value.array, value.name)
        return value.blob

    def load(self, array: Array, name: str = "") -> str:
        """A constant as a blob; raises UnsupportedError for what 32-bit floats cannot hold."""
        if (
            array.dtype.kind in "iu"
            and array.size
            and max(abs(int(array.max())), abs(int(array.min()))) > (_EXACT_INTEGERS)
            and not np.array_equal(array.astype(np.float32).astype(np.float64), array.astype(np.float64))
        ):
            raise UnsupportedError(
                f"the constant {name!r} holds whole numbers beyond {_EXACT_INTEGERS}, which Core ML's 32-bit floats "
                "cannot tell apart"
            )
        if array.dtype.kind not in _NUMBERS:
            raise UnsupportedError(f"the constant {name!r} holds {array.dtype}; Core ML has numbers only")
        shape = blob_shape(tuple(array.shape))
        blob: str = self.network.add(
            "loadConstantND",
            name=name or f"{self.name}/constant",
            shape=shape,
            data=array.astype(np.float32, copy=False),
        )
        return blob


@dataclass(eq=False)
class Node(LayerWriter):
    """A node of the source. `type` is its operator, with the domain where that is not ONNX's own."""

    proto: onnx.NodeProto
    type: str
    version: int
    inputs: Sequence[Value | None]
    outputs: Sequence[Value | None]
    attributes: dict[str, Any]
    custom: CustomLayerParams | None = None

    def attribute(self, name: str, default: Any) -> Any:
        """An attribute of the default's type; raises ModelError for one of another type."""
        value = self.attributes.get(name, default)
        wanted = type(default)
        if default is None or isinstance(value, wanted) or (wanted is float and isinstance(value, int)):
            return value
        raise ModelError(f"the attribute {name!r} is {value!r}; it must be a {wanted.__name__}")

    def has(self, index: int) -> bool:
        """Whether an optional input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def input(self, index: int = 0) -> Value:
        """An input that must be there."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise ModelError(f"input {index} is missing")
        return value

    @property
    def shape(self) -> Shape:
        """The shape of the first output."""
        return self.output().shape

    def output(self, index: int = 0) -> Value:
        """An output that must be there."""
        value = self.outputs[index] if index < len(self.outputs) else None
        if value is None:
            raise ModelError(f"output {index} is missing")
        return value

    def is_used(self, index: int) -> bool:
        """Whether anything reads an output."""
        value = self.outputs[index] if index < len(self.outputs) else None
        return value is not None and value.used

    def known(self, index: int, what: str) -> Array:
        """A constant input; raises UnsupportedError where the network computes it."""
        value = self.input(index)
        if not value.is_constant:
            raise UnsupportedError(
                f"{what} ({value.name!r}) is computed by the network; Core ML needs it as a constant"
            )
        return value.array

    def weight(self, index: int, what: str) -> Array:
        """A constant input as float32."""
        return np.asarray(self.known(index, what), np.float32)

    def integers(self, attribute: str, index: int, what: str) -> list[int] | None:
        """Whole numbers that older versions have as an attribute and newer ones as a constant input."""
        if attribute in self.attributes:
            value = self.attributes[attribute]
            return [int(n) for n in ([value] if isinstance(value, int) else value)]
        if self.has(index):
            return [int(n) for n in self.known(index, what).reshape(-1)]
        return None

    def axis(self, default: int, rank: int | None = None, name: str = "axis") -> int:
        """The attribute of an axis, counted from the start."""
        rank = self.input().rank if rank is None else rank
        return positive(int(self.attribute(name, default)), rank)

    def blob(self, index: int = 0) -> str:
        """The blob of an input; constants become a layer the first time."""
        return self.blob_of(self.input(index))

    def require_rank(self, *ranks: int) -> None:
        """Raise UnsupportedError where the first input has another number of axes."""
        if self.input().rank not in ranks:
            wanted = " or ".join(map(str, ranks))
            raise UnsupportedError(f"its input has the shape {list(self.input().shape)}; {wanted} axes are supported")


def positive(axis: int, rank: int) -> int:
    """An axis counted from the start; raises ModelError where there is none."""
    if not -rank <= axis < rank:
        raise ModelError(f"there is no axis {axis}; its input has {rank}")
    return axis % rank


def too_many_axes(shape: Sequence[int]) -> UnsupportedError:
    """The refusal of a tensor that no blob can hold."""
    return UnsupportedError(
        f"a tensor of shape {list(shape)} has {len(shape)} axes; Core ML has at most {LARGEST_RANK}"
    )


def decoded_attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """The attributes by name: numbers, texts, lists, tensors and graphs as messages.

    Raises ModelError for one without a type.
    """
    result: dict[str, Any] = {}
    for attribute in proto.attribute:
        try:
            value = helper.get_attribute_value(attribute)
        except ValueError as error:
            raise ModelError(f"the attribute {attribute.name!r} cannot be read: {error}") from error
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif not isinstance(value, int | float | str | TensorProto | onnx.GraphProto) and value is not None:
            try:
                value = [item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value]
            except TypeError:
                continue
        result[attribute.name] = value
    return result
