"""The walk through a network: segments, cuts, branches, loops, custom layers, quantized copies, cancelling."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.errors import Cancelled, CustomLayerError, ModelError, UnsupportedError
from mlexplorer.runtime import program as program_module
from mlexplorer.runtime.program import Program
from mlexplorer.spec.weight_params import write_floats
from tests.runtime.networks import add, constant, network, run

RNG = np.random.default_rng(7)


class Swish:
    """x * sigmoid(beta * x)."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        self.beta = parameters["beta"]

    def set_weights(self, weights: list[Any]) -> None:
        self.weights = weights

    def output_shapes(self, input_shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [input_shapes[0]]

    def evaluate(self, inputs: list[Any]) -> list[Any]:
        return [inputs[0] / (1 + np.exp(-self.beta * inputs[0]))]


def swish_network() -> Any:
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "activation", "x", "a", linear={"alpha": 2.0, "beta": 1.0})
    custom = add(net, "custom", "a", "b", name="swish", className="Swish")
    custom.parameters["beta"].doubleValue = 1.5
    add(net, "activation", "b", "y", linear={"alpha": -1.0, "beta": 0.5})
    return model


def test_a_custom_layer_runs_between_two_segments() -> None:
    x = RNG.normal(size=(2, 3))
    a = 2 * x + 1
    (y,) = run(swish_network(), {"x": x}, ["y"], custom_layers={"Swish": Swish})
    np.testing.assert_allclose(y, -(a / (1 + np.exp(-1.5 * a))) + 0.5, rtol=1e-5)


def test_a_custom_layer_that_writes_over_its_input_changes_nothing_else() -> None:
    class InPlace(Swish):
        def evaluate(self, inputs: list[Any]) -> list[Any]:
            inputs[0] *= 2
            return inputs

    model, net = network({"x": (2, 3)}, ["y", "z"])
    add(net, "custom", "x", "y", className="InPlace").parameters["beta"].doubleValue = 1.0
    add(net, "activation", "x", "z", linear={"alpha": 1.0, "beta": 1.0})
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    given = x.copy()
    y, z = run(model, {"x": given}, ["y", "z"], custom_layers={"InPlace": InPlace})
    np.testing.assert_array_equal(y, 2 * x)
    np.testing.assert_array_equal(z, x + 1)
    np.testing.assert_array_equal(given, x)


def test_a_custom_layer_without_a_class_is_named_before_anything_runs() -> None:
    with pytest.raises(CustomLayerError, match=r"'swish' \(class 'Swish'\).*mlexplorer\.custom_layer"):
        Program(mle.load(swish_network()))


def test_a_custom_layer_that_breaks_its_promise_is_an_error_of_ours() -> None:
    class Broken(Swish):
        def evaluate(self, inputs: list[Any]) -> list[Any]:
            return [inputs[0][:1]]

    class Failing(Swish):
        def evaluate(self, inputs: list[Any]) -> list[Any]:
            raise RuntimeError("out of luck")

    with pytest.raises(CustomLayerError, match=r"'swish'.*returned shapes \[\(1, 3\)\].*promised \[\(2, 3\)\]"):
        run(swish_network(), {"x": np.ones((2, 3))}, ["y"], custom_layers={"Swish": Broken})
    with pytest.raises(CustomLayerError, match="'swish': evaluate of class 'Swish' failed: RuntimeError: out of luck"):
        run(swish_network(), {"x": np.ones((2, 3))}, ["y"], custom_layers={"Swish": Failing})


def test_every_layer_that_cannot_run_is_named_before_anything_runs() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    net.layers.add(name="from the future", input=["x"], output=["y"])
    with pytest.raises(UnsupportedError, match="'from the future'"):
        Program(mle.load(model))


def test_a_blob_that_nothing_writes_is_named() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "activation", "nowhere", "y", name="act", ReLU={})
    with pytest.raises(ModelError, match=r"'act' \(activation\) reads 'nowhere'"):
        run(model, {"x": np.ones((2, 3))}, ["y"])


def test_a_shape_that_only_a_run_can_tell_cuts_the_graph() -> None:
    model, net = network({"x": (3, 4)}, ["y"])
    add(net, "whereNonZero", "x", "indices")
    add(net, "activation", "indices", "plus", linear={"alpha": 1.0, "beta": 10.0})
    add(net, "transpose", "plus", "y", axes=[1, 0])
    for count in (2, 5):
        x = np.zeros(12, np.float32)
        x[:count] = 1
        x = x.reshape(3, 4)
        (y,) = run(model, {"x": x}, ["y"])
        np.testing.assert_array_equal(y, np.stack(np.nonzero(x)) + 10)


def test_shapes_that_layers_compute_from_shapes_stay_in_one_segment() -> None:
    model, net = network({"x": (4, 6)}, ["y"])
    add(net, "getShape", "x", "shape")
    constant(net, "half", [2.0, 0.5])
    add(net, "multiplyBroadcastable", "shape half", "target")
    add(net, "reshapeDynamic", "x target", "y")
    program = Program(mle.load(model))
    x = RNG.normal(size=(4, 6)).astype(np.float32)
    np.testing.assert_array_equal(program.run({"x": x}, ["y"])["y"], x.reshape(8, 3))
    assert len(program._segments) == 1


def test_a_reshaped_value_meets_one_of_a_higher_rank() -> None:
    model, net = network({"x": (4, 1), "z": (1, 1, 1)}, ["y"])
    add(net, "reduceMean", "x", "mean", reduceAll=True)
    add(net, "addBroadcastable", "mean z", "y")
    x, z = RNG.normal(size=(4, 1)), np.full((1, 1, 1), 3.0)
    (y,) = run(model, {"x": x, "z": z}, ["y"])
    np.testing.assert_allclose(y, x.mean() + z, rtol=1e-5)


@pytest.mark.parametrize("condition", [0.0, 1.0])
def test_a_branch_runs_one_side(condition: float) -> None:
    model, net = network({"x": (2, 3), "condition": (1,)}, ["y"])
    branch = add(net, "branch", "condition", "")
    add(branch.ifBranch, "activation", "x", "y", linear={"alpha": 2.0, "beta": 0.0})
    add(branch.elseBranch, "activation", "x", "y", linear={"alpha": 3.0, "beta": 0.0})
    x = RNG.normal(size=(2, 3))
    (y,) = run(model, {"x": x, "condition": np.array([condition])}, ["y"])
    np.testing.assert_allclose(y, x * (2 if condition else 3), rtol=1e-6)


def test_a_loop_overwrites_blobs_breaks_and_continues() -> None:
    model, net = network({"x": (2, 3)}, ["y", "turns"])
    constant(net, "turns", [0.0])
    add(net, "copy", "x", "y")
    loop = add(net, "loop", "", "", maxLoopIterations=100)
    body = loop.bodyNetwork
    constant(body, "one", [1.0])
    add(body, "addBroadcastable", "turns one", "turns")
    add(body, "lessThan", "turns", "early", alpha=3.0)
    skip = add(body, "branch", "early", "")
    add(skip.ifBranch, "loopContinue", "", "")
    add(body, "activation", "y", "y", linear={"alpha": 2.0, "beta": 0.0})
    add(body, "greaterEqual", "turns", "late", alpha=6.0)
    stop = add(body, "branch", "late", "")
    add(stop.ifBranch, "loopBreak", "", "")
    x = RNG.normal(size=(2, 3))
    y, turns = run(model, {"x": x}, ["y", "turns"])
    assert turns.tolist() == [6.0]
    np.testing.assert_allclose(y, x * 2**4, rtol=1e-6)  # turns 3, 4, 5, 6


def test_a_loop_runs_while_its_condition_holds() -> None:
    model, net = network({"x": (1,)}, ["x"])
    loop = add(net, "loop", "", "", conditionVar="on")
    add(loop.conditionNetwork, "lessThan", "x", "on", alpha=100.0)
    add(loop.bodyNetwork, "activation", "x", "x", linear={"alpha": 3.0, "beta": 0.0})
    assert run(model, {"x": np.array([2.0])}, ["x"])[0].tolist() == [162.0]


def test_a_loop_whose_values_grow_keeps_few_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_module, "_MOST_SEGMENTS", 5)
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "copy", "x", "y")
    loop = add(net, "loop", "", "", maxLoopIterations=20)
    add(loop.bodyNetwork, "concatND", "y x", "y", axis=0)
    x = RNG.normal(size=(2, 3)).astype(np.float32)
    program = Program(mle.load(model))
    np.testing.assert_array_equal(program.run({"x": x}, ["y"])["y"], np.tile(x, (21, 1)))
    assert len(program._segments) == len(program._sessions) == 5


def convolution_network(weights: Any) -> Any:
    model, net = network({"x": (3, 8, 7)}, ["y"], exact=False)
    params = add(
        net,
        "convolution",
        "x",
        "a",
        name="conv",
        outputChannels=weights.shape[0],
        kernelChannels=weights.shape[1],
        nGroups=1,
        kernelSize=list(weights.shape[2:]),
        same={},
    )
    write_floats(params.weights, weights.reshape(-1))
    add(net, "activation", "a", "y", ReLU={})
    return model


def test_a_quantized_copy_shares_the_lowered_graph_and_not_the_weights() -> None:
    weights = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32)
    model = mle.load(convolution_network(weights))
    program = Program(model)
    x = RNG.normal(size=(1, 1, 3, 8, 7)).astype(np.float32)
    before = program.run({"x": x}, ["y"])["y"]
    small = mle.quantize(model, mle.Linear(bits=3))
    other = program.rebind(small)
    after = other.run({"x": x}, ["y"])["y"]
    np.testing.assert_array_equal(after, Program(small).run({"x": x}, ["y"])["y"])
    assert np.abs(after - before).max() > 1e-3
    assert other._segments is program._segments
    assert len(program._segments) == 1
    np.testing.assert_array_equal(program.run({"x": x}, ["y"])["y"], before)


def test_legacy_ranks_cost_no_operators_between_convolution_and_activation() -> None:
    import onnx

    program = Program(mle.load(convolution_network(RNG.normal(size=(5, 3, 3, 3)).astype(np.float32))))
    program.run({"x": np.ones((1, 1, 3, 8, 7), np.float32)}, ["y"])
    (segment,) = program._segments.values()
    assert [node.op_type for node in onnx.load_from_string(segment.model).graph.node] == [
        "Reshape",
        "Conv",
        "Relu",
        "Reshape",
    ]


def test_a_run_can_be_cancelled_from_another_thread() -> None:
    model, net = network({"x": (1,)}, ["x"])
    loop = add(net, "loop", "", "", conditionVar="on")
    add(loop.conditionNetwork, "lessThan", "x", "on", alpha=2.0)
    add(loop.bodyNetwork, "randomUniformLike", "x", "x", seed=-1, maxVal=1.0)
    program = Program(mle.load(model))
    timer = threading.Timer(0.3, program.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        program.run({"x": np.array([1.0], np.float32)}, ["x"])
    timer.join()
