"""A model's features, copies and representation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlexplorer import spec
from mlexplorer.formats import load
from mlexplorer.model import Feature, Model, SizeRange
from tests.formats.models import network


def test_features_of_every_type() -> None:
    model = spec.Model()
    features = model.description.input
    image = features.add(name="picture", shortDescription="to paint").type.imageType
    image.width, image.height, image.colorSpace = 320, 240, 30
    image.imageSizeRange.widthRange.lowerBound, image.imageSizeRange.widthRange.upperBound = 64, 512
    image.imageSizeRange.heightRange.lowerBound, image.imageSizeRange.heightRange.upperBound = 48, -1
    icon = features.add(name="icon").type.imageType
    icon.width, icon.height, icon.colorSpace = 16, 24, 10
    icon.enumeratedSizes.sizes.add(width=16, height=24)
    icon.enumeratedSizes.sizes.add(width=32, height=48)
    array = features.add(name="array").type
    array.isOptional = True
    array.multiArrayType.shape.extend([3, 4])
    array.multiArrayType.dataType = 65600
    array.multiArrayType.doubleDefaultValue = 2.5
    for lower, upper in ((1, 3), (2, -1)):
        array.multiArrayType.shapeRange.sizeRanges.add(lowerBound=lower, upperBound=upper)
    shapes = features.add(name="shapes").type.multiArrayType
    shapes.dataType = 131104
    for shape in ((2, 3), (2, 3, 4)):
        shapes.enumeratedShapes.shapes.add(shape=shape)
    features.add(name="state").type.stateType.arrayType.shape.extend([5, 6])
    for name in ("doubleType", "int64Type", "stringType"):
        getattr(features.add(name=name).type, name).SetInParent()
    features.add(name="scores").type.dictionaryType.stringKeyType.SetInParent()
    features.add(name="ids").type.sequenceType.int64Type.SetInParent()
    features.add(name="newer")

    got = {feature.name: feature for feature in Model(model).inputs}
    assert got["picture"] == Feature(
        "picture", "image", (320, 240), None, "BGR", (SizeRange(64, 512), SizeRange(48, None)), description="to paint"
    )
    assert got["icon"] == Feature("icon", "image", (16, 24), None, "GRAYSCALE", ((16, 24), (32, 48)))
    ranges = (SizeRange(1, 3), SizeRange(2, None))
    assert got["array"] == Feature("array", "multiArray", (3, 4), "DOUBLE", None, ranges, True, 2.5)
    assert got["shapes"] == Feature("shapes", "multiArray", (), "INT32", None, ((2, 3), (2, 3, 4)))
    assert got["state"] == Feature("state", "state", (5, 6))
    assert [got[name].type for name in ("doubleType", "int64Type", "stringType")] == ["double", "int64", "string"]
    assert (got["scores"].type, got["scores"].dtype) == ("dictionary", "string")
    assert (got["ids"].type, got["ids"].dtype) == ("sequence", "int64")
    assert got["newer"].type == "unknown"

    assert got["picture"].size_text == "64..512 x 48.."
    assert got["icon"].size_text == "16 x 24 or 32 x 48"
    accepted = [(64, 48), (512, 10**6), (320, 240)]
    assert [got["picture"].accepts_size(*size) for size in [*accepted, (63, 48), (513, 48), (64, 47)]] == [True] * 3 + [
        False
    ] * 3
    assert [got["icon"].accepts_size(*size) for size in ((32, 48), (16, 24), (48, 32))] == [True, True, False]
    assert [got["array"].accepts(shape) for shape in ((3, 99), (4, 99), (3, 2, 1))] == [True, False, False]
    assert [got["state"].accepts(shape) for shape in ((5, 6), (6, 5))] == [True, False]


def test_the_default_function_states_the_features() -> None:
    model = spec.Model()
    model.mlProgram.SetInParent()
    model.description.defaultFunctionName = "second"
    for name in ("first", "second"):
        function = model.description.functions.add(name=name)
        function.input.add(name=f"{name} in")
        function.output.add(name=f"{name} out")
    assert [feature.name for feature in Model(model).inputs + Model(model).outputs] == ["second in", "second out"]


def test_a_copy_is_independent_and_shares_weight_files(corpus: Path) -> None:
    model = load(next(corpus.glob("mlpackage/*/MNIST@c4226d7.mlpackage")))
    copy = model.copy()
    copy.spec.description.metadata.author = "somebody else"
    del copy.spec.mlProgram.functions["main"]
    assert model.spec.description.metadata.author != "somebody else"
    assert copy.graph.nodes == ()
    assert len(model.graph.weights) == 6
    assert copy.blobs is model.blobs

    small = load(network())
    changed = small.copy()
    changed.spec.neuralNetwork.layers[0].innerProduct.weights.floatValue[1] = 100
    assert small.graph.weights[0].array().max() == 14
    assert changed.graph.weights[0].array().max() == 100


def test_the_representation_says_what_the_model_is_made_of() -> None:
    message = network(name="<script>alert(1)</script>")
    message.description.metadata.shortDescription = "Adds & multiplies"
    custom = message.neuralNetwork.layers.add(name="mine").custom
    custom.className = "MyLayer"
    for i in range(60):
        message.neuralNetwork.layers.add(name=f"relu{i}").activation.ReLU.SetInParent()
    bundle = load(message)._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}
    for text in bundle.values():
        for words in ("neuralNetwork", "x: multiArray 3 FLOAT32", "y: multiArray 5", "15 in 1 tensors", "MyLayer"):
            assert words in text
        assert "weights [5, 3] float32" in text
        assert "and 22 more" in text
    assert "<script>" not in bundle["text/html"]
    assert "&lt;script&gt;" in bundle["text/html"]
    assert "Adds &amp; multiplies" in bundle["text/html"]
    assert "<b>mine</b>" in bundle["text/html"]
    assert repr(load(network())) == f"<Model without a file: neuralNetwork, {network().ByteSize()} bytes>"


@pytest.mark.parametrize("size", [1, 999, 1000, 6_713_654, 5 * 10**9])
def test_sizes_in_words(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = {1: "1 bytes", 999: "999 bytes", 1000: "1.0 kB", 6_713_654: "6.7 MB", 5 * 10**9: "5.0 GB"}
    monkeypatch.setattr(Model, "size", size)
    assert words[size] in repr(Model(spec.Model()))


def test_the_corpus_represents_itself(corpus: Path) -> None:
    model = load(next(corpus.glob("mlmodel/*/NeuralMcNeuralNet@fdd2e6b.mlmodel")))
    assert [feature.name for feature in model.inputs] == ["image"]
    text = model._repr_mimebundle_()["text/plain"]
    assert "Swish" in text
    assert np.prod(model.graph.weights[0].shape) > 0
