"""Copies, branches, loops and custom layers: networks in networks that share and overwrite blobs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.layers.arrays import normal
from tests.runtime.networks import add, constant, network, run

CONDITIONS = [(0.0, False), (9e-7, False), (-9e-7, False), (2e-6, True), (-2e-6, True), (-3.0, True)]


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS)
@pytest.mark.parametrize("other", [True, False])
def test_a_branch_goes_by_the_size_of_its_input(condition: float, holds: bool, other: bool) -> None:
    model, net = network({"x": (2, 3), "condition": (1,)}, ["y", "seen"])
    add(net, "copy", "x", "y")
    branch = add(net, "branch", "condition", "")
    add(branch.ifBranch, "multiply", "x", "y", alpha=2.0)
    if other:
        add(branch.elseBranch, "multiply", "x", "y", alpha=3.0)
    add(net, "add", "y", "seen", alpha=1.0)
    x = normal(2, 3)
    y, seen = run(model, {"x": x, "condition": np.array([condition])}, ["y", "seen"])
    np.testing.assert_allclose(y, x * (2 if holds else 3 if other else 1), rtol=1e-6)
    np.testing.assert_allclose(seen, y + 1, rtol=1e-6)


def test_branches_nest_and_may_write_blobs_of_different_shapes() -> None:
    model, net = network({"x": (3, 4), "a": (1,), "b": (1,)}, ["y", "z"])
    outer = add(net, "branch", "a", "")
    inner = add(outer.ifBranch, "branch", "b", "")
    add(inner.ifBranch, "copy", "x", "y")
    add(inner.elseBranch, "sliceStatic", "x", "y", beginIds=[1, 0], endIds=[3, 2], strides=[1, 1])
    add(outer.elseBranch, "reduceSum", "x", "y", axes=[0])
    add(net, "reduceSum", "y", "z", reduceAll=True)
    x = normal(3, 4)
    for a, b, expected in ((1, 1, x), (1, 0, x[1:, :2]), (0, 1, x.sum(0))):
        y, z = run(model, {"x": x, "a": np.array([a]), "b": np.array([b])}, ["y", "z"])
        np.testing.assert_allclose(y, expected, rtol=1e-5)
        np.testing.assert_allclose(z, [expected.sum()], rtol=1e-4)


def counting(limit: int | None, *, given: float | None, while_below: float | None) -> list[float]:
    """How often the body and the condition of a loop run."""
    inputs: dict[str, Any] = {"count": (1,)} if given is not None else {"unused": (1,)}
    model, net = network(inputs, ["turns", "asked"])
    constant(net, "turns", [0.0])
    constant(net, "asked", [0.0])
    loop = add(net, "loop", "count" if given is not None else "", "", maxLoopIterations=limit or 0)
    add(loop.bodyNetwork, "add", "turns", "more", alpha=1.0)
    add(loop.bodyNetwork, "copy", "more", "turns")
    if while_below is not None:
        loop.conditionVar = "on"
        add(loop.conditionNetwork, "add", "asked", "again", alpha=1.0)
        add(loop.conditionNetwork, "copy", "again", "asked")
        add(loop.conditionNetwork, "lessThan", "turns", "on", alpha=while_below)
    feeds = {"count": np.array([given])} if given is not None else {"unused": np.zeros(1)}
    turns, asked = run(model, feeds, ["turns", "asked"])
    return [float(turns[0]), float(asked[0])]


@pytest.mark.parametrize(
    ("limit", "given", "while_below", "turns", "asked"),
    [
        (4, None, None, 4, 0),  # a loop of so many turns
        (4, 3.0, None, 3, 0),  # the input overrides the field
        (None, 0.0, None, 0, 0),
        (None, None, 5.0, 5, 6),  # while the condition holds; it is asked before every turn
        (3, None, 5.0, 3, None),  # whatever comes first
        (9, None, 5.0, 5, 6),
        (9, 2.0, 5.0, 2, None),
        (9, 7.0, 0.0, 0, 1),
    ],
)
def test_a_loop_ends_by_count_and_condition(
    limit: int | None, given: float | None, while_below: float | None, turns: int, asked: int | None
) -> None:
    counts = counting(limit, given=given, while_below=while_below)
    assert counts[0] == turns
    assert asked is None or counts[1] == asked


def test_break_and_continue_concern_the_innermost_loop() -> None:
    model, net = network({"rows": (1,)}, ["total", "rounds"])
    constant(net, "total", [0.0])
    constant(net, "rounds", [0.0])
    outer = add(net, "loop", "rows", "").bodyNetwork
    add(outer, "add", "rounds", "r", alpha=1.0)
    add(outer, "copy", "r", "rounds")
    constant(outer, "column", [0.0])
    inner = add(outer, "loop", "", "", maxLoopIterations=100).bodyNetwork
    add(inner, "add", "column", "c", alpha=1.0)
    add(inner, "copy", "c", "column")
    add(inner, "equal", "column", "second", alpha=2.0)
    add(add(inner, "branch", "second", "").ifBranch, "loopContinue", "", "")
    add(inner, "greaterThan", "column", "late", alpha=4.0)
    add(add(inner, "branch", "late", "").ifBranch, "loopBreak", "", "")
    add(inner, "addBroadcastable", "total column", "t")
    add(inner, "copy", "t", "total")
    total, rounds = run(model, {"rows": np.array([3.0])}, ["total", "rounds"])
    assert rounds.tolist() == [3.0]
    assert total.tolist() == [3 * (1 + 3 + 4.0)]


def test_a_blob_may_grow_from_turn_to_turn() -> None:
    model, net = network({"x": (1, 3)}, ["y"])
    add(net, "copy", "x", "y")
    body = add(net, "loop", "", "", maxLoopIterations=3).bodyNetwork
    add(body, "multiply", "y", "twice", alpha=2.0)
    add(body, "concatND", "y twice", "joined", axis=0)
    add(body, "copy", "joined", "y")
    x = normal(1, 3)
    expected = x
    for _ in range(3):
        expected = np.concatenate([expected, 2 * expected])
    np.testing.assert_allclose(run(model, {"x": x}, ["y"])[0], expected, rtol=1e-6)


class Halved:
    """Half of its input."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.parameters = parameters

    def set_weights(self, weights: list[Any]) -> None:
        assert weights == []

    def output_shapes(self, input_shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return input_shapes

    def evaluate(self, inputs: list[Any]) -> list[Any]:
        return [array / 2 for array in inputs]


def test_a_custom_layer_may_stand_in_a_loop() -> None:
    model, net = network({"x": (2, 3)}, ["x"])
    loop = add(net, "loop", "", "", conditionVar="on")
    add(loop.conditionNetwork, "reduceMax", "x", "most", reduceAll=True)
    add(loop.conditionNetwork, "greaterThan", "most", "on", alpha=1.0)
    add(loop.bodyNetwork, "custom", "x", "half", className="Halved")
    add(loop.bodyNetwork, "copy", "half", "x")
    x = np.array([[1, 2, 3], [0.5, 5, 7]], np.float32)
    np.testing.assert_allclose(run(model, {"x": x}, ["x"], custom_layers={"Halved": Halved})[0], x / 8)


def test_refused_conditions() -> None:
    model, net = network({"x": (3,)}, ["y"])
    loop = add(net, "loop", "", "", name="while", conditionVar="on")
    add(loop.conditionNetwork, "copy", "x", "elsewhere")
    add(loop.bodyNetwork, "copy", "x", "y")
    with pytest.raises(ModelError, match=r"'while' \(loop\) reads 'on', which nothing before it writes"):
        run(model, {"x": np.ones(3)}, ["y"])
