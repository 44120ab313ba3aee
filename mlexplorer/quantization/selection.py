"""Which weights may be quantized: those that coremltools quantizes, and of them none that the device would refuse.

A `Selection` chooses among them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from mlexplorer.errors import QuantizationError, UnsupportedError
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


Predicate = Callable[[Weight], bool]

_NORMALIZATION_TYPES = frozenset(("batchnorm", "scale"))


@dataclass(frozen=True)
class Selection:
    """Which weights of a model to quantize: by name, type, size and place, biases and normalization left alone.

    `names` are patterns with * and ? ("conv_*"), of which one must match the layer's name, its id in the graph or the
    weight's key; `types` are layer types ("convolution"); `minimum_size` is the least number of values in a weight.
    With `keep_first_and_last` the layers with weights that nothing with weights comes before, or after, stay as they
    are. With `biases` biases and peepholes are quantized, too, and with `normalization` the vectors of batchnorm and
    scale layers: both together are what coremltools does. `predicate` is a function of a `Weight` that has the last
    word.

    >>> mle.quantize(model, mle.LookupTable(bits=2), select=mle.Selection(minimum_size=1000, keep_first_and_last=True))
    """

    names: str | Iterable[str] = "*"
    types: str | Iterable[str] | None = None
    minimum_size: int = 0
    keep_first_and_last: bool = False
    biases: bool = False
    normalization: bool = False
    predicate: Predicate | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", _strings("names", self.names))
        if self.types is not None:
            object.__setattr__(self, "types", _strings("types", self.types))
            unknown = set(self.types) - QUANTIZED_TYPES
            if unknown:
                known = ", ".join(sorted(QUANTIZED_TYPES))
                raise QuantizationError(f"no weights of layers {min(unknown)!r} are quantized; there are {known}")
        if self.predicate is not None and not callable(self.predicate):
            raise QuantizationError(f"predicate must be a function of a Weight, not {self.predicate!r}")

    def of(self, model: Model) -> Predicate:
        """A function that tells of each weight of this model whether it is selected.

        Raises UnsupportedError for ML Programs and for models without a neural network.
        """
        kinds = {
            weight.key: (node, weight)
            for node, weight in quantizable(model)
            if (self.biases or not _is_bias(node, weight.name))
            and (self.normalization or node.type not in _NORMALIZATION_TYPES)
        }
        kept = _first_and_last(model, {node.id for node, _ in kinds.values()}) if self.keep_first_and_last else ()
        chosen = {key for key, (node, weight) in kinds.items() if node.id not in kept and self._fits(node, weight)}
        return lambda weight: weight.key in chosen

    def _fits(self, node: Node, weight: Weight) -> bool:
        known = node.name, node.id, weight.key
        return (
            any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in self.names for name in known)
            and (self.types is None or node.type in self.types)
            and weight.count >= self.minimum_size
            and (self.predicate is None or bool(self.predicate(weight)))
        )


Select = Selection | Predicate
"""What chooses weights."""


def _strings(field: str, value: str | Iterable[str]) -> tuple[str, ...]:
    strings = (value,) if isinstance(value, str) else tuple(value)
    if not strings or not all(isinstance(one, str) for one in strings):
        raise QuantizationError(f"{field} must be a string or several, not {value!r}")
    return strings


def _first_and_last(model: Model, weighted: set[str]) -> set[str]:
    """Of the nodes `weighted`, those that none of them comes before, and those that none comes after."""
    edges = model.graph.edges
    place = {node.id: index for index, node in enumerate(model.graph.nodes)}
    ends: set[str] = set()
    for forward in (True, False):
        beyond: set[str] = set()  # the nodes on whose way from the input, or to the output, there is one with weights
        ordered = sorted(edges, key=lambda edge: place.get(edge[1] if forward else edge[0], -1), reverse=not forward)
        for source, target, _ in ordered:
            near, far = (source, target) if forward else (target, source)
            if near in beyond or near in weighted:
                beyond.add(far)
        ends |= weighted - beyond
    return ends


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


def _is_bias(node: Node, name: str) -> bool:
    vector = name.rpartition(".")[2].lower()
    return node.type == "bias" or vector == "bias" or vector.endswith(("biasvector", "peepholevector"))


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
