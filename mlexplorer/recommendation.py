"""Which bit depths to take: the smallest model that keeps a quality, uniform or mixed, and the frontier of all."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import isfinite, nan
from typing import Any

from mlexplorer.calibration import calibrate
from mlexplorer.errors import InputError
from mlexplorer.feeds import inputs_of
from mlexplorer.frames import data_frame
from mlexplorer.measurement import Measurement, Reference
from mlexplorer.model import Model
from mlexplorer.progress import Progress, check, reporting
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.plan import Plan, Select
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.sensitivity import MOST_ERROR, at_all_depths, sensed
from mlexplorer.sweeps import BITS, Sweep, sweep

_GUESSES = 3
"""So many plans are tried by what is predicted of them; then the rest is halved."""


@dataclass(frozen=True)
class Choice:
    """A plan, the bytes of the file that it makes, and the quality of the model that it makes, which was run."""

    plan: Plan
    label: str
    nbytes: int
    measurement: Measurement

    def __str__(self) -> str:
        found = self.measurement
        agreement = "" if found.agreement is None else f", agreement {found.agreement:.1%}"
        return f"{self.label}: {self.nbytes / 1e6:.3f} MB, {found.metric} {found.quality:.1f} dB{agreement}"


@dataclass(frozen=True)
class Recommendation:
    """The smallest uniform and the smallest mixed choice that meet the target; None where nothing does.

    `goal` is the target's name among the arguments of `recommend`, and its value. `frontier` are all choices that were
    run of which no other is both smaller and better, by size: better agreement where that is the target, less error
    else. `sweep` is what the plans were derived from.
    """

    target: str
    goal: tuple[str, float]
    uniform: Choice | None
    mixed: Choice | None
    frontier: tuple[Choice, ...]
    sweep: Sweep = field(repr=False)

    @property
    def best(self) -> Choice | None:
        """The smaller one of the two."""
        found = [choice for choice in (self.uniform, self.mixed) if choice is not None]
        return min(found, key=lambda choice: choice.nbytes, default=None)

    def to_pandas(self) -> Any:
        """The frontier as a pandas DataFrame; raises MissingDependencyError where pandas is not installed."""
        return data_frame(
            {
                "plan": choice.label,
                "nbytes": choice.nbytes,
                choice.measurement.metric: choice.measurement.quality,
                "error": choice.measurement.error,
                "agreement": choice.measurement.agreement,
            }
            for choice in self.frontier
        )

    def __repr__(self) -> str:
        lines = [f"Recommendation for {self.target}"]
        lines.append(f"  uniform  {self.uniform or 'nothing meets the target'}")
        lines.append(f"  mixed    {self.mixed or 'nothing meets the target'}")
        lines.append("  frontier")
        return "\n".join([*lines, *(f"    {choice}" for choice in self.frontier)])


def recommend(
    model: Model,
    images: Any,
    *,
    psnr: float | None = None,
    snr: float | None = None,
    agreement: float | None = None,
    nbytes: int | None = None,
    scheme: type[Scheme] = LookupTable,
    bits: Sequence[int] = BITS,
    select: Select | None = None,
    sensitivities: Sweep | None = None,
    calibration: Any = None,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    cache: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    progress: Progress | bool = True,
    cancelled: threading.Event | None = None,
) -> Recommendation:
    """The smallest quantized model that meets one target, with one bit depth for all layers and with one for each.

    The target is `psnr` or `snr` (dB, at least), `agreement` (the share of inputs with the same label, 0..1, at least)
    or `nbytes` (the file, at most: then the best quality is looked for). The mixed plan comes from a `sweep` of single
    layers at two depths, from which the error at all `bits` follows by that of the weights: the lower convex hull of
    each layer's error over its bytes, and the steps of all hulls in the order of their gain (Shoham and Gersho,
    "Efficient bit allocation for an arbitrary set of quantizers", 1988). Every choice was run as a whole on all
    `images` before it is given. `sensitivities` are such a sweep that was made before, of the same model and `scheme`,
    at any depths; fewer images may be enough for it, and it serves any target. Where it has no whole models,
    `sweep(..., bits=(), layers=[2, 5])` say, there is no uniform choice.
    The other arguments are those of `sweep`; with `calibration`, single layers and whole models are rounded with error
    feedback, for which plans are better where it was at work when the layers were measured. Raises InputError unless
    there is one target, or where `sensitivities` say nothing of single layers, and as `sweep` does.
    """
    target = _Target.of(psnr=psnr, snr=snr, agreement=agreement, nbytes=nbytes)
    found = sensitivities or sweep(
        model,
        images,
        schemes=(scheme,),
        bits=bits,
        layers=sensed(bits),
        select=select,
        calibration=calibration,
        custom_layers=custom_layers,
        cache=cache,
        jobs=jobs,
        progress=progress,
        cancelled=cancelled,
    )
    if not found.layers:
        raise InputError("the sensitivities have no single layers; make them by mle.sweep(..., layers=True)")
    every = at_all_depths(model, found, scheme, bits, select)
    allocations = _allocations(model, every, select)
    with reporting(progress) as report:
        trial = _Trial(model, images, calibration, custom_layers, report, cancelled)
        are_these = sensitivities is None
        uniform = [
            Choice(plan, row.scheme.label, row.nbytes, row.measurement)
            if are_these
            else trial.run(plan, row.scheme.label)
            for row in found.models
            if (plan := Plan.uniform(model, row.scheme, select))
        ]
        mixed: dict[int, Choice] = {}

        def allocated(index: int) -> Choice:
            if index not in mixed:
                mixed[index] = trial.run(allocations[index].plan, "mixed")
            return mixed[index]

        for nbytes_beside in sorted(choice.nbytes for choice in uniform) or _uniform_sizes(every):
            allocated(_largest_below(allocations, nbytes_beside))
        _search(allocations, target, allocated, mixed)
    return Recommendation(
        str(target),
        (target.name, target.value),
        target.best(uniform),
        target.best(mixed.values()),
        _frontier([*uniform, *mixed.values()], target),
        found,
    )


@dataclass(frozen=True)
class _Target:
    name: str
    value: float

    @classmethod
    def of(cls, **targets: float | None) -> _Target:
        given = [(name, value) for name, value in targets.items() if value is not None]
        if len(given) != 1:
            raise InputError(f"give one target: {', '.join(targets)}")
        return cls(*given[0])

    def met(self, choice: Choice) -> bool:
        if self.name == "nbytes":
            return choice.nbytes <= self.value
        found = getattr(choice.measurement, self.name)
        if found is None:
            raise InputError(f"the model has no {self.name}; it has {choice.measurement.metric}")
        return bool(found >= self.value)

    def margin(self, choice: Choice) -> float:
        """How many dB the choice is better than the target; not finite where the target is not in dB."""
        found = getattr(choice.measurement, self.name, None) if self.name in ("psnr", "snr") else None
        return nan if found is None else float(found - self.value)

    def best(self, choices: Iterable[Choice]) -> Choice | None:
        """The smallest choice that meets the target; for a size, the one with the least error."""
        good = [choice for choice in choices if self.met(choice)]
        if self.name == "nbytes":
            return min(good, key=self.loss, default=None)
        return min(good, key=lambda choice: choice.nbytes, default=None)

    def loss(self, choice: Choice) -> float:
        """What is to be small, in the target's terms."""
        found = choice.measurement
        return 1 - found.agreement if self.name == "agreement" and found.agreement is not None else found.error

    def __str__(self) -> str:
        if self.name == "nbytes":
            return f"at most {self.value / 1e6:.3f} MB"
        return (
            f"agreement of at least {self.value:.1%}"
            if self.name == "agreement"
            else f"{self.name.upper()} of at least {self.value:g} dB"
        )


class _Trial:
    """Runs whole plans."""

    def __init__(
        self,
        model: Model,
        images: Any,
        calibration: Any,
        custom_layers: Mapping[str, CustomLayerClass] | None,
        report: Progress,
        cancelled: threading.Event | None,
    ) -> None:
        self._model, self._custom_layers, self._report, self._cancelled = model, custom_layers, report, cancelled
        self._calibration = None if calibration is None else inputs_of(model, calibration)
        self._reference = Reference(model, Predictor(model, custom_layers), inputs_of(model, images))
        self._runs = 0

    def run(self, plan: Plan, label: str) -> Choice:
        check(self._cancelled)
        self._runs += 1
        self._report(f"trying plan {self._runs}", self._runs - 1, self._runs)
        if self._calibration is None:
            quantized = plan.apply(self._model)
        else:
            quantized = calibrate(
                self._model, plan, self._calibration, custom_layers=self._custom_layers, cancelled=self._cancelled
            )
        return Choice(plan, label, quantized.size, self._reference.measure(quantized))


@dataclass(frozen=True)
class _Allocation:
    """A plan of one scheme for each layer, the bytes of its file, and the sum of the layers' errors."""

    plan: Plan
    nbytes: int
    error: float


@dataclass(frozen=True)
class _Option:
    nbytes: int
    error: float
    scheme: Scheme | None


def _uniform_sizes(found: Sweep) -> list[int]:
    """The bytes of the files with all layers at each depth."""
    totals: dict[int, int] = {}
    for row in found.layers:
        totals[row.bits] = totals.get(row.bits, found.original_nbytes) + row.nbytes - found.original_nbytes
    return sorted(totals.values())


def _allocations(model: Model, found: Sweep, select: Select | None) -> list[_Allocation]:
    """The plans from the fewest bits for all layers to the layers as they are, the most useful step first."""
    hulls = {layer: _hull(_options(found, layer)) for layer in dict.fromkeys(row.layer for row in found.layers)}
    steps = [
        ((low.error - high.error) / (high.nbytes - low.nbytes), layer, index)
        for layer, hull in hulls.items()
        for index, (low, high) in enumerate(pairwise(hull), 1)
    ]
    steps.sort(key=lambda step: -step[0])
    keys = Plan.uniform(model, LookupTable(bits=8), select).schemes
    nodes = {weight.key: weight.node for weight in model.graph.weights if weight.key in keys}
    chosen = {layer: hull[0] for layer, hull in hulls.items()}
    plans = []
    for _, layer, index in [(0.0, "", 0), *steps]:
        if layer:
            chosen[layer] = hulls[layer][index]
        schemes = {key: scheme for key, node in nodes.items() if (scheme := chosen[node].scheme) is not None}
        nbytes = found.original_nbytes + sum(option.nbytes for option in chosen.values())
        plans.append(_Allocation(Plan(schemes), nbytes, sum(option.error for option in chosen.values())))
    return plans


def _options(found: Sweep, layer: str) -> list[_Option]:
    rows = [row for row in found.layers if row.layer == layer]
    options = [_Option(row.nbytes - found.original_nbytes, min(row.error, MOST_ERROR), row.scheme) for row in rows]
    return [*options, _Option(0, 0.0, None)]


def _hull(options: Sequence[_Option]) -> list[_Option]:
    """The lower convex hull of errors over bytes, from the fewest bytes to the least error."""
    hull: list[_Option] = []
    for option in sorted(options, key=lambda o: (o.nbytes, o.error)):
        if hull and option.error >= hull[-1].error:
            continue
        while len(hull) > 1 and _slope(hull[-2], option) <= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(option)
    return hull


def _slope(low: _Option, high: _Option) -> float:
    return (high.error - low.error) / (high.nbytes - low.nbytes)


def _largest_below(allocations: Sequence[_Allocation], nbytes: float) -> int:
    """The index of the last allocation of at most so many bytes; the first one where there is none."""
    return max((i for i, found in enumerate(allocations) if found.nbytes <= nbytes), default=0)


def _search(
    allocations: Sequence[_Allocation],
    target: _Target,
    allocated: Callable[[int], Choice],
    known: Mapping[int, Choice],
) -> None:
    """Run the allocations by which the first that meets the target is found, as if quality grew with every step.

    `known` are those that have been run. What was measured of the last one tells how far the next one is.
    """
    if target.name == "nbytes":
        index = _largest_below(allocations, target.value)
        while index > 0 and not target.met(allocated(index)):
            index -= 1
        return
    last = len(allocations) - 1
    high = min((index for index, choice in known.items() if target.met(choice)), default=last)
    low = max((index + 1 for index in known if index < high), default=0)
    guesses = 0
    while low < high:
        near = min(known, key=lambda index: abs(target.margin(known[index])), default=None)
        margin = nan if near is None else target.margin(known[near])
        index = (low + high) // 2
        if near is not None and isfinite(margin) and guesses < _GUESSES:
            wanted = allocations[near].error * 10 ** (margin / 10)
            first = next((i for i, allocation in enumerate(allocations) if allocation.error <= wanted), last)
            index = min(max(first, low), high - 1)
        guesses += 1
        if target.met(allocated(index)):
            high = index
        else:
            low = index + 1
    allocated(high)


def _frontier(choices: Iterable[Choice], target: _Target) -> tuple[Choice, ...]:
    """The choices of which no other is at most as large and loses at most as much, by size."""
    frontier: list[Choice] = []
    for choice in sorted(choices, key=lambda choice: (choice.nbytes, target.loss(choice))):
        if not frontier or target.loss(choice) < target.loss(frontier[-1]):
            frontier.append(choice)
    return tuple(frontier)
