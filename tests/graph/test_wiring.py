"""Edges, ids and scopes of models made to be difficult."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlexplorer import spec
from mlexplorer.errors import FileFormatError, ModelError, UnsupportedError
from mlexplorer.formats import load
from mlexplorer.graph import Graph
from tests.formats.models import add_layers


def graph_of(*layers: tuple[str, str, list[str], list[str]], inputs: tuple[str, ...] = ("x",)) -> Graph:
    """A graph of layers (name, type, inputs, outputs)."""
    model = spec.Model(specificationVersion=4)
    for name in inputs:
        model.description.input.add(name=name)
    model.description.output.add(name="y")
    add_layers(model.neuralNetwork, *layers)
    return Graph(model)


def test_edges_come_from_the_latest_writer() -> None:
    graph = graph_of(
        ("a", "softmax", ["x"], ["b"]),
        ("first", "softmax", ["b"], ["c"]),
        ("over", "copy", ["x"], ["b"]),
        ("second", "softmax", ["b"], ["y"]),
        ("lost", "softmax", ["nowhere"], ["z"]),
    )
    assert graph.edges == (
        ("x", "a", "x"),
        ("a", "first", "b"),
        ("x", "over", "x"),
        ("over", "second", "b"),
    )
    assert [(v.name, v.producer, v.consumers) for v in graph.values] == [
        ("x", None, ("a", "over")),
        ("b", "a", ("first",)),
        ("c", "first", ()),
        ("b", "over", ("second",)),
        ("y", "second", ()),
        ("z", "lost", ()),
    ]
    assert graph.producers("y") == ("second",)
    with pytest.raises(ModelError, match=r"no output 'x'; its outputs are \['y'\]"):
        graph.producers("x")
    with pytest.raises(ModelError, match="no node 'third'"):
        graph.node("third")


def test_names_that_repeat_are_empty_or_are_those_of_inputs() -> None:
    graph = graph_of(
        ("same", "softmax", ["x"], ["a"]),
        ("same", "softmax", ["a"], ["b"]),
        ("same#2", "softmax", ["b"], ["c"]),
        ("", "softmax", ["c"], ["d"]),
        ("", "softmax", ["d"], ["e"]),
        ("x", "softmax", ["e"], ["y"]),
    )
    ids = [node.id for node in graph.nodes]
    assert ids == ["same", "same#2", "same#2#2", "softmax", "softmax#2", "x#2"]
    assert [source for source, _, _ in graph.edges] == ["x", *ids[:-1]]


def test_loops_and_branches_are_scopes_and_hand_on_their_writes() -> None:
    model = spec.Model()
    model.description.input.add(name="x")
    model.description.output.add(name="y")
    _, branch, loop, _ = add_layers(
        model.neuralNetwork,
        ("start", "softmax", ["x"], ["v"]),
        ("choice", "branch", ["v"], []),
        ("again", "loop", [], []),
        ("end", "softmax", ["v"], ["y"]),
    )
    add_layers(branch.branch.ifBranch, ("yes", "copy", ["x"], ["v"]))
    add_layers(branch.branch.elseBranch, ("no", "copy", ["x"], ["w"]))
    loop.loop.conditionVar = "go"
    add_layers(loop.loop.conditionNetwork, ("test", "lessThan", ["v"], ["go"]))
    (inner,) = add_layers(loop.loop.bodyNetwork, ("deep", "branch", ["go"], []))
    add_layers(inner.branch.ifBranch, ("step", "softmax", ["v"], ["v"]), ("step", "loopBreak", [], []))
    graph = Graph(model)

    assert [(scope.id, scope.parent) for scope in graph.scopes] == [
        ("choice/ifBranch", ""),
        ("choice/elseBranch", ""),
        ("again/conditionNetwork", ""),
        ("again/bodyNetwork", ""),
        ("again/bodyNetwork/deep/ifBranch", "again/bodyNetwork"),
    ]
    prefix = "again/bodyNetwork/deep/ifBranch"
    assert [node.id for node in graph.nodes if node.scope == prefix] == [f"{prefix}/step", f"{prefix}/step#2"]
    sources = {target: [s for s, t, _ in graph.edges if t == target] for target in (node.id for node in graph.nodes)}
    assert sources["again/conditionNetwork/test"] == ["choice/ifBranch/yes", "start"]
    assert sources["again"] == ["again/conditionNetwork/test"]
    assert set(sources["end"]) == {f"{prefix}/step", "choice/ifBranch/yes", "start"}


def test_stages_of_pipelines_are_scopes_with_blobs_of_their_own() -> None:
    model = spec.Model()
    pipeline = model.pipelineRegressor.pipeline
    pipeline.names.extend(["embed"])
    model.description.input.add(name="x")
    model.description.output.add(name="y")
    for _ in range(2):
        stage = pipeline.models.add()
        stage.description.input.add(name="x")
        stage.description.output.add(name="x")
        add_layers(stage.neuralNetwork, ("fc", "softmax", ["x"], ["hidden"]), ("out", "softmax", ["hidden"], ["x"]))
    last = pipeline.models.add()
    last.description.input.add(name="x")
    last.description.input.add(name="hidden")
    last.description.output.add(name="y")
    last.customModel.className = "Judge"
    last.customModel.parameters["limit"].doubleValue = 0.5
    graph = Graph(model)
    assert [(scope.id, scope.name, scope.kind) for scope in graph.scopes] == [
        ("pipeline[0]", "embed", "neuralNetwork"),
        ("pipeline[1]", "neuralNetwork", "neuralNetwork"),
        ("pipeline[2]", "customModel", "customModel"),
    ]
    assert graph.edges == (
        ("x", "pipeline[0]/fc", "x"),
        ("pipeline[0]/fc", "pipeline[0]/out", "hidden"),
        ("pipeline[0]/out", "pipeline[1]/fc", "x"),
        ("pipeline[1]/fc", "pipeline[1]/out", "hidden"),
        ("pipeline[1]/out", "pipeline[2]/customModel", "x"),
    )
    assert graph.producers("y") == ("pipeline[2]/customModel",)
    (judge,) = graph.custom_layers
    assert judge.custom is not None
    assert (judge.custom.className, judge.custom.parameters) == ("Judge", {"limit": 0.5})


def test_nested_blocks_and_missing_weight_files(corpus: Path) -> None:
    graph = load(next(corpus.glob("mlpackage/*/DTLN_AEC_128_Part2@5cd9270.mlpackage"))).graph
    loop = next(node for node in graph.nodes if node.type == "while_loop")
    assert [scope.id for scope in graph.scopes if scope.parent == ""] == [
        f"{node.id}/blocks[{i}]" for node in graph.nodes if node.type == "while_loop" for i in (0, 1)
    ]
    inside = [node for node in graph.nodes if node.scope == f"{loop.id}/blocks[1]"]
    assert inside
    assert any(source == loop.id and target == inside[0].id for source, target, _ in graph.edges)
    with pytest.raises(FileFormatError, match=r"has no file 'weights/weight.bin'.*package is incomplete"):
        graph.weights[0].array()
    with pytest.raises(FileFormatError, match=r"loaded without its weight files; load the .mlpackage"):
        Graph(load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage"))).spec).weights[0].array()
    with pytest.raises(UnsupportedError, match="ML Programs cannot be quantized"):
        graph.weights[0].encoded()


def test_functions_of_a_program_are_scopes(corpus: Path) -> None:
    message = load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage"))).spec
    message.mlProgram.functions["other"].CopyFrom(message.mlProgram.functions["main"])
    message.description.defaultFunctionName = "other"
    graph = Graph(message)
    one = Graph(load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage"))).spec)
    assert [scope.id for scope in graph.scopes] == ["other", "main"]
    assert [node.id for node in graph.nodes] == [f"{f}/{node.id}" for f in ("other", "main") for node in one.nodes]
    assert len(graph.weights) == 2 * len(one.weights)
    assert graph.producers(graph.outputs[0])[0].startswith("other/")
