"""A folded graph as an SVG file: DOT by the package graphviz, coordinates by `dot` or `graphviz-pure`.

The page needs none of this: it lays out what is open by itself, in `static/graph_layout.js`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import graphviz

from mlexplorer.errors import MissingDependencyError, ModelError
from mlexplorer.graph import Graph
from mlexplorer.views.folding import Box, Folded, Frame
from mlexplorer.views.labels import Label, box_label, clean, frame_title

TIMEOUT = 60.0
"""Seconds that a layout may take."""

COLOURS: Mapping[str, str] = {
    "convolution": "#2f6fde",
    "dense": "#6d4fd0",
    "normalization": "#0f9488",
    "activation": "#c98208",
    "pooling": "#2f9e44",
    "arithmetic": "#66758a",
    "reduction": "#7a8a1f",
    "reshaping": "#94705a",
    "resampling": "#0b93bd",
    "recurrent": "#b04bc4",
    "constant": "#8b929a",
    "control": "#a8500f",
    "classic": "#3c7a89",
    "custom": "#d6156c",
    "unknown": "#c2251a",
    "network": "#53648c",
    "feature": "#4a4f57",
}
"""The colour of each family on white; views mix it with their theme's background."""

_FONT = "Helvetica"
_INK, _PALE = "#1c1c1e", "#5c626b"


def to_dot(graph: Graph, folded: Folded, features: Mapping[str, str] | None = None) -> str:
    """The drawing in the DOT language: boxes are nodes ("n12"), frames are clusters, arrows have no labels."""
    drawing = graphviz.Digraph()
    drawing.attr(
        "graph", bgcolor="transparent", nodesep="0.28", ranksep="0.34", pad="0.1", fontname=_FONT, fontsize="11"
    )
    drawing.attr("node", shape="box", style="rounded,filled", fontname=_FONT, fontsize="11", margin="0.2,0.08")
    drawing.attr("edge", arrowsize="0.6", color="#7c828b", penwidth="1.1")
    _draw(drawing, folded.children, graph, features)
    for edge in folded.edges:
        style = {"style": "dashed", "arrowhead": "open"} if edge.nested else {}
        drawing.edge(edge.source, edge.target, **style)
    return str(drawing.source)


def _draw(
    drawing: graphviz.Digraph, items: Sequence[Box | Frame], graph: Graph, features: Mapping[str, str] | None
) -> None:
    for item in items:
        if isinstance(item, Box):
            label = box_label(graph, item, features)
            drawing.node(item.key, _two_lines(label), id=item.key, **_box_style(item, label))
            continue
        with drawing.subgraph(name=f"cluster_{item.key}") as frame:
            title = f"<<B>{_text(frame_title(item))}</B>>"
            frame.attr("graph", id=item.key, label=title, labeljust="l", margin="10", **_frame_style(item))
            frame.attr("graph", **{"class": " ".join((item.kind, *["opened"] * item.opened))})
            _draw(frame, item.children, graph, features)


def _two_lines(label: Label) -> str:
    title = f'<FONT COLOR="{_INK}"><B>{_text(label.title)}</B></FONT>'
    caption = f'<BR/><FONT POINT-SIZE="9" COLOR="{_PALE}">{_text(label.caption)}</FONT>'
    return f"<{title}{caption if label.caption else ''}>"


def _text(text: str) -> str:
    """Text for an HTML-like label; something invisible keeps Graphviz from expanding \\N and its like."""
    return escape(text.replace("\\", "\\\u2060")) or " "


def _box_style(box: Box, label: Label) -> dict[str, str]:
    colour = COLOURS[label.family]
    style = {"color": colour, "fillcolor": _tint(colour, 0.13), "class": f"{box.kind} {label.family}"}
    if label.family == "custom":
        style |= {"penwidth": "3.5", "fillcolor": _tint(colour, 0.2)}
    elif label.family == "feature":
        style |= {"penwidth": "1.2", "fillcolor": "#ffffff", "style": "rounded,filled,dashed"}
    return style


def _frame_style(frame: Frame) -> dict[str, str]:
    style = {
        "style": "rounded,filled",
        "color": "#9aa1ab",
        "fillcolor": "#f6f7f8",
        "fontcolor": _PALE,
        "fontsize": "10",
    }
    if frame.kind == "repeat":
        style |= {"color": "#6b7280", "penwidth": "1.4", "fontcolor": _INK, "fontsize": "13"}
    elif frame.kind in ("copy", "chain"):
        style |= {"style": "rounded,filled,dashed"}
    return style


def _tint(colour: str, share: float) -> str:
    parts = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 + (part - 255) * share):02x}" for part in parts)


@cache
def layout_command() -> str:
    """The path of Graphviz's `dot`, else of the command that the package graphviz-pure installs.

    Raises MissingDependencyError where there is neither.
    """
    found = shutil.which("dot") or shutil.which("graphviz-pure")
    if found is None:
        found = shutil.which("graphviz-pure", path=sysconfig.get_path("scripts"))
    if found is None:
        raise MissingDependencyError(
            "drawing a graph needs Graphviz: run `pip install graphviz-pure`, or put the command `dot` on PATH"
        )
    return found


def lay_out(dot: str, *, timeout: float = TIMEOUT) -> str:
    """The SVG that Graphviz draws from DOT text.

    Raises MissingDependencyError where no layout command is installed or it cannot be started, ModelError where it
    fails or takes longer than `timeout` seconds.
    """
    command = layout_command()
    try:
        done = subprocess.run([command, "-Tsvg"], input=dot.encode(), capture_output=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        raise ModelError(
            f"the layout of the graph took longer than {timeout:g} s; show it folded, or show a part of the model"
        ) from None
    except OSError as error:
        raise MissingDependencyError(
            f"the layout command {command} cannot be started ({error}); install graphviz-pure with pip, or Graphviz"
        ) from error
    if done.returncode or b"<svg" not in done.stdout:
        message = done.stderr.decode(errors="replace").strip().splitlines()
        raise ModelError(f"{Path(command).name} could not lay out the graph: {message[-1] if message else 'no output'}")
    return done.stdout.decode()


def to_svg(graph: Graph, folded: Folded, features: Mapping[str, str] | None = None) -> str:
    """The drawing as an SVG document.

    Boxes, frames and arrows are groups of the classes "node", "cluster" and "edge", with their keys as ids; arrows
    have `data-source` and `data-target`; tooltips are <title>s. The colour of a box's family is its style's `--family`.
    """
    text = lay_out(to_dot(graph, folded, features))
    text = text[text.index("<svg") :].replace(' xmlns="http://www.w3.org/2000/svg"', "", 1)
    root = ElementTree.fromstring(text)
    root.set("xmlns", "http://www.w3.org/2000/svg")
    labels = {box.key: box_label(graph, box, features) for box in folded.boxes()}
    blobs = _blob_names(graph, folded)
    parents = [group for group in root.iter("g") if group.get("class") == "graph"]
    for group in parents:
        for element in list(group):
            kinds = (element.get("class") or "").split()
            if "node" in kinds:
                _finish_box(element, labels[element.get("id", "")])
            elif "edge" in kinds:
                _finish_edge(element, blobs)
            elif "cluster" in kinds:
                _finish_frame(element)
                titles = element.findall("text")
                for title in titles:
                    element.remove(title)
                    title.set("class", " ".join(["frame-title", *kinds[1:]]))
                    title.attrib |= {"stroke": "#f6f7f8", "stroke-width": "4", "style": "paint-order:stroke"}
                group.extend(titles)
    return ElementTree.tostring(root, encoding="unicode")


def _finish_box(element: ElementTree.Element, label: Label) -> None:
    """Centre the lines by anchor, so that another font than Graphviz measured still sits in the middle."""
    title = element.find("title")
    path = element.find("path")
    if title is not None:
        title.text = label.tooltip
    element.set("style", f"--family:{COLOURS[label.family]}")
    if path is None:
        return
    xs = [float(x) for x in re.findall(r"(-?[\d.]+),-?[\d.]+", path.get("d", ""))]
    for line in element.findall("text"):
        line.set("text-anchor", "middle")
        line.set("x", f"{(min(xs) + max(xs)) / 2:g}")
    lines = element.findall("text")
    for line, shift in zip(lines, (-1.2, 1.6) if len(lines) > 1 else (0.0,), strict=False):
        line.set("y", f"{float(line.get('y', '0')) + shift:g}")


def _finish_edge(element: ElementTree.Element, blobs: Mapping[tuple[str, str], str]) -> None:
    title = element.find("title")
    if title is None:
        return
    source, _, target = (title.text or "").partition("->")
    element.set("data-source", source)
    element.set("data-target", target)
    title.text = blobs.get((source, target), "")


def _finish_frame(element: ElementTree.Element) -> None:
    """A closed repeat looks like a pile of sheets."""
    title = element.find("title")
    if title is not None:
        element.remove(title)
    path = element.find("path")
    kinds = (element.get("class") or "").split()
    if path is None or "repeat" not in kinds or "opened" in kinds:
        return
    for step in (3, 6):
        sheet = ElementTree.Element("path", {**path.attrib, "transform": f"translate({step} {step})"})
        sheet.set("class", "pile")
        element.insert(0, sheet)


def _blob_names(graph: Graph, folded: Folded) -> dict[tuple[str, str], str]:
    """What flows along each arrow: names, and shapes where they are known."""
    box_of = {node_id: box.key for box in folded.boxes() for copy in box.copies for node_id in copy}
    shapes = {(value.producer or value.name, value.name): value for value in graph.values}
    names: dict[tuple[str, str], dict[str, None]] = {}
    for source, target, blob in graph.edges:
        value = shapes.get((source, blob))
        shape = "×".join("?" if n is None else str(n) for n in value.shape) if value and value.shape else ""
        text = clean(" ".join(filter(None, (blob, shape, value.dtype or "" if value else ""))))
        names.setdefault((box_of.get(source, ""), box_of.get(target, "")), {})[text] = None
    return {arrow: "\n".join(list(texts)[:12]) for arrow, texts in names.items()}
