"""The layers of a NeuralNetwork as nodes, the networks inside loops and branches included."""

from __future__ import annotations

from functools import partial
from typing import Any

from mlexplorer.graph.node import Custom, LayerWeight, Node, Scope, Weight
from mlexplorer.graph.wiring import Names, Wiring, either
from mlexplorer.layers import LAYOUTS
from mlexplorer.layers.layer_type import WeightLayout
from mlexplorer.spec import reflection
from mlexplorer.spec.weight_params import describe, weight_count


def add_layers(wiring: Wiring, network: Any, names: Names, scope: str) -> Names:
    """List the layers of a network; answers what the blob names stand for behind it."""
    for layer in network.layers:
        node = _node(wiring, layer, scope)
        wiring.add(node, names)
        if node.type == "branch":
            ways = [dict(names), dict(names)]
            for i, field in enumerate(("ifBranch", "elseBranch")):
                ways[i] = _nested(wiring, node, field, ways[i])
            names = either(*ways)
        elif node.type == "loop":
            names = _nested(wiring, node, "conditionNetwork", names)
            if node.params.conditionVar:
                wiring.read(node.id, node.params.conditionVar, names)
            names = either(_nested(wiring, node, "bodyNetwork", dict(names)), names)
    return names


def _nested(wiring: Wiring, node: Node, field: str, names: Names) -> Names:
    if not node.params.HasField(field):
        return names
    scope = f"{node.id}/{field}"
    wiring.scopes.append(Scope(scope, field, "neuralNetwork", node.scope))
    return add_layers(wiring, getattr(node.params, field), names, scope)


def _node(wiring: Wiring, layer: Any, scope: str) -> Node:
    type_name = layer.WhichOneof("layer")
    params = getattr(layer, type_name) if type_name else layer
    node_id = wiring.new_id(scope, layer.name or type_name or "unknown")
    return Node(
        id=node_id,
        name=layer.name,
        type=type_name or "unknown",
        inputs=tuple(layer.input),
        outputs=tuple(layer.output),
        params=params,
        scope=scope,
        weights=_weights(node_id, layer.name, type_name, params) if type_name else (),
        custom=custom_of(params) if type_name == "custom" else None,
        read_parameters=partial(reflection.parameters, params) if type_name else partial(_unknown_parameters, layer),
    )


def _unknown_parameters(layer: Any) -> dict[str, Any]:
    return {"unknown fields": reflection.unknown_fields(layer)}


def custom_of(params: Any) -> Custom:
    """The class name, description and parameters of a CustomLayerParams or CustomModel message."""
    given = {name: params.parameters[name] for name in sorted(params.parameters)}
    values = {name: getattr(value, value.WhichOneof("value") or "", None) for name, value in given.items()}
    return Custom(params.className, params.description, values)


def _weights(node_id: str, name: str, type_name: str, params: Any) -> tuple[Weight, ...]:
    found = [(path, message, *describe(message)) for path, message in reflection.weights(params)]
    if not found:
        return ()
    layouts = LAYOUTS[type_name](params) if type_name in LAYOUTS else {}
    weights = []
    for path, message, kind, bits in found:
        if kind == "empty":
            continue
        layout = layouts.get(path) or WeightLayout((weight_count(message),))
        owner = f"layer {name!r} ({type_name})"
        weights.append(LayerWeight(node_id, path, layout.shape, layout.channel_axis, kind, bits, message, owner))
    return tuple(weights)
