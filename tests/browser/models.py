"""A small picture network with a custom layer, and the cell that loads it."""

from __future__ import annotations

import numpy as np

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.spec.weight_params import write_floats
from tests.runtime.networks import add

SWISH_CELL = """\
import numpy as np
import mlexplorer as mle


@mle.custom_layer("Swish")
class Swish:
    def __init__(self, parameters):
        self.beta = parameters["beta"]

    def set_weights(self, weights):
        pass

    def output_shapes(self, input_shapes):
        return input_shapes

    def evaluate(self, inputs):
        return [inputs[0] / (1 + np.exp(-self.beta * inputs[0] / 64))]


model = mle.load("swish.mlmodel")"""


def swish_model() -> mle.Model:
    """Image [64x48] -> convolution -> Swish -> convolution -> image."""
    rng = np.random.default_rng(5)
    model = spec.Model(specificationVersion=2)
    for features, name in ((model.description.input, "image"), (model.description.output, "picture")):
        image = features.add(name=name).type.imageType
        image.width, image.height, image.colorSpace = 64, 48, 20
    network = model.neuralNetwork
    for name, blobs, channels in (("before", "image a", (6, 3)), ("after", "b picture", (3, 6))):
        if name == "after":
            custom = add(network, "custom", "a", "b", name="swish", className="Swish", description="x times sigmoid")
            custom.parameters["beta"].doubleValue = 1.25
        source, target = blobs.split()
        outputs, inputs = channels
        params = add(
            *(network, "convolution", source, target, name),
            outputChannels=outputs,
            kernelChannels=inputs,
            nGroups=1,
            kernelSize=[3, 3],
            same={},
        )
        write_floats(params.weights, rng.normal(0.1, 0.12, outputs * inputs * 9).astype(np.float32))
    return mle.load(model)
