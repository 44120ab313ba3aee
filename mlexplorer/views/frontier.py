"""Size against quality as a matplotlib figure: what a sweep measured, what a recommendation tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mlexplorer.errors import InputError, MissingDependencyError
from mlexplorer.recommendation import Recommendation
from mlexplorer.sweeps import Row, Sweep

_COLOURS = {"linear": "#1f6fb5", "lookup_table": "#c2410c"}
_MIXED = "#0b7a63"
_BEST_QUALITY = 120.0
"""dB beyond which two models are the same; an error of 0 would lie at infinity."""


def plot_frontier(found: Recommendation | Sweep, *, agreement: bool | None = None) -> Any:
    """The size of each model that was run against its quality in dB, or its `agreement` in %, as a matplotlib Figure.

    Without `agreement` it is the target's measure; where there is no such target, agreement for classifiers that were
    run on several inputs. A share is drawn with the 95 % interval that so few inputs leave open. Uniform bit depths are
    one line for each scheme, numbered with the bits; the frontier of a recommendation is a line of its own, and its
    smallest choices that meet the target are ringed. Raises MissingDependencyError where matplotlib is not installed,
    and InputError where there is no agreement, or nothing to plot.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError("a figure needs matplotlib; install it with: pip install matplotlib") from error
    sweep = found.sweep if isinstance(found, Recommendation) else found
    rows = sorted(sweep.models, key=lambda row: (row.scheme.name, row.bits))
    if not rows:
        raise InputError("there is nothing to plot: no whole model was run")
    if agreement is None:
        agreement = _is_by_agreement(found, rows)
    if agreement and any(row.agreement is None for row in rows):
        raise InputError("the model gives no labels, so there is no agreement; leave agreement=True out")
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name in dict.fromkeys(row.scheme.name for row in rows):
        _line(axes, [row for row in rows if row.scheme.name == name], _COLOURS.get(name, "#555555"), agreement)
    if isinstance(found, Recommendation):
        _recommendation(axes, found, agreement)
    metric = "Top-1 agreement, %" if agreement else f"{rows[0].metric}, dB"
    axes.set(xlabel="file, MB", ylabel=metric)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return figure


def _is_by_agreement(found: Recommendation | Sweep, rows: Sequence[Row]) -> bool:
    goal = found.goal[0] if isinstance(found, Recommendation) else "nbytes"
    counted = all(row.agreement is not None and row.agreement.total > 1 for row in rows)
    return goal == "agreement" or (goal == "nbytes" and counted)


def _line(axes: Any, rows: Sequence[Row], colour: str, agreement: bool) -> None:
    sizes = [row.nbytes / 1e6 for row in rows]
    values = [_value(row, agreement) for row in rows]
    label = rows[0].scheme.name.replace("_", " ")
    axes.plot(sizes, values, "o-", color=colour, markersize=4, linewidth=1.2, label=label)
    if agreement:
        intervals = [row.agreement.interval for row in rows if row.agreement is not None]
        axes.vlines(sizes, *zip(*((100 * low, 100 * high) for low, high in intervals), strict=True), colour, alpha=0.3)
    for row, size, value in zip(rows, sizes, values, strict=True):
        axes.annotate(
            str(row.bits),
            (size, value),
            xytext=(0, -11),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
        )


def _recommendation(axes: Any, found: Recommendation, agreement: bool) -> None:
    frontier = [(choice.nbytes / 1e6, _value(choice.measurement, agreement)) for choice in found.frontier]
    axes.plot(*zip(*frontier, strict=True), "s--", color=_MIXED, markersize=4, linewidth=1.2, label="frontier")
    for choice, name in ((found.uniform, "smallest uniform"), (found.mixed, "smallest mixed")):
        if choice is not None:
            point = (choice.nbytes / 1e6, _value(choice.measurement, agreement))
            marker = "o" if choice is found.uniform else "D"
            axes.plot(*point, marker, markersize=12, fillstyle="none", color="black", label=f"{name} for the target")
    name, target = found.goal
    if name == "nbytes":
        axes.axvline(target / 1e6, color="black", linewidth=0.8, linestyle=":")
    elif (name == "agreement") == agreement:
        axes.axhline(target * (100 if agreement else 1), color="black", linewidth=0.8, linestyle=":")


def _value(measured: Any, agreement: bool) -> float:
    return float(100 * measured.agreement) if agreement else min(float(measured.quality), _BEST_QUALITY)
