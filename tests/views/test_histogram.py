from __future__ import annotations

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.spec.weight_params import write_floats
from mlexplorer.views.histogram import BINS, Histogram, histogram_data, weight_histogram
from tests.painter import deep_painter, painter
from tests.views.page import Page


@pytest.fixture
def weight() -> mle.Weight:
    return painter(classes=5).graph.node("brush").weight("weights")


def test_counts_are_those_of_numpy(weight: mle.Weight) -> None:
    found = weight_histogram(weight)
    values = weight.array().astype(np.float64)
    expected, _ = np.histogram(values, BINS, (found.low, found.high))
    np.testing.assert_array_equal(found.counts, expected)
    assert (found.low, found.high) == (values.min(), values.max())


def test_every_depth_counts_every_weight_at_its_level(weight: mle.Weight) -> None:
    found = weight_histogram(weight)
    assert found.linear_counts.sum(axis=1).tolist() == [weight.count] * 8
    for bits in range(1, 9):
        start, stop = 2**bits - 2, 2 ** (bits + 1) - 2
        small = mle.quantize(painter(classes=5), mle.LookupTable(bits=bits)).graph.node("brush").weight("weights")
        levels, counts = np.unique(small.array(), return_counts=True)
        used = found.table_counts[start:stop] > 0
        np.testing.assert_array_equal(found.tables[start:stop][used], levels)
        np.testing.assert_array_equal(found.table_counts[start:stop][used], counts)


def test_linear_levels_run_from_each_channels_minimum_to_its_maximum(weight: mle.Weight) -> None:
    found = weight_histogram(weight)
    channels = weight.array().reshape(5, -1)
    np.testing.assert_array_equal(found.lows, channels.min(axis=1))
    np.testing.assert_allclose(found.highs, channels.max(axis=1), rtol=1e-6)


def test_the_error_is_the_signal_to_noise_ratio_of_the_weights(weight: mle.Weight) -> None:
    found = weight_histogram(weight)
    values = weight.array().astype(float)
    for side, scheme in enumerate((mle.Linear, mle.LookupTable)):
        small = mle.quantize(painter(classes=5), scheme(bits=3)).graph.node("brush").weight("weights").array()
        expected = 10 * np.log10(np.sum(values**2) / np.sum((values - small) ** 2))
        assert found.sqnr[side, 2] == pytest.approx(expected)


@pytest.mark.parametrize(
    "values", [np.zeros(9), np.full(9, 1e-42), np.linspace(-1e-42, 1e-42, 9), [3e38] * 8 + [-3e38]]
)
def test_constant_and_extreme_weights_are_counted(values: np.ndarray) -> None:
    model = painter()
    params = model.graph.node("brush").params
    write_floats(params.weights, np.resize(np.asarray(values, np.float32), 81))
    weight = mle.load(model.spec).graph.node("brush").weight("weights")
    content, _ = histogram_data(weight)
    if "error" not in content:
        assert weight_histogram(weight).counts.sum() == 81


def test_weights_that_are_not_numbers_say_so() -> None:
    model = painter()
    params = model.graph.node("brush").params
    write_floats(params.weights, np.full(81, np.nan, np.float32))
    content, buffers = histogram_data(mle.load(model.spec).graph.node("brush").weight("weights"))
    assert "NaN" in content["error"]
    assert buffers == []


def test_a_layers_data_are_sent_once_when_it_is_asked_for() -> None:
    page = Page(Histogram(painter()))
    page.say(type="ready")
    layer, weights, bias = page.say(type="layer", layer="brush")
    assert [entry["name"] for entry in layer["weights"]] == ["weights", "bias"], "the largest one first"
    assert (weights["shape"], bias["shape"]) == ([3, 3, 3, 3], [3])
    assert page.say(type="layer", layer="brush") == []
    counts = np.frombuffer(page.say(type="ready") and page.received[1][1][0], "<u4")
    assert counts.sum() == 81


def test_a_layer_without_weights_is_sent_as_such() -> None:
    page = Page(Histogram(painter(classes=4)))
    page.say(type="ready")
    (layer,) = page.say(type="layer", layer="probabilities")
    assert layer["weights"] == []
    assert layer["layer_type"] == "softmax"


def test_calibrated_tables_are_those_of_the_copy_and_come_once() -> None:
    model = deep_painter()
    small = mle.quantize(model, mle.LookupTable(bits=3), calibration="noise", progress=False)
    histogram = Histogram(model)
    page = Page(histogram)
    histogram.add_calibrated(small, 3)
    histogram.add_calibrated(small, 3)
    ((content, (tables, counts)),) = page.received
    assert [weight["key"] for weight in content["weights"]] == ["sketch:weights", "paint:weights", "varnish:weights"]
    levels = np.frombuffer(tables, "<f4").reshape(3, 8)
    numbers = np.frombuffer(counts, "<u4").reshape(3, 8)
    for index, weight in enumerate(small.graph.weights):
        values, expected = np.unique(weight.array(), return_counts=True)
        np.testing.assert_array_equal(levels[index][numbers[index] > 0], values)
        np.testing.assert_array_equal(numbers[index][numbers[index] > 0], expected)
        original = model.graph.node(weight.node).weight("weights").array().astype(float)
        error = 10 * np.log10(np.sum(original**2) / np.sum((original - weight.array()) ** 2))
        assert content["weights"][index]["sqnr"] == pytest.approx(error)
