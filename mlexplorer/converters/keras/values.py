"""What flows between the layers of a model in conversion: a blob, the shape that Keras sees, the order of the axes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from mlexplorer.converters.network import NetworkBuilder
from mlexplorer.converters.source import Shape

Mask = Callable[[], str]


@dataclass(frozen=True)
class Value:
    """A tensor of the Keras model.

    `shape` is Keras' own, batch included. The blob has it too, unless it holds `planes`: then Keras' last axis, the
    channels, is the blob's second, as Core ML's convolutions want it: [N, C, H, W] for [N, H, W, C], [N, C, D, H, W]
    for [N, D, H, W, C], and for sequences [N, C, 1, T] for [N, T, C]. `mask` makes the blob [N, T] that is 1 where
    Keras' mask keeps a step; it is called only if something depends on it.
    """

    blob: str
    shape: Shape
    planes: bool = False
    mask: Mask | None = field(default=None, compare=False)

    @property
    def rank(self) -> int:
        """The number of Keras' axes."""
        return len(self.shape)

    @property
    def blob_rank(self) -> int:
        """The number of the blob's axes."""
        return max(self.rank, 4) if self.planes else self.rank

    def positive(self, axis: int) -> int:
        """An axis of Keras, counted from the start. Raises ValueError where there is none."""
        if not -self.rank <= axis < self.rank:
            raise ValueError(f"there is no axis {axis} in a tensor of shape {list(self.shape)}")
        return axis % self.rank

    def axis(self, axis: int) -> int:
        """The axis of the blob that holds an axis of Keras."""
        axis = self.positive(axis)
        if not self.planes or axis == 0:
            return axis
        if self.rank == 3:
            return 3 if axis == 1 else 1
        return 1 if axis == self.rank - 1 else axis + 1

    def with_blob(self, blob: str) -> Value:
        """The same axes in another blob."""
        return replace(self, blob=blob)


class Layouts:
    """The blobs of a network in both orders of axes; each is transposed once, however many layers ask for it."""

    def __init__(self, network: NetworkBuilder) -> None:
        self._network = network
        self._plain: dict[str, str] = {}
        self._planes: dict[str, str] = {}

    def plain(self, value: Value) -> str:
        """The blob with the axes of Keras."""
        if not value.planes:
            return value.blob
        if value.blob not in self._plain:
            blob = self._to_plain(value)
            self._plain[value.blob], self._planes[blob] = blob, value.blob
        return self._plain[value.blob]

    def planes(self, value: Value) -> str:
        """The blob with the channels, Keras' last axis, first."""
        if value.planes:
            return value.blob
        if value.blob not in self._planes:
            blob = self._to_planes(value)
            self._planes[value.blob], self._plain[blob] = blob, value.blob
        return self._planes[value.blob]

    def _to_plain(self, value: Value) -> str:
        name = f"{value.blob}/channels_last"
        if value.shape[-1] == 1 or prod(value.shape[1:-1]) == 1:  # the elements are in this order already
            return self._reshape(value.blob, value.shape, name)
        if value.rank == 3:
            squeezed: str = self._network.add("squeeze", value.blob, axes=[2], name=f"{value.blob}/squeezed")
            return self._transpose(squeezed, [0, 2, 1], name)
        return self._transpose(value.blob, [0, *range(2, value.rank), 1], name)

    def _to_planes(self, value: Value) -> str:
        name = f"{value.blob}/channels_first"
        batch, *extent, channels = value.shape
        if channels == 1 or prod(extent) == 1:
            height = [1] if value.rank == 3 else []
            return self._reshape(value.blob, [batch, channels, *height, *extent], name)
        blob = self._transpose(value.blob, [0, value.rank - 1, *range(1, value.rank - 1)], name)
        if value.rank > 3:
            return blob
        return str(self._network.add("expandDims", blob, axes=[2], name=f"{value.blob}/planes"))

    def _transpose(self, blob: str, axes: Sequence[int], name: str) -> str:
        return str(self._network.add("transpose", blob, axes=list(axes), name=name))

    def _reshape(self, blob: str, shape: Sequence[int], name: str) -> str:
        return str(self._network.add("reshapeStatic", blob, targetShape=list(shape), name=name))
