"""A small network from pictures to pictures, and one from pictures to class labels, to sweep and to explore."""

from __future__ import annotations

from typing import Any

import numpy as np

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.spec.weight_params import write_floats

RGB = 20
KERNEL = 3


def painter(*, sizes: str = "range", classes: int = 0) -> mle.Model:
    """One 3x3 convolution of an RGB picture: to a blurred one, or to the means of `classes` channels as a classifier.

    `sizes` is "range" (16 to 640 pixels a side), "listed" (48x32, 30x20 and 20x30) or "fixed" (48x32).
    """
    model = spec.Model(specificationVersion=4)
    image = _image(model.description.input.add(name="photo"))
    if sizes == "range":
        for side in (image.imageSizeRange.widthRange, image.imageSizeRange.heightRange):
            side.lowerBound, side.upperBound = 16, 640
    elif sizes == "listed":
        for width, height in ((30, 20), (20, 30)):
            image.enumeratedSizes.sizes.add(width=width, height=height)
    network = model.neuralNetworkClassifier if classes else model.neuralNetwork
    layer = network.layers.add(name="brush", input=["photo"], output=["painted"])
    _convolution(layer.convolution, classes or 3)
    if not classes:
        _image(model.description.output.add(name="painted"))
        return mle.load(model)
    pool = network.layers.add(name="mean", input=["painted"], output=["means"])
    pool.pooling.type = 1
    pool.pooling.globalPooling = True
    network.layers.add(name="probabilities", input=["means"], output=["chances"]).softmax.SetInParent()
    network.stringClassLabels.vector.extend(f"class {index}" for index in range(classes))
    model.description.predictedFeatureName, model.description.predictedProbabilitiesName = "label", "chances"
    model.description.output.add(name="label").type.stringType.SetInParent()
    model.description.output.add(name="chances").type.dictionaryType.stringKeyType.SetInParent()
    return mle.load(model)


def deep_painter() -> mle.Model:
    """Three convolutions with rectifiers between them, 3 to 8 to 6 to 3 channels, from RGB pictures to RGB pictures."""
    model = spec.Model(specificationVersion=4)
    for feature in (model.description.input.add(name="photo"), model.description.output.add(name="painted")):
        image = _image(feature)
        for side in (image.imageSizeRange.widthRange, image.imageSizeRange.heightRange):
            side.lowerBound, side.upperBound = 16, 640
    rng = np.random.default_rng(8)
    network, blob, channels = model.neuralNetwork, "photo", 3
    for name, outputs in (("sketch", 8), ("paint", 6), ("varnish", 3)):
        layer = network.layers.add(name=name, input=[blob], output=["painted" if outputs == 3 else name])
        params = layer.convolution
        params.outputChannels, params.kernelChannels, params.same.asymmetryMode = outputs, channels, 0
        params.kernelSize.extend((KERNEL, KERNEL))
        weights = rng.standard_t(4, (outputs, channels, KERNEL, KERNEL)) * 0.15
        write_floats(params.weights, (weights + 0.3 / channels).astype(np.float32).reshape(-1))
        blob, channels = name, outputs
        if outputs != 3:
            network.layers.add(name=f"{name} dry", input=[name], output=[f"{name} dry"]).activation.ReLU.SetInParent()
            blob = f"{name} dry"
    return mle.load(model)


def deep_classifier(classes: int = 7) -> mle.Model:
    """Three convolutions, of 3 to 8 to 6 to `classes` channels, of 48x32 RGB pictures; their means are the scores."""
    labels = [f"class {index}" for index in range(classes)]
    network = mle.NetworkBuilder(class_labels=labels, predicted_feature_name="label")
    rng = np.random.default_rng(2)
    x, channels = network.image_input("photo", width=48, height=32, scale=1 / 127, bias=-1), 3
    for name, outputs in (("edges", 8), ("parts", 6), ("things", classes)):
        weights = rng.standard_t(4, (outputs, channels, KERNEL, KERNEL)).astype(np.float32) * 0.3
        sizes = {"outputChannels": outputs, "kernelChannels": channels, "kernelSize": [KERNEL, KERNEL]}
        x = network.add("convolution", x, name=name, weights=weights, valid={}, **sizes)
        x, channels = network.add("activation", x, ReLU={}) if outputs != classes else x, outputs
    means = network.add("pooling", x, type="AVERAGE", globalPooling=True, valid={})
    network.output(network.add("softmax", means), "chances")
    return network.model()


def photo(width: int = 60, height: int = 40, seed: int = 0) -> np.ndarray[Any, Any]:
    """Smooth colours, [height, width, 3] uint8."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 7 + seed), np.cos(y / 5), np.sin((x + y) / 9)]
    return (127 + 90 * np.stack(waves, -1)).astype(np.uint8)


def _image(feature: Any) -> Any:
    image = feature.type.imageType
    image.width, image.height, image.colorSpace = 48, 32, RGB
    return image


def _convolution(params: Any, channels: int) -> None:
    params.outputChannels, params.kernelChannels, params.nGroups = channels, 3, 1
    params.kernelSize.extend((KERNEL, KERNEL))
    params.same.SetInParent()
    weights = np.random.default_rng(7).normal(0, 0.04, (channels, 3, KERNEL, KERNEL))
    weights[np.arange(channels), np.arange(channels) % 3, 1, 1] += 0.6
    write_floats(params.weights, weights.astype(np.float32).reshape(-1))
    params.hasBias = True
    write_floats(params.bias, np.linspace(2, 20, channels, dtype=np.float32))
