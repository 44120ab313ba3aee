"""How much each layer matters: its error alone at a few bit depths, measured, and at all others by that of its weights.

What a layer loses grows with what its weights lose, which is known of all depths without a run: in proportion above the
depths that were measured, with a power of it between and below them, which two measurements give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from mlexplorer.graph import Node, Weight
from mlexplorer.model import Model
from mlexplorer.quantization.plan import LayerSizes, Plan, Select
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.quantization.selection import groups
from mlexplorer.quantization.statistics import error_table
from mlexplorer.sweeps import Row, Sweep, quantized_layers

SENSED = (2, 5)
"""The depths at which each layer is measured alone."""
MOST_ERROR = 1e6
"""What an error without bounds counts as."""
_UNSEEN = 0.1
"""The share of an average layer's error that every layer is taken to have, for what the inputs do not show."""
_POWERS = (0.5, 1.5)
"""The least and the greatest power of the weights' error that an error below the measured depths grows with."""


def sensed(bits: Sequence[int]) -> list[int]:
    """The depths among some at which each layer is measured: those next to `SENSED`."""
    return sorted({min(bits, key=lambda depth: abs(depth - wanted)) for wanted in SENSED})


def at_all_depths(
    model: Model, found: Sweep, scheme: type[Scheme], bits: Sequence[int], select: Select | None
) -> Sweep:
    """A sweep with each layer at all depths; where it was not measured, its error follows that of the weights.

    All errors are a little larger than measured: a layer that these inputs do not reach may matter to others.
    """
    measured: dict[str, dict[int, Row]] = {}
    for row in found.layers:
        measured.setdefault(row.layer, {})[row.bits] = row
    sizes = LayerSizes(model)
    rows: list[tuple[Row, float]] = []
    for layer, weights in quantized_layers(model, select).items():
        known, node = measured.get(layer), model.graph.node(layer)
        if known is None:
            continue
        schemes = {depth: row.scheme for depth, row in known.items()}
        schemes |= {depth: scheme(bits=depth) for depth in bits if depth not in known}
        noise = _noise(node, weights, schemes)
        errors = {depth: min(row.error, MOST_ERROR) for depth, row in known.items()}
        for depth, one in schemes.items():
            row = next(iter(known.values()))
            if depth in known:
                nbytes = known[depth].nbytes
            else:
                nbytes = sizes.with_layer(node, Plan({weight.key: one for weight in weights}))
            error = _error_at(depth, errors, noise)
            rows.append((replace(row, scheme=one, nbytes=nbytes, error=error), noise[depth]))
    gains = [row.error / noise for row, noise in rows if row.error and noise]
    unseen = _UNSEEN * median(gains) if gains else 0.0
    seen = [replace(row, error=row.error + unseen * noise) for row, noise in rows]
    return Sweep((*found.models, *seen), found.original_nbytes)


def _noise(node: Node, weights: Sequence[Weight], schemes: Mapping[int, Scheme]) -> dict[int, float]:
    """What a layer's weights lose at each depth, as a share of their power."""
    lost, power = dict.fromkeys(schemes, 0.0), 0.0
    for weight in weights:
        array, axis = weight.array(), weight.channel_axis
        power += float(np.sum(np.square(array, dtype=np.float64)))
        table = error_table(array, schemes.values(), axis, groups=groups(node, weight), name=weight.key)
        for depth, row in zip(schemes, table, strict=True):
            lost[depth] += row.mse * weight.count
    return {depth: squares / power if power else 0.0 for depth, squares in lost.items()}


def _error_at(depth: int, errors: Mapping[int, float], noise: Mapping[int, float]) -> float:
    """A layer's error at a depth, from those at other ones and from the noise of the weights at all of them."""
    if depth in errors:
        return errors[depth]
    known = sorted(errors)
    above = next((one for one in known if one > depth), known[-1])
    below = max((one for one in known if one < depth), default=known[1] if len(known) > 1 else above)
    power = 1.0
    if depth < known[-1] and above != below and all((errors[one] and noise[one]) for one in (above, below)):
        grown, louder = errors[below] / errors[above], noise[below] / noise[above]
        power = float(np.log(grown) / np.log(louder)) if louder != 1.0 and grown > 0 else 1.0
        power = min(max(power, _POWERS[0]), _POWERS[1]) if depth < known[0] else power
    return errors[above] * (noise[depth] / noise[above]) ** power if noise[above] else 0.0
