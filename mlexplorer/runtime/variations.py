"""A network with other weights in one layer at a time, run from that layer on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from mlexplorer.graph import Node
from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.features import read_inputs
from mlexplorer.runtime.model_type import Values
from mlexplorer.runtime.models.network import encode, intermediate_blobs, intermediate_values
from mlexplorer.runtime.program import NETWORK_KINDS, Program, Walk

Array = NDArray[Any]

MOST_KEPT = 256 << 20
"""Bytes of what is at hand before a layer, over all inputs; of inputs beyond that each layer starts from the inputs."""
MOST_CUTS = 128
"""A network is cut into at most so many pieces, which stay ready; where it has more layers, pieces hold several."""


class Variations:
    """Runs a network on some inputs, and again with other weights in one layer, from that layer on.

    What the layers before have given is kept, and what runs the layers behind. `layers` are the ids of those that are
    to vary, in whose order it is quickest; `names` says what is asked for, as in `predict(outputs=...)`. Raises as
    `predict` does.
    """

    def __init__(
        self,
        model: Model,
        inputs: Sequence[Mapping[str, Any]],
        names: Sequence[str],
        layers: Iterable[str],
        custom_layers: Mapping[str, CustomLayerClass] | None = None,
    ) -> None:
        self._model, self._names = model, list(names)
        self._blobs = intermediate_blobs(model, names)
        self._program = Program(model, custom_layers)
        self._feeds = [encode(model, read_inputs(model, given)) for given in inputs]
        main = [node.id for node in model.graph.nodes if not node.scope]
        wanted = set(layers)
        places = [place for place, node in enumerate(main) if node in wanted]
        self._cuts = [*places[:: -(-len(places) // MOST_CUTS) or 1], len(main)]
        self._cut_of = {
            node: max((cut for cut in self._cuts if cut <= place), default=0) for place, node in enumerate(main)
        }
        self._walks: list[Walk | None] = [None] * len(self._feeds)
        self.original = list(self._outputs(0, self._program))
        """What is asked for, for each of the inputs, of the network as it is."""

    @staticmethod
    def covers(model: Model, node: Node) -> bool:
        """Whether a layer of a model can vary: one of a network's own, not of a pipeline, a loop or a branch."""
        return model.kind in NETWORK_KINDS and not node.scope

    def outputs(self, node: Node, weights: Mapping[str, Array]) -> Iterator[Values]:
        """What is asked for, for each of the inputs, with other weights, float32 arrays by key, in a layer."""
        yield from self._outputs(self._cut_of[node.id], self._program.rebind(self._model, weights))

    def _outputs(self, cut: int, varied: Program) -> Iterator[Values]:
        kept = 0
        for index, feeds in enumerate(self._feeds):
            walk = self._walks[index]
            if walk is None or walk.at > cut:
                walk = Walk(feeds, self._blobs)
            at_hand = self._to(walk, cut, self._program)
            kept += sum(array.nbytes for array in at_hand.values())
            self._walks[index] = walk if kept <= MOST_KEPT else None
            fork = walk.fork()
            following = next((stop for stop in self._cuts if stop > cut), cut)
            self._to(fork, following, varied)
            yield intermediate_values(self._model, self._to(fork, self._cuts[-1], self._program), self._names)

    def _to(self, walk: Walk, stop: int, program: Program) -> Mapping[str, Array]:
        """What is at hand before a cut, which is gone to from cut to cut."""
        for cut in self._cuts:
            if walk.at < cut < stop:
                walk.to(program, cut)
        return walk.to(program, stop)
