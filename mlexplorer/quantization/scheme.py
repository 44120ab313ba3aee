"""A scheme: how a weight is stored in fewer bits. A value, with equality, an evaluable repr and a JSON form."""

from __future__ import annotations

import dataclasses
import math
import operator
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import QuantizationError
from mlexplorer.spec.weight_params import Encoded, Floats

SCHEMES: dict[str, type[Scheme]] = {}


@dataclasses.dataclass(frozen=True)
class Channels:
    """How the channels lie in a weight: along `axis`, or in `groups` along axes 0 and 1 of a deconvolution's weight.

    Vectors, and weights whose `axis` is None, count as one channel.
    """

    shape: tuple[int, ...]
    axis: int | None = None
    groups: int = 1

    def __len__(self) -> int:
        if self.axis is None or len(self.shape) == 1:
            return 1
        return self.groups * self.shape[self.axis]

    def rows(self, array: Floats) -> Floats:
        """The weight with one row for each channel."""
        seen, axes = self._view()
        return np.moveaxis(array.reshape(seen), axes, range(len(axes))).reshape(len(self), -1)

    def restore(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `rows`, flat, in the order of the weight."""
        seen, axes = self._view()
        others = [n for axis, n in enumerate(seen) if axis not in axes]
        moved = rows.reshape([seen[axis] for axis in axes] + others)
        return np.moveaxis(moved, range(len(axes)), axes).reshape(-1)

    def _view(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape to see the weight in, and the axes of its channels in it."""
        if self.axis is None or len(self.shape) == 1:
            return self.shape, ()
        if self.groups == 1:
            return self.shape, (self.axis,)
        return (self.groups, self.shape[0] // self.groups, *self.shape[1:]), (0, 2)


@dataclasses.dataclass(frozen=True)
class Scheme:
    """The base of all schemes. A subclass states its `name`, encodes, and says what an encoded weight will take."""

    bits: int
    """Bits per weight."""

    name: ClassVar[str]
    """The key in SCHEMES and in the JSON form."""

    def __init_subclass__(cls) -> None:
        SCHEMES[cls.name] = cls

    def __post_init__(self) -> None:
        try:
            bits = operator.index(self.bits)
        except TypeError:
            raise QuantizationError(f"bits must be a whole number, not {self.bits!r}") from None
        object.__setattr__(self, "bits", bits)
        if not 1 <= bits <= 8:
            raise QuantizationError(f"{type(self).__name__} stores 1 to 8 bits per weight, not {bits}")

    @property
    @abstractmethod
    def label(self) -> str:
        """A few words for menus and tables: "linear 4 bit"."""

    @property
    def version(self) -> int:
        """The least specificationVersion of a model that holds such weights."""
        return 3

    def encode(self, array: Any, channel_axis: int | None = None, *, groups: int = 1, name: str = "weight") -> Encoded:
        """The weight in this scheme.

        `array` is float32, in the layer's shape; `channel_axis` is the axis of its output channels, None where it has
        only one scale. A deconvolution in `groups` is [in, out / groups, ...] and has groups * shape[1] channels.
        Raises QuantizationError, with `name` in the message, for NaN and infinite values.
        """
        array = np.ascontiguousarray(array, dtype=np.float32)
        if not array.size:
            return Encoded(32, values=array.reshape(-1))
        if not np.isfinite(array.min()) or not np.isfinite(array.max()):
            bad = np.count_nonzero(~np.isfinite(array))
            raise QuantizationError(f"{name}: {bad} of {array.size} values are NaN or infinite; repair or leave it out")
        try:
            return self._encode(array, Channels(array.shape, channel_axis, groups))
        except QuantizationError as error:
            raise QuantizationError(f"{name}: {error}") from error

    @abstractmethod
    def _encode(self, array: Floats, channels: Channels) -> Encoded:
        """The weight in this scheme; it is finite and not empty."""

    @abstractmethod
    def blank(self, shape: tuple[int, ...], channel_axis: int | None = None, *, groups: int = 1) -> Encoded:
        """Zeros of the same lengths as the encoding of any weight of this shape has, for sizes without the work."""

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values with the scheme's name under "scheme"; `Scheme.from_json` reads it back."""
        return {"scheme": self.name} | {
            field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The scheme of a mapping that `to_json` made. Raises QuantizationError where it describes none."""
        arguments = dict(data)
        name = arguments.pop("scheme", None)
        found = SCHEMES.get(name) if isinstance(name, str) else None
        if found is None:
            raise QuantizationError(f"no scheme is called {name!r}; there are {', '.join(sorted(SCHEMES))}")
        if not issubclass(found, cls):
            raise QuantizationError(f"{name!r} is the scheme {found.__name__}, not {cls.__name__}")
        unknown = arguments.keys() - {field.name for field in dataclasses.fields(found) if field.init}
        if unknown:
            raise QuantizationError(f"the scheme {name!r} has no {', '.join(sorted(unknown))}")
        try:
            return found(**arguments)
        except TypeError as error:
            raise QuantizationError(f"the scheme {name!r} is incomplete: {error}") from error


@dataclasses.dataclass(frozen=True)
class Float32(Scheme):
    """IEEE single precision: what a quantized weight stands for, as it is. Field: floatValue."""

    bits: int = dataclasses.field(default=32, init=False, repr=False)

    name: ClassVar[str] = "float32"

    def __post_init__(self) -> None:
        """There is nothing to check."""

    @property
    def label(self) -> str:
        """A few words for menus and tables."""
        return "32-bit float"

    @property
    def version(self) -> int:
        """The least specificationVersion of a model that holds such weights."""
        return 1

    def _encode(self, array: Floats, channels: Channels) -> Encoded:
        return Encoded(32, values=array.reshape(-1))

    def blank(self, shape: tuple[int, ...], channel_axis: int | None = None, *, groups: int = 1) -> Encoded:
        """Zeros of the same length as the encoding of any weight of this shape has."""
        return Encoded(32, values=np.zeros(math.prod(shape), np.float32))


@dataclasses.dataclass(frozen=True)
class Float16(Scheme):
    """IEEE half precision, rounded half to even. Values beyond 65,504 raise QuantizationError. Field: float16Value."""

    bits: int = dataclasses.field(default=16, init=False, repr=False)

    name: ClassVar[str] = "float16"

    def __post_init__(self) -> None:
        """There is nothing to check."""

    @property
    def label(self) -> str:
        """A few words for menus and tables."""
        return "16-bit float"

    @property
    def version(self) -> int:
        """The least specificationVersion of a model that holds such weights."""
        return 2

    def _encode(self, array: Floats, channels: Channels) -> Encoded:
        with np.errstate(over="ignore"):
            values = array.reshape(-1).astype(np.float16)
        if not np.isfinite(values).all():
            most = np.abs(array).max()
            raise QuantizationError(f"{most:g} is beyond 65504, the largest 16-bit float; leave its whole layer out")
        return Encoded(16, values=values)

    def blank(self, shape: tuple[int, ...], channel_axis: int | None = None, *, groups: int = 1) -> Encoded:
        """Zeros of the same length as the encoding of any weight of this shape has."""
        return Encoded(16, values=np.zeros(math.prod(shape), np.float16))
