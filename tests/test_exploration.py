from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.converters.network import NetworkBuilder
from mlexplorer.errors import Cancelled, CustomLayerError, InputError, UnsupportedError
from mlexplorer.exploration import (
    AHEAD,
    ORIGINAL,
    Calibrated,
    Row,
    Runs,
    Step,
    _quality,
    _ranked,
    sizes,
)
from mlexplorer.exploration import rows as every_row
from mlexplorer.inputs import input_feature, read_inputs
from mlexplorer.runtime.resizing import resize
from tests.checks import one_layer_model
from tests.painter import deep_classifier, deep_painter, painter, photo

DEPTHS = [(scheme, bits) for scheme in ("linear", "lookup_table") for bits in range(1, 9)]


def full(rows: list[Row]) -> dict[tuple[str, int], Row]:
    return {row.key: row for row in rows if row.stage == "full"}


def ranks(probabilities: dict[str, float]) -> dict[str, int]:
    """Ranks from 1, by counting."""
    return {label: 1 + sum(q > p for q in probabilities.values()) for label, p in probabilities.items()}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(every_row(painter(), photo()))


def test_sizes_come_first_then_coarse_pictures_then_full_ones(rows: list[Row]) -> None:
    assert [row.stage for row in rows] == ["size"] * 17 + ["coarse"] * 17 + ["full"] * 17
    for start in (0, 17, 34):
        assert rows[start].key == (ORIGINAL, 32)
        assert [row.key for row in rows[start + 1 : start + 4]] == [("linear", 4), ("lookup_table", 4), ("linear", 5)]
        assert sorted(row.key for row in rows[start + 1 : start + 17]) == DEPTHS


def test_sizes_are_those_of_the_saved_files(rows: list[Row], tmp_path: Path) -> None:
    for row in rows[:17]:
        model = painter()
        if row.scheme != ORIGINAL:
            model = mle.quantize(model, {"linear": mle.Linear, "lookup_table": mle.LookupTable}[row.scheme](row.bits))
        mle.save(model, tmp_path / "model.mlmodel")
        assert (tmp_path / "model.mlmodel").stat().st_size == row.nbytes


def test_pictures_are_the_quantized_models_predictions_and_their_psnr(rows: list[Row]) -> None:
    found = full(rows)
    small = mle.quantize(painter(), mle.LookupTable(bits=3))
    painted = np.asarray(mle.predict(small, {"photo": photo()})["painted"])
    np.testing.assert_array_equal(found["lookup_table", 3].output, painted)
    original = found[ORIGINAL, 32].output.astype(float)
    for key in DEPTHS:
        error = np.mean((original - found[key].output.astype(float)) ** 2)
        expected = 10 * math.log10(255**2 / error) if error else math.inf
        assert found[key].quality == pytest.approx(expected)
        assert found[key].metric == "PSNR"
    assert found["linear", 8].quality > found["linear", 4].quality > found["linear", 1].quality  # type: ignore[operator]


def test_coarse_pictures_have_a_quarter_of_the_pixels(rows: list[Row]) -> None:
    assert {row.output.shape for row in rows if row.stage == "coarse"} == {(20, 32, 3)}
    assert {row.output.shape for row in rows if row.stage == "full"} == {(40, 60, 3)}


@pytest.mark.parametrize(
    ("sizes", "given", "expected"),
    [
        ("range", (960, 640), (480, 320)),
        ("range", (61, 41), (60, 40)),
        ("range", (300, 9), (300, 16)),
        ("listed", (900, 600), (48, 32)),
        ("listed", (200, 310), (20, 30)),
        ("fixed", (500, 500), (48, 32)),
    ],
)
def test_pictures_are_fitted_to_what_the_model_accepts(
    sizes: str, given: tuple[int, int], expected: tuple[int, int]
) -> None:
    feature = input_feature(painter(sizes=sizes))
    fitted = resize(Image.new("RGB", given), feature)
    assert fitted.size == expected
    assert feature.accepts_size(*fitted.size)


def test_a_fixed_size_is_swept_in_full_only() -> None:
    assert {row.stage for row in every_row(painter(sizes="fixed"), photo(), bits=[2])} == {"size", "full"}


def test_classifiers_keep_their_five_best_labels_with_what_the_original_says_of_them() -> None:
    model = painter(classes=7, sizes="fixed")
    found = full(list(every_row(model, photo(), bits=[8, 1])))
    best = found[ORIGINAL, 32].output
    assert [output.name for output in found[ORIGINAL, 32].outputs] == ["chances"], "they tell more than the label"
    picture = resize(Image.fromarray(photo()), input_feature(model))
    probabilities = mle.predict(model, {"photo": picture})
    assert len(best) == 5
    assert best[0][0] == probabilities["label"]
    assert [ranked.probability for ranked in best] == sorted((ranked.probability for ranked in best), reverse=True)
    changed = mle.predict(mle.quantize(model, mle.Linear(bits=1)), {"photo": picture})["chances"]
    before, after = ranks(probabilities["chances"]), ranks(changed)
    union = {label for label in before if before[label] <= 5 or after[label] <= 5}
    output = found["linear", 1].output
    assert [ranked.label for ranked in output] == sorted(union, key=after.__getitem__)
    for label, probability, rank, original, original_rank in output:
        assert (rank, original_rank) == (after[label], before[label])
        assert (probability, original) == (changed[label], probabilities["chances"][label])
    assert found["linear", 8].metric == "SNR"
    assert found["linear", 8].quality > found["linear", 1].quality  # type: ignore[operator]


def test_models_of_arrays_take_arrays() -> None:
    weights = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    model = one_layer_model(
        "innerProduct", {"inputChannels": 3, "outputChannels": 5}, [(2, 3)], weights={"weights": weights}
    )
    values = np.random.default_rng(2).normal(size=(2, 3)).astype(np.float32)
    found = full(list(every_row(model, values, schemes=["linear"], bits=[8, 2])))
    np.testing.assert_allclose(found[ORIGINAL, 32].output, values @ weights.T, rtol=1e-5)
    assert found["linear", 8].quality > found["linear", 2].quality  # type: ignore[operator]
    with pytest.raises(InputError, match=r"an array of shape \[2, 3\], not a picture"):
        list(every_row(model, "photo.jpg", bits=[4]))


def test_what_cannot_run_still_has_sizes() -> None:
    model = painter()
    layer = model.spec.neuralNetwork.layers.add(name="swirl", input=["painted"], output=["swirled"])
    layer.custom.className = "Swirl"
    rows = every_row(mle.load(model.spec), photo())
    assert [next(rows).stage for _ in range(17)] == ["size"] * 17
    with pytest.raises(CustomLayerError, match="Swirl"):
        next(rows)


def test_models_without_weights_to_quantize_have_the_original_size() -> None:
    rows = sizes(mle.load(spec.Model(specificationVersion=1, glmRegressor={})))
    assert next(rows).key == (ORIGINAL, 32)
    with pytest.raises(UnsupportedError, match="glmRegressor"):
        next(rows)


def test_unreadable_pictures_are_named_and_the_others_used(tmp_path: Path) -> None:
    Image.fromarray(photo()).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("not a picture")
    pictures, faults = read_inputs(painter(), tmp_path)
    assert [given.name for given in pictures] == ["good"]
    assert len(faults) == 1
    assert "bad.png" in faults[0]
    (tmp_path / "good.png").unlink()
    with pytest.raises(InputError, match=r"bad\.png"):
        read_inputs(painter(), tmp_path)


def test_done_steps_are_left_out_and_the_chosen_depth_comes_first() -> None:
    runs = Runs(painter(), read_inputs(painter(), [photo(), photo(seed=3)])[0])
    steps = runs.steps(1, start=("linear", 7))
    assert [(step.stage, step.key) for step in steps[:2]] == [("coarse", (ORIGINAL, 32)), ("coarse", ("linear", 7))]
    assert {step.image for step in steps} == {1}
    rest = runs.steps(1, done=[step for step in steps if step.key == ("linear", 7) and step.stage == "full"])
    assert len(rest) == len(steps) - 2, "neither the full picture nor the coarse one that it replaces"
    assert runs.steps(1, done=steps) == []


def test_a_step_can_be_cancelled_from_another_thread() -> None:
    runs = Runs(painter(), read_inputs(painter(), photo())[0])
    step = runs.steps(0)[-1]
    predict = mle.Predictor.predict

    def predict_slowly(self: mle.Predictor, *arguments: object) -> object:
        canceller = threading.Thread(target=runs.cancel)
        canceller.start()
        canceller.join()
        return predict(self, *arguments)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mle.Predictor, "predict", predict_slowly)
        with pytest.raises(Cancelled):
            runs.row(step)
    assert runs.row(step).quality is not None, "the next step runs again"


def test_unknown_schemes_are_refused() -> None:
    with pytest.raises(InputError, match="'octree'"):
        list(every_row(painter(), photo(), schemes=["octree"]))


def test_sizes_that_are_not_known_are_computed_when_they_are_needed() -> None:
    model = painter()
    expected = {row.key: row.nbytes for row in sizes(model)}
    original, (key, nbytes) = (ORIGINAL, 32), next(item for item in expected.items() if item[0][0] != ORIGINAL)
    for given, added in (({}, nbytes), ({original: 5}, nbytes), ({key: 7}, 7)):
        known = dict(given)
        runs = Runs(model, read_inputs(model, photo())[0], known_sizes=known)
        step = next(step for step in runs.steps(0) if step.key == key)
        assert runs.row(step).nbytes == added
        assert known == {original: expected[original], **given, key: added}


def test_a_picture_is_resized_once_for_all_models(monkeypatch: pytest.MonkeyPatch) -> None:
    resized: list[float] = []

    def resize_and_count(*arguments: Any, scale: float = 1.0) -> Any:
        resized.append(scale)
        return resize(*arguments, scale=scale)

    monkeypatch.setattr("mlexplorer.inputs.resize", resize_and_count)
    runs = Runs(painter(), read_inputs(painter(), [photo(), photo(seed=3)])[0], bits=[2, 3])
    for image in (0, 1):
        for step in runs.steps(image):
            runs.row(step)
    assert sorted(resized) == [0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize("calibration", ["noise", [photo(seed=4)]])
@pytest.mark.parametrize(("plain", "kind"), [("linear", mle.Linear), ("lookup_table", mle.LookupTable)])
def test_feedback_is_what_quantize_calibrates_at_the_size_of_the_plain_scheme(
    plain: str, kind: Any, calibration: Any, tmp_path: Path
) -> None:
    model = deep_painter()
    schemes = [plain, f"{plain}_feedback"]
    known = list(every_row(model, photo(), schemes=schemes, bits=[2], calibration=calibration))
    without, feedback = (next(row for row in known[::-1] if row.scheme == scheme) for scheme in schemes)
    small = mle.quantize(model, kind(bits=2), calibration=calibration, progress=False)
    np.testing.assert_array_equal(feedback.output, np.asarray(mle.predict(small, {"photo": photo()})["painted"]))
    mle.save(small, tmp_path / "small.mlmodel")
    assert (tmp_path / "small.mlmodel").stat().st_size == feedback.nbytes == without.nbytes
    assert feedback.quality is not None
    assert without.quality is not None
    assert feedback.quality > without.quality + 2, "it makes up for what was lost"
    assert {row.nbytes for row in known if row.scheme == schemes[1]} == {feedback.nbytes}


def test_a_calibrated_copy_is_made_once_and_not_at_all_when_cancelled() -> None:
    calibrated, layers, cancelled = Calibrated(deep_painter()), [], threading.Event()
    key = ("lookup_table_feedback", 3)

    def cancel_in_the_second_layer(layer: int, count: int) -> None:
        layers.append((layer, count))
        if layer == 2:
            cancelled.set()

    with pytest.raises(Cancelled):
        calibrated.model(key, cancel_in_the_second_layer, cancelled)
    assert layers == [(1, 3), (2, 3)]
    assert key not in calibrated
    found: list[mle.Model] = []
    threads = [threading.Thread(target=lambda: found.append(calibrated.model(key))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[0] is found[1] is calibrated.model(key)
    assert key in calibrated
    assert ("linear_feedback", 3) not in calibrated


def test_labels_of_equal_and_broken_probabilities_have_ranks_in_the_models_order() -> None:
    ranked = _ranked({"a": 0.2, "b": 0.2, "c": 0.6}, {"a": math.nan, "b": 0.5, "c": 0.5})
    assert [(r.label, r.rank, r.original_rank) for r in ranked] == [("b", 1, 3), ("c", 2, 1), ("a", 3, 2)]


def two_headed() -> mle.Model:
    """[5] -> the vector itself times weights, [3], and their sum, a number of one element."""
    network = NetworkBuilder()
    x = network.array_input("x", (5,))
    weights = np.random.default_rng(4).normal(size=(3, 5)).astype(np.float32)
    y = network.add("innerProduct", x, name="y", inputChannels=5, outputChannels=3, weights=weights)
    z = network.add("innerProduct", x, name="z", inputChannels=5, outputChannels=2, weights=weights[:2])
    network.output(y, "y")
    network.output(z, "z")
    return network.model()


def test_what_is_not_finite_is_not_called_equal() -> None:
    nan = math.nan
    for nothing in (np.full((2, 3), nan, np.float32), np.array([math.inf]), {"a": nan, "b": nan}, nan, np.zeros(0)):
        assert _quality(nothing, nothing) == ("SNR", None)
    for some in (np.array([nan, 1.0]), {"a": nan, "b": 0.5}, 3):
        assert _quality(some, some) == ("SNR", math.inf)


def test_all_outputs_are_kept_each_with_its_quality() -> None:
    values = np.linspace(-1, 2, 5).astype(np.float32)
    model = two_headed()
    row = full(list(every_row(model, values, schemes=["linear"], bits=[2])))["linear", 2]
    expected = mle.predict(model, {"x": values})
    small = mle.predict(mle.quantize(model, mle.Linear(bits=2)), {"x": values})
    assert {output.name for output in row.outputs} == {"y", "z"}
    for output in row.outputs:
        noise = np.mean((expected[output.name] - small[output.name]) ** 2)
        signal = np.mean(expected[output.name].astype(float) ** 2)
        assert output.metric == "SNR"
        assert output.quality == pytest.approx(10 * math.log10(signal / noise), rel=1e-4)
        np.testing.assert_array_equal(output.value, small[output.name])
    assert (row.metric, row.quality) == (row.outputs[0].metric, row.outputs[0].quality)


def test_other_pictures_of_a_classifier_are_run_at_every_depth_the_chosen_one_first() -> None:
    model = painter(classes=7, sizes="fixed")
    runs = Runs(model, read_inputs(model, [photo(seed=seed) for seed in range(4)])[0], bits=[3, 6])
    steps = runs.steps_ahead(2, ("linear", 6))
    assert [step.image for step in steps[:3]] == [3, 0, 1]
    keys = list(dict.fromkeys(step.key for step in steps))
    assert keys == [(ORIGINAL, 32), ("linear", 6), ("linear", 3), ("lookup_table", 3), ("lookup_table", 6)]
    assert len(steps) == 15
    assert {step.stage for step in steps} == {"full"}
    assert runs.steps_ahead(2, ("linear", 6), steps[4:]) == steps[:4]


def test_other_pictures_of_other_models_are_run_at_the_chosen_depth_only() -> None:
    runs = Runs(painter(), read_inputs(painter(), [photo(seed=seed) for seed in range(14)])[0], bits=[3, 6])
    steps = runs.steps_ahead(12, ("linear", 6))
    assert [step.key for step in steps] == [(ORIGINAL, 32)] * AHEAD + [("linear", 6)] * AHEAD
    assert [step.image for step in steps[:4]] == [13, 0, 1, 2]
    calibrated = runs.steps_ahead(12, ("linear_feedback", 6))
    assert {step.scheme for step in calibrated} == {ORIGINAL}, "none is calibrated for their sake"


def test_a_depth_is_quantized_once_for_all_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    model = painter(classes=7, sizes="fixed")
    runs = Runs(model, read_inputs(model, [photo(seed=seed) for seed in range(3)])[0], bits=[3, 6])
    quantized: list[Any] = []
    apply = mle.Plan.apply

    def watched(plan: mle.Plan, *arguments: Any) -> mle.Model:
        quantized.append(plan)
        return apply(plan, *arguments)

    monkeypatch.setattr(mle.Plan, "apply", watched)
    rows = [(step, runs.row(step)) for step in runs.steps_ahead(0, ("linear", 6))]
    assert len(quantized) == 4
    for step, row in rows[2:6]:
        assert row.output == full_output(model, step, photo(seed=step.image))


def test_agreement_counts_the_pictures_so_far_that_keep_their_label() -> None:
    model = deep_classifier()
    pictures = [photo(seed=seed) for seed in range(6)]
    fitted = [resize(Image.fromarray(picture), input_feature(model)) for picture in pictures]
    small = mle.quantize(model, mle.LookupTable(bits=3))
    keeps = [mle.predict(model, {"photo": p})["label"] == mle.predict(small, {"photo": p})["label"] for p in fitted]
    assert 0 < sum(keeps) < len(keeps)
    runs = Runs(model, read_inputs(model, pictures)[0])
    found = [runs.row(Step(image, "full", "lookup_table", 3)).agreement for image in range(6)]
    assert [(rate.count, rate.total) for rate in found if rate] == [(sum(keeps[:n]), n) for n in range(1, 7)]
    assert runs.row(Step(2, "full", "lookup_table", 3)).agreement == found[-1], "a picture counts once"
    assert runs.row(Step(2, "full", ORIGINAL, 32)).agreement == 1.0
    for plan, expected in ((mle.Plan.uniform(model, mle.LookupTable(bits=3)), sum(keeps)), (mle.Plan({}), 6)):
        runs.mix(plan)
        rates = [runs.row(Step(image, "full", "mixed", image + 1)).agreement for image in range(6)]
        assert (rates[-1].count, rates[-1].total) == (expected, 6), "another plan is counted anew"  # type: ignore[union-attr]


def test_one_picture_and_other_models_have_no_agreement() -> None:
    for model, pictures in ((painter(classes=7), [photo()]), (painter(), [photo(), photo(seed=2)])):
        runs = Runs(model, read_inputs(model, pictures)[0])
        assert not runs.counts
        assert runs.row(Step(0, "full", "linear", 4)).agreement is None


def full_output(model: mle.Model, step: Step, picture: Any) -> Any:
    """The best labels as a sweep of this picture alone gives them."""
    return full(list(every_row(model, picture, bits=[step.bits] if step.scheme != ORIGINAL else [3])))[step.key].output
