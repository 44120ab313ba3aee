"""The verb: every kind of source, what its arguments do to features, and where it points for what it does not read."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import coremltools
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import FileFormatError, InputError, MissingDependencyError, MlexplorerError, UnsupportedError
from tests.layers.arrays import normal
from tests.web_server import Server, sends

KERNEL = normal(5, 3, 2, 4)
MATRIX = normal(5, 6, seed=3)


def network(channels: int = 3) -> onnx.ModelProto:
    """[1, channels, 4, 6] -> convolution -> mean over the pixels -> softmax of 5."""
    kernel = KERNEL[:, :channels]
    nodes = [
        helper.make_node("Conv", ["pixels", "kernel"], ["maps"], name="conv"),
        helper.make_node("ReduceMean", ["maps"], ["means"], name="mean", axes=[2, 3], keepdims=0),
        helper.make_node("Softmax", ["means"], ["chances"], name="softmax", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["batch", channels, 4, 6])],
        [helper.make_tensor_value_info("chances", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(kernel, "kernel")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def formula(pixels: Any) -> Any:
    """What `network` computes."""
    channels = len(pixels)
    windows = np.lib.stride_tricks.sliding_window_view(pixels.astype(np.float64), (channels, 2, 4)).squeeze(0)
    maps = np.einsum("hwckl,ockl->ohw", windows, KERNEL[:, :channels])
    scores = np.exp(maps.mean(axis=(1, 2)))
    return scores / scores.sum()


def painter() -> onnx.ModelProto:
    """[1, 3, 4, 6] -> tanh, a picture from -1 to 1."""
    graph = helper.make_graph(
        [helper.make_node("Tanh", ["x"], ["y"], name="tanh")],
        "painter",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3, 4, 6])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


def picture(seed: int = 1) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (4, 6, 3)).astype(np.uint8)


@pytest.mark.parametrize("how", ["path", "text", "proto"])
def test_onnx_sources(how: str, tmp_path: Path) -> None:
    path = tmp_path / "classifier.onnx"
    onnx.save(network(), path)
    source = {"path": path, "text": str(path), "proto": network()}[how]
    model = mle.convert(source, author="Us", license="MIT", short_description="Five classes")
    pixels = normal(3, 4, 6)
    assert np.allclose(mle.predict(model, {"pixels": pixels[None]})["chances"], formula(pixels), atol=1e-5)
    metadata = model.spec.description.metadata
    assert (metadata.author, metadata.license, metadata.shortDescription) == ("Us", "MIT", "Five classes")


@pytest.mark.parametrize("is_bgr", [False, True])
def test_pictures_are_scaled_and_their_channels_ordered(is_bgr: bool) -> None:
    biases = {"red_bias": -0.5, "green_bias": -0.25, "blue_bias": 0.125}
    model = mle.convert(network(), image_input_names="pixels", image_scale=1 / 255, is_bgr=is_bgr, **biases)
    (feature,) = model.inputs
    assert (feature.type, feature.shape, feature.color_space) == ("image", (6, 4), "BGR" if is_bgr else "RGB")
    shown = picture()
    values = shown.transpose(2, 0, 1) / 255 + np.array([-0.5, -0.25, 0.125])[:, None, None]
    found = mle.predict(model, {"pixels": Image.fromarray(shown)})["chances"]
    assert np.allclose(found, formula(values[::-1] if is_bgr else values), atol=1e-5)


def test_gray_pictures() -> None:
    model = mle.convert(network(1), image_input_names=["pixels"], image_scale={"pixels": 0.01}, gray_bias=0.5)
    gray = picture()[:, :, 0]
    found = mle.predict(model, {"pixels": Image.fromarray(gray)})["chances"]
    assert np.allclose(found, formula(gray[None] * 0.01 + 0.5), atol=1e-5)


def test_labels_and_names(tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("cat\ndog\nowl\nfox\nbee\n")
    names = {"input_names": ["photo"], "output_names": ["likely"], "predicted_feature_name": "animal"}
    model = mle.convert(network(), image_input_names="photo", image_scale=1 / 255, class_labels=labels, **names)
    assert [feature.name for feature in model.inputs] == ["photo"]
    shown = picture(2)
    found = mle.predict(model, {"photo": Image.fromarray(shown)})
    wanted = formula(shown.transpose(2, 0, 1) / 255)
    assert list(found["likely"]) == ["cat", "dog", "owl", "fox", "bee"]
    assert np.allclose(list(found["likely"].values()), wanted, atol=1e-4)
    assert found["animal"] == ["cat", "dog", "owl", "fox", "bee"][int(wanted.argmax())]
    mle.save(model, tmp_path / "labels.mlmodel")
    read = coremltools.models.MLModel(str(tmp_path / "labels.mlmodel"), skip_model_load=True)
    assert read.get_spec().description.predictedFeatureName == "animal"


@pytest.mark.parametrize("bias", [127.5, [100.0, 127.5, 90.0], {"y": 127.5}])
def test_pictures_come_out(bias: Any) -> None:
    model = mle.convert(painter(), image_output_names="y", image_output_scale=127.5, image_output_bias=bias)
    (feature,) = model.outputs
    assert (feature.type, feature.shape) == ("image", (6, 4))
    values = normal(1, 3, 4, 6)
    offset = np.asarray(bias["y"] if isinstance(bias, dict) else bias).reshape(-1, 1, 1)
    wanted = np.clip(np.tanh(values[0]) * 127.5 + offset, 0, 255).transpose(1, 2, 0)
    assert np.abs(np.asarray(mle.predict(model, {"x": values})["y"])[:, :, :3] - wanted).max() <= 1


def test_open_sizes_are_given() -> None:
    open_network = network()
    open_network.graph.input[0].type.tensor_type.shape.dim[3].dim_param = "width"
    with pytest.raises(InputError, match=r"input_name_shape_dict=\{'pixels'"):
        mle.convert(open_network)
    model = mle.convert(open_network, input_name_shape_dict={"pixels": [1, 3, 4, 9]})
    assert model.inputs[0].shape == (1, 3, 4, 9)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"input_names": ["a", "b"]}, "input_names has 2 names; the model has 1 inputs: pixels"),
    ({"image_input_names": "photo"}, "image_input_names has 'photo'; the model has 'pixels'"),
    ({"image_output_names": "chances", "class_labels": list("abcde")}, "so it is no picture"),
    ({"class_labels": ["a"] * 5}, "different from each other"),
    ({"class_labels": "nowhere.txt"}, "class_labels cannot be read from nowhere.txt"),
    ({"class_labels": list("abcde"), "predicted_probabilities_output": "scores"}, "there is no output 'scores'"),
    ({"input_name_shape_dict": {"pixels": [1, 3, 5, 6]}}, "not"),
    ({"input_name_shape_dict": {"pixels": [3, 4, 6]}}, "3 axes; the source has 4"),
    ({"weights": "weights.h5"}, "has its weights with it"),
    ({"minimum_deployment_target": "iOS13"}, "no argument minimum_deployment_target"),
]


@pytest.mark.parametrize(("arguments", "words"), WRONG, ids=lambda value: str(value)[:30])
def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        mle.convert(network(), **arguments)


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("model.mlmodel", FileFormatError, r"model.mlmodel is neither a Keras nor an ONNX model: it is a text file"),
        ("model.onnx", FileFormatError, "model.onnx is a text file"),
        ("model.pt", UnsupportedError, 'a PyTorch file.*coremltools.convert.*convert_to="neuralnetwork"'),
        ("graph.pb", UnsupportedError, "a TensorFlow graph"),
        ("net.caffemodel", UnsupportedError, "a Caffe model"),
        ("notes.txt", FileFormatError, "neither a Keras nor an ONNX model"),
    ],
)
def test_other_files_are_refused_with_what_to_do(tmp_path: Path, name: str, error: type, words: str) -> None:
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(error, match=words):
        mle.convert(tmp_path / name)


@pytest.mark.parametrize("name", ["model.mlmodel", "model.mlpackage", "model.zip", "model.onnx", "model.h5", "model"])
def test_core_ml_models_are_told_by_what_is_in_them(tmp_path: Path, name: str) -> None:
    model, path = mle.convert(network()), tmp_path / name
    kept = path if path.suffix in (".mlpackage", ".zip") else tmp_path / "kept.mlmodel"
    mle.save(model, kept)
    if kept != path:
        kept.rename(path)
    with pytest.raises(MlexplorerError, match=rf"{name} is a Core ML model.*read it with mlexplorer.load"):
        mle.convert(path)


def test_sources_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    onnx.save(network(), tmp_path / "onnx.mlmodel")
    pixels = normal(3, 4, 6)
    model = mle.convert(tmp_path / "onnx.mlmodel")
    assert np.allclose(mle.predict(model, {"pixels": pixels[None]})["chances"], formula(pixels), atol=1e-5)
    shutil.copyfile(mle.samples.spatial_transformer(), tmp_path / "keras.mlmodel")
    with pytest.raises(UnsupportedError, match="GridSampler"):
        mle.convert(tmp_path / "keras.mlmodel")
    for name in ("onnx.mlmodel", "keras.mlmodel"):
        with pytest.raises(FileFormatError, match=r"convert it first \(mlexplorer.convert\)"):
            mle.load(tmp_path / name)
    (tmp_path / "folder.mlpackage").mkdir()
    with pytest.raises(FileFormatError, match="neither a Keras nor an ONNX model: it is a folder without"):
        mle.convert(tmp_path / "folder.mlpackage")


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="does not exist"):
        mle.convert(tmp_path / "nowhere.onnx")
    with pytest.raises(FileFormatError, match="a int is neither"):
        mle.convert(3)
    for text in ('{"a": 1}', '{"a": 1' + " " * 5000 + "}"):
        with pytest.raises(FileFormatError, match="the text is neither"):
            mle.convert(text)
    with pytest.raises(FileFormatError, match="does not exist"):
        mle.convert("a" * 5000)


class FromTorch:
    """Stands for a model of PyTorch: its module is what `convert` looks at."""

    __module__ = "torch.nn.modules"


def test_torch_models_go_to_coremltools(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def convert(source: Any, **arguments: Any) -> Any:
        given.update(arguments, source=source)
        spec = mle.samples.style().spec
        return coremltools.proto.Model_pb2.Model.FromString(spec.SerializeToString())

    monkeypatch.setattr(coremltools, "convert", convert)
    source = FromTorch()
    model = mle.convert(source, inputs=["an input"])
    assert given == {"source": source, "convert_to": "neuralnetwork", "inputs": ["an input"]}
    assert model.spec == mle.samples.style().spec
    with pytest.raises(InputError, match="which coremltools converts: give its arguments"):
        mle.convert(source, image_input_names="x")

    def failing(source: Any, **arguments: Any) -> Any:
        raise RuntimeError("no trace")

    monkeypatch.setattr(coremltools, "convert", failing)
    with pytest.raises(UnsupportedError, match="cannot convert a PyTorch model: RuntimeError: no trace"):
        mle.convert(source)
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(MissingDependencyError, match="pip install coremltools"):
        mle.convert(source)


def custom_network() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Warp", ["x", "grid"], ["warped"], name="warp", domain="com.example", strength=0.5),
        helper.make_node("Relu", ["warped"], ["kept"], name="relu"),
        helper.make_node("Fold", ["kept"], ["y"], name="fold", domain="com.example", times=2),
    ]
    graph = helper.make_graph(
        nodes,
        "custom",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(normal(2, 3), "grid")],
    )
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("com.example", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def test_all_unknown_layers_are_listed_with_functions_that_work_as_they_stand() -> None:
    with pytest.raises(UnsupportedError) as refused:
        mle.convert(custom_network())
    text = str(refused.value)
    assert "2 layers have no counterpart" in text
    assert "'warp' (com.example::Warp)" in text
    assert "grid [2, 3]" in text
    code = text[text.index("import mlexplorer as mle") :]
    scope: dict[str, Any] = {}
    exec(code, scope)
    functions = {"com.example::Warp": scope["convert_Warp"], "com.example::Fold": scope["convert_Fold"]}
    model = mle.convert(custom_network(), custom_conversion_functions=functions)
    warp, fold = model.graph.custom_layers
    assert warp.custom
    assert fold.custom
    assert dict(warp.custom.parameters) == {"strength": 0.5}
    assert np.allclose(warp.weights[0].array(), normal(2, 3).reshape(-1))
    assert dict(fold.custom.parameters) == {"times": 2}


def test_names_come_before_operators_and_placeholders_fill_the_rest() -> None:
    def by_name(layer: mle.SourceLayer) -> mle.CustomLayerParams:
        assert (layer.name, layer.class_name) == ("fold", "com.example::Fold")
        return mle.CustomLayerParams("Mine", "of mine", {"a": 1, "b": 2.5, "c": "d", "e": True}, [normal(4)])

    def never(layer: mle.SourceLayer) -> mle.CustomLayerParams:
        raise AssertionError(layer)

    functions: dict[str, Callable[[mle.SourceLayer], mle.CustomLayerParams]] = {
        "fold": by_name,
        "com.example::Fold": never,
    }
    model = mle.convert(custom_network(), custom_conversion_functions=functions, add_custom_layers=True)
    warp, fold = model.graph.custom_layers
    assert warp.custom
    assert fold.custom
    assert (warp.params.className, fold.params.className) == ("Warp", "Mine")
    assert dict(fold.custom.parameters) == {"a": 1, "b": 2.5, "c": "d", "e": True}
    assert fold.custom.description == "of mine"


def test_a_model_at_an_address(server: Server) -> None:
    server.answers["/small.onnx"] = sends(network().SerializeToString())
    found = mle.convert(f"{server.address}/small.onnx")
    assert found.spec.SerializeToString() == mle.convert(network()).spec.SerializeToString()
    with pytest.raises(FileFormatError, match="404"):
        mle.convert(f"{server.address}/absent.onnx")
