"""Whatever a specification says: a value or an error of ours comes out, soon, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import Cancelled, ModelError, UnsupportedError
from mlexplorer.runtime.program import Program
from mlexplorer.spec.weight_params import write_floats
from tests.runtime.hostile_networks import attempt, case
from tests.runtime.networks import add, constant, network, run

HUGE = 1 << 40
X = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize("block", range(4))
def test_mutated_networks(block: int) -> None:
    for seed in range(30 * block, 30 * block + 30):
        source, feeds = case(seed)
        attempt(source, feeds, seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(40))
def test_many_mutated_networks(block: int) -> None:
    first = int(os.environ.get("FIRST_SEED", "100000")) + 500 * block
    try_in_a_process(first, first + 500)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_mutated_models_of_the_corpus(block: int, corpus: Path) -> None:
    files = sorted(file for file in corpus.glob("mlmodel/**/*.mlmodel") if file.stat().st_size < 300_000)
    assert files
    try_in_a_process(500 * block, 500 * block + 500, *map(str, files))


def try_in_a_process(*arguments: int | str) -> None:
    """Run the cases where a crash does not end the tests."""
    command = [sys.executable, "-m", "tests.runtime.hostile_networks", *map(str, arguments)]
    folder = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-1500:]}"


def looping(**options: Any) -> tuple[Any, Any]:
    """A network whose loop copies x to y: (specification, the loop's body)."""
    model, net = network({"x": (2, 3), "turns": (1,)}, ["y"])
    add(net, "copy", "x", "y")
    inputs = options.pop("inputs", "")
    return model, add(net, "loop", inputs, "", name="around", **options).bodyNetwork


def feeds(turns: float = 1.0) -> dict[str, Any]:
    return {"x": X, "turns": np.array([turns])}


def test_a_loop_that_can_never_end_is_refused() -> None:
    model, body = looping(conditionVar="x")
    add(body, "activation", "y", "y", linear={"alpha": -1.0, "beta": 0.0})
    with pytest.raises(ModelError, match=r"'around' \(loop\) never ends: its values recur every 2 turns"):
        run(model, feeds() | {"x": X + 1}, ["y"])


@pytest.mark.parametrize("turns", [10**15, 10**15 + 1])
def test_a_loop_that_goes_round_in_circles_is_cut_short(turns: int) -> None:
    model, body = looping(maxLoopIterations=turns)
    add(body, "activation", "y", "y", linear={"alpha": -1.0, "beta": 0.0})
    (y,) = run(model, feeds(), ["y"])
    np.testing.assert_array_equal(y, X * (-1) ** turns)


def test_a_loop_whose_values_keep_changing_can_be_cancelled() -> None:
    model, body = looping(maxLoopIterations=2**63)
    add(body, "loop", "", "", maxLoopIterations=2**63)
    add(body, "randomNormalLike", "x", "y", seed=-1, stdDev=1.0)
    program = Program(mle.load(model))
    timer = threading.Timer(0.3, program.cancel)
    timer.start()
    with pytest.raises(Cancelled):
        program.run({"x": X.astype(np.float32)}, ["y"])
    timer.join()


@pytest.mark.parametrize("turns", [np.nan, np.inf])
def test_the_turns_of_a_loop_are_a_number(turns: float) -> None:
    with pytest.raises(ModelError, match=r"'around' \(loop\): the number of turns 'turns' is no number"):
        run(looping(inputs="turns")[0], feeds(turns), ["y"])


@pytest.mark.parametrize("turns", [-3.0, 0.0])
def test_a_loop_may_have_no_turn(turns: float) -> None:
    model, body = looping(inputs="turns")
    add(body, "fillLike", "x", "y", value=7.0)
    np.testing.assert_array_equal(run(model, feeds(turns), ["y"])[0], X)


@pytest.mark.parametrize("type", ["loopBreak", "loopContinue"])
def test_a_loop_is_left_from_within(type: str) -> None:
    model, net = network({"x": (2, 3)}, ["x"])
    add(net, type, "", "")
    with pytest.raises(ModelError, match="stands outside of all loops"):
        run(model, {"x": X}, ["x"])


@pytest.mark.parametrize(("depth", "runs"), [(150, True), (3000, False)])
def test_networks_within_networks(depth: int, runs: bool) -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    for _ in range(depth):
        net = add(net, "branch", "x", "").elseBranch
    add(net, "copy", "x", "y")
    if runs:
        np.testing.assert_array_equal(run(model, {"x": X}, ["y"])[0], X)
    else:
        with pytest.raises(ModelError, match="nested too deeply"):
            run(model, {"x": X}, ["y"])


def test_deep_networks_are_made_ready_quickly() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    for _ in range(200):
        net = add(net, "branch", "x", "").elseBranch
    add(net, "copy", "x", "y")
    start = time.process_time()
    Program(mle.load(model))
    assert time.process_time() - start < 2.0  # was 60 seconds: each layer's reads were collected again at each depth


def test_a_branch_without_an_input_and_a_network_without_layers() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    with pytest.raises(ModelError, match="no layer of the network writes 'y'"):
        run(model, {"x": X}, ["y"])
    add(net, "branch", "", "", name="fork")
    with pytest.raises(ModelError, match=r"'fork' \(branch\) has no input"):
        run(model, {"x": X}, ["y"])


SIZED = {
    "fillDynamic": (["size"], [HUGE], {}),
    "broadcastToDynamic": (["one", "size"], [HUGE, 3], {}),
    "tile": (["x", "size"], [1 << 20, 1 << 20], {}),
    "oneHot": (["x", "size"], [HUGE], {}),
    "rangeDynamic": (["size"], [HUGE], {"stepSizeValue": 1.0}),
    "constantPad": (["x", "size"], [0, 0, HUGE, 0], {}),
}


@pytest.mark.parametrize("type", SIZED)
@pytest.mark.parametrize("constant_size", [True, False], ids=["constant", "input"])
def test_sizes_beyond_all_machines_are_refused_before_they_are_allocated(type: str, constant_size: bool) -> None:
    inputs, size, parameters = SIZED[type]
    model, net = network({"x": (2, 3), "one": (1, 3)} | ({} if constant_size else {"size": (len(size),)}), ["y"])
    if constant_size:
        constant(net, "given", size)
    add(net, "activation", "given" if constant_size else "size", "size2", linear={"alpha": 1.0, "beta": 0.0})
    add(net, type, " ".join(inputs).replace("size", "size2"), "y", name="vast", **parameters)
    given = {"x": X, "one": X[:1]} | ({} if constant_size else {"size": np.array(size)})
    with pytest.raises(ModelError, match=rf"'vast' \({type}\).* elements; at most"):
        run(model, given, ["y"])


@pytest.mark.parametrize("type", SIZED)
def test_layers_whose_size_only_a_run_can_tell_still_run(type: str) -> None:
    inputs, _, parameters = SIZED[type]
    sizes = {"fillDynamic": [4, 2], "broadcastToDynamic": [5, 3], "tile": [2, 1], "oneHot": [4], "rangeDynamic": [7]}
    size = sizes.get(type, [0, 1, 2, 0])
    wanted = {
        "fillDynamic": (4, 2),
        "broadcastToDynamic": (5, 3),
        "tile": (4, 3),
        "oneHot": (4, 2, 3),
        "rangeDynamic": (7,),
        "constantPad": (3, 5),
    }
    model, net = network({"x": (2, 3), "one": (1, 3), "size": (len(size),)}, ["y"])
    add(net, "activation", "size", "size2", linear={"alpha": 1.0, "beta": 0.0})
    add(net, type, " ".join(inputs).replace("size", "size2"), "y", **parameters)
    (y,) = run(model, {"x": X, "one": X[:1], "size": np.array(size)}, ["y"])
    assert y.shape == wanted[type]


def test_results_of_known_shapes_may_not_be_vast_either() -> None:
    model, net = network({"x": (1 << 16, 1), "z": (1, 1 << 16)}, ["y"])
    add(net, "addBroadcastable", "x z", "y", name="outer")
    with pytest.raises(ModelError, match=r"'outer' \(addBroadcastable\): a tensor of shape \[65536, 65536\]"):
        run(model, {"x": np.ones((1 << 16, 1)), "z": np.ones((1, 1 << 16))}, ["y"])
    model, net = network({"x": (2,)}, ["y"])
    for _ in range(40):
        add(net, "concatND", "x x", "x", axis=0)
    with pytest.raises(ModelError, match="elements; at most"):
        run(model, {"x": np.ones(2)}, ["x"])


def test_a_window_may_not_be_vast() -> None:
    model, net = network({"x": (1, 3, 5)}, ["y"])
    window = add(net, "pooling", "x", "y", name="wide", kernelSize=[3, 2**31], same={})
    window.type = window.AVERAGE
    with pytest.raises(ModelError, match=r"'wide' \(pooling\): a window of 6442450944 elements"):
        run(model, {"x": np.ones((1, 3, 5))}, ["y"])


@pytest.mark.parametrize("shape", [[-2, -3], [-1, -1], [7, -1], [0, -1]])
def test_shapes_that_are_none(shape: list[int]) -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    add(net, "reshapeStatic", "x", "y", name="bent", targetShape=shape)
    with pytest.raises(ModelError, match=r"'bent' \(reshapeStatic\)"):
        run(model, {"x": X}, ["y"])


def test_constants_that_are_no_numbers_cause_no_warning() -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    constant(net, "begin", [np.nan, np.inf])
    add(net, "sliceDynamic", "x begin", "y", endIds=[2, 3], strides=[1, 1])
    attempt(model, {"x": X})


@pytest.mark.parametrize("scale", [np.nan, np.inf, 3e38])
def test_preprocessing_that_makes_no_numbers_causes_no_warning(scale: float) -> None:
    model, net = network({"x": (2, 3)}, ["y"])
    image = model.description.input[0].type.imageType
    image.width, image.height, image.colorSpace = 3, 2, image.RGB
    net.preprocessing.add(featureName="x").scaler.channelScale = scale
    add(net, "activation", "x", "y", ReLU={})
    assert attempt(model, {"x": Image.new("RGB", (3, 2), (0, 100, 200))}) == "value"


def test_a_failure_inside_onnxruntime_names_the_layer() -> None:
    model, net = network({"x": (2, 3), "i": (2,)}, ["y"])
    add(net, "activation", "x", "a", ReLU={})
    add(net, "gather", "a i", "y", name="pick these")
    with pytest.raises(UnsupportedError, match="layer 'pick these', Gather: indices element out of data bounds"):
        run(model, {"x": X, "i": np.array([0, 99])}, ["y"])


def test_weights_of_a_wrong_length_and_none_are_named() -> None:
    for values, message in ((np.ones(5, np.float32), "holds 5 values"), (None, "no weights in 'weights'")):
        model, net = network({"x": (2, 3)}, ["y"])
        params = add(net, "innerProduct", "x", "y", name="dense", inputChannels=3, outputChannels=4)
        if values is not None:
            write_floats(params.weights, values)
        with pytest.raises(ModelError, match=f"'dense'.*{message}"):
            run(model, {"x": X}, ["y"])
