"""Which models may share one lowered graph, and that a shared graph computes what each alone would."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.comparison.sameness import same_but_for_weights
from mlexplorer.quantization.plan import Plan
from mlexplorer.spec.weight_params import read_floats, write_floats
from tests.painter import painter, photo
from tests.runtime.models.specifications import specification


def in_pipeline(stage: mle.Model) -> mle.Model:
    model = spec.Model(specificationVersion=4)
    model.pipeline.models.add().CopyFrom(stage.spec)
    model.description.CopyFrom(stage.spec.description)
    return mle.load(model)


@pytest.mark.parametrize("scheme", [mle.Linear(bits=3), mle.LookupTable(bits=2), mle.Float16()], ids=repr)
@pytest.mark.parametrize("wrap", [lambda model: model, in_pipeline], ids=["network", "pipeline"])
def test_quantized_copies_share_the_graph_and_keep_their_outputs(scheme: Any, wrap: Callable[[Any], Any]) -> None:
    model = wrap(painter())
    other = Plan.uniform(model, scheme).apply(model)
    other.spec.description.metadata.author = "someone"
    assert same_but_for_weights(model, other)
    assert same_but_for_weights(other, model)
    rebound = mle.Predictor(model).rebind(other).predict({"photo": photo()})["painted"]
    np.testing.assert_array_equal(np.asarray(rebound), np.asarray(mle.predict(other, {"photo": photo()})["painted"]))


def padding(network: Any) -> None:
    network.layers[0].convolution.valid.SetInParent()


def bias(network: Any) -> None:
    network.layers[0].convolution.hasBias = False


def emptiness(network: Any) -> None:
    network.layers[0].convolution.bias.ClearField("floatValue")


def scaler(network: Any) -> None:
    network.preprocessing.add().scaler.channelScale = 0.5


def custom(network: Any) -> None:
    write_floats(network.layers[1].custom.weights[0], np.array([1.0, 2.5], np.float32))


@pytest.mark.parametrize("change", [padding, bias, emptiness, scaler, custom])
def test_whatever_else_differs_is_seen(change: Callable[[Any], None]) -> None:
    def model() -> mle.Model:
        made = painter().spec
        layer = made.neuralNetwork.layers.add(name="last", input=["painted"], output=["swirled"])
        layer.custom.className = "Swirl"
        write_floats(layer.custom.weights.add(), np.array([1.0, 2.0], np.float32))
        return mle.load(made)

    changed = model()
    assert same_but_for_weights(model(), changed)
    change(changed.spec.neuralNetwork)
    changed = mle.load(changed.spec)
    assert not same_but_for_weights(model(), changed)
    assert read_floats(changed.spec.neuralNetwork.layers[0].convolution.weights).size, "models stay as they are"


def test_class_labels_count_and_classic_models_share_nothing() -> None:
    renamed = painter(classes=7)
    renamed.spec.neuralNetworkClassifier.stringClassLabels.vector[3] = "cat"
    assert not same_but_for_weights(painter(classes=7), renamed)
    classic = mle.load(specification("glmRegressor", {"offset": [1.0]}, {"x": "double"}, {"y": "double"}))
    assert not same_but_for_weights(classic, classic)
