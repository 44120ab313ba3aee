"""What is no whole ONNX file, or one that means harm, is refused by one error of ours that names it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import mlexplorer as mle
from mlexplorer import errors
from mlexplorer.converters.onnx import tracing
from mlexplorer.converters.onnx.conversion import is_onnx_source
from tests.converters.onnx.cases import assert_close, converted, floats, model, predicted, reference

node = helper.make_node
X = np.random.default_rng(2).standard_normal((2, 3, 5)).astype(np.float32)


def plain() -> onnx.ModelProto:
    weights = numpy_helper.from_array(np.arange(5, dtype=np.float32), "w")
    return model([node("Add", ["x", "w"], ["y"])], [floats("x", 2, 3, 5)], ["y"], [weights])


def test_sources(tmp_path: Path) -> None:
    source = plain()
    data = source.SerializeToString()
    file, other = tmp_path / "a.onnx", tmp_path / "model.bin"
    file.write_bytes(data)
    other.write_bytes(data)
    for given in (source, data, file, str(file), other):
        assert is_onnx_source(given)
        assert_close(predicted(converted(given), {"x": X}), reference(source, {"x": X}))
    (tmp_path / "text.txt").write_text("hello")
    mle.save(converted(source), tmp_path / "a.mlmodel")
    for given in (b"hello", b"", tmp_path / "text.txt", tmp_path, tmp_path / "a.mlmodel", 3, None):
        assert not is_onnx_source(given)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"\x80\x02\x8a\nnonsense", "Python pickle"),
        (plain().SerializeToString()[:-40], "truncated"),
        (b"\x08\x08\x12\x05hello", "not an ONNX model"),
        (bytes(range(200, 256)), "not an ONNX model"),
    ],
)
def test_what_is_no_model(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    with pytest.raises(errors.FileFormatError, match=reason) as caught:
        converted(path)
    assert "model.onnx" in str(caught.value)


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    data = plain().SerializeToString()
    for length in range(len(data)):
        try:
            converted(data[:length])
        except errors.MlexplorerError:
            continue
        # what is left may be whole: the versions come last
        assert length > len(data) - 12


def test_there_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(errors.InputError, match=r"there is no file .*missing\.onnx"):
        converted(tmp_path / "missing.onnx")


@pytest.mark.parametrize(("field", "value", "text"), [("ir", 99, "IR version 99"), ("opset", 999, "opset 999")])
def test_versions_from_the_future(field: str, value: int, text: str) -> None:
    source = plain()
    if field == "ir":
        source.ir_version = value
    else:
        source.opset_import[0].version = value
    with pytest.raises(errors.UnsupportedError, match=text):
        converted(source)


def external(location: str, offset: int = 0, length: int | None = 20) -> onnx.ModelProto:
    source = plain()
    tensor = source.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    pairs = {"location": location, "offset": str(offset)} | ({} if length is None else {"length": str(length)})
    for key, value in pairs.items():
        tensor.external_data.add(key=key, value=value)
    return source


@pytest.mark.parametrize("length", [20, None])
def test_tensors_in_files_of_their_own(tmp_path: Path, length: int | None) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes(b"\0" * 4 + np.arange(5, dtype="<f4").tobytes())
    path = tmp_path / "model.onnx"
    path.write_bytes(external("sub/weights.bin", 4, length).SerializeToString())
    assert_close(predicted(converted(path), {"x": X}), {"y": X + np.arange(5)})
    with pytest.raises(errors.ModelError, match="pass the model's path"):
        converted(path.read_bytes())


@pytest.mark.parametrize(
    ("location", "offset", "length", "reason"),
    [
        ("../secret", 0, 20, "outside the model's folder"),
        ("link", 0, 20, "outside the model's folder"),
        ("", 0, 20, "outside the model's folder"),
        (".", 0, 20, "outside the model's folder"),
        ("absolute", 0, 20, "outside the model's folder"),
        ("missing", 0, 20, "which is missing"),
        ("weights", 8, 20, "the file has 24"),
        ("weights", -4, 20, "non-negative"),
        ("weights", 0, 4, "the model says 4"),
        ("weights", 0, 2**60, "the model says"),
    ],
)
def test_files_that_a_model_must_not_read(tmp_path: Path, location: str, offset: int, length: int, reason: str) -> None:
    (tmp_path / "secret").write_bytes(b"s" * 24)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "weights").write_bytes(b"\0" * 24)
    (folder / "link").symlink_to(tmp_path / "secret")
    if location == "absolute":
        location = str(tmp_path / "secret")
    path = folder / "model.onnx"
    path.write_bytes(external(location, offset, length).SerializeToString())
    with pytest.raises(errors.ModelError, match=reason):
        converted(path)


def hostile() -> dict[str, tuple[onnx.ModelProto, str]]:
    x = [floats("x", 2, 3, 5)]

    def stored(name: str, values: Any, dtype: Any = np.int64) -> TensorProto:
        return numpy_helper.from_array(np.asarray(values, dtype), name)

    def recursive(twice: bool) -> onnx.ModelProto:
        """A function that calls itself; or twenty of which each calls the next twice."""
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid("own", 1)]
        source = model([node("F0", ["x"], ["y"], domain="own")], x, ["y"], domain="own")
        for level in range(20 if twice else 1):
            inner = f"F{level + 1}" if twice else "F0"
            if level == 19:
                nodes = [node("Neg", ["a"], ["b"])]
            else:
                nodes = [node(inner, ["a"], ["t"], domain="own"), node(inner, ["t"], ["b"], domain="own")]
            source.functions.append(helper.make_function("own", f"F{level}", ["a"], ["b"], nodes, opsets))
        return source

    damaged = plain()
    damaged.graph.initializer[0].raw_data = b"\0" * 7
    huge = plain()
    huge.graph.initializer[0].dims[0] = 2**50
    negative = plain()
    negative.graph.initializer[0].dims[0] = -5
    untyped = plain()
    untyped.graph.initializer[0].data_type = 77
    big = [2**20, 2**20]
    branch = helper.make_graph([], "empty", [], [floats("nothing")])
    conv = ["x4", "w"]
    x4, w = [floats("x4", 1, 6, 9, 7)], [stored("w", np.ones((5, 6, 3, 2)), np.float32)]
    return {
        "circle": (model([node("Neg", ["b"], ["a"]), node("Neg", ["a"], ["b"])], x, ["a"]), "in a circle"),
        "missing input": (model([node("Neg", ["nowhere"], ["y"])], x, ["y"]), "reads 'nowhere'"),
        "missing output": (model([node("Neg", ["x"], ["y"])], x, ["z"]), "no node gives the graph's output 'z'"),
        "given twice": (
            model([node("Neg", ["x"], ["y"]), node("Exp", ["x"], ["y"])], x, ["y"]),
            "'y', which is given already",
        ),
        "an omitted input of constants": (
            model([node("Sub", ["w", ""], ["y"])], x, ["y"], [stored("w", [1.0, 2.0], np.float32)]),
            r"\(Sub\): input 1 is missing",
        ),
        "no inputs": (model([node("Neg", [], ["y"])], x, ["y"]), r"\(Neg\)"),
        "attribute of another type": (model([node("Elu", ["x"], ["y"], alpha="much")], x, ["y"]), r"\(Elu\).*alpha"),
        "unknown attribute": (model([node("Elu", ["x"], ["y"], alfa=1.0)], x, ["y"]), r"\(Elu\).*alfa"),
        "axis": (model([node("Softmax", ["x"], ["y"], axis=9)], x, ["y"]), r"\(Softmax\)"),
        "permutation": (model([node("Transpose", ["x"], ["y"], perm=[0, 0, 1])], x, ["y"]), r"\(Transpose\)"),
        "groups": (model([node("Conv", conv, ["y"], group=4)], x4, ["y"], w), r"\(Conv\).*channels"),
        "kernel": (model([node("Conv", conv, ["y"], kernel_shape=[7, 7])], x4, ["y"], w), r"\(Conv\).*kernel_shape"),
        "stride": (model([node("Conv", conv, ["y"], strides=[0, 1])], x4, ["y"], w), r"\(Conv\)"),
        "pads": (model([node("Conv", conv, ["y"], pads=[2**40] * 4)], x4, ["y"], w), r"\(Conv\)"),
        "channels": (model([node("Conv", ["x", "w"], ["y"])], [floats("x", 1, 5, 9, 7)], ["y"], w), r"\(Conv\)"),
        "damaged tensor": (damaged, "tensor 'w' is damaged"),
        "huge tensor": (huge, r"'w'|\(Add\)"),
        "negative tensor": (negative, r"'w'|\(Add\)"),
        "untyped tensor": (untyped, "unknown type 77"),
        "huge filling": (
            model(
                [node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])], x, ["y"], [stored("s", big)]
            ),
            "at most 2147483648 can be computed",
        ),
        "huge expansion": (
            model([node("Expand", ["x", "s"], ["y"])], x, ["y"], [stored("s", [2**30, 2, 3, 5])]),
            "at most 2147483648 can be computed",
        ),
        "huge range": (
            model(
                [node("Range", ["a", "b", "c"], ["y"])], x, ["y"], [stored("a", 0), stored("b", 2**40), stored("c", 1)]
            ),
            "at most 2147483648 can be computed",
        ),
        "huge tiling": (
            model([node("Tile", ["x", "s"], ["y"])], x, ["y"], [stored("s", [2**20, 2**20, 1])]),
            "at most 2147483648 can be computed",
        ),
        "range without steps": (
            model([node("Range", ["a", "b", "c"], ["y"])], x, ["y"], [stored("a", 0), stored("b", 5), stored("c", 0)]),
            r"\(Range\)",
        ),
        "empty branch": (
            model(
                [node("If", ["t"], ["y"], then_branch=branch, else_branch=branch)], x, ["y"], [stored("t", True, bool)]
            ),
            r"\(If\)",
        ),
        "recursive function": (recursive(False), "more than 32 deep"),
        "many calls": (recursive(True), "more than 1000 nodes"),
        "a shape that only a run tells": (
            model([node("NonZero", ["x"], ["y"])], x, ["y"]),
            "no counterpart|only a run",
        ),
        "a text": (
            model([node("Cast", ["x"], ["y"], to=TensorProto.STRING)], x, ["y"]),
            r"\(Cast\).*Core ML has floats only",
        ),
        "an axis that is empty": (
            model([node("Slice", ["x", "s", "e"], ["y"])], x, ["y"], [stored("s", [1]), stored("e", [1])]),
            "an empty tensor",
        ),
        "a sum of no letters": (
            model([node("Einsum", ["x", "x"], ["y"], equation="...\u00e9j,jk->...ik")], x, ["y"]),
            r"\(Einsum\).*equation",
        ),
        "no output": (model([node("Neg", ["x"], ["y"])], x, []), "no output"),
    }


HOSTILE = hostile()


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_models(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source, reason = HOSTILE[case]
    monkeypatch.setattr(tracing, "_MOST_WRITTEN_OUT", 1000)
    with pytest.raises(errors.MlexplorerError, match=reason):
        converted(source)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_bytes(seed: int) -> None:
    """Bytes changed at random give a model, or an error of ours."""
    rng = np.random.default_rng(seed)
    data = bytearray(_mixed().SerializeToString())
    for place in rng.integers(0, len(data), rng.integers(1, 4)):
        data[place] = rng.integers(0, 256)
    with suppress(errors.MlexplorerError):
        converted(bytes(data))


def _mixed() -> onnx.ModelProto:
    nodes = [
        node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 0, 0], strides=[2, 1]),
        node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], ceil_mode=1),
        node("Shape", ["p"], ["s"]),
        node("Slice", ["s", "zero", "two"], ["front"]),
        node("Concat", ["front", "minus"], ["target"], axis=0),
        node("Reshape", ["p", "target"], ["r"]),
        node("Softmax", ["r"], ["y"], axis=-1),
    ]
    stored = [
        numpy_helper.from_array(np.ones((5, 3, 2, 2), np.float32), "w"),
        numpy_helper.from_array(np.ones(5, np.float32), "b"),
        numpy_helper.from_array(np.array([0]), "zero"),
        numpy_helper.from_array(np.array([2]), "two"),
        numpy_helper.from_array(np.array([-1]), "minus"),
    ]
    return model(nodes, [floats("x", 1, 3, 9, 7)], ["y"], stored)
