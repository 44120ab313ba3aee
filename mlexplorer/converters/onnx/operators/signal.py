"""Fourier transforms of fixed lengths: products with matrices of sines and cosines, along windows convolutions."""

from __future__ import annotations

import numpy as np

from mlexplorer.converters.onnx.node import Node, positive
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Array

_MOST_NUMBERS = 1 << 24


def _matrix(inputs: int, outputs: int, length: int, sign: int) -> Array:
    """What each input adds to the real and imaginary part of each output: [outputs, 2, inputs]."""
    _require_room(inputs, outputs)
    turns = np.outer(np.arange(outputs), np.arange(inputs)) % length  # whole numbers, so that sines are exact
    angles = 2 * np.pi / length * turns
    return np.stack([np.cos(angles), sign * np.sin(angles)], axis=1)


def _require_room(inputs: int, outputs: int) -> None:
    if 2 * inputs * outputs > _MOST_NUMBERS:
        raise UnsupportedError(f"it transforms {inputs} numbers to {outputs}, which is too many for a matrix")


@converts("DFT")
def dft(node: Node) -> str:
    """[..., n, ..., 1 or 2], the last axis real and imaginary parts, to [..., m, ..., 2]; or back, over the length."""
    x, inverse, onesided = node.input(), bool(node.attribute("inverse", 0)), bool(node.attribute("onesided", 0))
    if inverse and onesided:
        raise UnsupportedError("it is inverse and onesided")
    axis = node.axis(1) if node.version < 20 else -2
    if node.version >= 20 and node.has(2):
        axis = int(node.known(2, "the axis").reshape(-1)[0])
    axis = positive(axis, x.rank)
    if axis == x.rank - 1:
        raise ModelError("its axis is that of the real and imaginary parts")
    length = int(node.known(1, "dft_length").reshape(-1)[0]) if node.has(1) else x.shape[axis]
    given, outputs, parts = x.shape[axis], node.shape[axis], x.shape[-1]
    _require_room(given * parts, outputs)
    taken = min(given, length)  # the rest is left out; what is missing counts as 0
    matrix = _matrix(taken, outputs, length, 1 if inverse else -1)
    if parts == 2:  # (a + bi)(c + di)
        real, imaginary = matrix[:, 0], matrix[:, 1]
        matrix = np.stack([np.stack([real, -imaginary], -1), np.stack([imaginary, real], -1)], 1)
    else:
        matrix = matrix[..., None]
    matrix = np.pad(matrix, [(0, 0), (0, 0), (0, given - taken), (0, 0)]).reshape(2 * outputs, given * parts)
    if inverse:
        matrix = matrix / length
    order = [*(other for other in range(x.rank - 1) if other != axis), axis, x.rank - 1]
    kept = [x.shape[other] for other in order[:-2]]
    rows = node.reshape(node.transpose(node.blob(), order), [*kept, given, parts], [*kept, given * parts])
    blob = node.add(
        "batchedMatmul",
        rows,
        weightMatrixFirstDimension=given * parts,
        weightMatrixSecondDimension=2 * outputs,
        weights=matrix.astype(np.float32),
    )
    blob = node.reshape(blob, [*kept, 2 * outputs], [*kept, outputs, 2])
    return node.transpose(blob, [order.index(other) for other in range(x.rank)])


@converts("STFT")
def stft(node: Node) -> str:
    """[N, length, 1] to [N, frames, frequencies, 2]: the transforms of windows, as convolutions of many channels."""
    batch, length, *parts = node.input().shape
    if parts not in ([], [1]):
        raise UnsupportedError("its signal is complex")
    step = int(node.known(1, "frame_step").reshape(-1)[0])
    window = node.weight(2, "the window") if node.has(2) else None
    size = (
        int(node.known(3, "frame_length").reshape(-1)[0]) if node.has(3) else len(window if window is not None else ())
    )
    if window is None:
        window = np.ones(size, np.float32)
    if len(window) != size or not 0 < size <= length or step < 1:
        raise ModelError(f"a window of {len(window)} and a frame of {size} do not fit a signal of {length}")
    _, frames, outputs, _ = node.shape
    kernel = _matrix(size, outputs, size, -1) * window
    blob = node.add(
        "convolution",
        node.reshape(node.blob(), node.input().shape, (batch, 1, 1, length)),
        outputChannels=2 * outputs,
        kernelChannels=1,
        nGroups=1,
        kernelSize=[1, size],
        stride=[1, step],
        dilationFactor=[1, 1],
        valid={"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 0, "endEdgeSize": 0}] * 2}},
        weights=kernel.reshape(2 * outputs, 1, 1, size).astype(np.float32),
    )
    blob = node.reshape(blob, (batch, 2 * outputs, 1, frames), (batch, 2 * outputs, frames))
    return node.reshape(node.transpose(blob, [0, 2, 1]), (batch, frames, 2 * outputs), node.shape)
