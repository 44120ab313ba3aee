"""What a model is fed with while it is calibrated: the user's pictures and arrays, or noise where there are none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mlexplorer.errors import InputError
from mlexplorer.model import Feature, Model, SizeRange
from mlexplorer.runtime.images import PictureLike, open_pictures
from mlexplorer.runtime.resizing import fit

NOISE_INPUTS = 4
_NOISE_SIDE = 256
_MEAN, _DEVIATION = 128.0, 60.0
_SHARED = 2.0

Calibration = Literal["noise"] | PictureLike | Mapping[str, Any] | Iterable[Any]


def calibration_inputs(model: Model, calibration: Calibration) -> list[dict[str, Any]]:
    """Inputs by name, one dictionary for each run.

    "noise" makes four: pictures whose spectrum falls with the frequency, as that of photographs does, and normally
    distributed arrays and numbers; the same ones every time. A folder, a picture, or several are fitted to the size
    that the model takes; dictionaries and arrays are taken as they are. Raises InputError for anything else.
    """
    if isinstance(calibration, str) and calibration == "noise":
        return [{f.name: _noise(f, seed) for f in model.inputs if not f.optional} for seed in range(NOISE_INPUTS)]
    if isinstance(calibration, Mapping):
        return [dict(calibration)]
    feature = _single_feature(model)
    if feature is not None and feature.type == "image" and not _are_mappings(calibration):
        pictures, _ = open_pictures(calibration)
        return [{feature.name: fit(picture, feature)} for _, picture in pictures]
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


def noise_picture(width: int, height: int, seed: int) -> Image.Image:
    """A picture of noise whose amplitude is inverse to the frequency, its colours correlated as in photographs."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    amplitude = np.divide(1.0, frequency, where=frequency > 0, out=np.zeros_like(frequency))
    *own, shared = (np.fft.ifft2(np.fft.fft2(rng.normal(size=frequency.shape)) * amplitude).real for _ in range(4))
    planes = []
    for plane in own:
        mixed = _SHARED * shared + plane
        deviation = mixed.std() or 1.0
        planes.append(_MEAN + _DEVIATION * (mixed - mixed.mean()) / deviation)
    return Image.fromarray(np.clip(np.rint(np.stack(planes, axis=-1)), 0, 255).astype(np.uint8))


def _noise(feature: Feature, seed: int) -> Any:
    if feature.type == "image":
        return noise_picture(*_picture_size(feature), seed)
    rng = np.random.default_rng(seed)
    if feature.type == "multiArray" and feature.shape:
        return rng.normal(size=feature.shape).astype(np.float32)
    if feature.type == "double":
        return float(rng.normal())
    raise InputError(
        f"input {feature.name!r} ({feature}) cannot be noise; give calibration=[{{input name: value}}, ...]"
    )


def _picture_size(feature: Feature) -> tuple[int, int]:
    width, height = (
        (_NOISE_SIDE, _NOISE_SIDE) if feature.accepts_size(_NOISE_SIDE, _NOISE_SIDE) else feature.shape or (0, 0)
    )
    if min(width, height) < 1 and feature.flexible and isinstance(feature.flexible[0], SizeRange):
        width, height = (max(side.lower, 1) for side in feature.flexible if isinstance(side, SizeRange))
    return width, height


def _single_feature(model: Model) -> Feature | None:
    needed = [feature for feature in model.inputs if not feature.optional]
    return needed[0] if len(needed) == 1 else None


def _are_mappings(calibration: Any) -> bool:
    return isinstance(calibration, list | tuple) and all(isinstance(item, Mapping) for item in calibration)
