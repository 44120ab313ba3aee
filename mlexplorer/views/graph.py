"""The graph of a model: its layers as boxes, folded, clickable, with everything about the selected one beside them."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from mlexplorer.errors import InputError, MlexplorerError
from mlexplorer.graph import Graph, Node
from mlexplorer.model import Feature, Model
from mlexplorer.quantization.plan import Plan
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.views.custom_source import CustomSources
from mlexplorer.views.families import family
from mlexplorer.views.folding import MANY_FEATURES, MOST_FEATURES, fold
from mlexplorer.views.labels import chain_lines, node_lines, type_name
from mlexplorer.views.layout import COLOURS, to_svg
from mlexplorer.views.outline import Outline, outline_data
from mlexplorer.views.value_shapes import value_shapes
from mlexplorer.views.view import View

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
        "lines": node_lines(node),
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


def graph_data(outline: Outline, features: Iterable[Feature] = (), stem: str = "model") -> dict[str, Any]:
    """What the page needs to know of the whole graph, so that it can fold, lay out and draw it without the kernel."""
    graph = outline.graph
    chains = [chain for network in outline.root.walk() for chain in network.chains if len(chain) > 1]
    captions = {chain: chain_lines([graph.nodes[i] for i in chain]) for chain in chains}
    return {
        "type": "graph",
        "stem": stem,
        "nodes": [node_data(node) for node in graph.nodes],
        "inputs": list(graph.inputs),
        "outputs": list(graph.outputs),
        "features": {feature.name: _feature_text(feature) for feature in features},
        "featureLimits": [MANY_FEATURES, MOST_FEATURES],
        "outline": outline_data(outline, captions),
        "shapes": {value.name: shape_text(value.shape) for value in graph.values if value.shape},
        "colours": dict(COLOURS),
    }


def shape_text(shape: Sequence[int | None]) -> str:
    """A shape as the page writes it: "1 × 64 × 56 × 56", "?" for a size that varies."""
    return " × ".join("?" if size is None else str(size) for size in shape)


class GraphView(View):
    """The layers of a model as a drawing to look around in.

    >>> mle.views.GraphView(model)

    Chains of layers (convolution, batch normalization, activation) are one box, repeated blocks one frame ("× 5"),
    large networks inside the model one box; a click on their mark opens them. Custom layers are never folded into
    chains or repeats. Folding, layout, search and colours are the page's own work and need no kernel.

    Traits: `layer`, the id of the selected node, "" for none; `opened`, the names of the open folds, ["*"] for all of
    them; `colour`, what boxes are coloured by: "type", "size", "bits", or a name that `show_values` was given.

    `custom_layers` are Python classes by name, for where the model is run: the Swift skeleton and the shapes.

    Raises InputError for anything but a Model or a Graph.
    """

    name = "graph"

    opened = traitlets.List(traitlets.Unicode()).tag(sync=True)
    colour = traitlets.Unicode("type").tag(sync=True)

    def __init__(
        self,
        model: Model | Graph,
        *,
        opened: Collection[str] | None = None,
        custom_layers: Mapping[str, CustomLayerClass] | None = None,
        **traits: Any,
    ) -> None:
        if not isinstance(model, Model | Graph):
            super().__init__(**traits)
            raise InputError(f"GraphView shows a Model or a Graph, not {type(model).__name__}; load the file first")
        graph = model.graph if isinstance(model, Model) else model
        outline = Outline(graph)
        super().__init__(opened=sorted(outline.first_opened() if opened is None else opened), **traits)
        features = (*model.inputs, *model.outputs) if isinstance(model, Model) else ()
        path = model.path if isinstance(model, Model) else None
        self._model = model if isinstance(model, Model) else None
        self._custom_layers = custom_layers
        self._sources = CustomSources(graph, self._model, custom_layers)
        self._graph, self._outline = graph, outline
        self._features = {feature.name: _feature_text(feature) for feature in features}
        self.publish("graph", graph_data(outline, features, path.stem if path else "model"))

    def show_values(
        self, name: str, values: Mapping[str, float], *, title: str = "", unit: str = "", low_is_worse: bool = False
    ) -> None:
        """Offer a number for each layer to colour the boxes by, under this name, in place of what had the name before.

        `values` maps ids of nodes to numbers in `unit`; nodes may be missing, all of them to take the choice away.
        A box of several layers shows the worst of theirs: the lowest where `low_is_worse`. `title` says in words what
        is shown. "sensitivity" and "bits" are names that the explorer uses. Raises InputError for unknown nodes and
        for what is no number.
        """
        known = {node.id for node in self._graph.nodes}
        numbers: dict[str, float | str] = {}
        for node_id, value in values.items():
            if node_id not in known:
                raise InputError(f"the graph has no node {node_id!r}; Graph.nodes lists them")
            if not isinstance(value, int | float) or math.isnan(value):
                raise InputError(f"the value of {node_id!r} in {name!r} is {value!r}, which is no number")
            numbers[node_id] = float(value) if math.isfinite(value) else "Infinity" if value > 0 else "-Infinity"
        content = {"name": name, "title": title or name, "unit": unit, "lowIsWorse": low_is_worse, "values": numbers}
        self.publish(("values", name), {"type": "values", **content})

    def show_plan(self, plan: Plan | Mapping[str, int] | None) -> None:
        """Offer the bits that each layer gets, as the choice "bits": of a plan, or of a mapping from ids of nodes.

        Of a layer's weights the largest counts; one that the plan leaves out keeps the bits of the file. None goes back
        to those for all layers.
        """
        if plan is None:
            self.show_values("bits", {})
        elif isinstance(plan, Plan):
            self.show_values("bits", planned_bits(self._graph, plan), title="bits per weight of the plan", unit="bit")
        else:
            self.show_values("bits", plan, title="bits per weight of the plan", unit="bit")

    def show_shapes(self, shapes: Mapping[str, Sequence[int | None]]) -> None:
        """Tell the shapes of values by the names of their blobs, for the details; the files of networks lack them."""
        self.publish("shapes", {"type": "shapes", "shapes": {name: shape_text(s) for name, s in shapes.items()}})

    def measure_shapes(self, inputs: Any = None) -> None:
        """Run the model once, on `inputs` or on noise, and tell the shapes of the values that it computes.

        Raises InputError where only the graph is known, and what `mlexplorer.predict` raises.
        """
        if self._model is None:
            raise InputError("shapes are seen in a run, which takes a Model: make the GraphView of the model")
        self.show_shapes(value_shapes(self._model, inputs, self._custom_layers))

    def to_svg(self) -> str:
        """The drawing as it is folded now, as an SVG document in light colours, laid out by Graphviz.

        Raises MissingDependencyError where no layout command is installed, ModelError where the layout fails.
        """
        return to_svg(self._graph, fold(self._outline, self.opened), self._features)

    def save_svg(self, path: str | os.PathLike[str]) -> None:
        """Write the drawing as it is folded now to an SVG file; raises what `to_svg` does."""
        Path(path).write_text(self.to_svg(), "utf-8")

    def handle(self, content: Mapping[str, Any]) -> None:
        """Tell the source of a custom layer's class, as the page asks for it."""
        if content.get("type") == "source":
            self._tell_source(str(content.get("layer")))

    def recorded(self) -> list[tuple[dict[str, Any], list[bytes]]]:
        """See `View.recorded`; with the sources of all custom classes, for which nobody will answer."""
        for node in self._graph.custom_layers:
            if ("source", node.params.className) not in self._messages:
                self._tell_source(node.id)
        return super().recorded()

    def _tell_source(self, layer: str) -> None:
        try:
            node = self._graph.node(layer)
            layers, source = self._sources.of(node)
        except MlexplorerError as error:
            self.publish(("source", layer), {"type": "source", "layers": [layer], "fault": str(error)})
        else:
            self.publish(("source", node.params.className), {"type": "source", "layers": layers, "source": source})


def planned_bits(graph: Graph, plan: Plan) -> dict[str, int]:
    """The bits of each node's largest weight under a plan, those of the file where the plan leaves it out."""
    bits: dict[str, int] = {}
    for node in graph.nodes:
        if node.weights:
            weight = max(node.weights, key=lambda weight: weight.count)
            scheme = plan.schemes.get(weight.key)
            bits[node.id] = weight.bits if scheme is None else scheme.bits
    return bits


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
    if isinstance(value, list | tuple):
        groups = any(isinstance(item, Mapping) for item in value)
        text = ("; " if groups else ", ").join(map(_item_text, value))
    else:
        text = str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]}…"


def _item_text(item: Any) -> str:
    """One entry of a list: of a message its fields ("startEdgeSize 1, endEdgeSize 1")."""
    return ", ".join(f"{name} {value}" for name, value in item.items()) if isinstance(item, Mapping) else str(item)
