"""Whole networks as torch exports them, against onnxruntime and torch, and files that coremltools reads back."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import mlexplorer as mle
from mlexplorer import errors
from tests.converters.onnx.cases import assert_close, converted, predicted, reference

torch = pytest.importorskip("torch")
nn = torch.nn


class Fire(nn.Module):
    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, 1)
        self.one, self.three = nn.Conv2d(squeeze, expand, 1), nn.Conv2d(squeeze, expand, 3, padding=1)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.squeeze(x))
        return torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)


class SqueezeNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 12, 3, stride=2)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.fires = nn.Sequential(Fire(12, 4, 8), Fire(16, 5, 9))
        self.last = nn.Sequential(nn.Dropout(), nn.Conv2d(18, 7, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Any) -> Any:
        x = self.last(self.fires(self.pool(torch.relu(self.first(x)))))
        return torch.softmax(torch.flatten(x, 1), 1)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Hardswish(), nn.Conv2d(8, 8, 1)
        )
        self.attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 3, 1), nn.SiLU(), nn.Conv2d(3, 8, 1))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        y = self.block(x)
        x = x + y * torch.sigmoid(self.attention(y))
        return torch.log_softmax(self.head(x.mean((2, 3))), 1)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.deep = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 10, 3, padding=1)
        self.up = nn.ConvTranspose2d(10, 6, 3, stride=2, padding=1, output_padding=1)
        self.out = nn.Conv2d(12, 2, 1)

    def forward(self, x: Any) -> Any:
        wide = nn.functional.elu(self.down(x))
        deep = nn.functional.leaky_relu(self.deep(nn.functional.max_pool2d(wide, 2)), 0.2)
        return torch.sigmoid(self.out(torch.cat([wide, self.up(deep)], 1)))


class Style(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(3, 8, 7), nn.InstanceNorm2d(8, affine=True), nn.PReLU(8)
        )
        self.decode = nn.Sequential(
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(8, 6, 3, padding=1),
            nn.InstanceNorm2d(6),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(6, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, x: Any) -> Any:
        return 127.5 * (torch.tanh(self.decode(self.encode(x))) + 1)


class Memory(nn.Module):
    """Words in, labels out: an embedding, an LSTM in two directions, a GRU, attention over the steps."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 6)
        self.lstm = nn.LSTM(6, 5, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 4, batch_first=True)
        self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        y, _ = self.gru(self.lstm(self.words(x))[0])
        y = self.norm(y)
        weights = torch.softmax(y @ y.transpose(1, 2) / 2, -1)
        return self.head(nn.functional.gelu(weights @ y)[:, -1])


class Shuffle(nn.Module):
    """Shapes computed in the network, as exporters write them."""

    def forward(self, x: Any) -> Any:
        n, c, h, w = x.shape
        x = x.reshape(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        a, b = x.chunk(2, 1)
        return torch.cat([a.flip(-1) * 2, b.roll(1, 2)], 1), x.amax((1, 2)), x[:, 0, ::2].cumsum(-1)


IMAGE = (1, 3, 38, 26)
NETWORKS: list[tuple[type[Any], tuple[int, ...]]] = [
    (SqueezeNet, IMAGE),
    (Residual, IMAGE),
    (UNet, IMAGE),
    (Style, IMAGE),
    (Memory, (1, 7)),
    (Shuffle, (1, 6, 5, 7)),
]


def exported(network: Any, x: Any, **options: Any) -> bytes:
    data = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network, (x,), data, dynamo=False, input_names=["x"], **options)
    return data.getvalue()


@pytest.mark.parametrize(
    ("kind", "shape", "opset"),
    [(kind, shape, opset) for kind, shape in NETWORKS for opset in ((17, 11) if kind in (Style, Memory) else (17,))],
)
def test_exported_network(kind: type[Any], shape: tuple[int, ...], opset: int, tmp_path: Path) -> None:
    coremltools = pytest.importorskip("coremltools")
    torch.manual_seed(5)
    network = kind().eval()
    x = torch.randint(0, 11, shape) if kind is Memory else torch.randn(shape)
    data = exported(network, x, opset_version=opset)
    model = converted(data)
    wanted = reference(onnx.ModelProto.FromString(data), {"x": x.numpy()})
    got = predicted(model, {"x": x.numpy()})
    assert_close(got, wanted)
    with torch.no_grad():
        result = network(x)
    first = result[0] if isinstance(result, tuple) else result
    assert_close({"y": next(iter(got.values()))}, {"y": first.numpy()})
    mle.save(model, tmp_path / "network.mlmodel")
    spec = coremltools.utils.load_spec(str(tmp_path / "network.mlmodel"))
    assert [layer.name for layer in spec.neuralNetwork.layers] == [
        layer.name for layer in model.spec.neuralNetwork.layers
    ]
    assert_close(predicted(mle.load(tmp_path / "network.mlmodel"), {"x": x.numpy()}), wanted)


def test_open_sizes_are_asked_for() -> None:
    torch.manual_seed(5)
    network = UNet().eval()
    data = exported(network, torch.randn(IMAGE), dynamic_axes={"x": {0: "n", 2: "h", 3: "w"}}, opset_version=17)
    with pytest.raises(errors.InputError, match=r"input_name_shape_dict=\{'x'"):
        converted(data)
    x = np.random.default_rng(1).standard_normal((1, 3, 22, 30)).astype(np.float32)
    model = converted(data, input_name_shape_dict={"x": [1, 3, 22, 30]})
    assert_close(predicted(model, {"x": x}), reference(onnx.ModelProto.FromString(data), {"x": x}))


def test_weights_are_where_the_format_wants_them() -> None:
    """Shapes by the specification: devices read by it, so a result that is right here is not enough."""
    torch.manual_seed(5)
    model = converted(exported(Residual().eval(), torch.randn(IMAGE), opset_version=17))
    layers = model.spec.neuralNetwork.layers
    assert model.spec.neuralNetwork.arrayInputShapeMapping == 1
    convolutions = [layer.convolution for layer in layers if layer.WhichOneof("layer") == "convolution"]
    assert len(convolutions) == 5
    for params in convolutions:
        kernel = params.kernelSize[0] * params.kernelSize[1]
        assert len(params.weights.floatValue) == params.outputChannels * params.kernelChannels * kernel
        assert len(params.bias.floatValue) == (params.outputChannels if params.hasBias else 0)
    assert [params.nGroups for params in convolutions if params.nGroups > 1] == [8]
    (product,) = [layer.innerProduct for layer in layers if layer.WhichOneof("layer") == "innerProduct"]
    assert (product.inputChannels, product.outputChannels, len(product.bias.floatValue)) == (8, 5, 5)
