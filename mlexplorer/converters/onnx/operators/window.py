"""Windows that move over height and width, or depth as well: kernels, strides and what lies around the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlexplorer.converters.onnx.node import Node
from mlexplorer.errors import ModelError, UnsupportedError

Pads = list[tuple[int, int]]
DEPTH_HEIGHT_WIDTH = ("Depth", "Height", "Width")
_EDGES = ("Front", "Back", "Top", "Bottom", "Left", "Right")


@dataclass(frozen=True)
class Window:
    """The sizes of a window along each axis; `pads` are what lies before and after the input."""

    kernel: list[int]
    stride: list[int]
    dilation: list[int]
    pads: Pads

    @property
    def reach(self) -> list[int]:
        """The elements that the kernel spans, gaps included."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]

    @classmethod
    def of(cls, node: Node, extent: Sequence[int], kernel: Sequence[int] | None = None) -> Window:
        """The window that a node's attributes say, with the padding of `auto_pad` written out."""
        count = len(extent)
        window = cls(
            _numbers(node, "kernel_shape", kernel, count),
            _numbers(node, "strides", [1] * count, count),
            _numbers(node, "dilations", [1] * count, count),
            [],
        )
        if kernel is not None and window.kernel != list(kernel):
            raise ModelError(f"kernel_shape is {window.kernel}, but the weights have {list(kernel)}")
        if min(*window.kernel, *window.stride, *window.dilation) < 1:
            raise ModelError("kernel_shape, strides and dilations must be at least 1")
        return cls(window.kernel, window.stride, window.dilation, window._padding(node, extent))

    def _padding(self, node: Node, extent: Sequence[int]) -> Pads:
        mode = node.attribute("auto_pad", "NOTSET")
        if mode == "VALID":
            return [(0, 0)] * len(extent)
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            pads = []
            for n, s, k in zip(extent, self.stride, self.reach, strict=True):
                total = max(0, (-(-n // s) - 1) * s + k - n)
                pads.append(
                    (total // 2, total - total // 2) if mode == "SAME_UPPER" else (total - total // 2, total // 2)
                )
            return pads
        if mode not in ("NOTSET", ""):
            raise ModelError(f"auto_pad cannot be {mode!r}")
        amounts = _numbers(node, "pads", [0] * 2 * len(extent), 2 * len(extent))
        if min(amounts) < 0:
            raise UnsupportedError(f"its pads {amounts} are negative")
        return list(zip(amounts[: len(extent)], amounts[len(extent) :], strict=True))


def borders(pads: Pads) -> dict[str, Any]:
    """Amounts as a BorderAmounts message."""
    return {"borderAmounts": [{"startEdgeSize": start, "endEdgeSize": end} for start, end in pads]}


def custom_padding(pads: Pads) -> dict[str, int]:
    """Amounts as the fields of the three-dimensional layers."""
    amounts = [amount for pair in pads for amount in pair]
    return {f"customPadding{edge}": amount for edge, amount in zip(_EDGES, amounts, strict=True)}


def by_axis(prefix: str, sizes: Sequence[int]) -> dict[str, int]:
    """Sizes as the fields of the three-dimensional layers: strideDepth, strideHeight, strideWidth."""
    return {f"{prefix}{axis}": size for axis, size in zip(DEPTH_HEIGHT_WIDTH, sizes, strict=True)}


def _numbers(node: Node, name: str, default: Sequence[int] | None, count: int) -> list[int]:
    given = node.attribute(name, None if default is None else list(default))
    if given is None:
        raise ModelError(f"the attribute {name!r} is missing")
    if len(given) != count:
        raise ModelError(f"{name} has {len(given)} numbers; it must have {count}")
    return [int(n) for n in given]
