"""What the explorer runs a model on: pictures and arrays, read one by one, and kept as small as they are fed."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.errors import InputError
from mlexplorer.model import Feature, Model
from mlexplorer.progress import check
from mlexplorer.runtime.images import PictureLike, open_picture, picture_name, picture_sources
from mlexplorer.runtime.resizing import resize

Array = NDArray[Any]
Input = Image.Image | Array
Inputs = PictureLike | Array | Iterable[PictureLike | Array]

COARSE_SIDE = 0.5
"""Width and height of what is run in the coarse stage, as shares of those of the full one."""
SMALL_SIDE = 160
"""The long side in pixels of what stands for a picture in a list."""


@dataclass(frozen=True)
class Given:
    """One picture or array: what is fed in each stage, "coarse" only where the model accepts about a quarter.

    `small` is the picture with at most 160 pixels on its long side, or the array; `size` is the (width, height) in
    pixels in which the picture was given, None for an array.
    """

    name: str
    stages: dict[str, Input]
    small: Input
    size: tuple[int, int] | None = None


class Reading:
    """Pictures, or arrays, that are read for a model, as many at a time as one wants to wait for.

    `images` is a picture, an array, a folder, an address, or several; `sources` are all of them. A model that takes
    one multi-array takes arrays of its shape. Raises InputError where the model takes neither one picture nor one
    array, for a path where nothing is, and for a folder without pictures.
    """

    def __init__(self, model: Model, images: Inputs) -> None:
        self._feature = input_feature(model)
        self.sources: list[Any]
        self._read: Callable[[int, threading.Event | None], Given]
        if self._feature.type == "image":
            self.sources, self._read = picture_sources(images), self._open
        else:
            self.sources, self._read = _arrays(images, self._feature), self._array
        self._next, self._found = 0, 0
        self._given: list[Given] = []
        self._faults: list[str] = []

    @property
    def left(self) -> int:
        """How many have not been read yet."""
        return len(self.sources) - self._next

    def take(
        self,
        seconds: float = math.inf,
        cancelled: threading.Event | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[list[Given], list[str]]:
        """Read one, and on for so many seconds, and until one could be read; also returns in words what could not.

        Raises InputError where none of all can be read; Cancelled once `cancelled` is set, and then nothing is lost:
        the next call returns what was read before. `progress` is called with how many were read, and of how many.
        """
        started, first = time.perf_counter(), self._next
        while self.left and (self._next == first or not self._found or time.perf_counter() - started < seconds):
            check(cancelled)
            if progress is not None:
                progress(self._next, len(self.sources))
            try:
                self._given.append(self._read(self._next, cancelled))
                self._found += 1
            except InputError as error:
                self._faults.append(str(error))
            self._next += 1
        if not self._found:
            raise InputError("; ".join(self._faults) or "no pictures were given")
        (given, faults), self._given, self._faults = (self._given, self._faults), [], []
        return given, faults

    def _open(self, index: int, cancelled: threading.Event | None) -> Given:
        source = self.sources[index]
        picture = open_picture(source, cancelled)
        name = Path(picture_name(source)).stem if isinstance(source, str | Path) else f"image {index + 1}"
        try:
            small = picture.convert("RGB")  # a copy in any case
        except ValueError as error:
            raise InputError(f"{name}: a picture of mode {picture.mode} has no colours to show ({error})") from error
        small.thumbnail((SMALL_SIDE, SMALL_SIDE))
        return Given(name, _stages(self._feature, picture), small, picture.size)

    def _array(self, index: int, _cancelled: threading.Event | None) -> Given:
        array = self.sources[index]
        return Given(f"array {index + 1}", {"full": array}, array)


def read_inputs(
    model: Model, images: Inputs, cancelled: threading.Event | None = None
) -> tuple[list[Given], list[str]]:
    """All that `Reading` reads, and in words what could not be read; raises as it does."""
    return Reading(model, images).take(cancelled=cancelled)


def input_feature(model: Model) -> Feature:
    """The one input of a model that must be fed: its picture, else its array.

    Raises InputError for models with no such input or with several.
    """
    needed = [feature for feature in model.inputs if not feature.optional]
    if len(needed) == 1 and needed[0].type in ("image", "multiArray"):
        return needed[0]
    names = ", ".join(f"{feature.name!r} ({feature.type})" for feature in needed) or "none"
    raise InputError(f"bit depths are compared on models with one input, a picture or an array; this one has {names}")


def _arrays(images: Inputs, feature: Feature) -> list[Array]:
    one = isinstance(images, np.ndarray | Image.Image | str | Path)
    given = [images] if one else list(images)  # type: ignore[arg-type]
    arrays = [array for array in given if isinstance(array, np.ndarray)]
    if not arrays or len(arrays) < len(given):
        raise InputError(
            f"the model's input {feature.name!r} is an array of shape {list(feature.shape or ())}, not a picture; "
            "give images=[array, ...]"
        )
    return arrays


def _stages(feature: Feature, picture: Image.Image) -> dict[str, Input]:
    full, coarse = resize(picture, feature), resize(picture, feature, scale=COARSE_SIDE)
    if coarse.width * coarse.height * 2 <= full.width * full.height:
        return {"coarse": coarse, "full": full}
    return {"full": full}
