"""Layer after layer: collect what a weight is multiplied by, round it with error feedback, go on with the result."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.calibration.captured import Captured
from mlexplorer.calibration.error_feedback import (
    GENERATED,
    GIVEN,
    GridLevels,
    Levels,
    Moments,
    TableLevels,
    Trust,
    round_and_fit,
)
from mlexplorer.calibration.products import Product, Vectors, products
from mlexplorer.feeds import GeneratedInputs
from mlexplorer.graph import Graph, Node, Weight
from mlexplorer.model import Model
from mlexplorer.progress import check
from mlexplorer.quantization.plan import Plan, put
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.quantization.selection import groups
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.spec.weight_params import Encoded

Array = NDArray[Any]
Progress = Callable[[str, int, int], None]

VECTORS = 8192
"""How many vectors are taken for one layer from all inputs together, at most."""
_MOST_BITS = 8
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
    rounded = {weight.key for _, weight, scheme in planned if scheme.bits <= _MOST_BITS}
    found = {
        product.weight.key: product
        for node in model.graph.nodes
        if _STAGES.fullmatch(node.scope)
        for product in products(node)
        if product.weight.key in rounded
    }
    captured = Captured(model, copy, inputs, custom_layers, cancelled)
    trust = GENERATED if isinstance(inputs, GeneratedInputs) else GIVEN
    layer: _Layer | None = None
    for done, (node, weight, scheme) in enumerate(planned):
        check(cancelled)
        if progress is not None:
            progress(weight.key, done, len(planned))
        product = found.get(weight.key)
        if product is None:
            encoded = _encoded(scheme, node, weight, weight.array())
        else:
            if layer is None or layer.node is not node:
                own = [product for product in found.values() if product.weight.node == node.id]
                layer = _Layer(node, own, captured.inputs(node), trust, cancelled)
            encoded = layer.rounded(product, scheme, copy)
        put(copy.spec, written[weight.key].params, node, scheme, encoded)
    return copy


class _Layer:
    """A layer with its products, and pairs of its inputs in the original and in the half-quantized network."""

    def __init__(
        self,
        node: Node,
        products: Sequence[Product],
        given: Sequence[tuple[Sequence[Array], Sequence[Array]]],
        trust: Trust,
        cancelled: threading.Event | None,
    ) -> None:
        self.node, self._products, self._given = node, products, given
        self._trust, self._cancelled = trust, cancelled
        self._moments: dict[Vectors, Moments] = {}

    def rounded(self, product: Product, scheme: Scheme, copy: Model) -> Encoded:
        """A weight in a scheme, rounded with error feedback; `copy` is the half-quantized model."""
        weight, cancelled = product.weight, self._cancelled
        weights = list(product.sum)
        if len(weights) > 1:
            present = Graph(copy.spec, copy.blobs).node(self.node.id)
            weights = [present.weight(weight.name) for weight in weights]
        matrices = [product.matrices(weight.array()) for weight in weights]
        widths, place = [part.shape[2] for part in matrices], product.sum.index(weight)
        columns = slice(sum(widths[:place]), sum(widths[: place + 1]))
        moments, rows = self._moments_of(product)
        targets = moments.targets(np.concatenate(matrices, axis=2), rows, columns)
        check(cancelled)
        start = _encoded(scheme, self.node, weight, product.restore(targets).astype(np.float32).reshape(weight.shape))
        levels: Levels
        if start.table is not None:
            levels = TableLevels(start.table)
        else:
            assert start.scale is not None
            assert start.bias is not None
            levels = GridLevels(start.scale, start.bias, start.bits)
        codes, levels = round_and_fit(targets, moments.pieces(columns), levels, cancelled)
        flat = np.ascontiguousarray(product.restore(codes))
        if isinstance(levels, TableLevels):
            return Encoded(start.bits, codes=flat, table=levels.table.astype(np.float32))
        assert isinstance(levels, GridLevels)
        scale, bias = levels.scale.astype(np.float32), levels.bias.astype(np.float32)
        return Encoded(start.bits, codes=flat, scale=scale, bias=bias)

    def _moments_of(self, product: Product) -> tuple[Moments, slice]:
        """The moments of what a weight meets, and which of the rows that meet the same vectors are its own."""
        sums = list(dict.fromkeys(other.sum for other in self._products if other.vectors is product.vectors))
        matrices = [[product.matrices(weight.array()) for weight in weights] for weights in sums]
        found = self._moments.get(product.vectors)
        if found is None:
            below = np.concatenate([np.concatenate(side_by_side, axis=2) for side_by_side in matrices], axis=1)
            widths = [columns.shape[2] for columns in matrices[0]]
            found = self._moments[product.vectors] = Moments(below, widths, self._trust)
            most = max(1, VECTORS // len(self._given))
            for original, quantized in self._given:
                check(self._cancelled)
                found.add(*product.vectors(original, quantized, most))
        height, place = matrices[0][0].shape[1], sums.index(product.sum)
        return found, slice(place * height, (place + 1) * height)


def _encoded(scheme: Scheme, node: Node, weight: Weight, array: Array) -> Encoded:
    return scheme.encode(array, weight.channel_axis, groups=groups(node, weight), name=weight.key)
