"""The classes themselves: MLCustomLayer and MLCustomModel, complete but for what they compute."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlexplorer.graph import Node
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.recording import LayerRecording
from mlexplorer.source_text import LISTED, comment, listing
from mlexplorer.swift.members import parameters, weights
from mlexplorer.swift.text import cut, is_keyword, literal

_LONGEST_DESCRIPTION = 300
_LONGEST_NAME = 255
_VALUES = {
    "image": ("imageBufferValue", "CVPixelBuffer"),
    "multiArray": ("multiArrayValue", "MLMultiArray"),
    "double": ("doubleValue", "Double"),
    "int64": ("int64Value", "Int64"),
    "string": ("stringValue", "String"),
    "dictionary": ("dictionaryValue", "[AnyHashable: NSNumber]"),
    "sequence": ("sequenceValue", "MLSequence"),
}
"""The property of MLFeatureValue for a feature type, and its type in Swift."""


@dataclass(frozen=True)
class CustomClass:
    """A class of the app: the layers or models of one class name, and its name in Swift.

    `model` is the innermost model around the first of them; `has_objc_name` tells whether `class_name` stands in @objc.
    """

    class_name: str
    name: str
    nodes: Sequence[Node]
    model: Model
    has_objc_name: bool

    @property
    def where(self) -> str:
        """What to add to what only the first of several layers says."""
        return " in the first of them" if len(self.nodes) > 1 else ""


def is_objc_name(name: str) -> bool:
    """Whether a class name can stand in @objc(...)."""
    return bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)) and not is_keyword(name) and len(name) <= _LONGEST_NAME


def layer_class(custom: CustomClass, recordings: Mapping[str, LayerRecording]) -> str:
    """The MLCustomLayer."""
    first = custom.nodes[0]
    members = parameters(custom.nodes)
    class_weights = weights(custom.nodes, recordings, [parameter.member for parameter in members])
    legacy = getattr(custom.model.spec, custom.model.kind).arrayInputShapeMapping == 0
    axes = "[Seq, Batch, C, H, W]" if legacy else "those of the network's layers"
    return _lines(
        _head(custom, "MLCustomLayer"),
        _indented(4, [parameter.declaration for parameter in members]),
        _indented(4, [weight.declaration for weight in class_weights]),
        [""] if members or class_weights else [],
        "    required init(parameters: [String: Any]) throws {",
        _indented(8, [parameter.assignment for parameter in members]),
        "        super.init()",
        "    }",
        "",
        "    func setWeightData(_ weights: [Data]) throws {",
        _indented(8, _weight_check(custom.nodes)),
        _indented(8, [weight.assignment for weight in class_weights]),
        "    }",
        "",
        "    func outputShapes(forInputShapes inputShapes: [[NSNumber]]) throws -> [[NSNumber]] {",
        _indented(8, cut([f"// {_shapes_text(node, recordings[node.id])}" for node in custom.nodes])),
        f"        // outputs: {listing(first.outputs)}{custom.where}",
        f"        return {_shapes(custom.nodes, recordings)}",
        "    }",
        "",
        "    func evaluate(inputs: [MLMultiArray], outputs: [MLMultiArray]) throws {",
        f"        // the axes are {axes}; write into the outputs",
        _indented(8, _elements(first.inputs, "inputs", "x", custom.where)),
        _indented(8, _elements(first.outputs, "outputs", "y", custom.where)),
        f"        throw SkeletonError.unfinished({literal(comment(custom.class_name))})",
        "    }",
        "",
        "    // To run on the GPU as well, import Metal and add:",
        "    // func encode(commandBuffer: MTLCommandBuffer, inputs: [MTLTexture], outputs: [MTLTexture]) throws",
        "}",
    )


def model_class(custom: CustomClass) -> str:
    """The MLCustomModel."""
    members = parameters(custom.nodes)
    inputs, outputs = custom.model.inputs, custom.model.outputs
    return _lines(
        _head(custom, "MLCustomModel"),
        _indented(4, [parameter.declaration for parameter in members]),
        [""] if members else [],
        "    required init(modelDescription: MLModelDescription, parameters: [String: Any]) throws {",
        _indented(8, [parameter.assignment for parameter in members]),
        "        super.init()",
        "    }",
        "",
        "    func prediction(",
        "        from input: MLFeatureProvider, options: MLPredictionOptions",
        "    ) throws -> MLFeatureProvider {",
        _indented(8, cut([f"let x{index} = {_taken(feature)}" for index, feature in enumerate(inputs)])),
        f"        // return an MLDictionaryFeatureProvider with these values{custom.where}:",
        _indented(8, cut([f"// {comment(literal(feature.name))}: {_kind(feature)}" for feature in outputs])),
        f"        throw SkeletonError.unfinished({literal(comment(custom.class_name))})",
        "    }",
        "",
        "    // Where many inputs at once are faster, add:",
        "    // func predictions(from: MLBatchProvider, options: MLPredictionOptions) throws -> MLBatchProvider",
        "}",
    )


def _lines(*parts: str | Sequence[str]) -> str:
    return "\n".join(line for part in parts for line in ([part] if isinstance(part, str) else part))


def _indented(spaces: int, lines: Sequence[str]) -> list[str]:
    return [" " * spaces + line for line in lines]


def _head(custom: CustomClass, protocol: str) -> list[str]:
    descriptions = dict.fromkeys(node.custom.description for node in custom.nodes if node.custom)
    if protocol == "MLCustomModel":
        users = listing(node.scope or "the whole model" for node in custom.nodes)
    else:
        users = f"the layer{'s' if len(custom.nodes) > 1 else ''} {listing(repr(node.name) for node in custom.nodes)}"
    lines = [comment(text, _LONGEST_DESCRIPTION) for text in list(descriptions)[:LISTED] if text.strip()]
    lines.append(f"For {users}.")
    if not custom.has_objc_name:
        reason = "another class here has" if is_objc_name(custom.class_name) else "cannot stand in @objc"
        lines.append(f"Core ML looks for {comment(repr(custom.class_name))}, a name that {reason}.")
    return [
        *(f"/// {line}" for line in lines),
        *([f"@objc({custom.class_name})"] if custom.has_objc_name else []),
        f"final class {custom.name}: NSObject, {protocol} {{",
    ]


def _weight_check(nodes: Sequence[Node]) -> list[str]:
    counts = {len(node.params.weights) for node in nodes}
    if counts == {0}:
        return ["// there are no weights"]
    fits = f"== {max(counts)}" if len(counts) == 1 else f"<= {max(counts)}"
    return [f'guard weights.count {fits} else {{ throw SkeletonError.weights("\\(weights.count) weights") }}']


def _shapes_text(node: Node, recording: LayerRecording) -> str:
    name = comment(repr(node.name))
    if recording.input_shapes is None:
        return f"{name}: shapes unknown"
    taken = " ".join(str(list(shape)) for shape in recording.input_shapes) or "no inputs"
    if recording.output_shapes is None:
        return f"{name}: {taken} -> unknown without a Python class"
    return f"{name}: {taken} -> {' '.join(str(list(shape)) for shape in recording.output_shapes) or 'no outputs'}"


def _shapes(nodes: Sequence[Node], recordings: Mapping[str, LayerRecording]) -> str:
    """An expression for the outputs' shapes: those of inputs that they share in all layers, else the ones recorded."""
    inputs, outputs = len(nodes[0].inputs), len(nodes[0].outputs)
    runs = [
        (recording.input_shapes or (), recording.output_shapes)
        for recording in (recordings[node.id] for node in nodes)
        if recording.output_shapes is not None
    ]
    terms = []
    for index in range(outputs):
        shapes = [given[index] for _, given in runs if index < len(given)]
        same = [i for i in range(inputs) if shapes and all(i < len(t) and t[i] == g[index] for t, g in runs)]
        if same:
            terms.append(f"inputShapes[{same[0]}]")
        elif len(set(shapes)) == 1:
            terms.append(str(list(shapes[0])))
        else:
            guess = "inputShapes[0]" if inputs else "[1]"
            return f"[{', '.join([guess] * outputs)}]  // a guess"
    return f"[{', '.join(terms)}]  // as in the lines above; other inputs may need other shapes"


def _elements(blobs: Sequence[str], array: str, variable: str, where: str) -> list[str]:
    return cut(
        [
            f"let {variable}{index} = try Elements({array}[{index}])  // {comment(name)}{where}"
            for index, name in enumerate(blobs)
        ]
    )


def _taken(feature: Feature) -> str:
    access = _VALUES.get(feature.type, ("", ""))[0]
    name = literal(feature.name)
    value = f"input.featureValue(for: {name})?" if feature.optional else f"try feature({name}, of: input)"
    return f"{value}.{access}  // {_kind(feature)}" if access else f"{value.rstrip('?')}  // {_kind(feature)}"


def _kind(feature: Feature) -> str:
    kind = _VALUES.get(feature.type, ("", feature.type))[1]
    details = (kind, feature.size_text, feature.color_space or feature.dtype, "or absent" if feature.optional else "")
    return comment(" ".join(filter(None, details)))
