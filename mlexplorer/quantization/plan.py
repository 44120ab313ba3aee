"""A plan: which weight is stored in which scheme; applied to a model, it gives another model."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mlexplorer.errors import QuantizationError
from mlexplorer.graph import NETWORKS, Node, Weight
from mlexplorer.model import Model
from mlexplorer.progress import check
from mlexplorer.quantization import analysis
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.rewriting import copy_without
from mlexplorer.quantization.scheme import Float16, Float32, Scheme
from mlexplorer.quantization.selection import Select as Select
from mlexplorer.quantization.selection import Selection, check_kind, groups, quantizable, scopes_above
from mlexplorer.spec.weight_params import Encoded, write

Encode = Callable[[Sequence[Scheme], Node, Weight], Iterator[Encoded]]


@dataclass(frozen=True, repr=False)
class Plan:
    """The scheme of each weight, by the weight's key ("conv_1:weights"); weights without one stay as they are.

    `Plan.uniform` makes one for all weights that coremltools quantizes; `Plan({**one.schemes, **other.schemes})` joins
    two. A plan is a value: equality, a table as repr, and a JSON form.
    """

    schemes: Mapping[str, Scheme]

    def __post_init__(self) -> None:
        for key, scheme in self.schemes.items():
            if not isinstance(key, str) or not isinstance(scheme, Scheme):
                raise QuantizationError(f"a plan maps keys of weights to schemes, not {key!r} to {scheme!r}")
        object.__setattr__(self, "schemes", MappingProxyType(dict(self.schemes)))

    @classmethod
    def uniform(cls, model: Model, scheme: Scheme, select: Select | None = None) -> Plan:
        """One scheme for all weights that `select` accepts.

        `select` is a `Selection`, or a function of a `Weight`: `lambda weight: weight.count >= 1000`. Without it biases
        and the vectors of normalization stay as they are; `Selection(biases=True, normalization=True)` takes all that
        coremltools quantizes. 16-bit floats go to all 32-bit floats of a layer of which one weight is selected, since
        Core ML refuses a layer with both. Raises UnsupportedError for ML Programs and for models without a neural
        network.
        """
        if select is None:
            select = Selection(biases=isinstance(scheme, Float16), normalization=isinstance(scheme, Float16))
        if isinstance(select, Selection):
            select = select.of(model)
        chosen = [(node, weight) for node, weight in quantizable(model) if select(weight)]
        keys = {weight.key for _, weight in chosen}
        if isinstance(scheme, Float16):
            nodes = {node.id for node, _ in chosen}
            keys |= {w.key for node, w in quantizable(model) if node.id in nodes and w.kind == "float32"}
        return cls({weight.key: scheme for _, weight in quantizable(model) if weight.key in keys})

    @classmethod
    def of(cls, model: Model) -> Plan:
        """What a model already is: the schemes of its weights in fewer bits than 32.

        A file does not tell how levels were chosen: tables of more than two equally spaced entries count as linear,
        others as those of k-means, and scales as those of the range. Applied to the dequantized model, the plan gives
        the same values again, but for a rounding, as long as the outermost levels are in use. 32-bit floats are left
        out, and so are the 8-bit weights of layers with int8DynamicQuantize. Raises UnsupportedError as `uniform` does.
        """
        check_kind(model)
        return cls({weight.key: scheme for weight in model.graph.weights if (scheme := _found(weight)) is not None})

    def apply(self, model: Model, cancelled: threading.Event | None = None) -> Model:
        """A copy of the model with its weights in the schemes of this plan.

        Weights that were quantized before are decoded first. The copy's specificationVersion is at least 3, or 2 with
        16-bit floats only. Raises QuantizationError, which names the weight, where the model has no such weight, it may
        not be quantized, or its values do not fit the scheme; UnsupportedError for ML Programs and for models without a
        neural network; Cancelled once `cancelled` is set.
        """

        def encode(schemes: Sequence[Scheme], node: Node, weight: Weight) -> Iterator[Encoded]:
            check(cancelled)
            return _encoded(schemes, node, weight)

        return _rewritten(model, [self], encode)[0]

    def predicted_size(self, model: Model) -> int:
        """The exact bytes of the file (or package) of the quantized model, without quantizing it; raises as `apply`."""
        return _rewritten(model, [self], _blank)[0].size

    def assignments(self, model: Model) -> list[tuple[Node, Weight, Scheme]]:
        """The weights that it names, with their nodes and schemes, in the model's order; raises as `apply`."""
        allowed = list(quantizable(model))
        keys = {weight.key for _, weight in allowed}
        wider = [
            (node, weight)
            for node in model.graph.nodes
            for weight in node.weights
            if weight.key not in keys and isinstance(self.schemes.get(weight.key), Float32) and weight.kind != "int8"
        ]
        planned = [
            (node, weight, self.schemes[weight.key])
            for node, weight in [*allowed, *wider]
            if weight.key in self.schemes
        ]
        missing = self.schemes.keys() - {weight.key for _, weight, _ in planned}
        if missing:
            key = min(missing)
            if key in {weight.key for weight in model.graph.weights}:
                raise QuantizationError(
                    f"{key}: Core ML does not read this weight in fewer bits (its layer is updatable, or of a type "
                    "that is never quantized); take it out of the plan"
                )
            raise QuantizationError(f"the model has no weight {key!r}; model.graph.weights lists the keys")
        halves = {node.id for node, _, scheme in planned if isinstance(scheme, Float16)}
        for node, weight in allowed:
            if node.id in halves and weight.kind == "float32" and weight.key not in self.schemes:
                raise QuantizationError(
                    f"{weight.key} would stay in 32-bit floats beside 16-bit floats in the same layer, which Core ML "
                    "refuses; plan Float16() for it, too"
                )
        return planned

    def to_json(self) -> dict[str, Any]:
        """A mapping of plain values. Raises QuantizationError where a scheme has a function, which cannot be stored."""
        return {"schemes": {key: scheme.to_json() for key, scheme in self.schemes.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Plan:
        """The plan of a mapping that `to_json` made. Raises QuantizationError where it describes none."""
        schemes = data.get("schemes") if isinstance(data, Mapping) else None
        if not isinstance(schemes, Mapping) or not all(isinstance(scheme, Mapping) for scheme in schemes.values()):
            raise QuantizationError('a plan is stored as {"schemes": {key: {"scheme": name, ...}, ...}}')
        return cls({key: Scheme.from_json(scheme) for key, scheme in schemes.items()})

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plan to a JSON file."""
        Path(path).write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Plan:
        """The plan in a JSON file that `save` wrote. Raises QuantizationError where it holds none."""
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise QuantizationError(f"{path} is not a plan: {error}") from error
        return cls.from_json(data)

    def __repr__(self) -> str:
        by_label: dict[str, list[str]] = {}
        for key, scheme in self.schemes.items():
            by_label.setdefault(scheme.label, []).append(key)
        width = max(map(len, by_label), default=0)
        lines = [f"Plan of {len(self.schemes)} weights"]
        for label, keys in by_label.items():
            shown = ", ".join(keys[:3]) + (f", {keys[3]}" if len(keys) == 4 else "")
            more = f" and {len(keys) - 3} more" if len(keys) > 4 else ""
            lines.append(f"  {label:{width}}  {shown}{more}")
        return "\n".join(lines)


class LayerSizes:
    """The exact bytes of a model's files with one layer quantized; the other layers of a network are not copied."""

    def __init__(self, model: Model) -> None:
        self._model, self._size = model, model.size
        network = getattr(model.spec, model.kind) if model.kind in NETWORKS else None
        self._network = int(network.ByteSize()) if network is not None else 0
        own = [node.id for node in model.graph.nodes if not node.scope]
        self._layers = dict(zip(own, network.layers, strict=True)) if network is not None else {}

    def with_layer(self, node: Node, plan: Plan) -> int:
        """The bytes with a layer as the plan has it, which says nothing of other layers."""
        layer = self._layers.get(node.id)
        if layer is None:  # within a pipeline, a loop or a branch
            return plan.predicted_size(self._model)
        planned = [weight for weight in node.weights if weight.key in plan.schemes]
        copy, twins = copy_without(layer, [weight.params for weight in planned])
        for weight in planned:
            (encoded,) = _blank([plan.schemes[weight.key]], node, weight)
            write(twins[id(weight.params)], encoded)
        grown = _as_field(copy.ByteSize()) - _as_field(layer.ByteSize())
        return self._size + _as_field(self._network + grown) - _as_field(self._network)


def _as_field(nbytes: int) -> int:
    """The bytes of a message with its length before it."""
    return nbytes + max(1, -(-nbytes.bit_length() // 7))


def quantize(model: Model, scheme_or_plan: Scheme | Plan, *, select: Select | None = None) -> Model:
    """A copy of the model with its weights in fewer bits; the model itself stays as it is.

    A scheme goes to all weights that `select` accepts (see `Plan.uniform`); a plan says it for each weight. Weights
    that were quantized before are decoded first. Raises as `Plan.apply` does.
    """
    return quantize_each(model, [scheme_or_plan], select=select)[0]


def quantize_each(
    model: Model, schemes_or_plans: Iterable[Scheme | Plan], *, select: Select | None = None
) -> list[Model]:
    """What `quantize` makes of a model with each of these schemes or plans; each weight is read and analysed once.

    >>> models = mle.quantize_each(model, [mle.LookupTable(bits) for bits in range(1, 9)])
    """
    return _rewritten(model, [plan_of(model, one, select) for one in schemes_or_plans], _encoded)


def plan_of(model: Model, scheme_or_plan: Scheme | Plan, select: Select | None = None) -> Plan:
    """What is meant by a scheme for a model, or by a plan; raises QuantizationError for anything else."""
    if not isinstance(scheme_or_plan, Plan | Scheme):
        raise QuantizationError(f"quantize takes a scheme, LookupTable(bits=4) say, or a Plan, not {scheme_or_plan!r}")
    if isinstance(scheme_or_plan, Scheme):
        return Plan.uniform(model, scheme_or_plan, select)
    if select is not None:
        raise QuantizationError("a plan says which weights it quantizes; give select to Plan.uniform instead")
    return scheme_or_plan


def put(spec: Any, params: Any, node: Node, scheme: Scheme, encoded: Encoded) -> None:
    """Write a weight into its WeightParams message of a specification, which must be read as new as the scheme is."""
    write(params, encoded)
    for scope in scopes_above(spec, node.scope):
        scope.specificationVersion = max(scope.specificationVersion, scheme.version)


def dequantize(model: Model) -> Model:
    """A copy of the model with its weights in 32-bit floats, of the values that the quantized ones stand for.

    The values are those of coremltools' dequantization, to the last bit. Layers with int8DynamicQuantize, which Core ML
    runs in 8 bits, keep their weights. Raises UnsupportedError for ML Programs and for models without a neural network.
    """
    return Plan(dict.fromkeys(Plan.of(model).schemes, Float32())).apply(model)


def _found(weight: Weight) -> Scheme | None:
    """The scheme that a weight is stored in."""
    if weight.kind == "float16":
        return Float16()
    if weight.kind == "lookup_table":
        table = weight.encoded().table
        assert table is not None
        spaced = np.linspace(float(table[0]), float(table[-1]), table.size)
        even = np.allclose(table, spaced, rtol=0, atol=1e-6 * float(np.abs(table).max(initial=0)))
        return LookupTable(weight.bits, "linear" if even and weight.bits > 1 else "kmeans")
    if weight.kind != "linear":
        return None
    encoded = weight.encoded()
    scale, bias = encoded.scale, encoded.bias
    if scale is None:
        return None
    one = scale.size == 1 and weight.channel_axis is not None
    even = weight.bits > 1 and bias is not None and np.array_equal(bias, np.float32(-(1 << weight.bits) / 2) * scale)
    return Linear(weight.bits, symmetric=even, granularity="per_tensor" if one else "per_channel")


def _rewritten(model: Model, plans: Iterable[Plan], encode: Encode) -> list[Model]:
    """Copies of a model with the weights that the plans say as `encode` has them, all those of one weight at a time."""
    copies = []
    wanted: dict[str, tuple[Node, Weight, list[tuple[Scheme, Any, Any]]]] = {}
    for plan in plans:
        planned = plan.assignments(model)
        spec, twins = copy_without(model.spec, [weight.params for _, weight, _ in planned])
        copies.append(Model(spec, blobs=model.blobs, path=model.path, source=model.source))
        for node, weight, scheme in planned:
            wanted.setdefault(weight.key, (node, weight, []))[2].append((scheme, spec, twins[id(weight.params)]))
    for node, weight, targets in wanted.values():
        schemes = [scheme for scheme, _, _ in targets]
        every = list(encode(schemes, node, weight))  # the values themselves are gone before anything is written
        for encoded, (scheme, spec, params) in zip(every, targets, strict=True):
            put(spec, params, node, scheme, encoded)
    return copies


def _encoded(schemes: Sequence[Scheme], node: Node, weight: Weight) -> Iterator[Encoded]:
    array = weight.array()
    shared = len(schemes) > 1 and array.size and np.isfinite(array.min()) and np.isfinite(array.max())
    with analysis.KEPT.holding(array) if shared else nullcontext():
        for scheme in schemes:
            yield scheme.encode(array, weight.channel_axis, groups=groups(node, weight), name=weight.key)


def _blank(schemes: Sequence[Scheme], node: Node, weight: Weight) -> Iterator[Encoded]:
    for scheme in schemes:
        yield scheme.blank(weight.shape, weight.channel_axis, groups=groups(node, weight))
