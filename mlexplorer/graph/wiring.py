"""Who reads what from whom, while the nodes of a graph are listed in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from mlexplorer.graph.node import Node, Scope, Value

Names = dict[str, tuple[int, ...]]
"""What each name stands for at a point of the program: the numbers of the writes that a reader may meet there.

It is more than one after a branch, and after a loop, whose body may not have run.
"""


@dataclass
class _Write:
    name: str
    scope: str
    producer: str | None
    consumers: list[str] = field(default_factory=list)
    shape: tuple[int | None, ...] | None = None
    dtype: str | None = None


@dataclass
class Wiring:
    """The nodes, scopes, values and edges of a graph under construction."""

    nodes: list[Node] = field(default_factory=list)
    scopes: list[Scope] = field(default_factory=list)
    edges: dict[tuple[str, str, str], None] = field(default_factory=dict)
    writes: list[_Write] = field(default_factory=list)
    _ids: dict[str, int] = field(default_factory=dict)

    def reserve(self, names: Iterable[str]) -> None:
        """Keep node ids apart from the names of the model's inputs, so that the source of an edge is either."""
        self._ids.update(dict.fromkeys(names, 1))

    def new_id(self, scope: str, name: str) -> str:
        """A node id that is not taken: "conv1", then "conv1#2"."""
        wanted = f"{scope}/{name}" if scope else name
        chosen = wanted
        while chosen in self._ids:
            self._ids[wanted] += 1
            chosen = f"{wanted}#{self._ids[wanted]}"
        self._ids[chosen] = 1
        return chosen

    def add(self, node: Node, names: Names) -> None:
        """List a node: it reads its inputs and writes its outputs."""
        self.nodes.append(node)
        for name in node.inputs:
            self.read(node.id, name, names)
        for name in node.outputs:
            names[name] = (self.write(name, node.scope, node.id),)

    def read(self, node_id: str, name: str, names: Names) -> None:
        """Connect a node to the latest writers of a name; a name that nobody has written connects to nothing."""
        for index in names.get(name, ()):
            write = self.writes[index]
            if node_id not in write.consumers:
                write.consumers.append(node_id)
            self.edges[write.producer or write.name, node_id, name] = None

    def write(
        self,
        name: str,
        scope: str,
        producer: str | None,
        shape: tuple[int | None, ...] | None = None,
        dtype: str | None = None,
    ) -> int:
        """A new value of a name; its number."""
        self.writes.append(_Write(name, scope, producer, shape=shape, dtype=dtype))
        return len(self.writes) - 1

    def producers(self, indices: Iterable[int]) -> tuple[str, ...]:
        """The node ids, or input names, that wrote these values."""
        return tuple(dict.fromkeys(self.writes[index].producer or self.writes[index].name for index in indices))

    def values(self) -> tuple[Value, ...]:
        """All values in the order in which they are written."""
        return tuple(Value(w.name, w.scope, w.producer, tuple(w.consumers), w.shape, w.dtype) for w in self.writes)


def either(*alternatives: Names) -> Names:
    """What names stand for after one of several ways was taken."""
    merged: Names = {}
    for names in alternatives:
        for name, indices in names.items():
            merged[name] = tuple(dict.fromkeys((*merged.get(name, ()), *indices)))
    return merged
