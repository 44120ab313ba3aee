"""What a family file states of a layer type: its ONNX lowering, its evaluation in Python, the shapes of its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import MlexplorerError, ModelError

Array = NDArray[Any]


@dataclass(frozen=True)
class WeightLayout:
    """The shape that a flat weight of the specification has, and the axis of its output channels.

    `channel_axis` is None where a linear quantization may only have one scale: biases, vectors, constants.
    """

    shape: tuple[int, ...]
    channel_axis: int | None = None


class Layer(Protocol):
    """What a lowering sees of a layer; `graph.Node` is one."""

    @property
    def name(self) -> str:
        """The layer's name."""

    @property
    def type(self) -> str:
        """The field of the `layer` oneof that is set: "convolution" say."""

    @property
    def params(self) -> Any:
        """The parameter message: a ConvolutionLayerParams say."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the blobs that it reads."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the blobs that it writes."""


class Tensor(Protocol):
    """A value in the ONNX graph that is being built."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The concrete shape; where only a run can tell it, the runtime cuts the graph before this layer."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, int64 or bool."""

    @property
    def value(self) -> Array | None:
        """The value where it is known already: constants, and what was computed from constants and shapes."""

    @property
    def origin(self) -> Origin | None:
        """The operator whose only result this is; a lowering may write both operators as a faster one."""


@dataclass(frozen=True)
class Origin:
    """An operator of the ONNX graph that is being built: its type, operands (None where omitted) and attributes."""

    type: str
    inputs: tuple[Any, ...]
    attributes: Mapping[str, Any]


Operand = Tensor | Array | float | int | bool | Sequence[int] | Sequence[float] | None


class Builder(Protocol):
    """Writes ONNX operators (opset 20); folds constants and infers shapes as it goes."""

    def op(self, type: str, *inputs: Operand, **attributes: Any) -> Any:
        """Append one operator and return its output.

        Python and NumPy values become constants: floats float32, ints int64, bools bool; None omits an optional input.
        `outputs=n` asks for n outputs and returns a tuple of them.
        """

    def constant(self, value: Operand) -> Any:
        """A constant tensor."""

    def weight(self, layer: Layer, *fields: str, combine: Callable[..., Array] | None = None) -> Any:
        """The weight at a field path ("weights", "weightParams.inputGateWeightMatrix"), dequantized to float32.

        Several fields, or one that must be rearranged, go through `combine`, which gets the arrays in their layouts'
        shapes and returns one array. It must depend on nothing but its arguments: each bit depth calls it again.
        """

    def reshape(self, x: Any, shape: Sequence[int]) -> Any:
        """The same values in another shape; one -1 is inferred."""

    def transpose(self, x: Any, axes: Sequence[int]) -> Any:
        """The axes in another order."""

    def choose(
        self, condition: Any, then: Callable[[], Sequence[Any]], otherwise: Callable[[], Sequence[Any]]
    ) -> Sequence[Any]:
        """The results of one of two functions, of equal shapes, by a bool of one element that only a run tells."""

    def scan(
        self, step: Callable[[Sequence[Any], Any], tuple[Sequence[Any], Any]], states: Sequence[Any], sequence: Any
    ) -> tuple[Sequence[Any], Any]:
        """A function applied along the first axis of a sequence: the last states, and all results along a first axis.

        `step` gets the states and an element, and gives the next states and a result.
        """

    def cast(self, x: Any, dtype: type[np.generic]) -> Any:
        """Values as np.float32, np.int64 (truncating) or np.bool_ (non-zero); nothing where it is that already."""


Lowering = Callable[[Builder, Layer, Sequence[Any]], Any]
Evaluation = Callable[[Layer, Sequence[Array]], Sequence[Array]]
Layouts = Callable[[Any], Mapping[str, WeightLayout]]
InputCount = int | tuple[int, int | None]
"""How many inputs a layer takes: a number, or the least and the most; None is any number."""

LOWERINGS: dict[str, Lowering] = {}
EVALUATIONS: dict[str, Evaluation] = {}
LAYOUTS: dict[str, Layouts] = {}


def lowers(*types: str, inputs: InputCount = 1) -> Callable[[Lowering], Lowering]:
    """Register the function that writes layers of these types, with so many inputs, as ONNX operators.

    It gets the builder, the layer and its inputs (float32 tensors) and returns one tensor, or a sequence of them for
    several outputs. Results of other types are cast to float32 by the runtime, which puts the layer's name before the
    messages of errors.
    """

    def register(function: Lowering) -> Lowering:
        @wraps(function)
        def checked(build: Builder, layer: Layer, x: Sequence[Any]) -> Any:
            _require_inputs(len(x), inputs)
            return function(build, layer, x)

        LOWERINGS.update(dict.fromkeys(types, checked))
        return function

    return register


def evaluates(*types: str, inputs: InputCount = 1) -> Callable[[Evaluation], Evaluation]:
    """Register the function that computes layers of these types, with so many inputs, in NumPy, where ONNX cannot.

    The layer's name is put before the messages of errors.
    """

    def register(function: Evaluation) -> Evaluation:
        @wraps(function)
        def checked(layer: Layer, x: Sequence[Array]) -> Sequence[Array]:
            try:
                _require_inputs(len(x), inputs)
                return function(layer, x)
            except MlexplorerError as error:
                raise type(error)(f"layer {layer.name!r} ({layer.type}): {error}") from error

        EVALUATIONS.update(dict.fromkeys(types, checked))
        return function

    return register


def lays_out(*types: str) -> Callable[[Layouts], Layouts]:
    """Register the function from the parameter message to the layouts of its weights, keyed by field path.

    Weights that it does not name are vectors of their own length.
    """

    def register(function: Layouts) -> Layouts:
        LAYOUTS.update(dict.fromkeys(types, function))
        return function

    return register


def _require_inputs(given: int, inputs: InputCount) -> None:
    least, most = (inputs, inputs) if isinstance(inputs, int) else inputs
    if given >= least and (most is None or given <= most):
        return
    wanted = f"{least} or more" if most is None else str(least) if least == most else f"{least} to {most}"
    raise ModelError(f"there are {given} inputs; there must be {wanted}")
