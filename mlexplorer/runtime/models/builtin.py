"""Model types that cannot be run here: what each is, why not, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from mlexplorer.errors import UnsupportedError
from mlexplorer.model import Model
from mlexplorer.runtime.model_type import Settings, runs
from mlexplorer.spec import reflection

_SYSTEM = "the computation is part of Apple's systems and not in the file"
_OPAQUE = "its parameters are in a form that only Apple's systems read"
_LOOK = (
    "It can be looked at and saved; where it is a stage of a pipeline, the other stages run on their own: "
    "mlexplorer.load(stage) takes a stage of the specification's pipeline.models"
)

_PRINTS = {
    "SCENE_VERSION_1": "299x299 pixels to 2048 numbers",
    "SCENE_VERSION_2": "360x360 pixels to 768 numbers",
    "OBJECTS_VERSION_1": "299x299 pixels to two arrays",
    "SOUND_VERSION_1": "sound at 16 kHz to 512 numbers",
}
"""What goes into the system's feature extractors, and what comes out, by the name of the version."""


def _vision_feature_print(model: Model) -> str:
    return f"the system's feature extractor for pictures ({_version(model.spec.visionFeaturePrint)})"


def _audio_feature_print(model: Model) -> str:
    return f"the system's feature extractor for sound ({_version(model.spec.audioFeaturePrint)})"


def _sound_preprocessing(model: Model) -> str:
    kind = model.spec.soundAnalysisPreprocessing.WhichOneof("SoundAnalysisPreprocessingType")
    details = " (vggish: 15600 samples at 16 kHz to a [1, 96, 64] log mel spectrogram)" if kind == "vggish" else ""
    return f"the system's preparation of sound for networks{details}"


def _text_classifier(model: Model) -> str:
    return f"a classifier of texts{_language_facts(model.spec.textClassifier, 'stringClassLabels', 'classes')}"


def _word_tagger(model: Model) -> str:
    return f"a tagger of the words of a text{_language_facts(model.spec.wordTagger, 'stringTags', 'tags')}"


def _gazetteer(model: Model) -> str:
    return f"a list of known words and phrases{_language_facts(model.spec.gazetteer, 'stringClassLabels', 'classes')}"


def _word_embedding(model: Model) -> str:
    return f"a table of words as vectors{_language_facts(model.spec.wordEmbedding)}"


def _linked_model(model: Model) -> str:
    link = model.spec.linkedModel.linkedModelFile
    name, path = link.linkedModelFileName.defaultValue, link.linkedModelSearchPath.defaultValue
    place = f" in {path!r}" if path else ""
    return f"a link to the model file {name!r}{place}" if name else "a link to a model file whose name is not set"


def _ml_program(model: Model) -> str:
    functions = model.spec.mlProgram.functions
    count = sum(len(block.operations) for name in functions for block in functions[name].block_specializations.values())
    return f"an ML Program of {count:,} operations in {_listing('function', sorted(functions))}"


def _serialized_model(model: Model) -> str:
    serialized = model.spec.serializedModel
    return f"a model in a format of its own, {serialized.identifier!r} ({len(serialized.model):,} bytes)"


def _unknown(model: Model) -> str:
    numbers = reflection.unknown_fields(model.spec)
    fields = f" (it has set the field {', '.join(map(str, numbers))})" if numbers else " (no type is set)"
    return f"of no type that this version knows{fields}"


_REFUSED: dict[str, tuple[Callable[[Model], str], str, str]] = {
    "visionFeaturePrint": (_vision_feature_print, _SYSTEM, _LOOK),
    "audioFeaturePrint": (_audio_feature_print, _SYSTEM, _LOOK),
    "soundAnalysisPreprocessing": (_sound_preprocessing, _SYSTEM, _LOOK),
    "textClassifier": (_text_classifier, _OPAQUE, _LOOK),
    "wordTagger": (_word_tagger, _OPAQUE, _LOOK),
    "gazetteer": (_gazetteer, _OPAQUE, _LOOK),
    "wordEmbedding": (_word_embedding, _OPAQUE, _LOOK),
    "linkedModel": (
        _linked_model,
        "what it computes is in that file, which is compiled for Apple's systems",
        "Load the .mlmodel or .mlpackage that the file was compiled from instead",
    ),
    "mlProgram": (_ml_program, "this version runs neural networks and the classic model types", _LOOK),
    "serializedModel": (_serialized_model, "the specification does not say how to read that format", _LOOK),
    "unknown": (
        _unknown,
        "the file is newer than this version, or not complete",
        "Look for a newer version of mlexplorer, or save the model again with coremltools",
    ),
}
"""Model type to what it is, why it cannot be run here and what can be done."""


@runs(*_REFUSED)
def refuse(model: Model, settings: Settings) -> NoReturn:
    """Raises UnsupportedError that says what the model is, why it cannot be run here and what can be done with it."""
    describe, reason, advice = _REFUSED[model.kind]
    subject = "the model" if model.kind == "unknown" else model.kind
    raise UnsupportedError(f"{subject} cannot be run here: it is {describe(model)}, and {reason}. {advice}.")


def _version(message: Any) -> str:
    """The chosen version of a feature extractor: "scene version 1, 299x299 pixels to 2048 numbers"."""
    kind = message.WhichOneof(message.DESCRIPTOR.oneofs[0].name)
    if kind is None:
        return "which one is not set"
    chosen = getattr(message, kind)
    number = chosen.version
    known = chosen.DESCRIPTOR.fields_by_name["version"].enum_type.values_by_number.get(number)
    details = _PRINTS.get(known.name if known else "", "which this version does not know")
    return f"{kind} version {number}, {details}"


def _language_facts(message: Any, labels: str = "", noun: str = "") -> str:
    """Language, revision and classes of a model of the system's language framework, in brackets."""
    facts = [f"language {message.language!r}"] if message.language else []
    facts.append(f"revision {message.revision}")
    if labels and getattr(message, labels).vector:
        facts.append(f"{noun} {_named(getattr(message, labels).vector)}")
    facts.append(f"{len(message.modelParameterData):,} bytes of parameters")
    return f" ({', '.join(facts)})"


def _named(names: Iterable[str], most: int = 5) -> str:
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(repr(name if len(name) <= 40 else name[:37] + "...") for name in listed[:most]) + rest


def _listing(noun: str, names: list[str]) -> str:
    return f"the {noun}{'s' if len(names) != 1 else ''} {_named(names)}" if names else f"no {noun}"
