"""Model types that cannot be run: each refusal says what the model is, why, and what can be done."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.errors import UnsupportedError
from mlexplorer.runtime.model_type import RUNNERS
from mlexplorer.runtime.models.builtin import refuse
from tests.checks import fill

SYSTEM = "the computation is part of Apple's systems"
OPAQUE = "only Apple's systems read"
SECRET = b"\x01\x02secret" * 200_000
LANGUAGE = {"language": "en-GB", "revision": 3, "modelParameterData": SECRET}

REFUSALS: list[tuple[str, dict[str, Any], list[str], list[str]]] = [
    # type, fields, what the refusal says, what the representation shows
    (
        "visionFeaturePrint",
        {"scene": {"version": 1}},
        ["(scene version 1, 299x299 pixels to 2048 numbers)", SYSTEM],
        ["SCENE_VERSION_1"],
    ),
    (
        "visionFeaturePrint",
        {"scene": {"version": 2}},
        ["(scene version 2, 360x360 pixels to 768 numbers)"],
        ["SCENE_VERSION_2"],
    ),
    ("visionFeaturePrint", {"scene": {"version": 7}}, ["version 7, which this version does not know"], ["version 7"]),
    (
        "visionFeaturePrint",
        {"objects": {"version": 1, "output": ["near", "far"]}},
        ["(objects version 1, 299x299 pixels to two arrays)"],
        ["OBJECTS_VERSION_1", "'near', 'far'"],
    ),
    ("visionFeaturePrint", {}, ["which one is not set"], []),
    (
        "audioFeaturePrint",
        {"sound": {"version": 1}},
        ["(sound version 1, sound at 16 kHz to 512 numbers)", SYSTEM],
        ["SOUND_VERSION_1"],
    ),
    ("audioFeaturePrint", {"sound": {"version": 0}}, ["version 0, which this version does not know"], []),
    (
        "soundAnalysisPreprocessing",
        {"vggish": {}},
        ["vggish: 15600 samples at 16 kHz to a [1, 96, 64] log mel spectrogram", SYSTEM],
        ["vggish"],
    ),
    ("soundAnalysisPreprocessing", {}, ["the system's preparation of sound for networks, and"], []),
    (
        "textClassifier",
        {**LANGUAGE, "stringClassLabels": {"vector": ["spam", "ham"]}},
        ["language 'en-GB', revision 3, classes 'spam', 'ham', 1,600,000 bytes", OPAQUE],
        ["language 'en-GB'", "'spam', 'ham'", "1600000 bytes"],
    ),
    (
        "wordTagger",
        {**LANGUAGE, "stringTags": {"vector": [f"tag {k}" for k in range(30)]}},
        ["a tagger of the words of a text", "'tag 4' and 25 more", OPAQUE],
        ["language 'en-GB'", "30 values", "1600000 bytes"],
    ),
    (
        "gazetteer",
        {**LANGUAGE, "stringClassLabels": {"vector": ["x" * 90]}},
        ["a list of known words and phrases", f"classes '{'x' * 37}...'", OPAQUE],
        ["revision 3"],
    ),
    ("wordEmbedding", {"revision": 2}, ["a table of words as vectors (revision 2, 0 bytes", OPAQUE], ["revision 2"]),
    (
        "linkedModel",
        {
            "linkedModelFile": {
                "linkedModelFileName": {"defaultValue": "inner.mlmodelc"},
                "linkedModelSearchPath": {"defaultValue": "models:more"},
            }
        },
        ["a link to the model file 'inner.mlmodelc' in 'models:more'", "Load the .mlmodel or .mlpackage"],
        ["inner.mlmodelc", "models:more"],
    ),
    ("linkedModel", {}, ["whose name is not set"], []),
    (
        "serializedModel",
        {"identifier": "com.example", "model": SECRET},
        ["a format of its own, 'com.example' (1,600,000 bytes)"],
        ["com.example", "1600000 bytes"],
    ),
    ("mlProgram", {}, ["an ML Program of 0 operations in no function"], []),
]


@pytest.mark.parametrize(("kind", "fields", "said", "shown"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_a_refusal_states_the_facts_and_so_does_the_representation(
    kind: str, fields: dict[str, Any], said: list[str], shown: list[str]
) -> None:
    message = spec.Model(specificationVersion=4)
    getattr(message, kind).SetInParent()
    fill(getattr(message, kind), fields)
    model = mle.load(message)
    with pytest.raises(UnsupportedError) as refusal:
        mle.Predictor(model)
    text = str(refusal.value)
    assert text.startswith(f"{kind} cannot be run here: it is ")
    for part in (*said, "It can be looked at and saved" if kind != "linkedModel" else "instead"):
        assert part in text
    assert len(text) < 700
    bundle = model._repr_mimebundle_()
    for part in shown:
        assert part in bundle["text/plain"]
    for representation in (*bundle.values(), repr(model.graph.nodes), str([n.parameters for n in model.graph.nodes])):
        assert len(representation) < 4000
        assert "secret" not in representation


def test_every_type_of_model_is_run_or_refused_with_facts() -> None:
    kinds = {field.name for field in spec.Model.DESCRIPTOR.oneofs_by_name["Type"].fields}
    assert {*kinds, "unknown"} == set(RUNNERS)
    assert {kind for kind, runner in RUNNERS.items() if runner is refuse} == {"unknown", *(row[0] for row in REFUSALS)}


def test_a_type_that_is_newer_and_one_that_is_not_set() -> None:
    message = spec.Model(specificationVersion=12)
    with pytest.raises(UnsupportedError, match=r"of no type that this version knows \(no type is set\)"):
        mle.Predictor(mle.load(message))
    message.MergeFromString(bytes([0b10000010, 0b11111010, 1, 2, 8, 1]))  # field 4000, a message
    model = mle.load(message)
    with pytest.raises(UnsupportedError, match=r"it has set the field 4000\).* newer version of mlexplorer"):
        mle.Predictor(model)
    assert "unknown" in model._repr_mimebundle_()["text/plain"]


def test_the_other_stages_of_a_pipeline_run_as_the_refusal_says() -> None:
    message = spec.Model(specificationVersion=4)
    stages = message.pipelineClassifier.pipeline.models
    stages.add(specificationVersion=4).visionFeaturePrint.scene.version = 1
    machine = stages.add(specificationVersion=4)
    fill(
        machine.supportVectorClassifier,
        {
            "kernel": {"linearKernel": {}},
            "denseSupportVectors": {"vectors": [{"values": [1.0, -1.0]}]},
            "numberOfSupportVectorsPerClass": [1, 0],
            "coefficients": [{"alpha": [1.0]}],
            "rho": [0.5],
            "stringClassLabels": {"vector": ["first", "second"]},
        },
    )
    machine.description.input.add(name="x").type.multiArrayType.shape.append(2)
    machine.description.output.add(name="label").type.stringType.SetInParent()
    machine.description.predictedFeatureName = "label"
    with pytest.raises(UnsupportedError, match=r"pipeline\[0\].*mlexplorer.load\(stage\) takes a stage of"):
        mle.Predictor(mle.load(message))
    stage = mle.load(message.pipelineClassifier.pipeline.models[1])
    assert mle.predict(stage, np.array([3.0, 1.0])) == {"label": "first"}
    assert mle.predict(stage, np.array([1.0, 1.0])) == {"label": "second"}


CORPUS = [
    ("mlmodel/MoonAndEye+CreateMLDemo", "scene version 1, 299x299 pixels to 2048 numbers|a classifier of texts"),
    ("mlpackage/john-rocky+CoreML-Models", r"an ML Program of [\d,]+ operations in the function 'main'"),
]


@pytest.mark.parametrize(("folder", "pattern"), CORPUS, ids=[row[0] for row in CORPUS])
def test_real_models(folder: str, pattern: str, corpus: Path) -> None:
    paths = sorted((corpus / folder).iterdir())
    assert paths
    for path in paths:
        model = mle.load(path)
        with pytest.raises(UnsupportedError) as refusal:
            mle.Predictor(model)
        assert re.search(pattern, str(refusal.value))
        assert len(model._repr_mimebundle_()["text/html"]) < 100_000
