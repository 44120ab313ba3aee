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
    assert refusals == REFUSED
    assert len(files) >= 77


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
