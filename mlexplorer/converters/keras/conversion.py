"""A Keras model as a Core ML network: its layers in turn, each by the function of its class."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from mlexplorer.converters.custom import CustomLayers, require_known
from mlexplorer.converters.keras.context import CONVERTERS, Context, tensors
from mlexplorer.converters.keras.layers import is_known
from mlexplorer.converters.keras.layers.missing import REASONS
from mlexplorer.converters.keras.source_model import KerasLayer, KerasModel, TensorRef
from mlexplorer.converters.keras.values import Layouts, Value
from mlexplorer.converters.keras.variables import ATTENTION_BY_HEADS
from mlexplorer.converters.options import Interface, Options
from mlexplorer.converters.source import Shape, SourceLayer
from mlexplorer.errors import FileFormatError, InputError, MlexplorerError, UnsupportedError
from mlexplorer.model import Model

_Key = tuple[str, int]
"""Classes with an argument for the mask of each of their tensors."""
_UNFIT = (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError)


def convert_keras(model: KerasModel, options: Options) -> Model:
    """A Keras model as a Core ML neural network with the names of its layers; those of nested models as "outer/inner".

    Arrays come in and go out in Keras' own shapes, batch 1; pictures as [1, C, H, W]. Raises UnsupportedError for
    layers that are not known (all of them at once) or configured in a way that cannot be converted, InputError for open
    sizes and for weights that do not fit, FileFormatError for a model that contradicts itself.
    """
    custom = CustomLayers(options)
    conversion = _Conversion(model, options, custom)
    if unknown := conversion.unknown():
        require_known(_Survey(model, options, custom).sources(unknown), REASONS)
    return conversion.model()


class _Conversion:
    """One model in the making."""

    def __init__(self, model: KerasModel, options: Options, custom: CustomLayers) -> None:
        self._model = model
        self._custom = custom
        self._named = options.custom_conversion_functions
        self._placeholders = options.add_custom_layers
        self._shapes = options.input_name_shape_dict
        self._channels_first = any(
            layer.config.get("data_format") == "channels_first" for layer, _ in _every_layer(model, "")
        )
        self._input_names = _unique(ref.layer for ref in model.inputs)
        self._output_names = _unique(ref.layer for ref in model.outputs)
        self._interface = Interface(options, self._input_names, self._output_names)
        self._layouts = Layouts(self._interface.network)

    def unknown(self) -> list[tuple[KerasLayer, str]]:
        """The layers that nothing converts and their names, nested ones included."""
        if self._placeholders:
            return []
        chosen = (name for name, layer in self._chosen())
        skipped = tuple(f"{name}/" for name in chosen)
        return [
            (layer, name)
            for layer, name in _every_layer(self._model, "")
            if not is_known(layer) and not self._is_chosen(layer, name) and not name.startswith(skipped)
        ]

    def model(self) -> Model:
        """The finished network."""
        outputs = self._walk(self._model, self._inputs(), "")
        for name, value in zip(self._output_names, outputs, strict=True):
            self._output(name, value)
        return self._interface.model()

    def _inputs(self) -> list[Value]:
        layers = {layer.name: layer for layer in self._model.layers}
        return [self._input(name, ref, layers) for name, ref in zip(self._input_names, self._model.inputs, strict=True)]

    def _input(self, name: str, ref: TensorRef, layers: Mapping[str, KerasLayer]) -> Value:
        config = layers[ref.layer].config if ref.layer in layers else {}
        given = config.get("batch_shape", config.get("batch_input_shape"))
        if given is None:  # a Sequential that was saved before it knew its shape
            given = [None] * len(self._shapes.get(name, ()))
            if not given:
                raise InputError(
                    f"the model does not tell the shape of its input {name!r}; say it, batch included, with "
                    f"input_name_shape_dict={{{name!r}: [...]}}"
                )
        if config.get("sparse") or config.get("ragged"):
            kind = "sparse" if config.get("sparse") else "ragged"
            raise UnsupportedError(f"layer {ref.layer!r} (InputLayer) cannot be converted: its tensors are {kind}")
        shape = self._interface.shape(name, given or (1,))
        channel_axis = self._channel_axis(shape)
        blob, is_picture = self._interface.input(name, shape, channel_axis)
        if not is_picture:
            return Value(blob, shape)
        if len(shape) == 3:
            blob = self._interface.network.add("squeeze", blob, axes=[1], name=f"{name}/gray")
            return Value(blob, shape)
        return Value(blob, shape, planes=channel_axis == 3)

    def _output(self, name: str, value: Value) -> None:
        picture = self._interface.is_image_output(name)
        channel_axis = self._channel_axis(value.shape)
        blob = self._layouts.plain(value)
        if picture and value.rank == 4 and channel_axis == 3:
            blob = self._layouts.planes(value)
        elif picture and value.rank == 3:
            blob = self._interface.network.add("expandDims", blob, axes=[1], name=f"{name}/gray")
        self._interface.output(name, blob, value.shape, channel_axis)

    def _channel_axis(self, shape: Sequence[int]) -> int:
        """Where a picture of this shape has its channels: as the model's layers have them, if the sizes allow."""
        axes = (1, 3) if self._channels_first else (3, 1)
        return next((axis for axis in axes if len(shape) == 4 and shape[axis] in (1, 3)), axes[0])

    # The walk through a model

    def _walk(self, model: KerasModel, inputs: Sequence[Value], scope: str) -> list[Value]:
        """The outputs of a model, nested or not, called with `inputs`."""
        if len(inputs) != len(model.inputs):
            raise InputError(
                f"model {scope or model.name!r} is called with {len(inputs)} tensors, not {len(model.inputs)}"
            )
        results: dict[_Key, Sequence[Value]] = {}
        for ref, value in zip(model.inputs, inputs, strict=True):
            results[ref.layer, ref.call] = (value,)
        counts, needed = _results_read(model), _needed(model)
        for layer, number in model.steps:
            key, call = (layer.name, number), layer.calls[number]
            if key in results or key not in needed:
                continue
            name = f"{scope}{layer.name}" if number == 0 else f"{scope}{layer.name}/{number + 1}"
            arguments = [_with_values(item, results) for item in call.arguments]
            keywords = {word: _with_values(item, results) for word, item in call.keywords.items()}
            results[key] = self._convert(layer, name, arguments, keywords, counts.get(key, 1))
        return [_result(results, ref) for ref in model.outputs]

    def _convert(
        self, layer: KerasLayer, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], outputs: int
    ) -> tuple[Value, ...]:
        """What one call of a layer gives."""
        if self._is_chosen(layer, name) or not is_known(layer):
            return self._as_custom(layer, name, tensors([*arguments, *keywords.values()]), outputs)
        if layer.model is not None:
            return tuple(self._walk(layer.model, _for_inputs(layer.model, arguments, keywords), f"{name}/"))
        converter = CONVERTERS[layer.class_name]
        arguments, keywords = self._with_masks(layer, arguments, keywords)
        context = Context(
            self._interface.network,
            self._layouts,
            layer,
            name,
            arguments,
            keywords,
            self._model.keras_version,
            self._call,
        )
        try:
            results = converter.function(context)
        except MlexplorerError:
            raise
        except _UNFIT as error:
            message = f"{error}" if type(error) is ValueError else f"{type(error).__name__}: {error}"
            raise InputError(
                f"layer {name!r} ({layer.class_name}) cannot be converted, its configuration, weights and inputs "
                f"do not fit: {message}"
            ) from error
        values = (results,) if isinstance(results, Value) else tuple(results)
        if converter.keeps_mask and values and values[0].mask is None:
            values = (replace(values[0], mask=context.input.mask), *values[1:])
        return values

    def _call(self, context: Context, layer: KerasLayer, name: str, arguments: Sequence[Any]) -> tuple[Value, ...]:
        return self._convert(layer, name, arguments, {}, 1)

    def _with_masks(
        self, layer: KerasLayer, arguments: Sequence[Any], keywords: Mapping[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Any]]:
        """The call with the masks that it is given as those of its tensors.

        Keras 3 records masks as arguments; it leaves those of the tensors out where more than one argument has tensors,
        unless the layer has an argument for each.
        """
        keywords = dict(keywords)
        mask = keywords.pop("mask", None)
        masks = iter(mask if isinstance(mask, list) else [mask])

        def masked(item: Any) -> Any:
            if isinstance(item, Value):
                given = next(masks, None)
                return replace(item, mask=partial(self._layouts.plain, given) if isinstance(given, Value) else None)
            return [masked(inner) for inner in item] if isinstance(item, list) else item

        if layer.class_name in ATTENTION_BY_HEADS:
            return arguments, keywords
        several = sum(bool(tensors(item)) for item in [*arguments, *keywords.values()]) > 1
        if mask is not None or (several and self._model.keras_version.startswith("3.")):
            arguments = [masked(item) for item in arguments]
        return arguments, keywords

    # Layers that become custom layers

    def _as_custom(self, layer: KerasLayer, name: str, inputs: Sequence[Value], outputs: int) -> tuple[Value, ...]:
        source = self._source(layer, name, [value.shape for value in inputs])
        params = self._custom.params(source)
        if params is None:
            require_known([source], REASONS)
            return ()
        if params.output_shapes is not None:
            outputs = max(outputs, len(params.output_shapes))
        shapes = self._custom.output_shapes(params, source, outputs)
        planes = [value.rank == 4 and not self._channels_first for value in inputs]
        blobs = [
            self._layouts.planes(value) if as_planes else self._layouts.plain(value)
            for value, as_planes in zip(inputs, planes, strict=True)
        ]
        given = self._interface.network.custom(params, *blobs, name=name, outputs=outputs)
        results = (given,) if isinstance(given, str) else given
        return tuple(
            Value(blob, tuple(shape), planes=len(shape) == 4 and not self._channels_first)
            for blob, shape in zip(results, shapes, strict=True)
        )

    def _chosen(self) -> Iterator[tuple[str, KerasLayer]]:
        return ((name, layer) for layer, name in _every_layer(self._model, "") if self._is_chosen(layer, name))

    def _is_chosen(self, layer: KerasLayer, name: str) -> bool:
        return self._custom.chosen(self._source(layer, name, ()))

    def _source(self, layer: KerasLayer, name: str, shapes: Sequence[Shape | None]) -> SourceLayer:
        """The layer as the caller's functions get it; they may name it with or without the models around it."""
        return SourceLayer(
            name=layer.name if layer.name in self._named else name,
            class_name=layer.class_name,
            configuration=layer.config,
            weights=layer.weights,
            input_shapes=shapes,
            output_shapes=_stated_shapes(layer, shapes),
        )


_UNSEEN = Value("", ())
"""What an unknown layer gives, and all that is computed from it: its shape is not known."""


class _Survey(_Conversion):
    """The walk through a model that is to be refused, as far as its known layers carry, for the shapes on the way."""

    def __init__(self, model: KerasModel, options: Options, custom: CustomLayers) -> None:
        super().__init__(model, options, custom)
        self._found: dict[int, Sequence[Shape | None]] = {}

    def sources(self, unknown: Iterable[tuple[KerasLayer, str]]) -> list[SourceLayer]:
        """The unknown layers with the shapes of what each is called with the first time, if the model does call it."""
        with suppress(MlexplorerError):
            self._walk(self._model, self._inputs(), "")
        return [self._source(layer, name, self._found.get(id(layer), ())) for layer, name in unknown]

    def _input(self, name: str, ref: TensorRef, layers: Mapping[str, KerasLayer]) -> Value:
        try:
            return super()._input(name, ref, layers)
        except MlexplorerError:  # open sizes, say: what cannot be converted at all is said first
            return _UNSEEN

    def _convert(
        self, layer: KerasLayer, name: str, arguments: Sequence[Any], keywords: Mapping[str, Any], outputs: int
    ) -> tuple[Value, ...]:
        given = tensors([*arguments, *keywords.values()])
        chosen = self._is_chosen(layer, name)
        if not chosen and not is_known(layer):
            self._note(layer, given)
        elif (layer.model is not None and not chosen) or _UNSEEN not in given:
            with suppress(MlexplorerError):
                return super()._convert(layer, name, arguments, keywords, outputs)
        for inner in layer.inner.values():
            self._note(inner, given)
        stated = _stated_shapes(layer, [value.shape for value in given])
        if len(stated) == outputs:
            zeros = [self._interface.network.add("fillStatic", value=0, targetShape=shape) for shape in stated]
            return tuple(Value(blob, shape) for blob, shape in zip(zeros, stated, strict=True))
        return (_UNSEEN,) * outputs

    def _call(self, context: Context, layer: KerasLayer, name: str, arguments: Sequence[Any]) -> tuple[Value, ...]:
        results = super()._call(context, layer, name, arguments)
        if _UNSEEN in results:
            context.refuse("its layer is not known")
        return results

    def _note(self, layer: KerasLayer, given: Sequence[Value]) -> None:
        self._found.setdefault(id(layer), [None if value == _UNSEEN else value.shape for value in given])


def _stated_shapes(layer: KerasLayer, inputs: Sequence[Shape | None]) -> Sequence[Shape]:
    """The shapes of a layer's outputs where the file tells them: of a Lambda that was made with `output_shape`."""
    given = layer.config.get("output_shape")
    if layer.class_name != "Lambda" or not isinstance(given, list) or not given:
        return ()
    if not all(type(size) is int and size > 0 for size in given):
        return ()
    return [((inputs[0] if inputs and inputs[0] else (1,))[0], *given)]


def _every_layer(model: KerasModel, scope: str) -> Iterator[tuple[KerasLayer, str]]:
    """All layers with their names, nested and wrapped ones after what holds them."""
    for layer in model.layers:
        yield from _with_inner(layer, f"{scope}{layer.name}")


def _with_inner(layer: KerasLayer, name: str) -> Iterator[tuple[KerasLayer, str]]:
    yield layer, name
    for inner in layer.inner.values():
        yield from _with_inner(inner, f"{name}/{inner.name}")
    if layer.model is not None:
        yield from _every_layer(layer.model, f"{name}/")


def _unique(names: Iterable[str]) -> list[str]:
    result: list[str] = []
    for name in names:
        number, chosen = 0, name
        while chosen in result:
            number += 1
            chosen = f"{name}_{number}"
        result.append(chosen)
    return result


def _needed(model: KerasModel) -> set[_Key]:
    """The calls that the outputs depend on."""
    calls = {(layer.name, number): call for layer in model.layers for number, call in enumerate(layer.calls)}
    needed: set[_Key] = set()
    waiting = [(ref.layer, ref.call) for ref in model.outputs]
    while waiting:
        key = waiting.pop()
        if key not in needed and key in calls:
            needed.add(key)
            waiting += [(ref.layer, ref.call) for ref in calls[key].inputs]
    return needed


def _results_read(model: KerasModel) -> dict[_Key, int]:
    """How many results of each call the model reads."""
    counts: dict[_Key, int] = {}
    for ref in [*(ref for layer in model.layers for call in layer.calls for ref in call.inputs), *model.outputs]:
        key = ref.layer, ref.call
        counts[key] = max(counts.get(key, 1), ref.index + 1)
    return counts


def _with_values(argument: Any, results: Mapping[_Key, Sequence[Value]]) -> Any:
    if isinstance(argument, TensorRef):
        return _result(results, argument)
    if isinstance(argument, Mapping):
        return {key: _with_values(item, results) for key, item in argument.items()}
    if isinstance(argument, list | tuple):
        return [_with_values(item, results) for item in argument]
    return argument


def _result(results: Mapping[_Key, Sequence[Value]], ref: TensorRef) -> Value:
    values = results.get((ref.layer, ref.call), ())
    if not 0 <= ref.index < len(values):
        raise FileFormatError(f"the model reads result {ref.index} of layer {ref.layer!r}, which gives {len(values)}")
    return values[ref.index]


def _for_inputs(model: KerasModel, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> list[Value]:
    """The tensors that a nested model is called with, in the order of its inputs; dicts go by their names."""
    first = arguments[0] if arguments else keywords.get("inputs")
    names = [ref.layer for ref in model.inputs]
    if isinstance(first, Mapping) and set(names) == set(first):
        return [first[name] for name in names]
    return tensors([*arguments, *keywords.values()])
