"""Matrices times vectors give what the layer gives: each layer type with products, in all its options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.calibration.products import products
from tests.checks import one_layer_model, run_layer

RNG = np.random.default_rng(23)
ALL = 1 << 20


def product_of(type: str, parameters: dict[str, Any], x: Any, weights: dict[str, Any], **options: Any) -> Any:
    """The product of the first weight, its matrices times all vectors: [groups, n, rows]; and the layer's output."""
    model = one_layer_model(type, parameters, [x.shape], weights=weights, **options)
    (node,) = model.graph.nodes
    product = next(products(node))
    matrices = product.matrices(product.weight.array())
    np.testing.assert_array_equal(product.restore(matrices), product.weight.array().reshape(-1))
    vectors, others = product.vectors([x], [2 * x], ALL)
    np.testing.assert_array_equal(2 * vectors, others)
    assert vectors.shape[0] == matrices.shape[0]
    some, _ = product.vectors([x], [x], 5)
    assert some.shape[1] <= 5
    assert all(any(np.array_equal(row, other) for other in vectors[0]) for row in some[0])
    (output,) = run_layer(type, parameters, [x], weights=weights, **options)
    return vectors @ matrices.swapaxes(1, 2), output


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize(
    ("options", "kernel_channels"),
    [
        ({}, 6),
        ({"nGroups": 2}, 3),
        ({"nGroups": 6}, 1),
        ({"stride": [2, 3]}, 6),
        ({"dilationFactor": [2, 1], "nGroups": 3}, 2),
        ({"valid": {"paddingAmounts": {"borderAmounts": [{"startEdgeSize": 2}, {"endEdgeSize": 1}]}}}, 6),
        ({"same": {}, "stride": [2, 3]}, 6),
        ({"same": {"asymmetryMode": 1}, "stride": [2, 2], "nGroups": 2}, 3),
    ],
)
def test_convolution(options: dict[str, Any], kernel_channels: int, exact: bool) -> None:
    x = RNG.normal(size=(2, 6, 11, 13) if exact else (2, 3, 6, 11, 13)).astype(np.float32)
    outputs = 12
    weights = RNG.normal(size=(outputs, kernel_channels, 3, 2)).astype(np.float32)
    parameters = {
        "outputChannels": outputs,
        "kernelChannels": kernel_channels,
        "kernelSize": [3, 2],
        **({} if {"same", "valid"} & options.keys() else {"valid": {}}),
        **options,
    }
    given, output = product_of("convolution", parameters, x, {"weights": weights}, exact=exact)
    output = output.reshape(-1, *output.shape[-3:])
    expected = given.transpose(0, 2, 1).reshape(outputs, output.shape[0], *output.shape[2:]).swapaxes(0, 1)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("stride", "dilation"), [([1, 1], [1, 1]), ([2, 3], [1, 1]), ([2, 3], [3, 2])])
def test_deconvolution(groups: int, stride: list[int], dilation: list[int]) -> None:
    x = RNG.normal(size=(2, 6, 5, 7)).astype(np.float32)
    weights = RNG.normal(size=(6, 4, 3, 2)).astype(np.float32)
    parameters = {
        "outputChannels": 4 * groups,
        "kernelChannels": 6,
        "kernelSize": [3, 2],
        "nGroups": groups,
        "isDeconvolution": True,
        "stride": stride,
        "dilationFactor": dilation,
        "valid": {},
    }
    given, output = product_of("convolution", parameters, x, {"weights": weights})
    expected = given.transpose(0, 2, 1).reshape(4 * groups, 2, *output.shape[2:]).swapaxes(0, 1)
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(5, 24), (2, 3, 4, 3, 2)])
def test_inner_product(shape: tuple[int, ...]) -> None:
    x = RNG.normal(size=shape).astype(np.float32)
    weights = RNG.normal(size=(7, 24)).astype(np.float32)
    parameters = {"inputChannels": 24, "outputChannels": 7}
    given, output = product_of("innerProduct", parameters, x, {"weights": weights}, exact=len(shape) == 2)
    np.testing.assert_allclose(output.reshape(-1, 7), given[0], rtol=1e-4, atol=1e-4)


def test_batched_matmul() -> None:
    x = RNG.normal(size=(2, 3, 5)).astype(np.float32)
    weights = RNG.normal(size=(7, 5)).astype(np.float32)
    parameters = {"weightMatrixFirstDimension": 5, "weightMatrixSecondDimension": 7}
    given, output = product_of("batchedMatmul", parameters, x, {"weights": weights})
    np.testing.assert_allclose(output.reshape(-1, 7), given[0], rtol=1e-4, atol=1e-4)


def test_weights_that_come_as_an_input_and_layers_that_look_up_have_no_products() -> None:
    model = one_layer_model("convolution", {"outputChannels": 2, "kernelSize": [3, 2]}, [(1, 3, 5, 7), (2, 3, 3, 2)])
    assert not list(products(model.graph.nodes[0]))
    table = {"weights": RNG.normal(size=(3, 7))}
    model = one_layer_model(
        "embedding", {"inputDim": 7, "outputChannels": 3}, [(1, 1, 1, 1, 1)], weights=table, exact=False
    )
    assert model.graph.weights
    assert not list(products(model.graph.nodes[0]))
