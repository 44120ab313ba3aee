"""The classes that custom layers and custom models need, as text to copy: Swift for the app, Python for here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from mlexplorer.errors import MlexplorerError, ModelError
from mlexplorer.graph import Graph, Node
from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.custom_stub import layer_stub, model_stub
from mlexplorer.swift import swift_source


class CustomSources:
    """The skeletons of a model's custom classes, made when they are first asked for.

    Without the model, only its graph being known, there is no Swift. `custom_layers` are Python classes by name, with
    which the model is run once for the Swift (see `swift_source`).
    """

    def __init__(
        self, graph: Graph, model: Model | None, custom_layers: Mapping[str, CustomLayerClass] | None = None
    ) -> None:
        self._graph, self._model, self._custom_layers = graph, model, custom_layers

    def of(self, node: Node) -> tuple[list[str], dict[str, str]]:
        """The ids of all nodes of this node's class, and the skeletons by language: "Swift" and "Python".

        The Swift has all classes of the model. Raises ModelError for a node that is not custom.
        """
        if not node.is_custom:
            raise ModelError(f"{node.name!r} ({node.type}) is no custom layer; Graph.custom_layers lists those")
        name = node.params.className
        users = [
            other for other in self._graph.custom_layers if (other.type, other.params.className) == (node.type, name)
        ]
        source = {"Python": f"import mlexplorer as mle\n\n\n{self._python(users)}\n"}
        if self._model is not None:
            source["Swift"] = self._swift
        return [user.id for user in users], source

    def _python(self, users: list[Node]) -> str:
        model = self._model
        if users[0].type != "custom":
            return model_stub(users[0], model.inputs if model else (), model.outputs if model else ())
        network = getattr(model.spec, model.kind, None) if model else None
        return layer_stub(*users, legacy=getattr(network, "arrayInputShapeMapping", None) == 0)

    @cached_property
    def _swift(self) -> str:
        assert self._model is not None
        try:
            return swift_source(self._model, custom_layers=self._custom_layers)
        except MlexplorerError as error:
            return "".join(f"// {line}\n" for line in str(error).splitlines())
