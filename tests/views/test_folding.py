"""Folding: what becomes one box, what must not, and that no layer gets lost on the way."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from mlexplorer import spec
from mlexplorer.errors import MlexplorerError
from mlexplorer.formats import load
from mlexplorer.graph import Graph
from mlexplorer.layers import LOWERINGS
from mlexplorer.views.families import FAMILIES, family
from mlexplorer.views.folding import Box, Folded, Frame, fold
from mlexplorer.views.outline import Outline
from mlexplorer.views.repeats import Repeats
from tests.views.networks import add_layers, network, residual


def chains(folded: Folded) -> list[tuple[str, ...]]:
    return [box.copies[0] for box in folded.boxes() if box.kind in ("layer", "chain")]


def repeats(folded: Folded) -> list[Frame]:
    return [frame for frame in folded.frames() if frame.kind == "repeat"]


def arrows(folded: Folded) -> set[tuple[str, str]]:
    """The arrows by the names of the first layer of each box, or of the feature."""
    name = {box.key: box.copies[0][0] for box in folded.boxes()}
    return {(name[edge.source], name[edge.target]) for edge in folded.edges}


def check_nothing_lost(graph: Graph, folded: Folded) -> None:
    boxes = [box for box in folded.boxes() if box.kind in ("layer", "chain")]
    networks = [box for box in folded.boxes() if box.kind == "network"]
    shown = Counter(i for box in [*boxes, *networks] for copy in box.copies for i in copy)
    assert shown == Counter(node.id for node in graph.nodes)
    keys = [box.key for box in folded.boxes()] + [frame.key for frame in folded.frames()]
    assert len(set(keys)) == len(keys)
    drawn = {box.key for box in folded.boxes()}
    assert all({edge.source, edge.target} <= drawn for edge in folded.edges)
    for box in boxes:
        types = {tuple(graph.node(i).type for i in copy) for copy in box.copies}
        assert len(types) == 1, "the copies of a box must be alike"
        if any(graph.node(i).is_custom for copy in box.copies for i in copy):
            assert box.kind == "layer"
            assert len(box.copies) == 1


def test_a_convolution_and_what_follows_it_is_one_box() -> None:
    graph = network(
        ("pad", "padding", "x"),
        ("conv", "convolution", "pad"),
        ("norm", "batchnorm", "conv"),
        ("act", "relu", "norm"),
        ("dense", "innerProduct", "act"),
        ("scaled", "scale", "dense"),
        ("probs", "softmax", "scaled"),
    ).graph
    folded = fold(graph)
    assert chains(folded) == [("pad", "conv", "norm", "act"), ("dense", "scaled", "probs")]
    assert arrows(folded) == {("x", "pad"), ("pad", "dense"), ("dense", "probs")}


@pytest.mark.parametrize(
    ("layers", "outputs", "expected"),
    [
        ((("a", "convolution", "x"), ("b", "relu", "a"), ("c", "add", "a", "b")), (), [("a",), ("b",), ("c",)]),
        ((("a", "convolution", "x"), ("b", "relu", "a")), ("a", "b"), [("a",), ("b",)]),
        ((("a", "convolution", "x"), ("b", "custom:Swish", "a"), ("c", "relu", "b")), (), [("a",), ("b",), ("c",)]),
        ((("a", "convolution", "x"), ("b", "batchnorm", "a", "x")), (), [("a",), ("b",)]),
        ((("a", "pooling", "x"), ("b", "relu", "a")), (), [("a",), ("b",)]),
    ],
    ids=["read twice", "an output", "custom", "reads more", "not a head"],
)
def test_what_does_not_become_a_chain(
    layers: tuple[tuple[str, ...], ...], outputs: tuple[str, ...], expected: list[tuple[str, ...]]
) -> None:
    assert chains(fold(network(*layers, outputs=outputs).graph)) == expected


def test_equal_blocks_become_one_frame() -> None:
    graph = network(*residual(5)).graph
    folded = fold(graph)
    (frame,) = repeats(folded)
    assert (frame.count, frame.parallel, frame.opened) == (5, False, False)
    assert [box.copies for box in frame.children if isinstance(box, Box)] == [
        tuple((f"first{i}", f"rest{i}") for i in range(5)),
        tuple((f"second{i}",) for i in range(5)),
        tuple((f"sum{i}",) for i in range(5)),
    ]
    assert arrows(folded) == {
        ("x", "stem"),
        ("stem", "first0"),
        ("first0", "second0"),
        ("second0", "sum0"),
        ("stem", "sum0"),
        ("sum0", "head"),
        ("head", "head"),  # the output has the name of the layer that writes it
    }
    check_nothing_lost(graph, folded)


def test_a_frame_and_a_chain_open_by_their_names() -> None:
    graph = network(*residual(3)).graph
    (frame,) = repeats(fold(graph))
    opened = fold(graph, {frame.fold})
    copies = [inner for inner in opened.frames() if inner.kind == "copy"]
    assert [copy.index for copy in copies] == [0, 1, 2]
    assert ("sum1", "first2") in arrows(opened)
    chain = next(box.fold for box in opened.boxes() if box.copies[0] == ("first1", "rest1"))
    further = fold(graph, {frame.fold, chain})
    assert ("rest1",) in chains(further)
    assert ("first0", "rest0") in chains(further)
    for folded in (opened, further, fold(graph, {"*"})):
        check_nothing_lost(graph, folded)
    flat = fold(graph, {"*"})
    assert chains(flat) == [(node.id,) for node in graph.nodes]
    assert arrows(flat) == {(source, target) for source, target, _ in graph.edges} | {("head", "head")}


def test_blocks_of_other_shapes_are_not_equal() -> None:
    layers = residual(5)
    at = next(i for i, layer in enumerate(layers) if layer[0] == "first2")
    layers[at] = ("first2", "convolution:7", "sum1")
    folded = fold(network(*layers).graph)
    assert [frame.count for frame in repeats(folded)] == [2, 2]
    assert ("first2", "rest2") in chains(folded)


def test_a_block_that_is_read_elsewhere_is_the_last_of_its_frame() -> None:
    layers = [*residual(6), ("skip", "concat", "head", "sum2")]
    folded = fold(network(*layers).graph)
    assert [frame.count for frame in repeats(folded)] == [3, 3]
    assert ("sum0", "skip") in arrows(folded)  # the frame of blocks 0 to 2 is drawn as block 0
    assert ("sum3", "head") in arrows(folded)


def test_custom_layers_are_never_folded_away() -> None:
    graph = network(*residual(5, kind="custom:Crop")).graph
    folded = fold(graph)
    assert repeats(folded) == []
    assert [copy for copy in chains(folded) if graph.node(copy[0]).is_custom] == [(f"second{i}",) for i in range(5)]


def test_equal_branches_lie_side_by_side() -> None:
    layers = [("stem", "pooling", "x")]
    for i in range(4):
        layers += [(f"a{i}", "convolution", "stem"), (f"b{i}", "lrn", f"a{i}")]  # type: ignore[list-item]
    graph = network(*layers, ("join", "concat", "b0", "b1", "b2", "b3")).graph
    (frame,) = repeats(fold(graph))
    assert (frame.count, frame.parallel) == (4, True)
    separate = network(*layers, *((f"end{i}", "pooling", f"b{i}") for i in range(4))).graph
    assert all(len(box.copies) == 1 or "end" in box.copies[0][0] for box in fold(separate).boxes())


def test_nested_networks_are_frames_behind_their_owner() -> None:
    message = network(("test", "reduceMean", "x"), ("fork", "branch", "test"), ("end", "pooling", "x")).spec
    fork = message.neuralNetwork.layers[1].branch
    add_layers(fork.ifBranch, ("yes", "convolution", "x"), ("active", "relu", "yes"))
    add_layers(fork.elseBranch, ("no", "lrn", "x"))
    folded = fold(Graph(message))
    order = [item.title if isinstance(item, Frame) else item.copies[0][0] for item in folded.children]
    assert order[:5] == ["x", "test", "fork", "ifBranch", "elseBranch"]
    nested = {edge.target for edge in folded.edges if edge.nested}
    assert [box.copies[0] for box in folded.boxes() if box.key in nested] == [
        ("fork/ifBranch/yes", "fork/ifBranch/active"),
        ("fork/elseBranch/no",),
    ]


def test_a_nested_network_opens_and_closes_by_its_name() -> None:
    message = network(("fork", "branch", "x"), ("end", "pooling", "x")).spec
    fork = message.neuralNetwork.layers[0].branch
    add_layers(fork.ifBranch, ("yes", "convolution", "x"), ("inner", "branch", "yes"))
    add_layers(fork.ifBranch.layers[1].branch.ifBranch, ("deep", "lrn", "yes"))
    graph = Graph(message)
    assert {frame.fold for frame in fold(graph).frames()} == {"s0", "s1"}, "small ones are open at first"
    closed = fold(graph, ())
    (box,) = [box for box in closed.boxes() if box.kind == "network"]
    assert (box.key, box.fold, box.title) == ("s0", "s0", "ifBranch")
    assert set(box.copies[0]) == {node.id for node in graph.nodes if node.scope}
    assert ("fork", box.copies[0][0]) in arrows(closed)
    half = fold(graph, {"s0"})
    assert [box.title for box in half.boxes() if box.kind == "network"] == ["ifBranch"]
    for folded in (closed, half, fold(graph), fold(graph, {"*"})):
        check_nothing_lost(graph, folded)


@pytest.mark.parametrize(("custom", "opened"), [(False, set()), (True, {"s0"})])
def test_a_large_nested_network_is_closed_at_first_unless_it_has_a_custom_layer(custom: bool, opened: set[str]) -> None:
    message = network(("fork", "branch", "x")).spec
    kinds = random.Random(3).choices(["lrn", "pooling", "flatten", "tile", "reverse"], k=120)
    layers = [(f"l{i}", kind, f"l{i - 1}" if i else "x") for i, kind in enumerate(kinds)]
    if custom:
        layers[60] = ("l60", "custom:Crop", "l59")
    add_layers(message.neuralNetwork.layers[0].branch.ifBranch, *layers)
    outline = Outline(Graph(message))
    assert outline.first_opened() == opened
    check_nothing_lost(outline.graph, fold(outline))


@pytest.mark.parametrize(("count", "boxes", "opened"), [(16, 16, 16), (17, 1, 17), (2000, 1, 1)])
def test_many_inputs_are_one_box(count: int, boxes: int, opened: int) -> None:
    names = tuple(f"x{i}" for i in range(count))
    graph = network(("join", "concat", *names), inputs=names).graph
    assert sum(box.kind == "input" for box in fold(graph).boxes()) == boxes
    assert sum(box.kind == "input" for box in fold(graph, {"input"}).boxes()) == opened
    assert sum(edge.target == "n0" for edge in fold(graph).edges) == boxes


def test_repeats_are_those_of_the_text() -> None:
    """A chain is a text: its repeats are those that comparing every slice with its neighbour finds."""
    generator = random.Random(5)
    for _ in range(60):
        block = "".join(generator.choices("abc", k=generator.randint(1, 5)))
        text = "".join(generator.choices("abcd", k=4)) + block * generator.randint(2, 6) + "d" * generator.randint(0, 2)
        found = Repeats(list(text), [[at - 1] if at else [] for at in range(len(text))], {len(text) - 1})
        best = found.best(0, len(text))
        hidden = max(
            (
                period * (count - 1)
                for period in range(1, len(text) // 2 + 1)
                for start in range(len(text))
                for count in range(2, len(text) // period + 1)
                if text[start : start + period] * count == text[start : start + period * count]
                and (count >= 3 or period * (count - 1) >= 3)
                and start > 0
            ),
            default=0,
        )
        assert (best.hidden if best else 0) == hidden, text
        if best:
            copy = text[best.start : best.start + best.period]
            assert text[best.start : best.end] == copy * best.count, text


def test_every_layer_type_has_the_family_of_its_file() -> None:
    files = {"convolution": "convolution", "pooling": "pooling", "recurrent": "recurrent", "lstm": "recurrent"}
    files |= {"resampling": "resampling", "product": "dense", "constant": "constant"}
    checked = 0
    for name, lowering in LOWERINGS.items():
        expected = files.get(lowering.__module__.rpartition(".")[2])
        if expected is not None:
            assert family(name) == expected, name
            checked += 1
    assert checked > 15
    kinds = spec.Model.DESCRIPTOR.oneofs_by_name["Type"].fields
    assert {family(field.name) for field in kinds} <= set(FAMILIES)
    assert family("treeEnsembleClassifier") == family("glmRegressor") == family("wordTagger") == "classic"


def test_every_model_of_the_corpus_folds_without_loss(corpus: Path) -> None:
    paths = [
        *corpus.glob("mlmodel/*/*.mlmodel"),
        *corpus.glob("mlpackage/*/*.mlpackage"),
        *corpus.glob("style/coreml/*"),
    ]
    counts = {}
    for path in paths:
        try:
            graph = load(path).graph
        except MlexplorerError:
            continue
        folded = fold(graph)
        check_nothing_lost(graph, folded)
        check_nothing_lost(graph, fold(graph, {"*"}))
        counts[path.name] = len(graph.nodes), len(list(folded.boxes()))
    assert len(counts) > 70
    hourglass = next(name for name in counts if name.startswith("model@9f7cf8e"))
    assert counts[hourglass][0] == 844
    assert counts[hourglass][1] < 100
