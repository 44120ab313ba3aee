"""Who reads whose values in a graph, by the numbers of its nodes: what folding works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlexplorer.graph import Graph, Node


@dataclass(frozen=True)
class Wires:
    """The arrows of a graph.

    `producers` and `readers` list, for each node, the nodes before and after it; the model's input k is the producer
    -1 - k. `output_producers` list them for each output. `exposed` are the nodes whose values are outputs of the model.
    Nodes of equal `signatures` differ in name only.
    """

    producers: list[list[int]]
    readers: list[list[int]]
    output_producers: list[list[int]]
    exposed: frozenset[int]
    signatures: list[Any]


def wires(graph: Graph) -> Wires:
    """The arrows of a graph."""
    number = {name: -1 - i for i, name in enumerate(graph.inputs)}
    number.update((node.id, i) for i, node in enumerate(graph.nodes))
    producers: list[dict[int, None]] = [{} for _ in graph.nodes]
    readers: list[list[int]] = [[] for _ in graph.nodes]
    for source, target, _ in graph.edges:
        producer, reader = number.get(source), number[target]
        if producer is None or producer == reader or producer in producers[reader]:
            continue
        producers[reader][producer] = None
        if producer >= 0:
            readers[producer].append(reader)
    output_producers = [
        [number[source] for source in graph.producers(name) if source in number] for name in graph.outputs
    ]
    return Wires(
        [list(found) for found in producers],
        readers,
        output_producers,
        frozenset(producer for found in output_producers for producer in found if producer >= 0),
        [_signature(node) for node in graph.nodes],
    )


def _signature(node: Node) -> Any:
    """What two nodes share that differ in name only: type, parameters, shapes of the weights."""
    return node.type, repr(node.parameters), tuple((weight.name, weight.shape) for weight in node.weights)
