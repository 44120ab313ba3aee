"""Random networks against a second interpreter of the specification."""

from __future__ import annotations

import os

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.layers import EVALUATIONS, LOWERINGS
from mlexplorer.runtime.program import RUN_HERE, Program
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


@pytest.mark.parametrize("block", range(2))
def test_random_networks_in_half_precision_hold_float16_values(block: int) -> None:
    for seed in range(500 + 20 * block, 520 + 20 * block):
        network = random_network(seed)
        names = [name for name in network.values if name not in network.feeds]
        program = Program(mle.load(network.model), half_precision=True)
        results = program.run(network.feeds, names)
        for name in names:
            result = results[name]
            assert result.shape == network.values[name].shape, f"random_network({seed}): {name}"
            with np.errstate(over="ignore"):
                rounded = result.astype(np.float16)
            assert name in program._half.exact or np.array_equal(result, rounded), f"random_network({seed}): {name}"


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
