"""Sliding windows: sizes, strides and paddings that convolution and pooling share.

Paddings are pairs (start, end), one for each spatial axis. ONNX gets them as explicit `pads`; its own automatic
paddings differ from Core ML's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlexplorer.errors import ModelError
from mlexplorer.layers.enums import enum_name

Pads = list[tuple[int, int]]


def sizes(params: Any, field: str, default: int) -> list[int]:
    """The height and width in a repeated field; `default` where it is unset. Raises ModelError below 1."""
    values = [int(n) for n in getattr(params, field)] or [default, default]
    if len(values) != 2 or min(values) < 1:
        raise ModelError(f"{field} is {values}; it must be a height and a width of at least 1")
    return values


def sizes3d(params: Any, stem: str, default: int | None = None) -> list[int]:
    """Depth, height and width from three fields (`kernelDepth`, `kernelHeight`, `kernelWidth`); 0 is unset."""
    values = [int(getattr(params, stem + axis)) or default or 0 for axis in ("Depth", "Height", "Width")]
    if min(values) < 1:
        raise ModelError(f"{stem}Depth, {stem}Height and {stem}Width are {values}; they must be at least 1")
    return values


def dilated(kernel: Sequence[int], dilation: Sequence[int]) -> list[int]:
    """The extent of a kernel whose taps stand `dilation` apart."""
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]


def same_pads(
    extent: Sequence[int], kernel: Sequence[int], stride: Sequence[int], top_left_heavy: bool = False
) -> Pads:
    """The padding that gives ceil(extent / stride) windows; an odd element goes to the end unless `top_left_heavy`."""
    totals = [max(0, (-(-n // s) - 1) * s + k - n) for n, k, s in zip(extent, kernel, stride, strict=True)]
    return [halves(total, top_left_heavy) for total in totals]


def halves(total: int, top_left_heavy: bool = False) -> tuple[int, int]:
    """An amount split into start and end; an odd element goes to the end unless `top_left_heavy`."""
    small = total // 2
    return (total - small, small) if top_left_heavy else (small, total - small)


def border_pads(padding: Any) -> Pads:
    """The amounts of a ValidPadding message; zero where they are unset."""
    amounts = padding.paddingAmounts.borderAmounts
    if len(amounts) not in (0, 2):
        raise ModelError(f"paddingAmounts has {len(amounts)} entries; it must have one for height and one for width")
    return [(int(edge.startEdgeSize), int(edge.endEdgeSize)) for edge in amounts] or [(0, 0), (0, 0)]


def pads3d(params: Any, extent: Sequence[int], kernel: Sequence[int], stride: Sequence[int]) -> Pads:
    """The padding of a three-dimensional layer by its `paddingType`: CUSTOM, VALID or SAME."""
    padding = enum_name(params, "paddingType")
    if padding == "VALID":
        return [(0, 0)] * 3
    if padding == "SAME":
        return same_pads(extent, kernel, stride)
    edges = ("Front", "Back"), ("Top", "Bottom"), ("Left", "Right")
    pads = [(getattr(params, f"customPadding{a}"), getattr(params, f"customPadding{b}")) for a, b in edges]
    if min(min(pair) for pair in pads) < 0:
        raise ModelError(f"the custom paddings are {pads}; they must not be negative")
    return pads


def check_fits(extent: Sequence[int], kernel: Sequence[int], pads: Pads) -> None:
    """Raise ModelError where a window is larger than the padded input."""
    padded = [n + start + end for n, (start, end) in zip(extent, pads, strict=True)]
    if any(k > n for k, n in zip(kernel, padded, strict=True)):
        raise ModelError(f"a window of {list(kernel)} does not fit into the padded input of {padded}")


def onnx_pads(pads: Pads) -> list[int]:
    """All starts, then all ends, as ONNX's attribute `pads` has them."""
    return [start for start, _ in pads] + [end for _, end in pads]
