"""Saving: the same bytes, in one step, in the format that the name says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coremltools as ct
import numpy as np
import pytest

from mlexplorer import spec
from mlexplorer.errors import FileFormatError, InputError
from mlexplorer.formats import load, save
from mlexplorer.model import Model
from tests.formats.models import contents, model_paths, network, write_package, zip_folder

UNREADABLE = ("simple_layer@00991ec.mlmodel", "simple_layer@16c4b4c.mlmodel")


def test_every_model_of_the_corpus_comes_back_byte_for_byte(corpus: Path, tmp_path: Path) -> None:
    saved = 0
    for path in model_paths(corpus):
        if path.name in UNREADABLE:
            with pytest.raises(FileFormatError, match="'mlProgram' does not follow the specification"):
                load(path)
            continue
        model, target = load(path), tmp_path / path.name
        assert len(model.graph.nodes) > 0
        save(model.copy(), target)
        if path.is_dir():
            assert contents(target) == contents(path)
            assert model.size == sum(map(len, contents(target).values()))
        else:
            assert target.read_bytes() == path.read_bytes()
            assert model.size == target.stat().st_size
        saved += 1
    assert saved >= 70


def test_order_and_odd_encodings_are_kept_from_bytes_and_archives_too(tmp_path: Path) -> None:
    # fields backwards, and a number written with a needless zero byte
    message = network()
    odd = b"\xa2\x1f" + bytes([len(n := message.neuralNetwork.SerializeToString())]) + n
    odd += b"\x12" + bytes([len(d := message.description.SerializeToString())]) + d + b"\x08\x84\x00"
    assert spec.Model.FromString(odd) == message
    assert message.SerializeToString() != odd
    package = write_package(tmp_path / "odd.mlpackage", odd)
    archive = zip_folder(package, tmp_path / "odd.zip")
    for i, source in enumerate((odd, archive, archive.read_bytes(), package)):
        model = load(source)
        save(model, tmp_path / f"{i}.mlmodel")
        assert (tmp_path / f"{i}.mlmodel").read_bytes() == odd
        model.spec.neuralNetwork.layers[0].name = "other"
        save(model, tmp_path / f"{i}.mlmodel")
        assert (tmp_path / f"{i}.mlmodel").read_bytes() == model.spec.SerializeToString()


def test_saving_over_itself_again_and_again(tmp_path: Path) -> None:
    package = write_package(tmp_path / "a.mlpackage", network().SerializeToString(), {"weights/weight.bin": b"w" * 99})
    before = contents(package)
    model = load(package)
    for _ in range(2):
        save(model, package)
        assert contents(package) == before
    model.spec.neuralNetwork.layers[0].name = "other"
    save(model, package)
    save(model, package)
    assert load(package).graph.nodes[0].name == "other"
    assert [path.name for path in tmp_path.iterdir()] == ["a.mlpackage"]


def test_fields_of_a_newer_specification_survive_an_edit(tmp_path: Path) -> None:
    message = network()
    unknown = bytes([0xD2, 0xF7, 0x02, 3]) + b"new"  # field 6010, three bytes
    message.neuralNetwork.layers[0].MergeFromString(unknown)
    model = load(message.SerializeToString())
    model.spec.neuralNetwork.layers[0].name = "renamed"
    save(model, tmp_path / "new.mlmodel")
    layer = load(tmp_path / "new.mlmodel").spec.neuralNetwork.layers[0]
    assert layer.name == "renamed"
    assert unknown in layer.SerializeToString()


def test_a_network_saved_as_a_package_is_read_by_coremltools(tmp_path: Path) -> None:
    model = load(network())
    save(model, tmp_path / "small.mlpackage")
    package = tmp_path / "small.mlpackage"
    read = ct.models.MLModel(str(package), skip_model_load=True)
    assert list(read.get_spec().neuralNetwork.layers[0].innerProduct.weights.floatValue) == list(range(15))
    save(load(package), tmp_path / "again.zip")
    save(load(tmp_path / "again.zip"), tmp_path / "back.mlpackage")
    assert contents(tmp_path / "back.mlpackage") == contents(package)
    save(load(package), tmp_path / "small.mlmodel")
    assert load(tmp_path / "small.mlmodel").spec == model.spec


def test_weights_beside_the_specification(corpus: Path, tmp_path: Path) -> None:
    model = load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage")))
    save(model, tmp_path / "digits.zip")
    zipped = load(tmp_path / "digits.zip")
    for weight, other in zip(model.graph.weights, zipped.graph.weights, strict=True):
        np.testing.assert_array_equal(weight.array(), other.array())
    with pytest.raises(InputError, match=r"ML Program .* cannot be saved as .mlmodel; save it as digits.mlpackage"):
        save(model, tmp_path / "digits.mlmodel")
    pipeline = spec.Model(specificationVersion=7)
    pipeline.pipelineClassifier.pipeline.models.add().CopyFrom(model.spec)
    with pytest.raises(InputError, match="ML Program"):
        save(load(pipeline), tmp_path / "digits.mlmodel")
    assert not (tmp_path / "digits.mlmodel").exists()


class FullDisk:
    """Fails like a full disk at the n-th call of a function of `os`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str, at: int) -> None:
        original, self.calls = getattr(os, name), 0

        def fail(*arguments: Any, **keywords: Any) -> Any:
            self.calls += 1
            if self.calls == at:
                raise OSError(28, "No space left on device")
            return original(*arguments, **keywords)

        monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("suffix", [".mlmodel", ".mlpackage", ".zip"])
@pytest.mark.parametrize("existing", [True, False])
@pytest.mark.parametrize(("function", "at"), [("fsync", 1), ("fsync", 2), ("rename", 1), ("rename", 2), ("replace", 1)])
def test_nothing_is_half_written_when_the_disk_is_full(
    suffix: str, existing: bool, function: str, at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / f"model{suffix}"
    old, new = load(network("old")), load(network("new"))
    if existing:
        save(old, target)
    with monkeypatch.context() as patch:
        disk = FullDisk(patch, function, at)
        failed = _is_refused_by_the_disk(new, target)
    assert failed == (disk.calls >= at)
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {target.name}
    assert target.name in names or not existing
    if target.name in names:
        found = load(target).graph.nodes[0].name
        # the fsync of the folder comes after the new model is in its place
        assert found in (("old", "new") if failed and function == "fsync" else ("old",) if failed else ("new",))


def _is_refused_by_the_disk(model: Model, target: Path) -> bool:
    try:
        save(model, target)
    except OSError as error:
        return error.errno == 28
    return False


def test_an_interrupted_write_leaves_the_file_alone(tmp_path: Path) -> None:
    from mlexplorer.formats.atomic import write_file

    target = tmp_path / "model.mlmodel"
    target.write_bytes(b"before")
    target.chmod(0o640)

    def interrupted() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_file(target, interrupted())
    assert target.read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["model.mlmodel"]
    write_file(target, [b"af", b"ter"])
    assert (target.read_bytes(), target.stat().st_mode & 0o777) == (b"after", 0o640)
    link = tmp_path / "link.mlmodel"
    link.symlink_to(target)
    write_file(link, [b"linked"])
    assert link.is_symlink()
    assert target.read_bytes() == b"linked"


def test_names_that_cannot_be_saved_to(tmp_path: Path) -> None:
    model = load(network())
    with pytest.raises(InputError, match=r"model.onnx has no ending .* choose one of .mlpackage, .zip, .mlmodel"):
        save(model, tmp_path / "model.onnx")
    with pytest.raises(InputError, match="does not exist; create it"):
        save(model, tmp_path / "missing/model.mlmodel")
    for name in ("photos.mlpackage", "photos.mlmodel"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "holiday.jpg").touch()
        with pytest.raises(InputError, match="choose another name"):
            save(model, tmp_path / name)
        assert (tmp_path / name / "holiday.jpg").exists()


def test_weight_files_that_changed_are_not_saved(tmp_path: Path) -> None:
    package = write_package(tmp_path / "a.mlpackage", network().SerializeToString(), {"weights/weight.bin": b"w"})
    model = load(package)
    (package / "Data/com.apple.CoreML/weights/weight.bin").write_bytes(b"other")
    with pytest.raises(FileFormatError, match=r"weight.bin was changed or removed"):
        save(model, tmp_path / "b.mlpackage")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mlpackage"]


def test_more_than_protobuf_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlexplorer.formats.specification.LIMIT", 100)
    with pytest.raises(FileFormatError, match="larger than 2 GB"):
        save(load(network()), tmp_path / "large.mlmodel")
