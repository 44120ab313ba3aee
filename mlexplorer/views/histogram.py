"""The histogram: a layer's weights, and where the levels of linear and look-up table quantization fall among them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.comparison import snr
from mlexplorer.errors import MlexplorerError
from mlexplorer.graph import Node, Weight
from mlexplorer.model import Model
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.views.view import View, static

BINS = 128
DEPTHS = range(1, 9)

Counts = NDArray[np.uint32]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class WeightHistogram:
    """The values of one weight in BINS equal bins between its minimum and maximum, before and after quantization.

    `counts` are those of the weight as it is. `lows` and `highs` hold the first and the last linear level of each
    output channel (of the whole weight where it has one scale): at b bits there are 2^b evenly spaced levels from one
    to the other. `linear_counts` is [8, BINS], the linearly quantized values at 1..8 bits. `tables` and `table_counts`
    are the k-means tables at 1..8 bits, one after the other, and how many values each entry stands for. `sqnr` is
    [2, 8]: the signal-to-noise ratio in dB of linear and of look-up table quantization.
    """

    low: float
    high: float
    counts: Counts
    lows: Floats
    highs: Floats
    linear_counts: Counts
    tables: Floats
    table_counts: Counts
    sqnr: NDArray[np.float64]


def weight_histogram(weight: Weight) -> WeightHistogram:
    """The histogram of a weight; raises QuantizationError where values are NaN or infinite."""
    array, axis = weight.array(), weight.channel_axis
    edges = float(array.min()), float(array.max())
    linear_counts, tables, table_counts = [], [], []
    sqnr = np.zeros((2, len(DEPTHS)))
    for index, bits in enumerate(DEPTHS):
        linear = Linear(bits).encode(array, axis, name=weight.key)
        values = linear.decode(array.shape, axis)
        linear_counts.append(_binned(values, edges))
        sqnr[0, index] = snr(array, values)
        table = LookupTable(bits).encode(array, axis, name=weight.key)
        assert table.codes is not None
        assert table.table is not None
        tables.append(table.table)
        table_counts.append(np.bincount(table.codes, minlength=1 << bits).astype(np.uint32))
        sqnr[1, index] = snr(array, table.decode(array.shape, axis))
    assert linear.scale is not None
    assert linear.bias is not None
    highs = linear.bias + np.float32(255) * linear.scale
    return WeightHistogram(
        *edges,
        _binned(array, edges),
        linear.bias.reshape(-1),
        highs.reshape(-1),
        np.stack(linear_counts),
        np.concatenate(tables),
        np.concatenate(table_counts),
        sqnr,
    )


def histogram_data(weight: Weight) -> tuple[dict[str, Any], list[bytes]]:
    """A weight's histogram as a message and little-endian buffers: uint32 counts, float32 levels."""
    content: dict[str, Any] = {
        "type": "weight",
        "key": weight.key,
        "layer": weight.node,
        "name": weight.name,
        "shape": list(weight.shape),
        "original_bits": weight.bits,
    }
    try:
        histogram = weight_histogram(weight)
    except MlexplorerError as error:
        return {**content, "error": str(error)}, []
    sqnr = [[value if np.isfinite(value) else None for value in side] for side in histogram.sqnr.tolist()]
    content.update(low=histogram.low, high=histogram.high, sqnr=sqnr)
    counts = histogram.counts, histogram.linear_counts, histogram.table_counts
    levels = histogram.lows, histogram.highs, histogram.tables
    return content, [a.astype("<u4").tobytes() for a in counts] + [a.astype("<f4").tobytes() for a in levels]


def calibrated_data(original: Model, calibrated: Model, bits: int) -> tuple[dict[str, Any], list[bytes]]:
    """The tables of a calibrated copy at a bit depth as a message and little-endian buffers.

    For each weight its key and the signal-to-noise ratio in dB; the buffers hold 2^bits entries for each of them, one
    after the other: the table's float32 levels in the first, how many values stand at each, uint32, in the second.
    """
    arrays = {weight.key: weight for weight in original.graph.weights}
    weights, tables, counts = [], [np.empty(0, np.float32)], [np.empty(0, np.uint32)]
    for weight in calibrated.graph.weights:
        if weight.kind == "lookup_table" and weight.bits == bits and weight.count:
            encoded = weight.encoded()
            assert encoded.codes is not None
            assert encoded.table is not None
            tables.append(encoded.table)
            counts.append(np.bincount(encoded.codes, minlength=1 << bits).astype(np.uint32))
            ratio = snr(arrays[weight.key].array(), weight.array())
            weights.append({"key": weight.key, "sqnr": ratio if np.isfinite(ratio) else None})
    buffers = [np.concatenate(tables).astype("<f4").tobytes(), np.concatenate(counts).astype("<u4").tobytes()]
    return {"type": "calibrated", "bits": bits, "weights": weights}, buffers


def layer_data(node: Node) -> dict[str, Any]:
    """What the page needs of a layer before its histograms: name, type, and its weights, the largest one first."""
    weights = sorted(node.weights, key=lambda weight: -weight.count)
    return {
        "type": "layer",
        "layer": node.id,
        "name": node.name,
        "layer_type": node.type,
        "weights": [{"key": weight.key, "name": weight.name} for weight in weights if weight.count],
    }


class Histogram(View):
    """A layer's weights as a histogram, twice: with the levels of linear quantization and with those of a table.

    >>> Histogram(model, layer="conv1")

    Traits: `bits`, `scheme`, `layer` (see `View`). A layer's data for all bit depths are sent once, when it is first
    chosen or by `prepare`; the tables that error feedback makes come by `add_calibrated`.
    """

    _esm = static("view.js", "histogram.js")
    _css = static("view.css", "histogram.css")

    def __init__(self, model: Model | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self._model = model
        self._prepared: set[str] = set()
        self._calibrated: set[int] = set()
        self._preparing = threading.Lock()

    def prepare(self, layer: str) -> None:
        """Compute and send the histograms of a layer's weights, unless that was done before."""
        with self._preparing:
            if self._model is None or layer in self._prepared:
                return
            node = self._model.graph.node(layer)
            self.publish(("layer", layer), layer_data(node))
            for weight in sorted(node.weights, key=lambda weight: -weight.count):
                if weight.count:
                    self.publish(("weight", weight.key), *histogram_data(weight))
            self._prepared.add(layer)

    def add_calibrated(self, calibrated: Model, bits: int) -> None:
        """Show the tables of a copy that was calibrated at a bit depth; once is enough."""
        with self._preparing:
            if self._model is not None and bits not in self._calibrated:
                self.publish(("calibrated", bits), *calibrated_data(self._model, calibrated, bits))
                self._calibrated.add(bits)

    def handle(self, content: Mapping[str, Any]) -> None:
        """Prepare the layer that the page asks for."""
        if content.get("type") == "layer":
            self.prepare(str(content["layer"]))


def _binned(values: NDArray[Any], edges: tuple[float, float]) -> Counts:
    low, high = edges
    span = high - low
    if span < np.finfo(np.float64).tiny * BINS:
        return np.bincount([BINS // 2], [values.size], BINS).astype(np.uint32)
    bins = (values.reshape(-1).astype(np.float64) - low) * (BINS / span)
    return np.bincount(np.clip(bins, 0, BINS - 1).astype(np.intp), minlength=BINS).astype(np.uint32)
