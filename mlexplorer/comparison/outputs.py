"""One output of two models for one input: the metrics that its type allows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.comparison.metrics import WINDOW, decibels, max_error, mean_squared_error, power, ssim
from mlexplorer.errors import InputError
from mlexplorer.model import Feature, Model

Array = NDArray[Any]
Label = str | int

_TOP = 5
_COLORS = {"BGR": "RGB"}


class Row:
    """A row of a result, whose representation leaves out what it does not have."""

    def __repr__(self) -> str:
        known = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        shown = ", ".join(f"{name}={value!r}" for name, value in known.items() if value not in (None, ""))
        return f"{type(self).__name__}({shown})"


@dataclass(frozen=True, repr=False)
class InputRow(Row):
    """One output of both models for one input; None is what the output's type does not have.

    `psnr` and `snr` are in dB; `power` is the mean square of the model's values, `noise` that of the differences,
    `peak` what `psnr` compares with. `equal` is the share of an integer array's values that are equal. `agrees` is
    whether both give the same label, text, whole number, list, dictionary or best class; it is False, and `reference`
    and `changed` are the shapes, where arrays have different numbers of rows, as detectors' do. `in_top5` is whether
    the model's best class is among the other's five best, `label` the class that the user gave. `reference` and
    `changed` are what the model and the other gave: labels, numbers and texts.
    """

    input: str
    output: str
    identical: bool
    psnr: float | None = None
    snr: float | None = None
    ssim: float | None = None
    max_error: float | None = None
    power: float | None = None
    noise: float | None = None
    peak: float | None = None
    equal: float | None = None
    agrees: bool | None = None
    in_top5: bool | None = None
    reference: Any = None
    changed: Any = None
    label: Label | None = None


def check_comparable(model: Model, other: Model) -> None:
    """Raise InputError, naming them, where inputs or outputs of two models differ in names, types or fixed sizes."""
    for side in ("inputs", "outputs"):
        features = {feature.name: feature for feature in getattr(model, side)}
        others = {feature.name: feature for feature in getattr(other, side)}
        if features.keys() != others.keys():
            only, extra = (
                ", ".join(repr(name) for name in a if name not in b) or "none"
                for a, b in ((features, others), (others, features))
            )
            raise InputError(
                f"models with different {side} cannot be compared: the first alone has {only}, the other alone {extra}"
            )
        for name, feature in features.items():
            if not _are_alike(feature, others[name]):
                raise InputError(
                    f"models with different {side} cannot be compared: {name!r} is '{feature}' in the first, "
                    f"'{others[name]}' in the other"
                )


def compare_outputs(
    model: Model, name: str, reference: Mapping[str, Any], changed: Mapping[str, Any], label: Label | None
) -> list[InputRow]:
    """A row for each output of the model; raises InputError where arrays and pictures differ in their shapes."""
    rows = []
    classes = class_outputs(model)
    for feature in model.outputs:
        try:
            metrics = _metrics(feature, reference[feature.name], changed[feature.name], feature.name in classes)
        except InputError as error:
            raise InputError(f"output {feature.name!r} of {name}: {error}") from error
        labelled = label if feature.name in classes[:1] else None
        rows.append(InputRow(name, feature.name, label=labelled, **metrics))
    return rows


def class_outputs(model: Model) -> tuple[str, ...]:
    """A classifier's outputs that tell the class: its label, its probabilities; none for other models.

    Regressors name what they predict in the same field of the description, but it is no class.
    """
    description = model.spec.description
    types = {feature.name: feature.type for feature in model.outputs}
    label, probabilities = str(description.predictedFeatureName), str(description.predictedProbabilitiesName)
    found = [label] if types.get(label) in ("string", "int64") and "Regressor" not in model.kind else []
    return (*found, probabilities) if types.get(probabilities) == "dictionary" else tuple(found)


def _are_alike(feature: Feature, other: Feature) -> bool:
    fixed = feature.type in ("image", "multiArray") and not feature.flexible and not other.flexible
    if feature.type != other.type or (fixed and feature.shape and other.shape and feature.shape != other.shape):
        return False
    if feature.type == "image":
        colors = (_COLORS.get(color or "", color) for color in (feature.color_space, other.color_space))
        return len(set(colors)) == 1
    return feature.type == "multiArray" or feature.dtype == other.dtype


def _metrics(feature: Feature, a: Any, b: Any, tells_class: bool) -> dict[str, Any]:
    if isinstance(a, Image.Image):
        return _of_pictures(a, b)
    if isinstance(a, np.ndarray):
        if _differ_in_count(feature, a, b):
            return {"identical": False, "agrees": False, "reference": list(a.shape), "changed": list(b.shape)}
        if not a.size and a.shape == b.shape:
            return {"identical": True}
        return _of_integers(a, b) if a.dtype.kind in "iub" else _of_arrays(a, b)
    if isinstance(a, dict):
        return _of_dictionaries(a, b, ranked=tells_class)
    if feature.type == "double":
        return {**_of_numbers(a, b), "reference": a, "changed": b}
    same = bool(a == b)
    error = float(abs(a - b)) if feature.type == "int64" and not tells_class else None
    return {"identical": same, "agrees": same, "max_error": error, "reference": a, "changed": b}


def _differ_in_count(feature: Feature, a: Array, b: Array) -> bool:
    """Whether one has more rows than the other where their number may vary, as that of a detector's boxes does."""
    fixed = feature.shape and not feature.flexible and math.prod(feature.shape) == a.size
    return not fixed and a.ndim == b.ndim >= 2 and a.shape[1:] == b.shape[1:] and a.shape[0] != b.shape[0]


def _of_pictures(a: Image.Image, b: Image.Image) -> dict[str, Any]:
    if a.mode == "F":  # GRAYSCALE_FLOAT16, whose values have no agreed range
        return _of_arrays(np.asarray(a), np.asarray(b))
    first, second = np.asarray(a), np.asarray(b)
    similar = ssim(first, second) if min(first.shape[:2]) >= WINDOW else None
    return {**_of_numbers(first, second, peak=255.0), "ssim": similar}


def _of_arrays(a: Array, b: Array) -> dict[str, Any]:
    """The metrics of float arrays: the peak is their largest absolute value, their range from smallest to largest."""
    finite = a[np.isfinite(a)].astype(np.float64)
    metrics = _of_numbers(a, b, peak=float(np.abs(finite).max()) if finite.size else 0.0)
    span = float(np.ptp(finite)) if finite.size else 0.0
    if a.ndim >= 2 and min(a.shape[-2:]) >= WINDOW and span > 0.0:
        planes = zip(a.reshape(-1, *a.shape[-2:]), b.reshape(-1, *b.shape[-2:]), strict=True)
        metrics["ssim"] = float(np.mean([ssim(plane, other, span) for plane, other in planes]))
    return metrics


def _of_numbers(a: Any, b: Any, peak: float | None = None) -> dict[str, Any]:
    error, noise, signal = max_error(a, b), mean_squared_error(a, b), power(a)
    return {
        "identical": error == 0.0,
        "psnr": None if peak is None else decibels(peak * peak, noise),
        "snr": decibels(signal, noise),
        "max_error": error,
        "power": signal,
        "noise": noise,
        "peak": peak,
    }


def _of_integers(a: Array, b: Array) -> dict[str, Any]:
    error = max_error(a, b)
    return {"identical": error == 0.0, "max_error": error, "equal": float(np.mean(a == b))}


def _of_dictionaries(a: dict[Any, float], b: dict[Any, float], *, ranked: bool) -> dict[str, Any]:
    """The metrics of dictionaries, in which keys that are not there have the value 0.

    Classes are ranked by their probabilities, equal ones in their order in the model, so that a model that can no
    longer tell any classes apart does not agree with everything.
    """
    keys = list({**a, **b})
    first, second = ([values.get(key, 0.0) for key in keys] for values in (a, b))
    if not keys:
        return {"identical": True, "agrees": True, "max_error": 0.0}
    metrics = _of_numbers(first, second)
    metrics["identical"] = metrics["identical"] and a.keys() == b.keys()
    if not ranked:
        return {**metrics, "agrees": a == b}
    if not a or not b:
        return {**metrics, "agrees": False}
    best, others = _ranking(a)[0], _ranking(b)
    metrics.update(agrees=best == others[0], reference=best, changed=others[0])
    return {**metrics, "in_top5": best in others[:_TOP] if len(b) > _TOP else None}


def _ranking(probabilities: dict[Any, float]) -> list[Any]:
    return sorted(probabilities, key=lambda key: _sinking(probabilities[key]), reverse=True)[:_TOP]


def _sinking(value: float) -> float:
    return -math.inf if math.isnan(value) else value
