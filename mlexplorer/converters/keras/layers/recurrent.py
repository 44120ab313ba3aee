"""Recurrent layers: SimpleRNN, LSTM and GRU, in one direction or two, and RNN with their cells.

Core ML has a layer for each of them; `steps.py` writes out what those cannot do: a GRU whose reset gate acts after the
recurrent kernel (reset_after, the default since TensorFlow 2), masks, and other activations. Core ML limits what enters
an activation to [-50, 50], which shows where it is linear or relu.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.layers.cells import (
    GATES,
    STATES,
    Cell,
    Run,
    Task,
    cells_of,
    is_native,
    kind_of,
    message,
    read_cell,
)
from mlexplorer.converters.keras.layers.conv_lstm import CONVOLUTIONAL, convolutional
from mlexplorer.converters.keras.layers.merging import combine, joined
from mlexplorer.converters.keras.layers.steps import written_out
from mlexplorer.converters.keras.source_model import KerasLayer
from mlexplorer.converters.keras.values import Value

_LIMIT = 50000.0
"""cellClipThreshold as coremltools writes it: Keras has no limit."""


@converts("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU", "RNN")
def recurrent(c: Context) -> list[Value]:
    """SimpleRNN, LSTM, GRU; RNN with one of their cells, or with several, which run one after the other."""
    run = _recur(c, c.layer, c.inputs)
    output = replace(run.output, mask=c.input.mask) if c.get("return_sequences", False) else run.output
    return [output, *run.states]


@converts("SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells")
def cell(c: Context) -> Value:
    """Cells: those of a layer RNN."""
    c.refuse("a cell can be converted within a layer RNN only")


@converts("Bidirectional")
def bidirectional(c: Context) -> list[Value]:
    """Bidirectional: two layers, one from the end, and what they give joined as merge_mode says."""
    forward, backward = c.layer.inner["forward_layer"], c.layer.inner["backward_layer"]
    x, *states = c.inputs
    mode = c.layer.config.get("merge_mode", "concat")
    whole = bool(forward.config.get("return_sequences", False))
    if mode == "concat" and x.mask is None and not states and _are_native_lstms(c, forward, backward):
        return _bidirectional_lstm(c, x, forward, backward)
    half = len(states) // 2
    ahead = _recur(c.within("forward"), forward, [x, *states[:half]])
    back = _recur(c.within("backward"), backward, [x, *states[half:]])
    pair = [ahead.output, back.output]
    if whole and backward.config.get("go_backwards", False):
        pair[1] = _reversed(c, back.output, "places")
    if mode is None:
        merged = pair
    elif mode == "concat":
        merged = [joined(c, pair, -1)]
    elif mode in ("sum", "mul"):
        merged = [combine(c, "add" if mode == "sum" else "multiply", pair)]
    elif mode == "ave":
        total = combine(c.within("sum"), "add", pair)
        merged = [c.map(total, "activation", linear={"alpha": 0.5})]
    else:
        c.refuse(f"merge_mode is {mode!r}")
    merged = [replace(value, mask=x.mask if whole else None) for value in merged]
    return [*merged, *ahead.states, *back.states]


def _recur(c: Context, layer: KerasLayer, inputs: Sequence[Value]) -> Run:
    """A layer's cells along a sequence, one after the other; `inputs` are the sequence and the first states, if any."""
    if layer.class_name in CONVOLUTIONAL:
        return convolutional(replace(c, layer=layer), inputs)
    config, cells = layer.config, cells_of(layer)
    _refuse_memory(c, layer)
    x, *states = inputs
    counts = [STATES[kind_of(c, cell)] for cell in cells]
    if len(states) not in (0, sum(counts)):
        c.refuse(f"it is called with {len(states)} states or constants; its cells have {sum(counts)} states")
    if x.rank != 3:
        c.refuse(f"its input has the shape {list(x.shape)}; it must be [batch, steps, features]")
    task = Task(
        whole=bool(config.get("return_sequences", False)),
        states=bool(config.get("return_state", False)),
        zeroed=bool(config.get("zero_output_for_mask", False)),
    )
    value = c.as_plain(x)
    ends: list[Value] = []
    for number, (cell, count) in enumerate(zip(cells, counts, strict=True)):
        last = number == len(cells) - 1
        first, states = states[:count], states[count:]
        run = _run(
            c if last else c.within(f"cell_{number}"),
            cell,
            replace(value, mask=x.mask),
            first,
            replace(
                task if last else replace(task, whole=True, zeroed=False),
                backwards=number == 0 and bool(config.get("go_backwards", False)),
            ),
        )
        value = run.output
        ends += run.states
    return Run(value, ends)


def _run(c: Context, layer: KerasLayer, x: Value, states: Sequence[Value], task: Task) -> Run:
    cell = read_cell(c, layer)
    if x.shape[-1] != cell.kernel.shape[0]:
        raise ValueError(f"the input has {x.shape[-1]} features, its kernel takes {cell.kernel.shape[0]}")
    if x.mask is None and is_native(c, cell):
        return _native(c, cell, x, states, task)
    return written_out(c, cell, x, states, task)


def _refuse_memory(c: Context, layer: KerasLayer) -> None:
    if layer.config.get("stateful", False):
        c.refuse("it is stateful; Core ML starts every prediction anew: hand the states in with initial_state")
    if layer.config.get("time_major", False):
        c.refuse("it is time_major; the batch must come first")


# Core ML's own layers


def _native(c: Context, cell: Cell, x: Value, states: Sequence[Value], task: Task) -> Run:
    """One of simpleRecurrent, gru, uniDirectionalLSTM; their sequences are [T, N, features, 1, 1]."""
    type = {"SimpleRNN": "simpleRecurrent", "GRU": "gru", "LSTM": "uniDirectionalLSTM"}[cell.kind]
    batch, steps, _ = x.shape
    messages = [message(c, function) for function in cell.functions]
    first = [_as_state(c, state, f"state_{number}") for number, state in enumerate(states)]
    fields: dict[str, Any] = {"inputVectorSize": cell.kernel.shape[0], "outputVectorSize": cell.units}
    if cell.kind == "SimpleRNN":
        fields |= {"activation": messages[0], "sequenceOutput": task.whole, **_simple_weights(cell)}
    elif cell.kind == "GRU":
        fields |= {"activations": messages, "sequenceOutput": task.whole, **_gru_weights(cell)}
    else:
        params = _lstm_params(cell, task.whole)
        fields |= {"activations": messages, "params": params, "weightParams": _lstm_weights(cell)}
    outputs = 1 + STATES[cell.kind]
    blobs = c.add(type, _as_sequence(c, x), *first, outputs=outputs, reverseInput=task.backwards, **fields)
    output = _from_sequence(c, blobs[0], batch, steps if task.whole else None, cell.units)
    return Run(output, _from_states(c, blobs[1:], batch, cell.units) if task.states else [])


def _are_native_lstms(c: Context, forward: KerasLayer, backward: KerasLayer) -> bool:
    """Whether Core ML has one layer for both directions."""
    if (
        forward.class_name in CONVOLUTIONAL
        or forward.config.get("go_backwards", False)
        or not backward.config.get("go_backwards", False)
    ):
        return False
    cells = [*cells_of(forward), *cells_of(backward)]
    if len(cells) != 2 or any(kind_of(c, cell) != "LSTM" for cell in cells):
        return False
    first, second = (read_cell(c, cell) for cell in cells)
    same = first.units == second.units and (first.bias is None) == (second.bias is None)
    return same and is_native(c, first) and is_native(c, second)


def _bidirectional_lstm(c: Context, x: Value, forward: KerasLayer, backward: KerasLayer) -> list[Value]:
    """BiDirectionalLSTM: outputs of both side by side, then the states."""
    for layer in (forward, backward):
        _refuse_memory(c, layer)
    cells = [read_cell(c, cells_of(layer)[0]) for layer in (forward, backward)]
    batch, steps, features = x.shape
    if any(cell.kernel.shape[0] != features for cell in cells):
        raise ValueError(f"its kernels do not fit an input of {features} features")
    messages = [[message(c, function) for function in cell.functions] for cell in cells]
    units, whole = cells[0].units, bool(forward.config.get("return_sequences", False))
    blobs = c.add(
        "biDirectionalLSTM",
        _as_sequence(c, x),
        outputs=5,
        inputVectorSize=features,
        outputVectorSize=units,
        activationsForwardLSTM=messages[0],
        activationsBackwardLSTM=messages[1],
        params=_lstm_params(cells[0], whole),
        weightParams=[_lstm_weights(cell) for cell in cells],
    )
    output = _from_sequence(c, blobs[0], batch, steps if whole else None, 2 * units)
    return [output, *(_from_states(c, blobs[1:], batch, units) if forward.config.get("return_state") else [])]


def _as_sequence(c: Context, x: Value) -> str:
    batch, steps, features = x.shape
    blob = c.plain(x)
    if batch > 1 and steps > 1:
        blob = c.add("transpose", blob, part="steps_first", axes=[1, 0, 2])
        return str(c.add("expandDims", blob, part="sequence", axes=[3, 4]))
    return str(c.add("reshapeStatic", blob, part="sequence", targetShape=[steps, batch, features, 1, 1]))


def _from_sequence(c: Context, blob: str, batch: int, steps: int | None, units: int) -> Value:
    """[T, N, units, 1, 1] as [N, T, units], or as [N, units] where T is the 1 of the last step and `steps` is None."""
    if steps is None:
        return Value(c.add("squeeze", blob, part="last", axes=[0, 3, 4]), (batch, units))
    if batch > 1 and steps > 1:
        blob = c.add("squeeze", blob, part="by_step", axes=[3, 4])
        return Value(c.add("transpose", blob, part="outputs", axes=[1, 0, 2]), (batch, steps, units))
    shape = (batch, steps, units)
    return Value(c.add("reshapeStatic", blob, part="outputs", targetShape=list(shape)), shape)


def _from_states(c: Context, blobs: Sequence[str], batch: int, units: int) -> list[Value]:
    return [
        Value(c.add("squeeze", blob, part=f"last_{number}", axes=[0, 3, 4]), (batch, units))
        for number, blob in enumerate(blobs)
    ]


def _as_state(c: Context, state: Value, part: str) -> str:
    batch, units = state.shape
    return str(c.add("reshapeStatic", c.plain(state), part=part, targetShape=[1, batch, units, 1, 1]))


def _gates(cell: Cell, array: Array) -> list[Array]:
    """The parts of an array's last axis, transposed as Core ML has matrices: [units, inputs]."""
    return [part.T for part in np.split(array, GATES[cell.kind], axis=-1)]


def _simple_weights(cell: Cell) -> dict[str, Any]:
    fields: dict[str, Any] = {"weightMatrix": cell.kernel.T, "recursionMatrix": cell.recurrent.T}
    return fields if cell.bias is None else fields | {"hasBiasVector": True, "biasVector": cell.bias}


def _gru_weights(cell: Cell) -> dict[str, Any]:
    gates = ("updateGate", "resetGate", "outputGate")
    return _named(cell, gates) | ({} if cell.bias is None else {"hasBiasVectors": True})


def _lstm_weights(cell: Cell) -> dict[str, Any]:
    return _named(cell, ("inputGate", "forgetGate", "blockInput", "outputGate"))


def _named(cell: Cell, gates: Sequence[str]) -> dict[str, Any]:
    arrays = {"WeightMatrix": cell.kernel, "RecursionMatrix": cell.recurrent, "BiasVector": cell.bias}
    return {
        gate + kind: part
        for kind, array in arrays.items()
        if array is not None
        for gate, part in zip(gates, _gates(cell, array), strict=True)
    }


def _lstm_params(cell: Cell, whole: bool) -> dict[str, Any]:
    return {
        "sequenceOutput": whole,
        "hasBiasVectors": cell.bias is not None,
        "cellClipThreshold": _LIMIT,
    }


def _reversed(c: Context, value: Value, part: str) -> Value:
    plain = c.as_plain(value)
    return plain.with_blob(
        c.add("reverse", plain.blob, part=part, reverseDim=[axis == 1 for axis in range(plain.rank)])
    )
