"""Folding a graph before it is drawn: a chain of layers becomes one box, repeated blocks become one frame ("× 5").

Nothing is lost: each box names the layers that it stands for, and each fold can be opened by its name. Custom layers
are never folded. Works on the order of the layers in the file, which every format keeps topological.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mlexplorer.graph import Graph, Node
from mlexplorer.views.families import family
from mlexplorer.views.repeats import Repeat, Repeats
from mlexplorer.views.wires import wires

MANY_FEATURES = 16
"""More inputs, or outputs, than this become one box."""
MOST_FEATURES = 100
"""More than this stay one box, which lists them."""

_HEADS = frozenset({"convolution", "dense", "normalization", "activation", "arithmetic", "recurrent"})
_FOLLOWERS = frozenset({"normalization", "activation"})


@dataclass(frozen=True)
class Box:
    """What is drawn as one box: a layer, a chain of layers, or an input or output of the model.

    `copies` holds the ids of the layers it stands for, one tuple for each copy of the closed repeats around it; the
    first is the one drawn. Of inputs and outputs it holds the feature's name. `fold` is the name by which it opens,
    "" where nothing is folded.
    """

    key: str
    kind: Literal["layer", "chain", "input", "output"]
    copies: tuple[tuple[str, ...], ...]
    fold: str = ""


@dataclass(frozen=True)
class Frame:
    """What is drawn as a frame around boxes.

    A "repeat" shows its first copy and stands for `count` equal ones, one after the other or side by side
    (`parallel`); opened, it holds `count` frames of kind "copy", of which each knows its place as `index`. A "chain" is
    an opened one. A "scope" is a nested network or a stage of a pipeline. `fold` is the name by which it opens.
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


def fold(graph: Graph, opened: Collection[str] = ()) -> Folded:
    """A graph's boxes, frames and arrows, with the folds named in `opened` open; unknown names are ignored."""
    return _Folder(graph, frozenset(opened)).folded()


@dataclass(frozen=True)
class _Offset:
    """Where a copy of a closed repeat lies: so many chains after the drawn one; `path` says in which copy of which."""

    chains: int = 0
    path: Mapping[str, int] = field(default_factory=dict)


class _Folder:
    def __init__(self, graph: Graph, opened: frozenset[str]) -> None:
        self.graph = graph
        self.nodes = graph.nodes
        self.opened = opened
        self.index = {node.id: i for i, node in enumerate(self.nodes)}
        self.wires = wires(graph)
        self.scopes: dict[str, list[int]] = defaultdict(list)
        for i, node in enumerate(self.nodes):
            self.scopes[node.scope].append(i)
        self.graph_order = {scope.id: i for i, scope in enumerate(graph.scopes)}
        self.titles = {scope.id: scope.name for scope in graph.scopes}
        self.nested: dict[str, list[str]] = defaultdict(list)
        for scope in graph.scopes:
            self.nested[scope.parent].append(scope.id)
        self.owners = {
            scope.id: self.index[owner]
            for scope in graph.scopes
            if scope.id in self.scopes and (owner := scope.id.rpartition("/")[0]) in self.index
        }
        owners = set(self.owners.values())
        self.pinned = [node.is_custom or i in owners for i, node in enumerate(self.nodes)]
        self.place: dict[int, tuple[str, Mapping[str, int]]] = {}

    def folded(self) -> Folded:
        children = self._scope("")
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

    def _scope(self, scope: str) -> tuple[Box | Frame, ...]:
        items = _Region(self, _chains(self, self.scopes.get(scope, []))).items()
        own = len(items)
        for inner in reversed(self.nested.get(scope, ())):
            children = self._scope(inner)
            if not children:
                continue
            frame = Frame(f"s{self.graph_order[inner]}", "scope", children, title=self.titles[inner])
            owner = f"n{self.owners.get(inner)}"
            after = [k for k, item in enumerate(items) if isinstance(item, Box) and item.key == owner]
            items.insert(after[0] + 1 if after else own, frame)
        return tuple(items)

    def _edges(self) -> Iterator[Edge]:
        seen: set[tuple[str, str]] = set()

        def fresh(source: str, target: str) -> bool:
            known = source == target or (source, target) in seen
            seen.add((source, target))
            return not known

        for target in range(len(self.nodes)):
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
        for scope, owner in self.owners.items():
            first = self.place[self.scopes[scope][0]][0]
            if fresh(f"n{owner}", first):
                yield Edge(f"n{owner}", first, nested=True)


def _chains(folder: _Folder, indices: Sequence[int]) -> list[tuple[int, ...]]:
    """The layers of one scope as chains, most of them of one layer, in the order of their first layers."""
    nodes, wires_ = folder.nodes, folder.wires
    chain_of: dict[int, list[int]] = {}
    for i in indices:
        producers = wires_.producers[i]
        before = producers[0] if len(producers) == 1 else -1
        if (
            UNFOLDED not in folder.opened
            and before in chain_of
            and chain_of[before][-1] == before
            and wires_.readers[before] == [i]
            and before not in wires_.exposed
            and not folder.pinned[i]
            and not folder.pinned[before]
            and _follows(nodes[before].type, nodes[i].type)
        ):
            chain_of[before].append(i)
            chain_of[i] = chain_of[before]
        else:
            chain_of[i] = [i]
    return [tuple(chain_of[i]) for i in indices if chain_of[i][0] == i]


def _follows(before: str, after: str) -> bool:
    if family(after) == "convolution":
        return before in ("padding", "pad", "constantPad")
    return family(before) in _HEADS and family(after) in _FOLLOWERS


class _Region:
    """The chains of one scope, with the blocks that repeat among them."""

    def __init__(self, folder: _Folder, chains: list[tuple[int, ...]]) -> None:
        self.folder = folder
        self.chains = chains
        position = {i: at for at, chain in enumerate(chains) for i in chain}
        arrows = folder.wires
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
        signatures = [tuple(i if folder.pinned[i] else arrows.signatures[i] for i in chain) for chain in chains]
        self.repeats = None if UNFOLDED in folder.opened else Repeats(signatures, producers, exposed)

    def items(self) -> list[Box | Frame]:
        """The boxes and frames of the whole scope."""
        return self._items(0, len(self.chains), [_Offset()])

    def _items(self, low: int, high: int, offsets: list[_Offset]) -> list[Box | Frame]:
        found = self.repeats.best(low, high) if self.repeats else None
        if found is None:
            return [self._box(at, offsets) for at in range(low, high)]
        frame = self._frame(found, offsets)
        return [*self._items(low, found.start, offsets), frame, *self._items(found.end, high, offsets)]

    def _frame(self, found: Repeat, offsets: list[_Offset]) -> Frame:
        key = f"r{self.chains[found.start][0]}x{found.period}"
        opened = key in self.folder.opened
        children: list[Box | Frame] = []
        if opened:
            for copy in range(found.count):
                start = found.start + copy * found.period
                boxes = tuple(self._items(start, start + found.period, offsets))
                children.append(Frame(f"{key}k{copy}", "copy", boxes, count=found.count, index=copy))
        else:
            copies = [
                _Offset(offset.chains + copy * found.period, {**offset.path, key: copy})
                for offset in offsets
                for copy in range(found.count)
            ]
            children = self._items(found.start, found.start + found.period, copies)
        return Frame(key, "repeat", tuple(children), key, opened, found.count, parallel=found.parallel)

    def _box(self, at: int, offsets: list[_Offset]) -> Box | Frame:
        copies = [self.chains[at + offset.chains] for offset in offsets]
        first = copies[0]
        if len(first) == 1:
            return self._drawn("layer", copies, offsets)
        key = f"c{first[0]}"
        if key not in self.folder.opened:
            return self._drawn("chain", copies, offsets, key)
        boxes = [self._drawn("layer", [(chain[k],) for chain in copies], offsets) for k in range(len(first))]
        return Frame(key, "chain", tuple(boxes), key, True, title=main_node([self.folder.nodes[i] for i in first]).name)

    def _drawn(
        self, kind: Literal["layer", "chain"], copies: list[tuple[int, ...]], offsets: list[_Offset], fold: str = ""
    ) -> Box:
        key = f"n{copies[0][0]}"
        for chain, offset in zip(copies, offsets, strict=True):
            for i in chain:
                self.folder.place[i] = (key, offset.path)
        ids = tuple(tuple(self.folder.nodes[i].id for i in chain) for chain in copies)
        return Box(key, kind, ids, fold)
