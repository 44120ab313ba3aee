"""The graph widget: what it tells the page, and when."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlexplorer.errors import InputError, MissingDependencyError
from mlexplorer.views import graph as graph_module
from mlexplorer.views.graph import GraphView, graph_data, node_data
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
        (graph, drawing) = sent
        assert [node["id"] for node in graph[0]["nodes"]][:3] == ["stem", "first0", "rest0"]
        assert drawing[0]["type"] == "drawing"
        assert drawing[1][0].startswith(b"<svg")
        json.dumps([graph[0], drawing[0]], allow_nan=False)


def test_the_saved_state_is_small() -> None:
    view = GraphView(network(*residual(200)))
    state = {name: value for name, value in view.get_state().items() if not name.startswith("_")}
    assert len(json.dumps(state, default=str)) < 500
    assert state["layer"] == ""


def test_the_page_opens_and_closes_folds(record: Callable[[GraphView], Sent]) -> None:
    view = GraphView(network(*residual(5)))
    sent = record(view)
    say(view, type="ready")
    (frame,) = sent[1][0]["frames"]
    assert (frame["kind"], frame["count"], frame["opened"]) == ("repeat", 5, False)
    closed = [box["key"] for box in sent[1][0]["boxes"]]
    say(view, type="open", fold=frame["fold"])
    assert view.opened == {frame["fold"]}
    drawing = sent[-1][0]
    assert drawing["opened"] == [frame["fold"]]
    assert len(drawing["boxes"]) == len(closed) + 4 * 3
    assert set(closed) <= {box["key"] for box in drawing["boxes"]}
    inner = next(box for box in drawing["boxes"] if box["copies"][0][0] == "first3")
    assert inner["frames"] == [f"{frame['fold']}k3", frame["fold"]]
    say(view, type="close", fold=frame["fold"])
    assert [box["key"] for box in sent[-1][0]["boxes"]] == closed
    assert [message[0]["type"] for message in sent] == ["graph", "drawing", "drawing", "drawing"]


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
    data = json.loads(json.dumps(graph_data(model.graph), allow_nan=False))
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


def test_a_page_without_a_layout_command_says_so(
    monkeypatch: pytest.MonkeyPatch, record: Callable[[GraphView], Sent]
) -> None:
    def missing(*_: object) -> str:
        raise MissingDependencyError("install it with pip")

    monkeypatch.setattr(graph_module, "to_svg", missing)
    view = GraphView(network(("a", "pooling", "x")))
    sent = record(view)
    say(view, type="ready")
    assert {"type": "failed", "text": "install it with pip"}.items() <= sent[1][0].items()
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
    known = {node["id"] for node in sent[0][0]["nodes"]} | set(sent[0][0]["features"])
    assert known >= {i for box in sent[1][0]["boxes"] for copy in box["copies"] for i in copy}
    json.dumps([message[0] for message in sent], allow_nan=False)
