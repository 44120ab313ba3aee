"""What to say where a custom layer or a custom model has no Python class: a class to paste and to fill in."""

from __future__ import annotations

import keyword
import re
from collections.abc import Sequence
from typing import Any

from mlexplorer.graph import Node

_LISTED = 20
_SHOWN = 3


def missing_layers_text(nodes: Sequence[Node]) -> str:
    """The message for custom layers whose classes are missing: which, and stubs of the first three classes."""
    classes = {node.params.className: node for node in reversed(nodes)}
    names = ", ".join(f"{node.name!r} (class {node.params.className!r})" for node in nodes[:_LISTED])
    rest = f" and {len(nodes) - _LISTED} more" if len(nodes) > _LISTED else ""
    first = nodes[0].params.className
    stubs = "\n\n".join(layer_stub(node) for node in list(classes.values())[::-1][:_SHOWN])
    return (
        f"custom layers without a Python class: {names}{rest}; register one with @mlexplorer.custom_layer({first!r}), "
        f"or pass custom_layers={{{first!r}: class}}. To begin with, paste and fill in:\n\nimport mlexplorer as mle\n\n"
        f"{stubs}"
    )


def missing_model_text(node: Node) -> str:
    """The message for a custom model whose class is missing, with a stub of it."""
    name = node.params.className
    return (
        f"the custom model has no Python class {name!r}; register one with @mlexplorer.custom_model({name!r}), or pass "
        f"custom_models={{{name!r}: class}}. To begin with, paste and fill in:\n\nimport mlexplorer as mle\n\n"
        f"{model_stub(node)}"
    )


def layer_stub(node: Node) -> str:
    """The source of a `CustomLayer` for this layer, with its parameters, weights, inputs and outputs filled in."""
    inputs, outputs = _listing(node.inputs), _listing(node.outputs)
    weights = [f"{weight.name}: {weight.count} values" for weight in node.weights]
    names = _distinct([f"weight_{index}" for index in range(len(weights))])
    unpacked = "".join(f"self.{name}, " for name in names).rstrip(" ")
    lines = [
        *_head("custom_layer", node),
        "    def set_weights(self, weights):",
        f"        {unpacked} = weights  # flat float32 arrays, {_comment('; '.join(weights))}"
        if weights
        else "        pass",
        "",
        "    def output_shapes(self, input_shapes):",
        f"        # The shapes of {outputs} for those of {inputs}",
        f"        return [input_shapes[0]] * {len(node.outputs)}",
        "",
        "    def evaluate(self, inputs):",
        *_body(f"compute {outputs} from {inputs}"),
    ]
    return "\n".join(lines)


def model_stub(node: Node) -> str:
    """The source of a `CustomModel` for this custom model, with its parameters, inputs and outputs filled in."""
    lines = [
        *_head("custom_model", node),
        "    def predict(self, inputs):",
        *_body(
            f"return a dictionary with {_listing(node.outputs)}, computed from inputs[...]: {_listing(node.inputs)}"
        ),
    ]
    return "\n".join(lines)


def _head(decorator: str, node: Node) -> list[str]:
    custom = node.custom
    parameters = dict(custom.parameters) if custom else {}
    description = _comment(custom.description) if custom else ""
    fields = _distinct([_identifier(name) for name in parameters])
    return [
        f"@mle.{decorator}({node.params.className!r})",
        f"class {_identifier(node.params.className).lstrip('_') or 'Custom'}:",
        *([f"    # {description}", ""] if description else []),
        "    def __init__(self, parameters):",
        *(
            f"        self.{name} = parameters[{key!r}]  # {_comment(_short(value))}"
            for name, (key, value) in zip(fields, parameters.items(), strict=True)
        ),
        *([] if parameters else ["        pass"]),
        "",
    ]


def _body(task: str) -> list[str]:
    return [f"        raise NotImplementedError({_comment(task)!r})"]


def _listing(names: Sequence[str]) -> str:
    return _comment(", ".join(names) or "nothing")


def _comment(text: str) -> str:
    """Text of a model file on one line: it must not end the comment that it stands in."""
    return "".join(c if c.isprintable() else " " for c in text)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _identifier(text: str) -> str:
    name = re.sub(r"[^0-9A-Za-z_]+", "_", text)
    return f"_{name}" if not name or name[0].isdigit() or keyword.iskeyword(name) else name


def _distinct(names: Sequence[str]) -> list[str]:
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return result
