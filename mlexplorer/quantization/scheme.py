"""A scheme: how a weight is stored in fewer bits. A value, with equality, an evaluable repr and a JSON form."""

from __future__ import annotations

import dataclasses
import operator
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from mlexplorer.errors import QuantizationError
from mlexplorer.quantization.analysis import Analysis, analyse
from mlexplorer.spec.weight_params import Axis, Encoded, Floats

SCHEMES: dict[str, type[Scheme]] = {}


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

    def encode(self, array: Any, channel_axis: Axis = None, *, name: str = "weight") -> Encoded:
        """The weight in this scheme.

        `array` is float32, in the layer's shape; `channel_axis` is the axis (or axes) of its output channels, None
        where it has only one scale. Raises QuantizationError, with `name` in the message, for NaN and infinite values.
        """
        array = np.ascontiguousarray(array, dtype=np.float32)
        if not array.size:
            return Encoded(32, values=array.reshape(-1))
        analysis = analyse(array)
        if not analysis.finite:
            bad = np.count_nonzero(~np.isfinite(array))
            raise QuantizationError(f"{name}: {bad} of {array.size} values are NaN or infinite; repair or leave it out")
        try:
            return self._encode(array, channel_axis, analysis)
        except QuantizationError as error:
            raise QuantizationError(f"{name}: {error}") from error

    @abstractmethod
    def _encode(self, array: Floats, channel_axis: Axis, analysis: Analysis) -> Encoded:
        """The weight in this scheme; it is finite and not empty."""

    @abstractmethod
    def blank(self, shape: tuple[int, ...], channel_axis: Axis = None) -> Encoded:
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

    def _encode(self, array: Floats, channel_axis: Axis, analysis: Analysis) -> Encoded:
        with np.errstate(over="ignore"):
            values = array.reshape(-1).astype(np.float16)
        if not np.isfinite(values).all():
            most = max(abs(analysis.low), abs(analysis.high))
            raise QuantizationError(f"{most:g} is beyond 65504, the largest 16-bit float; leave this weight out")
        return Encoded(16, values=values)

    def blank(self, shape: tuple[int, ...], channel_axis: Axis = None) -> Encoded:
        """Zeros of the same length as the encoding of any weight of this shape has."""
        return Encoded(16, values=np.zeros(int(np.prod(shape)), np.float16))


def channel_rows(array: Floats, channel_axis: Axis) -> Floats:
    """The weight with one row for each channel (a single row without channels), C-contiguous."""
    if channel_axis is None or array.ndim == 1:
        return array.reshape(1, -1)
    axes = (channel_axis,) if isinstance(channel_axis, int) else channel_axis
    channels = int(np.prod([array.shape[axis] for axis in axes]))
    return np.ascontiguousarray(np.moveaxis(array, axes, range(len(axes)))).reshape(channels, -1)


def from_channel_rows(rows: Any, shape: tuple[int, ...], channel_axis: Axis) -> Any:
    """The inverse of `channel_rows`: flat, in the order of the weight."""
    if channel_axis is None or len(shape) == 1:
        return rows.reshape(-1)
    axes = (channel_axis,) if isinstance(channel_axis, int) else channel_axis
    others = [n for axis, n in enumerate(shape) if axis not in axes]
    moved = rows.reshape(*(shape[axis] for axis in axes), *others)
    return np.ascontiguousarray(np.moveaxis(moved, range(len(axes)), axes)).reshape(-1)
