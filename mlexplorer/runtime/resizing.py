"""Pictures in the sizes that a model takes."""

from __future__ import annotations

import math

from PIL import Image, ImageOps

from mlexplorer.model import Feature, SizeRange

LONG_SIDE = 480
"""The long side in pixels of what a model of flexible size is given."""
_STEP = 4
_PROPORTIONS_COUNT = 4.0


def fit(picture: Image.Image, feature: Feature, scale: float = 1.0) -> Image.Image:
    """A picture as an input accepts it, cropped to the proportions and resized where it must be.

    Inputs of flexible size get the picture in its own proportions, at most `scale` times 480 pixels on its long side,
    both sides multiples of 4; of listed sizes they get the nearest to that; others get the size that they have.
    """
    wanted = min(1.0, LONG_SIDE / max(picture.size)) * scale
    width, height = (max(_STEP, round(side * wanted / _STEP) * _STEP) for side in picture.size)
    size = (width, height)
    if not feature.accepts_size(*size):
        size = _nearest_size(feature, size)
    return picture if size == picture.size else ImageOps.fit(picture, size, Image.Resampling.LANCZOS)


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
