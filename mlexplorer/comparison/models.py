"""Two models on the same inputs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlexplorer.comparison.outputs import (
    InputRow,
    Label,
    check_comparable,
    class_outputs,
    compare_outputs,
)
from mlexplorer.comparison.result import Comparison, aggregate
from mlexplorer.comparison.sameness import same_but_for_weights
from mlexplorer.errors import Cancelled, InputError, MlexplorerError
from mlexplorer.feeds import Feeds, Labels, labels_of
from mlexplorer.model import Model
from mlexplorer.progress import Progress, check, reporting
from mlexplorer.runtime.custom import CustomLayerClass, CustomModelClass
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.runtime.resizing import Resize, check_resize

_WATCH_SECONDS = 0.1
_NAMED = 5
_TELLING = 0.02
_QUANTIZED = ("linear", "lookup_table", "int8")
_RESIZED = {"fill": "cropped to fill", "fit": "padded to fit", "stretch": "stretched"}


def compare(
    model: Model,
    other: Model,
    images: Any = None,
    *,
    inputs: Any = None,
    labels: Labels | None = None,
    resize: Resize = "fill",
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    custom_models: Mapping[str, CustomModelClass] | None = None,
    half_precision: bool = False,
    progress: Progress | bool = True,
    cancelled: threading.Event | None = None,
) -> Comparison:
    """How far another model's outputs, a quantized copy's say, lie from a model's, on the same inputs.

    `images`, for models whose one input is a picture, is a folder (with the folders in it), a path, an http or https
    address, a PIL image, an array, or several of these. Files are turned upright as their EXIF data say, and resized:

    - "fill" scales a picture until it covers the W x H pixels of the input and crops what sticks out on both sides;
    - "fit" scales it until all of it is seen, and leaves the rest black;
    - "stretch" scales it to W x H whatever its proportions.

    Inputs of flexible size get pictures in their own proportions, at most 480 pixels on the long side. Pictures that
    cannot be read are left out, counted and named in the result.

    `inputs`, for any model, is a list of what `predict` takes: dictionaries from input name to value, or values.
    Pictures among them are resized where their size does not fit; the rows of a matrix are inputs for a model that
    takes a vector. Without images and inputs, the models run on noise, and the result says so.

    `labels` are the true classes, for the accuracy of both classifiers: a mapping from file name to class, a function
    of the path, or a list with one for each input. `half_precision` runs the other model in 16-bit floats, as the GPU
    and the Neural Engine do: `compare(model, model, images, half_precision=True)` shows what that alone costs.
    `progress` is False, or a function called with a label, how many inputs are done, and of how many.

    See `OutputRow` for the metrics of each type of output. Raises InputError where the models' inputs or outputs
    differ, where what is given does not fit them, and where nothing can be read; what `predict` raises; and Cancelled
    once `cancelled` is set.
    """
    check_comparable(model, other)
    check_resize(resize)
    feeds = Feeds(model, images, inputs, resize)
    if labels is not None and not class_outputs(model):
        raise InputError("labels are for classifiers; this model gives no class")
    classes = [None] * len(feeds) if labels is None else labels_of(feeds.feeds, labels)
    with _named("the model"):
        predictor = Predictor(model, custom_layers, custom_models=custom_models)
    with _named("the other model"):
        if not half_precision and same_but_for_weights(model, other):
            changed_predictor = predictor.rebind(other)
        else:
            changed_predictor = Predictor(
                other, custom_layers, custom_models=custom_models, half_precision=half_precision
            )
    rows: list[InputRow] = []
    with reporting(progress) as report, _watching(cancelled, predictor, changed_predictor):
        for done, (feed, label) in enumerate(zip(feeds.feeds, classes, strict=True)):
            check(cancelled)
            report(feed.name, done, len(feeds))
            try:
                value = feeds.value(feed)
                reference = predictor.predict(value)
            except InputError as error:
                if feeds.origin != "pictures":
                    raise InputError(f"{feed.name}: {error}") from error
                feeds.unreadable[feed.name] = str(error).removeprefix(f"{feed.given}: ")
                continue
            check(cancelled)
            with _named(f"{feed.name}: the other model"):
                changed = changed_predictor.predict(value)
            if label is not None:
                _check_class(model, feed.name, label, reference)
            rows += compare_outputs(model, feed.name, reference, changed, label)
        report("done", len(feeds), len(feeds))
    if not rows:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(feeds.unreadable.items())[:_NAMED])
        raise InputError(f"none of {len(feeds)} pictures could be read: {reasons}")
    told = class_outputs(model)
    return Comparison(
        _title(model, "the model"),
        _title(other, "the other") + (", in half precision" if half_precision else ""),
        (model.size, other.size),
        feeds.origin,
        _RESIZED[resize] if feeds.origin == "pictures" else "",
        tuple(aggregate(rows, f.name, f.type, classes=f.name in told) for f in model.outputs),
        tuple(rows),
        feeds.unreadable,
        tuple(feeds.ignored),
    )


def _check_class(model: Model, name: str, label: Label, outputs: Mapping[str, Any]) -> None:
    """Raise InputError where a label is none of the classes, by which no model could ever be right."""
    probabilities = outputs.get(model.spec.description.predictedProbabilitiesName)
    if isinstance(probabilities, dict) and label not in probabilities:
        some = ", ".join(map(repr, list(probabilities)[:2]))
        raise InputError(
            f"the label {label!r} of {name} is none of the model's {len(probabilities)} classes ({some}, ...)"
        )
    given = outputs[class_outputs(model)[0]]
    if isinstance(given, str | int) and type(given) is not type(label):
        raise InputError(f"the label {label!r} of {name} is no class: the model's are like {given!r}")


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Says in an error which model it comes from."""
    try:
        yield
    except Cancelled:
        raise
    except MlexplorerError as error:
        raise type(error)(f"{name}: {error}") from error


@contextmanager
def _watching(cancelled: threading.Event | None, *predictors: Predictor) -> Iterator[None]:
    """Stops the prediction that is under way, too, once the event is set."""
    if cancelled is None:
        yield
        return
    finished = threading.Event()

    def watch() -> None:
        while not finished.wait(_WATCH_SECONDS):
            if cancelled.is_set():
                for predictor in predictors:
                    predictor.cancel()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        finished.set()
        watcher.join()


def _title(model: Model, absent: str) -> str:
    weights = _weights_text(model)
    return f"{model.path.name if model.path else absent}{f' ({weights})' if weights else ''}"


def _weights_text(model: Model) -> str:
    """How most weights are stored: "float32", "4 bit lookup table", "2, 4 and 8 bit lookup table"."""
    counts: Counter[tuple[str, int]] = Counter()
    for weight in model.graph.weights:
        counts[weight.kind, weight.bits] += weight.count
    kinds: dict[str, list[int]] = {}
    for (kind, bits), count in sorted(counts.items()):
        if count >= _TELLING * counts.total():
            kinds.setdefault(kind, []).append(bits)
    texts = []
    for kind, depths in kinds.items():
        *first, last = map(str, depths)
        listed = f"{', '.join(first)} and {last}" if first else last
        texts.append(f"{listed} bit {kind.replace('_', ' ')}" if kind in _QUANTIZED else kind)
    return ", ".join(texts)
