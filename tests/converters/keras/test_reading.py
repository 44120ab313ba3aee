"""What is read from files of Keras 3 and of Keras 2, and from models in memory, is what Keras holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mlexplorer.converters.keras.reading import is_keras_source, read_keras
from mlexplorer.converters.keras.source_model import Call, KerasModel, TensorRef
from tests.converters.keras.reading_models import (
    MODELS,
    assert_same_weights,
    held_calls,
    held_weights,
    keras,
    made,
    read_calls,
    read_weights,
)

FORMS = ("memory", "h5", "keras", "json and .weights.h5", "json and .h5")
KERAS_2 = Path(__file__).parent / "keras2"
NUMBERED = {
    "mixture/share": "mixture/0",
    "mixture/first/kernel": "mixture/first/0",
    "mixture/first/bias": "mixture/first/1",
    "mixture/second/kernel": "mixture/rest/dense/0",
}
"""What the variables of a layer that nobody knows are called where the file has numbers for them."""


def read_as(form: str, network: Any, folder: Path) -> KerasModel:
    """The model after it went through that kind of file."""
    if form == "memory":
        return read_keras(network)
    if form.startswith("json"):
        weights = folder / f"saved.{form.removeprefix('json and .')}"
        (network.save_weights if form.endswith(".weights.h5") else network.save)(weights)
        return read_keras(network.to_json(), weights=weights)
    path = folder / f"saved.{form}"
    network.save(path)
    return read_keras(path)


def forms_of(name: str) -> tuple[str, ...]:
    if name in ("models_in_models", "layer_in_two_models"):  # Keras cannot save these as .h5: names twice in a group
        return ("memory", "keras", "json and .weights.h5")
    return ("h5",) if name == "many_long_names" else FORMS


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_what_keras_holds(name: str, tmp_path: Path) -> None:
    network = made(name)
    held = held_weights(network)
    functional = getattr(network, "_functional", None) or network
    calls = held_calls(functional)
    for form in forms_of(name):
        read = read_as(form, network, tmp_path)
        numbered = form in ("keras", "json and .weights.h5")
        assert_same_weights(
            read_weights(read), {NUMBERED.get(key, key) if numbered else key: array for key, array in held.items()}
        )
        assert read_calls(read) == calls
        for ends, tensors in ((read.inputs, functional.inputs), (read.outputs, functional.outputs)):
            assert [tensor.layer for tensor in ends] == [tensor._keras_history[0].name for tensor in tensors]
        shapes = {layer.name: layer.config["batch_shape"] for layer in read.layers if layer.class_name == "InputLayer"}
        assert [shapes[tensor.layer] for tensor in read.inputs] == [list(tensor.shape) for tensor in functional.inputs]
        assert read.keras_version == ("3.0" if form.startswith("json") else keras.__version__)


def test_a_shared_layer_is_computed_again_after_what_it_waits_for() -> None:
    steps = read_keras(made("layer_that_waits_for_itself")).steps
    assert [(layer.name, call) for layer, call in steps] == [("input_layer", 0), ("a", 0), ("b", 0), ("a", 1)]


@pytest.mark.parametrize("name", ["wrappers", "kinds_of_layers", "nested_sequentials", "attention"])
def test_checkpoints_before_keras_3_6_have_no_names(name: str, tmp_path: Path) -> None:
    network = made(name)
    network.save_weights(tmp_path / "named.weights.h5")
    with h5py.File(tmp_path / "named.weights.h5", "r+") as file:
        file.visititems(lambda _, member: [member.attrs.__delitem__(key) for key in list(member.attrs)] and None)
    read = read_keras(network.to_json(), weights=tmp_path / "named.weights.h5")
    assert_same_weights(read_weights(read), held_weights(network))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize("suffix", [".h5", ".weights.h5"])
def test_weights_of_another_run_are_matched_by_order(suffix: str, tmp_path: Path) -> None:
    made("sequential")
    other = made("sequential")
    network = MODELS["sequential"]()  # its layers have other numbers in their names
    (other.save if suffix == ".h5" else other.save_weights)(tmp_path / f"other{suffix}")
    read = read_keras(network.to_json(), weights=tmp_path / f"other{suffix}")
    assert list(read_weights(read)) == list(held_weights(network)) != list(held_weights(other))
    for array, held in zip(read_weights(read).values(), held_weights(other).values(), strict=True):
        np.testing.assert_array_equal(array, held)


def test_bfloat16_is_read_as_float32(tmp_path: Path) -> None:
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, dtype="bfloat16", name="dense")])
    values = np.array([[1.5, -2.25], [0.125, 3e38], [-1e-30, 0.0]], np.float32)
    network.layers[0].kernel.assign(values)
    network.save(tmp_path / "half.keras")
    kernel = read_weights(read_keras(tmp_path / "half.keras"))["dense/kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(
        kernel, keras.ops.convert_to_numpy(keras.ops.cast(network.layers[0].kernel, "float32"))
    )


# Keras 2


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
def test_a_model_of_keras_2(suffix: str) -> None:
    path = KERAS_2 / f"wiring{suffix}"
    read = read_keras(path)
    assert is_keras_source(path)
    with np.load(KERAS_2 / "wiring.npz") as arrays:
        held = {name.removeprefix("weight:"): arrays[name] for name in arrays if name.startswith("weight:")}
    assert_same_weights(read_weights(read), held)
    layers = {layer.name: layer for layer in read.layers}
    encoder = [TensorRef("encoder", 0, index) for index in range(3)]
    assert layers["decoder"].calls == [Call((encoder[0],), {"initial_state": encoder[1:]})]
    assert layers["attention"].calls == [Call((TensorRef("each"),), {"value": TensorRef("each")})]
    assert layers["tf.math.subtract"].calls[0].arguments == (1.0,)
    assert layers["tf.math.subtract"].calls[0].keywords["y"] == TensorRef("tf.__operators__.add")
    assert layers["tf.concat"].calls[0].arguments == ([TensorRef("tf.math.subtract"), TensorRef("extra")],)
    assert [call.arguments[0] for call in layers["inner"].calls] == [
        TensorRef("tf.concat"),
        TensorRef("inner", 0),
        TensorRef("head"),
    ]
    assert layers["sum"].calls == [Call(([TensorRef("inner", 0), TensorRef("inner", 1)],))]
    assert layers["tail"].calls == [Call((TensorRef("inner", 2),))]
    assert read.inputs == [TensorRef("sequence"), TensorRef("extra")]
    assert read.outputs == [TensorRef("depthwise"), TensorRef("stack"), TensorRef("tail"), TensorRef("head")]
    assert read.keras_version == "2.13.1"
