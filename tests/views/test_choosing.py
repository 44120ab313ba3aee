"""Targets and plans: what the page is told, and what its answers do to the explorer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.views.choosing import AS_IT_IS, Choosing, bits_of_plan, frontier_data, layers_data, plan_of_bits
from mlexplorer.views.explorer import Explorer
from tests.painter import deep_classifier, deep_painter, photo
from tests.views.page import Page

SECONDS = 120


@pytest.fixture
def explorer() -> Iterator[Explorer]:
    explorer = Explorer(deep_painter(), photo())
    assert explorer.wait(SECONDS)
    yield explorer
    explorer.close()


def last(view: Choosing, kind: str) -> dict[str, object]:
    return [content for content, _ in view.recorded() if content["type"] == kind][-1]


def test_bits_by_layer_and_plans_are_two_ways_to_say_the_same() -> None:
    model = deep_painter()
    layers = [layer["id"] for layer in layers_data(model)]
    assert layers == list(dict.fromkeys(n.id for n, _, _ in mle.Plan.uniform(model, mle.Linear(4)).assignments(model)))
    bits = {layer: (index % 8) + 1 for index, layer in enumerate(layers)} | {layers[-1]: AS_IT_IS}
    plan = plan_of_bits(model, bits, "linear")
    assert bits_of_plan(model, plan) == bits
    assert {type(scheme) for scheme in plan.schemes.values()} == {mle.Linear}
    assert not any(key.startswith(f"{layers[-1]}:") for key in plan.schemes)
    assert bits_of_plan(model, mle.Plan({})) == dict.fromkeys(layers, AS_IT_IS)


def test_a_plan_of_the_page_is_run_saved_and_said_in_python(explorer: Explorer, tmp_path: object) -> None:
    model = explorer.model
    layers = [layer["id"] for layer in layers_data(model)]
    bits = dict.fromkeys(layers, 2) | {layers[0]: 7, layers[1]: AS_IT_IS}
    Page(explorer.choosing).say(type="plan", bits=bits, scheme="lookup_table")
    assert explorer.wait(SECONDS)
    assert explorer.scheme == "mixed"
    assert explorer.plan == plan_of_bits(model, bits)
    (row,) = [row for row in explorer.results if row.scheme == "mixed" and row.stage == "full"]
    made = explorer.plan.apply(model)
    assert row.nbytes == made.size == explorer.quantized().size
    assert row.quality == pytest.approx(mle.compare(model, made, photo(), progress=False).psnr, abs=1e-6)
    assert last(explorer.choosing, "plan") | {"serial": 0} == {
        "type": "plan",
        "bits": bits,
        "scheme": "lookup_table",
        "nbytes": made.size,
        "serial": 0,
    }
    said = [content for content, _ in explorer.controls.recorded() if content["type"] == "plan"][-1]
    assert said["weights"] == {key: scheme.bits for key, scheme in explorer.plan.schemes.items()}


def test_a_mixed_plan_is_rounded_with_error_feedback_where_the_page_asks_for_it(
    explorer: Explorer, tmp_path: Path
) -> None:
    model = explorer.model
    layers = [layer["id"] for layer in layers_data(model)]
    controls = Page(explorer.controls)
    controls.say(type="feedback", on=True)
    assert explorer.wait(SECONDS)
    assert explorer.scheme == "lookup_table", "there is no mixed plan yet"
    plan = plan_of_bits(model, dict(zip(layers, (3, 2, 4), strict=True)))
    explorer.take(plan)
    assert explorer.wait(SECONDS)
    qualities = {}
    for on in (True, False):
        controls.say(type="feedback", on=on)
        assert explorer.wait(SECONDS)
        assert (explorer.scheme, explorer.plan) == ("mixed", plan)
        small = mle.quantize(model, plan, calibration="noise" if on else None, progress=False)
        (row,) = [row for row in explorer.results if row.scheme == "mixed" and row.stage == "full"]
        qualities[on] = row.quality
        assert row.quality == pytest.approx(mle.compare(model, small, photo(), progress=False).psnr, abs=1e-6)
        saved = mle.load(explorer.save(tmp_path / f"{on}.mlmodel"))
        for weight in small.graph.weights:
            np.testing.assert_array_equal(saved.graph.node(weight.node).weight(weight.name).array(), weight.array())
        said = [content for content, _ in explorer.controls.recorded() if content["type"] == "plan"][-1]
        assert said["feedback"] == on
        drawn, _ = next(m for m in reversed(list(explorer.histogram.recorded())) if m[0]["type"] == "plan")
        assert len(drawn["made"]) == (len(plan.schemes) if on else 0), "its own levels are drawn"
    assert qualities[True] != qualities[False]
    changed = plan_of_bits(model, dict.fromkeys(layers, 5))
    controls.say(type="feedback", on=True)
    explorer.take(changed)
    assert explorer.wait(SECONDS)
    wanted = mle.quantize(model, changed, calibration="noise", progress=False)
    assert explorer.quantized().spec == wanted.spec, "the next plan is rounded in the same way"


def test_another_plan_takes_the_place_of_the_one_before(explorer: Explorer) -> None:
    for bits in (3, 5):
        explorer.take(mle.Plan.uniform(explorer.model, mle.LookupTable(bits)))
        assert explorer.wait(SECONDS)
        known = {row.key: row for row in explorer.results if row.stage == "full"}
        mixed = next(row for row in known.values() if row.scheme == "mixed")
        assert mixed.quality == known["lookup_table", bits].quality
        assert mixed.nbytes == known["lookup_table", bits].nbytes


def test_what_is_found_keeps_the_target_and_its_frontier_can_be_taken(explorer: Explorer) -> None:
    Page(explorer.choosing).say(type="find", target=25.0)
    assert explorer.wait(SECONDS)
    assert last(explorer.choosing, "search")["state"] == "done"
    assert explorer.scheme == "mixed"
    uniform = min(r.nbytes for r in explorer.results if r.scheme == "lookup_table" and r.quality and r.quality >= 25)
    mixed = next(row for row in explorer.results if row.scheme == "mixed" and row.stage == "full")
    assert mixed.nbytes <= uniform
    shown = {c["name"]: c["values"] for c, _ in explorer.graph.recorded() if c["type"] == "values"}
    assert set(shown["sensitivity"]) == {layer["id"] for layer in layers_data(explorer.model)}
    assert (
        shown["bits"].items()
        >= {k: v for k, v in bits_of_plan(explorer.model, explorer.plan).items() if v != 32}.items()
    )
    choices = last(explorer.choosing, "frontier")["choices"]
    assert isinstance(choices, list)
    assert [choice["nbytes"] for choice in choices] == sorted(choice["nbytes"] for choice in choices)
    Page(explorer.curve).say(type="plan", bits=choices[0]["bits"], scheme="lookup_table")
    assert explorer.wait(SECONDS)
    assert explorer.plan == plan_of_bits(explorer.model, choices[0]["bits"])


@pytest.mark.parametrize("change", ["bits of a layer", "rounding", "another plan"])
def test_what_was_found_is_said_no_longer_once_the_plan_is_another(explorer: Explorer, change: str) -> None:
    explorer.find(25.0)
    assert explorer.wait(SECONDS)
    assert "keep 25 dB" in str(last(explorer.choosing, "search")["text"])
    if change == "rounding":
        Page(explorer.controls).say(type="feedback", on=True)
    elif change == "another plan":
        explorer.take(mle.Plan({}))
    else:
        bits = {**bits_of_plan(explorer.model, explorer.plan), layers_data(explorer.model)[0]["id"]: 7}
        Page(explorer.choosing).say(type="plan", bits=bits, scheme="lookup_table")
    assert last(explorer.choosing, "search")["text"] == ""
    assert explorer.wait(SECONDS)


@pytest.mark.parametrize("kind", [mle.Linear, mle.LookupTable])
def test_of_a_classifier_the_target_is_the_share_of_pictures_that_keep_their_label(
    kind: type[mle.Scheme], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, pictures = deep_classifier(), [photo(seed=seed) for seed in range(6)]
    explorer = Explorer(model, pictures, scheme=kind.name)
    assert explorer.wait(SECONDS)
    assert last(explorer.choosing, "layers")["classifies"]
    for target in (0.8, 1.0):
        Page(explorer.choosing).say(type="find", target=target)
        assert explorer.wait(SECONDS)
        assert {type(scheme) for scheme in explorer.plan.schemes.values()} == {kind}
        rate = mle.compare(model, explorer.quantized(), pictures, progress=False).top1_agreement
        assert rate >= target
        found = last(explorer.choosing, "search")
        kept = f"keep {target * 100:g} % of the labels on 6 pictures: {rate.count} of 6."
        assert found["text"] == f"{explorer.quantized().size / 1e6:.3f} MB {kept}"
        counted = [row.agreement for row in explorer.results if row.scheme == "mixed" and row.agreement is not None]
        assert max(counted, key=lambda one: one.total) == rate
        choices = last(explorer.choosing, "frontier")["choices"]
        assert isinstance(choices, list)
        assert {choice["scheme"] for choice in choices} == {kind.name}
        assert choices[-1]["agreement"] | {"low": 0} == {"count": 6, "total": 6, "low": 0, "high": 1.0}
        monkeypatch.setattr(
            "mlexplorer.views.computation.sweep", None
        )  # each layer is measured for the first target only
    explorer.close()


def test_with_one_picture_a_classifiers_target_is_in_dB() -> None:
    explorer = Explorer(deep_classifier(), photo())
    assert explorer.wait(SECONDS)
    assert all(row.agreement is None for row in explorer.results)
    explorer.find(20.0)
    assert explorer.wait(SECONDS)
    assert "20 dB" in str(last(explorer.choosing, "search")["text"])
    assert all(choice["agreement"] is None for choice in last(explorer.choosing, "frontier")["choices"])  # type: ignore[attr-defined]
    explorer.close()


def test_a_target_that_nothing_keeps_is_said(explorer: Explorer) -> None:
    explorer.find(500.0)
    assert explorer.wait(SECONDS)
    said = last(explorer.choosing, "search")
    assert (said["state"], said["text"]) == (
        "failed",
        "Only the original keeps 500 dB on image 1, at a quarter of its pixels.",
    )
    assert explorer.scheme == "lookup_table"


def test_a_frontier_is_plain_data() -> None:
    model = deep_painter()
    found = mle.recommend(model, [photo()], psnr=20, bits=(2, 8), progress=False)
    data = frontier_data(model, found)
    assert [entry["nbytes"] for entry in data] == [choice.nbytes for choice in found.frontier]
    assert all(plan_of_bits(model, e["bits"]) == c.plan for e, c in zip(data, found.frontier, strict=True))
