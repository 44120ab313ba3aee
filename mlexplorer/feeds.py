"""What models are fed with while they are compared, measured or calibrated: pictures, other inputs, or noise."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from mlexplorer.errors import InputError
from mlexplorer.formats import is_address
from mlexplorer.model import Feature, Model
from mlexplorer.runtime.features import as_picture
from mlexplorer.runtime.generated_inputs import NOISE_INPUTS, generated_inputs
from mlexplorer.runtime.images import SUFFIXES, PictureLike, files_within, picture_name
from mlexplorer.runtime.resizing import Resize, resize

Given = Literal["noise"] | PictureLike | Mapping[str, Any] | Iterable[Any]
Labels = Mapping[str, Any] | Callable[[Any], Any] | Sequence[Any]
Origin = Literal["pictures", "inputs", "generated"]
_LISTED = 5
_NOISE_VALUES = 200_000
_MOST_NOISE = 256


@dataclass(frozen=True)
class Feed:
    """What one prediction is fed with: its name, and a picture's source or an input as the user gave it."""

    name: str
    given: Any


class Feeds:
    """All that the models are fed with; nothing is opened before its turn.

    `unreadable` says of each picture that could not be read why; `ignored` are the files in folders that are no
    pictures by their names.
    """

    def __init__(self, model: Model, images: Any, inputs: Any, how: Resize) -> None:
        if images is not None and inputs is not None:
            raise InputError("give images or inputs, not both")
        self._model, self._how = model, how
        self.unreadable: dict[str, str] = {}
        self.ignored: list[str] = []
        self.origin: Origin
        self._picture: Feature | None = None
        if images is not None:
            self.origin, self._picture = "pictures", _single_picture(model)
            self.feeds = self._pictures(images)
        elif inputs is not None:
            self.origin = "inputs"
            self.feeds = [Feed(_input_name(item, index), item) for index, item in enumerate(_inputs(model, inputs))]
        else:
            self.origin = "generated"
            self.feeds = [Feed(f"noise {index + 1}", item) for index, item in enumerate(generated_inputs(model))]
        if not self.feeds:
            found = f"; {', '.join(self.ignored[:5])} are no pictures by their names" if self.ignored else ""
            is_folder = isinstance(images, str | Path) and Path(images).is_dir()
            missing = f"no pictures in this folder: {images}" if is_folder else "no picture and no input was given"
            raise InputError(f"there is nothing to run: {missing}{found}")

    def __len__(self) -> int:
        return len(self.feeds)

    def value(self, feed: Feed) -> Any:
        """What `Predictor.predict` takes; raises InputError for pictures that cannot be read."""
        if self._picture is not None:
            return {self._picture.name: resize(as_picture(feed.given), self._picture, self._how)}
        if isinstance(feed.given, Mapping):
            pictures = {feature.name: feature for feature in self._model.inputs if feature.type == "image"}
            return {
                name: self._fitting(value, pictures[name]) if name in pictures and value is not None else value
                for name, value in feed.given.items()
            }
        needed = [feature for feature in self._model.inputs if not feature.optional]
        if len(needed) == 1 and needed[0].type == "image":
            return {needed[0].name: self._fitting(feed.given, needed[0])}
        return feed.given

    def _fitting(self, value: Any, feature: Feature) -> Any:
        """A picture among other inputs, resized where the model does not accept its size."""
        if not isinstance(value, Image.Image | np.ndarray | str | Path) and not hasattr(value, "detach"):
            return value
        picture = as_picture(value)
        return picture if feature.accepts_size(*picture.size) else resize(picture, feature, self._how)

    def _pictures(self, images: Any) -> list[Feed]:
        one = isinstance(images, str | Path | Image.Image) or (_is_array(images) and images.ndim < 4)
        found: list[tuple[str, Any]] = []
        for index, source in enumerate([images] if one else images):
            if isinstance(source, Mapping):
                raise InputError("images are pictures; give dictionaries from input name to value as inputs=[...]")
            if not isinstance(source, str | Path):
                if not isinstance(source, Image.Image) and not _is_array(source):
                    raise InputError(f"images are paths, PIL images and arrays, not {source!r}")
                found.append((f"image {index + 1}", source))
            elif is_address(source):
                found.append((picture_name(source), source))
            elif Path(source).is_dir():
                found += self._folder(Path(source))
            else:
                found.append((Path(source).name, Path(source)))
        names = Counter(name for name, _ in found)
        return [Feed(name if names[name] == 1 else str(source), source) for name, source in found]

    def _folder(self, folder: Path) -> Iterator[tuple[str, Path]]:
        """The pictures of a folder and of those within it by their path in the folder, in order."""

        def refused(error: OSError) -> None:
            self.unreadable[str(error.filename)] = f"a folder that cannot be read ({error.strerror})"

        for source in files_within(folder, refused):
            name = source.relative_to(folder).as_posix()
            if source.suffix.lower() in SUFFIXES:
                yield name, source
            else:
                self.ignored.append(name)


class GeneratedInputs(list[dict[str, Any]]):
    """Inputs that are noise, to be trusted less than real ones."""


def inputs_of(model: Model, given: Given) -> list[dict[str, Any]]:
    """Inputs by name, one dictionary for each run, of what the user gave to measure or to calibrate with.

    "noise" makes four: pictures whose spectrum falls with the frequency, as that of photographs does, and normally
    distributed arrays and numbers; the same ones every time. Where there are no convolutions it makes more of small
    arrays, up to 256: four short sequences say too little of what a recurrent layer meets. A folder, a picture, or
    several, by paths or addresses too, are fitted to the size that the model takes, and a warning names those that
    cannot be read; dictionaries and arrays are taken as they are.
    Raises InputError where nothing is left, and for anything else.
    """
    if isinstance(given, str) and given == "noise":
        return GeneratedInputs(generated_inputs(model, _noise_inputs(model)))
    needed = [feature for feature in model.inputs if not feature.optional]
    takes_pictures = len(needed) == 1 and needed[0].type == "image"
    if takes_pictures and not _holds_mappings(given):
        feeds = Feeds(model, given, None, "fill")
    elif isinstance(given, str | Path | Image.Image):
        raise InputError("the model does not take one picture; give [{input name: value, ...}, ...]")
    else:
        feeds = Feeds(model, None, given, "fill")
    inputs = []
    for feed in feeds.feeds:
        try:
            value = feeds.value(feed)
        except InputError as error:
            feeds.unreadable[feed.name] = str(error)
            continue
        if not isinstance(value, Mapping):
            if len(needed) != 1:
                raise InputError(f"the model has {len(needed)} inputs; give [{{input name: value, ...}}, ...]")
            value = {needed[0].name: value}
        inputs.append(dict(value))
    left_out = "; ".join(f"{name}: {reason}" for name, reason in list(feeds.unreadable.items())[:_LISTED])
    if not inputs:
        raise InputError(f"none of the {len(feeds)} inputs can be read: {left_out}")
    if left_out:
        warnings.warn(f"{len(feeds.unreadable)} of {len(feeds)} inputs are left out: {left_out}", stacklevel=3)
    return inputs


def _noise_inputs(model: Model) -> int:
    """Four where there are convolutions, which meet thousands of vectors in each; else up to `_MOST_NOISE`.

    Those of one model have at most `_NOISE_VALUES` together.
    """
    needed = [feature for feature in model.inputs if not feature.optional]
    pictures = any(feature.type == "image" for feature in needed)
    if pictures or any(node.type.startswith("convolution") for node in model.graph.nodes):
        return NOISE_INPUTS
    values = sum(prod(feature.shape or (1,)) for feature in needed)
    return min(max(_NOISE_VALUES // max(values, 1), NOISE_INPUTS), _MOST_NOISE)


def _holds_mappings(given: Any) -> bool:
    return isinstance(given, Mapping) or (
        isinstance(given, list | tuple) and any(isinstance(item, Mapping) for item in given)
    )


def labels_of(feeds: Sequence[Feed], labels: Labels) -> list[str | int]:
    """The class of each feed: from a mapping by file name, a function of the path, or a list in the same order.

    A mapping may have the name of the file, its path within the folder, its whole path, or its name without the suffix.
    The function gets the path of a file, else the picture or input as it was given. Raises InputError where a class is
    missing, naming the files.
    """
    found: list[Any]
    if isinstance(labels, Mapping):
        found = [next((labels[key] for key in _keys(feed) if key in labels), None) for feed in feeds]
    elif callable(labels):
        found = [labels(feed.given) for feed in feeds]
    else:
        found = list(labels)
        if len(found) != len(feeds):
            raise InputError(
                f"there are {len(found)} labels for {len(feeds)} inputs; give one for each, in their order"
            )
    missing = [feed.name for feed, label in zip(feeds, found, strict=True) if label is None]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise InputError(f"the labels say nothing about {', '.join(missing[:5])}{more}; give a class for each")
    return [label.item() if isinstance(label, np.generic) else label for label in found]


def _keys(feed: Feed) -> list[str]:
    if not isinstance(feed.given, str | Path):
        return [feed.name]
    path = Path(feed.given)
    return [feed.name, path.name, str(path), path.stem]


def _single_picture(model: Model) -> Feature:
    needed = [feature for feature in model.inputs if not feature.optional]
    if len(needed) != 1 or needed[0].type != "image":
        names = ", ".join(f"{feature.name!r} ({feature.type})" for feature in needed) or "none"
        raise InputError(
            f"images are for models with one picture as their input, but this one has {names}; give "
            "inputs=[{input name: value, ...}, ...]"
        )
    return needed[0]


def _inputs(model: Model, inputs: Any) -> list[Any]:
    """One item for each prediction; a matrix is taken apart where the model takes its rows."""
    if _is_array(inputs):
        needed = [feature for feature in model.inputs if not feature.optional]
        rows = len(needed) == 1 and needed[0].type == "multiArray" and _takes_rows(needed[0], tuple(inputs.shape))
        return list(inputs) if rows else [inputs]
    if isinstance(inputs, Mapping | str | Path | Image.Image | int | float) or not isinstance(inputs, Iterable):
        return [inputs]
    return list(inputs)


def _takes_rows(feature: Feature, shape: tuple[int, ...]) -> bool:
    return len(shape) > 1 and not feature.accepts(shape) and feature.accepts(shape[1:])


def _input_name(item: Any, index: int) -> str:
    return picture_name(item) if isinstance(item, str | Path) else f"input {index + 1}"


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")
