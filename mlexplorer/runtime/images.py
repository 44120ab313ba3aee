"""Pictures as networks see them, and networks' outputs as pictures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mlexplorer.errors import InputError, UnsupportedError
from mlexplorer.model import Feature

Array = NDArray[Any]
PictureLike = Image.Image | Array | str | Path

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_CHANNELS = {"RGB": 3, "BGR": 3, "GRAYSCALE": 1, "GRAYSCALE_FLOAT16": 1}


def open_picture(source: PictureLike) -> Image.Image:
    """A picture from a path, a PIL image or an array ([H, W], [H, W, 3] or [H, W, 4], 0..255), upright as EXIF says.

    Raises InputError naming the file where it cannot be read.
    """
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        if source.ndim not in (2, 3) or (source.ndim == 3 and source.shape[2] not in (3, 4)):
            raise InputError(
                f"an array of shape {list(source.shape)} is not a picture; give [H, W], [H, W, 3] or [H, W, 4]"
            )
        return Image.fromarray(np.clip(np.rint(source), 0, 255).astype(np.uint8))
    path = Path(source)
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).copy()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such picture") from None
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a picture that can be read ({error})") from error


def picture_paths(folder: str | Path) -> list[Path]:
    """The pictures directly in a folder, by name; raises InputError where there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InputError(f"{folder}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}")
    return paths


def open_pictures(images: PictureLike | Iterable[PictureLike]) -> tuple[list[tuple[str, Image.Image]], list[str]]:
    """Named pictures from a path, a folder, a picture or several of these, and what could not be read, in words.

    Raises InputError where nothing at all can be read.
    """
    sources: list[PictureLike]
    if isinstance(images, str | Path) and Path(images).is_dir():
        sources = list(picture_paths(images))
    elif isinstance(images, str | Path | Image.Image | np.ndarray):
        sources = [images]
    else:
        sources = list(images)
    pictures, faults = [], []
    for index, source in enumerate(sources):
        name = Path(source).stem if isinstance(source, str | Path) else f"image {index + 1}"
        try:
            pictures.append((name, open_picture(source)))
        except InputError as error:
            faults.append(str(error))
    if not pictures:
        raise InputError("; ".join(faults) if faults else "no pictures were given")
    return pictures, faults


def to_array(picture: Image.Image, feature: Feature) -> Array:
    """The pixels as float32 [C, H, W] in the plane order of the feature's color space, 0..255; alpha is ignored."""
    channels = _CHANNELS.get(feature.color_space or "")
    if channels is None:
        raise UnsupportedError(f"input {feature.name!r}: color space {feature.color_space} is not supported")
    if channels == 1:
        return np.asarray(picture.convert("L"), np.float32)[None]
    pixels = np.asarray(picture.convert("RGB"), np.float32).transpose(2, 0, 1)
    return pixels[::-1] if feature.color_space == "BGR" else pixels


def to_picture(array: Array, feature: Feature) -> Image.Image:
    """A network's [..., C, H, W] values as a picture: clamped to 0..255 and rounded."""
    channels = _CHANNELS.get(feature.color_space or "")
    values = np.asarray(array)
    if channels is None or values.ndim < 3 or values.shape[-3] != channels:
        raise UnsupportedError(
            f"output {feature.name!r} has shape {list(values.shape)}, which is no {feature.color_space} picture"
        )
    values = values.reshape(-1, *values.shape[-3:])[0]
    if feature.color_space == "GRAYSCALE_FLOAT16":
        return Image.fromarray(values[0].astype(np.float32))
    pixels = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    if channels == 1:
        return Image.fromarray(pixels[0])
    return Image.fromarray(
        np.ascontiguousarray((pixels[::-1] if feature.color_space == "BGR" else pixels).transpose(1, 2, 0))
    )
