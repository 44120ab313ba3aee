"""Pictures in the sizes that a model takes."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Literal, get_args

from PIL import Image, ImageOps

from mlexplorer.errors import InputError
from mlexplorer.model import Feature, SizeRange

Resize = Literal["fill", "fit", "stretch"]

LONG_SIDE = 480
"""The long side in pixels of what a model of flexible size is given."""
_STEP = 4
_PROPORTIONS_COUNT = 4.0
_PLAIN_MODES = ("L", "RGB", "F")


def resize(picture: Image.Image, feature: Feature, how: Resize = "fill", scale: float = 1.0) -> Image.Image:
    """A picture in a size that an input accepts.

    Inputs of flexible size get the picture in its own proportions, at most `scale` times 480 pixels on its long side,
    both sides multiples of 4; of listed sizes they get the nearest to that; others get the size that they have. Where
    a picture of w x h pixels must become one of W x H in other proportions, `how` says what happens:

    - "fill" scales it by max(W / w, H / h), so that it covers all W x H pixels, and crops what sticks out, the same on
      both sides;
    - "fit" scales it by min(W / w, H / h), so that all of it is seen, in the middle of a black picture;
    - "stretch" scales it by W / w across and by H / h down.

    Scaling is Lanczos'; alpha is ignored. Raises InputError for another word.
    """
    check_resize(how)
    size = target_size(picture.size, feature, scale)
    if size == picture.size:
        return picture
    picture = _plain(picture)
    lanczos = Image.Resampling.LANCZOS
    if how == "stretch":
        return picture.resize(size, lanczos)
    if how == "fill":
        return ImageOps.fit(picture, size, lanczos)
    share = min(side / own for side, own in zip(size, picture.size, strict=True))
    inner = picture.resize(_rounded(picture.size, share), lanczos)
    padded = Image.new(picture.mode, size)
    padded.paste(inner, ((size[0] - inner.width) // 2, (size[1] - inner.height) // 2))
    return padded


def check_resize(how: str) -> None:
    """Raise InputError for a word that `resize` does not know."""
    if how not in get_args(Resize):
        raise InputError(f"resize is {', '.join(map(repr, get_args(Resize)))}, not {how!r}")


def target_size(size: tuple[int, int], feature: Feature, scale: float = 1.0) -> tuple[int, int]:
    """The (width, height) in pixels in which an input is given a picture of a size; see `resize`."""
    wanted = min(1.0, LONG_SIDE / max(size)) * scale
    width, height = (max(_STEP, round(side * wanted / _STEP) * _STEP) for side in size)
    return (width, height) if feature.accepts_size(width, height) else _nearest_size(feature, (width, height))


def _rounded(size: tuple[int, int], share: float) -> tuple[int, int]:
    width, height = (max(1, round(side * share)) for side in size)
    return width, height


def _plain(picture: Image.Image) -> Image.Image:
    """The picture in a mode whose values can be mixed: a palette's cannot, and transparency would tint them."""
    if picture.mode not in _PLAIN_MODES:
        with suppress(ValueError):  # of modes without such colours, which the model's input then refuses
            return picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")
    return picture


def _nearest_size(feature: Feature, size: tuple[int, int]) -> tuple[int, int]:
    ranges = [sides for sides in feature.flexible if isinstance(sides, SizeRange)]
    if ranges:
        width, height = (
            max(sides.lower, side if sides.upper is None else min(side, sides.upper))
            for side, sides in zip(size, ranges, strict=True)
        )
        return width, height
    listed = [sides for sides in (feature.shape, *feature.flexible) if sides and not isinstance(sides, SizeRange)]

    def distance(sides: tuple[int, ...]) -> float:
        wide, high = (math.log(side / goal) for side, goal in zip(sides, size, strict=True))
        return _PROPORTIONS_COUNT * abs(wide - high) + abs(wide + high)

    width, height = min(listed, key=distance)
    return width, height
