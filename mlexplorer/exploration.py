"""What the explorer shows: every scheme and bit depth of a model on pictures, in the order in which they are of use."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from mlexplorer.calibration import calibrate
from mlexplorer.comparison import Rate, psnr, snr
from mlexplorer.comparison.outputs import class_outputs
from mlexplorer.errors import Cancelled, InputError
from mlexplorer.feeds import inputs_of
from mlexplorer.inputs import Given, Input, Inputs, input_feature, read_inputs
from mlexplorer.model import Model
from mlexplorer.progress import check
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.plan import Plan
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.prediction import Predictor

Key = tuple[str, int]

SCHEMES: Mapping[str, type[Linear] | type[LookupTable]] = {"linear": Linear, "lookup_table": LookupTable}
"""The schemes of a sweep by name, as long as no other ones are asked for."""
WITH_FEEDBACK: Mapping[str, type[Linear] | type[LookupTable]] = {
    "linear_feedback": Linear,
    "lookup_table_feedback": LookupTable,
}
"""The same schemes rounded with error feedback, which takes a run of the network for each layer."""
KINDS: Mapping[str, type[Linear] | type[LookupTable]] = {**SCHEMES, **WITH_FEEDBACK}
"""Both: with error feedback a scheme is the same one, what differs is how the weights are rounded."""
MIXED = "mixed"
"""The name of the one plan that gives each layer bits of its own."""
CHOICES = (*KINDS, MIXED)
"""All that can be chosen beside the original: the values of the trait `scheme`."""
ORIGINAL = "original"
"""The name in `Row.scheme` of the model as it is."""
BITS = (4, 5, 3, 6, 2, 7, 8, 1)
"""Every bit depth, the most telling ones first."""
TOP = 5
"""So many of a classifier's labels are kept."""
AHEAD = 8
"""So many pictures beside the chosen one are run ahead, on the original and the chosen model."""
SHEET = 200
"""So many pictures are classified at every bit depth."""

LayerProgress = Callable[[int, int], None]
"""Called with the number of the layer that is being calibrated, counted from 1, and of how many."""


class Ranked(NamedTuple):
    """A label among the five best of the original or of a quantized classifier: what both say of it.

    Ranks are counted from 1; equal probabilities are ranked in the order of the model's labels.
    """

    label: str | int
    probability: float
    rank: int
    original_probability: float
    original_rank: int


@dataclass(frozen=True)
class Output:
    """What one output of a model gave for a picture.

    `value` is an [H, W, 3] uint8 picture, a tuple of the five best labels of this model and of the original (`Ranked`,
    the best of this model first), a dictionary, an array, a number or a text. `quality` is its PSNR ("PSNR") or its
    signal-to-noise ratio ("SNR") against the original's, in dB; None where nothing can be subtracted.
    """

    name: str
    value: Any = field(repr=False, compare=False)
    metric: str = ""
    quality: float | None = None


@dataclass(frozen=True)
class Row:
    """One model of a sweep: the original or a quantized one.

    `scheme` is one of `CHOICES`, or "original"; `bits` is that of the weights; `nbytes` is the size of the saved file.
    `stage` tells how far the row has come: "size" (nothing has run), "coarse" (on a quarter of the pixels) or "full".
    `image` is the index of the picture. `outputs` are all that the model gave, what tells most first: pictures, a
    classifier's labels, arrays, numbers. `metric` and `quality` are those of the first one, None until the model has
    run. `agreement` is how often a classifier's best label is the original's over the pictures that it has been run on
    so far, this one included; None for other models, and where there is one picture only, which says little.
    """

    scheme: str
    bits: int
    nbytes: int
    stage: str = "size"
    image: int = 0
    metric: str = ""
    quality: float | None = None
    outputs: tuple[Output, ...] = field(default=(), repr=False, compare=False)
    agreement: Rate | None = None

    @property
    def output(self) -> Any:
        """The value of the first output, None until the model has run."""
        return self.outputs[0].value if self.outputs else None

    @property
    def key(self) -> Key:
        """What tells the models of one sweep apart: scheme and bits."""
        return self.scheme, self.bits


@dataclass(frozen=True)
class Step:
    """One run of a sweep: a picture, in a stage ("coarse" or "full"), through the original or a quantized model."""

    image: int
    stage: str
    scheme: str
    bits: int

    @property
    def key(self) -> Key:
        """Scheme and bits."""
        return self.scheme, self.bits

    @property
    def label(self) -> str:
        """The step in words: "4 bit LUT, coarse"."""
        names = {
            ORIGINAL: f"the {self.bits}-bit original",
            "linear": f"{self.bits} bit linear",
            "linear_feedback": f"{self.bits} bit linear + feedback",
            "lookup_table": f"{self.bits} bit LUT",
            "lookup_table_feedback": f"{self.bits} bit LUT + feedback",
            MIXED: "the mixed plan",
        }
        name = names[self.scheme]
        return f"{name}, coarse" if self.stage == "coarse" else name


def rows(
    model: Model,
    images: Inputs,
    *,
    schemes: Sequence[str] = tuple(SCHEMES),
    bits: Sequence[int] = BITS,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    calibration: Any = "noise",
) -> Iterator[Row]:
    """Rows of a model at every bit depth of every scheme, for every picture, in the order in which they are of use.

    First the sizes of all files, then for each picture the original and the depths in the order of `bits`, on a quarter
    of the pixels where the model accepts that, then all of them in full. `schemes` may name those `WITH_FEEDBACK` as
    well, which are calibrated on `calibration` (see `Calibrated`). Raises InputError where the pictures or the model's
    inputs do not fit, UnsupportedError and CustomLayerError where a layer cannot run, after the sizes.
    """
    known = {}
    for row in sizes(model, schemes, bits):
        known[row.key] = row.nbytes
        yield row
    inputs = read_inputs(model, images)[0]
    calibrated = Calibrated(model, calibration, custom_layers)
    runs = Runs(model, inputs, schemes=schemes, bits=bits, calibrated=calibrated, known_sizes=known)
    for image in range(len(runs.inputs)):
        for step in runs.steps(image):
            yield runs.row(step)


def sizes(model: Model, schemes: Sequence[str] = tuple(SCHEMES), bits: Sequence[int] = BITS) -> Iterator[Row]:
    """The exact sizes of the files in bytes, without writing them: the original's first.

    Raises UnsupportedError after the original's where the model's weights cannot be quantized.
    """
    yield Row(ORIGINAL, original_bits(model), model.size)
    for name, depth in _choices(schemes, bits):
        yield Row(name, depth, _size(model, (name, depth)))


def scheme(name: str, bits: int) -> Scheme:
    """The scheme of a sweep by name and bits, with its defaults; raises InputError for an unknown name.

    See `KINDS`.
    """
    if name not in KINDS:
        raise InputError(f"there is no scheme {name!r} to sweep; there are {', '.join(map(repr, KINDS))}")
    return KINDS[name](bits=bits)


def original_bits(model: Model) -> int:
    """The bits per weight of the model as it is: those that most of its weights have; 32 where it has none."""
    counts: dict[int, int] = {}
    for weight in model.graph.weights:
        counts[weight.bits] = counts.get(weight.bits, 0) + weight.count
    return max(counts, key=lambda bits: counts[bits]) if counts else 32


class Calibrated:
    """Copies of a model that are rounded with error feedback, by scheme and bits: made when asked for, and kept.

    Of mixed plans the copy of the latest one is kept.
    `calibration` is "noise", or pictures or inputs as `inputs_of` takes them; `custom_layers` are classes by
    name.
    """

    def __init__(
        self,
        model: Model,
        calibration: Any = "noise",
        custom_layers: Mapping[str, CustomLayerClass] | None = None,
    ) -> None:
        self.original, self.custom_layers = model, custom_layers
        self._calibration = calibration
        self._inputs: list[dict[str, Any]] | None = None
        self._models: dict[Key, Model] = {}
        self._locks = {key: threading.Lock() for key in [*_choices(tuple(WITH_FEEDBACK), BITS), (MIXED, 0)]}
        self._mixed: tuple[Plan, Model] | None = None

    def __contains__(self, key: Key | Plan) -> bool:
        mixed = self._mixed
        return key in self._models if isinstance(key, tuple) else mixed is not None and mixed[0] == key

    def model(self, key: Key, progress: LayerProgress | None = None, cancelled: threading.Event | None = None) -> Model:
        """The copy in a scheme of `WITH_FEEDBACK` at a bit depth; another thread that asks for the same one waits.

        Raises as `calibrate` and `inputs_of` do, and Cancelled once `cancelled` is set.
        """
        with self._one_at_a_time(key, cancelled):
            if key not in self._models:
                plan = Plan.uniform(self.original, scheme(*key))
                self._models[key] = self._calibrate(plan, progress, cancelled)
            return self._models[key]

    def of_plan(
        self, plan: Plan, progress: LayerProgress | None = None, cancelled: threading.Event | None = None
    ) -> Model:
        """The copy that a mixed plan makes; waits and raises as `model` does."""
        with self._one_at_a_time((MIXED, 0), cancelled):
            if self._mixed is None or self._mixed[0] != plan:
                self._mixed = plan, self._calibrate(plan, progress, cancelled)
            return self._mixed[1]

    @contextmanager
    def _one_at_a_time(self, key: Key, cancelled: threading.Event | None) -> Iterator[None]:
        while not self._locks[key].acquire(timeout=0.1):
            check(cancelled)
        try:
            yield
        finally:
            self._locks[key].release()

    def _calibrate(self, plan: Plan, progress: LayerProgress | None, cancelled: threading.Event | None) -> Model:
        if self._inputs is None:
            self._inputs = inputs_of(self.original, self._calibration)
        numbers: dict[str, int] = {}
        for weight in plan.schemes:
            numbers.setdefault(weight.rpartition(":")[0], len(numbers) + 1)

        def report(weight: str, _done: int, _total: int) -> None:
            if progress is not None:
                progress(numbers[weight.rpartition(":")[0]], len(numbers))

        return calibrate(
            self.original, plan, self._inputs, custom_layers=self.custom_layers, progress=report, cancelled=cancelled
        )


class Runs:
    """A model, lowered once, that runs on pictures at every bit depth, step by step.

    `inputs` are what `read_inputs` gave; more may follow, and `more` is how many are expected to. `known_sizes` are the
    bytes of the files by scheme and bits, as far as they are known; what is missing is added when it is needed.
    `calibrated` has the copies with error feedback, and the classes of custom layers. Raises UnsupportedError or
    CustomLayerError, naming every layer that cannot run.
    """

    def __init__(
        self,
        model: Model,
        inputs: Sequence[Given],
        *,
        schemes: Sequence[str] = tuple(SCHEMES),
        bits: Sequence[int] = BITS,
        calibrated: Calibrated | None = None,
        known_sizes: dict[Key, int] | None = None,
    ) -> None:
        self.inputs, self.more = list(inputs), 0
        self._model = model
        self._feature = input_feature(model)
        self._choices = _choices(schemes, bits)
        self._original = (ORIGINAL, original_bits(model))
        self._sizes = {} if known_sizes is None else known_sizes
        self._sizes.setdefault(self._original, model.size)
        self._references: dict[tuple[int, str], dict[str, Any]] = {}
        self._calibrated = calibrated or Calibrated(model)
        self._predictor = self._running = Predictor(model, self._calibrated.custom_layers)
        self._plan, self._mixed_feedback = Plan({}), False
        self._agrees: dict[Key, dict[int, bool]] = {}
        self._quantized: tuple[tuple[Key, Plan, bool], Predictor] | None = None
        self._stopped = threading.Event()
        classes = class_outputs(model)
        names = {feature.name: feature.type for feature in model.outputs}
        self._probabilities = next((name for name in classes if names[name] == "dictionary"), None)
        # the label alone says less than the probabilities
        self._told = {name for name in classes if self._probabilities not in (None, name)}

    @property
    def plan(self) -> Plan:
        """The mixed plan."""
        return self._plan

    def mix(self, plan: Plan, feedback: bool = False) -> None:
        """Run another mixed plan, rounded with error feedback or not; what was counted of the last one is forgotten."""
        if (plan, feedback) != (self._plan, self._mixed_feedback):
            self._agrees = {key: agrees for key, agrees in self._agrees.items() if key[0] != MIXED}
        self._plan, self._mixed_feedback = plan, feedback

    @property
    def input_name(self) -> str:
        """The name of the input that is fed."""
        return self._feature.name

    @property
    def classifies(self) -> bool:
        """Whether the model tells the probabilities of classes."""
        return self._probabilities is not None

    def steps(self, image: int, start: Key | None = None, done: Collection[Step] = ()) -> list[Step]:
        """What is to be run for a picture, coarse first; the depth `start` comes before the others in each stage.

        Steps in `done` are left out, and the coarse ones of depths that are done in full.
        """
        choices = [self._original, *sorted(self._choices, key=lambda choice: choice != start)]
        steps = [Step(image, stage, *choice) for stage in self.inputs[image].stages for choice in choices]
        full = {step.key for step in done if step.image == image and step.stage == "full"}
        return [step for step in steps if step not in done and (step.stage == "full" or step.key not in full)]

    def steps_ahead(self, image: int, start: Key, done: Collection[Step] = ()) -> list[Step]:
        """What is worth running for other pictures once `image` is done: the ones next to it first.

        The original and the depth `start` come first, each on all pictures; a classifier goes on with all other depths,
        as the agreement of two models shows over many pictures only. Depths with error feedback are run where they are
        calibrated already, the mixed plan where it is `start`.
        """
        count = len(self.inputs)
        others = [(image + offset) % count for offset in range(1, count)][: SHEET - 1 if self.classifies else AHEAD]
        calibrated = [key for key in _choices(tuple(WITH_FEEDBACK), BITS) if key in self._calibrated]
        known = [*self._choices, *calibrated]
        if start[0] == MIXED and self.plan.schemes:
            known.append(start)
        first = [self._original, *(choice for choice in known if choice == start)]
        rest = [choice for choice in known if choice != start] if self.classifies else []
        steps = [Step(other, "full", *choice) for choice in [*first, *rest] for other in others]
        return [step for step in steps if step not in done]

    def row(self, step: Step, progress: LayerProgress | None = None, cancelled: threading.Event | None = None) -> Row:
        """Run one step; raises Cancelled after `cancel`.

        A step with error feedback calibrates first where that was not done before, and raises as `Calibrated.model`.
        """
        self._stopped.clear()
        check(cancelled)  # what stopped this step may have come before its beginning
        feed = self.inputs[step.image].stages[step.stage]
        place = step.image, step.stage
        if place not in self._references:
            self._references[place] = self._run(self._predictor, feed)
        given = reference = self._references[place]
        if step.scheme != ORIGINAL:
            given = self._run(self._predictor_of(step, progress, cancelled), feed)
        outputs = tuple(self._output(name, reference[name], value) for name, value in given.items())
        metric, quality = (outputs[0].metric, outputs[0].quality) if outputs else ("", None)
        return Row(
            step.scheme,
            step.bits,
            self._size(step),
            step.stage,
            step.image,
            metric,
            quality,
            outputs,
            self._agreement(step, outputs),
        )

    @property
    def counts(self) -> bool:
        """Whether quality is how often the label stays the same: of a classifier that is run on several pictures."""
        return self.classifies and len(self.inputs) + self.more > 1

    def coarse(self, image: int) -> Input:
        """What is fed for a picture in its first stage: a quarter of its pixels where the model accepts that."""
        return next(iter(self.inputs[image].stages.values()))

    def full(self, image: int) -> Input:
        """What is fed for a picture in its last stage."""
        return self.inputs[image].stages["full"]

    def cancel(self) -> None:
        """Stop the step that is under way, from another thread."""
        self._stopped.set()
        self._running.cancel()

    def _size(self, step: Step) -> int:
        """The bytes of the file: a table and a grid take the same whatever stands in them."""
        if step.scheme == MIXED:
            return self.plan.predicted_size(self._model)
        key = step.scheme.removesuffix("_feedback"), step.bits
        if key not in self._sizes:
            self._sizes[key] = _size(self._model, key)
        return self._sizes[key]

    def _agreement(self, step: Step, outputs: tuple[Output, ...]) -> Rate | None:
        if not self.counts or step.stage != "full":
            return None
        ranked = next(output.value for output in outputs if output.name == self._probabilities)
        key = (MIXED, 0) if step.scheme == MIXED else step.key
        agrees = self._agrees.setdefault(key, {})
        agrees[step.image] = not ranked or ranked[0].original_rank == 1
        return Rate.of(agrees.values())

    def _predictor_of(self, step: Step, progress: LayerProgress | None, cancelled: threading.Event | None) -> Predictor:
        """What runs a quantized copy; the latest one is kept, for the next picture."""
        key = step.key, self.plan, self._mixed_feedback
        if self._quantized is None or self._quantized[0] != key:
            self._quantized = None
            if step.scheme in WITH_FEEDBACK:
                model = self._calibrated.model(step.key, progress, cancelled)
            elif step.scheme == MIXED and self._mixed_feedback:
                model = self._calibrated.of_plan(self.plan, progress, cancelled)
            elif step.scheme == MIXED:
                model = self.plan.apply(self._model, cancelled)
            else:
                model = Plan.uniform(self._model, scheme(*step.key)).apply(self._model, cancelled)
            self._quantized = key, self._predictor.rebind(model)
        return self._quantized[1]

    def _run(self, predictor: Predictor, feed: Input) -> dict[str, Any]:
        """The outputs by name, what tells most first; pictures as RGB arrays."""
        self._running = predictor
        if self._stopped.is_set():
            raise Cancelled("the sweep was cancelled")
        outputs = predictor.predict({self._feature.name: feed})
        told = {name: value for name, value in outputs.items() if name not in self._told} or outputs
        return {name: _as_array(value) for name, value in sorted(told.items(), key=lambda item: _order(item[1]))}

    def _output(self, name: str, reference: Any, value: Any) -> Output:
        metric, quality = _quality(reference, value)
        shown = _ranked(reference, value) if name == self._probabilities else value
        return Output(name, shown, metric, quality)


def _size(model: Model, key: Key) -> int:
    return Plan.uniform(model, scheme(*key)).predicted_size(model)


def _choices(schemes: Sequence[str], bits: Sequence[int]) -> list[Key]:
    return [(name, depth) for depth in bits for name in schemes]


def _order(value: Any) -> int:
    """Pictures before dictionaries before arrays before numbers before texts."""
    kinds = (Image.Image, dict, np.ndarray, int | float)
    return next((order for order, kind in enumerate(kinds) if isinstance(value, kind)), len(kinds))


def _as_array(value: Any) -> Any:
    if not isinstance(value, Image.Image):
        return value
    return np.asarray(value if value.mode == "F" else value.convert("RGB"))


def _quality(reference: Any, output: Any) -> tuple[str, float | None]:
    """The metric's name and value, on what the user sees: pixels 0..255, numbers, or the values of a dictionary.

    There is no value where the shapes differ, and where no number of the reference is finite.
    """
    if isinstance(reference, dict):
        keys = list({**reference, **output})
        reference, output = ([values.get(key, 0.0) for key in keys] for values in (reference, output))
    elif isinstance(reference, np.ndarray):
        if reference.shape != output.shape:
            return "SNR", None
        if reference.dtype == np.uint8:
            return "PSNR", psnr(reference, output)
    elif isinstance(reference, int | float):
        reference, output = [reference], [output]
    else:
        return "", None
    return "SNR", snr(reference, output) if np.isfinite(reference).any() else None


def _ranked(reference: Mapping[Any, float], output: Mapping[Any, float]) -> tuple[Ranked, ...]:
    """The best labels of two classifiers, those of the second one first."""
    before, after = _ranks(reference), _ranks(output)
    best = [label for label in after if min(after[label], before.get(label, TOP + 1)) <= TOP]
    return tuple(
        Ranked(label, output[label], after[label], reference[label], before[label]) for label in best if label in before
    )


def _ranks(probabilities: Mapping[Any, float]) -> dict[Any, int]:
    """The ranks of labels, counted from 1; what is not a number comes last."""

    def sinking(label: Any) -> float:
        return -math.inf if math.isnan(probabilities[label]) else probabilities[label]

    return {label: rank for rank, label in enumerate(sorted(probabilities, key=sinking, reverse=True), 1)}
