"""Convolutions that compute blocks of output pixels as channels, which DepthToSpace then puts in rows and columns.

The kernel of a block holds the convolution's kernel once for each pixel of the block, at its place, zeros around it.
It pays in two cases, both with stride 1, no dilation, one group and stored weights:

- One to four output channels leave most lanes of a processor's vectors idle. In blocks of 4 x 4 there are sixteen times
  as many channels, at a sixteenth of the places (1.25 to 7 times faster, measured with vectors of 16 floats).
- A convolution of an image upsampled by repeating pixels multiplies each pixel several times. In blocks of the size of
  a repeated pixel, the weights that meet the same pixel are added beforehand, and neither the upsampled nor a padded
  image is written: 3x3 behind a doubling needs 4/9 of the multiplications (1.3 to 10 times faster).

The results differ by roundings. Where a value of the input is infinite, its neighbours in a block are not numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.layers.layer_type import Builder, Layer, Tensor
from mlexplorer.layers.window import Pads, onnx_pads

Array = NDArray[Any]

_FEW_CHANNELS = 4
_FEW_CHANNELS_BLOCK = 4
_FEW_CHANNELS_KERNEL = 5
"""Smaller kernels have too many zeros around them."""
_FEW_CHANNELS_EXTENT = 32
"""Smaller images do not pay for the operators that sort the pixels."""
_GROWTH = 2
"""How many times the weights may grow behind an upsampling."""
_NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}


@dataclass(frozen=True)
class _Image:
    """What a convolution reads: `tensor` [N, C, H, W], its pixels repeated `scale` times, then padded.

    `pads` are in repeated pixels, of zeros or, where `repeats_edge`, of the outermost pixels.
    """

    tensor: Any
    scale: int
    pads: Pads
    repeats_edge: bool = False


def convolve_blocks(build: Builder, layer: Layer, x: Tensor, weights: Tensor, pads: Pads) -> Any | None:
    """A convolution [N, C, H, W] to [N, O, H', W'] of stride 1 in blocks, or None where that is not faster.

    `weights` [O, C, h, w] is the layer's stored "weights"; `pads` are zeros. ONNX Conv, DepthToSpace, Slice.
    """
    outputs, kernel = weights.shape[0], weights.shape[2:]
    image = _upsampled(x, pads)
    if image is not None and all(_taps(k, image.scale, image.scale) * image.scale <= k * _GROWTH**0.5 for k in kernel):
        return _convolve(build, layer, image, kernel, image.scale)
    extent = [n + start + end - k + 1 for n, (start, end), k in zip(x.shape[2:], pads, kernel, strict=True)]
    if outputs <= _FEW_CHANNELS and min(kernel) >= _FEW_CHANNELS_KERNEL and min(extent) >= _FEW_CHANNELS_EXTENT:
        return _convolve(build, layer, _Image(x, 1, pads), kernel, _FEW_CHANNELS_BLOCK)
    return None


def _convolve(build: Builder, layer: Layer, image: _Image, kernel: Sequence[int], block: int) -> Any:
    """Row r of the result reads the repeated rows r - start + tap: row (skipped + r + tap) // scale - before."""
    scale, lengths = image.scale, image.tensor.shape[2:]
    combine = partial(_in_blocks, block=block, scale=scale)
    weights = build.weight(layer, "weights", combine=combine)
    bias = build.weight(layer, "bias", combine=partial(np.repeat, repeats=block**2)) if layer.params.hasBias else None
    padded = [n * scale + start + end for n, (start, end) in zip(lengths, image.pads, strict=True)]
    extent = [n - k + 1 for n, k in zip(padded, kernel, strict=True)]
    skipped = [-start % scale for start, _ in image.pads]
    before = [-(-start // scale) for start, _ in image.pads]
    blocks = [-(-(skip + n) // block) for skip, n in zip(skipped, extent, strict=True)]
    stride = block // scale
    after = [
        (count - 1) * stride + taps - start - n
        for count, taps, start, n in zip(blocks, weights.shape[2:], before, lengths, strict=True)
    ]
    borders, tensor = list(zip(before, after, strict=True)), image.tensor
    if image.repeats_edge:
        tensor = build.op("Pad", tensor, [0, 0, *before, 0, 0, *after], None, mode="edge")
        borders = [(0, 0), (0, 0)]
    y = build.op("Conv", tensor, weights, bias, pads=onnx_pads(borders), strides=[stride, stride])
    y = build.op("DepthToSpace", y, blocksize=block, mode="CRD")
    ends = [skip + n for skip, n in zip(skipped, extent, strict=True)]
    return y if ends == list(y.shape[2:]) and not any(skipped) else build.op("Slice", y, skipped, ends, [-2, -1])


def _upsampled(x: Tensor, pads: Pads) -> _Image | None:
    """The image before an upsampling by whole numbers, where `x` is one, or one that was padded."""
    repeats_edge, reflected = False, 0
    if x.origin is not None and x.origin.type == "Pad":
        image, amounts, fill = (*x.origin.inputs, None)[:3]
        edges = None if amounts is None or amounts.value is None else amounts.value.reshape(2, -1).T.tolist()
        if image is None or edges is None or len(edges) != 4 or edges[:2] != [[0, 0]] * 2 or np.min(edges) < 0:
            return None
        mode = x.origin.attributes.get("mode", "constant")
        if mode == "constant":
            if fill is not None and (fill.value is None or np.any(fill.value)):
                return None
            edges = (np.array(edges[2:]) + pads).tolist()
        elif np.any(pads):
            return None
        else:
            repeats_edge, edges = True, edges[2:]
            reflected = np.max(edges) if mode == "reflect" else 0
        x, pads = image, [(start, end) for start, end in edges]
    origin = x.origin
    if origin is None or origin.type != "Resize" or not _NEAREST.items() <= origin.attributes.items():
        return None
    image = origin.inputs[0]
    if image is None or not image.shape[3]:
        return None
    scale = x.shape[3] // image.shape[3]
    if scale < 2 or x.shape != (*image.shape[:2], image.shape[2] * scale, image.shape[3] * scale):
        return None
    return None if reflected >= scale else _Image(image, scale, pads, repeats_edge)


def _taps(kernel: int, block: int, scale: int) -> int:
    """How many pixels, each repeated `scale` times, the windows of a block meet."""
    return (block + kernel - 2) // scale + 1


def _in_blocks(weights: Array, block: int, scale: int) -> Array:
    """[O, C, h, w] as [O * block * block, C, taps, taps], the weights added that meet the same pixel."""
    outputs, inputs, height, width = weights.shape
    rows, columns = _meetings(height, block, scale), _meetings(width, block, scale)
    placed: Array = np.einsum("ayi,bxj,ocij->oabcyx", rows, columns, weights, optimize=True)
    return placed.reshape(outputs * block**2, inputs, rows.shape[1], columns.shape[1])


def _meetings(kernel: int, block: int, scale: int) -> Array:
    """[block, taps, kernel]: whether a tap of the kernel, for a row of the block, meets a pixel."""
    met = (np.arange(block)[:, None] + np.arange(kernel)) // scale
    pixels = np.arange(_taps(kernel, block, scale))
    return np.asarray(met[:, None] == pixels[:, None], np.float32)
