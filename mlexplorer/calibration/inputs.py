"""What a model is fed with while it is calibrated: the user's pictures and arrays, or noise where there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mlexplorer.errors import InputError
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.generated_inputs import generated_inputs
from mlexplorer.runtime.images import PictureLike, open_pictures
from mlexplorer.runtime.resizing import resize

Calibration = Literal["noise"] | PictureLike | Mapping[str, Any] | Iterable[Any]


class GeneratedInputs(list[dict[str, Any]]):
    """Inputs that are noise, to be trusted less than real ones."""


def calibration_inputs(model: Model, calibration: Calibration) -> list[dict[str, Any]]:
    """Inputs by name, one dictionary for each run.

    "noise" makes four: pictures whose spectrum falls with the frequency, as that of photographs does, and normally
    distributed arrays and numbers; the same ones every time. A folder, a picture, or several are fitted to the size
    that the model takes; dictionaries and arrays are taken as they are. Raises InputError for anything else.
    """
    if isinstance(calibration, str) and calibration == "noise":
        return GeneratedInputs(generated_inputs(model))
    if isinstance(calibration, Mapping):
        return [dict(calibration)]
    feature = _single_feature(model)
    if feature is not None and feature.type == "image" and not _are_mappings(calibration):
        pictures, _ = open_pictures(calibration)
        return [{feature.name: resize(picture, feature)} for _, picture in pictures]
    if isinstance(calibration, str | Path | Image.Image):
        raise InputError("the model does not take one picture; give calibration=[{input name: value, ...}, ...]")
    items = [calibration] if isinstance(calibration, np.ndarray) else list(calibration)
    if not items:
        raise InputError('there is nothing to calibrate with; give pictures, arrays or "noise"')
    if all(isinstance(item, Mapping) for item in items):
        return [dict(item) for item in items]
    if feature is None:
        raise InputError("the model has several inputs; give calibration=[{input name: value, ...}, ...]")
    return [{feature.name: item} for item in items]


def _single_feature(model: Model) -> Feature | None:
    needed = [feature for feature in model.inputs if not feature.optional]
    return needed[0] if len(needed) == 1 else None


def _are_mappings(calibration: Any) -> bool:
    return isinstance(calibration, list | tuple) and all(isinstance(item, Mapping) for item in calibration)
