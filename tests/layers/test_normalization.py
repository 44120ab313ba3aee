from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mlexplorer.errors import ModelError
from tests.checks import Array, check_layer, run_layer
from tests.layers.arrays import normal, uniform


def standardized(x: Array, axes: tuple[int, ...], epsilon: float) -> Array:
    x = x.astype(np.float64)
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


@pytest.mark.parametrize(("shape", "exact"), [((3, 5, 4), True), ((3, 5, 4), False), ((2, 6, 3, 5, 4), True)])
@pytest.mark.parametrize("epsilon", [0.0, 0.25])
@pytest.mark.parametrize("statistics", ["stored", "instance", "batch"])
def test_batchnorm(shape: tuple[int, ...], exact: bool, epsilon: float, statistics: str) -> None:
    x, mean, variance = normal(*shape), normal(3, seed=1), uniform(3, low=0.0)
    gamma, beta = normal(3, seed=2)[:, None, None], normal(3, seed=3)[:, None, None]
    fields: dict[str, Any] = {"channels": 3, "epsilon": epsilon}
    weights = {"gamma": gamma, "beta": beta}
    if statistics == "stored":
        deviation = np.sqrt(variance.astype(np.float64) + (epsilon or 1e-5))
        y = (x - mean[:, None, None]) / deviation[:, None, None]
        weights |= {"mean": mean, "variance": variance}
    else:
        fields |= {"computeMeanVar": True, "instanceNormalization": statistics == "instance"}
        axes = (-2, -1) if statistics == "instance" else (*range(len(shape) - 3), -2, -1)
        y = standardized(x, axes, epsilon or 1e-5)
    expected = y * gamma + beta
    check_layer("batchnorm", fields, [x], expected if exact else expected[None, None], weights=weights, exact=exact)


@pytest.mark.parametrize(("across", "axes"), [(False, (-2, -1)), (True, (-3, -2, -1))])
def test_mvn(across: bool, axes: tuple[int, ...]) -> None:
    x = normal(2, 3, 4, 5)
    check_layer(
        "mvn", {"acrossChannels": across, "epsilon": 0.5, "normalizeVariance": True}, [x], standardized(x, axes, 0.5)
    )
    check_layer("mvn", {"acrossChannels": across, "epsilon": 0.5}, [x], x - x.mean(axes, keepdims=True))
    small = 1e-3 * x
    expected = standardized(small, axes, 1e-6)
    check_layer("mvn", {"acrossChannels": across, "normalizeVariance": True}, [small], expected)


@pytest.mark.parametrize("epsilon", [0.0, 3.0])
def test_l2normalize(epsilon: float) -> None:
    x = 1e-3 * normal(2, 3, 4, 5)
    norm = np.sqrt((x.astype(np.float64) ** 2).sum((1, 2, 3), keepdims=True) + (epsilon or 1e-6))
    check_layer("l2normalize", {"epsilon": epsilon}, [x], x / norm)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 20, 21])
@pytest.mark.parametrize(("k", "alpha", "beta"), [(0.0, 0.5, 0.75), (2.0, 3.0, 1.5)])
@pytest.mark.parametrize("shape", [(7, 3, 4), (2, 7, 3, 4), (2, 5, 7, 3, 4)])
def test_lrn_divides_alpha_by_the_size(size: int, k: float, alpha: float, beta: float, shape: tuple[int, ...]) -> None:
    x = normal(*shape)
    squares = np.zeros(shape)
    for channel in range(7):
        window = x[..., max(0, channel - size // 2) : channel + (size - 1) // 2 + 1, :, :]
        squares[..., channel, :, :] = (window.astype(np.float64) ** 2).sum(-3)
    expected = x / ((k or 1) + alpha / size * squares) ** beta
    check_layer("lrn", {"alpha": alpha, "beta": beta, "localSize": size, "k": k}, [x], expected)


def test_lrn_of_a_window_beyond_all_channels_ends() -> None:
    x = normal(7, 3, 4)
    expected = x / np.sqrt(1 + (x.astype(np.float64) ** 2).sum(0))
    check_layer("lrn", {"alpha": 2.0**40, "beta": 0.5, "localSize": 1 << 40}, [x], expected)


@pytest.mark.parametrize("size", [2, 3, 4])
def test_lrn_is_pytorch_s(size: int) -> None:
    torch = pytest.importorskip("torch")
    x = normal(2, 7, 3, 4)
    expected = torch.nn.LocalResponseNorm(size, alpha=0.5, beta=0.75, k=2.0)(torch.from_numpy(x)).numpy()
    check_layer("lrn", {"alpha": 0.5, "beta": 0.75, "localSize": size, "k": 2.0}, [x], expected)


@pytest.mark.parametrize("normalized", [(5,), (4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize("eps", [0.0, 0.125])
def test_layer_normalization(normalized: tuple[int, ...], eps: float) -> None:
    x, gamma, beta = normal(2, 3, 4, 5), normal(*normalized, seed=1), normal(*normalized, seed=2)
    expected = standardized(x, tuple(range(-len(normalized), 0)), eps) * gamma + beta
    fields = {"normalizedShape": normalized, "eps": eps}
    check_layer("layerNormalization", fields, [x], expected, weights={"gamma": gamma, "beta": beta})


def test_softmax_runs_over_channels_and_softmaxND_over_any_axis() -> None:
    x = 40 * normal(2, 3, 4, 5)
    for axis in (0, 1, -1):
        exponentials = np.exp(x - x.max(axis, keepdims=True), dtype=np.float64)
        expected = exponentials / exponentials.sum(axis, keepdims=True)
        check_layer("softmaxND", {"axis": axis}, [x], expected)
        if axis == 1:
            check_layer("softmax", {}, [x], expected)
            check_layer("softmax", {}, [x], expected[None], exact=False)


@pytest.mark.parametrize(
    ("type", "fields", "message"),
    [
        ("batchnorm", {"channels": 4}, "3 channels meets statistics of 4"),
        ("batchnorm", {"channels": 3}, "gamma"),
        ("lrn", {}, "localSize is 0"),
        ("lrn", {"localSize": 3, "k": -1.0}, "k is -1"),
        ("layerNormalization", {"normalizedShape": [4]}, "normalizedShape"),
        ("softmaxND", {"axis": 4}, "Softmax"),
    ],
)
def test_normalization_refuses_by_name(type: str, fields: Any, message: str) -> None:
    with pytest.raises(ModelError, match=rf"'layer' \({type}\).*{message}"):
        run_layer(type, fields, [normal(2, 3, 4, 5)])
