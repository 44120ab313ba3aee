"""Recurrent layers: SimpleRNN, LSTM and GRU, in one direction or two, and RNN with their cells.

Core ML has a layer for each of them; what those cannot do is written out step by step, a dozen small layers for each
step: a GRU whose reset gate acts after the recurrent kernel (reset_after, the default since TensorFlow 2), masks, and
activations that recurrent layers do not have. Weights are stored once, but a sequence of 100 steps becomes 1200 layers.
Core ML limits what enters an activation to [-50, 50], which shows where it is linear or relu.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.layers.activation import activate, activation_name, hard_sigmoid_slope
from mlexplorer.converters.keras.layers.core import product
from mlexplorer.converters.keras.layers.merging import combine, joined
from mlexplorer.converters.keras.source_model import KerasLayer
from mlexplorer.converters.keras.values import Mask, Value

_LIMIT = 50000.0
"""cellClipThreshold as coremltools writes it: Keras has no limit."""
_MOST_STEPS = 2000
_GATES = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
_STATES = {"SimpleRNN": 1, "LSTM": 2, "GRU": 1}
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
class _Cell:
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
class _Run:
    """What a cell gives along a sequence: all outputs [N, T, units] in their order, the last, the states."""

    every: Value
    last: Value
    states: Sequence[Value]


@converts("SimpleRNN", "LSTM", "GRU", "CuDNNLSTM", "CuDNNGRU")
def recurrent(c: Context) -> list[Value]:
    """SimpleRNN, LSTM, GRU."""
    return _results(c, _recur(c, c.layer, [c.layer], c.inputs), c.input.mask)


@converts("RNN")
def rnn(c: Context) -> list[Value]:
    """RNN with one of the standard cells, or with several of them, which run one after the other."""
    return _results(c, _recur(c, c.layer, _cells(c, c.layer), c.inputs), c.input.mask)


@converts("SimpleRNNCell", "LSTMCell", "GRUCell", "StackedRNNCells")
def cell(c: Context) -> Value:
    """Cells: those of a layer RNN."""
    c.refuse("a cell can be converted within a layer RNN only")


@converts("Bidirectional")
def bidirectional(c: Context) -> list[Value]:
    """Bidirectional: two layers, one from the end, and what they give joined as merge_mode says."""
    forward, backward = c.layer.inner["forward_layer"], c.layer.inner["backward_layer"]
    x, *states = c.inputs
    half = len(states) // 2
    mode = c.layer.config.get("merge_mode", "concat")
    whole = bool(forward.config.get("return_sequences", False))
    both = _cells(c, forward), _cells(c, backward)
    usual = not forward.config.get("go_backwards", False) and bool(backward.config.get("go_backwards", True))
    one_layer = usual and mode == "concat" and x.mask is None and not states
    if one_layer and all(_is_native_lstm(c, cells) for cells in both):
        runs = _bidirectional_lstm(c, x, both, whole, forward, backward)
        return [runs[0], *runs[1:]] if forward.config.get("return_state") else [runs[0]]
    ahead = _recur(c.within("forward"), forward, both[0], [x, *states[:half]])
    back = _recur(c.within("backward"), backward, both[1], [x, *states[half:]])
    if whole:
        is_back = bool(backward.config.get("go_backwards", False))
        pair = [ahead.every, _reversed(c, back.every, "places") if is_back else back.every]
        if forward.config.get("go_backwards", False):
            pair[0] = ahead.every
    else:
        pair = [ahead.last, back.last]
    mask = x.mask if whole else None
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
    merged = [replace(value, mask=mask) for value in merged]
    return [*merged, *ahead.states, *back.states] if forward.config.get("return_state") else merged


def _results(c: Context, run: _Run, mask: Mask | None) -> list[Value]:
    """What the layer returns of a run, by its configuration."""
    whole = c.get("return_sequences", False)
    first = replace(run.every, mask=mask) if whole else run.last
    return [first, *run.states] if c.get("return_state", False) else [first]


def _recur(c: Context, layer: KerasLayer, cells: Sequence[KerasLayer], inputs: Sequence[Value]) -> _Run:
    """The cells along a sequence, one after the other; `inputs` are the sequence and the first states, if any."""
    config = layer.config
    if config.get("stateful", False):
        c.refuse("it is stateful; Core ML starts every prediction anew: hand the states in with initial_state")
    if config.get("time_major", False):
        c.refuse("it is time_major; the batch must come first")
    x, *states = inputs
    counts = [_STATES[_kind(c, cell)] for cell in cells]
    if len(states) not in (0, sum(counts)):
        c.refuse(f"it is called with {len(states)} states or constants; its cells have {sum(counts)} states")
    if x.rank != 3:
        c.refuse(f"its input has the shape {list(x.shape)}; it must be [batch, steps, features]")
    backwards = bool(config.get("go_backwards", False))
    run, every = None, replace(c.as_plain(x), mask=x.mask)
    ends: list[Value] = []
    for number, (cell, count) in enumerate(zip(cells, counts, strict=True)):
        here = c if number == len(cells) - 1 else c.within(f"cell_{number}")
        first, states = states[:count], states[count:]
        zeroed = bool(config.get("zero_output_for_mask", False)) and number == len(cells) - 1
        run = _run(here, _read_cell(here, cell), every, first, backwards and number == 0, zeroed)
        every = replace(run.every, mask=x.mask)
        ends += run.states
    assert run is not None
    return replace(run, states=ends)


def _run(c: Context, cell: _Cell, x: Value, states: Sequence[Value], backwards: bool, zeroed: bool) -> _Run:
    if x.shape[-1] != cell.kernel.shape[0]:
        raise ValueError(f"the input has {x.shape[-1]} features, its kernel takes {cell.kernel.shape[0]}")
    if x.mask is None and _is_native(c, cell):
        return _native(c, cell, x, states, backwards)
    return _written_out(c, cell, x, states, backwards, zeroed)


# Cells


def _cells(c: Context, layer: KerasLayer) -> list[KerasLayer]:
    """The cells that a layer runs: itself, or those it holds."""
    if "cell" not in layer.inner:
        return [layer]
    cell = layer.inner["cell"]
    return list(cell.inner.values()) if cell.class_name == "StackedRNNCells" else [cell]


def _kind(c: Context, layer: KerasLayer) -> str:
    if layer.class_name not in _KINDS:
        c.refuse(f"its cell {layer.name!r} is a {layer.class_name}; it must be SimpleRNNCell, LSTMCell or GRUCell")
    return _KINDS[layer.class_name]


def _read_cell(c: Context, layer: KerasLayer) -> _Cell:
    kind, config = _kind(c, layer), layer.config
    units, of_cudnn = int(config["units"]), layer.class_name.startswith("CuDNN")
    use_bias = of_cudnn or bool(config.get("use_bias", True))
    reset_after = of_cudnn or bool(config.get("reset_after", False))
    kernel, recurrent, *biases = replace(c, layer=layer).weights(2 + use_bias)
    wide = _GATES[kind] * units
    if kernel.shape[1] != wide or recurrent.shape != (units, wide):
        raise ValueError(f"its kernels have the shapes {kernel.shape} and {recurrent.shape} for {units} units")
    bias = biases[0].reshape(-1, wide) if biases else None
    first = second = None
    if bias is not None:
        first, second = bias[0], bias[1] if len(bias) == 2 else None
    if second is not None and first is not None and not (kind == "GRU" and reset_after):
        first, second = first + second, None
    default = "sigmoid" if of_cudnn else config.get("recurrent_activation", "sigmoid")
    return _Cell(
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


def _is_native(c: Context, cell: _Cell) -> bool:
    return not cell.reset_after and all(_message(c, function) is not None for function in cell.functions)


def _is_native_lstm(c: Context, cells: Sequence[KerasLayer]) -> bool:
    if len(cells) != 1 or _kind(c, cells[0]) != "LSTM":
        return False
    return _is_native(c, _read_cell(c, cells[0]))


def _message(c: Context, function: Any) -> dict[str, Any] | None:
    """An activation as Core ML's recurrent layers have it, None where they do not."""
    messages: dict[str, dict[str, Any]] = {
        "linear": {"linear": {"alpha": 1}},
        "relu": {"ReLU": {}},
        "tanh": {"tanh": {}},
        "sigmoid": {"sigmoid": {}},
        "hard_sigmoid": {"sigmoidHard": {"alpha": hard_sigmoid_slope(c), "beta": 0.5}},
    }
    return (
        None
        if isinstance(function, Mapping) and "config" in function and isinstance(function["config"], Mapping)
        else messages.get(activation_name(function))
    )


# Core ML's own layers


def _native(c: Context, cell: _Cell, x: Value, states: Sequence[Value], backwards: bool) -> _Run:
    """One of simpleRecurrent, gru, uniDirectionalLSTM; their sequences are [T, N, features, 1, 1]."""
    type = {"SimpleRNN": "simpleRecurrent", "GRU": "gru", "LSTM": "uniDirectionalLSTM"}[cell.kind]
    batch, steps, _ = x.shape
    messages = [_message(c, function) for function in cell.functions]
    first = [_as_state(c, state, f"state_{number}") for number, state in enumerate(states)]
    fields: dict[str, Any] = {"inputVectorSize": cell.kernel.shape[0], "outputVectorSize": cell.units}
    if cell.kind == "SimpleRNN":
        fields |= {"activation": messages[0], "sequenceOutput": True, **_simple_weights(cell)}
    elif cell.kind == "GRU":
        fields |= {"activations": messages, "sequenceOutput": True, **_gru_weights(cell)}
    else:
        fields |= {"activations": messages, "params": _lstm_params(cell, True), "weightParams": _lstm_weights(cell)}
    outputs = 1 + _STATES[cell.kind]
    blobs = c.add(type, _as_sequence(c, x), *first, outputs=outputs, reverseInput=backwards, **fields)
    every = _from_sequence(c, blobs[0], batch, steps, cell.units, "outputs")
    ends = [
        Value(c.add("squeeze", blob, part=f"last_{number}", axes=[0, 3, 4]), (batch, cell.units))
        for number, blob in enumerate(blobs[1:])
    ]
    return _Run(every, ends[0], ends)


def _bidirectional_lstm(
    c: Context,
    x: Value,
    both: tuple[Sequence[KerasLayer], Sequence[KerasLayer]],
    whole: bool,
    forward: KerasLayer,
    backward: KerasLayer,
) -> list[Value]:
    """BiDirectionalLSTM: outputs of both side by side, then the states."""
    for layer in (forward, backward):
        if layer.config.get("stateful", False):
            c.refuse("it is stateful; Core ML starts every prediction anew")
    cells = [_read_cell(c, cells[0]) for cells in both]
    batch, steps, features = x.shape
    if any(cell.kernel.shape[0] != features or cell.units != cells[0].units for cell in cells):
        raise ValueError(f"its kernels do not fit an input of {features} features")
    messages = [[_message(c, function) for function in cell.functions] for cell in cells]
    units = cells[0].units
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
    states = (
        [
            Value(c.add("squeeze", blob, part=f"last_{number}", axes=[0, 3, 4]), (batch, units))
            for number, blob in enumerate(blobs[1:])
        ]
        if forward.config.get("return_state", False)
        else []
    )
    if whole:
        return [_from_sequence(c, blobs[0], batch, steps, 2 * units, "outputs"), *states]
    return [Value(c.add("squeeze", blobs[0], part="last", axes=[0, 3, 4]), (batch, 2 * units)), *states]


def _as_sequence(c: Context, x: Value) -> str:
    batch, steps, features = x.shape
    blob = c.plain(x)
    if batch > 1 and steps > 1:
        blob = c.add("transpose", blob, part="steps_first", axes=[1, 0, 2])
        return str(c.add("expandDims", blob, part="sequence", axes=[3, 4]))
    return str(c.add("reshapeStatic", blob, part="sequence", targetShape=[steps, batch, features, 1, 1]))


def _from_sequence(c: Context, blob: str, batch: int, steps: int, units: int, part: str) -> Value:
    if batch > 1 and steps > 1:
        blob = c.add("squeeze", blob, part=f"{part}_by_step", axes=[3, 4])
        return Value(c.add("transpose", blob, part=part, axes=[1, 0, 2]), (batch, steps, units))
    return Value(c.add("reshapeStatic", blob, part=part, targetShape=[batch, steps, units]), (batch, steps, units))


def _as_state(c: Context, state: Value, part: str) -> str:
    batch, units = state.shape
    return str(c.add("reshapeStatic", c.plain(state), part=part, targetShape=[1, batch, units, 1, 1]))


def _gates(cell: _Cell, array: Array) -> list[Array]:
    """The parts of an array's last axis, transposed as Core ML has matrices: [units, inputs]."""
    return [part.T for part in np.split(array, _GATES[cell.kind], axis=-1)]


def _simple_weights(cell: _Cell) -> dict[str, Any]:
    fields: dict[str, Any] = {"weightMatrix": cell.kernel.T, "recursionMatrix": cell.recurrent.T}
    return fields if cell.bias is None else fields | {"hasBiasVector": True, "biasVector": cell.bias}


def _gru_weights(cell: _Cell) -> dict[str, Any]:
    gates = ("updateGate", "resetGate", "outputGate")
    return _named(cell, gates) | ({} if cell.bias is None else {"hasBiasVectors": True})


def _lstm_weights(cell: _Cell) -> dict[str, Any]:
    return _named(cell, ("inputGate", "forgetGate", "blockInput", "outputGate"))


def _named(cell: _Cell, gates: Sequence[str]) -> dict[str, Any]:
    arrays = {"WeightMatrix": cell.kernel, "RecursionMatrix": cell.recurrent, "BiasVector": cell.bias}
    return {
        gate + kind: part
        for kind, array in arrays.items()
        if array is not None
        for gate, part in zip(gates, _gates(cell, array), strict=True)
    }


def _lstm_params(cell: _Cell, whole: bool) -> dict[str, Any]:
    return {
        "sequenceOutput": whole,
        "hasBiasVectors": cell.bias is not None,
        "cellClipThreshold": _LIMIT,
    }


# Step by step

Step = Callable[[Context, str, Sequence[str]], list[str]]


def _written_out(c: Context, cell: _Cell, x: Value, states: Sequence[Value], backwards: bool, zeroed: bool) -> _Run:
    """Each step as layers of its own, on blobs [N, 1, units].

    At masked steps states stay, and the output is the one before, or with `zeroed` zero.
    """
    batch, steps, _ = x.shape
    if steps > _MOST_STEPS:
        c.refuse(f"{steps} steps would be written out one by one; {_MOST_STEPS} are the most")
    shape = (batch, 1, cell.units)
    projected = product(c, x, cell.kernel, cell.bias, "kernel")
    moments = _by_step(c, projected.blob, steps, "inputs")
    masks: Sequence[str] = []
    if x.mask is not None:
        mask = c.add("reshapeStatic", x.mask(), part="mask", targetShape=[batch, steps, 1])
        masks = _by_step(c, mask, steps, "mask_at")
    step = _STEPS[cell.kind](c, cell)
    zero = c.add("fillStatic", part="zero", value=0, targetShape=list(shape)) if not states or masks else ""
    current = [
        str(c.add("reshapeStatic", c.plain(state), part=f"state_{number}", targetShape=list(shape)))
        for number, state in enumerate(states)
    ] or [zero] * _STATES[cell.kind]
    outputs: list[str] = []
    for place in reversed(range(steps)) if backwards else range(steps):
        here = c.within(f"step_{place}")
        after = step(here, moments[place], current)
        output = after[0]
        if masks:
            before = zero if zeroed or not outputs else outputs[-1]
            output = _chosen(here.within("output"), masks[place], output, before)
            shared = not (states or zeroed)  # the first state is the output before
            kept = [output] if shared else []
            for number, (new, old) in enumerate(zip(after, current, strict=True)):
                if number or not shared:
                    kept.append(_chosen(here.within(f"state_{number}"), masks[place], new, old))
            after = kept
        current = after
        outputs.append(output)
    every = c.add("concatND", *outputs, part="outputs", axis=1) if steps > 1 else outputs[0]
    ends = [_as_vector(c, blob, shape, f"last_{number}") for number, blob in enumerate(current)]
    last = ends[0] if current[0] == outputs[-1] else _as_vector(c, outputs[-1], shape, "last")
    return _Run(Value(every, (batch, steps, cell.units)), last, ends)


def _by_step(c: Context, blob: str, steps: int, part: str) -> Sequence[str]:
    if steps == 1:
        return [blob]
    parts: Sequence[str] = c.add("splitND", blob, part=part, outputs=steps, axis=1, numSplits=steps)
    return parts


def _as_vector(c: Context, blob: str, shape: Sequence[int], part: str) -> Value:
    return Value(c.add("squeeze", blob, part=part, axes=[1]), (shape[0], shape[2]))


def _chosen(c: Context, mask: str, new: str, old: str) -> str:
    return str(c.add("whereBroadcastable", mask, new, old))


def _function(c: Context, given: Any, blob: str, part: str, shape: tuple[int, ...]) -> str:
    return activate(c.within(part), Value(blob, shape), given).blob


def _recurrence(c: Context, cell: _Cell) -> Callable[[Context, str], str]:
    """The product of a state with the recurrent kernel, whose numbers are in the network once."""
    matrix = c.constant(cell.recurrent[None], "recurrent_kernel")
    bias = None if cell.recurrent_bias is None else c.constant(cell.recurrent_bias[None, None], "recurrent_bias")

    def times(c: Context, state: str) -> str:
        y = c.add("batchedMatmul", state, matrix, part="recurrent")
        return y if bias is None else str(c.add("addBroadcastable", y, bias, part="biased"))

    return times


def _simple_step(c: Context, cell: _Cell) -> Step:
    times = _recurrence(c, cell)

    def step(c: Context, moment: str, states: Sequence[str]) -> list[str]:
        total = c.add("addBroadcastable", moment, times(c, states[0]), part="sum")
        return [_function(c, cell.activation, total, "h", (1, 1, cell.units))]

    return step


def _lstm_step(c: Context, cell: _Cell) -> Step:
    times = _recurrence(c, cell)

    def step(c: Context, moment: str, states: Sequence[str]) -> list[str]:
        shape = (1, 1, cell.units)
        total = c.add("addBroadcastable", moment, times(c, states[0]), part="sum")
        i, f, g, o = c.add("splitND", total, part="gates", outputs=4, axis=2, numSplits=4)
        i, f, o = (
            _function(c, cell.recurrent_activation, blob, part, shape) for blob, part in ((i, "i"), (f, "f"), (o, "o"))
        )
        g = _function(c, cell.activation, g, "g", shape)
        kept = c.add("multiplyBroadcastable", f, states[1], part="kept")
        added = c.add("multiplyBroadcastable", i, g, part="added")
        cell_state = c.add("addBroadcastable", kept, added, part="cell")
        shown = _function(c, cell.activation, cell_state, "shown", shape)
        return [c.add("multiplyBroadcastable", o, shown), cell_state]

    return step


def _gru_step(c: Context, cell: _Cell) -> Step:
    if cell.reset_after:
        times = _recurrence(c, cell)
    else:
        split = 2 * cell.units
        gates = _recurrence(c.within("gates"), replace(cell, recurrent=cell.recurrent[:, :split]))
        candidate = _recurrence(c.within("candidate"), replace(cell, recurrent=cell.recurrent[:, split:]))

    def step(c: Context, moment: str, states: Sequence[str]) -> list[str]:
        units, (h,) = cell.units, states
        shape = (1, 1, units)
        seen, seen_candidate = c.add("splitND", moment, part="moment", outputs=2, axis=2, splitSizes=[2 * units, units])
        if cell.reset_after:
            known, known_candidate = c.add(
                "splitND", times(c, h), part="known", outputs=2, axis=2, splitSizes=[2 * units, units]
            )
        else:
            known = gates(c, h)
        both = c.add("addBroadcastable", seen, known, part="sum")
        both = _function(c, cell.recurrent_activation, both, "gates", (1, 1, 2 * units))
        z, r = c.add("splitND", both, part="gate", outputs=2, axis=2, numSplits=2)
        if cell.reset_after:
            reset = c.add("multiplyBroadcastable", r, known_candidate, part="reset")
        else:
            reset = candidate(c.within("candidate"), c.add("multiplyBroadcastable", r, h, part="reset"))
        new = c.add("addBroadcastable", seen_candidate, reset, part="candidate")
        new = _function(c, cell.activation, new, "new", shape)
        change = c.add("multiplyBroadcastable", z, c.add("subtractBroadcastable", h, new, part="less"), part="change")
        return [c.add("addBroadcastable", new, change)]

    return step


_STEPS: Mapping[str, Callable[[Context, _Cell], Step]] = {
    "SimpleRNN": _simple_step,
    "LSTM": _lstm_step,
    "GRU": _gru_step,
}


def _reversed(c: Context, value: Value, part: str) -> Value:
    return value.with_blob(c.add("reverse", value.blob, part=part, reverseDim=[False, True, False]))
