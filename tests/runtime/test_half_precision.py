"""Half precision: what is rounded to float16, bit for bit, and what must stay exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import mlexplorer as mle
from mlexplorer.runtime.program import Program
from mlexplorer.spec.weight_params import write_floats
from tests.runtime.networks import add, constant, network

torch = pytest.importorskip("torch")

RNG = np.random.default_rng(16)
F = np.float32


def half(array: Any) -> Any:
    """Rounded to the nearest float16 by torch, not by NumPy as the package does."""
    return torch.from_numpy(np.array(array, np.float32)).half().float().numpy()


def run(model: Any, feeds: dict[str, Any], *outputs: str, **options: Any) -> list[Any]:
    result = Program(mle.load(model), half_precision=True, **options).run(feeds, outputs)
    return [result[name] for name in outputs]


def operators(program: Program) -> list[str]:
    return [n.op_type for s in program._segments.values() for n in onnx.load_from_string(s.model).graph.node]


STEPS: dict[str, tuple[str, dict[str, Any], Callable[..., Any]]] = {
    "linear": ("activation", {"linear": {"alpha": 1.7, "beta": -0.3}}, lambda x: x * F(1.7) + F(-0.3)),
    "relu": ("activation", {"ReLU": {}}, lambda x: np.maximum(x, 0)),
    "clip": ("clip", {"minVal": -3.3, "maxVal": 1111.1}, lambda x: np.clip(x, F(-3.3), F(1111.1))),
    "sqrt": ("unary", {"type": 0, "scale": 1.1, "shift": 5000.0}, lambda x: np.sqrt(x * F(1.1) + F(5000))),
    "threshold": ("unary", {"type": 7, "alpha": 0.7}, lambda x: np.maximum(x, F(0.7))),
    "abs": ("unary", {"type": 6}, np.abs),
    "large": ("multiply", {"alpha": 37.3}, lambda x: x * F(37.3)),
    "small": ("multiply", {"alpha": 1e-7}, lambda x: x * F(1e-7)),
    "plus": ("add", {"alpha": 0.1}, lambda x: x + F(0.1)),
    "floor": ("floor", {}, np.floor),
    "transpose": ("transpose", {"axes": [1, 0]}, np.transpose),
}


@pytest.mark.parametrize("seed", range(12))
def test_a_chain_of_layers_is_rounded_after_each_bit_for_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = [str(name) for name in rng.choice(list(STEPS), 9)]
    model, net = network({"x": (5, 7)}, ["y"])
    x = (rng.normal(size=(5, 7)) * 10.0 ** rng.integers(-6, 5, (5, 7))).astype(F)
    wanted = [half(x)]
    with np.errstate(over="ignore", invalid="ignore"):
        for index, name in enumerate(names):
            type_name, parameters, function = STEPS[name]
            add(net, type_name, f"b{index}" if index else "x", f"b{index + 1}", **parameters)
            wanted.append(half(function(wanted[-1])))
    results = run(model, {"x": x}, *(f"b{index + 1}" for index in range(len(names))))
    for name, result, value in zip(names, results, wanted[1:], strict=True):
        np.testing.assert_array_equal(result, value, err_msg=f"{names}: {name}")
    (last,) = run(model, {"x": x}, f"b{len(names)}")  # nothing in between is asked for: nothing may be fused either
    np.testing.assert_array_equal(last, wanted[-1])


def test_ties_go_to_even_and_what_is_too_large_to_infinity() -> None:
    x = np.array([1 + 2**-11, 1 + 3 * 2**-11, 65519.0, 65520.0, -1e9, 2.0**-25, 3 * 2.0**-25, np.nan], F)
    wanted = [1, 1 + 2**-9, 65504, np.inf, -np.inf, 0, 2**-23, np.nan]
    model, net = network({"x": x.shape}, ["y"])
    add(net, "squeeze", "x", "moved", squeezeAll=True)
    constant(net, "constant", x)
    add(net, "multiplyBroadcastable", "constant one", "folded")
    constant(net, "one", np.ones(1))
    net.layers.insert(0, net.layers[-1])
    del net.layers[-1]
    for result in run(model, {"x": x}, "x", "moved", "constant", "folded"):
        np.testing.assert_array_equal(result, wanted)


def convolution(net: Any, source: str, target: str, weights: Any, bias: Any) -> None:
    outputs, inputs, *kernel = weights.shape
    params = add(net, "convolution", source, target, outputChannels=outputs, kernelChannels=inputs, nGroups=1)
    params.kernelSize.extend(kernel)
    params.valid.SetInParent()
    params.hasBias = True
    write_floats(params.weights, weights.reshape(-1))
    write_floats(params.bias, bias)


@pytest.mark.parametrize("outputs", [6, 3], ids=["plain", "in blocks"])
def test_convolutions_have_rounded_weights_inputs_and_results(outputs: int) -> None:
    weights = RNG.normal(size=(outputs, 4, 7, 5)).astype(F)
    bias, x = RNG.normal(size=outputs).astype(F), RNG.normal(size=(1, 1, 4, 41, 39)).astype(F)
    model, net = network({"x": (4, 41, 39)}, ["y"], exact=False)
    convolution(net, "x", "a", weights, bias)
    add(net, "activation", "a", "y", ReLU={})
    a, y = run(model, {"x": x}, "a", "y")
    exact = torch.nn.functional.conv2d(*(torch.from_numpy(half(v)).double() for v in (x[0], weights, bias))).numpy()
    assert np.array_equal(a, half(a))
    assert np.array_equal(y, np.maximum(a, 0))
    np.testing.assert_allclose(a[0], exact, rtol=2**-11, atol=2e-5)
    (alone,) = run(model, {"x": x}, "y")
    np.testing.assert_array_equal(alone, y)


def test_moving_values_and_relu_cost_no_further_rounding() -> None:
    model, net = network({"x": (4, 11, 9)}, ["y"], exact=False)
    convolution(net, "x", "a", RNG.normal(size=(5, 4, 3, 3)).astype(F), np.ones(5, F))
    add(net, "activation", "a", "b", ReLU={})
    add(net, "permute", "b", "c", axis=[0, 2, 3, 1])
    add(net, "upsample", "c", "d", scalingFactor=[2, 2])
    add(net, "concat", "d d", "y")
    program = Program(mle.load(model), half_precision=True)
    program.run({"x": np.ones((1, 1, 4, 11, 9), F)}, ["y"])
    assert operators(program).count("Cast") == 2
    assert operators(program)[:4] == ["Reshape", "Conv", "Relu", "Cast"]


class Third:
    """x / 3 and its weights."""

    def __init__(self, parameters: dict[str, Any]) -> None:
        pass

    def set_weights(self, weights: list[Any]) -> None:
        self.weights = weights

    def output_shapes(self, input_shapes: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        return [input_shapes[0], self.weights[0].shape]

    def evaluate(self, inputs: list[Any]) -> list[Any]:
        assert np.array_equal(inputs[0], half(inputs[0]))
        assert self.weights[0][0] == F(0.1)
        return [inputs[0] / 3, self.weights[0]]


def test_layers_that_are_python_are_rounded_too() -> None:
    model, net = network({"x": (3, 5)}, ["y"])
    custom = add(net, "custom", "x", "y weights", className="Third")
    write_floats(custom.weights.add(), np.array([0.1, 0.3], F))
    add(net, "randomUniformStatic", "", "random", seed=3, minVal=0.0, maxVal=9.0, outputShape=[4, 6])
    x = RNG.normal(size=(3, 5)).astype(F)
    y, weights, random = run(model, {"x": x}, "y", "weights", "random", custom_layers={"Third": Third})
    np.testing.assert_array_equal(y, half(half(x) / 3))
    np.testing.assert_array_equal(weights, half([0.1, 0.3]))
    assert np.array_equal(random, half(random))
    assert np.unique(random).size > 20


def test_places_lengths_and_counts_stay_exact() -> None:
    model, net = network({"ids": (2, 1), "x": (1, 4099)}, ["y"])
    table = RNG.normal(size=(3, 5001)).astype(F)
    constant(net, "one", [1.0])
    add(net, "addBroadcastable", "ids one", "next")
    embedding = add(net, "embeddingND", "next", "rows", vocabSize=5001, embeddingSize=3)
    write_floats(embedding.weights, table.reshape(-1))
    constant(net, "target", [4099.0, 1.0])
    add(net, "reshapeDynamic", "x target", "tall")
    add(net, "getShape", "tall", "shape")
    add(net, "tile", "rows times", "tiled")
    constant(net, "times", [2051.0, 1.0])
    net.layers.insert(0, net.layers[-1])
    del net.layers[-1]
    add(net, "argMax", "x", "place", axis=1)
    add(net, "argSort", "x", "order", axis=1)
    add(net, "topK", "x", "best where", axis=1, K=2)
    add(net, "gatherAlongAxis", "x where", "again", axis=1)
    x = RNG.normal(size=(1, 4099)).astype(F)
    x[0, 4097], x[0, 4095] = 10.0, 9.9
    ids = np.array([[4097.0], [2048.0]], F)
    names = "rows", "tall", "shape", "tiled", "place", "order", "best", "where", "again"
    result = dict(zip(names, run(model, {"ids": ids, "x": x}, *names), strict=True))
    np.testing.assert_array_equal(result["rows"], half(table[:, [4098, 2049]].T))
    np.testing.assert_array_equal(result["tall"], half(x.T))
    np.testing.assert_array_equal(result["shape"], [4099, 1])
    assert result["tiled"].shape == (4102, 3)
    np.testing.assert_array_equal(result["place"], [[4097]])
    np.testing.assert_array_equal(result["order"], np.argsort(half(x), axis=1, kind="stable"))
    np.testing.assert_array_equal(result["where"], [[4097, 4095]])
    np.testing.assert_array_equal(result["best"], half([[10.0, 9.9]]))
    np.testing.assert_array_equal(result["again"], result["best"])


def test_loops_count_and_round() -> None:
    model, net = network({"turns": (1,), "x": (3, 2)}, ["x"])
    loop = add(net, "loop", "turns", "")
    add(loop.bodyNetwork, "activation", "x", "x", linear={"alpha": 1.001, "beta": 0.0})
    x = wanted = RNG.normal(size=(3, 2)).astype(F)
    wanted = half(x)
    for _ in range(2049):
        wanted = half(wanted * F(1.001))
    (result,) = run(model, {"turns": np.array([2049.0], F), "x": x}, "x")
    np.testing.assert_array_equal(result, wanted)


def test_the_weights_of_quantized_copies_are_rounded_too() -> None:
    weights, x = RNG.normal(size=(5, 4, 3, 3)).astype(F), RNG.normal(size=(1, 1, 4, 9, 8)).astype(F)
    model, net = network({"x": (4, 9, 8)}, ["y"], exact=False)
    convolution(net, "x", "y", weights, np.zeros(5, F))
    plain, rounded = Program(mle.load(model)), Program(mle.load(model), half_precision=True)
    small = mle.quantize(mle.load(model), mle.Linear(bits=5))
    result = rounded.rebind(small).run({"x": x}, ["y"])["y"]
    np.testing.assert_array_equal(result, Program(small, half_precision=True).run({"x": x}, ["y"])["y"])
    used = half(small.graph.weights[0].array())
    exact = torch.nn.functional.conv2d(*(torch.from_numpy(v).double() for v in (half(x[0]), used))).numpy()
    np.testing.assert_allclose(result[0], exact, rtol=2**-11, atol=2e-5)
    assert not np.array_equal(plain.run({"x": x}, ["y"])["y"], rounded.run({"x": x}, ["y"])["y"])


def test_predict_takes_half_precision() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "activation", "x", "y", linear={"alpha": 1 / 3, "beta": 0.0})
    x = RNG.normal(size=(2, 3)).astype(F)
    y = mle.predict(mle.load(model), {"x": x}, half_precision=True)["y"]
    np.testing.assert_array_equal(y, half(half(x) * F(1 / 3)))
