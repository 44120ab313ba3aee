"""The outline of a graph: which layers form chains, which chains repeat, and which networks lie inside others.

It is made once; what is drawn follows from it and from the names of the folds that are open (`folding`, and the page
itself). Works on the order of the layers in the file, which every format keeps topological.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlexplorer.graph import Graph
from mlexplorer.views.families import family
from mlexplorer.views.repeats import Repeats
from mlexplorer.views.wires import Wires, wires

LARGE_NETWORK = 40
"""A nested network of more boxes than this is closed at first, unless it has a custom layer or is all there is."""

_HEADS = frozenset({"convolution", "dense", "normalization", "activation", "arithmetic", "recurrent"})
_FOLLOWERS = frozenset({"normalization", "activation"})


@dataclass(frozen=True)
class Block:
    """Chains that repeat: `copies` holds the items of each copy, `period` chains from `start` on, and so on."""

    key: str
    start: int
    period: int
    parallel: bool
    copies: tuple[tuple[int | Block, ...], ...]

    @property
    def count(self) -> int:
        """How often they repeat."""
        return len(self.copies)


@dataclass(frozen=True)
class Network:
    """One scope of a graph: its layers as `chains` of node numbers, and its `items`, which are positions of chains.

    The model itself has the key "". `owner` is the number of the node that runs it, None for a stage of a pipeline.
    """

    key: str
    title: str
    kind: str
    owner: int | None
    chains: tuple[tuple[int, ...], ...]
    items: tuple[int | Block, ...]
    inner: tuple[Network, ...]

    @property
    def nodes(self) -> list[int]:
        """The numbers of its own nodes."""
        return sorted(i for chain in self.chains for i in chain)

    def all_nodes(self) -> list[int]:
        """The numbers of its nodes, and of those of the networks inside."""
        return sorted(i for network in self.walk() for i in network.nodes)

    def walk(self) -> Iterator[Network]:
        """Itself and the networks inside."""
        yield self
        for network in self.inner:
            yield from network.walk()


class Outline:
    """The outline of one graph: `root` is the model itself, `wires` are the arrows between the nodes."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.wires: Wires = wires(graph)
        number = {node.id: i for i, node in enumerate(graph.nodes)}
        self._members: dict[str, list[int]] = defaultdict(list)
        for i, node in enumerate(graph.nodes):
            self._members[node.scope].append(i)
        self._inner: dict[str, list[int]] = defaultdict(list)
        for i, scope in enumerate(graph.scopes):
            self._inner[scope.parent].append(i)
        self._owners = {scope.id: number.get(scope.id.rpartition("/")[0]) for scope in graph.scopes}
        owners = {self._owners[scope.id] for scope in graph.scopes if scope.id in self._members}
        self._pinned = [node.is_custom or i in owners for i, node in enumerate(graph.nodes)]
        self.root = self._network("", "", "", "", None)

    def first_opened(self) -> frozenset[str]:
        """The nested networks that are open at first."""
        networks = [network for network in self.root.walk() if network.key]
        alone = not self.root.chains and len(self.root.inner) == 1
        return frozenset(
            network.key
            for network in networks
            if (alone and network is self.root.inner[0])
            or _boxes(network.items) <= LARGE_NETWORK
            or any(self.graph.nodes[i].is_custom for i in network.all_nodes())
        )

    def _network(self, scope: str, key: str, title: str, kind: str, owner: int | None) -> Network:
        chains = self._chains(self._members.get(scope, ()))
        items = tuple(self._items(chains, self._repeats(chains), 0, len(chains)))
        inner = []
        for i in self._inner.get(scope, ()):
            found = self.graph.scopes[i]
            network = self._network(found.id, f"s{i}", found.name, found.kind, self._owners[found.id])
            if network.chains or network.inner:
                inner.append(network)
        return Network(key, title, kind, owner, chains, items, tuple(inner))

    def _chains(self, members: Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """The layers of one scope as chains, most of them of one layer, in the order of their first layers."""
        nodes, arrows = self.graph.nodes, self.wires
        chain_of: dict[int, list[int]] = {}
        for i in members:
            producers = arrows.producers[i]
            before = producers[0] if len(producers) == 1 else -1
            if (
                before in chain_of
                and chain_of[before][-1] == before
                and arrows.readers[before] == [i]
                and before not in arrows.exposed
                and not self._pinned[i]
                and not self._pinned[before]
                and _follows(nodes[before].type, nodes[i].type)
            ):
                chain_of[before].append(i)
                chain_of[i] = chain_of[before]
            else:
                chain_of[i] = [i]
        return tuple(tuple(chain_of[i]) for i in members if chain_of[i][0] == i)

    def _repeats(self, chains: Sequence[tuple[int, ...]]) -> Repeats:
        """What repeats among these chains."""
        arrows = self.wires
        position = {i: at for at, chain in enumerate(chains) for i in chain}
        outside: dict[int, int] = {}
        producers = [
            {
                position[i] if i in position else outside.setdefault(i, -1 - len(outside))
                for i in arrows.producers[chain[0]]
            }
            for chain in chains
        ]
        exposed = {
            at
            for at, chain in enumerate(chains)
            if chain[-1] in arrows.exposed or any(reader not in position for reader in arrows.readers[chain[-1]])
        }
        signatures = [tuple(i if self._pinned[i] else arrows.signatures[i] for i in chain) for chain in chains]
        return Repeats(signatures, producers, exposed)

    def _items(self, chains: Sequence[tuple[int, ...]], repeats: Repeats, low: int, high: int) -> Iterator[int | Block]:
        found = repeats.best(low, high)
        if found is None:
            yield from range(low, high)
            return
        yield from self._items(chains, repeats, low, found.start)
        starts = range(found.start, found.end, found.period)
        copies = tuple(tuple(self._items(chains, repeats, start, start + found.period)) for start in starts)
        key = f"r{chains[found.start][0]}x{found.period}"
        yield Block(key, found.start, found.period, found.parallel, copies)
        yield from self._items(chains, repeats, found.end, high)


def outline_data(outline: Outline, captions: Mapping[tuple[int, ...], tuple[str, str]]) -> dict[str, Any]:
    """The outline as JSON; `captions` has the two lines of each chain of several layers."""

    def item(found: int | Block) -> Any:
        if isinstance(found, int):
            return found
        copies = [[item(inner) for inner in copy] for copy in found.copies]
        fields = {"key": found.key, "start": found.start, "period": found.period, "parallel": found.parallel}
        return {**fields, "copies": copies}

    def network(found: Network) -> dict[str, Any]:
        return {
            "key": found.key,
            "title": found.title,
            "kind": found.kind,
            "owner": -1 if found.owner is None else found.owner,
            "chains": [list(chain) for chain in found.chains],
            "captions": {chain[0]: list(captions[chain]) for chain in found.chains if chain in captions},
            "items": [item(inner) for inner in found.items],
            "inner": [network(inner) for inner in found.inner],
        }

    return {
        "root": network(outline.root),
        "producers": outline.wires.producers,
        "outputProducers": outline.wires.output_producers,
    }


def _boxes(items: Sequence[int | Block]) -> int:
    """How many boxes these items are, with all repeats closed."""
    return sum(1 if isinstance(item, int) else _boxes(item.copies[0]) for item in items)


def _follows(before: str, after: str) -> bool:
    if family(after) == "convolution":
        return before in ("padding", "pad", "constantPad")
    return family(before) in _HEADS and family(after) in _FOLLOWERS
