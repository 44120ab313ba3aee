"""What a histogram shows of a weight, or of all weights of a model, and the messages that bring it to the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import MlexplorerError
from mlexplorer.graph import Node, Weight
from mlexplorer.model import Model
from mlexplorer.quantization import analysis
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.plan import Plan
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.quantization.selection import groups
from mlexplorer.quantization.statistics import ALL_DEPTHS, Axis, Distribution, decibels, distribution
from mlexplorer.spec.weight_params import Encoded
from mlexplorer.views.choosing import plan_scheme

BINS = 128
FEW_BINS = 32
FEW = 1024
"""A weight of fewer values has FEW_BINS bins, not BINS: finer ones would hold a value or none."""

Message = tuple[dict[str, Any], list[bytes]]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Levels:
    """The levels of an encoded weight: a table's entries, or the first and the last one of each channel, [2, channels].

    `counts` are how many values each code stands for, [2^bits], all channels together.
    """

    values: Floats
    counts: NDArray[np.intp]

    @classmethod
    def of(cls, encoded: Encoded) -> Levels:
        """The levels of a weight that is encoded by a table or linearly."""
        assert encoded.codes is not None
        counts = np.bincount(encoded.codes, minlength=1 << encoded.bits)
        if encoded.table is not None:
            return cls(encoded.table, counts)
        assert encoded.scale is not None
        first = np.zeros_like(encoded.scale) if encoded.bias is None else encoded.bias
        last = first + np.float32((1 << encoded.bits) - 1) * encoded.scale
        return cls(np.stack([first, last]), counts)


@dataclass(frozen=True)
class WeightHistogram:
    """The values of one weight in equal bins between its minimum and maximum, and what each scheme makes of them.

    `counts` are those of the weight as it is, `energy` is the sum of its squares. `levels` and `distributions` are
    those of linear quantization and of k-means tables at 1 to 8 bits, by scheme.
    """

    axis: Axis
    counts: NDArray[np.intp]
    energy: float
    levels: Mapping[Scheme, Levels]
    distributions: Mapping[Scheme, Distribution]

    def sqnr(self, scheme: Scheme) -> float:
        """The signal-to-noise ratio of a scheme in dB."""
        return decibels(self.energy, float(self.distributions[scheme].errors.sum()))


def weight_histogram(node: Node, weight: Weight) -> WeightHistogram:
    """The histogram of a node's weight; raises QuantizationError where values are NaN or infinite."""
    array = weight.array()
    levels, distributions = {}, {}
    axis: Axis | None = None
    for scheme, encoded in _encodings(node, weight, array, ALL_DEPTHS):
        axis = axis or Axis.of(array, BINS if array.size >= FEW else FEW_BINS)
        levels[scheme] = Levels.of(encoded)
        distributions[scheme] = distribution(array, _decoded(weight, encoded), axis)
    assert axis is not None
    return WeightHistogram(axis, axis.histogram(array), _energy(array), levels, distributions)


class ModelHistogram:
    """All weights of a model that quantization changes, in bins that they share.

    The distributions of each weight are computed once, and kept: a mixed plan is a sum of them. Raises UnsupportedError
    for ML Programs and for models without a neural network.
    """

    def __init__(self, model: Model) -> None:
        assigned = Plan.uniform(model, LookupTable(8)).assignments(model)
        self._weights = {weight.key: (node, weight) for node, weight, _ in assigned if weight.count}
        self._counts: dict[str, NDArray[np.intp]] = {}
        self._rows: dict[str, dict[Scheme, Distribution]] = {}

    def __len__(self) -> int:
        return len(self._weights)

    @property
    def axis(self) -> Axis:
        """Bins from the least to the largest of all values."""
        return self._extent[0]

    @property
    def energy(self) -> float:
        """The sum of the squares of all values."""
        return self._extent[1]

    @cached_property
    def _extent(self) -> tuple[Axis, float]:
        """The bins, and the sum of the squares of all values: what is to be known before the first weight."""
        lows, highs, energy = [], [], 0.0
        for _, weight in self._weights.values():
            array = weight.array()
            lows.append(float(array.min()))
            highs.append(float(array.max()))
            energy += _energy(array)
        return Axis(min(lows, default=0.0), max(highs, default=0.0), BINS), energy

    @property
    def is_complete(self) -> bool:
        """Whether all weights have been counted."""
        return len(self._rows) == len(self)

    @property
    def size(self) -> int:
        """How many values there are."""
        return sum(weight.count for _, weight in self._weights.values())

    @property
    def counts(self) -> NDArray[np.intp]:
        """The values as they are, in bins."""
        return sum(self._counts.values(), np.zeros(BINS, np.intp))

    def steps(self) -> Iterator[int]:
        """Count the weights that are not counted yet, scheme by scheme; yields how many are, at every step.

        Raises QuantizationError where values are NaN or infinite.
        """
        for key, (node, weight) in self._weights.items():
            if key not in self._rows:
                array, rows = weight.array(), {}
                for scheme, encoded in _encodings(node, weight, array, ALL_DEPTHS):
                    rows[scheme] = distribution(array, _decoded(weight, encoded), self.axis)
                    yield len(self._rows)
                self._counts[key], self._rows[key] = self.axis.histogram(array), rows
            yield len(self._rows)

    def of_scheme(self, scheme: Scheme) -> Distribution:
        """What one of ALL_DEPTHS makes of the model."""
        return _sum(rows[scheme] for rows in self._rows.values())

    def of_plan(self, plan: Plan) -> Distribution:
        """What a plan makes of the model; weights that it leaves out stay as they are."""
        return _sum(self._planned(key, plan.schemes.get(key)) for key in self._weights)

    def of_copy(self, copy: Model) -> Distribution:
        """What became of the weights in a copy of the model."""
        arrays = {weight.key: weight for weight in copy.graph.weights}
        return _sum(
            distribution(weight.array(), arrays[key].array(), self.axis) for key, (_, weight) in self._weights.items()
        )

    def sqnr(self, made: Distribution) -> float:
        """The signal-to-noise ratio of all weights together, in dB."""
        return decibels(self.energy, float(made.errors.sum()))

    def _planned(self, key: str, scheme: Scheme | None) -> Distribution:
        if scheme is None:
            return Distribution(self._counts[key], np.zeros(BINS))
        if scheme in self._rows[key]:
            return self._rows[key][scheme]
        node, weight = self._weights[key]
        array = weight.array()
        ((_, encoded),) = _encodings(node, weight, array, [scheme])
        return distribution(array, _decoded(weight, encoded), self.axis)


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


def histogram_data(node: Node, weight: Weight) -> Message:
    """A weight's histogram as a message and little-endian buffers.

    uint32: the weight's counts; how many values each linear code stands for at 1 to 8 bits, one after the other, and
    each entry of the tables; the linearly quantized values in bins, [8, bins]. float32: the first and the last linear
    level of each channel, [2, channels]; the tables; the squared errors in bins, [16, bins], linear ones first.
    """
    content: dict[str, Any] = {
        "type": "weight",
        "key": weight.key,
        "layer": weight.node,
        "name": weight.name,
        "shape": list(weight.shape),
        "count": weight.count,
        "original_bits": weight.bits,
    }
    try:
        found = weight_histogram(node, weight)
    except MlexplorerError as error:
        return {**content, "error": str(error)}, []
    linear = [scheme for scheme in ALL_DEPTHS if isinstance(scheme, Linear)]
    tables = [scheme for scheme in ALL_DEPTHS if not isinstance(scheme, Linear)]
    content.update(
        **_axis(found.axis), energy=found.energy, sqnr=[_number(found.sqnr(scheme)) for scheme in ALL_DEPTHS]
    )
    return content, [
        _integers([found.counts]),
        _integers(found.levels[scheme].counts for scheme in linear),
        _integers(found.levels[scheme].counts for scheme in tables),
        _integers(found.distributions[scheme].histogram for scheme in linear),
        _reals([found.levels[linear[-1]].values]),
        _reals(found.levels[scheme].values for scheme in tables),
        _reals(found.distributions[scheme].errors for scheme in ALL_DEPTHS),
    ]


def calibrated_data(original: Model, copy: Model, scheme: str, bits: int) -> Message:
    """The levels of the weights of a calibrated copy as a message and buffers; see `_made_data`."""
    weights = {weight.key: (node, weight) for node in original.graph.nodes for weight in node.weights}
    made = (
        (*weights[weight.key], weight.encoded())
        for weight in copy.graph.weights
        if weight.kind in ("linear", "lookup_table") and weight.bits == bits and weight.count
    )
    entries, buffers = _made_data(made)
    return {"type": "calibrated", "scheme": scheme, "bits": bits, "weights": entries}, buffers


def plan_data(model: Model, plan: Plan, calibrated: Model | None = None) -> Message:
    """What a mixed plan does to each weight, as a message: scheme and bits by key, others stay as they are.

    "made" and the buffers are of those whose scheme is not among ALL_DEPTHS, or of all weights of the calibrated copy
    that the plan has made; see `_made_data`.
    """
    assigned = [item for item in plan.assignments(model) if item[2].bits <= 8 and item[1].count]
    names = {weight.key: [_family(scheme), scheme.bits] for _, weight, scheme in assigned}
    others = [(node, weight, scheme) for node, weight, scheme in assigned if scheme not in ALL_DEPTHS]
    made = (
        (node, weight, encoded)
        for node, weight, scheme in others
        for _, encoded in _encodings(node, weight, weight.array(), [scheme])
    )
    if calibrated is not None:
        copies = {weight.key: weight for weight in calibrated.graph.weights}
        made = ((node, weight, copies[weight.key].encoded()) for node, weight, _ in assigned)
    entries, buffers = _made_data(made)
    return {"type": "plan", "family": plan_scheme(plan), "weights": names, "made": entries}, buffers


def whole_data(whole: ModelHistogram) -> Message:
    """The histogram of a model as a message and buffers.

    uint32: the counts, and the quantized values in bins, [16, bins]; float32: the squared errors in bins, [16, bins].
    """
    made = [whole.of_scheme(scheme) for scheme in ALL_DEPTHS]
    content = {
        "type": "whole",
        "weights": len(whole),
        "count": whole.size,
        "energy": whole.energy,
        "sqnr": [_number(whole.sqnr(one)) for one in made],
        **_axis(whole.axis),
    }
    return content, [
        _integers([whole.counts]),
        _integers(one.histogram for one in made),
        _reals(one.errors for one in made),
    ]


def whole_row_data(whole: ModelHistogram, made: Distribution, scheme: str, bits: int) -> Message:
    """One more row of a model's histogram, with error feedback or of a mixed plan: values and errors in bins."""
    content = {"type": "whole_row", "scheme": scheme, "bits": bits, "sqnr": _number(whole.sqnr(made))}
    return content, [_integers([made.histogram]), _reals([made.errors])]


def _made_data(weights: Iterable[tuple[Node, Weight, Encoded]]) -> tuple[list[dict[str, Any]], list[bytes]]:
    """Entries of weights that were encoded somehow, and buffers that hold what belongs to each of them in turn.

    An entry has the key, the bits, the SQNR in dB, the numbers of levels in the first buffer and of bins in the last
    two. Buffers: float32 levels (see `Levels`), uint32 counts of the 2^bits codes, uint32 quantized values in bins,
    float32 squared errors in bins.
    """
    entries: list[dict[str, Any]] = []
    levels: list[Levels] = []
    made: list[Distribution] = []
    for _, weight, encoded in weights:
        array = weight.array()
        axis = Axis.of(array, BINS if array.size >= FEW else FEW_BINS)
        made.append(distribution(array, _decoded(weight, encoded), axis))
        levels.append(Levels.of(encoded))
        entries.append(
            {
                "key": weight.key,
                "bits": encoded.bits,
                "table": encoded.table is not None,
                "sqnr": _number(decibels(_energy(array), float(made[-1].errors.sum()))),
                "levels": levels[-1].values.size,
                "bins": axis.bins,
            }
        )
    return entries, [
        _reals(one.values for one in levels),
        _integers(one.counts for one in levels),
        _integers(one.histogram for one in made),
        _reals(one.errors for one in made),
    ]


def _encodings(
    node: Node, weight: Weight, array: Floats, schemes: Iterable[Scheme]
) -> Iterator[tuple[Scheme, Encoded]]:
    """A weight in some schemes; analysed once for all of them."""
    with analysis.KEPT.holding(array):
        for scheme in schemes:
            yield scheme, scheme.encode(array, weight.channel_axis, groups=groups(node, weight), name=weight.key)


def _decoded(weight: Weight, encoded: Encoded) -> Floats:
    return encoded.decode(weight.shape, weight.channel_axis, name=weight.key)


def _energy(array: Floats) -> float:
    return float(np.square(array, dtype=np.float64).sum())


def _sum(made: Iterable[Distribution]) -> Distribution:
    return sum(made, Distribution(np.zeros(BINS, np.intp), np.zeros(BINS)))


def _family(scheme: Scheme) -> str:
    return "linear" if isinstance(scheme, Linear) else "lookup_table"


def _axis(axis: Axis) -> dict[str, Any]:
    return {"low": axis.low, "high": axis.high, "bins": axis.bins}


def _number(value: float) -> float | None:
    """None for what JSON has no number for: the ratio of a weight that lost nothing."""
    return value if math.isfinite(value) else None


def _integers(arrays: Iterable[NDArray[Any]]) -> bytes:
    return b"".join(array.astype("<u4").tobytes() for array in arrays)


def _reals(arrays: Iterable[NDArray[Any]]) -> bytes:
    return b"".join(array.astype("<f4").tobytes() for array in arrays)
