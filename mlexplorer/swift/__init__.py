"""Swift skeletons of the classes that an app must bring for a model's custom layers and custom models.

Nothing of a model file becomes code: its texts stand in string literals, in comments of one line, and in names that are
reduced to ASCII letters, digits and underscores.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlexplorer.errors import InputError
from mlexplorer.graph import Node
from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass, CustomModelClass
from mlexplorer.runtime.recording import Recordings, record
from mlexplorer.source_text import comment
from mlexplorer.swift.classes import CustomClass, is_objc_name, layer_class, model_class
from mlexplorer.swift.test_vectors import layer_vector, model_vector
from mlexplorer.swift.text import cut, names

_LONGEST = 300
_TYPES = frozenset(
    """
    Array Bool CVPixelBuffer CoreML Data Double Elements Error Float Float16 Foundation Int Int64
    MLBatchProvider MLCustomLayer MLCustomModel MLDictionaryFeatureProvider MLFeatureProvider MLFeatureValue
    MLModelDescription MLMultiArray MLPredictionOptions MLSequence MemoryLayout NSNumber NSObject Never Optional
    RecordedArray SkeletonError String TestVector UnsafeMutablePointer Void
    """.split()  # noqa: SIM905
)
"""Types that the source uses: a class of the model with such a name gets another one in Swift."""


def swift_source(
    model: Model,
    *,
    inputs: Any = None,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    custom_models: Mapping[str, CustomModelClass] | None = None,
) -> str:
    """Swift source with one class for each custom class of a model: MLCustomLayer or MLCustomModel, to be completed.

    The classes read the parameters and weights that the file gives them; what they compute is left open. The model is
    run once with the Python classes that are registered or given by class name (see `mlexplorer.predict`), on `inputs`,
    or on noise without them. The shapes that the run shows stand in comments, and the first inputs and outputs of each
    Python class become a test vector: arrays of up to 1,024 numbers in full, of larger ones a corner. The source has
    never been compiled, and says so.

    Raises InputError where the model has no custom layers and is no custom model, and, where `inputs` are given, the
    errors of `mlexplorer.predict`. Source: MLCustomLayer and MLCustomModel of Core ML; messages CustomLayerParams and
    CustomModel.
    """
    if not model.graph.custom_layers:
        raise InputError(f"{model!r} has no custom layers and is no custom model: the app needs no classes for it")
    recordings = record(model, inputs, custom_layers, custom_models)
    parts = [_header(model, recordings)]
    for custom in _classes(model):
        first = custom.nodes[0]
        if first.type == "custom":
            parts.append(layer_class(custom, recordings.layers))
            parts.append(layer_vector(first, custom.name, recordings.layers[first.id]))
        else:
            parts.append(model_class(custom))
            parts.append(model_vector(custom.name, recordings.models[first.id]))
    source = "\n\n".join(filter(None, parts))
    return "\n\n".join([source, *_support(source)]) + "\n"


def _header(model: Model, recordings: Recordings) -> str:
    description = model.spec.description.metadata.shortDescription
    lines = [
        "Swift classes for the custom layers of a Core ML model, written by mlexplorer.",
        "",
        "This source is uncompiled: no Swift compiler has seen it. Complete the classes where they throw",
        "SkeletonError.unfinished, and check the rest.",
        "",
        f"The model: {comment(model.path.name) if model.path else 'not saved yet'}, {model.kind}",
        *cut([f"  input  {comment(str(feature), _LONGEST)}" for feature in model.inputs]),
        *cut([f"  output {comment(str(feature), _LONGEST)}" for feature in model.outputs]),
        *([f"  {comment(description, _LONGEST)}"] if description.strip() else []),
        *(["", f"Not all shapes are known: {comment(recordings.ended, _LONGEST)}"] if recordings.ended else []),
    ]
    return "\n".join([*(f"// {line}".rstrip() for line in lines), "", "import CoreML", "import Foundation"])


def _classes(model: Model) -> list[CustomClass]:
    """The classes of a model in the order in which it first needs them."""
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in model.graph.custom_layers:
        groups.setdefault((node.type, str(node.params.className)), []).append(node)
    models = dict(_models(model, ""))
    taken: set[str] = set()
    result = []
    swift_names = names((class_name for _, class_name in groups), "Custom", _TYPES)
    for swift_name, ((_, class_name), nodes) in zip(swift_names, groups.items(), strict=True):
        has_objc_name = is_objc_name(class_name) and class_name not in taken
        result.append(CustomClass(class_name, swift_name, nodes, _innermost(nodes[0], models), has_objc_name))
        taken.add(class_name)
    return result


def _models(model: Model, scope: str) -> Iterator[tuple[str, Model]]:
    """A model and the stages of its pipelines, by scope."""
    yield scope, model
    if model.kind.startswith("pipeline"):
        message = getattr(model.spec, model.kind)
        for index, stage in enumerate((message if model.kind == "pipeline" else message.pipeline).models):
            inner = f"pipeline[{index}]"
            yield from _models(Model(stage, blobs=model.blobs), f"{scope}/{inner}" if scope else inner)


def _innermost(node: Node, models: Mapping[str, Model]) -> Model:
    around = [scope for scope in models if not scope or f"{node.scope}/".startswith(f"{scope}/")]
    return models[max(around, key=len)]


def _support(source: str) -> list[str]:
    """The parts of support.swift that the classes call."""
    text = Path(__file__).with_name("support.swift").read_text(encoding="utf-8")
    parts = re.split(r"^// MARK: (.*)\n", text, flags=re.MULTILINE)[1:]
    return [part.strip() for mark, part in zip(parts[::2], parts[1::2], strict=True) if mark in source]
