"""Recurrent cells written out step by step, for what Core ML's recurrent layers cannot do.

A dozen small layers for each step: a sequence of 100 steps becomes about 1200. The kernels are in the network once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlexplorer.converters.keras.context import Context
from mlexplorer.converters.keras.layers.activation import activate
from mlexplorer.converters.keras.layers.cells import STATES, Cell, Run, Task
from mlexplorer.converters.keras.layers.core import product
from mlexplorer.converters.keras.values import Value

_MOST_STEPS = 2000

Step = Callable[[Context, str, Sequence[str]], list[str]]


def written_out(c: Context, cell: Cell, x: Value, states: Sequence[Value], task: Task) -> Run:
    """Each step as layers of its own, on blobs [N, 1, units].

    At masked steps states stay, and the output is the one before, or if `task.zeroed`, zero.
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
    ] or [zero] * STATES[cell.kind]
    outputs: list[str] = []
    for place in reversed(range(steps)) if task.backwards else range(steps):
        here = c.within(f"step_{place}")
        after = step(here, moments[place], current)
        output = after[0]
        if masks:
            before = zero if task.zeroed or not outputs else outputs[-1]
            output = _chosen(here.within("output"), masks[place], output, before)
            shared = not (states or task.zeroed)  # the first state is the output before
            kept = [output] if shared else []
            for number, (new, old) in enumerate(zip(after, current, strict=True)):
                if number or not shared:
                    kept.append(_chosen(here.within(f"state_{number}"), masks[place], new, old))
            after = kept
        current = after
        outputs.append(output)
    ends = [_as_vector(c, blob, shape, f"last_{number}") for number, blob in enumerate(current)] if task.states else []
    if not task.whole:
        return Run(_as_vector(c, outputs[-1], shape, "last"), ends)
    every = c.add("concatND", *outputs, part="outputs", axis=1) if steps > 1 else outputs[0]
    return Run(Value(every, (batch, steps, cell.units)), ends)


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


def _recurrence(c: Context, cell: Cell) -> Callable[[Context, str], str]:
    """The product of a state with the recurrent kernel, whose numbers are in the network once."""
    matrix = c.constant(cell.recurrent[None], "recurrent_kernel")
    bias = None if cell.recurrent_bias is None else c.constant(cell.recurrent_bias[None, None], "recurrent_bias")

    def times(c: Context, state: str) -> str:
        y = c.add("batchedMatmul", state, matrix, part="recurrent")
        return y if bias is None else str(c.add("addBroadcastable", y, bias, part="biased"))

    return times


def _simple_step(c: Context, cell: Cell) -> Step:
    times = _recurrence(c, cell)

    def step(c: Context, moment: str, states: Sequence[str]) -> list[str]:
        total = c.add("addBroadcastable", moment, times(c, states[0]), part="sum")
        return [_function(c, cell.activation, total, "h", (1, 1, cell.units))]

    return step


def _lstm_step(c: Context, cell: Cell) -> Step:
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


def _gru_step(c: Context, cell: Cell) -> Step:
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


_STEPS: Mapping[str, Callable[[Context, Cell], Step]] = {
    "SimpleRNN": _simple_step,
    "LSTM": _lstm_step,
    "GRU": _gru_step,
}
