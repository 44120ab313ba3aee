"""Two models on the same inputs: every figure against one computed another way."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.comparison import metrics
from mlexplorer.errors import Cancelled, CustomLayerError, InputError
from mlexplorer.quantization.plan import Plan
from mlexplorer.runtime.resizing import resize
from tests.checks import one_layer_model
from tests.painter import painter, photo
from tests.runtime.models.specifications import classifier, specification
from tests.runtime.networks import add, network


def quantized(model: mle.Model, bits: int) -> mle.Model:
    return Plan.uniform(model, mle.Linear(bits=bits)).apply(model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, one of them in a folder within and one turned by its EXIF data; two broken ones; a text."""
    Image.fromarray(photo()).save(tmp_path / "b.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo(40, 60, seed=1)).rotate(90, expand=True).save(tmp_path / "a.png", exif=exif)
    (tmp_path / "inner").mkdir()
    Image.fromarray(photo(90, 50, seed=2)).save(tmp_path / "inner" / "c.PNG")
    (tmp_path / "cut.png").write_bytes((tmp_path / "b.png").read_bytes()[:300])
    (tmp_path / "no.jpg").write_text("no picture")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / ".hidden").write_text("hidden")
    return tmp_path


@pytest.mark.parametrize("how", ["fill", "fit", "stretch"])
def test_a_folder_of_pictures(folder: Path, how: Any) -> None:
    model = painter(sizes="fixed")
    other = quantized(model, 3)
    found = mle.compare(model, other, folder, resize=how)
    pictures = {"a.png": photo(40, 60, seed=1), "b.png": photo(), "inner/c.PNG": photo(90, 50, seed=2)}
    assert [row.input for row in found.rows] == list(pictures)
    psnrs, ssims, snrs, errors = [], [], [], []
    for picture in pictures.values():
        given = resize(Image.fromarray(picture), model.inputs[0], how)
        a, b = (np.asarray(mle.predict(m, given)["painted"], np.float64) for m in (model, other))
        psnrs.append(10 * math.log10(255**2 / np.mean((a - b) ** 2)))
        snrs.append(10 * math.log10(np.mean(a**2) / np.mean((a - b) ** 2)))
        ssims.append(metrics.ssim(a, b))
        errors.append(np.abs(a - b).max())
    assert [row.psnr for row in found.rows] == pytest.approx(psnrs)
    assert (found.psnr, found.snr, found.ssim) == pytest.approx(tuple(map(np.mean, (psnrs, snrs, ssims))))
    assert found.max_error == max(errors)
    assert found.outputs[0].lowest == pytest.approx(min(psnrs))
    assert found.outputs[0].worst == list(pictures)[int(np.argmin(psnrs))]
    assert found.inputs == 3
    assert list(found.unreadable) == ["cut.png", "no.jpg"]
    assert found.ignored == ("notes.txt",)
    assert not found.generated


def test_pictures_are_given_in_many_ways(folder: Path) -> None:
    model = painter(sizes="fixed")
    other = quantized(model, 2)
    tall = np.ascontiguousarray(photo().transpose(2, 0, 1))
    given = [folder / "b.png", str(folder / "b.png"), Image.fromarray(photo()), photo(), tall, folder / "gone.png"]
    found = mle.compare(model, other, given)
    assert [row.input for row in found.rows] == [*[str(folder / "b.png")] * 2, "image 3", "image 4", "image 5"]
    assert len({row.psnr for row in found.rows}) == 1
    assert found.unreadable == {"gone.png": "there is no such picture"}
    assert mle.compare(model, other, photo()).psnr == found.psnr
    assert mle.compare(model, other, np.stack([photo(), photo()])).inputs == 2
    assert mle.compare(model, other, inputs=[{"photo": folder / "b.png"}, photo()]).psnr == found.psnr


def test_each_picture_costs_two_runs_and_identical_models_are_identical(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[Any] = []
    predict = mle.Predictor.predict
    monkeypatch.setattr(mle.Predictor, "predict", lambda self, *given: runs.append(self) or predict(self, *given))
    found = mle.compare(painter(), painter(), [photo(), photo(seed=1), photo(seed=2)])
    assert len(runs) == 6
    assert len(set(map(id, runs))) == 2
    row = found.outputs[0]
    assert (row.psnr, row.snr, row.max_error, row.identical, row.worst) == (math.inf, math.inf, 0.0, 3, "")
    assert row.ssim == pytest.approx(1.0)


def test_identical_pictures_are_counted_and_left_out_of_means_in_decibels() -> None:
    model, other = painter(sizes="fixed"), quantized(painter(sizes="fixed"), 6)
    black = np.zeros((32, 48, 3), np.uint8)
    bias = other.spec.neuralNetwork.layers[0].convolution.bias
    bias.CopyFrom(model.spec.neuralNetwork.layers[0].convolution.bias)
    found = mle.compare(model, other, [black, photo()])
    alone = mle.compare(model, other, photo())
    assert (found.outputs[0].identical, found.psnr, found.snr) == (1, alone.psnr, alone.snr)
    assert "SSIM of pictures: the mean over the pictures (dB without those that are identical: 1)" in repr(found)


def test_ratios_of_arrays_are_those_of_all_inputs_together() -> None:
    model = one_layer_model("activation", {"linear": {"alpha": 1.0, "beta": 0.0}}, [(3,)])
    other = one_layer_model("activation", {"linear": {"alpha": 0.5, "beta": 0.0}}, [(3,)])
    inputs = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 2.0], [-6.0, 3.0, 1.0]])
    row = mle.compare(model, other, inputs=inputs).outputs[0]
    assert (row.identical, row.inputs, row.max_error) == (1, 3, 3.0)
    noise = np.mean(np.square(inputs / 2))
    assert row.snr == pytest.approx(10 * math.log10(np.mean(np.square(inputs)) / noise))
    assert row.psnr == pytest.approx(10 * math.log10(36 / noise)), "the peak is the largest absolute value"
    assert (row.lowest, row.worst) == (pytest.approx(10 * math.log10(4 / 0.75)), "input 2")


def test_classifiers_agree_as_coremltools_counts_and_with_confidence_intervals() -> None:
    from coremltools.models.neural_network.quantization_utils import TopKMetrics

    model = painter(classes=7, sizes="fixed")
    other = quantized(model, 1)
    dice = [np.random.default_rng(seed) for seed in range(8)]
    photos = [(rng.integers(0, 256, (32, 48, 3)) // rng.integers(1, 5, 3)).astype(np.uint8) for rng in dice]
    labels = [mle.predict(model, resize(Image.fromarray(p), model.inputs[0]))["label"] for p in photos[:6]]
    labels += ["class 0", "class 0"]
    found = mle.compare(model, other, photos, labels=labels)
    top1, top5, right, other_right = TopKMetrics(1), TopKMetrics(5), 0, 0
    for picture, label in zip(photos, labels, strict=True):
        given = resize(Image.fromarray(picture), model.inputs[0])
        a, b = (mle.predict(m, given) for m in (model, other))
        top1.add_metric(a["label"], b["label"])
        top5.add_metric(a["chances"], b["chances"])
        right += a["label"] == label
        other_right += b["label"] == label
    agreements = found.top1_agreement, found.top5_agreement, found.accuracy, found.other_accuracy
    counts = [agreement.count for agreement in agreements if agreement is not None]
    assert counts == [top1._correct_count, top5._correct_count, right, other_right]
    assert 0 < top1._correct_count < 8, "or the test says nothing"
    assert right >= 6
    assert found.top1_agreement is not None
    assert found.top1_agreement.total == 8
    assert [row.output for row in found.outputs] == ["label", "chances"]
    assert found.outputs[1].top1 == found.outputs[0].top1
    assert "best classes differ" in repr(found)


def test_labels_by_file_name_and_by_function(folder: Path) -> None:
    model = painter(classes=7)
    names = {"a.png": "class 1", "b": "class 2", str(folder / "inner" / "c.PNG"): "class 3"}
    broken = {"cut.png": "class 0", "no.jpg": "class 0"}
    found = mle.compare(model, model, folder, labels={**names, **broken})
    assert [row.label for row in found.rows if row.output == "label"] == ["class 1", "class 2", "class 3"]
    by_folder = mle.compare(model, model, folder, labels=lambda path: f"class {len(path.parent.name) % 7}")
    assert by_folder.rows[-2].label == "class 5", "from the folder's name, inner"
    for labels, message in [
        (names, "say nothing about cut.png, no.jpg; give"),
        (["class 1"], "1 labels for 5 inputs"),
        (lambda path: "cat", "'cat' of a.png is none of the model's 7 classes"),
    ]:
        with pytest.raises(InputError, match=message):
            mle.compare(model, model, folder, labels=labels)
    with pytest.raises(InputError, match="labels are for classifiers"):
        mle.compare(painter(), painter(), folder, labels=names)


def test_a_model_that_tells_nothing_apart_does_not_agree_with_everything() -> None:
    weights = [{"value": value} for value in ([1.0, 0.0], [0.0, 1.0], *[[-1.0, -1.0]] * 3, [-2.0, -2.0])]
    labels = [f"class {index}" for index in range(6)]
    fields: dict[str, Any] = {"weights": weights, "offset": [0.0] * 6, "classEncoding": 1}
    blind: dict[str, Any] = {**fields, "weights": [{"value": [0.0, 0.0]}] * 6}
    model, other = (classifier("glmClassifier", f, labels, {"x": "array 2"}) for f in (fields, blind))
    found = mle.compare(model, other, inputs=np.array([[1.0, 0.5], [0.5, 1.0], [-1.0, -1.5]]))
    assert [row.reference for row in found.rows if row.output == "label"] == ["class 0", "class 1", "class 5"]
    assert (found.top1_agreement, found.top5_agreement) == (1 / 3, 2 / 3)
    narrow = mle.compare(
        *(
            classifier(
                "glmClassifier", {**f, "weights": weights[:3], "offset": [0.0] * 3}, labels[:3], {"x": "array 2"}
            )
            for f in (fields, fields)
        ),
        inputs=[np.ones(2)],
    )
    assert narrow.top5_agreement is None, "five of three classes say nothing"


def test_numbers_dictionaries_and_texts_of_classic_models() -> None:
    def regressor(slope: float) -> mle.Model:
        fields = {"weights": [{"value": [slope, 1.0]}], "offset": [0.5]}
        return mle.load(specification("glmRegressor", fields, {"a": "double", "b": "double"}, {"y": "double"}, "y"))

    inputs = [{"a": 1.0, "b": 2.0}, {"a": -3.0, "b": 0.5}]
    found = mle.compare(regressor(2.0), regressor(2.1), inputs=inputs)
    assert [(row.reference, row.changed) for row in found.rows] == [
        (4.5, pytest.approx(4.6)),
        (-5.0, pytest.approx(-5.3)),
    ]
    row = found.outputs[0]
    assert (row.max_error, row.worst, row.top1) == (pytest.approx(0.3), "input 2", None)
    assert row.snr == pytest.approx(10 * math.log10((4.5**2 + 5**2) / (0.1**2 + 0.3**2))), "of all numbers together"

    def mapping(last: str) -> mle.Model:
        model = specification("categoricalMapping", {"strValue": last}, {"x": "int64"}, {"y": "string"})
        model.categoricalMapping.int64ToStringMap.map[3] = "three"
        return mle.load(model)

    texts = mle.compare(mapping("many"), mapping("lots"), inputs=[3, 4, 5])
    agreement = texts.outputs[0].agreement
    assert agreement is not None
    assert (agreement.count, agreement.total) == (1, 3)
    assert [(row.agrees, row.reference, row.changed) for row in texts.rows][1:] == [(False, "many", "lots")] * 2


def test_without_inputs_noise_is_made_and_the_result_says_so() -> None:
    found = mle.compare(painter(), quantized(painter(), 4))
    assert found.generated
    assert found.inputs == 4
    assert "4 generated inputs" in repr(found)
    assert "The inputs are noise" in repr(found)
    numbers = mle.load(
        specification("glmRegressor", {"weights": [{"value": [1.0]}], "offset": [0]}, {"n": "int64"}, {"y": "double"})
    )
    with pytest.raises(InputError, match=r"'n' .* cannot be noise; give inputs"):
        mle.compare(numbers, numbers)


def array_model(outputs: dict[str, int], beta: float = 0.0, shape: tuple[int, ...] = (2, 3)) -> mle.Model:
    """Adds `beta` to an array; its outputs by name are the same array in these data types."""
    model, layers = network({"x": shape}, list(outputs))
    for feature in model.description.output:
        feature.type.multiArrayType.dataType = outputs[feature.name]
    for name in outputs:
        add(layers, "activation", "x", name, linear={"alpha": 1.0, "beta": beta})
    return mle.load(model)


def test_integer_arrays_are_counted_and_float_planes_have_ssim() -> None:
    types = {"classes": 131104, "depth": 65568}
    values = np.random.default_rng(3).uniform(0, 9, (2, 12, 15)).astype(np.float32)
    given = array_model(types, shape=values.shape), array_model(types, beta=0.25, shape=values.shape)
    whole, depth = mle.compare(*given, inputs=[values]).outputs
    assert whole.equal == np.mean(np.trunc(values) == np.trunc(values + np.float32(0.25)))
    assert (whole.psnr, whole.snr, whole.ssim, whole.max_error) == (None, None, None, 1.0)
    span = float(np.ptp(values))
    ssims = [metrics.ssim(plane, plane + np.float32(0.25), span) for plane in values]
    assert depth.ssim == pytest.approx(np.mean(ssims), abs=1e-9)
    assert depth.max_error == pytest.approx(0.25, rel=1e-5)


def test_models_whose_inputs_or_outputs_differ_are_refused() -> None:
    x = [np.ones((2, 3))]
    for other, message in [
        (array_model({"z": 65568}), r"outputs cannot be compared: the first alone has 'y', the other alone 'z'"),
        (array_model({"y": 65568}, shape=(2, 4)), r"'x' is 'x: multiArray 2 x 3 FLOAT32' in the first, .* 2 x 4"),
        (painter(), "inputs cannot be compared: the first alone has 'x', the other alone 'photo'"),
    ]:
        with pytest.raises(InputError, match=message):
            mle.compare(array_model({"y": 65568}), other, inputs=x)
    mle.compare(array_model({"y": 65568}), array_model({"y": 65552}), inputs=x)
    grey = painter(sizes="fixed")
    grey.spec.description.output[0].type.imageType.colorSpace = 10
    with pytest.raises(InputError, match=r"'painted' is .*RGB.* in the first, .*GRAYSCALE.* in the other"):
        mle.compare(painter(sizes="fixed"), grey, photo())
    turned = one_layer_model("transpose", {"axes": [1, 0]}, [(2, 3)])
    straight = one_layer_model("transpose", {"axes": [0, 1]}, [(2, 3)])
    with pytest.raises(InputError, match=r"output 'y0' of input 1: arrays of the shapes \[2, 3\] and \[3, 2\]"):
        mle.compare(straight, turned, inputs=x)


def test_what_is_given_must_fit(tmp_path: Path) -> None:
    model, arrays = painter(), array_model({"y": 65568})
    (tmp_path / "no.png").write_text("no picture")
    for given, message in [
        ({"images": photo(), "inputs": [photo()]}, "give images or inputs, not both"),
        ({"images": []}, "nothing to run"),
        ({"inputs": []}, "nothing to run"),
        ({"images": [{"photo": photo()}]}, r"as inputs=\[...\]"),
        ({"images": [3]}, "paths, PIL images and arrays, not 3"),
        ({"images": photo(), "resize": "crop"}, "'fill', 'fit', 'stretch', not 'crop'"),
        ({"images": tmp_path}, "none of 1 pictures could be read: no.png: not a picture"),
        ({"inputs": [{"picture": photo()}]}, "input 1: the model has no input 'picture'"),
    ]:
        with pytest.raises(InputError, match=message):
            mle.compare(model, model, **given)
    (tmp_path / "no.png").rename(tmp_path / "phone.heic")
    with pytest.raises(InputError, match=r"phone\.heic are no pictures by their names"):
        mle.compare(model, model, tmp_path)
    with pytest.raises(InputError, match=r"one picture as their input, but this one has 'x' \(multiArray\)"):
        mle.compare(arrays, arrays, photo())


def test_half_precision_of_the_other_model() -> None:
    model = one_layer_model("activation", {"linear": {"alpha": 1.0, "beta": 0.0}}, [(3,)])
    found = mle.compare(model, model, inputs=[np.array([0.1, 1.0, 3000.3])], half_precision=True)
    assert found.max_error == pytest.approx(abs(np.float32(3000.3) - np.float32(np.float16(3000.3))), rel=1e-6)
    assert "in half precision" in found.other
    assert mle.compare(model, model, inputs=[np.array([0.1, 1.0, 3000.3])]).max_error == 0.0


def custom_model(layers: int = 1) -> mle.Model:
    model, net = network({"x": (3,)}, ["y"])
    for index in range(layers):
        add(
            net,
            "custom",
            "x" if not index else f"h{index}",
            "y" if index == layers - 1 else f"h{index + 1}",
            className="Slow",
        )
    return mle.load(model)


class Slow:
    """A custom layer that says when it runs, and then waits to be cancelled."""

    running = threading.Event()
    runs = 0

    def __init__(self, parameters: Any) -> None: ...

    def set_weights(self, weights: Any) -> None: ...

    def output_shapes(self, shapes: Any) -> Any:
        return shapes

    def evaluate(self, inputs: Any) -> Any:
        Slow.runs += 1
        Slow.running.set()
        threading.Event().wait(0.4)
        return inputs


def test_custom_layers_are_passed_on_and_missing_ones_are_named() -> None:
    with pytest.raises(CustomLayerError, match=r"the model: .*Slow"):
        mle.compare(custom_model(), custom_model(), inputs=[np.ones(3)])
    found = mle.compare(custom_model(), custom_model(), inputs=[np.ones(3)], custom_layers={"Slow": Slow})
    assert found.max_error == 0.0


def test_progress_is_told_and_cancel_stops_a_prediction_that_is_under_way() -> None:
    calls: list[Any] = []
    cancelled = threading.Event()
    Slow.running, Slow.runs = cancelled, 0
    with pytest.raises(Cancelled):
        mle.compare(
            custom_model(layers=9),
            custom_model(layers=9),
            inputs=[np.ones(3)] * 2,
            custom_layers={"Slow": Slow},
            progress=lambda *call: calls.append(call),
            cancelled=cancelled,
        )
    assert calls == [("input 1", 0, 2)]
    assert Slow.runs < 9, "within the first prediction"
    mle.compare(painter(), painter(), [photo(), photo()], progress=lambda *call: calls.append(call))
    assert calls[1:] == [("image 1", 0, 2), ("image 2", 1, 2), ("done", 2, 2)]
