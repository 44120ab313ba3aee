"""Nodes in an order in which they can be computed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from heapq import heapify, heappop, heappush

import onnx

from mlexplorer.errors import ModelError


def in_order(nodes: Sequence[onnx.NodeProto], known: Collection[str]) -> Iterator[onnx.NodeProto]:
    """The nodes after those that they read from, `known` values apart.

    Raises ModelError for circles and for what nothing gives.
    """
    given = {name for proto in nodes for name in proto.output if name}
    waiting: dict[str, list[int]] = {}
    missing = []
    for index, proto in enumerate(nodes):
        names = {name for name in _read_by(proto) if name and name not in known}
        for name in names:
            if name not in given:
                raise ModelError(
                    f"node {proto.name or proto.op_type!r} ({proto.op_type}) reads {name!r}, which no node, input or "
                    "tensor gives"
                )
            waiting.setdefault(name, []).append(index)
        missing.append(len(names))
    ready = [index for index, count in enumerate(missing) if not count]
    heapify(ready)
    done = 0
    while ready:
        proto = nodes[heappop(ready)]
        done += 1
        yield proto
        for name in proto.output:
            for index in waiting.pop(name, ()):
                missing[index] -= 1
                if not missing[index]:
                    heappush(ready, index)
    if done < len(nodes):
        first = next(proto for proto, count in zip(nodes, missing, strict=True) if count)
        raise ModelError(
            f"the nodes read in a circle from each other; {first.name or first.op_type!r} ({first.op_type}) is one"
        )


def _read_by(proto: onnx.NodeProto) -> Iterator[str]:
    """The names that a node reads, those that graphs within it read from outside included."""
    yield from proto.input
    for attribute in proto.attribute:
        if attribute.HasField("g"):
            own = {name for node in attribute.g.node for name in node.output}
            own.update(tensor.name for tensor in attribute.g.initializer)
            own.update(info.name for info in attribute.g.input)
            for node in attribute.g.node:
                yield from (name for name in _read_by(node) if name not in own)
