"""The Core ML form of the style network: the same values as PyTorch, at any size; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.errors import ModelError
from mlexplorer.samples.style_network import export, weights_of


@pytest.fixture(scope="module")
def network() -> Any:
    """A narrow network of PyTorch with random weights, normalization's included."""
    torch = pytest.importorskip("torch")
    from mlexplorer.samples.train_style import StyleNetwork

    torch.manual_seed(3)
    network = StyleNetwork(channels=(6, 10, 14), blocks=2)
    for name, parameter in network.named_parameters():
        if ".norm." in name:
            torch.nn.init.normal_(parameter, 0.7, 0.3)
    return network


@pytest.mark.parametrize("size", [(96, 64), (101, 70), (67, 99)])
def test_the_exported_network_gives_what_pytorch_gives_at_any_size(network: Any, size: tuple[int, int]) -> None:
    import torch

    width, height = size
    picture = np.random.default_rng(5).integers(0, 256, (height, width, 3), np.uint8)
    with torch.no_grad():
        image = torch.from_numpy(picture.astype(np.float32) / 255).permute(2, 0, 1)[None]
        expected = (network(image)[0] * 255).numpy()
    model = mle.load(export(network.weights()))
    (blob,) = mle.predict(model, {"image": picture}, outputs=["stylized"]).values()
    np.testing.assert_allclose(blob.reshape(3, height, width), expected, atol=0.01)
    stylized = mle.predict(model, {"image": picture})["stylized"]
    assert stylized.size == size
    assert np.abs(np.asarray(stylized, float) - expected.transpose(1, 2, 0)).max() <= 0.51


def test_weights_of_gives_back_what_export_took(network: Any) -> None:
    weights = network.weights()
    again = weights_of(export(weights))
    assert list(again) == list(weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(again[name], array)


def test_a_missing_array_is_named(network: Any) -> None:
    weights = network.weights()
    del weights["residual2.conv1.norm.bias"]
    with pytest.raises(ModelError, match=r"residual2\.conv1\.norm\.bias"):
        export(weights)


def test_an_array_of_the_wrong_rank_is_named(network: Any) -> None:
    with pytest.raises(ModelError, match=r"conv2\.weight.*\(900,\).*4 axes"):
        export({**network.weights(), "conv2.weight": np.zeros(900, np.float32)})


def test_quantized_weights_are_refused(network: Any) -> None:
    small = mle.quantize(mle.load(export(network.weights())), mle.Linear(bits=4))
    with pytest.raises(ModelError, match=r"conv1.*0 32-bit floats"):
        weights_of(small.spec)
