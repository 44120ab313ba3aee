"""Quantization with error feedback on whole models: nearer outputs, plain files, and what is left as it would be."""

from __future__ import annotations

import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.calibration import calibrate
from mlexplorer.errors import Cancelled, CustomLayerError, InputError, QuantizationError
from mlexplorer.feeds import inputs_of
from mlexplorer.runtime.generated_inputs import noise_picture
from mlexplorer.spec.weight_params import write_floats
from tests.painter import deep_painter, photo
from tests.runtime.networks import add, network

RNG = np.random.default_rng(29)


def error(model: mle.Model, small: mle.Model, feeds: list[dict[str, Any]], name: str) -> float:
    """The noise-to-signal ratio of an output."""
    pairs = [[mle.predict(m, feed, outputs=[name])[name].astype(float) for m in (model, small)] for feed in feeds]
    return sum(np.sum((a - b) ** 2) for a, b in pairs) / sum(np.sum(a**2) for a, _ in pairs)


@pytest.mark.parametrize("calibration", ["noise", "pictures"])
@pytest.mark.parametrize("scheme", [mle.LookupTable(bits=2), mle.LookupTable(bits=4), mle.Linear(bits=3)])
def test_outputs_of_pictures_never_seen_are_nearer(scheme: mle.Scheme, calibration: str) -> None:
    model = deep_painter()
    given: Any = "noise" if calibration == "noise" else [photo(96, 64, seed=seed) for seed in range(3, 6)]
    unseen = [{"photo": photo(80, 60, seed=9)}, {"photo": photo(50, 90, seed=7)}]
    plain = mle.quantize(model, scheme)
    fed = mle.quantize(model, scheme, calibration=given)
    assert error(model, fed, unseen, "painted") < 0.6 * error(model, plain, unseen, "painted")
    assert fed.size == plain.size
    assert [(w.kind, w.bits) for w in fed.graph.weights] == [(w.kind, w.bits) for w in plain.graph.weights]


def test_the_same_calibration_gives_the_same_bytes() -> None:
    first, second = (mle.quantize(deep_painter(), mle.LookupTable(bits=3), calibration="noise") for _ in range(2))
    assert first.spec.SerializeToString() == second.spec.SerializeToString()


def test_the_file_is_plain_core_ml_with_the_same_values_to_the_last_bit(tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools")
    from coremltools.models.neural_network.quantization_utils import _dequantize_nn_spec

    small = mle.quantize(deep_painter(), mle.Linear(bits=3), calibration="noise")
    mle.save(small, tmp_path / "small.mlmodel")
    theirs = coremltools.utils.load_spec(str(tmp_path / "small.mlmodel"))
    _dequantize_nn_spec(theirs.neuralNetwork)
    layers = {layer.name: layer.convolution for layer in theirs.neuralNetwork.layers if layer.HasField("convolution")}
    for node in small.graph.nodes:
        for weight in node.weights:
            values = np.array(getattr(layers[node.name], weight.name).floatValue, np.float32)
            np.testing.assert_array_equal(values, weight.array().reshape(-1))


def mixed_network() -> tuple[mle.Model, list[dict[str, Any]]]:
    """Every kind of product, a loop, an overwritten blob, and weights without products."""
    model, net = network({"x": (2, 6, 9, 11)}, ["y"])
    rng = np.random.default_rng(1)

    def fill(message: Any, *shape: int) -> None:
        write_floats(message, rng.normal(size=shape).astype(np.float32).reshape(-1) / 3)

    grouped = add(net, "convolution", "x", "a", "grouped", outputChannels=8, kernelChannels=3, nGroups=2, same={})
    fill(grouped.weights, 8, 3, 3, 3)
    up = add(net, "convolution", "a", "b", "up", outputChannels=4, kernelChannels=8, isDeconvolution=True, valid={})
    up.stride.extend((2, 2))
    fill(up.weights, 8, 4, 3, 3)
    scale = add(net, "batchnorm", "b", "b", "norm", channels=4)
    for name in ("gamma", "beta", "mean"):
        fill(getattr(scale, name), 4)
    write_floats(scale.variance, np.linspace(0.5, 1.5, 4).astype(np.float32))
    after = add(net, "convolution", "b", "c", "after", outputChannels=5, kernelChannels=4, same={})
    fill(after.weights, 5, 4, 3, 3)
    loop = add(net, "loop", "", "", "loop", maxLoopIterations=2)
    inner = add(loop.bodyNetwork, "convolution", "c", "c", "inner", outputChannels=5, kernelChannels=5, same={})
    fill(inner.weights, 5, 5, 3, 3)
    add(net, "reduceMean", "c", "d", axes=[2, 3], keepDims=False)
    dense = add(net, "innerProduct", "d", "e", "dense", inputChannels=5, outputChannels=7)
    fill(dense.weights, 7, 5)
    matmul = add(net, "batchedMatmul", "e", "y", "matmul", weightMatrixFirstDimension=7, weightMatrixSecondDimension=3)
    fill(matmul.weights, 3, 7)
    return mle.load(model), [{"x": rng.normal(size=(2, 6, 9, 11))} for _ in range(6)]


def test_weights_whose_inputs_cannot_be_captured_are_rounded_as_without_calibration() -> None:
    model, feeds = mixed_network()
    scheme = mle.LookupTable(bits=3)
    plain, fed = mle.quantize(model, scheme), mle.quantize(model, scheme, calibration=feeds)
    for a, b in zip(plain.graph.weights, fed.graph.weights, strict=True):
        same = np.array_equal(a.array(), b.array())
        node = a.key.partition(":")[0]
        assert same == (node not in ("grouped", "up", "after", "dense", "matmul")), a.key
    assert error(model, fed, feeds, "y") < error(model, plain, feeds, "y")


def test_weights_in_the_stages_of_a_pipeline() -> None:
    model = spec.Model(specificationVersion=4)
    for index in range(2):
        stage, net = network({f"x{index}": (1, 3, 8, 9)}, [f"x{index + 1}"])
        params = add(net, "convolution", f"x{index}", f"x{index + 1}", outputChannels=3, kernelChannels=3, same={})
        write_floats(params.weights, RNG.normal(size=81).astype(np.float32) / 3)
        model.pipeline.models.add().CopyFrom(stage)
    model.description.input.extend(model.pipeline.models[0].description.input)
    model.description.output.extend(model.pipeline.models[1].description.output)
    loaded = mle.load(model)
    feeds = [{"x0": RNG.normal(size=(1, 3, 8, 9))} for _ in range(5)]
    plain, fed = (mle.quantize(loaded, mle.LookupTable(bits=2), calibration=c) for c in (None, feeds))
    assert error(loaded, fed, feeds, "x2") < 0.8 * error(loaded, plain, feeds, "x2")


def test_progress_counts_the_weights_and_cancelling_stops() -> None:
    model = deep_painter()
    seen: list[tuple[str, int, int]] = []
    mle.quantize(model, mle.LookupTable(bits=2), calibration="noise", progress=lambda *call: seen.append(call))
    keys = [weight.key for weight in model.graph.weights]
    assert seen == [(key, index, len(keys)) for index, key in enumerate(keys)]
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        mle.quantize(model, mle.LookupTable(bits=2), calibration="noise", cancelled=cancelled)


def test_what_cannot_be_calibrated_says_why() -> None:
    model = deep_painter()
    with pytest.raises(QuantizationError, match="quantize takes a scheme"):
        mle.quantize(model, 4, calibration="noise")  # type: ignore[arg-type]
    with pytest.raises(QuantizationError, match="a plan says which weights"):
        mle.quantize(model, mle.Plan({}), select=mle.Selection(), calibration="noise")
    with pytest.raises(InputError, match="there is no such"):
        mle.quantize(model, mle.Linear(bits=4), calibration="no such folder")
    with pytest.raises(InputError, match="there is nothing"):
        mle.quantize(model, mle.Linear(bits=4), calibration=[])
    custom = deep_painter().copy()
    custom.spec.neuralNetwork.layers[1].custom.className = "Unheard"
    with pytest.raises(CustomLayerError, match="Unheard"):
        mle.quantize(custom, mle.Linear(bits=4), calibration="noise")


def test_noise_has_the_spectrum_of_photographs_and_is_the_same_every_time() -> None:
    picture = np.asarray(noise_picture(128, 128, 0), float)
    np.testing.assert_array_equal(picture, np.asarray(noise_picture(128, 128, 0), float))
    assert not np.array_equal(picture, np.asarray(noise_picture(128, 128, 1), float))
    power = np.abs(np.fft.fft2(picture[..., 1] - picture[..., 1].mean())) ** 2
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(128), np.fft.fftfreq(128)))
    bands = [power[(frequency >= low) & (frequency < 2 * low)].mean() for low in (1 / 64, 1 / 32, 1 / 16, 1 / 8)]
    ratios = [a / b for a, b in pairwise(bands)]
    assert all(2.5 < ratio < 6.0 for ratio in ratios), "power falls with the square of the frequency: by 4 each octave"
    colours = np.corrcoef(picture.reshape(-1, 3).T)
    assert colours.min() > 0.5


def test_inputs_of_fit_the_model() -> None:
    model = deep_painter()
    assert [given["photo"].size for given in inputs_of(model, "noise")] == [(256, 256)] * 4
    fitted = inputs_of(model, [Image.new("RGB", (2000, 1000)), photo()])
    assert [given["photo"].size for given in fitted] == [(480, 240), (60, 40)]
    array_model, _ = network({"x": (3, 4)}, ["y"])
    loaded = mle.load(array_model)
    assert [given["x"].shape for given in inputs_of(loaded, "noise")] == [(3, 4)] * 256
    large, _ = network({"x": (3, 180, 190)}, ["y"])
    assert len(inputs_of(mle.load(large), "noise")) == 4
    assert inputs_of(loaded, {"x": 1}) == [{"x": 1}]
    assert len(inputs_of(loaded, [np.ones((3, 4)), np.zeros((3, 4))])) == 2
    assert calibrate(loaded, mle.Plan({}), inputs_of(loaded, "noise")).spec == loaded.spec
