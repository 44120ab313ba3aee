"""What loads, and what is refused with which words."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import coremltools as ct
import numpy as np
import pytest
from coremltools.converters.mil import Builder

from mlexplorer import spec
from mlexplorer.errors import FileFormatError, InputError
from mlexplorer.formats import load
from tests.formats.models import network, write_package, zip_folder


def test_a_path_bytes_a_message_and_a_coremltools_model_are_the_same_model(tmp_path: Path) -> None:
    message = network()
    data = message.SerializeToString()
    path = tmp_path / "small.mlmodel"
    path.write_bytes(data)
    package = write_package(tmp_path / "small.mlpackage", data)
    archive = zip_folder(package, tmp_path / "small.zip")
    mlmodel = ct.models.MLModel(str(path), skip_model_load=True)
    for source in (
        path,
        str(path),
        package,
        archive,
        data,
        memoryview(data),
        archive.read_bytes(),
        message,
        ct.utils.load_spec(str(path)),
        mlmodel,
    ):
        model = load(source)
        assert model.spec == message
        assert model.spec is not message
        np.testing.assert_array_equal(model.graph.weights[0].array(), np.arange(15, dtype=np.float32).reshape(5, 3))
    assert load(path).path == path
    assert load(data).path is None


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_coremltools_program_brings_its_weights(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(2, 5))], opset_version=ct.target.iOS15)
    def program(x):  # type: ignore[no-untyped-def]
        return Builder.linear(x=x, weight=values, name="fc")

    converted = ct.convert(
        program, convert_to="mlprogram", compute_precision=ct.precision.FLOAT32, skip_model_load=True
    )
    model = load(converted)
    np.testing.assert_array_equal(model.graph.node("fc").weight("weight").array(), values)
    converted.save(str(tmp_path / "linear.mlpackage"))
    assert model.size == pytest.approx(load(tmp_path / "linear.mlpackage").size, abs=400)  # the manifests differ


def test_links_to_files_are_followed(tmp_path: Path) -> None:
    package = write_package(tmp_path / "linked.mlpackage", network().SerializeToString())
    file = package / "Data/com.apple.CoreML/model.mlmodel"
    file.rename(tmp_path / "blob")
    file.symlink_to(tmp_path / "blob")
    assert load(package).kind == "neuralNetwork"


REFUSED = {
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 24754375\n", "git lfs pull"),
    "page": (b"\n<!DOCTYPE html>\n<html><title>404</title></html>", "web page"),
    "empty": (b"", "is empty"),
    "truncated": (
        network(outputs=500).SerializeToString()[:-100],
        "is truncated: it has 5,970 bytes and should have at least 6,070",
    ),
    "link": (b"../models/small.mlmodel", "text file"),
    "json": (b'{"a": 1}', "text file"),
    "random": (bytes(range(128, 256)) * 40, "is not a Core ML model"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(200), "HDF5 file, as Keras"),
    "gzip": (b"\x1f\x8b\x08" + bytes(50), "unpack it first"),
    "pickle": (b"\x80\x02}q\x00.", "pickle"),
    "tflite": (b"\x1c\0\0\0TFL3" + bytes(50), "TensorFlow Lite"),
    "onnx": (bytes([8, 7, 18, 1, 65, 58, 2, 18, 0, 66, 2, 16, 13]), "ONNX model"),
    "described": (
        spec.Model(specificationVersion=1, description=network().description).SerializeToString(),
        "holds none",
    ),
    "damaged": (network().SerializeToString()[:-70] + b"\xff" * 70, "'neuralNetwork' does not follow"),
    "archive": (b"PK\x03\x04" + bytes(30), "damaged zip archive"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_is_named_and_explained(name: str, tmp_path: Path) -> None:
    data, words = REFUSED[name]
    path = tmp_path / f"{name}.mlmodel"
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=f"{name}.mlmodel.*{words}"):
        load(path)
    with pytest.raises(FileFormatError, match=words):
        load(data)
    package = write_package(tmp_path / f"{name}.mlpackage", data)
    with pytest.raises(FileFormatError, match=f"{name}.mlpackage.*model.mlmodel "):
        load(package)


def test_a_model_cut_anywhere_is_refused() -> None:
    data = network().SerializeToString()
    reasons = []
    for length in range(len(data)):
        with pytest.raises(FileFormatError) as refused:
            load(data[:length])
        reasons.append(str(refused.value))
    assert sum("is truncated" in reason for reason in reasons) > 0.9 * len(data)


def test_folders_that_are_no_packages(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    with pytest.raises(FileFormatError, match=r"models is a folder without Manifest.json"):
        load(folder)
    (folder / "a.mlmodel").touch()
    with pytest.raises(FileFormatError, match=r"load one of a.mlmodel in it"):
        load(folder)
    compiled = tmp_path / "small.mlmodelc"
    compiled.mkdir()
    with pytest.raises(FileFormatError, match=r"small.mlmodelc is a compiled model"):
        load(compiled)


def test_missing_paths_and_other_things(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"nothing.mlmodel does not exist"):
        load(tmp_path / "nothing.mlmodel")
    with pytest.raises(FileFormatError, match="does not exist"):
        load("a" * 5000)
    with pytest.raises(InputError, match="not from a int"):
        load(3)
    pipe = tmp_path / "pipe.mlmodel"
    os.mkfifo(pipe)
    with pytest.raises(FileFormatError, match="neither a file nor a folder"):
        load(pipe)


def test_more_than_protobuf_can_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.mlmodel"
    path.touch()
    os.truncate(path, 2**31)
    with pytest.raises(FileFormatError, match=r"huge.mlmodel has 2,147,483,648 bytes; protobuf.*at most 2 GB"):
        load(path)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        ("{", "does not name the root model"),
        ("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ('{"itemInfoEntries": {}, "rootModelIdentifier": "A"}', "does not name the root model"),
        ('{"itemInfoEntries": {"A": {"path": "x.mlmodel"}}, "rootModelIdentifier": "A"}', "no file 'Data/x.mlmodel'"),
        ('{"itemInfoEntries": {"A": {"path": "../../x"}}, "rootModelIdentifier": "A"}', "leads out of the package"),
    ],
)
def test_manifests_that_lead_nowhere(manifest: str, words: str, tmp_path: Path) -> None:
    package = write_package(tmp_path / "small.mlpackage", network().SerializeToString())
    (package / "Manifest.json").write_text(manifest)
    with pytest.raises(FileFormatError, match=f"small.mlpackage.*{words}"):
        load(package)


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "small.mlpackage/../../evil", "a\\..\\evil", "C:evil"])
def test_archives_that_lead_out_are_refused(name: str, tmp_path: Path) -> None:
    archive = zip_folder(
        write_package(tmp_path / "small.mlpackage", network().SerializeToString()), tmp_path / "small.zip"
    )
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, b"evil")
    with pytest.raises(FileFormatError, match=r"evil.*not to be trusted"):
        load(archive)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["config.json", "model.weights.h5"], "Keras model"),
        (["archive/data.pkl"], "PyTorch file"),
        (["a/b.mlmodel"], "zip archive of a/b.mlmodel"),
        (["readme.md"], "without Manifest.json"),
    ],
)
def test_other_archives(names: list[str], words: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "some.zip", "w") as file:
        for name in names:
            file.writestr(name, b"data")
    with pytest.raises(FileFormatError, match=f"some.zip is a .*{words}"):
        load(tmp_path / "some.zip")


def test_a_newer_model_type_loads_as_unknown() -> None:
    message = spec.Model(specificationVersion=99, description=network().description)
    field_4000 = bytes([0x82, 0xFA, 0x01, 2, 8, 1])
    model = load(message.SerializeToString() + field_4000)
    assert model.kind == "unknown"
    assert model.graph.nodes[0].type == "unknown"
    assert model.graph.nodes[0].parameters == {"unknown fields": [4000]}
    assert model.spec.SerializeToString().endswith(field_4000)


def test_stubs_and_files_of_other_programs(corpus: Path) -> None:
    for path in sorted([*corpus.glob("stub/*/*"), *corpus.glob("onnx/*/*"), *corpus.glob("keras/*/*")]):
        words = {"stub": "Git LFS pointer", "onnx": "ONNX model"}.get(path.parts[-3], "Keras")
        with pytest.raises(FileFormatError, match=words):
            load(path)
