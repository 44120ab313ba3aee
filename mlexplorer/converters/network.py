"""Core ML networks made layer by layer, in the names of the format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from mlexplorer import spec
from mlexplorer.converters.source import CustomLayerParams
from mlexplorer.errors import InputError
from mlexplorer.model import Model
from mlexplorer.spec.fields import fill

_EXACT_ARRAY_MAPPING, _RANK4_IMAGE_MAPPING = 1, 1
_FIRST_VERSION, _LATER_VERSION = 4, 5
_LATER_TYPES = frozenset(
    {"argSort", "clampedReLU", "convolution3d", "cumSum", "globalPooling3d", "oneHot", "pooling3d"}
)
_LATER_FIELDS: Mapping[str, Sequence[str]] = {
    "concatND": ("interleave",),
    "sliceDynamic": ("squeezeMasks",),
    "sliceStatic": ("squeezeMasks",),
    "upsample": ("fractionalScalingFactor", "linearUpsampleMode"),
}
_PIXEL_SHUFFLE = 2
_BIASES = ("redBias", "greenBias", "blueBias")
_COLOR_SPACES = {"RGB": 3, "BGR": 3, "GRAYSCALE": 1}


class NetworkBuilder:
    """Makes a neural network layer by layer; what the converters build with.

    Blobs are strings. Arrays have the axes that their shapes say (EXACT_ARRAY_MAPPING), pictures are blobs of
    [1, channels, height, width]. Layer types, fields and enums have the names of the format (NeuralNetwork.proto).

        >>> network = NetworkBuilder(class_labels=["cat", "dog"])
        >>> x = network.image_input("image", width=28, height=28, color_space="GRAYSCALE", scale=1 / 255)
        >>> x = network.add("reshapeStatic", x, targetShape=[1, 784])
        >>> x = network.add("innerProduct", x, inputChannels=784, outputChannels=2, weights=weights)
        >>> x = network.add("softmaxND", x, axis=-1)
        >>> network.output(x, "probabilities")
        >>> model = network.model()

    With `class_labels` (texts or whole numbers) it is a classifier: one output holds their probabilities and becomes a
    dictionary, and `predicted_feature_name` is the output with the likeliest label. That output is the one named
    `predicted_probabilities_output`, else the first.
    """

    def __init__(
        self,
        *,
        class_labels: Sequence[str] | Sequence[int] | None = None,
        predicted_feature_name: str = "classLabel",
        predicted_probabilities_output: str = "",
    ) -> None:
        self._spec: Any = spec.Model(specificationVersion=_FIRST_VERSION)
        self._network = self._spec.neuralNetwork if class_labels is None else self._spec.neuralNetworkClassifier
        self._network.arrayInputShapeMapping = _EXACT_ARRAY_MAPPING
        self._network.imageInputShapeMapping = _RANK4_IMAGE_MAPPING
        self._labels = class_labels
        self._predicted = predicted_feature_name
        self._probabilities = predicted_probabilities_output
        self._layer_names: set[str] = set()
        self._blobs: set[str] = set()
        self._inputs: set[str] = set()
        self._outputs: dict[str, str] = {}

    def array_input(self, name: str, shape: Sequence[int], *, description: str = "") -> str:
        """An input of float32 numbers; returns its blob."""
        feature = self._input(name, description)
        fill(feature.type.multiArrayType, {"shape": shape, "dataType": "FLOAT32"})
        return name

    def image_input(
        self,
        name: str,
        *,
        width: int,
        height: int,
        color_space: str = "RGB",
        scale: float = 1.0,
        bias: float | Sequence[float] = 0.0,
        description: str = "",
    ) -> str:
        """An input of pictures; returns its blob [1, channels, height, width].

        `color_space` is "RGB", "BGR" (the order of the blob's channels) or "GRAYSCALE"; pixels from 0 to 255 become
        `scale` * pixel + `bias`, one number or those of red, green and blue.
        """
        biases = _color_biases(color_space, bias)
        feature = self._input(name, description)
        fill(feature.type.imageType, {"width": width, "height": height, "colorSpace": color_space})
        if scale != 1 or any(biases.values()):
            fill(self._network.preprocessing.add(), {"featureName": name, "scaler": {"channelScale": scale, **biases}})
        return name

    def add(
        self, type: str, /, *inputs: str, name: str | None = None, outputs: int | Sequence[str] = 1, **fields: Any
    ) -> Any:
        """Append a layer; returns the blob that it gives, or a tuple of them where `outputs` is not 1.

        `type` is a field of NeuralNetworkLayer ("convolution"), `fields` those of its message; arrays become weights,
        dicts messages: `activation={"ReLU": {}}`. `outputs` is their number, or their names.

        Raises InputError for an unknown type, field or blob, and for a value that does not fit its field.
        """
        if type not in _layer_types():
            raise InputError(
                f"there is no layer type {type!r}; the types are those of NeuralNetworkLayer in the format"
            )
        return self._append(type, inputs, name, outputs, fields)

    def custom(
        self, params: CustomLayerParams, *inputs: str, name: str | None = None, outputs: int | Sequence[str] = 1
    ) -> Any:
        """Append a custom layer; returns its blobs as `add` does."""
        fields = {
            "className": params.class_name,
            "description": params.description,
            "parameters": {key: _parameter(params.class_name, key, value) for key, value in params.parameters.items()},
            "weights": list(params.weights),
        }
        return self._append("custom", inputs, name or params.class_name, outputs, fields)

    def output(self, blob: str, name: str = "", *, shape: Sequence[int] = (), description: str = "") -> None:
        """Make a blob an output of the model under this name, its own where none is given.

        `shape`, where known, tells the app what to expect.
        """
        feature = self._output(blob, name or blob, description)
        fill(feature.type.multiArrayType, {"shape": shape, "dataType": "FLOAT32"})

    def image_output(
        self, blob: str, name: str = "", *, width: int, height: int, color_space: str = "RGB", description: str = ""
    ) -> None:
        """Make a blob [1, channels, height, width] with values from 0 to 255 an output picture of the model."""
        _channels(color_space)
        feature = self._output(blob, name or blob, description)
        fill(feature.type.imageType, {"width": width, "height": height, "colorSpace": color_space})

    def model(self, *, author: str = "", license: str = "", short_description: str = "") -> Model:
        """The finished model; the builder must not be used afterwards.

        Raises InputError where the network has no output, or a classifier lacks the one with its probabilities.
        """
        if not self._outputs:
            raise InputError("the network has no output; call `output` or `image_output` with a blob")
        self._rename()
        if self._labels is not None:
            self._classify(self._labels)
        self._spec.specificationVersion = max(map(_version, self._network.layers), default=_FIRST_VERSION)
        fill(
            self._spec.description.metadata,
            {"author": author, "license": license, "shortDescription": short_description},
        )
        return Model(self._spec)

    def _input(self, name: str, description: str) -> Any:
        if not name or name in self._blobs:
            raise InputError(f"an input cannot be named {name!r}: {'it is a blob already' if name else 'it is empty'}")
        self._blobs.add(name)
        self._inputs.add(name)
        return self._spec.description.input.add(name=name, shortDescription=description)

    def _append(
        self,
        type: str,
        inputs: Sequence[str],
        name: str | None,
        outputs: int | Sequence[str],
        fields: Mapping[str, Any],
    ) -> Any:
        for blob in inputs:
            if blob not in self._blobs:
                raise InputError(f"layer {name or type!r} ({type}) reads {blob!r}, which no input or layer gives")
        unique = _unique(name or type, self._layer_names, always=name is None)
        if isinstance(outputs, int):
            wanted = [unique] if outputs == 1 else [f"{unique}_{index}" for index in range(outputs)]
            blobs = [_unique(blob, self._blobs) for blob in wanted]
        else:
            blobs = list(outputs)
            if taken := self._blobs.intersection(blobs):
                raise InputError(f"layer {unique!r} ({type}) gives {sorted(taken)}, which others give already")
        layer = self._network.layers.add(name=unique, input=inputs, output=blobs)
        try:
            fill(layer, {type: fields})
        except InputError as error:
            del self._network.layers[-1]
            raise InputError(f"layer {unique!r} ({type}): {error}") from error
        self._layer_names.add(unique)
        self._blobs.update(blobs)
        return blobs[0] if outputs == 1 else tuple(blobs)

    def _output(self, blob: str, name: str, description: str) -> Any:
        if blob not in self._blobs:
            raise InputError(f"the output {name!r} is the blob {blob!r}, which no input or layer gives")
        if name in self._outputs.values() or (name in self._inputs):
            raise InputError(f"there is an input or output {name!r} already; give this output another name")
        if blob in self._inputs or blob in self._outputs:
            blob = self.add("activation", blob, name=f"{name}/copy", linear={"alpha": 1})
        self._outputs[blob] = name
        return self._spec.description.output.add(name=name, shortDescription=description)

    def _rename(self) -> None:
        """Give the output blobs the outputs' names, and blobs that had these names before other ones."""
        names = {blob: name for blob, name in self._outputs.items() if blob != name}
        for name in list(names.values()):
            if name in self._blobs and name not in names:
                names[name] = _unique(f"{name}/blob", self._blobs)
        for layer in self._network.layers if names else ():
            for blobs in (layer.input, layer.output):
                for index, blob in enumerate(blobs):
                    if blob in names:
                        blobs[index] = names[blob]

    def _classify(self, labels: Sequence[str] | Sequence[int]) -> None:
        description = self._spec.description
        names = list(self._outputs.values())
        probabilities = self._probabilities or names[0]
        if probabilities not in names:
            raise InputError(f"there is no output {probabilities!r} to hold the probabilities; there are {names}")
        texts = all(isinstance(label, str) for label in labels)
        if not labels or len(set(labels)) != len(labels):
            raise InputError("class labels must be different from each other, and there must be some")
        if not texts and not all(isinstance(label, int) for label in labels):
            raise InputError("class labels are all texts or all whole numbers")
        vector = "stringClassLabels" if texts else "int64ClassLabels"
        fill(self._network, {vector: {"vector": list(labels)}, "labelProbabilityLayerName": probabilities})
        key, kind = ("stringKeyType", "stringType") if texts else ("int64KeyType", "int64Type")
        for feature in description.output:
            if feature.name == probabilities:
                if feature.type.WhichOneof("Type") == "imageType":
                    raise InputError(f"the output {probabilities!r} holds the probabilities, so it is no picture")
                fill(feature.type, {"dictionaryType": {key: {}}})
        if self._predicted in {*names, *self._inputs}:
            raise InputError(f"there is an input or output {self._predicted!r} already; name the label otherwise")
        fill(description.output.add(name=self._predicted).type, {kind: {}})
        fill(
            description,
            {"predictedFeatureName": self._predicted, "predictedProbabilitiesName": probabilities},
        )


@cache
def _layer_types() -> frozenset[str]:
    return frozenset(field.name for field in spec.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields)


def _unique(name: str, taken: Iterable[str], *, always: bool = False) -> str:
    """The name, numbered where it is taken, or `always`."""
    number, result = 1, f"{name}_1" if always else name
    while result in taken:
        number += 1
        result = f"{name}_{number}"
    return result


def _channels(color_space: str) -> int:
    if color_space not in _COLOR_SPACES:
        raise InputError(f"color_space cannot be {color_space!r}; it may be {', '.join(_COLOR_SPACES)}")
    return _COLOR_SPACES[color_space]


def _color_biases(color_space: str, bias: float | Sequence[float]) -> dict[str, float]:
    channels = _channels(color_space)
    values = [float(bias)] * channels if isinstance(bias, int | float) else [float(value) for value in bias]
    if len(values) != channels:
        raise InputError(f"bias has {len(values)} numbers; {color_space} takes one, or one for each of its {channels}")
    return dict(zip(_BIASES if channels == 3 else ("grayBias",), values, strict=True))


def _parameter(class_name: str, key: str, value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue" if -(2**31) <= value < 2**31 else "longValue": value}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    raise InputError(
        f"parameter {key!r} of custom class {class_name!r} is a {type(value).__name__}; it must be a str, bool, int "
        "or float"
    )


def _version(layer: Any) -> int:
    type = layer.WhichOneof("layer")
    params = getattr(layer, type)
    later = (
        type in _LATER_TYPES
        or any(_is_set(getattr(params, name)) for name in _LATER_FIELDS.get(type, ()))
        or (type == "reorganizeData" and params.mode == _PIXEL_SHUFFLE)
        or (type == "tile" and len(layer.input) > 1)
    )
    return _LATER_VERSION if later else _FIRST_VERSION


def _is_set(value: Any) -> bool:
    return bool(value) if isinstance(value, int | float) else any(value)
