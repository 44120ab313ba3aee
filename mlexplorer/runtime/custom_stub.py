"""What to say where a custom layer or a custom model has no Python class: a class to paste and to fill in.

Nothing of a model file becomes code: its texts stand in literals, in comments of one line, and in names that are
reduced to ASCII letters, digits and underscores and kept apart from the names that the class itself uses.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlexplorer.graph import Node
from mlexplorer.model import Feature
from mlexplorer.source_text import LISTED, comment, identifiers, listing

_SHOWN = 3
_LONGEST_DESCRIPTION = 300
_LONGEST_BLOCK = 50
"""Lines for inputs, outputs, parameters or weights."""

_TAKEN = frozenset({"evaluate", "mle", "NotImplementedError", "output_shapes", "predict", "self", "set_weights"})
_LEGACY = "[Seq, Batch, C, H, W]"
_EXACT = "as the network's layers have them"


def missing_layers_text(nodes: Sequence[Node], *, legacy: bool = False) -> str:
    """The message for custom layers whose classes are missing: which, and stubs of the first three classes.

    `legacy` says whether the network maps its inputs to five axes.
    """
    classes: dict[str, list[Node]] = {}
    for node in nodes:
        classes.setdefault(node.params.className, []).append(node)
    names = ", ".join(f"{node.name!r} (class {node.params.className!r})" for node in nodes[:LISTED])
    rest = f" and {len(nodes) - LISTED} more" if len(nodes) > LISTED else ""
    first = nodes[0].params.className
    stubs = "\n\n\n".join(layer_stub(*group, legacy=legacy) for group in list(classes.values())[:_SHOWN])
    more = f"\n\n\n# {len(classes) - _SHOWN} more classes are needed" if len(classes) > _SHOWN else ""
    return (
        f"custom layers without a Python class: {names}{rest}; register one with @mlexplorer.custom_layer({first!r}), "
        f"or pass custom_layers={{{first!r}: class}}. To begin with, paste and fill in:\n\nimport mlexplorer as mle\n\n"
        f"\n{stubs}{more}"
    )


def missing_model_text(node: Node, inputs: Sequence[Feature], outputs: Sequence[Feature]) -> str:
    """The message for a custom model whose class is missing, with a stub of it."""
    name = node.params.className
    return (
        f"the custom model has no Python class {name!r}; register one with @mlexplorer.custom_model({name!r}), or pass "
        f"custom_models={{{name!r}: class}}. To begin with, paste and fill in:\n\nimport mlexplorer as mle\n\n"
        f"\n{model_stub(node, inputs, outputs)}"
    )


def layer_stub(node: Node, *others: Node, legacy: bool = False) -> str:
    """The source of a `CustomLayer` for this layer, and others of its class, with what the file says filled in."""
    axes = _LEGACY if legacy else _EXACT
    users = listing(repr(layer.name) for layer in (node, *others))
    where = " in the first of them" if others else ""
    first = "input_shapes[0]" if node.inputs else "(1,)"
    lines = [
        *_head("custom_layer", node, f"for the layer{'s' if others else ''} {users}"),
        "    def set_weights(self, weights):",
        *_assigned_weights(node),
        "",
        "    def output_shapes(self, input_shapes):",
        f"        # one shape for each output: {listing(node.outputs)}{where}",
        f"        return [{first}]" + (f" * {len(node.outputs)}" if len(node.outputs) != 1 else ""),
        "",
        "    def evaluate(self, inputs):",
        f"        # arrays are float32, {axes}",
        *_cut(
            [f"        x{index} = inputs[{index}]  # {comment(name)}{where}" for index, name in enumerate(node.inputs)]
        ),
        *_raise(f"compute and return [{listing(node.outputs)}]"),
    ]
    return "\n".join(lines)


def model_stub(node: Node, inputs: Sequence[Feature], outputs: Sequence[Feature]) -> str:
    """The source of a `CustomModel` for this custom model, with its parameters, inputs and outputs filled in."""
    lines = [
        *_head("custom_model", node, "for the whole model"),
        "    def predict(self, inputs):",
        *_cut([f"        x{index} = {_taken(feature)}  # {_kind(feature)}" for index, feature in enumerate(inputs)]),
        "        # return a dictionary with",
        *_cut([f"        # {comment(repr(feature.name))}: {_kind(feature)}" for feature in outputs]),
        *_raise(f"compute and return {listing(repr(feature.name) for feature in outputs)}"),
    ]
    return "\n".join(lines)


def _head(decorator: str, node: Node, purpose: str) -> list[str]:
    custom = node.custom
    parameters = dict(custom.parameters) if custom else {}
    description = comment(custom.description, _LONGEST_DESCRIPTION) if custom else ""
    fields = identifiers(parameters, "parameter", _TAKEN)
    return [
        f"@mle.{decorator}({node.params.className!r})",
        f"class {identifiers([node.params.className], 'Custom', _TAKEN)[0]}:",
        *([f"    # {description}"] if description.strip() else []),
        f"    # {comment(purpose, _LONGEST_DESCRIPTION)}",
        "",
        "    def __init__(self, parameters):",
        *_cut(
            [
                f"        self.{name} = parameters[{key!r}]  # {comment(repr(value))}"
                for name, (key, value) in zip(fields, parameters.items(), strict=True)
            ]
        ),
        *([] if parameters else ["        pass  # there are no parameters"]),
        "",
    ]


def _assigned_weights(node: Node) -> list[str]:
    if not node.weights:
        return ["        pass  # there are no weights"]
    taken = identifiers(node.custom.parameters, "parameter", _TAKEN) if node.custom else []
    names = identifiers([f"weight_{index}" for index in range(len(node.weights))], "weight", {*_TAKEN, *taken})
    return [
        "        # flat float32 arrays; the file does not say their shapes, so reshape them",
        *_cut(
            [
                f"        self.{name} = weights[{index}]  # {weight.count:,} values"
                for index, (name, weight) in enumerate(zip(names, node.weights, strict=True))
            ]
        ),
    ]


def _raise(task: str) -> list[str]:
    return [f"        raise NotImplementedError({comment(task, _LONGEST_DESCRIPTION)!r})"]


def _cut(lines: list[str]) -> list[str]:
    rest = len(lines) - _LONGEST_BLOCK
    return [*lines[:_LONGEST_BLOCK], f"        # and {rest} more"] if rest > 0 else lines


def _taken(feature: Feature) -> str:
    return f"inputs.get({feature.name!r})" if feature.optional else f"inputs[{feature.name!r}]"


def _kind(feature: Feature) -> str:
    """The Python type of a feature's value."""
    keys = "str" if feature.dtype == "string" else "int"
    kinds = {
        "image": f"a PIL image of {feature.size_text} pixels",
        "multiArray": f"a NumPy array of {feature.dtype or 'numbers'}, {feature.size_text or 'any shape'}",
        "double": "a float",
        "int64": "an int",
        "string": "a str",
        "dictionary": f"a dict from {keys} to float",
        "sequence": f"a list of {keys}",
    }
    return comment(kinds.get(feature.type, feature.type) + (", or None" if feature.optional else ""))
