"""Folding a graph before it is drawn: a chain of layers becomes one box, repeated blocks become one frame ("× 5").

Nothing is lost: each box names the layers that it stands for, and each fold can be opened by its name. Custom layers
are never folded into chains or repeats. `static/graph_folding.js` does the same in the page; a test compares them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlexplorer.graph import Graph, Node
from mlexplorer.views.outline import Block, Network, Outline

MANY_FEATURES = 16
"""More inputs, or outputs, than this become one box."""
MOST_FEATURES = 100
"""More than this stay one box, which lists them."""


@dataclass(frozen=True)
class Box:
    """What is drawn as one box: a layer, a chain of layers, a closed network, or an input or output of the model.

    `copies` holds the ids of the layers it stands for, one tuple for each copy of the closed repeats around it; the
    first is the one drawn. Of inputs and outputs it holds the feature's name. `fold` is the name by which it opens,
    "" where nothing is folded. `title` is a closed network's name.
    """

    key: str
    kind: Literal["layer", "chain", "network", "input", "output"]
    copies: tuple[tuple[str, ...], ...]
    fold: str = ""
    title: str = ""


@dataclass(frozen=True)
class Frame:
    """What is drawn as a frame around boxes.

    A "repeat" shows its first copy and stands for `count` equal ones, one after the other or side by side
    (`parallel`); opened, it holds `count` frames of kind "copy", of which each knows its place as `index`. A "chain" is
    an opened one. A "scope" is an open nested network or stage of a pipeline. `fold` is the name by which it opens.
    """

    key: str
    kind: Literal["repeat", "copy", "chain", "scope"]
    children: tuple[Box | Frame, ...]
    fold: str = ""
    opened: bool = False
    count: int = 1
    index: int = 0
    parallel: bool = False
    title: str = ""


@dataclass(frozen=True)
class Edge:
    """An arrow between two boxes; `nested` leads from a loop or branch to the network that it runs."""

    source: str
    target: str
    nested: bool = False


@dataclass(frozen=True)
class Folded:
    """A graph as it is drawn."""

    children: tuple[Box | Frame, ...]
    edges: tuple[Edge, ...]

    def boxes(self) -> Iterator[Box]:
        """All boxes, from the input to the output."""
        yield from (item for item in _walk(self.children) if isinstance(item, Box))

    def frames(self) -> Iterator[Frame]:
        """All frames, the outer before the inner."""
        yield from (item for item in _walk(self.children) if isinstance(item, Frame))


def _walk(items: Sequence[Box | Frame]) -> Iterator[Box | Frame]:
    for item in items:
        yield item
        if isinstance(item, Frame):
            yield from _walk(item.children)


UNFOLDED = "*"
"""As a member of `opened`: nothing is folded at all."""


def main_node(nodes: Sequence[Node]) -> Node:
    """The layer that a chain is named after: the one with the most weights, the first where none has any."""
    return max(nodes, key=lambda node: sum(weight.count for weight in node.weights))


def fold(graph: Graph | Outline, opened: Collection[str] | None = None) -> Folded:
    """A graph's boxes, frames and arrows, with the folds named in `opened` open; unknown names are ignored.

    Without `opened` everything is folded but small nested networks.
    """
    outline = graph if isinstance(graph, Outline) else Outline(graph)
    return _Folder(outline, outline.first_opened() if opened is None else frozenset(opened)).folded()


@dataclass(frozen=True)
class _Offset:
    """Where a copy of a closed repeat lies: so many chains after the drawn one; `path` says in which copy of which."""

    chains: int = 0
    path: Mapping[str, int] = field(default_factory=dict)


class _Folder:
    def __init__(self, outline: Outline, opened: frozenset[str]) -> None:
        self.outline = outline
        self.graph, self.wires = outline.graph, outline.wires
        self.opened = opened
        self.unfolded = UNFOLDED in opened
        self.place: dict[int, tuple[str, Mapping[str, int]]] = {}

    def folded(self) -> Folded:
        children = self._inside(self.outline.root)
        inputs = self._features("input", self.graph.inputs)
        outputs = self._features("output", self.graph.outputs)
        return Folded((*inputs, *children, *outputs), tuple(self._edges()))

    def _features(self, kind: Literal["input", "output"], names: Sequence[str]) -> tuple[Box, ...]:
        if not self._is_folded(kind, len(names)):
            return tuple(Box(f"{kind}{i}", kind, ((name,),)) for i, name in enumerate(names))
        return (Box(f"{kind}0", kind, (tuple(names),), kind if len(names) <= MOST_FEATURES else ""),)

    def _feature_key(self, kind: Literal["input", "output"], i: int) -> str:
        names = self.graph.inputs if kind == "input" else self.graph.outputs
        return f"{kind}{0 if self._is_folded(kind, len(names)) else i}"

    def _is_folded(self, kind: str, count: int) -> bool:
        return count > MOST_FEATURES or (count > MANY_FEATURES and self.opened.isdisjoint((UNFOLDED, kind)))

    def _inside(self, network: Network) -> tuple[Box | Frame, ...]:
        if self.unfolded:
            items: list[Box | Frame] = [self._drawn("layer", [(i,)], [_Offset()]) for i in network.nodes]
        else:
            items = self._items(network, network.items, [_Offset()])
        own = len(items)
        for inner in reversed(network.inner):
            owner = f"n{inner.owner}"
            after = [k for k, item in enumerate(items) if isinstance(item, Box) and item.key == owner]
            items.insert(after[0] + 1 if after else own, self._network(inner))
        return tuple(items)

    def _network(self, network: Network) -> Box | Frame:
        if self.unfolded or network.key in self.opened:
            return Frame(network.key, "scope", self._inside(network), network.key, True, title=network.title)
        numbers = network.all_nodes()
        for i in numbers:
            self.place[i] = (network.key, {})
        ids = tuple(self.graph.nodes[i].id for i in numbers)
        return Box(network.key, "network", (ids,), network.key, network.title)

    def _edges(self) -> Iterator[Edge]:
        seen: set[tuple[str, str]] = set()

        def fresh(source: str, target: str) -> bool:
            known = source == target or (source, target) in seen
            seen.add((source, target))
            return not known

        for target in range(len(self.graph.nodes)):
            key, path = self.place[target]
            for source in self.wires.producers[target]:
                if source < 0:
                    other: tuple[str, Mapping[str, int]] = (self._feature_key("input", -1 - source), {})
                else:
                    other = self.place[source]
                between_copies = any(path.get(name, copy) != copy for name, copy in other[1].items())
                if not between_copies and fresh(other[0], key):
                    yield Edge(other[0], key)
        for i, sources in enumerate(self.wires.output_producers):
            for source in sources:
                before = self.place[source][0] if source >= 0 else self._feature_key("input", -1 - source)
                if fresh(before, self._feature_key("output", i)):
                    yield Edge(before, self._feature_key("output", i))
        for network in self.outline.root.walk():
            if network.owner is not None:
                owner, first = self.place[network.owner][0], self.place[network.all_nodes()[0]][0]
                if fresh(owner, first):
                    yield Edge(owner, first, nested=True)

    def _items(self, network: Network, items: Sequence[int | Block], offsets: list[_Offset]) -> list[Box | Frame]:
        return [
            self._chain(network, item, offsets) if isinstance(item, int) else self._block(network, item, offsets)
            for item in items
        ]

    def _block(self, network: Network, block: Block, offsets: list[_Offset]) -> Frame:
        opened = block.key in self.opened
        children: list[Box | Frame] = []
        if opened:
            for k, copy in enumerate(block.copies):
                boxes = tuple(self._items(network, copy, offsets))
                children.append(Frame(f"{block.key}k{k}", "copy", boxes, count=block.count, index=k))
        else:
            copies = [
                _Offset(offset.chains + k * block.period, {**offset.path, block.key: k})
                for offset in offsets
                for k in range(block.count)
            ]
            children = self._items(network, block.copies[0], copies)
        return Frame(block.key, "repeat", tuple(children), block.key, opened, block.count, parallel=block.parallel)

    def _chain(self, network: Network, at: int, offsets: list[_Offset]) -> Box | Frame:
        copies = [network.chains[at + offset.chains] for offset in offsets]
        first = copies[0]
        if len(first) == 1:
            return self._drawn("layer", copies, offsets)
        key = f"c{first[0]}"
        if key not in self.opened:
            return self._drawn("chain", copies, offsets, key)
        boxes = [self._drawn("layer", [(chain[k],) for chain in copies], offsets) for k in range(len(first))]
        title = main_node([self.graph.nodes[i] for i in first]).name
        return Frame(key, "chain", tuple(boxes), key, True, title=title)

    def _drawn(
        self, kind: Literal["layer", "chain"], copies: list[tuple[int, ...]], offsets: list[_Offset], fold: str = ""
    ) -> Box:
        key = f"n{copies[0][0]}"
        for chain, offset in zip(copies, offsets, strict=True):
            for i in chain:
                self.place[i] = (key, offset.path)
        ids = tuple(tuple(self.graph.nodes[i].id for i in chain) for chain in copies)
        return Box(key, kind, ids, fold)
