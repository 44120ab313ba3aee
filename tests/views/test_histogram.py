"""What the histogram shows, against numpy's own histograms and the errors of weights that were decoded one by one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.graph import Weight
from mlexplorer.quantization import Float16, Linear, LookupTable, Plan, Scheme
from mlexplorer.quantization.statistics import ALL_DEPTHS, error_table
from mlexplorer.spec.weight_params import write_floats
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.histogram_data import BINS, FEW_BINS, ModelHistogram, histogram_data, weight_histogram
from tests.painter import deep_painter, painter
from tests.views.page import Page

SECONDS = 60


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(6)


def painted(values: Any = None, classes: int = 5) -> tuple[mle.Model, mle.Weight]:
    """A model with one convolution of these values, and its weight."""
    model = painter(classes=classes)
    if values is not None:
        write_floats(model.graph.node("brush").params.weights, np.asarray(values, np.float32).reshape(-1))
        model = mle.load(model.spec)
    return model, model.graph.node("brush").weight("weights")


def quantized(model: mle.Model, scheme: Scheme) -> np.ndarray:
    return mle.quantize(model, scheme).graph.node("brush").weight("weights").array().astype(np.float64)


def squares_by_bin(before: np.ndarray, after: np.ndarray, edges: tuple[float, float], bins: int) -> np.ndarray:
    """The squared errors in bins of the values before: numpy's weighted histogram."""
    before = before.astype(np.float64).reshape(-1)
    return np.histogram(before, bins, edges, weights=(before - after.reshape(-1)) ** 2)[0]


@pytest.mark.parametrize("scheme", ALL_DEPTHS, ids=lambda scheme: scheme.label)
def test_values_and_errors_by_bin_are_those_of_the_quantized_model(scheme: Scheme) -> None:
    model, weight = painted()
    found = weight_histogram(model.graph.node("brush"), weight)
    before, after = weight.array().astype(np.float64), quantized(model, scheme)
    edges = before.min(), before.max()
    assert (found.axis.low, found.axis.high, found.axis.bins) == (*edges, FEW_BINS)
    np.testing.assert_array_equal(found.counts, np.histogram(before, FEW_BINS, edges)[0])
    made = found.distributions[scheme]
    np.testing.assert_array_equal(made.histogram, np.histogram(np.clip(after, *edges), FEW_BINS, edges)[0])
    np.testing.assert_allclose(made.errors, squares_by_bin(before, after, edges, FEW_BINS), rtol=1e-12, atol=1e-300)
    np.testing.assert_allclose(made.errors.sum(), np.sum((before - after) ** 2), rtol=1e-12)
    expected = 10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2)) if np.any(before != after) else np.inf
    assert found.sqnr(scheme) == pytest.approx(expected)


def test_errors_add_up_to_what_the_quantizer_reports(rng: np.random.Generator) -> None:
    model, weight = painted(rng.laplace(size=5 * 27))
    found = weight_histogram(model.graph.node("brush"), weight)
    for row in error_table(weight.array(), ALL_DEPTHS, weight.channel_axis):
        errors = found.distributions[row.scheme].errors
        assert errors.sum() == pytest.approx(row.mse * weight.count, rel=1e-4, abs=1e-12)


def test_levels_and_their_counts_are_those_of_the_file() -> None:
    model, weight = painted()
    found = weight_histogram(model.graph.node("brush"), weight)
    channels = weight.array().reshape(5, -1)
    for bits in range(1, 9):
        table = found.levels[LookupTable(bits)]
        levels, counts = np.unique(quantized(model, LookupTable(bits)), return_counts=True)
        np.testing.assert_array_equal(table.values[table.counts > 0], levels)
        np.testing.assert_array_equal(table.counts[table.counts > 0], counts)
        linear = found.levels[Linear(bits)]
        np.testing.assert_array_equal(linear.values[0], channels.min(axis=1))
        np.testing.assert_allclose(linear.values[1], channels.max(axis=1), rtol=1e-6)
        low, high = channels.min(axis=1, keepdims=True), channels.max(axis=1, keepdims=True)
        codes = np.rint((quantized(model, Linear(bits)).reshape(5, -1) - low) / (high - low) * (2**bits - 1))
        np.testing.assert_array_equal(linear.counts, np.bincount(codes.astype(int).reshape(-1), minlength=2**bits))


def test_large_weights_have_finer_bins(rng: np.random.Generator) -> None:
    network = mle.NetworkBuilder()
    x = network.array_input("x", (37,))
    x = network.add("innerProduct", x, inputChannels=37, outputChannels=41, weights=rng.normal(size=(41, 37)))
    network.output(x, "y")
    node = next(node for node in network.model().graph.nodes if node.weights)
    assert weight_histogram(node, node.weight("weights")).axis.bins == BINS


def test_grouped_deconvolutions_have_the_levels_of_their_channels(rng: np.random.Generator) -> None:
    """[in, out / groups, ...] with groups * shape[1] channels, each with a scale of its own."""
    network = mle.NetworkBuilder()
    x = network.array_input("x", (6, 5, 7))
    weights = rng.normal(size=(6, 2, 3, 3)) * np.arange(1, 7)[:, None, None, None]
    sizes = {"nGroups": 3, "kernelChannels": 6, "outputChannels": 6, "kernelSize": [3, 3], "valid": {}}
    x = network.add("convolution", x, isDeconvolution=True, weights=weights, **sizes)
    network.output(x, "y")
    model = network.model()
    node = next(node for node in model.graph.nodes if node.weights)
    weight = node.weight("weights")
    found = weight_histogram(node, weight).distributions[Linear(3)]
    after = mle.quantize(model, Linear(3)).graph.node(node.id).weight("weights").array()
    assert found.errors.sum() == pytest.approx(np.sum((weight.array().astype(float) - after) ** 2))


@pytest.mark.parametrize(
    "values", [np.zeros(9), np.full(9, 1e-42), np.linspace(-1e-42, 1e-42, 9), [3e38] * 8 + [-3e38]]
)
def test_constant_and_extreme_weights_are_counted(values: np.ndarray) -> None:
    model, weight = painted(np.resize(np.asarray(values, np.float32), 81), classes=0)
    content, _ = histogram_data(model.graph.node("brush"), weight)
    if "error" not in content:
        assert weight_histogram(model.graph.node("brush"), weight).counts.sum() == 81
    else:
        assert "too wide" in content["error"]


def test_weights_that_are_not_numbers_say_so() -> None:
    model, weight = painted(np.full(81, np.nan), classes=0)
    content, buffers = histogram_data(model.graph.node("brush"), weight)
    assert "NaN" in content["error"]
    assert buffers == []
    page = Page(histogram := Histogram(model))
    histogram.prepare_whole()
    assert "brush:weights" in page.received[-1][0]["error"]


def test_a_layers_data_are_sent_once_when_it_is_asked_for() -> None:
    page = Page(histogram := Histogram(painter()))
    page.say(type="ready")
    page.say(type="layer", layer="brush")
    assert histogram.wait(SECONDS)
    announced, layer, weights, bias = (content for content, _ in page.received)
    assert announced == layer
    assert [entry["name"] for entry in layer["weights"]] == ["weights", "bias"], "the largest one first"
    assert (weights["shape"], bias["shape"]) == ([3, 3, 3, 3], [3])
    assert page.say(type="layer", layer="brush") == []
    page.say(type="ready")
    counts, codes, entries, values, ends, tables, errors = (
        buffers for content, buffers in page.received if content.get("shape") == [3, 3, 3, 3]
    ).__next__()
    assert np.frombuffer(counts, "<u4").sum() == 81
    assert np.frombuffer(codes, "<u4").sum() == np.frombuffer(entries, "<u4").sum() == 8 * 81
    assert np.frombuffer(values, "<u4").reshape(8, FEW_BINS).sum(axis=1).tolist() == [81] * 8
    assert np.frombuffer(ends, "<f4").shape == (2 * 3,)
    assert np.frombuffer(tables, "<f4").shape == (2**9 - 2,)
    assert np.frombuffer(errors, "<f4").reshape(16, FEW_BINS).sum(axis=1) @ np.ones(16) > 0


def test_a_layer_without_weights_is_sent_as_such() -> None:
    page = Page(histogram := Histogram(painter(classes=4)))
    page.say(type="ready")
    layer = page.say(type="layer", layer="probabilities")[0]
    assert layer["weights"] == []
    assert layer["layer_type"] == "softmax"
    assert histogram.wait(SECONDS)


def test_the_kernel_hears_while_a_large_layer_is_computed_and_the_latest_comes_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, release, computed = threading.Event(), threading.Event(), []

    def slowly(node: Any, weight: Any) -> Any:
        begun.set()
        assert release.wait(SECONDS)
        computed.append(weight.key)
        return {"type": "weight", "key": weight.key}, []

    monkeypatch.setattr("mlexplorer.views.histogram.histogram_data", slowly)
    page = Page(histogram := Histogram(deep_painter()))
    page.say(type="layer", layer="sketch")
    assert begun.wait(SECONDS)
    for layer in ("paint", "varnish"):
        assert page.say(type="layer", layer=layer)[0]["layer"] == layer, "the page hears at once what is coming"
    release.set()
    assert histogram.wait(SECONDS)
    layers = [key.partition(":")[0] for key in computed]
    assert list(dict.fromkeys(layers)) == ["sketch", "varnish", "paint"]
    assert len(computed) == len(set(computed))


def arrays(model: mle.Model) -> Iterator[np.ndarray]:
    """What quantization changes, biases left out."""
    for weight in model.graph.weights:
        if weight.name == "weights":
            yield weight.array().astype(np.float64).reshape(-1)


@pytest.mark.parametrize("scheme", [Linear(1), Linear(4), LookupTable(2), LookupTable(7)], ids=lambda one: one.label)
def test_the_whole_model_is_all_weights_in_bins_that_they_share(scheme: Scheme) -> None:
    model = deep_painter()
    whole = ModelHistogram(model)
    assert sorted(set(whole.steps())) == [0, 1, 2, 3]
    before = np.concatenate(list(arrays(model)))
    after = np.concatenate(list(arrays(mle.quantize(model, scheme))))
    edges = before.min(), before.max()
    assert (whole.axis.low, whole.axis.high) == edges
    np.testing.assert_array_equal(whole.counts, np.histogram(before, BINS, edges)[0])
    made = whole.of_scheme(scheme)
    np.testing.assert_array_equal(made.histogram, np.histogram(np.clip(after, *edges), BINS, edges)[0])
    np.testing.assert_allclose(made.errors, squares_by_bin(before, after, edges, BINS), rtol=1e-12)
    assert whole.sqnr(made) == pytest.approx(10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2)))


def mixed(model: mle.Model) -> Plan:
    """A table, a scheme that is in no sweep, and a layer that stays as it is."""
    return Plan({"sketch:weights": LookupTable(3), "paint:weights": Linear(4, symmetric=True)})


def test_a_mixed_plan_is_shown_by_each_weights_own_scheme() -> None:
    model = deep_painter()
    page = Page(histogram := Histogram(model))
    histogram.show_plan(mixed(model))
    (plan, (levels, counts, values, errors)) = page.received[-1]
    assert plan["weights"] == {"sketch:weights": ["lookup_table", 3], "paint:weights": ["linear", 4]}
    (entry,) = plan["made"]
    small = mixed(model).apply(model).graph.node("paint").weight("weights")
    before = model.graph.node("paint").weight("weights").array().astype(np.float64)
    error = np.sum((before - small.array()) ** 2)
    assert entry["key"] == "paint:weights"
    assert entry["sqnr"] == pytest.approx(10 * np.log10(np.sum(before**2) / error))
    assert np.frombuffer(errors, "<f4").sum() == pytest.approx(error, rel=1e-5)
    assert np.frombuffer(counts, "<u4").sum() == np.frombuffer(values, "<u4").sum() == before.size
    first, last = np.frombuffer(levels, "<f4").reshape(2, 6)
    np.testing.assert_allclose(first, small.array().min(axis=(1, 2, 3)), atol=2 * np.max(last - first) / 15)
    histogram.show_plan(Plan({"sketch:weights": Float16()}))
    assert page.received[-1][0]["weights"] == {}, "16-bit floats have no levels to draw"


@pytest.mark.parametrize("plan_first", [True, False])
def test_the_whole_model_follows_a_mixed_plan(plan_first: bool) -> None:
    model = deep_painter()
    page = Page(histogram := Histogram(model))
    steps = [lambda: histogram.show_plan(mixed(model)), histogram.prepare_whole]
    for step in steps if plan_first else steps[::-1]:
        step()
    content, (values, errors) = page.received[-1]
    assert (content["type"], content["scheme"]) == ("whole_row", "mixed")
    before = np.concatenate(list(arrays(model)))
    after = np.concatenate(list(arrays(mixed(model).apply(model))))
    edges = before.min(), before.max()
    np.testing.assert_array_equal(np.frombuffer(values, "<u4"), np.histogram(np.clip(after, *edges), BINS, edges)[0])
    np.testing.assert_allclose(
        np.frombuffer(errors, "<f4"), squares_by_bin(before, after, edges, BINS), rtol=1e-6, atol=1e-12
    )
    assert content["sqnr"] == pytest.approx(10 * np.log10(np.sum(before**2) / np.sum((before - after) ** 2)))


def test_the_whole_model_is_counted_once_and_goes_on_where_it_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = deep_painter()
    page = Page(histogram := Histogram(model))
    stop = threading.Event()
    publish = histogram.publish

    def stop_after_one(key: Any, content: Any, buffers: Any = ()) -> None:
        publish(key, content, buffers)
        if content.get("done") == 1:
            stop.set()

    monkeypatch.setattr(histogram, "publish", stop_after_one)
    histogram.prepare_whole(stop)
    assert page.received[-1][0] == {"type": "progress", "done": 1, "weights": 3}
    page.received.clear()
    histogram.prepare_whole()
    assert page.received[0][0] == {"type": "progress", "done": 1, "weights": 3}, "the first one is not counted again"
    assert page.received[-1][0]["type"] == "whole"
    assert page.received[-1][0]["count"] == sum(array.size for array in arrays(model))
    page.received.clear()
    monkeypatch.setattr(ModelHistogram, "steps", lambda _: pytest.fail("counted again"))
    histogram.prepare_whole()
    assert page.received == []


def test_the_page_asks_for_the_whole_model_and_is_not_kept_waiting() -> None:
    page = Page(histogram := Histogram(deep_painter()))
    page.say(type="whole")
    assert histogram._background.wait(20)
    assert page.received[-1][0]["type"] == "whole"
    histogram.close()
    page.say(type="whole")
    assert histogram._background.wait(0), "a closed view computes nothing"


def test_models_without_weights_to_quantize_say_so() -> None:
    model = mle.load(_tree())
    page = Page(histogram := Histogram(model))
    histogram.prepare_whole()
    assert "no neural network" in page.received[-1][0]["error"]


def _tree() -> bytes:
    from mlexplorer import spec

    model = spec.Model(specificationVersion=1)
    model.description.input.add(name="x").type.doubleType.SetInParent()
    model.description.output.add(name="y").type.doubleType.SetInParent()
    model.description.predictedFeatureName = "y"
    model.glmRegressor.weights.add(value=[2.0])
    model.glmRegressor.offset.append(1.0)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("kind", [LookupTable, Linear])
def test_what_error_feedback_makes_is_that_of_the_copy_and_comes_once(kind: type[LookupTable] | type[Linear]) -> None:
    model = deep_painter()
    small = mle.quantize(model, kind(bits=3), calibration="noise", progress=False)
    page = Page(histogram := Histogram(model))
    histogram.add_calibrated(small, "lookup_table_feedback", 3)
    histogram.add_calibrated(small, "lookup_table_feedback", 3)
    (content, (levels, counts, values, errors)), (whole, (_, whole_errors)) = page.received
    assert [weight["key"] for weight in content["weights"]] == ["sketch:weights", "paint:weights", "varnish:weights"]
    level, bin_, sse = 0, 0, 0.0
    numbers = np.frombuffer(counts, "<u4").reshape(3, 8)
    for entry, weight, code_counts in zip(content["weights"], small.graph.weights, numbers, strict=True):
        own = np.frombuffer(levels, "<f4")[level : level + entry["levels"]]
        after, before = weight.array(), _original(model, weight).array().astype(float)
        if entry["table"]:
            used, times = np.unique(after, return_counts=True)
            np.testing.assert_array_equal(own[code_counts > 0], used)
            np.testing.assert_array_equal(code_counts[code_counts > 0], times)
        else:
            encoded = weight.encoded()
            np.testing.assert_allclose(own, [*encoded.bias, *(encoded.bias + 7 * encoded.scale)], rtol=1e-6)
            np.testing.assert_array_equal(code_counts, np.bincount(encoded.codes, minlength=8))
        edges = before.min(), before.max()
        part = slice(bin_, bin_ + entry["bins"])
        expected = squares_by_bin(before, after.astype(float), edges, entry["bins"])
        np.testing.assert_allclose(np.frombuffer(errors, "<f4")[part], expected, rtol=1e-6, atol=1e-12)
        assert np.frombuffer(values, "<u4")[part].sum() == before.size
        assert entry["sqnr"] == pytest.approx(10 * np.log10(np.sum(before**2) / expected.sum()))
        level, bin_, sse = level + entry["levels"], part.stop, sse + expected.sum()
    assert (whole["scheme"], whole["bits"]) == ("lookup_table_feedback", 3)
    assert np.frombuffer(whole_errors, "<f4").sum() == pytest.approx(sse, rel=1e-5)


def _original(model: mle.Model, weight: Weight) -> Weight:
    return model.graph.node(weight.node).weight(weight.name)
