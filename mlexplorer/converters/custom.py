"""Layers that become custom layers: by the caller's functions, as placeholders, or else listed in one refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlexplorer.converters.options import Options
from mlexplorer.converters.source import CustomLayerParams, Shape, SourceLayer
from mlexplorer.errors import CustomLayerError, MlexplorerError, UnsupportedError
from mlexplorer.source_text import LISTED, comment, identifiers

_SHOWN = 3
_LONGEST_CONFIGURATION = 400
_BOOKKEEPING = frozenset({"batch_input_shape", "batch_shape", "dtype", "name", "registered_name", "trainable"})
"""What every Keras layer has in its configuration, and no app asks for."""


class CustomLayers:
    """Which layers of a model become custom layers, and what they become."""

    def __init__(self, options: Options) -> None:
        self._functions = options.custom_conversion_functions
        self._placeholders = options.add_custom_layers

    def chosen(self, layer: SourceLayer) -> bool:
        """Whether the caller has a function for this layer: by its name, else by its class, known ones included."""
        return layer.name in self._functions or layer.class_name in self._functions

    def params(self, layer: SourceLayer) -> CustomLayerParams | None:
        """What the layer becomes: what the caller's function says, a placeholder where that is asked for, or None.

        Raises CustomLayerError, which names the layer, where the function fails or answers with something else.
        """
        function = self._functions.get(layer.name, self._functions.get(layer.class_name))
        if function is None:
            return placeholder(layer) if self._placeholders else None
        try:
            # arrays of the function's own, which it may change and keep: those here may lie in the open file
            params = function(replace(layer, weights={name: array.copy() for name, array in layer.weights.items()}))
        except MlexplorerError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise CustomLayerError(
                f"the conversion function of layer {layer.name!r} ({layer.class_name}) failed: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not isinstance(params, CustomLayerParams):
            raise CustomLayerError(
                f"the conversion function of layer {layer.name!r} ({layer.class_name}) returned a "
                f"{type(params).__name__}; it must return CustomLayerParams"
            )
        return params

    @staticmethod
    def output_shapes(params: CustomLayerParams, layer: SourceLayer, outputs: int) -> Sequence[Shape]:
        """The shapes of the layer's outputs in the axes of the source, as far as they can be told.

        Raises CustomLayerError where the function gives another number of them.
        """
        if params.output_shapes is not None:
            shapes = [tuple(int(size) for size in shape) for shape in params.output_shapes]
            if len(shapes) != outputs:
                raise CustomLayerError(
                    f"the conversion function of layer {layer.name!r} ({layer.class_name}) gives {len(shapes)} "
                    f"output_shapes; the layer has {outputs} outputs"
                )
            return shapes
        if len(layer.output_shapes) == outputs and all(layer.output_shapes):
            return layer.output_shapes
        return [first_shape(layer)] * outputs


def first_shape(layer: SourceLayer) -> Shape:
    """The shape of a layer's first input, [1] where there is none or it is not known."""
    first = layer.input_shapes[0] if layer.input_shapes else None
    return (1,) if first is None else first


def placeholder(layer: SourceLayer) -> CustomLayerParams:
    """A custom layer named after the source's class, with the plain values of its configuration and its weights."""
    return CustomLayerParams(
        class_name=identifiers([layer.class_name.rpartition("::")[2]], "Custom")[0],
        description=f"Placeholder for the layer {layer.name} ({layer.class_name})",
        parameters={
            key: value
            for key, value in layer.configuration.items()
            if isinstance(value, str | bool | int | float) and key not in _BOOKKEEPING
        },
        weights=list(layer.weights.values()),
    )


def require_known(unknown: Iterable[SourceLayer], reasons: Mapping[str, str] | None = None) -> None:
    """Raise UnsupportedError with all layers that cannot be converted, and functions to paste, where there are any.

    `reasons` says of classes that one may have expected to be known why they are not.
    """
    layers = list(unknown)
    if not layers:
        return
    lines = [_description(layer, (reasons or {}).get(layer.class_name, "")) for layer in layers[:LISTED]]
    if len(layers) > LISTED:
        lines.append(f"  and {len(layers) - LISTED} more")
    first_of_class = list({layer.class_name: layer for layer in layers}.values())
    names = identifiers([f"convert_{layer.class_name.rpartition('::')[2]}" for layer in first_of_class], "convert")
    stubs = [_stub(layer, name) for layer, name in zip(first_of_class[:_SHOWN], names, strict=False)]
    entries = ", ".join(
        f"{layer.class_name!r}: {name}" for layer, name in zip(first_of_class[:LISTED], names, strict=False)
    )
    raise UnsupportedError(
        "\n".join(
            [
                f"{len(layers)} {'layer has' if len(layers) == 1 else 'layers have'} no counterpart in Core ML:",
                *lines,
                "Convert them with functions of yours, which make custom layers, or pass add_custom_layers=True for "
                "placeholders. To begin with, paste and complete:",
                "",
                "import mlexplorer as mle",
                "",
                "",
                "\n\n\n".join(stubs),
                "",
                "",
                f"# and pass custom_conversion_functions={{{entries}}} to mle.convert",
            ]
        )
    )


def _description(layer: SourceLayer, reason: str) -> str:
    shapes = ", ".join("unknown" if shape is None else str(list(shape)) for shape in layer.input_shapes)
    weights = ", ".join(f"{comment(name)} {list(array.shape)}" for name, array in layer.weights.items())
    parts = [
        f"  {comment(repr(layer.name))} ({comment(layer.class_name)})",
        f"inputs {shapes}" if shapes else "",
        f"weights {weights}" if weights else "",
        f"configuration {comment(repr(_plain(layer.configuration)), _LONGEST_CONFIGURATION)}",
        reason,
    ]
    return "; ".join(filter(None, parts))


def _plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in configuration.items() if value is not None and key not in _BOOKKEEPING}


def _stub(layer: SourceLayer, name: str) -> str:
    parameters = placeholder(layer).parameters
    return "\n".join(
        [
            f"def {name}(layer):",
            "    return mle.CustomLayerParams(",
            f"        class_name={placeholder(layer).class_name!r},",
            "        description='',",
            "        parameters={",
            *(
                f"            {key!r}: layer.configuration[{key!r}],  # {comment(repr(value))}"
                for key, value in list(parameters.items())[:LISTED]
            ),
            "        },",
            "        weights=list(layer.weights.values()),",
            "        output_shapes=None,  # [(1, ...)] in the axes of the source, where they are not the first input's",
            "    )",
        ]
    )
