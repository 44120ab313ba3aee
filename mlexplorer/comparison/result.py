"""What a comparison found: a row for each output, a row for each input, as text, as a table, as a pandas frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import Any, TypeVar

import numpy as np

from mlexplorer.comparison.metrics import decibels
from mlexplorer.comparison.outputs import InputRow, Row
from mlexplorer.comparison.rate import Rate
from mlexplorer.feeds import Origin
from mlexplorer.frames import data_frame

_Float = TypeVar("_Float", bound=float)

_NAMED = 5
"""How many files are named in the text; the result has all."""
_LABEL_LENGTH = 32


@dataclass(frozen=True, repr=False)
class OutputRow(Row):
    """One output of both models over all inputs; None is what the output's type does not have.

    Of pictures, `psnr`, `snr` (both in dB) and `ssim` are the means of the inputs' values; pictures that are identical,
    whose ratios are infinite, are counted in `identical` and left out of the means in dB, which are infinite only where
    all are. Of arrays, dictionaries and numbers, the ratios are those of all inputs together: the mean square of the
    model's values, or the square of the largest, over the mean square of the differences; `ssim` is the mean. `psnr` of
    arrays takes the largest absolute value for the peak, `ssim` each input's span for the range.

    `lowest` is the smallest PSNR, else SNR, of an input, and `worst` the input that has it, or has the largest error
    where there is neither. `max_error` is the largest of all; `equal` is the mean share of equal values of integer
    arrays.

    For classifiers, `top1` is the share of inputs for which both have the same best class, `top5` that for which the
    model's best is among the other's five best (None for five classes or fewer), `accuracy` and `other_accuracy` the
    shares in which they give the class that the labels say. `agreement` is the share of inputs for which texts, whole
    numbers, lists and dictionaries are the same, or, where an array's number of rows varies, as that of a detector's
    boxes does, those numbers; inputs for which they differ are in no other figure. Each share has its 95 % confidence
    interval.
    """

    output: str
    type: str
    inputs: int
    identical: int
    top1: Rate | None = None
    top5: Rate | None = None
    accuracy: Rate | None = None
    other_accuracy: Rate | None = None
    agreement: Rate | None = None
    psnr: float | None = None
    snr: float | None = None
    lowest: float | None = None
    ssim: float | None = None
    max_error: float | None = None
    equal: float | None = None
    worst: str = ""


@dataclass(frozen=True, repr=False)
class Comparison:
    """How far two models' outputs lie apart; `mlexplorer.compare` makes it.

    `outputs` has a row for each output, `rows` one for each input and output. `model` and `other` describe the models,
    `sizes` are their files' bytes. `origin` is "pictures", "inputs" or "generated", `resize` how pictures were made to
    fit. `unreadable` maps the pictures that could not be read to the reason; `ignored` are files in the folders that
    are no pictures by their names.

    `top1_agreement`, `psnr` and the other properties are those of the output that suffers most.
    """

    model: str
    other: str
    sizes: tuple[int, int]
    origin: Origin
    resize: str
    outputs: tuple[OutputRow, ...]
    rows: tuple[InputRow, ...] = field(compare=False)
    unreadable: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def inputs(self) -> int:
        """How many inputs were compared."""
        return self.outputs[0].inputs if self.outputs else 0

    @property
    def generated(self) -> bool:
        """Whether the inputs are noise, so that the figures say little about real ones."""
        return self.origin == "generated"

    @property
    def top1_agreement(self) -> Rate | None:
        """The share of inputs for which both classifiers have the same best class; None for other models."""
        return _lowest(row.top1 for row in self.outputs)

    @property
    def top5_agreement(self) -> Rate | None:
        """The share of inputs for which the model's best class is among the other's five best."""
        return _lowest(row.top5 for row in self.outputs)

    @property
    def accuracy(self) -> Rate | None:
        """The share of inputs for which the model gives the class that the labels say; None without labels."""
        return _lowest(row.accuracy for row in self.outputs)

    @property
    def other_accuracy(self) -> Rate | None:
        """The share of inputs for which the other model gives the class that the labels say; None without labels."""
        return _lowest(row.other_accuracy for row in self.outputs)

    @property
    def psnr(self) -> float | None:
        """The mean peak signal-to-noise ratio in dB."""
        return _lowest(row.psnr for row in self.outputs)

    @property
    def snr(self) -> float | None:
        """The mean signal-to-noise ratio in dB."""
        return _lowest(row.snr for row in self.outputs)

    @property
    def ssim(self) -> float | None:
        """The mean structural similarity."""
        return _lowest(row.ssim for row in self.outputs)

    @property
    def max_error(self) -> float | None:
        """The largest absolute difference."""
        return max((row.max_error for row in self.outputs if row.max_error is not None), default=None)

    def to_pandas(self, *, per_input: bool = False) -> Any:
        """A pandas DataFrame with a row for each output, or for each input and output; shares have their bounds beside.

        Raises MissingDependencyError where pandas is not installed.
        """
        records = [_record(row) for row in (self.rows if per_input else self.outputs)]
        columns = dict.fromkeys(name for record in records for name in record)
        kept = [name for name in columns if any(record.get(name) is not None for record in records)]
        return data_frame(records, kept)

    def __repr__(self) -> str:
        table = self._table()
        widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))]
        lines = [
            "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        ]
        return "\n".join([*self._heading(), "", *lines, "", *self._notes()]).rstrip()

    def _repr_html_(self) -> str:
        left = ' style="text-align:left"'
        title, *rows = (
            "".join(f"<{tag}{left}>{escape(cell)}</{tag}>" for cell in row)
            for row, tag in zip(self._table(), ("th", *("td",) * len(self.outputs)), strict=True)
        )
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        heading, notes = ("<br>".join(map(escape, lines)) for lines in (self._heading(), self._notes()))
        return f"<div>{heading}<table><thead><tr>{title}</tr></thead><tbody>{body}</tbody></table>{notes}</div>"

    def _heading(self) -> list[str]:
        share = f", {100 * self.sizes[1] / self.sizes[0]:.1f} % of it" if self.sizes[0] else ""
        how = f", {self.resize}" if self.resize else ""
        return [
            f"{self.model}, {self.sizes[0]:,} bytes",
            f"{self.other}, {self.sizes[1]:,} bytes{share}",
            f"on {_count(self.inputs, _NOUNS[self.origin])}{how}",
        ]

    def _table(self) -> list[list[str]]:
        """The cells of the table, its header first; only columns that say something."""
        columns = [
            (title, show)
            for name, title, show in _COLUMNS
            if any(getattr(row, name) not in (None, "") for row in self.outputs)
        ]
        return [
            ["output", *(title for title, _ in columns)],
            *([row.output, *(show(row) for _, show in columns)] for row in self.outputs),
        ]

    def _notes(self) -> list[str]:
        notes = []
        if self.generated:
            notes.append("The inputs are noise: give images or inputs for figures that hold for your data.")
        if self.inputs > 1:
            notes += self._averages()
        if any(rate is not None for row in self.outputs for rate in (row.top1, row.top5, row.agreement)):
            notes.append("In brackets: what the counts say with 95 % confidence (Wilson's interval).")
        classes = [row.output for row in self.outputs if row.top1 is not None]
        for output in [row.output for row in self.outputs if row.output not in classes[1:]]:
            changed = [row for row in self.rows if row.output == output and row.agrees is False]
            items = [
                f"{row.input}: {_short(row.reference)} -> {_short(row.changed)}"
                for row in changed
                if row.reference is not None
            ]
            notes += _listed("best classes differ" if output in classes else f"{output} differs", items)
        notes += _listed("unreadable", [f"{name}: {reason}" for name, reason in self.unreadable.items()])
        notes += _listed("left out, no pictures by their names", list(self.ignored))
        return notes

    def _averages(self) -> list[str]:
        """How the figures of several inputs became one."""
        notes = []
        finite = [row for row in self.outputs if row.snr not in (None, math.inf)]
        pictures, others = ([row for row in finite if (row.type == "image") == wanted] for wanted in (True, False))
        if pictures:
            alike = max(row.identical for row in pictures)
            left = f" (dB without those that are identical: {alike})" if alike else ""
            notes.append(f"{_shown(pictures)} of pictures: the mean over the {_NOUNS[self.origin]}s{left}.")
        if others:
            mean = "; SSIM: the mean" if any(row.ssim is not None for row in others) else ""
            which = "other outputs" if pictures else "outputs"
            notes.append(f"{_shown(others)} of {which}: of all {_NOUNS[self.origin]}s together{mean}.")
        return notes


def aggregate(rows: Sequence[InputRow], output: str, type: str, *, classes: bool) -> OutputRow:
    """The row of one output from its rows of all inputs; `classes` says whether it is a classifier's."""
    own = [row for row in rows if row.output == output]
    labelled = [row for row in own if row.label is not None]
    agreement = _agreement(own, type)
    measure = next((name for name in ("psnr", "snr") if any(getattr(row, name) is not None for row in own)), None)
    worst = _worst(own, measure)
    return OutputRow(
        output,
        type,
        len(own),
        sum(row.identical for row in own),
        top1=agreement if classes else None,
        top5=_rate(row.in_top5 for row in own),
        accuracy=_rate(row.reference == row.label for row in labelled),
        other_accuracy=_rate(row.changed == row.label for row in labelled),
        agreement=None if classes else agreement,
        psnr=_mean_decibels(row.psnr for row in own) if type == "image" else _joint_decibels(own, "peak"),
        snr=_mean_decibels(row.snr for row in own) if type == "image" else _joint_decibels(own, "power"),
        lowest=getattr(worst, measure) if worst and measure and len(own) > 1 else None,
        ssim=_mean(row.ssim for row in own),
        max_error=max((row.max_error for row in own if row.max_error is not None), default=None),
        equal=_mean(row.equal for row in own),
        worst=worst.input if worst and len(own) > 1 else "",
    )


def _agreement(rows: Sequence[InputRow], type: str) -> Rate | None:
    if type == "multiArray" and any(row.agrees is False for row in rows):
        return Rate.of(row.agrees is None for row in rows)
    return _rate(row.agrees for row in rows)


def _worst(rows: Sequence[InputRow], measure: str | None) -> InputRow | None:
    """The input whose outputs differ most; None where none differ."""
    differing = [row for row in rows if not row.identical and (measure is None or getattr(row, measure) is not None)]
    if not differing:
        return None
    if measure:
        return min(differing, key=lambda row: getattr(row, measure))
    if differing[0].max_error is not None:
        return max(differing, key=lambda row: row.max_error or 0.0)
    return None


def _joint_decibels(rows: Sequence[InputRow], signal: str) -> float | None:
    """The ratio of all inputs together: their mean power, or their largest peak's, over their mean noise."""
    own = [row for row in rows if row.noise is not None and getattr(row, signal) is not None]
    if not own:
        return None
    values = [getattr(row, signal) for row in own]
    top = max(values) ** 2 if signal == "peak" else float(np.mean(values))
    return decibels(top, float(np.mean([row.noise for row in own])))


def _mean_decibels(values: Iterable[float | None]) -> float | None:
    """The mean of all but infinite ratios; infinite where all are."""
    found = [value for value in values if value is not None]
    differing = [value for value in found if value != math.inf]
    if not found:
        return None
    return float(np.mean(differing)) if differing else math.inf


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def _rate(hits: Iterable[bool | None]) -> Rate | None:
    found = [hit for hit in hits if hit is not None]
    return Rate.of(found) if found else None


def _lowest(values: Iterable[_Float | None]) -> _Float | None:
    return min((value for value in values if value is not None), default=None)


def _record(row: OutputRow | InputRow) -> dict[str, Any]:
    record: dict[str, Any] = {}
    for name, value in asdict(row).items():
        if isinstance(value, Rate):
            low, high = value.interval
            record.update({name: float(value), f"{name}_low": low, f"{name}_high": high})
        else:
            record[name] = value
    return record


def _decibels(value: float | None) -> str:
    if value is None:
        return ""
    return "identical" if value == math.inf else f"{value:.2f} dB"


def _rate_text(rate: Rate | None) -> str:
    if rate is None:
        return ""
    low, high = (100 * bound for bound in rate.interval)
    return f"{100 * float(rate):.1f} % ({low:.1f}..{high:.1f})"


def _worst_text(row: OutputRow) -> str:
    return f"{row.worst} ({_decibels(row.lowest)})" if row.lowest is not None else row.worst


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _LABEL_LENGTH else f"{text[: _LABEL_LENGTH - 3]}..."


_COLUMNS: tuple[tuple[str, str, Callable[[OutputRow], str]], ...] = (
    ("top1", "Top-1 agreement", lambda row: _rate_text(row.top1)),
    ("top5", "Top-5 agreement", lambda row: _rate_text(row.top5)),
    ("accuracy", "accuracy", lambda row: _rate_text(row.accuracy)),
    ("other_accuracy", "the other's accuracy", lambda row: _rate_text(row.other_accuracy)),
    ("agreement", "agreement", lambda row: _rate_text(row.agreement)),
    ("psnr", "PSNR", lambda row: _decibels(row.psnr)),
    ("snr", "SNR", lambda row: _decibels(row.snr)),
    ("ssim", "SSIM", lambda row: "" if row.ssim is None else f"{row.ssim:.4f}"),
    ("max_error", "largest error", lambda row: "" if row.max_error is None else f"{row.max_error:.4g}"),
    ("equal", "equal values", lambda row: "" if row.equal is None else f"{100 * row.equal:.2f} %"),
    ("worst", "worst", _worst_text),
)
_NOUNS = {"pictures": "picture", "inputs": "input", "generated": "generated input"}


def _shown(rows: Sequence[OutputRow]) -> str:
    names = ["PSNR"] * any(row.psnr is not None for row in rows) + ["SNR"]
    return ", ".join(names + ["SSIM"] * any(row.ssim is not None and row.type == "image" for row in rows))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _listed(title: str, items: Sequence[str]) -> list[str]:
    """A line with how many there are, and lines with the first of them."""
    if not items:
        return []
    more = [f"  and {len(items) - _NAMED} more"] if len(items) > _NAMED else []
    return [f"{title}: {len(items)}", *(f"  {item}" for item in items[:_NAMED]), *more]
