"""The parts of a graph: nodes, the values between them, and the weights that they hold."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.spec import weight_params
from mlexplorer.spec.data_types import DataType
from mlexplorer.spec.packing import packed_size
from mlexplorer.spec.weight_params import Encoded

Floats = NDArray[np.float32]


class Blobs(Protocol):
    """The weight files of a package, as the constants of an ML Program refer to them."""

    def read(self, file_name: str, offset: int) -> tuple[DataType, bytes]:
        """The type and the bytes of the blob whose metadata lie at `offset`; raises FileFormatError."""


@dataclass(frozen=True, eq=False)
class Weight(ABC):
    """One tensor of weights; nothing is read before it is asked for.

    `node` is the id of the node that holds it, `name` its field path ("weights", "weightParams.inputGateBiasVector"),
    or an ML Program operation's parameter. `channel_axis` is the axis of the output channels, None where a linear
    quantization has a single scale. `kind` is "float32", "float16", "linear", "lookup_table" or "int8", for an
    ML Program the data type; `bits` are those of one value. `params` is the WeightParams message, for an ML Program
    the Value message.
    """

    node: str
    name: str
    shape: tuple[int, ...]
    channel_axis: int | None
    kind: str
    bits: int
    params: Any = field(repr=False)
    owner: str = field(repr=False)

    @property
    def key(self) -> str:
        """What tells this weight from all others of the model."""
        return f"{self.node}:{self.name}"

    @property
    def count(self) -> int:
        """How many values the shape has."""
        return math.prod(self.shape)

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that it takes in the file: values or packed codes, scale, bias and table."""

    @abstractmethod
    def encoded(self) -> Encoded:
        """The values as the file holds them, unpacked; raises ModelError where the file contradicts the shape."""

    @abstractmethod
    def array(self) -> Floats:
        """The values as a float32 array of `shape`; raises ModelError where the file contradicts the shape."""


class LayerWeight(Weight):
    """A WeightParams message of a neural network layer."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in the file: values or packed codes, scale, bias and table."""
        params = self.params
        linear, table = params.quantization.linearQuantization, params.quantization.lookupTableQuantization
        floats = len(params.floatValue) + len(linear.scale) + len(linear.bias) + len(table.floatValue)
        return 4 * floats + len(params.float16Value) + len(params.rawValue) + len(params.int8RawValue)

    def encoded(self) -> Encoded:
        """The values as the file holds them, unpacked.

        Raises ModelError where their number contradicts the layer's parameters, or they are given twice.
        """
        stored = weight_params.weight_count(self.params)
        raw = self.kind in ("linear", "lookup_table")
        if stored != self.count and not (raw and len(self.params.rawValue) == packed_size(self.count, self.bits)):
            raise ModelError(
                f"{self.owner}: {self.name} holds {stored} values, but the layer's parameters ask for shape "
                f"{list(self.shape)}, {self.count} values; correct the parameters or the weight"
            )
        encoded = weight_params.read(self.params, name=f"{self.owner}: {self.name}")
        if encoded.codes is not None and encoded.codes.size > self.count:
            encoded = replace(encoded, codes=encoded.codes[: self.count])
        return encoded

    def array(self) -> Floats:
        """The values as a float32 array of `shape`; raises ModelError where the file contradicts the shape."""
        return self.encoded().decode(self.shape, self.channel_axis, name=f"{self.owner}: {self.name}")


@dataclass(frozen=True, eq=False)
class ConstantWeight(Weight):
    """A constant of an ML Program, in weight.bin or in the program itself."""

    read: Callable[[], NDArray[Any]] = field(repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes that the values take in the file."""
        return (self.count * self.bits + 7) // 8

    def encoded(self) -> Encoded:
        """Raises UnsupportedError: constants of ML Programs are not in the NeuralNetwork format's encodings."""
        raise UnsupportedError(f"{self.owner}: weights of ML Programs cannot be quantized in this version")

    def array(self) -> Floats:
        """The values as a float32 array of `shape`.

        Raises FileFormatError where weight.bin is missing or broken, ModelError where it contradicts the program.
        """
        return self.read().astype(np.float32, copy=False)


@dataclass(frozen=True)
class Custom:
    """What a custom layer or a custom model says about the class that the app brings along."""

    className: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Value:
    """What flows along an edge: one write of a blob, for blobs can be overwritten.

    `producer` is the id of the node that writes it, None for an input of the model; `consumers` are the ids of the
    nodes that read it, in order. `shape` (None for a size that varies) and `dtype` are known in ML Programs.
    """

    name: str
    scope: str
    producer: str | None
    consumers: tuple[str, ...]
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None


@dataclass(frozen=True)
class Scope:
    """A network inside the model: a stage of a pipeline, the body of a loop, a function of an ML Program.

    `id` begins the ids of the nodes within; `name` and `kind` say what it is; `parent` is the scope around it.
    """

    id: str
    name: str
    kind: str
    parent: str = ""


@dataclass(frozen=True, eq=False)
class Node:
    """One layer of a network, one operation of an ML Program, or one whole model of a classic type.

    `id` is unique and stable: scope and name, numbered where names repeat, the type where the name is empty. `type` is
    the format's own name; "unknown" where a newer specification has set what this version does not know. `params` is
    the parameter message.
    """

    id: str
    name: str
    type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Any = field(repr=False)
    scope: str = ""
    weights: tuple[Weight, ...] = field(default=(), repr=False)
    custom: Custom | None = None
    read_parameters: Callable[[], dict[str, Any]] = field(default=dict, repr=False)

    @property
    def is_custom(self) -> bool:
        """Whether the app must bring a class for it."""
        return self.custom is not None

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters by name as plain values: what is stored, weights left out, enum values by name."""
        return self.read_parameters()

    def weight(self, name: str) -> Weight:
        """The weight at a field path; raises ModelError where the layer does not have it."""
        for weight in self.weights:
            if weight.name == name:
                return weight
        has = ", ".join(weight.name for weight in self.weights) or "none"
        raise ModelError(f"layer {self.name!r} ({self.type}) has no weight {name!r}; its weights are: {has}")
