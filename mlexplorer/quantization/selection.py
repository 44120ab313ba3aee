"""Which weights may be quantized: those that coremltools quantizes, and of them none that the device would refuse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mlexplorer.errors import UnsupportedError
from mlexplorer.graph import NETWORKS, Node, Weight
from mlexplorer.model import Model

QUANTIZED_TYPES = frozenset(
    (
        *("convolution", "innerProduct", "batchedMatmul", "embedding", "embeddingND"),
        *("batchnorm", "scale", "bias", "loadConstant", "loadConstantND"),
        *("simpleRecurrent", "gru", "uniDirectionalLSTM", "biDirectionalLSTM"),
    )
)
"""The layer types whose weights coremltools quantizes; it does so inside loops, branches and pipelines, too."""


def quantizable(model: Model) -> Iterator[tuple[Node, Weight]]:
    """The weights of a model that may be quantized, with their nodes, in order.

    All weights of QUANTIZED_TYPES, biases included, of any size and in any encoding, except those of updatable layers,
    those that the layer does not use (a bias where hasBias is false), and 8-bit weights of layers with
    int8DynamicQuantize, which Core ML reads in that form only. Raises UnsupportedError for ML Programs and for models
    without a neural network.
    """
    check_kind(model)
    updatable = _updatable_layers(model.spec, "")
    for node in model.graph.nodes:
        if node.type in QUANTIZED_TYPES and (node.scope, node.name) not in updatable:
            for weight in node.weights:
                if weight.kind != "int8" and not weight.params.isUpdatable and _is_used(node, weight.name):
                    yield node, weight


def check_kind(model: Model) -> None:
    """Raise UnsupportedError for an ML Program, also within a pipeline, and for a model without a neural network."""
    kinds = {model.kind, *(scope.kind for scope in model.graph.scopes)}
    name = model.path.name if model.path else "the model"
    if "mlProgram" in kinds:
        raise UnsupportedError(f"{name}: the weights of ML Programs cannot be quantized in this version")
    if not kinds.intersection(NETWORKS):
        raise UnsupportedError(f"{name}: a {model.kind} has no neural network whose weights could be quantized")


def scopes_above(spec: Any, scope: str) -> list[Any]:
    """The Model messages around the nodes of a scope: the whole model, and the stages of pipelines down to them."""
    chain = [spec]
    while (pipeline := _pipeline(chain[-1])) is not None:
        stage = re.match(r"pipeline\[(\d+)\]/?", scope)
        if stage is None:
            break
        chain.append(pipeline.models[int(stage[1])])
        scope = scope[stage.end() :]
    return chain


def groups(node: Node, weight: Weight) -> int:
    """The groups of a deconvolution's weights, whose output channels are groups * shape[1]; 1 for all others."""
    grouped = node.type == "convolution" and weight.name == "weights" and node.params.isDeconvolution
    return max(1, int(node.params.nGroups)) if grouped else 1


def _pipeline(spec: Any) -> Any | None:
    kind = spec.WhichOneof("Type") or ""
    if not kind.startswith("pipeline"):
        return None
    return spec.pipeline if kind == "pipeline" else getattr(spec, kind).pipeline


def _updatable_layers(spec: Any, scope: str) -> set[tuple[str, str]]:
    """Scope and name of the layers that are marked updatable; layers within loops and branches cannot be."""
    pipeline = _pipeline(spec)
    if pipeline is not None:
        prefix = f"{scope}/" if scope else ""
        inner = [_updatable_layers(stage, f"{prefix}pipeline[{i}]") for i, stage in enumerate(pipeline.models)]
        return set().union(*inner)
    kind = spec.WhichOneof("Type")
    layers = getattr(spec, kind).layers if kind in NETWORKS else ()
    return {(scope, layer.name) for layer in layers if layer.isUpdatable}


def _is_used(node: Node, name: str) -> bool:
    params = node.params
    if name == "bias" and node.type != "bias":
        return bool(params.hasBias)
    if node.type == "gru" and name.endswith("BiasVector"):
        return bool(params.hasBiasVectors)
    if node.type == "simpleRecurrent" and name == "biasVector":
        return bool(params.hasBiasVector)
    if name.endswith("PeepholeVector"):
        return bool(params.params.hasPeepholeVectors)
    return True
