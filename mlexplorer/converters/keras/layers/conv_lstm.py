"""LSTMs whose products are convolutions, written out step by step: Core ML has no layer for them.

Ten small layers for each step. The kernel of the state is in the network once, as the second input of convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.layers.activation import activate
from mlexplorer.converters.keras.layers.cells import Run
from mlexplorer.converters.keras.layers.convolution import convolve, plane_padding
from mlexplorer.converters.keras.values import Value

_MOST_STEPS = 500


CONVOLUTIONAL = ("ConvLSTM1D", "ConvLSTM2D")


@converts(*CONVOLUTIONAL)
def conv_lstm(c: Context) -> list[Value]:
    """ConvLSTM1D, ConvLSTM2D: kernels [*size, channels, 4 * filters], gates in the order input, forget, cell, output.

    The input is convolved at all steps at once, the state with padding "same". At most 500 steps.
    """
    run = convolutional(c, c.inputs)
    return [run.output, *run.states]


def convolutional(c: Context, inputs: Sequence[Value]) -> Run:
    """The layer of the call along a sequence; `inputs` are the sequence and the first states, if any."""
    if c.get("stateful", False):
        c.refuse("it is stateful; Core ML starts every prediction anew: hand the states in with initial_state")
    x, *states = inputs
    if x.mask is not None:
        c.refuse("its input has a mask")
    use_bias, backwards = bool(c.get("use_bias", True)), bool(c.get("go_backwards", False))
    kernel, recurrent, *biases = c.weights(2 + use_bias)
    rank = kernel.ndim - 2
    if x.rank != rank + 3 or len(states) not in (0, 2):
        c.refuse(f"it is called with {list(x.shape)} and {len(states)} states; it takes {rank + 3} axes and two states")
    batch, steps = x.shape[:2]
    if steps > _MOST_STEPS:
        c.refuse(f"{steps} steps would be written out one by one; {_MOST_STEPS} are the most")
    moments, sizes = _convolved(c, x, kernel.transpose(rank + 1, rank, *range(rank)), biases[0] if biases else None)
    filters = sizes[1] // 4
    shape = [batch, filters, *sizes[2:]]
    step = _step(c, recurrent.transpose(rank + 1, rank, *range(rank)), shape)
    if states:
        current = [_only(c, state).image(rank)[0] for state in states]
    else:
        plane = [1] * (rank == 1) + shape[2:]
        current = [c.add("fillStatic", part="zero", value=0, targetShape=[batch, filters, *plane])] * 2
    outputs = []
    for place in reversed(range(steps)) if backwards else range(steps):
        current = step(c.within(f"step_{place}"), moments[place], current)
        outputs.append(current[0])
    ends = [c.from_image(blob, shape) for blob in current] if c.get("return_state", False) else []
    if not c.get("return_sequences", False):
        return Run(c.from_image(current[0], shape), ends)
    every = c.add("concatND", *outputs, part="outputs", axis=0) if steps > 1 else outputs[0]
    whole = c.from_image(every, [steps * batch, *shape[1:]])
    return Run(_batch_first(c, whole, batch, steps), ends)


def _only(c: Context, value: Value) -> Context:
    """The call with one tensor alone."""
    return replace(c, arguments=[value], keywords={})


def _convolved(c: Context, x: Value, weights: Array, bias: Array | None) -> tuple[Sequence[str], list[int]]:
    """The input at each step through its kernel, and the sizes N, C, ... of one step."""
    batch, steps, *own = x.shape
    if batch > 1 and steps > 1:
        x = c.transpose(x, [1, 0, *range(2, x.rank)], "steps_first")
    folded = c.reshape(x, [steps * batch, *own], "steps")
    blob, sizes = _only(c, folded).image(len(own) - 1)
    blob, sizes = convolve(c.within("kernel"), blob, sizes, weights, bias, 1)
    sizes = [batch, *sizes[1:]]
    if steps == 1:
        return [blob], sizes
    return c.add("splitND", blob, part="inputs", outputs=steps, axis=0, numSplits=steps), sizes


def _batch_first(c: Context, value: Value, batch: int, steps: int) -> Value:
    """[T * N, ...] as [N, T, ...]."""
    own = value.shape[1:]
    if batch == 1 or steps == 1:
        return c.reshape(value, [batch, steps, *own], "sequence")
    by_step = c.reshape(value, [steps, batch, *own], "by_step")
    return c.transpose(by_step, [1, 0, *range(2, by_step.rank)], "sequence")


def _step(c: Context, recurrent: Array, shape: Sequence[int]) -> Callable[[Context, str, Sequence[str]], list[str]]:
    """One step on blobs [N, C, H, W], of sequences [N, C, 1, T]: the next state and the next cell."""
    size = recurrent.shape[2:]
    kernel = c.constant(recurrent if len(size) == 2 else recurrent[:, :, None], "recurrent_kernel")
    fields: dict[str, Any] = {
        "outputChannels": recurrent.shape[0],
        "kernelChannels": recurrent.shape[1],
        "nGroups": 1,
        "kernelSize": [1] * (2 - len(size)) + list(size),
        "stride": [1, 1],
        "dilationFactor": [1, 1],
        **plane_padding(None),
    }
    axes = (shape[0], *shape[2:], shape[1])

    def function(c: Context, key: str, default: str, blob: str, part: str) -> str:
        return activate(c.within(part), Value(blob, axes, planes=True), c.get(key, default)).blob

    def step(c: Context, moment: str, states: Sequence[str]) -> list[str]:
        known = c.add("convolution", states[0], kernel, part="recurrent", **fields)
        total = c.add("addBroadcastable", moment, known, part="sum")
        i, f, g, o = c.add("splitND", total, part="gates", outputs=4, axis=1, numSplits=4)
        i, f, o = (
            function(c, "recurrent_activation", "hard_sigmoid", blob, part)
            for blob, part in ((i, "i"), (f, "f"), (o, "o"))
        )
        g = function(c, "activation", "tanh", g, "g")
        kept = c.add("multiplyBroadcastable", f, states[1], part="kept")
        cell = c.add("addBroadcastable", kept, c.add("multiplyBroadcastable", i, g, part="added"), part="cell")
        return [c.add("multiplyBroadcastable", o, function(c, "activation", "tanh", cell, "shown")), cell]

    return step
