"""The graph of a model: its layers as boxes, folded, clickable, with everything about the selected one beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlexplorer.errors import InputError, MissingDependencyError, ModelError
from mlexplorer.graph import Graph, Node
from mlexplorer.model import Feature, Model
from mlexplorer.views.families import family
from mlexplorer.views.folding import Box, Folded, Frame, fold
from mlexplorer.views.labels import type_name
from mlexplorer.views.layout import COLOURS, to_svg
from mlexplorer.views.view import View, static

LONGEST_TEXT = 400
"""The most characters of a parameter that the page shows."""


def node_data(node: Node) -> dict[str, Any]:
    """Everything that the page shows of a node, as JSON."""
    data: dict[str, Any] = {
        "id": node.id,
        "name": node.name,
        "type": node.type,
        "kind": type_name(node),
        "family": "custom" if node.is_custom else family(node.type),
        "scope": node.scope,
        "inputs": list(node.inputs),
        "outputs": list(node.outputs),
        "parameters": {} if node.custom else dict(_plain(node.parameters)),
        "weights": [
            {
                "name": weight.name,
                "shape": list(weight.shape),
                "kind": weight.kind,
                "bits": weight.bits,
                "count": weight.count,
                "nbytes": weight.nbytes,
            }
            for weight in node.weights
        ],
    }
    if node.custom is not None:
        data["custom"] = {
            "className": node.custom.className,
            "description": node.custom.description,
            "parameters": dict(_plain(node.custom.parameters)),
        }
    return data


def graph_data(graph: Graph, features: Iterable[Feature] = (), stem: str = "model") -> dict[str, Any]:
    """What the page needs to know of the whole graph: nodes, inputs and outputs, colours of the families, file stem."""
    return {
        "type": "graph",
        "stem": stem,
        "nodes": [node_data(node) for node in graph.nodes],
        "features": {feature.name: _feature_text(feature) for feature in features},
        "colours": dict(COLOURS),
    }


def drawing_data(folded: Folded, opened: Collection[str] = ()) -> dict[str, Any]:
    """What the page needs to know of one drawing: what each box stands for, the frames around it, the arrows."""
    boxes: list[dict[str, Any]] = []
    frames: list[dict[str, Any]] = []

    def walk(items: Iterable[Box | Frame], around: tuple[str, ...]) -> None:
        for item in items:
            if isinstance(item, Box):
                copies = [list(copy) for copy in item.copies]
                boxes.append(
                    {"key": item.key, "kind": item.kind, "copies": copies, "fold": item.fold, "frames": list(around)}
                )
            else:
                frames.append(
                    {"key": item.key, "kind": item.kind, "fold": item.fold, "opened": item.opened, "count": item.count}
                )
                walk(item.children, (item.key, *around))

    walk(folded.children, ())
    edges = [[edge.source, edge.target, edge.nested] for edge in folded.edges]
    return {"type": "drawing", "opened": sorted(opened), "boxes": boxes, "frames": frames, "edges": edges}


class GraphView(View):
    """The layers of a model as a drawing to look around in.

    >>> mle.views.GraphView(model)

    Chains of layers (convolution, batch normalization, activation) are one box, repeated blocks one frame ("× 5"); both
    open by a double click, and `opened` says which are. `opened={"*"}` folds nothing. Custom layers are never folded.
    Trait: `layer`, the id of the selected node, "" for none. Raises InputError for anything but a Model or a Graph.

    Where no layout command is installed, the page says so in place of the drawing.
    """

    _esm = static("view.js", "graph_camera.js", "graph_details.js", "graph.js")
    _css = static("view.css", "graph.css")

    def __init__(self, model: Model | Graph, *, opened: Collection[str] = (), **traits: Any) -> None:
        super().__init__(**traits)
        if not isinstance(model, Model | Graph):
            raise InputError(f"GraphView shows a Model or a Graph, not {type(model).__name__}; load the file first")
        features = (*model.inputs, *model.outputs) if isinstance(model, Model) else ()
        path = model.path if isinstance(model, Model) else None
        self._graph = model.graph if isinstance(model, Model) else model
        self._features = {feature.name: _feature_text(feature) for feature in features}
        self._opened = frozenset(opened)
        self.publish("graph", graph_data(self._graph, features, path.stem if path else "model"))
        self._draw()

    @property
    def opened(self) -> frozenset[str]:
        """The names of the folds that are open; setting it draws anew."""
        return self._opened

    @opened.setter
    def opened(self, names: Collection[str]) -> None:
        self._opened = frozenset(names)
        self._draw()

    def to_svg(self) -> str:
        """The drawing as it is folded now, as an SVG document in light colours.

        Raises MissingDependencyError where no layout command is installed, ModelError where the layout fails.
        """
        return to_svg(self._graph, fold(self._graph, self._opened), self._features)

    def save_svg(self, path: str | os.PathLike[str]) -> None:
        """Write the drawing as it is folded now to an SVG file; raises what `to_svg` does."""
        Path(path).write_text(self.to_svg(), "utf-8")

    def handle(self, content: Mapping[str, Any]) -> None:
        """Open or close folds, as the page asks."""
        if content.get("type") == "open":
            self.opened = self._opened | {str(content["fold"])}
        elif content.get("type") == "close":
            self.opened = self._opened - {str(content["fold"])}

    def _draw(self) -> None:
        with self._lock:
            folded = fold(self._graph, self._opened)
            try:
                svg = to_svg(self._graph, folded, self._features)
            except (MissingDependencyError, ModelError) as error:
                self.publish("drawing", {"type": "failed", "text": str(error)})
            else:
                self.publish("drawing", drawing_data(folded, self._opened), [svg.encode()])


def _feature_text(feature: Feature) -> str:
    size = re.sub(r"(\d+)\.\.(?!\d)", r"≥ \1", feature.size_text.replace(" x ", " × ")).replace("..", "–")
    details = (feature.type, size, feature.color_space or feature.dtype or "", "optional" if feature.optional else "")
    return " ".join(filter(None, details))


def _plain(parameters: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str | int | float | bool]]:
    """Parameters by the path of their fields, as the page shows them: one line each, none too long."""
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from _plain(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float) and abs(value) < 2**53:
            yield f"{prefix}{name}", value
        else:
            yield f"{prefix}{name}", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "no parameters"
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"
