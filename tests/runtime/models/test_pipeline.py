"""Pipelines: values by name from stage to stage, names that recur, errors that say where, quantized copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import CustomLayerError, InputError, ModelError, UnsupportedError
from mlexplorer.spec.weight_params import write_floats
from tests.runtime.networks import add, network

RNG = np.random.default_rng(5)
WEIGHTS = RNG.normal(size=(2, 3)).astype(np.float32)


def dense_stage(source: str, target: str) -> Any:
    """A network: [3] -> [2]."""
    model, net = network({source: (3,)}, [target])
    params = add(net, "innerProduct", source, "dense", inputChannels=3, outputChannels=2)
    write_floats(params.weights, WEIGHTS.reshape(-1))
    add(net, "activation", "dense", target, linear={"alpha": 10.0})
    return model


def labels_stage(source: str) -> Any:
    """A classifier network: [2] -> "label" and "chances"."""
    model, net = network({source: (2,)}, [])
    layers = net.layers
    classifier = model.neuralNetworkClassifier  # replaces the plain network
    classifier.arrayInputShapeMapping = 1
    assert not layers
    classifier.stringClassLabels.vector.extend(["left", "right"])
    add(classifier, "softmaxND", source, "p", axis=-1)
    label(model)
    return model


def label(model: Any) -> None:
    model.description.predictedFeatureName, model.description.predictedProbabilitiesName = "label", "chances"
    model.description.output.add(name="label").type.stringType.SetInParent()
    model.description.output.add(name="chances").type.dictionaryType.stringKeyType.SetInParent()


def pipeline(*stages: Any, kind: str = "pipeline", names: bool = True) -> Any:
    model = spec.Model(specificationVersion=4)
    message = getattr(model, kind)
    message = message if kind == "pipeline" else message.pipeline
    for index, stage in enumerate(stages):
        message.models.add().CopyFrom(stage)
        if names:
            message.names.append(f"stage {index}")
    model.description.input.extend(stages[0].description.input)
    model.description.output.extend(stages[-1].description.output)
    return model


def softmax(values: Any) -> Any:
    powers = np.exp(values - np.max(values))
    return powers / powers.sum()


@pytest.mark.parametrize("kind", ["pipeline", "pipelineClassifier"])
@pytest.mark.parametrize("middle", ["y", "x"])
def test_stages_hand_on_values_by_name_also_where_a_name_recurs(kind: str, middle: str) -> None:
    model = mle.load(pipeline(dense_stage("x", middle), labels_stage(middle), kind=kind))
    x = RNG.normal(size=3).astype(np.float32)
    expected = softmax(10 * WEIGHTS @ x)
    result = mle.predict(model, {"x": x})
    assert list(result) == ["label", "chances"]
    assert result["label"] == ["left", "right"][int(np.argmax(expected))]
    np.testing.assert_allclose(list(result["chances"].values()), expected, rtol=1e-4)


def test_intermediate_values_between_and_within_stages() -> None:
    inner = pipeline(dense_stage("x", "y"), labels_stage("y"))
    model = mle.load(pipeline(inner, names=False))
    x = RNG.normal(size=3).astype(np.float32)
    names = ["label", "pipeline[0]/y", "pipeline[0]/pipeline[0]/dense", "pipeline[0]/pipeline[1]/p", "x"]
    result = mle.predict(model, {"x": x}, outputs=names)
    assert list(result) == names
    np.testing.assert_allclose(result["pipeline[0]/pipeline[0]/dense"], WEIGHTS @ x, rtol=1e-4)
    np.testing.assert_allclose(result["pipeline[0]/y"], 10 * WEIGHTS @ x, rtol=1e-4)
    np.testing.assert_allclose(result["pipeline[0]/pipeline[1]/p"], softmax(10 * WEIGHTS @ x), rtol=1e-4)
    with pytest.raises(InputError, match=r"the pipeline has no value 'nothing'; it has 'x', 'label', 'chances'"):
        mle.predict(model, {"x": x}, outputs=["nothing"])


def test_a_quantized_copy_runs_in_the_place_of_the_original() -> None:
    model = mle.load(pipeline(dense_stage("x", "y"), labels_stage("y")))
    predictor = mle.Predictor(model)
    small = mle.quantize(model, mle.Linear(bits=2))
    x = RNG.normal(size=3).astype(np.float32)
    coarse = small.graph.weights[0].array()
    assert not np.allclose(coarse, WEIGHTS, atol=0.01)
    result = predictor.rebind(small).predict({"x": x}, outputs=["y"])["y"]
    np.testing.assert_allclose(result, 10 * coarse @ x, rtol=1e-4)
    np.testing.assert_allclose(predictor.predict({"x": x}, outputs=["y"])["y"], 10 * WEIGHTS @ x, rtol=1e-4)


def test_errors_say_which_stage_they_come_from() -> None:
    with pytest.raises(InputError, match=r"^the input 'x' is missing"):
        mle.predict(mle.load(pipeline(dense_stage("x", "y"))), {})
    with pytest.raises(
        InputError, match=r"^pipeline\[1\] 'stage 1' \(neuralNetworkClassifier\): the input 'z' is missing"
    ):
        mle.predict(mle.load(pipeline(dense_stage("x", "y"), labels_stage("z"))), {"x": np.zeros(3)})
    opaque = spec.Model(specificationVersion=4)
    opaque.textClassifier.revision = 1
    with pytest.raises(UnsupportedError, match=r"^pipeline\[1\] 'stage 1' \(textClassifier\): "):
        mle.Predictor(mle.load(pipeline(dense_stage("x", "y"), opaque)))
    custom = dense_stage("x", "y")
    add(custom.neuralNetwork, "custom", "y", "z", className="Unknown")
    with pytest.raises(CustomLayerError, match=r"^pipeline\[0\] 'stage 0' \(neuralNetwork\): custom layers without"):
        mle.Predictor(mle.load(pipeline(custom)))
    empty = spec.Model(specificationVersion=4)
    empty.pipeline.SetInParent()
    with pytest.raises(ModelError, match="the pipeline has no models"):
        mle.Predictor(mle.load(empty))


def test_a_changed_specification_is_read_anew() -> None:
    model = spec.Model(specificationVersion=4)
    model.scaler.scaleValue.append(2.0)
    for features in (model.description.input, model.description.output):
        array = features.add(name="x").type.multiArrayType
        array.dataType = 65600
        array.shape.append(3)
    loaded = mle.load(model)
    for scale in (2.0, 3.0, 2.0):
        loaded.spec.scaler.scaleValue[0] = scale
        np.testing.assert_array_equal(mle.predict(loaded, {"x": np.arange(3.0)})["x"], scale * np.arange(3.0))
