"""The cells of recurrent layers: weights and activations, and what running one along a sequence asks and gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from mlexplorer.converters.keras.context import Array, Context
from mlexplorer.converters.keras.layers.activation import activation_name, hard_sigmoid_slope
from mlexplorer.converters.keras.source_model import KerasLayer
from mlexplorer.converters.keras.values import Value

GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
STATES = {"SimpleRNN": 1, "LSTM": 2, "GRU": 1}
_KINDS = {
    "SimpleRNN": "SimpleRNN",
    "SimpleRNNCell": "SimpleRNN",
    "LSTM": "LSTM",
    "LSTMCell": "LSTM",
    "CuDNNLSTM": "LSTM",
    "GRU": "GRU",
    "GRUCell": "GRU",
    "CuDNNGRU": "GRU",
}


@dataclass(frozen=True)
class Cell:
    """The weights of a cell: kernel [inputs, gates * units], recurrent [units, gates * units], biases.

    `bias` enters with the input, `recurrent_bias` with the state, which differs only if `reset_after`.
    """

    kind: str
    units: int
    kernel: Array
    recurrent: Array
    bias: Array | None
    recurrent_bias: Array | None
    reset_after: bool
    activation: Any
    recurrent_activation: Any

    @property
    def functions(self) -> list[Any]:
        """The activations in the order of Core ML's layers."""
        if self.kind == "SimpleRNN":
            return [self.activation]
        if self.kind == "GRU":
            return [self.recurrent_activation, self.activation]
        return [self.recurrent_activation, self.activation, self.activation]


@dataclass(frozen=True)
class Task:
    """How a cell runs along a sequence.

    `whole` asks for all outputs, in the order of processing, else for the last; `states` for the last states. `zeroed`
    says that outputs at masked steps are zeros, else those before.
    """

    whole: bool
    states: bool
    backwards: bool = False
    zeroed: bool = False


@dataclass(frozen=True)
class Run:
    """What a cell gives: [N, T, units] or [N, units], and its last states [N, units], if they are asked for."""

    output: Value
    states: Sequence[Value]


def cells_of(layer: KerasLayer) -> list[KerasLayer]:
    """The cells that a layer runs: itself, or those it holds."""
    if "cell" not in layer.inner:
        return [layer]
    cell = layer.inner["cell"]
    return list(cell.inner.values()) if cell.class_name == "StackedRNNCells" else [cell]


def kind_of(c: Context, layer: KerasLayer) -> str:
    """SimpleRNN, LSTM or GRU; refuses other cells."""
    if layer.class_name not in _KINDS:
        c.refuse(f"its cell {layer.name!r} is a {layer.class_name}; it must be SimpleRNNCell, LSTMCell or GRUCell")
    return _KINDS[layer.class_name]


def read_cell(c: Context, layer: KerasLayer) -> Cell:
    """A cell, or a layer that is one. Raises ValueError where its weights do not fit its configuration."""
    kind, config = kind_of(c, layer), layer.config
    units, of_cudnn = int(config["units"]), layer.class_name.startswith("CuDNN")
    use_bias = of_cudnn or bool(config.get("use_bias", True))
    reset_after = of_cudnn or bool(config.get("reset_after", False))
    kernel, recurrent, *biases = replace(c, layer=layer).weights(2 + use_bias)
    wide = GATES[kind] * units
    if kernel.shape[1] != wide or recurrent.shape != (units, wide):
        raise ValueError(f"its kernels have the shapes {kernel.shape} and {recurrent.shape} for {units} units")
    bias = biases[0].reshape(-1, wide) if biases else None
    first = second = None
    if bias is not None:
        first, second = bias[0], bias[1] if len(bias) == 2 else None
    if second is not None and first is not None and not (kind == "GRU" and reset_after):
        first, second = first + second, None
    default = "sigmoid" if of_cudnn else config.get("recurrent_activation", "sigmoid")
    return Cell(
        kind,
        units,
        kernel,
        recurrent,
        first,
        second,
        kind == "GRU" and reset_after,
        config.get("activation", "tanh"),
        default,
    )


def is_native(c: Context, cell: Cell) -> bool:
    """Whether Core ML has a layer for the cell."""
    return not cell.reset_after and all(message(c, function) is not None for function in cell.functions)


def message(c: Context, function: Any) -> dict[str, Any] | None:
    """An activation as Core ML's recurrent layers have it, None where they do not."""
    messages: dict[str, dict[str, Any]] = {
        "linear": {"linear": {"alpha": 1}},
        "relu": {"ReLU": {}},
        "tanh": {"tanh": {}},
        "sigmoid": {"sigmoid": {}},
        "hard_sigmoid": {"sigmoidHard": {"alpha": hard_sigmoid_slope(c), "beta": 0.5}},
    }
    return messages.get(activation_name(function))
