"""coremltools with mlexplorer as its engine: predictions, comparisons, refusals, and what is left afterwards."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import (
    CustomLayerError,
    FileFormatError,
    InputError,
    MissingDependencyError,
    MlexplorerError,
    UnsupportedError,
)

ct = pytest.importorskip("coremltools")

from coremltools.models import MLModel, datatypes  # noqa: E402
from coremltools.models import utils as ct_utils  # noqa: E402
from coremltools.models.neural_network import NeuralNetworkBuilder, quantization_utils  # noqa: E402
from coremltools.models.tree_ensemble import TreeEnsembleClassifier, TreeEnsembleRegressor  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
RNG = np.random.default_rng(29)
WEIGHTS = RNG.normal(0, 1, (5, 3)).astype(np.float32)
WIDTH, HEIGHT = 7, 4


@pytest.fixture
def connected() -> Iterator[None]:
    with mle.connect_coremltools():
        yield


def product_spec() -> Any:
    """x[3] -> y[5] = WEIGHTS @ x."""
    builder = NeuralNetworkBuilder(
        [("x", datatypes.Array(3))], [("y", datatypes.Array(5))], disable_rank5_shape_mapping=True
    )
    builder.add_inner_product("product", WEIGHTS, None, 3, 5, False, "x", "y")
    for feature in (*builder.spec.description.input, *builder.spec.description.output):
        feature.type.multiArrayType.dataType = ct.proto.FeatureTypes_pb2.ArrayFeatureType.FLOAT32
    return builder.spec


def picture_spec(*, picture_out: bool) -> Any:
    """A picture 7x4 -> "y": its planes mixed by a 1x1 convolution, as a picture or as an array."""
    builder = NeuralNetworkBuilder([("picture", datatypes.Array(3, HEIGHT, WIDTH))], [("y", None)])
    mixing = np.array([[0, 1, 0], [0, 0, 1], [0.5, 0, 0]], np.float32).T.reshape(1, 1, 3, 3)
    builder.add_convolution("mix", 3, 3, 1, 1, 1, 1, "valid", 1, mixing, None, False, False, (), "picture", "y")
    builder.set_pre_processing_parameters(image_input_names=["picture"])
    if picture_out:
        image = builder.spec.description.output[0].type.imageType
        image.width, image.height, image.colorSpace = WIDTH, HEIGHT, ct.proto.FeatureTypes_pb2.ImageFeatureType.RGB
    return builder.spec


def classifier_spec() -> Any:
    """x[3] -> softmax(WEIGHTS @ x) over five names."""
    builder = NeuralNetworkBuilder([("x", datatypes.Array(3))], [("p", datatypes.Array(5))], mode="classifier")
    builder.add_inner_product("product", WEIGHTS, None, 3, 5, False, "x", "scores")
    builder.add_softmax("softmax", "scores", "p")
    builder.set_class_labels(list("abcde"), predicted_feature_name="label", prediction_blob="p")
    return builder.spec


def stump(*, classifies: bool) -> Any:
    """A tree that asks whether `a` is at most 0.5."""
    features = [("a", datatypes.Double()), ("b", datatypes.Double())]
    if classifies:
        trees = TreeEnsembleClassifier(features, ["cat", "dog"], ["target", "scores"])
    else:
        trees = TreeEnsembleRegressor(features, "target")
    trees.set_default_prediction_value([0.0, 0.0] if classifies else 0.0)
    trees.add_branch_node(0, 0, 0, 0.5, "BranchOnValueLessThanEqual", 1, 2)
    trees.add_leaf_node(0, 1, {0: 0.75, 1: 0.25} if classifies else 2.25)
    trees.add_leaf_node(0, 2, {0: 0.125, 1: 0.875} if classifies else -4.5)
    return trees.spec


def program_model() -> Any:
    """A model that mlexplorer cannot run: an ML Program."""
    from coremltools.converters.mil import Builder

    @Builder.program(input_specs=[Builder.TensorSpec(shape=(2, 3))])
    def program(x: Any) -> Any:
        return Builder.relu(x=x, name="y")

    return ct.convert(program, convert_to="mlprogram", minimum_deployment_target=ct.target.iOS15)


def state_of_coremltools() -> dict[tuple[str, str], int]:
    """The identity of every attribute of every module of coremltools, and of MLModel."""
    owners = {name: module for name, module in sys.modules.items() if f"{name}.".startswith("coremltools.")}
    state = {("sys.modules", name): id(module) for name, module in owners.items()}
    for name, owner in [*owners.items(), ("MLModel", MLModel)]:
        state |= {(name, attribute): id(value) for attribute, value in vars(owner).items()}
    return state


@pytest.mark.usefixtures("connected")
def test_a_network_predicts_one_dictionary_and_a_list() -> None:
    xs = RNG.normal(0, 1, (4, 3)).astype(np.float32)
    model = MLModel(product_spec())
    assert model.last_predict_duration_in_nano_seconds is None
    np.testing.assert_allclose(model.predict({"x": xs[0]})["y"], WEIGHTS @ xs[0], rtol=1e-5)
    for given in (xs[1].tolist(), xs[1].astype(np.float16), xs[1].astype(np.float64)):
        np.testing.assert_allclose(model.predict({"x": given})["y"], WEIGHTS @ xs[1], rtol=2e-3)
    batch = model.predict([{"x": x} for x in xs])
    np.testing.assert_allclose([result["y"] for result in batch], xs @ WEIGHTS.T, rtol=1e-5)
    assert model.load_duration_in_nano_seconds > 0
    assert model.last_predict_duration_in_nano_seconds > 0


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("picture_out", [False, True])
def test_pictures_go_in_and_come_out(picture_out: bool) -> None:
    pixels = RNG.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    result = MLModel(picture_spec(picture_out=picture_out)).predict({"picture": Image.fromarray(pixels)})["y"]
    expected = np.stack([pixels[..., 1], pixels[..., 2], pixels[..., 0] * 0.5])
    if picture_out:
        assert result.mode == "RGBA"
        opaque = np.concatenate([expected, np.full((1, HEIGHT, WIDTH), 255)])
        np.testing.assert_allclose(np.asarray(result).astype(float), opaque.transpose(1, 2, 0), atol=0.5)
    else:
        np.testing.assert_allclose(result, expected, rtol=1e-5)


@pytest.mark.usefixtures("connected")
def test_a_classifier_and_a_compute_unit_and_hints() -> None:
    x = RNG.normal(0, 1, 3)
    hints = {"reshapeFrequency": ct.ReshapeFrequency.Frequent, "allowLowPrecisionAccumulationOnGPU": True}
    for unit in ct.ComputeUnit:
        result = MLModel(classifier_spec(), compute_units=unit, optimization_hints=hints).predict({"x": x})
        scores = np.exp(WEIGHTS.astype(float) @ x)
        assert result["label"] == "abcde"[scores.argmax()]
        np.testing.assert_allclose([result["p"][name] for name in "abcde"], scores / scores.sum(), rtol=1e-5)


@pytest.mark.usefixtures("connected")
def test_custom_layers_are_those_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlexplorer.runtime import custom

    class Square:
        def __init__(self, parameters: dict[str, Any]) -> None: ...

        def set_weights(self, weights: Any) -> None: ...

        def output_shapes(self, input_shapes: Any) -> Any:
            return input_shapes

        def evaluate(self, inputs: Any) -> Any:
            return [inputs[0] ** 2]

    spec = product_spec()
    layer = spec.neuralNetwork.layers[0]
    layer.custom.className = "Square"
    spec.description.output[0].type.multiArrayType.shape[0] = 3
    model = MLModel(spec)
    with pytest.raises(CustomLayerError, match="Square"):
        model.predict({"x": np.ones(3)})
    monkeypatch.setitem(custom._REGISTERED, "Square", Square)
    np.testing.assert_allclose(model.predict({"x": np.array([1.0, -2.0, 3.0])})["y"], [1, 4, 9])


@pytest.mark.usefixtures("connected")
def test_coremltools_compares_a_quantized_model(capsys: pytest.CaptureFixture[str]) -> None:
    model = MLModel(product_spec())
    samples = [{"x": RNG.normal(0, 1, 3)} for _ in range(6)]
    quantized = quantization_utils.quantize_weights(model, 4, "linear", sample_data=samples)
    by_quantizing = re.findall(r"SNR: +(\S+) ", capsys.readouterr().out)
    quantization_utils.compare_models(model, quantized, samples)
    compared = re.findall(r"SNR: +(\S+) ", capsys.readouterr().out)
    assert compared == by_quantizing != []
    codes = quantized.get_spec().neuralNetwork.layers[0].innerProduct.weights
    ratios = []
    for sample in samples:
        scale, bias = (np.array(getattr(codes.quantization.linearQuantization, name)) for name in ("scale", "bias"))
        steps = np.rint((WEIGHTS - bias[:, None]) / scale[:, None])
        exact, rounded = WEIGHTS @ sample["x"], (steps * scale[:, None] + bias[:, None]) @ sample["x"]
        ratios.append(10 * np.log10(np.sum(exact**2) / np.sum((exact - rounded) ** 2)))
    assert float(compared[0]) == pytest.approx(np.mean(ratios), rel=0.02)


@pytest.mark.usefixtures("connected")
def test_coremltools_compares_on_a_folder_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(3):
        pixels = RNG.integers(0, 256, (HEIGHT + 2, WIDTH + 1, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    model = MLModel(picture_spec(picture_out=False))
    quantized = quantization_utils.quantize_weights(model, 8, "linear")
    quantization_utils.compare_models(model, quantized, str(tmp_path))
    printed = capsys.readouterr().out
    assert "Analyzing 3 images" in printed
    assert float(re.findall(r"PSNR: +(\S+) ", printed)[0]) > 40


@pytest.mark.usefixtures("connected")
def test_coremltools_evaluates_models() -> None:
    rows = {"a": [0.0, 0.5, 0.75, 3.0], "b": [1.0, 2.0, 3.0, 4.0]}
    regressor = MLModel(stump(classifies=False))
    errors = ct_utils.evaluate_regressor(regressor, pd.DataFrame({**rows, "target": [2.25, 2.25, -4.5, -4.0]}))
    assert errors == {"samples": 4, "rmse": pytest.approx(0.25), "max_error": pytest.approx(0.5)}
    classifier = MLModel(stump(classifies=True))
    labels = pd.DataFrame({**rows, "target": ["cat", "dog", "dog", "dog"]})
    assert ct_utils.evaluate_classifier(classifier, labels) == {"num_samples": 4, "num_errors": 1}
    odds = [{"cat": 0.75, "dog": 0.25}] * 2 + [{"cat": 0.125, "dog": 0.875}] * 2
    result = ct_utils.evaluate_classifier_with_probabilities(
        classifier, pd.DataFrame({**rows, "scores": odds}), probabilities="scores"
    )
    assert result == {"num_samples": 4, "max_probability_error": pytest.approx(0, abs=1e-12), "num_key_mismatch": 0}
    samples = [{"x": RNG.normal(0, 1, 3).astype(np.float32)} for _ in range(2)]
    references = [{"y": WEIGHTS @ sample["x"]} for sample in samples]
    references[1]["y"] = references[1]["y"] + 1
    result = ct_utils.evaluate_transformer(MLModel(product_spec()), samples, references)
    assert result == {"num_samples": 2, "num_errors": 1}


def test_a_model_made_before_is_served_while_connected() -> None:
    early, skipped = MLModel(product_spec()), MLModel(product_spec(), skip_model_load=True)
    x = RNG.normal(0, 1, 3)
    with mle.connect_coremltools():
        for model in (early, skipped):
            np.testing.assert_allclose(model.predict({"x": x})["y"], WEIGHTS @ x, rtol=1e-5)
        late = MLModel(product_spec())
    if sys.platform != "darwin":
        with pytest.raises(Exception, match="Model prediction is only supported on macOS"):
            early.predict({"x": x})
    assert "EngineProxy" not in repr(vars(early))
    np.testing.assert_allclose(late.predict({"x": x})["y"], WEIGHTS @ x, rtol=1e-5)


def test_nothing_is_left_after_disconnecting() -> None:
    before = state_of_coremltools()
    mle.connect_coremltools()
    assert state_of_coremltools() != before
    mle.connect_coremltools()
    with mle.connect_coremltools():
        MLModel(product_spec()).predict({"x": np.ones(3)})
    assert MLModel(product_spec()).predict({"x": np.ones(3)})  # the inner block was not the first to connect
    mle.disconnect_coremltools()
    mle.disconnect_coremltools()
    assert state_of_coremltools() == before
    with pytest.raises(ZeroDivisionError), mle.connect_coremltools():
        _ = 1 / 0
    assert state_of_coremltools() == before


@pytest.mark.usefixtures("connected")
def test_no_temporary_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    MLModel(product_spec()).predict([{"x": np.ones(3)}] * 2)
    MLModel(stump(classifies=False)).predict({"a": 0.0, "b": 0.0})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("connected")
@pytest.mark.filterwarnings("ignore:Implicitly cleaning up:ResourceWarning")  # by coremltools.convert
def test_a_model_that_cannot_run_can_be_made_and_saved(tmp_path: Path) -> None:
    model = program_model()
    model.save(str(tmp_path / "program.mlpackage"))
    for made in (model, MLModel(str(tmp_path / "program.mlpackage"))):
        for _ in range(2):
            with pytest.raises(UnsupportedError, match="mlProgram"):
                made.predict({"x": np.ones((2, 3))})
    spec = product_spec()
    spec.neuralNetwork.layers[0].innerProduct.outputChannels = 4
    broken = MLModel(spec)
    with pytest.raises(MlexplorerError, match="product"):
        broken.predict({"x": np.ones(3)})


@pytest.mark.usefixtures("connected")
def test_an_error_of_ours_arrives_as_it_is(tmp_path: Path) -> None:
    model = MLModel(product_spec())
    with pytest.raises(InputError, match="x"):
        model.predict({"x": np.ones(4)})
    with pytest.raises(InputError, match=r"inputs\[1\]"):
        model.predict([{"x": np.ones(3)}, {"x": np.ones(4)}])
    with pytest.raises(UnsupportedError, match="mlmodelc"):
        ct.models.CompiledMLModel(str(tmp_path / "x.mlmodelc"), function_name="")


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("make_state", lambda model, path: model.make_state()),
        ("get_compiled_model_path", lambda model, path: model.get_compiled_model_path()),
        ("compile_model", lambda model, path: ct_utils.compile_model(model.get_spec())),
        ("get_available_compute_devices", lambda model, path: MLModel.get_available_compute_devices()),
        ("get_all_compute_devices", lambda m, p: ct.models.compute_device.MLComputeDevice.get_all_compute_devices()),
        ("MLComputePlan", lambda model, path: ct.models.compute_plan.MLComputePlan.load_from_path(path)),
        ("MLModelStructure", lambda model, path: ct.models.compute_plan.MLModelStructure.load_from_path(path)),
        ("MLModelAsset.from_path", lambda model, path: ct.models.model.MLModelAsset.from_path(path)),
        ("MLModelAsset.from_memory", lambda model, path: ct.models.model.MLModelAsset.from_memory(b"")),
        ("state", lambda model, path: model.predict({"x": np.ones(3)}, state=ct.models.model.MLState(object()))),
    ],
)
def test_what_only_apples_framework_can_do_is_refused_by_name(name: str, call: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=name):
        call(MLModel(product_spec()), str(tmp_path / "x.mlmodelc"))


def test_a_function_that_is_not_the_default_is_refused() -> None:
    from mlexplorer.coremltools_bridge import EngineProxy

    spec = product_spec()
    assert EngineProxy(MLModel(spec), function_name="main").predict({"x": np.ones(3)})
    with pytest.raises(UnsupportedError, match="function_name='features'"):
        EngineProxy(MLModel(spec), function_name="features").predict({"x": np.ones(3)})


def test_a_file_that_vanished_is_reported_at_the_prediction(tmp_path: Path) -> None:
    from mlexplorer.coremltools_bridge import EngineProxy

    engine = EngineProxy(str(tmp_path / "gone.mlmodel"))
    assert engine.get_load_duration_in_nano_seconds() is None
    with pytest.raises(FileFormatError, match=r"gone\.mlmodel"):
        engine.batchPredict([{}])


IMPORTED_LATER = """
import sys, types
sys.modules.update(torch=None, sklearn=None)  # coremltools does without them, and starts faster
import mlexplorer as mle
assert "coremltools" not in sys.modules
mle.connect_coremltools()
import numpy as np
from coremltools.models import MLModel, datatypes
from coremltools.models.neural_network import NeuralNetworkBuilder
from coremltools.models.ml_program.experimental import compute_plan_utils
assert compute_plan_utils._MLComputePlanProxy is None or sys.platform == "darwin"
builder = NeuralNetworkBuilder([("x", datatypes.Array(2))], [("y", datatypes.Array(2))])
builder.add_elementwise("twice", ["x"], "y", "MULTIPLY", alpha=2)
assert MLModel(builder.spec).predict({"x": np.array([1.0, 3.0])})["y"].tolist() == [2, 6]
late = sys.modules["coremltools.late"] = types.ModuleType("coremltools.late")
exec("from coremltools.models.utils import _is_macos", vars(late))
exec("from coremltools.libcoremlpython import _MLModelProxy", vars(late))
assert late._is_macos() and late._MLModelProxy
mle.disconnect_coremltools()
assert late._is_macos() == bool(late._MLModelProxy) == (sys.platform == "darwin")
assert sys.platform == "darwin" or "coremltools.libcoremlpython" not in sys.modules
print("done")
"""


def test_coremltools_may_be_imported_after_connecting() -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORTED_LATER], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.stdout.strip() == "done", result.stderr
    assert "_MLModelProxy" not in result.stderr  # coremltools' warning that its native module is missing


@pytest.mark.parametrize("source", [None, "", "raise TypeError('Descriptors cannot be created\\ndirectly')"])
def test_coremltools_may_be_missing_or_broken(source: str | None, tmp_path: Path) -> None:
    code = (
        "import sys\nif sys.argv[1:]: sys.path.insert(0, sys.argv[1])\nelse: sys.modules['coremltools'] = None\n"
        "import mlexplorer as mle\nmle.disconnect_coremltools()\n"
        "try:\n    mle.connect_coremltools()\nexcept mle.errors.MissingDependencyError as error:\n    print(error)"
    )
    arguments = [] if source is None else [str(tmp_path)]
    (tmp_path / "coremltools").mkdir()
    (tmp_path / "coremltools" / "__init__.py").write_text(source or "", encoding="utf-8")
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert "pip install --upgrade coremltools" in result.stdout, result.stderr
    assert result.stdout.count("\n") == 1
    assert issubclass(MissingDependencyError, ImportError)


def test_an_unknown_version_of_coremltools_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(ct.models.model, "_MLModelProxy")
    before = state_of_coremltools()
    with pytest.raises(UnsupportedError, match=re.escape(ct.__version__)):
        mle.connect_coremltools()
    assert state_of_coremltools() == before
