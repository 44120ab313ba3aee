"""Random networks against a second interpreter of the specification."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.layers import EVALUATIONS, LOWERINGS
from mlexplorer.runtime.program import RUN_HERE, Program
from mlexplorer.spec import reflection
from mlexplorer.spec.weight_params import write_floats
from tests.runtime import interpreter
from tests.runtime.random_networks import PROPOSALS, RandomNetwork, random_network


def check(network: RandomNetwork, everything: bool) -> None:
    """Compare every blob, or only the last ones, so that nothing keeps onnxruntime from fusing what is between."""
    model = mle.load(network.model)
    names = [name for name in network.values if name not in network.feeds] if everything else network.leaves
    results = Program(model).run(network.feeds, names)
    for name in names:
        result, value = results[name], network.values[name]
        assert result.shape == value.shape, f"{name}: {result.shape} instead of {value.shape}"
        error = float(np.abs(result - value).max())
        assert error <= network.tolerances[name], f"{name}: off by {error}, {network.tolerances[name]} allowed"


def check_seed(seed: int, *ways: bool) -> None:
    network = random_network(seed)
    try:
        for everything in ways:
            check(network, everything)
    except Exception as error:
        raise AssertionError(
            f"random_network({seed}): {type(error).__name__}: {error}\n{network.model.neuralNetwork}"[:6000]
        ) from error


@pytest.mark.parametrize("block", range(10))
def test_random_networks(block: int) -> None:
    for seed in range(15 * block, 15 * block + 15):
        check_seed(seed, seed % 2 == 0)


def half(array: Any) -> Any:
    with np.errstate(over="ignore"):
        return np.asarray(array, np.float32).astype(np.float16).astype(np.float64)


@pytest.mark.parametrize("block", range(2))
def test_random_networks_in_half_precision(block: int) -> None:
    """Each layer by itself: from the values that it got to those that it gave, which are float16 values."""
    checked = 0
    for seed in range(500 + 20 * block, 520 + 20 * block):
        network = random_network(seed)
        program = Program(mle.load(network.model), half_precision=True)
        results = program.run(network.feeds, list(network.values))
        layers = network.model.neuralNetwork.layers
        written = Counter(name for node in mle.load(network.model).graph.nodes for name in node.outputs)
        for layer in layers:
            if layer.WhichOneof("layer") in ("branch", "loop") or any(written[name] > 1 for name in layer.input):
                continue
            names = [name for name in layer.output if written[name] == 1 and name not in program._half.exact]
            for name, (value, tolerance) in computed(layer, results, names).items():
                said = f"random_network({seed}): {name}"
                np.testing.assert_array_equal(results[name], half(results[name]), err_msg=said)
                np.testing.assert_array_less(np.abs(results[name] - half(value)), tolerance, err_msg=said)
                checked += 1
    assert checked > 50


def computed(layer: Any, blobs: dict[str, Any], names: list[str]) -> dict[str, tuple[Any, Any]]:
    """What a layer with rounded weights gives for these blobs, and how far that may be off after rounding."""
    if not names:
        return {}
    rounded = type(layer)()
    rounded.CopyFrom(layer)
    for _, weight in reflection.weights(getattr(rounded, rounded.WhichOneof("layer"))):
        write_floats(weight, half(weight.floatValue).astype(np.float32))
    values = {name: blobs[name].astype(np.float64) for name in layer.input}
    noisy = dict(values)
    try:
        interpreter.run_layer(rounded, values)
        interpreter.run_layer(rounded, noisy, np.random.default_rng(0))
    except interpreter.Fragile:
        return {}
    found = {}
    for name in names:
        value = values[name]
        size = float(np.abs(value).max(initial=0.0))
        found[name] = value, 2.0**-10 * np.abs(value) + 3 * np.abs(noisy[name] - value) + 2e-6 * size + 1e-7
    return found


@pytest.mark.slow
@pytest.mark.parametrize("block", range(100))
def test_many_random_networks(block: int) -> None:
    first = int(os.environ.get("FIRST_SEED", "1000000"))
    for seed in range(first + 300 * block, first + 300 * block + 300):
        check_seed(seed, True, False)


def test_every_layer_type_that_gives_one_answer_is_among_them() -> None:
    known = set(LOWERINGS) | set(EVALUATIONS) | RUN_HERE
    left_out = {"custom", "NonMaximumSuppression", "categoricalDistribution", "loopBreak", "loopContinue"}
    assert {name for name in known if not name.startswith("random")} - set(PROPOSALS) == left_out
