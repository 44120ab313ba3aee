"""Pictures as networks see them, and networks' outputs as pictures."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from mlexplorer.errors import FileFormatError, InputError, UnsupportedError
from mlexplorer.formats import is_address
from mlexplorer.model import Feature

Array = NDArray[Any]
PictureLike = Image.Image | Array | str | Path

MOST_BYTES = 200_000_000
"""What is larger is not fetched as a picture."""
SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_CHANNELS = {"RGB": 3, "BGR": 3, "GRAYSCALE": 1, "GRAYSCALE_FLOAT16": 1}
_UNREADABLE = (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError)


def open_picture(source: PictureLike, cancelled: threading.Event | None = None) -> Image.Image:
    """A picture from a path, an address, a PIL image or an array ([H, W], [H, W, 1], [H, W, 3] or [H, W, 4], 0..255).

    A file's picture is turned upright as its EXIF data say; a PIL image is taken as it is. Pictures of 16 bits per
    channel are scaled to 8. What an http or https address has is kept in the user's cache, as `load` does. Raises
    InputError, naming the file, where the picture cannot be fetched or read, and for arrays that are no picture;
    Cancelled once `cancelled` is set.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, Image.Image):
        try:
            source.load()
        except (*_UNREADABLE, AssertionError, AttributeError) as error:
            name = getattr(source, "filename", "") or "the PIL image"
            raise InputError(
                f"{name}: not a picture that can be read ({str(error) or 'its file is closed'})"
            ) from error
        return _eight_bits(source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"a picture is a path, an address, a PIL image or an array, not {type(source).__name__}")
    path = _fetched(source, cancelled) if is_address(source) else Path(source)
    try:
        with Image.open(path) as image:
            return _eight_bits(ImageOps.exif_transpose(image).copy())
    except FileNotFoundError:
        raise InputError(f"{source}: there is no such picture") from None
    except _UNREADABLE as error:
        unknown = isinstance(error, UnidentifiedImageError)  # which says no more than the path once again
        why = "in no format that is known" if unknown else str(error).replace(str(path), str(source))
        raise InputError(f"{source}: not a picture that can be read ({why})") from error


def _fetched(address: Any, cancelled: threading.Event | None) -> Path:
    from mlexplorer.formats.download import download  # HTTPS takes longer to import than a picture to read

    try:
        return download(address, cancelled=cancelled, most_bytes=MOST_BYTES)
    except FileFormatError as error:
        raise InputError(str(error)) from error


def picture_name(source: str | Path) -> str:
    """The name of the file at a path or an address."""
    if not is_address(source):
        return Path(source).name
    from mlexplorer.formats.download import file_name

    return file_name(str(source)) or str(source)


def _from_array(array: Array) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or not array.size:
        raise InputError(f"an array of shape {list(array.shape)} is not a picture; give [H, W], [H, W, 3] or [H, W, 4]")
    if array.dtype.kind not in "fiub":
        raise InputError(f"an array of {array.dtype} is not a picture; give numbers from 0 to 255")
    if not np.isfinite(array).all():
        raise InputError("the picture has values that are not finite")
    if array.dtype == np.uint16 and array.max() > 255:
        raise InputError("the picture has 16-bit values, but pixels go from 0 to 255; divide by 257")
    return _from_values(array)


def _from_values(values: Array) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """The picture with values from 0 to 255; Pillow itself clips those of 16 bits instead of scaling them."""
    if not picture.mode.startswith("I"):
        return picture
    values = np.asarray(picture)
    return _from_values(values / 257 if picture.mode != "I" or values.max() > 255 else values)


def files_within(folder: Path, refused: Callable[[OSError], None] | None = None) -> Iterator[Path]:
    """The files of a folder and of the folders within it, in order; `refused` gets what cannot be read.

    Names that begin with a dot are passed over; folders that are reached twice are read once.
    """
    seen = set()
    for path, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        if os.path.realpath(path) in seen:
            folders.clear()
            continue
        seen.add(os.path.realpath(path))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if not name.startswith(".")):
            yield Path(path, name)


def picture_paths(folder: str | Path) -> list[Path]:
    """The pictures in a folder and in those within it, in order; raises InputError where there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder")
    paths = [path for path in files_within(folder) if path.suffix.lower() in SUFFIXES]
    if not paths:
        raise InputError(f"{folder}: no pictures in this folder; looked for {', '.join(sorted(SUFFIXES))}")
    return paths


def picture_sources(images: PictureLike | Iterable[PictureLike]) -> list[PictureLike]:
    """Every picture on its own, not opened yet, of a path, an address, a folder, a picture, or several of these.

    Raises InputError for a path where nothing is, and for a folder without pictures.
    """
    if isinstance(images, str | Path) and Path(images).is_dir():
        return list(picture_paths(images))
    if isinstance(images, str | Path) and not is_address(images) and not Path(images).exists():
        raise InputError(f"{images}: there is no such file or folder (the working folder is {Path.cwd()})")
    return [images] if isinstance(images, str | Path | Image.Image | np.ndarray) else list(images)


def to_array(picture: Image.Image, feature: Feature) -> Array:
    """The pixels as float32 [C, H, W] in the plane order of the feature's color space.

    Values go from 0 to 255; alpha is ignored. GRAYSCALE_FLOAT16 keeps the values of a PIL image of floats (mode "F"),
    rounded to half precision. Raises InputError for pictures without colours that could be converted.
    """
    channels = _CHANNELS.get(feature.color_space or "")
    if channels is None:
        raise UnsupportedError(f"input {feature.name!r}: color space {feature.color_space} is not supported")
    if feature.color_space == "GRAYSCALE_FLOAT16" and picture.mode == "F":
        with np.errstate(over="ignore"):  # beyond half precision lies infinity, as on a device
            return np.asarray(picture).astype(np.float16).astype(np.float32)[None]
    try:
        if picture.mode == "F":
            picture = _from_values(np.nan_to_num(np.asarray(picture), nan=0.0))
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    except ValueError as error:
        raise InputError(f"input {feature.name!r} takes no picture of mode {picture.mode} ({error})") from error
    planes = pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)
    return (planes[::-1] if feature.color_space == "BGR" else planes).astype(np.float32, order="C")


def to_picture(array: Array, feature: Feature) -> Image.Image:
    """A network's [..., C, H, W] values as a picture: clamped to 0..255 and rounded; NaN becomes 0."""
    channels = _CHANNELS.get(feature.color_space or "")
    values = np.asarray(array)
    if channels is None or values.ndim < 3 or values.shape[-3] != channels or not values.size:
        raise UnsupportedError(
            f"output {feature.name!r} has shape {list(values.shape)}, which is no {feature.color_space} picture"
        )
    values = values.reshape(-1, *values.shape[-3:])[0]
    if feature.color_space == "GRAYSCALE_FLOAT16":
        return Image.fromarray(values[0].astype(np.float32))
    levels = np.rint(np.fmin(np.fmax(values, 0), 255)).astype(np.uint8)
    bands = [Image.fromarray(plane) for plane in levels]
    return bands[0] if channels == 1 else Image.merge("RGB", bands[::-1] if feature.color_space == "BGR" else bands)
