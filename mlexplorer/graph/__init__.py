"""A read-only view of a model: what it is made of, and who reads what from whom."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any

from mlexplorer.errors import ModelError
from mlexplorer.graph.network import add_layers, custom_of
from mlexplorer.graph.node import Blobs, Custom, Node, Scope, Value, Weight
from mlexplorer.graph.program import add_program
from mlexplorer.graph.wiring import Names, Wiring
from mlexplorer.spec import reflection

__all__ = ["Blobs", "Custom", "Graph", "Node", "Scope", "Value", "Weight"]

NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")


class Graph:
    """The nodes of a model in the order in which they run, the values between them, and their weights.

    Layers of neural networks and operations of ML Programs are nodes; every other model is one node. Stages of
    pipelines ("pipeline[0]"), networks in loops and branches ("loop/bodyNetwork") and blocks of operations are scopes,
    all in one list: a scope's nodes follow the node that owns it.

    `edges` are (source, target, blob): the id of the latest node before `target` that writes the blob, or the name of
    the model's input, the id of the node that reads it, and the blob's name. Where a branch decides which node was the
    latest, there is an edge from each; edges from one round of a loop to the next are left out.
    """

    def __init__(self, spec: Any, blobs: Blobs | None = None) -> None:
        wiring = Wiring()
        inputs, outputs = feature_descriptions(spec)
        self.inputs: tuple[str, ...] = tuple(feature.name for feature in inputs)
        self.outputs: tuple[str, ...] = tuple(feature.name for feature in outputs)
        wiring.reserve(self.inputs)
        names: Names = {name: (wiring.write(name, "", None),) for name in self.inputs}
        try:
            results = _add_model(wiring, spec, names, "", blobs)
        except RecursionError:
            raise ModelError("the model is nested too deeply in pipelines, branches or loops") from None
        self.nodes: tuple[Node, ...] = tuple(wiring.nodes)
        self.scopes: tuple[Scope, ...] = tuple(wiring.scopes)
        self.edges: tuple[tuple[str, str, str], ...] = tuple(wiring.edges)
        self.values: tuple[Value, ...] = wiring.values()
        self._producers = {name: wiring.producers(results.get(name, ())) for name in self.outputs}
        self._by_id = {node.id: node for node in self.nodes}

    def __repr__(self) -> str:
        return f"Graph({len(self.nodes)} nodes, {len(self.weights)} weights)"

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """All weights in order; a constant that several operations of an ML Program share counts once."""
        unique: dict[int, Weight] = {}
        for node in self.nodes:
            for weight in node.weights:
                unique.setdefault(id(weight.params), weight)
        return tuple(unique.values())

    @property
    def custom_layers(self) -> tuple[Node, ...]:
        """The nodes that need a class of the app."""
        return tuple(node for node in self.nodes if node.is_custom)

    def node(self, node_id: str) -> Node:
        """The node with this id; raises ModelError where there is none."""
        try:
            return self._by_id[node_id]
        except KeyError:
            raise ModelError(f"the model has no node {node_id!r}; Graph.nodes lists them") from None

    def producers(self, output: str) -> tuple[str, ...]:
        """The ids of the nodes that write an output of the model: several after a branch, none where unknown."""
        try:
            return self._producers[output]
        except KeyError:
            raise ModelError(f"the model has no output {output!r}; its outputs are {list(self.outputs)}") from None


def feature_descriptions(spec: Any) -> tuple[Any, Any]:
    """The descriptions of inputs and outputs; of the default function where an ML Program has several."""
    description = spec.description
    for function in description.functions:
        if function.name == (description.defaultFunctionName or "main"):
            return function.input, function.output
    if description.functions and not description.input and not description.output:
        return description.functions[0].input, description.functions[0].output
    return description.input, description.output


def _add_model(wiring: Wiring, spec: Any, names: Names, scope: str, blobs: Blobs | None) -> Names:
    """List the nodes of a model; answers what its outputs' names stand for."""
    kind = spec.WhichOneof("Type")
    if kind in NETWORKS:
        return _with_labels(spec, add_layers(wiring, getattr(spec, kind), names, scope), wiring)
    if kind == "mlProgram":
        default = spec.description.defaultFunctionName or "main"
        return add_program(wiring, spec.mlProgram, default, names, scope, blobs)
    if kind is not None and kind.startswith("pipeline"):
        pipeline = spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline
        return _add_stages(wiring, pipeline, names, scope, blobs)
    _add_whole_model(wiring, spec, kind, names, scope)
    return names


def _with_labels(spec: Any, names: Names, wiring: Wiring) -> Names:
    """A classifier's label and probabilities are not blobs: they come from what its probabilities' blob comes from."""
    network = getattr(spec, spec.WhichOneof("Type"))
    if spec.WhichOneof("Type") == "neuralNetworkClassifier" and network.layers:
        blob = network.labelProbabilityLayerName or next(iter(reversed(network.layers[-1].output)), "")
        for feature in spec.description.output:
            if feature.name not in names and blob in names:
                names[feature.name] = names[blob]
    return names


def _add_stages(wiring: Wiring, pipeline: Any, names: Names, scope: str, blobs: Blobs | None) -> Names:
    """Stages hand on features by name; the blobs within a stage are its own."""
    for i, stage in enumerate(pipeline.models):
        inner = f"{scope}/pipeline[{i}]" if scope else f"pipeline[{i}]"
        kind = stage.WhichOneof("Type") or "unknown"
        name = pipeline.names[i] if i < len(pipeline.names) else kind
        wiring.scopes.append(Scope(inner, name, kind, scope))
        inputs, outputs = feature_descriptions(stage)
        known = {feature.name: names.get(feature.name, ()) for feature in inputs}
        results = _add_model(wiring, stage, known, inner, blobs)
        names.update({feature.name: results.get(feature.name, ()) for feature in outputs})
    return names


def _add_whole_model(wiring: Wiring, spec: Any, kind: str | None, names: Names, scope: str) -> None:
    params = getattr(spec, kind) if kind else spec
    inputs, outputs = feature_descriptions(spec)
    type_name = kind or "unknown"
    node = Node(
        id=wiring.new_id(scope, type_name),
        name=type_name,
        type=type_name,
        inputs=tuple(feature.name for feature in inputs),
        outputs=tuple(feature.name for feature in outputs),
        params=params,
        scope=scope,
        custom=custom_of(params) if kind == "customModel" else None,
        read_parameters=partial(reflection.parameters if kind else _unknown_parameters, params),
    )
    wiring.add(node, names)


def _unknown_parameters(spec: Any) -> dict[str, Any]:
    return {"unknown fields": reflection.unknown_fields(spec)}
