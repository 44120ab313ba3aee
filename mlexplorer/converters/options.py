"""What the caller of `convert` says of the model's inputs, outputs and description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from mlexplorer.converters.network import NetworkBuilder
from mlexplorer.converters.source import CustomConversionFunction
from mlexplorer.errors import InputError
from mlexplorer.model import Model

ByInput = float | Mapping[str, float]


@dataclass(frozen=True)
class Options:
    """The arguments of `convert`, in its words; see there. Converters declare features through it."""

    input_names: Sequence[str] | None = None
    output_names: Sequence[str] | None = None
    input_name_shape_dict: Mapping[str, Sequence[int]] = field(default_factory=dict)
    image_input_names: str | Sequence[str] = ()
    image_scale: ByInput = 1.0
    red_bias: ByInput = 0.0
    green_bias: ByInput = 0.0
    blue_bias: ByInput = 0.0
    gray_bias: ByInput = 0.0
    is_bgr: bool | Mapping[str, bool] = False
    image_output_names: str | Sequence[str] = ()
    image_output_scale: float | Mapping[str, float] = 1.0
    image_output_bias: Any = 0.0
    class_labels: Sequence[str] | Sequence[int] | str | PathLike[str] | None = None
    predicted_feature_name: str = "classLabel"
    predicted_probabilities_output: str = ""
    author: str = ""
    license: str = ""
    short_description: str = ""
    custom_conversion_functions: Mapping[str, CustomConversionFunction] = field(default_factory=dict)
    add_custom_layers: bool = False


class Interface:
    """The inputs and outputs of the model in the making, as the source has them and as the caller wants them."""

    def __init__(self, options: Options, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        self._options = options
        self._input_names = _renamed("input", inputs, options.input_names)
        self._output_names = _renamed("output", outputs, options.output_names)
        self._images = self._known("image_input_names", options.image_input_names, self._input_names)
        self._image_outputs = self._known("image_output_names", options.image_output_names, self._output_names)
        self._known("input_name_shape_dict", list(options.input_name_shape_dict), self._input_names)
        labels = options.class_labels
        self.network = NetworkBuilder(
            class_labels=_labels_of(labels) if isinstance(labels, str | PathLike) else labels,
            predicted_feature_name=options.predicted_feature_name,
            predicted_probabilities_output=self._output_names.get(
                options.predicted_probabilities_output, options.predicted_probabilities_output
            ),
        )

    def shape(self, name: str, shape: Sequence[int | None]) -> tuple[int, ...]:
        """The concrete shape of an input: as the caller says, else as the source says; an open first axis becomes 1.

        Raises InputError where other axes are open.
        """
        given = self._options.input_name_shape_dict
        wanted = given.get(self._input_names[name], given.get(name))
        if wanted is not None and len(wanted) != len(shape):
            raise InputError(
                f"input_name_shape_dict gives {name!r} {len(wanted)} axes; the source has {len(shape)}: {_text(shape)}"
            )
        for own, chosen in zip(shape, wanted or (), strict=False):
            if own and chosen and own != chosen:
                raise InputError(f"input_name_shape_dict gives {name!r} {_text(wanted or ())}, not {_text(shape)}")
        sizes = [chosen or own for own, chosen in zip(shape, wanted or shape, strict=True)]
        if sizes and not sizes[0]:
            sizes[0] = 1
        if any(not size or size < 1 for size in sizes):
            raise InputError(
                f"the sizes of the input {name!r} are open: {_text(shape)}; say them with "
                f"input_name_shape_dict={{{name!r}: [...]}}"
            )
        return tuple(int(size) for size in sizes if size)

    def input(self, name: str, shape: Sequence[int], channel_axis: int = 1) -> tuple[str, bool]:
        """Declare an input of the source with a concrete shape; returns its blob and whether it is a picture.

        A picture's blob is [1, channels, height, width], whatever the axes of the source; an array has its shape.
        """
        final = self._input_names[name]
        if name not in self._images:
            return self.network.array_input(final, shape), False
        channels, height, width = _image_sizes(name, shape, channel_axis)
        options = self._options
        biases = [_of(options.red_bias, name, final), _of(options.green_bias, name, final)]
        blob = self.network.image_input(
            final,
            width=width,
            height=height,
            color_space=self._color_space(name, final, channels),
            scale=_of(options.image_scale, name, final, 1.0),
            bias=_of(options.gray_bias, name, final)
            if channels == 1
            else [*biases, _of(options.blue_bias, name, final)],
        )
        return blob, True

    def is_image_output(self, name: str) -> bool:
        """Whether the caller wants an output as a picture, and so a blob [1, channels, height, width]."""
        return name in self._image_outputs

    def output(self, name: str, blob: str, shape: Sequence[int], channel_axis: int = 1) -> None:
        """Declare an output of the source, whose shape it has; a picture's blob is [1, channels, height, width]."""
        final = self._output_names[name]
        if name not in self._image_outputs:
            self.network.output(blob, final, shape=shape)
            return
        channels, height, width = _image_sizes(name, shape, channel_axis)
        scale = _of(self._options.image_output_scale, name, final, 1.0)
        bias: Any = self._options.image_output_bias
        if isinstance(bias, Mapping):
            bias = bias.get(final, bias.get(name, 0.0))
        if isinstance(bias, int | float):
            if scale != 1 or bias:
                blob = self.network.add("activation", blob, linear={"alpha": scale, "beta": float(bias)})
        else:
            if len(bias) != channels:
                raise InputError(
                    f"image_output_bias has {len(bias)} numbers; the output {name!r} has {channels} channels"
                )
            scales = np.full(channels, scale, np.float32)
            blob = self.network.add(
                "scale",
                blob,
                shapeScale=[channels, 1, 1],
                scale=scales,
                hasBias=True,
                shapeBias=[channels, 1, 1],
                bias=np.asarray(bias, np.float32),
            )
        self.network.image_output(
            blob, final, width=width, height=height, color_space=self._color_space(name, final, channels)
        )

    def model(self) -> Model:
        """The finished model, with what the caller says of it."""
        options = self._options
        return self.network.model(
            author=options.author, license=options.license, short_description=options.short_description
        )

    def _color_space(self, name: str, final: str, channels: int) -> str:
        is_bgr = self._options.is_bgr
        if isinstance(is_bgr, Mapping):
            is_bgr = is_bgr.get(final, is_bgr.get(name, False))
        return "GRAYSCALE" if channels == 1 else "BGR" if is_bgr else "RGB"

    @staticmethod
    def _known(argument: str, names: str | Sequence[str], renamed: Mapping[str, str]) -> set[str]:
        """The source's names for names of either kind; raises InputError for others."""
        sources = {new: old for old, new in renamed.items()}
        result = set()
        for name in [names] if isinstance(names, str) else names:
            if name not in renamed and name not in sources:
                raise InputError(f"{argument} has {name!r}; the model has {', '.join(map(repr, renamed))}")
            result.add(name if name in renamed else sources[name])
        return result


def _renamed(kind: str, names: Sequence[str], wanted: Sequence[str] | None) -> dict[str, str]:
    if wanted is None:
        return dict(zip(names, names, strict=True))
    given = [wanted] if isinstance(wanted, str) else list(wanted)
    if len(given) != len(names):
        raise InputError(f"{kind}_names has {len(given)} names; the model has {len(names)} {kind}s: {', '.join(names)}")
    return dict(zip(names, given, strict=True))


def _labels_of(path: str | PathLike[str]) -> list[str]:
    """One label per line of a text file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"class_labels cannot be read from {path}: {error}") from error
    return [line.strip() for line in lines if line.strip()]


def _image_sizes(name: str, shape: Sequence[int], channel_axis: int) -> tuple[int, int, int]:
    """Channels, height and width of [1, C, H, W] or [1, H, W, C]; a missing channel axis is one gray channel."""
    sizes = list(shape)
    channels = sizes.pop(channel_axis) if len(sizes) == 4 else 1
    if len(sizes) != 3 or sizes[0] != 1 or channels not in (1, 3):
        raise InputError(
            f"{name!r} has the shape {_text(shape)}; a picture has one or three channels, height and width"
        )
    return channels, sizes[1], sizes[2]


def _of(values: ByInput, name: str, final: str, default: float = 0.0) -> float:
    return float(values.get(final, values.get(name, default)) if isinstance(values, Mapping) else values)


def _text(shape: Sequence[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"
