"""A network with other weights in one layer, against whole runs of models that have these weights in their files."""

from __future__ import annotations

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.runtime import variations
from mlexplorer.runtime.variations import Variations
from tests.painter import deep_classifier, photo

SIZE = (48, 32)


def skipping() -> mle.Model:
    """Three convolutions of arrays; what the first one gives is read again behind the third one, and is an output."""
    network = mle.NetworkBuilder()
    rng = np.random.default_rng(4)
    x = first = network.array_input("x", [2, 9, 7])
    for name in ("early", "middle", "late"):
        channels = {"early": 2}.get(name, 5)
        weights = rng.normal(size=(5, channels, 3, 3)).astype(np.float32)
        sizes = {"outputChannels": 5, "kernelChannels": channels, "kernelSize": [3, 3]}
        x = network.add("convolution", x, name=name, weights=weights, same={}, **sizes)
        first = x if name == "early" else first
    network.output(network.add("add", first, x), "y")
    network.output(first, "early_output")
    return network.model()


@pytest.mark.parametrize("kept", [0, 1 << 20])
@pytest.mark.parametrize("cuts", [1, 2, 100])
@pytest.mark.parametrize("layers", [["early", "middle", "late"], ["late", "early", "middle"], ["middle"]])
def test_outputs_are_those_of_models_with_these_weights(
    layers: list[str], cuts: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variations, "MOST_KEPT", kept)
    monkeypatch.setattr(variations, "MOST_CUTS", cuts)
    model = skipping()
    inputs = [{"x": np.random.default_rng(seed).normal(size=(2, 9, 7)).astype(np.float32)} for seed in range(3)]
    names = [feature.name for feature in model.outputs]
    varied = Variations(model, inputs, names, sorted(layers))
    for layer in layers:
        small = mle.quantize(model, mle.LookupTable(2), select=lambda weight, layer=layer: weight.node == layer)
        node = model.graph.node(layer)
        weights = {weight.key: small.graph.node(layer).weight(weight.name).array() for weight in node.weights}
        assert Variations.covers(model, node)
        for given, found, before in zip(inputs, varied.outputs(node, weights), varied.original, strict=True):
            for whole, values in ((small, found), (model, before)):
                wanted = mle.predict(whole, given, outputs=names)
                for name in names:
                    np.testing.assert_allclose(values[name], wanted[name], rtol=1e-4, atol=1e-4)


def test_of_classifiers_labels_and_probabilities_come_out() -> None:
    model = deep_classifier()
    layer = model.graph.node(model.graph.weights[0].node)
    picture = {"photo": photo(*SIZE)}
    zeros = {weight.key: np.zeros(weight.shape, np.float32) for weight in layer.weights}
    names = [feature.name for feature in model.outputs]
    varied = Variations(model, [picture], names, [layer.id])
    (found,) = varied.outputs(layer, zeros)
    (before,) = varied.original
    wanted = mle.predict(model, picture, outputs=names)
    assert before["label"] == wanted["label"]
    np.testing.assert_allclose(before["chances"], wanted["chances"], rtol=1e-4)
    assert not np.allclose(found["chances"], wanted["chances"], rtol=1e-2)
