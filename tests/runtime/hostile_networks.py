"""Models as nobody should write them: valid ones with random fields changed, and what must come out of them.

Run as a program, it tries a range of seeds, and says each before it tries it, so that a crash can be told from the
last line: `python -m tests.runtime.hostile_networks FIRST STOP [FILE ...]`. Files are models to start from.
"""

from __future__ import annotations

import faulthandler
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import MlexplorerError
from mlexplorer.spec.reflection import is_map, is_repeated
from tests.runtime.random_networks import random_network

PATIENCE = 3.0
"""Seconds after which a prediction is cancelled."""
GRACE = 5.0
"""Seconds that it may take beyond that."""

_WHOLE = (0, 1, 2, 3, 4, 5, 7, 16, 255, 2**31 - 1, 2**31, 2**33 + 1, 2**62, 2**63 - 1)
_SIGNED = (*_WHOLE, -1, -2, -3, -7, -(2**31), -(2**63))
_FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 3.7, 1e-45, 1e10, -3e38, float("nan"), float("inf"), float("-inf"))
_TEXTS = ("", "x0", "nowhere", "ä\u0000\u202e", "a" * 5000)


class Failure(Exception):
    """Something else than a value or an MlexplorerError came out."""


def case(seed: int, bases: Sequence[Any] = ()) -> tuple[Any, dict[str, Any]]:
    """A hostile model, as a specification or as bytes, and feeds that would fit the model that it was made of."""
    rng = np.random.default_rng(seed)
    if bases:
        model, feeds = type(bases[0])(), {}
        model.CopyFrom(bases[int(rng.integers(len(bases)))])
    else:
        network = random_network(int(rng.integers(1 << 20)))
        model, feeds = network.model, network.feeds
        if rng.random() < 0.25:
            _classify(model, rng)
        if rng.random() < 0.25:
            _look(model, feeds, rng)
    for _ in range(int(rng.integers(1, 4))):
        mutate(model, rng)
    if rng.random() < 0.15:
        return spoil(model.SerializeToString(), rng), feeds
    return model, feeds


def _classify(model: Any, rng: np.random.Generator) -> None:
    """Make a network a classifier, with as many labels as its last blob may have values."""
    copy = type(model.neuralNetwork)()
    copy.CopyFrom(model.neuralNetwork)
    classifier = model.neuralNetworkClassifier
    classifier.layers.extend(copy.layers)
    classifier.arrayInputShapeMapping = copy.arrayInputShapeMapping
    count = int(rng.integers(1, 9))
    if rng.random() < 0.5:
        classifier.int64ClassLabels.vector.extend(range(count))
    else:
        classifier.stringClassLabels.vector.extend(map(str, range(count)))
    network = model.neuralNetworkClassifier.layers
    last = network[-1].output[0] if network and network[-1].output else "x0"
    add = classifier.layers.add
    for kind, source, target in (("flattenTo2D", last, "flat"), ("sliceStatic", "flat", "cut")):
        layer = add(name=kind, input=[source], output=[target])
        getattr(layer, kind).SetInParent()
    cut = classifier.layers[-1].sliceStatic
    cut.beginIds.extend([0, 0])
    cut.endIds.extend([1, count])
    cut.strides.extend([1, 1])
    del model.description.output[:]
    model.description.output.add(name="label").type.stringType.SetInParent()
    model.description.output.add(name="scores").type.dictionaryType.stringKeyType.SetInParent()
    model.description.predictedFeatureName = "label"
    model.description.predictedProbabilitiesName = "scores"


def _look(model: Any, feeds: dict[str, Any], rng: np.random.Generator) -> None:
    """Let a network see a picture, scaled, in place of its first input."""
    network = getattr(model, model.WhichOneof("Type"))
    name = model.description.input[0].name
    shape = np.shape(feeds[name])
    image = model.description.input[0].type.imageType
    image.width, image.height = (shape[-1], shape[-2]) if len(shape) > 1 else (3, 4)
    image.colorSpace = int(rng.choice([image.RGB, image.BGR, image.GRAYSCALE]))
    network.imageInputShapeMapping = int(rng.integers(2))
    step = network.preprocessing.add(featureName=name)
    if rng.random() < 0.7:
        step.scaler.channelScale = 1 / 255
        step.scaler.redBias = -0.5
    else:
        step.meanImage.meanImage.extend([0.5] * (3 * image.width * image.height))
    del feeds[name]


def mutate(model: Any, rng: np.random.Generator) -> None:
    """Change one random field of one random message, rather of a layer."""
    network = getattr(model, model.WhichOneof("Type"), None) if model.WhichOneof("Type") else None
    layers = list(getattr(network, "layers", ()))
    if layers and rng.random() < 0.3:
        _rewire(network.layers, rng)
        return
    if layers and rng.random() < 0.85:
        layer = layers[int(rng.integers(len(layers)))]
        own = layer.WhichOneof("layer")
        root = getattr(layer, own) if own and rng.random() < 0.75 else layer
    else:
        root = model
    messages = list(_messages(root))
    message = messages[int(rng.integers(len(messages)))]
    fields = message.DESCRIPTOR.fields
    if not fields:
        return
    present = [field for field, _ in message.ListFields()]
    chosen = present if present and rng.random() < 0.6 else fields
    _change(message, chosen[int(rng.integers(len(chosen)))], rng)


def _rewire(layers: Any, rng: np.random.Generator) -> None:
    """Let a layer read or write another blob, be of another type, come twice or at another place."""
    layer, other = (layers[int(rng.integers(len(layers)))] for _ in range(2))
    names = [name for each in layers for name in (*each.input, *each.output)] or ["x0"]
    way = rng.integers(6)
    if way < 3:
        ends = layer.input if way < 2 else layer.output
        name = names[int(rng.integers(len(names)))]
        if len(ends) and rng.random() < 0.8:
            ends[int(rng.integers(len(ends)))] = name
        else:
            ends.append(name)
    elif way == 3:
        types = [field.name for field in layer.DESCRIPTOR.oneofs_by_name["layer"].fields]
        getattr(layer, types[int(rng.integers(len(types)))]).SetInParent()
    elif way == 4:
        layers.add().CopyFrom(layer)
    else:
        copy = type(layer)()
        copy.CopyFrom(layer)
        layer.CopyFrom(other)
        other.CopyFrom(copy)


def spoil(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes with some of them changed, or with their end missing."""
    if rng.random() < 0.3:
        return data[: int(rng.integers(len(data) + 1))]
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 6))):
        if changed:
            changed[int(rng.integers(len(changed)))] = int(rng.integers(256))
    return bytes(changed)


def _messages(root: Any) -> Iterator[Any]:
    yield root
    for field, value in root.ListFields():
        if field.message_type is None or is_map(field):
            continue
        for item in value[:50] if is_repeated(field) else [value]:
            yield from _messages(item)


def _change(message: Any, field: Any, rng: np.random.Generator) -> None:
    value, way = getattr(message, field.name), rng.integers(6)
    if is_map(field) or way == 0:
        message.ClearField(field.name)
    elif not is_repeated(field):
        if field.message_type is not None:
            value.SetInParent()
        else:
            setattr(message, field.name, _scalar(field, rng))
    elif way == 1 and len(value):
        del value[int(rng.integers(len(value)))]
    elif way == 2 and len(value):
        del value[int(rng.integers(len(value))) :]
    elif field.message_type is not None:
        if len(value) and way > 2:
            value.add().CopyFrom(value[int(rng.integers(len(value) - 1 or 1))])
        else:
            value.add()
    elif way > 3 and len(value):
        other = value[int(rng.integers(len(value)))] if field.enum_type is None and rng.random() < 0.3 else None
        value[int(rng.integers(len(value)))] = _scalar(field, rng) if other is None else other
    else:
        value.extend([_scalar(field, rng) for _ in range(int(rng.integers(1, 4)))])


def _scalar(field: Any, rng: np.random.Generator) -> Any:
    def one(choices: Sequence[Any]) -> Any:
        return choices[int(rng.integers(len(choices)))]

    kind = field.type
    if kind == field.TYPE_BOOL:
        return bool(rng.integers(2))
    if kind == field.TYPE_STRING:
        return one(_TEXTS)
    if kind == field.TYPE_BYTES:
        return rng.bytes(int(rng.integers(40)))
    if kind == field.TYPE_ENUM:
        return one([*field.enum_type.values_by_number, 77, -1])
    if kind in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return one(_FLOATS)
    bits = 32 if kind in (field.TYPE_INT32, field.TYPE_UINT32) else 64
    if kind in (field.TYPE_UINT32, field.TYPE_UINT64):
        return one([n for n in _WHOLE if n < 1 << bits])
    return one([n for n in _SIGNED if -(1 << bits - 1) <= n < 1 << bits - 1])


def feed(model: mle.Model, feeds: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    """Values for a model's inputs: the given ones, and made up ones for others."""
    values: dict[str, Any] = {}
    for feature in model.inputs:
        shape = feature.shape or (1,)
        if any(not 0 < n < 300 for n in shape) or np.prod(shape) > 1e6:
            shape = (2,) * min(len(shape), 5)
        if feature.name in feeds:
            values[feature.name] = feeds[feature.name]
        elif feature.type == "image":
            size = (shape[0], shape[1] if len(shape) > 1 else 1, 3)
            values[feature.name] = Image.fromarray(rng.integers(0, 256, size).astype(np.uint8).swapaxes(0, 1).copy())
        elif feature.type == "double":
            values[feature.name] = float(rng.normal())
        elif feature.type == "int64":
            values[feature.name] = int(rng.integers(-3, 9))
        elif feature.type == "string":
            values[feature.name] = "text"
        elif feature.type == "dictionary":
            values[feature.name] = {"a": 1.0} if feature.dtype == "string" else {1: 2.0}
        elif feature.type == "sequence":
            values[feature.name] = ["a"] if feature.dtype == "string" else [1]
        else:
            values[feature.name] = rng.normal(size=shape)
    return values


def attempt(source: Any, feeds: dict[str, Any], seed: int = 0) -> str:
    """Load and predict: "value", or the class of the MlexplorerError. Raises Failure for all else."""
    rng = np.random.default_rng(seed)
    start = time.monotonic()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = mle.load(source)
            predictor = mle.Predictor(model, half_precision=bool(rng.random() < 0.15))
            timer = threading.Timer(PATIENCE, predictor.cancel)
            timer.start()
            try:
                predictor.predict(feed(model, feeds, rng))
            finally:
                timer.cancel()
                timer.join()
        result = "value"
    except MlexplorerError as error:
        result = type(error).__name__
        if not str(error).strip():
            raise Failure(f"a {result} without a message") from error
    except BaseException as error:
        raise Failure(f"{type(error).__name__}: {error}") from error
    if time.monotonic() - start > PATIENCE + GRACE:
        raise Failure(f"{result} after {time.monotonic() - start:.1f} s")
    return result


def _readable(file: str) -> mle.Model | None:
    try:
        return mle.load(file)
    except MlexplorerError:
        return None


def main(first: int, stop: int, files: Sequence[str]) -> int:
    """Try all seeds; the number of failures."""
    import resource  # not on Windows

    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
    bases = [model.spec for model in map(_readable, files) if model]
    failures, results = 0, dict[str, int]()
    for seed in range(first, stop):
        print(f"seed {seed}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(60, exit=True)
        source, feeds = case(seed, bases)
        try:
            result = attempt(source, feeds, seed)
            results[result] = results.get(result, 0) + 1
        except Failure as failure:
            failures += 1
            cause = failure.__cause__
            frames = traceback.extract_tb(cause.__traceback__) if cause else []
            where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in frames[:-5:-1])
            print(f"case({seed}): {str(failure)[:300]} [{where}]", flush=True)
    faulthandler.cancel_dump_traceback_later()
    print(f"{stop - first} cases, {failures} failures: {results}")
    return failures


if __name__ == "__main__":
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])))
