"""One-operator models, and the comparison of what they become with onnxruntime running them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import mlexplorer as mle
from mlexplorer.converters.onnx.conversion import convert_onnx
from mlexplorer.converters.options import Options

TOLERANCE = 1e-4
"""Of the range of an output's values."""

NEWEST = 21


@dataclass(frozen=True)
class X:
    """An input of the model: its shape, and the range that its values are drawn from."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    whole: bool = False
    dtype: Any = np.float32

    def draw(self, rng: np.random.Generator) -> Any:
        if self.whole:
            return rng.integers(int(self.low), int(self.high), self.shape).astype(self.dtype)
        return rng.uniform(self.low, self.high, self.shape).astype(self.dtype)


@dataclass(frozen=True)
class Case:
    """A node: inputs are X, arrays (constants) or None; `opset` is that of its form."""

    type: str
    inputs: Sequence[Any]
    attributes: dict[str, Any] = field(default_factory=dict)
    opset: int = NEWEST
    outputs: int = 1
    note: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.type, self.note, f"opset{self.opset}" if self.opset != NEWEST else "")))

    def model(self) -> onnx.ModelProto:
        names = ["" if value is None else f"x{index}" for index, value in enumerate(self.inputs)]
        outputs = [f"y{index}" for index in range(self.outputs)]
        inputs, constants = [], []
        for name, value in zip(names, self.inputs, strict=True):
            if isinstance(value, X):
                kind = helper.np_dtype_to_tensor_dtype(np.dtype(value.dtype))
                inputs.append(helper.make_tensor_value_info(name, kind, value.shape))
            elif value is not None:
                constants.append(numpy_helper.from_array(np.asarray(value), name))
        domain, _, type = self.type.rpartition("::")
        node = helper.make_node(type, names, outputs, name="the node", domain=domain, **self.attributes)
        return model([node], inputs, outputs, constants, self.opset, domain)

    def feeds(self) -> dict[str, Any]:
        rng = np.random.default_rng(7)
        return {f"x{index}": x.draw(rng) for index, x in enumerate(self.inputs) if isinstance(x, X)}


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[str],
    constants: Sequence[TensorProto] = (),
    opset: int = NEWEST,
    domain: str = "",
) -> onnx.ModelProto:
    """A model whose outputs have no stated types: onnxruntime finds them."""
    graph = helper.make_graph(
        list(nodes), "graph", list(inputs), [onnx.ValueInfoProto(name=name) for name in outputs], list(constants)
    )
    imports = [helper.make_opsetid("", opset)]
    if domain:
        imports.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def floats(name: str, *shape: Any) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def reference(source: onnx.ModelProto | str, feeds: dict[str, Any]) -> dict[str, Any]:
    """What onnxruntime computes, by the names of the outputs."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    data = source if isinstance(source, str) else source.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds), strict=True))


def assert_close(got: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Same outputs, same shapes (a scalar is [1]), and values within the tolerance of their range."""
    assert set(got) == set(wanted)
    for name, array in wanted.items():
        expected = np.asarray(array, np.float64)
        actual = np.asarray(got[name], np.float64)
        assert actual.shape == (expected.shape or (1,)), name
        assert np.all(np.isfinite(expected))
        spread = max(float(np.ptp(expected)), float(np.abs(expected).max()) * 1e-2, 1e-30)
        assert float(np.abs(actual.reshape(expected.shape) - expected).max()) <= TOLERANCE * spread, name


def converted(source: Any, **options: Any) -> mle.Model:
    return convert_onnx(source, Options(**options))


def predicted(network: mle.Model, feeds: dict[str, Any]) -> dict[str, Any]:
    return mle.predict(network, {name: np.asarray(value, np.float32) for name, value in feeds.items()})


def check(case: Case, equivalent: Case | None = None) -> mle.Model:
    """Convert and run a case, and compare it with onnxruntime's result, or with that of an equivalent newer form."""
    network = converted(case.model())
    feeds = case.feeds()
    wanted = reference((equivalent or case).model(), (equivalent or case).feeds())
    assert_close(predicted(network, feeds), wanted)
    return network
