from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.spec.weight_params import write_floats
from tests.checks import check_layer, fill, one_layer_model
from tests.layers.arrays import normal
from tests.layers.operators import operators
from tests.layers.test_convolution import SAME, TOP_LEFT, VALID, correlated, parameters


@pytest.mark.parametrize(
    ("shape", "outputs", "kernel", "padding", "pads"),
    [
        ((1, 2, 44, 40), 3, (9, 9), {}, [(0, 0), (0, 0)]),
        ((1, 2, 43, 38), 3, (9, 7), VALID, [(2, 1), (1, 0)]),
        ((2, 3, 33, 35), 1, (6, 5), SAME, [(2, 3), (2, 2)]),
        ((1, 5, 34, 37), 4, (5, 8), TOP_LEFT, [(2, 2), (4, 3)]),
        ((3, 2, 18, 36, 39), 2, (5, 5), {}, [(0, 0), (0, 0)]),
    ],
)
def test_few_output_channels_are_computed_in_blocks_of_pixels(
    shape: tuple[int, ...], outputs: int, kernel: tuple[int, int], padding: Any, pads: Any
) -> None:
    x, weights, bias = normal(*shape), normal(outputs, shape[-3], *kernel), normal(outputs)
    y = correlated(x.reshape(-1, *shape[-3:]), weights, pads, [1, 1], [1, 1], 1) + bias[:, None, None]
    fields = parameters(outputs, shape[-3], kernel, hasBias=True, **padding)
    arrays = {"weights": weights, "bias": bias}
    expected = y.reshape(*shape[:-3], *y.shape[1:])
    check_layer("convolution", fields, [x], expected, weights=arrays, tolerance=2e-5)
    assert "DepthToSpace" in operators(one_layer_model("convolution", fields, [shape], weights=arrays))


@pytest.mark.parametrize(
    ("shape", "outputs", "fields"),
    [
        ((1, 2, 44, 40), 5, {}),
        ((1, 2, 44, 35), 3, {}),
        ((1, 2, 80, 79), 3, {"stride": [1, 2]}),
        ((1, 2, 80, 79), 3, {"dilationFactor": [2, 1]}),
        ((1, 4, 44, 40), 2, {"nGroups": 2}),
        ((1, 2, 44, 40), 3, {"isDeconvolution": True}),
    ],
)
def test_other_convolutions_are_one_operator(shape: tuple[int, ...], outputs: int, fields: dict[str, Any]) -> None:
    weights = normal(outputs, 2, 5, 5)
    model = one_layer_model(
        "convolution", parameters(outputs, 2, (5, 5), **fields), [shape], weights={"weights": weights}
    )
    assert operators(model) == ["ConvTranspose" if "isDeconvolution" in fields else "Conv"]


def test_blocks_of_pixels_follow_the_weights_of_a_quantized_copy() -> None:
    weights = {"weights": normal(3, 4, 5, 6), "bias": normal(3)}
    model = one_layer_model("convolution", parameters(3, 4, (5, 6), hasBias=True), [(1, 4, 40, 39)], weights=weights)
    copy, x = mle.quantize(model, mle.Linear(2)), {"x0": normal(1, 4, 40, 39)}
    predictor = Predictor(model)
    before = predictor.predict(x)["y0"]
    own = {weight.name: weight.array() for weight in copy.graph.weights}
    after = correlated(x["x0"], own["weights"], [(0, 0), (0, 0)], [1, 1], [1, 1], 1) + own["bias"][:, None, None]
    np.testing.assert_allclose(predictor.rebind(copy).predict(x)["y0"], after, rtol=2e-5, atol=2e-5)
    assert np.abs(after - before).max() > 0.1


def upsampled_model(
    shape: tuple[int, ...], scale: tuple[int, int], padding: Any, fields: dict[str, Any], weights: dict[str, Any]
) -> mle.Model:
    """An upsampling by nearest pixels, a padding and a convolution, from "x" over "u" and "p" to "y"."""
    model = spec.Model(specificationVersion=4)
    network = model.neuralNetwork
    network.arrayInputShapeMapping = 1
    feature = model.description.input.add(name="x").type.multiArrayType
    feature.dataType = 65568
    feature.shape.extend(shape)
    model.description.output.add(name="y").type.multiArrayType.dataType = 65568
    network.layers.add(name="upsample", input=["x"], output=["u"]).upsample.scalingFactor.extend(scale)
    if padding:
        fill(network.layers.add(name="pad", input=["u"], output=["p"]).padding, padding)
    layer = network.layers.add(name="layer", input=["p" if padding else "u"], output=["y"])
    fill(layer.convolution, fields)
    for name, array in weights.items():
        write_floats(getattr(layer.convolution, name), array.reshape(-1))
    return mle.load(model)


def edges(pads: tuple[int, int, int, int]) -> dict[str, Any]:
    """A BorderAmounts message."""
    top, bottom, left, right = pads
    rows, columns = ({"startEdgeSize": start, "endEdgeSize": end} for start, end in ((top, bottom), (left, right)))
    return {"paddingAmounts": {"borderAmounts": [rows, columns]}}


NONE = (0, 0, 0, 0)
IN_BLOCKS, PADDED = "Conv DepthToSpace Slice", "Pad Conv DepthToSpace Slice"


@pytest.mark.parametrize(
    ("shape", "scale", "kernel", "mode", "pads", "zeros", "expected"),
    [
        ((1, 4, 6, 7), (2, 2), (3, 3), "reflection", (1, 1, 1, 1), NONE, PADDED),
        ((2, 3, 5, 7), (2, 2), (3, 5), "", NONE, (1, 2, 0, 1), IN_BLOCKS),
        ((1, 3, 5, 7), (2, 2), (5, 5), "", NONE, (2, 2, 2, 2), "Conv DepthToSpace"),
        ((1, 3, 6, 5), (3, 3), (9, 10), "replication", (4, 5, 7, 0), NONE, PADDED),
        ((3, 2, 5, 4), (2, 2), (7, 3), "constant", (3, 0, 1, 2), (0, 2, 2, 0), IN_BLOCKS),
        ((1, 2, 6, 7), (2, 2), (3, 3), "reflection", (2, 1, 1, 1), NONE, "Resize Pad Conv"),
        ((1, 2, 6, 7), (2, 2), (3, 3), "reflection", (1, 1, 1, 1), (0, 1, 0, 0), "Resize Pad Conv"),
        ((1, 2, 6, 7), (2, 3), (3, 3), "", NONE, NONE, "Resize Conv"),
        ((1, 2, 6, 7), (2, 2), (3, 2), "", NONE, NONE, "Resize Conv"),
        ((1, 2, 6, 7), (4, 4), (3, 3), "", NONE, NONE, "Resize Conv"),
    ],
)
def test_convolution_of_an_upsampled_image(
    shape: tuple[int, ...],
    scale: tuple[int, int],
    kernel: tuple[int, int],
    mode: str,
    pads: tuple[int, int, int, int],
    zeros: tuple[int, int, int, int],
    expected: str,
) -> None:
    """In blocks where that takes at most half the multiplications and twice the weights."""
    x, weights, bias = normal(*shape), normal(5, shape[1], *kernel), normal(5)
    fields = parameters(5, shape[1], kernel, hasBias=True, valid=edges(zeros))
    padding = {mode: {}, **edges(pads)} if mode else None
    model = upsampled_model(shape, scale, padding, fields, {"weights": weights, "bias": bias})
    numpy_mode: Any = {"reflection": "reflect", "replication": "edge"}.get(mode, "constant")
    y = np.pad(x.repeat(scale[0], 2).repeat(scale[1], 3), [(0, 0), (0, 0), pads[:2], pads[2:]], numpy_mode)
    y = correlated(y, weights, [zeros[:2], zeros[2:]], [1, 1], [1, 1], 1) + bias[:, None, None]
    given = mle.predict(model, {"x": x}, outputs=["y"])["y"]
    assert given.shape == y.shape
    np.testing.assert_allclose(given, y, rtol=2e-5, atol=2e-5)
    assert " ".join(operators(model)) == expected


def test_a_padding_with_another_value_than_zero_is_kept() -> None:
    x, weights = normal(1, 2, 6, 7), normal(5, 2, 3, 3)
    padding = {"constant": {"value": 0.5}, **edges((1, 1, 1, 1))}
    model = upsampled_model(x.shape, (2, 2), padding, parameters(5, 2, (3, 3)), {"weights": weights})
    y = np.pad(x.repeat(2, 2).repeat(2, 3), [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=0.5)
    y = correlated(y, weights, [(0, 0), (0, 0)], [1, 1], [1, 1], 1)
    np.testing.assert_allclose(mle.predict(model, {"x": x}, outputs=["y"])["y"], y, rtol=2e-5, atol=2e-5)


def test_an_upsampled_image_that_is_an_output_too_is_kept() -> None:
    x, weights = normal(1, 2, 6, 7), normal(5, 2, 3, 3)
    model = upsampled_model(x.shape, (2, 2), None, parameters(5, 2, (3, 3)), {"weights": weights})
    given = mle.predict(model, {"x": x}, outputs=["u", "y"])
    upsampled = x.repeat(2, 2).repeat(2, 3)
    np.testing.assert_array_equal(given["u"], upsampled)
    y = correlated(upsampled, weights, [(0, 0), (0, 0)], [1, 1], [1, 1], 1)
    np.testing.assert_allclose(given["y"], y, rtol=2e-5, atol=2e-5)
