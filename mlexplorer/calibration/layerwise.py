"""Layer after layer: collect what a weight is multiplied by, round it with error feedback, go on with the result."""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.calibration.error_feedback import (
    GENERATED,
    GIVEN,
    GridLevels,
    Levels,
    Moments,
    TableLevels,
    round_and_fit,
)
from mlexplorer.calibration.products import Product, products
from mlexplorer.feeds import GeneratedInputs
from mlexplorer.graph import Graph, Node, Weight
from mlexplorer.model import Model
from mlexplorer.progress import check
from mlexplorer.quantization.plan import Plan, put
from mlexplorer.quantization.scheme import Float16, Scheme
from mlexplorer.quantization.selection import groups
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.spec.weight_params import Encoded

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]

VECTORS = 8192
"""How many vectors are taken for one layer from all inputs together, at most."""
_STAGES = re.compile(r"(pipeline\[\d+\](/|$))*")


def calibrate(
    model: Model,
    plan: Plan,
    inputs: Sequence[Mapping[str, Any]],
    *,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    progress: Progress | None = None,
    cancelled: threading.Event | None = None,
) -> Model:
    """A copy of the model with its weights in the schemes of the plan, rounded with error feedback.

    Each weight is rounded in the order of the layers, so that it makes up for what the layers before it lost. Weights
    that no product holds (vectors, tables of embeddings), and those within loops and branches, are encoded as
    `Plan.apply` does. `progress` is called with what is under way, how many weights are done, and of how many. Raises
    as `Plan.apply` and `predict` do, and Cancelled once `cancelled` is set.
    """
    planned = plan.assignments(model)
    copy = model.copy()
    written = {weight.key: weight for weight in Graph(copy.spec, copy.blobs).weights}
    captured = _Captured(model, copy, inputs, custom_layers, cancelled)
    for done, (node, weight, scheme) in enumerate(planned):
        check(cancelled)
        if progress is not None:
            progress(weight.key, done, len(planned))
        product = captured.product(node, weight)
        if product is None or isinstance(scheme, Float16):
            encoded = _encoded(scheme, node, weight, weight.array())
        else:
            encoded = _with_feedback(scheme, node, product, captured.moments(node, product), cancelled)
        put(copy.spec, written[weight.key].params, node, scheme, encoded)
    return copy


class _Captured:
    """What the layers of a model, and of its half-quantized copy, are given for some inputs."""

    def __init__(
        self,
        model: Model,
        copy: Model,
        inputs: Sequence[Mapping[str, Any]],
        custom_layers: Mapping[str, CustomLayerClass] | None,
        cancelled: threading.Event | None,
    ) -> None:
        self._copy, self._inputs, self._cancelled = copy, inputs, cancelled
        self._trust = GENERATED if isinstance(inputs, GeneratedInputs) else GIVEN
        self._original = Predictor(model, custom_layers)
        self._products = {product.weight.key: product for node in _reachable(model) for product in products(node)}
        self._node = ""
        self._moments: dict[tuple[int, int], Moments] = {}

    def product(self, node: Node, weight: Weight) -> Product | None:
        """The product that a weight belongs to, None where what it meets cannot be captured."""
        return self._products.get(weight.key)

    def moments(self, node: Node, product: Product) -> Moments:
        """The moments of what a layer's weight meets; the weights of one layer share them where they can."""
        if self._node != node.id:
            self._node, self._moments = node.id, {}
            blob = f"{node.scope}/{node.inputs[0]}" if node.scope else node.inputs[0]
            self._blobs = [self._run(self._original, given, blob) for given in self._inputs]
            quantized = self._original.rebind(Model(self._copy.spec, blobs=self._copy.blobs))
            self._quantized = [self._run(quantized, given, blob) for given in self._inputs]
        groups, _, columns = product.matrices(np.empty(product.weight.shape, np.bool_)).shape
        found = self._moments.get((groups, columns))
        if found is None:
            found = self._moments[groups, columns] = Moments(groups, columns, self._trust)
            most = max(1, VECTORS // len(self._inputs))
            for own, other in zip(self._blobs, self._quantized, strict=True):
                check(self._cancelled)
                found.add(product.vectors(own, most), product.vectors(other, most))
        return found

    def _run(self, predictor: Predictor, given: Mapping[str, Any], blob: str) -> Array:
        check(self._cancelled)
        array: Array = predictor.predict(given, outputs=[blob])[blob]
        return array


def _reachable(model: Model) -> Iterator[Node]:
    """The layers whose input can be asked for by name: not those in loops and branches, nor overwritten blobs."""
    writers = Counter((node.scope, blob) for node in model.graph.nodes for blob in node.outputs)
    for node in model.graph.nodes:
        if node.inputs and _STAGES.fullmatch(node.scope) and writers[node.scope, node.inputs[0]] <= 1:
            yield node


def _with_feedback(
    scheme: Scheme, node: Node, product: Product, moments: Moments, cancelled: threading.Event | None
) -> Encoded:
    weight = product.weight
    check(cancelled)
    targets = moments.targets(product.matrices(weight.array()))
    check(cancelled)
    start = _encoded(scheme, node, weight, product.restore(targets).astype(np.float32).reshape(weight.shape))
    levels: Levels
    if start.table is not None:
        levels = TableLevels(start.table)
    else:
        assert start.scale is not None
        assert start.bias is not None
        levels = GridLevels(start.scale, start.bias, start.bits)
    codes, levels = round_and_fit(targets, moments.pieces(), levels, cancelled)
    flat = np.ascontiguousarray(product.restore(codes))
    if isinstance(levels, TableLevels):
        return Encoded(start.bits, codes=flat, table=levels.table.astype(np.float32))
    assert isinstance(levels, GridLevels)
    return Encoded(start.bits, codes=flat, scale=levels.scale.astype(np.float32), bias=levels.bias.astype(np.float32))


def _encoded(scheme: Scheme, node: Node, weight: Weight, array: Array) -> Encoded:
    return scheme.encode(array, weight.channel_axis, groups=groups(node, weight), name=weight.key)
