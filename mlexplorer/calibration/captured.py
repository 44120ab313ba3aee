"""What the layers of a model are given: in the model itself, and in its copy that is being quantized."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mlexplorer.graph import Node
from mlexplorer.model import Model
from mlexplorer.progress import check
from mlexplorer.quantization.selection import scopes_above
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.runtime.program import Program, Walk

Array = NDArray[Any]


class Captured:
    """Walks both networks side by side, from layer to layer, for some inputs: each layer runs once.

    The layers are asked for in the order of the model, and the weights before them are in the copy's specification by
    then. Raises as `predict` does, and Cancelled once `cancelled` is set.
    """

    def __init__(
        self,
        model: Model,
        copy: Model,
        inputs: Sequence[Mapping[str, Any]],
        custom_layers: Mapping[str, CustomLayerClass] | None,
        cancelled: threading.Event | None,
    ) -> None:
        self._model, self._copy, self._inputs = model, copy, inputs
        self._custom_layers, self._cancelled = custom_layers, cancelled
        self._predictor = Predictor(model, custom_layers)
        self._scope: str | None = None

    def inputs(self, node: Node) -> list[tuple[list[Array], list[Array]]]:
        """A layer's inputs in the model and in the copy, for each of the inputs.

        The layer is one of a network's own, not of a loop or branch in it.
        """
        if node.scope != self._scope:
            self._enter(node.scope)
        place = self._places[node.id]
        original, quantized = map(self._program.rebind, (self._stage, _stage(self._copy, node.scope)))
        found = []
        for walk, other in self._walks:
            check(self._cancelled)
            first, second = walk.to(original, place), other.to(quantized, place)
            found.append(([first[name] for name in node.inputs], [second[name] for name in node.inputs]))
        return found

    def _enter(self, scope: str) -> None:
        """Begin with the network of a scope: the whole model, or a stage of a pipeline."""
        self._stage = _stage(self._model, scope)
        nodes = [node for node in self._model.graph.nodes if node.scope == scope]
        self._scope, self._places = scope, {node.id: place for place, node in enumerate(nodes)}
        self._program = Program(self._stage, self._custom_layers)
        names = {feature.name: f"{scope}/{feature.name}" if scope else feature.name for feature in self._stage.inputs}
        predictors = [self._predictor, self._predictor.rebind(Model(self._copy.spec, blobs=self._copy.blobs))]
        self._walks: list[tuple[Walk, Walk]] = []
        for given in self._inputs:
            check(self._cancelled)
            fed = [predictor.predict(given, outputs=list(names.values())) for predictor in predictors]
            walk, other = (Walk({name: values[blob] for name, blob in names.items()}) for values in fed)
            self._walks.append((walk, other))


def _stage(model: Model, scope: str) -> Model:
    return Model(scopes_above(model.spec, scope)[-1], blobs=model.blobs)
