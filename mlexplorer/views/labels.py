"""The words on the boxes of a graph: title, caption, tooltip, and what a screen reader says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlexplorer.graph import Graph, Node
from mlexplorer.views.families import family
from mlexplorer.views.folding import Box, Frame, main_node

STAR = "★"
LONGEST_TITLE = 26
LONGEST_CAPTION = 34


@dataclass(frozen=True)
class Label:
    """What a box says: two short lines, the whole truth as `tooltip`, and the family that gives it its colour."""

    title: str
    caption: str
    tooltip: str
    family: str


def box_label(graph: Graph, box: Box, features: Mapping[str, str] | None = None) -> Label:
    """The label of a box; `features` describes inputs and outputs of the model by name ("image 224 x 224 RGB")."""
    if box.kind in ("input", "output"):
        return _feature_label(box, features or {})
    if box.kind == "network":
        return _network_label(graph, box)
    nodes = [graph.node(node_id) for node_id in box.copies[0]]
    copies = f"stands for {len(box.copies)} equal ones" if len(box.copies) > 1 else ""
    tooltip = "\n".join(filter(None, (*(_node_line(node) for node in nodes), copies)))
    if nodes[0].is_custom:
        return Label(*node_lines(nodes[0]), tooltip, "custom")
    return Label(*chain_lines(nodes), tooltip, family(main_node(nodes).type))


def node_lines(node: Node) -> tuple[str, str]:
    """Title and caption of one layer; of a custom layer, those are the name of its class and its own."""
    if node.custom is not None:
        title = f"{STAR} {clean(node.custom.className) or 'custom'}"
        return shorten(title, LONGEST_TITLE), shorten(node.name, LONGEST_CAPTION)
    return chain_lines([node])


def chain_lines(nodes: Sequence[Node]) -> tuple[str, str]:
    """Title and caption of a chain of layers: the name of the main one, and the types of all."""
    main = main_node(nodes)
    name, caption = main.name or type_name(main), _types(nodes)
    return shorten(name, LONGEST_TITLE), caption if caption != name else ""


def frame_title(frame: Frame) -> str:
    """What a frame says: "× 5", "2 of 5", a chain's main layer, a nested network's name."""
    if frame.kind == "repeat":
        return f"× {frame.count}{' side by side' if frame.parallel else ''}"
    if frame.kind == "copy":
        return f"{frame.index + 1} of {frame.count}"
    return shorten(frame.title, LONGEST_TITLE)


def type_name(node: Node) -> str:
    """The type in the format's words; of activations and unary functions, which function it is: "ReLU"."""
    if node.type == "activation":
        return next(iter(node.parameters), node.type)
    if node.type == "unary":
        return str(node.parameters.get("type", node.type)).lower()
    if node.type == "convolution" and node.parameters.get("isDeconvolution"):
        return "deconvolution"
    return node.type


def shorten(text: str, longest: int) -> str:
    """A name cut to so many characters: the end of a path, which tells layers apart, else both ends."""
    text = clean(text)
    if len(text) <= longest:
        return text
    tail = text[-(longest - 1) :]
    if "/" in text:
        whole_parts = tail[tail.find("/") + 1 :]
        return f"…{whole_parts if len(whole_parts) > longest * 2 // 3 else tail}"
    head = longest // 3
    return f"{text[:head]}…{text[-(longest - 1 - head) :]}"


def clean(text: str) -> str:
    """A name as one line, and without what XML forbids."""
    return " ".join("".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in text).split())


def _types(nodes: Sequence[Node]) -> str:
    names = [type_name(node) for node in nodes]
    shown = len(names)
    while shown > 1 and len(_joined(names, shown)) > LONGEST_CAPTION:
        shown -= 1
    return shorten(_joined(names, shown), LONGEST_CAPTION)


def _joined(names: list[str], shown: int) -> str:
    more = [f"+{len(names) - shown}"] if shown < len(names) else []
    return " · ".join(names[:shown] + more)


def _node_line(node: Node) -> str:
    weights = ", ".join(f"{weight.name} {'×'.join(map(str, weight.shape))}" for weight in node.weights)
    reads, writes = ", ".join(node.inputs), ", ".join(node.outputs)
    kind = f"{node.type} {node.custom.className}" if node.custom else type_name(node)
    parts = (f"{node.name} ({kind})", weights, f"{reads} → {writes}" if reads or writes else "")
    return clean("; ".join(filter(None, parts)))


def _network_label(graph: Graph, box: Box) -> Label:
    count = len(box.copies[0])
    customs = sum(graph.node(node_id).is_custom for node_id in box.copies[0])
    caption = f"{count} layer{'' if count == 1 else 's'}" + (f", {STAR} {customs} custom" if customs else "")
    title = shorten(box.title, LONGEST_TITLE)
    return Label(title, caption, f"{title}: {caption}", "custom" if customs else "network")


def _feature_label(box: Box, features: Mapping[str, str]) -> Label:
    names = box.copies[0]
    if len(names) > 1:
        shown = ", ".join(map(clean, names[:12]))
        return Label(f"{len(names)} {box.kind}s", "select to list them", f"{shown}, …", "feature")
    details = features.get(names[0], "")
    tooltip = clean(f"{box.kind} {names[0]}: {details}" if details else f"{box.kind} {names[0]}")
    return Label(shorten(names[0], LONGEST_TITLE), shorten(details or box.kind, LONGEST_CAPTION), tooltip, "feature")
