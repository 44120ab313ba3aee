"""The graph widget: what it tells the page, and when."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlexplorer.errors import CustomLayerError, InputError, MissingDependencyError
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.plan import Plan
from mlexplorer.views import graph as graph_module
from mlexplorer.views.graph import GraphView, graph_data, node_data
from mlexplorer.views.outline import Outline
from tests.browser.models import swish_model
from tests.views.networks import network, residual

Sent = list[tuple[dict[str, Any], list[bytes]]]


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Callable[[GraphView], Sent]:
    """Records what a view sends to its page."""

    def start(view: GraphView) -> Sent:
        sent: Sent = []
        monkeypatch.setattr(view, "send", lambda content, buffers=(): sent.append((content, list(buffers))))
        return sent

    return start


def say(view: GraphView, **content: Any) -> None:
    """A message of the page."""
    view._handle_custom_msg(content, [])


def test_nothing_is_sent_before_the_page_asks_and_everything_whenever_it_does(
    record: Callable[[GraphView], Sent],
) -> None:
    view = GraphView(network(*residual(5)))
    sent = record(view)
    assert sent == []
    for _ in range(2):
        sent.clear()
        say(view, type="ready")
        ((graph, buffers),) = sent
        assert [node["id"] for node in graph["nodes"]][:3] == ["stem", "first0", "rest0"]
        assert buffers == []
        json.dumps(graph, allow_nan=False)


def test_the_saved_state_is_small() -> None:
    view = GraphView(network(*residual(200)))
    state = {name: value for name, value in view.get_state().items() if not name.startswith("_")}
    assert len(json.dumps(state, default=str)) < 500
    assert (state["layer"], state["opened"], state["colour"]) == ("", [], "type")


def test_the_outline_has_each_layer_once_and_every_copy() -> None:
    view = GraphView(network(*residual(5)))
    outline = view._messages["graph"][0]["outline"]
    root = outline["root"]
    assert sorted(i for chain in root["chains"] for i in chain) == list(range(22))
    (block,) = [item for item in root["items"] if isinstance(item, dict)]
    assert (len(block["copies"]), block["period"], block["parallel"]) == (5, 3, False)
    assert sorted(at for copy in block["copies"] for at in copy) == list(range(block["start"], block["start"] + 15))
    chains = [chain for chain in root["chains"] if len(chain) > 1]
    assert root["captions"] == {chain[0]: [f"first{k}", "convolution · ReLU"] for k, chain in enumerate(chains)}
    assert outline["producers"][0] == [-1]


def test_what_is_open_is_a_trait() -> None:
    view = GraphView(network(*residual(5)), opened={"*"})
    assert ">first3<" in view.to_svg()
    view.opened = []
    assert ">first3<" not in view.to_svg()


def test_numbers_to_colour_by(record: Callable[[GraphView], Sent]) -> None:
    view = GraphView(network(*residual(2)))
    sent = record(view)
    view.show_values("sensitivity", {"first0": 31.5, "second0": float("inf")}, unit="dB", low_is_worse=True)
    ((content, _),) = sent
    assert content["values"] == {"first0": 31.5, "second0": "Infinity"}
    assert (content["name"], content["unit"], content["lowIsWorse"]) == ("sensitivity", "dB", True)
    json.dumps(content, allow_nan=False)
    with pytest.raises(InputError, match="no node 'nowhere'"):
        view.show_values("sensitivity", {"nowhere": 1})
    with pytest.raises(InputError, match=r"'first0'.*no number"):
        view.show_values("sensitivity", {"first0": float("nan")})


def test_the_bits_of_a_plan(record: Callable[[GraphView], Sent]) -> None:
    model = network(*residual(2))
    view = GraphView(model)
    sent = record(view)
    view.show_plan(Plan({"first0:weights": Linear(3), "second1:weights": LookupTable(6)}))
    view.show_plan({"first0": 2})
    view.show_plan(None)
    shown = [content["values"] for content, _ in sent]
    assert shown == [{"first0": 3, "second0": 32, "first1": 32, "second1": 6}, {"first0": 2}, {}]
    assert all(content["name"] == "bits" for content, _ in sent)


def test_shapes_of_values(record: Callable[[GraphView], Sent]) -> None:
    view = GraphView(network(*residual(2)))
    sent = record(view)
    view.show_shapes({"first0": (1, 3, None, 7)})
    assert sent[0][0]["shapes"] == {"first0": "1 × 3 × ? × 7"}


class _Same:
    def __init__(self, parameters: Any) -> None:
        pass

    def set_weights(self, weights: Any) -> None:
        pass

    def output_shapes(self, input_shapes: Any) -> Any:
        return input_shapes

    def evaluate(self, inputs: Any) -> Any:
        return inputs


def test_shapes_are_seen_in_a_run(record: Callable[[GraphView], Sent]) -> None:
    view = GraphView(swish_model(), custom_layers={"Swish": _Same})
    sent = record(view)
    view.measure_shapes()
    assert sent[0][0]["shapes"] == {
        "a": "1 × 1 × 6 × 48 × 64",
        "b": "1 × 1 × 6 × 48 × 64",
        "picture": "1 × 1 × 3 × 48 × 64",
    }
    with pytest.raises(InputError, match="takes a Model"):
        GraphView(swish_model().graph).measure_shapes()
    with pytest.raises(CustomLayerError, match="Swish"):
        GraphView(swish_model()).measure_shapes()


def test_the_class_of_a_custom_layer_is_told_when_it_is_asked_for(record: Callable[[GraphView], Sent]) -> None:
    model = network(("conv", "convolution:5", "x"), ("swish", "custom:Swish", "conv"))
    view = GraphView(model)
    sent = record(view)
    say(view, type="source", layer="swish")
    ((content, _),) = sent
    assert content["layers"] == ["swish"]
    space: dict[str, Any] = {}
    exec(content["source"]["Python"], space)
    assert space["Swish"]({"crop": 2}).crop == 2
    assert "class Swish" in content["source"]["Swift"]
    assert "MLCustomLayer" in content["source"]["Swift"]
    sent.clear()
    say(view, type="source", layer="conv")
    assert "no custom layer" in sent[0][0]["fault"]
    sent.clear()
    assert [content["type"] for content, _ in view.recorded()] == ["graph", "source", "source"], "none is told twice"
    assert [content["type"] for content, _ in GraphView(model).recorded()] == ["graph", "source"]
    only_graph = GraphView(model.graph)
    sent = record(only_graph)
    say(only_graph, type="source", layer="swish")
    assert list(sent[0][0]["source"]) == ["Python"]


def test_what_the_page_knows_of_a_layer() -> None:
    graph = network(("conv", "convolution:5", "x"), ("swish", "custom:Swish", "conv"), ("act", "relu", "swish")).graph
    conv, swish, act = map(node_data, graph.nodes)
    assert conv["weights"] == [
        {"name": "weights", "shape": [5, 2, 1, 1], "kind": "float32", "bits": 32, "count": 10, "nbytes": 40}
    ]
    assert (conv["parameters"]["outputChannels"], conv["parameters"]["kernelSize"]) == (5, "1, 1")
    assert (conv["inputs"], conv["outputs"]) == (["x"], ["conv"])
    assert swish["custom"] == {"className": "Swish", "description": "what Swish does", "parameters": {"crop": 2}}
    assert (swish["family"], conv["family"], act["kind"]) == ("custom", "convolution", "ReLU")


def test_nothing_that_json_lacks_reaches_the_page() -> None:
    model = network(("unary", "unary", "x"), ("clip", "clip", "unary"))
    model.spec.neuralNetwork.layers[0].unary.scale = float("nan")
    model.spec.neuralNetwork.layers[1].clip.maxVal = float("inf")
    model.spec.neuralNetwork.layers[1].clip.minVal = -2.5
    data = json.loads(json.dumps(graph_data(Outline(model.graph)), allow_nan=False))
    assert data["nodes"][0]["parameters"]["scale"] == "nan"
    assert (data["nodes"][1]["parameters"]["maxVal"], data["nodes"][1]["parameters"]["minVal"]) == ("inf", -2.5)


def test_inputs_and_outputs_are_described() -> None:
    model = network(("pool", "pooling", "x"))
    view = GraphView(model, layer="pool")
    assert "multiArray 3 × 5 × 7" in view.to_svg()
    assert view.layer == "pool"
    assert "multiArray" not in GraphView(model.graph).to_svg()


def test_saving(tmp_path: Path) -> None:
    view = GraphView(network(*residual(3)), opened={"*"})
    view.save_svg(tmp_path / "graph.svg")
    text = (tmp_path / "graph.svg").read_text("utf-8")
    assert text == view.to_svg()
    assert all(f">first{i}<" in text for i in range(3))


def test_a_page_needs_no_layout_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> str:
        raise MissingDependencyError("install it with pip")

    monkeypatch.setattr(graph_module, "to_svg", missing)
    view = GraphView(network(("a", "pooling", "x")))
    with pytest.raises(MissingDependencyError):
        view.to_svg()


@pytest.mark.parametrize("model", ["model.mlmodel", None, b"bytes"])
def test_anything_but_a_model_is_refused(model: Any) -> None:
    with pytest.raises(InputError, match="load the file first"):
        GraphView(model)


@pytest.mark.parametrize(
    "pattern",
    ["mlmodel/*/MultiSnacks@2*", "mlmodel/*/songs*", "mlpackage/*/audio-model*", "mlmodel/lcy2080*/sample*"],
    ids=["pipeline", "tree ensemble of 2998 inputs", "ML Program", "loop and branch"],
)
def test_real_models(pattern: str, corpus: Path, record: Callable[[GraphView], Sent]) -> None:
    from mlexplorer.formats import load

    view = GraphView(load(next(corpus.glob(pattern))))
    sent = record(view)
    say(view, type="ready")
    graph = sent[0][0]
    networks = [graph["outline"]["root"]]
    for outer in networks:
        networks += outer["inner"]
    assert sorted(i for n in networks for chain in n["chains"] for i in chain) == list(range(len(graph["nodes"])))
    json.dumps(graph, allow_nan=False)
