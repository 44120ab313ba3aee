"""Every scheme at every bit depth, for the whole model or for one layer at a time: size and quality, measured."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mlexplorer.calibration import calibrate
from mlexplorer.comparison import Rate
from mlexplorer.feeds import inputs_of
from mlexplorer.formats import load
from mlexplorer.frames import data_frame
from mlexplorer.graph import Node, Weight
from mlexplorer.measurement import Measurement, Reference
from mlexplorer.model import Model
from mlexplorer.progress import Progress, check, reporting
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.plan import LayerSizes, Plan, Select
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.quantization.selection import groups
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.runtime.variations import Variations

BITS = tuple(range(1, 9))
SCHEMES: tuple[type[Scheme], ...] = (Linear, LookupTable)


@dataclass(frozen=True)
class Row:
    """One quantized copy of a model: which scheme, in the layer `layer` alone or, where that is "", in all of them.

    `nbytes` is the size of the file; `error`, `quality` (in dB, of the kind `metric`) and `agreement` are those of
    `Measurement`.
    """

    layer: str
    scheme: Scheme
    nbytes: int
    error: float
    quality: float
    metric: str
    agreement: Rate | None

    @property
    def bits(self) -> int:
        """Bits per weight."""
        return self.scheme.bits

    @property
    def measurement(self) -> Measurement:
        """What was measured."""
        return Measurement(self.error, self.quality if self.metric == "PSNR" else None, self.agreement)


@dataclass(frozen=True)
class Sweep:
    """The rows of a sweep, whole models first, and the bytes of the file of the original."""

    rows: tuple[Row, ...]
    original_nbytes: int

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def models(self) -> tuple[Row, ...]:
        """The rows of whole models."""
        return tuple(row for row in self.rows if not row.layer)

    @property
    def layers(self) -> tuple[Row, ...]:
        """The rows of single layers: how much each suffers at each bit depth."""
        return tuple(row for row in self.rows if row.layer)

    def to_pandas(self) -> Any:
        """The rows as a pandas DataFrame; raises MissingDependencyError where pandas is not installed."""
        return data_frame(
            {
                "layer": row.layer,
                "scheme": row.scheme.label,
                "bits": row.bits,
                "nbytes": row.nbytes,
                "error": row.error,
                row.metric: row.quality,
                "agreement": row.agreement,
            }
            for row in self.rows
        )

    def __repr__(self) -> str:
        lines = [f"Sweep of {len(self.models)} models and {len(self.layers)} single layers"]
        lines.append(f"  {'original':28} {self.original_nbytes / 1e6:9.3f} MB")
        for row in self.models:
            agreement = "" if row.agreement is None else f"  agreement {row.agreement:6.1%}"
            lines.append(
                f"  {row.scheme.label:28} {row.nbytes / 1e6:9.3f} MB  {row.metric} {row.quality:6.1f} dB{agreement}"
            )
        return "\n".join(lines)


def sweep(
    model: Model,
    images: Any,
    *,
    schemes: Sequence[type[Scheme]] = SCHEMES,
    bits: Sequence[int] = BITS,
    layers: bool | Sequence[int] = False,
    select: Select | None = None,
    calibration: Any = None,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    cache: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    progress: Progress | bool = True,
    cancelled: threading.Event | None = None,
) -> Sweep:
    """Measure a model in every scheme at every bit depth against itself as it is.

    `images` are pictures, a folder of them, or inputs by name, as in `quantize(calibration=...)`; "noise" where there
    are none. With `layers`, each layer is quantized alone, too, at each depth, or at those that `layers` says: the
    network is run from there on, as all that comes before stays. `select` says which weights are quantized;
    `calibration` rounds them with error feedback. Rows that are in the folder `cache`, from an earlier call with the
    same model, inputs and schemes, are read instead of measured: a sweep that was cancelled goes on.

    The work goes through joblib: `jobs` processes of this machine, or what `joblib.parallel_config` has registered, a
    Dask cluster say. Raises InputError where the inputs do not fit, UnsupportedError and CustomLayerError where a layer
    cannot run, QuantizationError where a weight cannot be quantized, and Cancelled once `cancelled` is set.
    """
    job = Job(
        model.spec.SerializeToString(),
        tuple(inputs_of(model, images)),
        None if calibration is None else inputs_of(model, calibration),
        dict(custom_layers or {}),
    )
    alone = (bits if layers else ()) if isinstance(layers, bool) else layers
    plans = list(_plans(model, schemes, bits, alone, select))
    known = _Cache(cache, job)
    found = {key: row for key, _ in plans if (row := known.read(key)) is not None}
    missing = [(key, plan) for key, plan in plans if key not in found]
    with reporting(progress) as report:
        for key, row in _measured(job, missing, jobs, cancelled):
            known.write(key, row)
            found[key] = row
            report(f"{key.layer or 'model'} {key.scheme.label}", len(found), len(plans))
    return Sweep(tuple(found[key] for key, _ in plans), model.size)


@dataclass(frozen=True)
class Key:
    """Which row: the layer alone, or "" for the whole model, in a scheme."""

    layer: str
    scheme: Scheme


@dataclass(frozen=True, eq=False)
class Job:
    """A model and its inputs, as they travel to other processes."""

    spec: bytes = field(repr=False)
    inputs: tuple[dict[str, Any], ...] = field(repr=False)
    calibration: Sequence[dict[str, Any]] | None = field(repr=False)
    custom_layers: Mapping[str, CustomLayerClass] = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """What tells it from other jobs: the content of model and inputs, and the names of the classes."""
        digest = hashlib.blake2b(self.spec, digest_size=16)
        for given in (*self.inputs, "calibration", *(self.calibration or ("none",))):
            digest.update(_content(given))
        digest.update(repr(sorted((n, getattr(c, "__qualname__", "")) for n, c in self.custom_layers.items())).encode())
        return digest.hexdigest()

    def __sizeof__(self) -> int:
        return len(self.spec)  # so that Dask sends it to each worker once, not with every task


def _plans(
    model: Model,
    schemes: Sequence[type[Scheme]],
    bits: Sequence[int],
    alone: Sequence[int],
    select: Select | None,
) -> Iterator[tuple[Key, Plan]]:
    for scheme in schemes:
        for depth in bits:
            yield Key("", scheme(bits=depth)), Plan.uniform(model, scheme(bits=depth), select)
    if alone:
        for node, weights in quantized_layers(model, select).items():
            for scheme in schemes:
                for depth in alone:
                    chosen = scheme(bits=depth)
                    yield Key(node, chosen), Plan({weight.key: chosen for weight in weights})


def quantized_layers(model: Model, select: Select | None) -> dict[str, list[Weight]]:
    """The layers that are quantized, by id in the model's order, with those of their weights that are."""
    keys = Plan.uniform(model, LookupTable(bits=8), select).schemes
    layers: dict[str, list[Weight]] = {}
    for weight in model.graph.weights:
        if weight.key in keys:
            layers.setdefault(weight.node, []).append(weight)
    return layers


def _measured(
    job: Job, plans: Sequence[tuple[Key, Plan]], jobs: int | None, cancelled: threading.Event | None
) -> Iterator[tuple[Key, Row]]:
    import joblib  # takes a quarter of the explorer's imports, and the first picture needs none of it

    check(cancelled)
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered", batch_size=1)
    results = parallel(joblib.delayed(_measure)(job, key, plan) for key, plan in plans)
    try:
        for result in results:
            yield result
            check(cancelled)
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that tasks are under way, which is why it is closed
            results.close()
        with _LOCK:
            _PREPARED.pop(job.digest, None)


def _measure(job: Job, key: Key, plan: Plan) -> tuple[Key, Row]:
    """One row; runs in any process."""
    nbytes, found = _prepared(job).measured(key, plan)
    return key, Row(key.layer, key.scheme, nbytes, found.error, found.quality, found.metric, found.agreement)


class _Prepared:
    """The model of a job, its outputs, and what single layers are run from, made when it is needed."""

    def __init__(self, job: Job) -> None:
        self._job, self._model = job, load(job.spec)
        self._reference = Reference(self._model, Predictor(self._model, job.custom_layers), job.inputs)
        self._lock = threading.Lock()

    def measured(self, key: Key, plan: Plan) -> tuple[int, Measurement]:
        """The bytes of the file that a plan makes, and its distance."""
        if self._job.calibration is None and key.layer and Variations.covers(self._model, self._node(key)):
            with self._lock:
                return self._sizes.with_layer(self._node(key), plan), self._alone(self._node(key), plan)
        if self._job.calibration is None:
            quantized = plan.apply(self._model)
        else:
            quantized = calibrate(self._model, plan, self._job.calibration, custom_layers=self._job.custom_layers)
        return quantized.size, self._reference.measure(quantized)

    def _alone(self, node: Node, plan: Plan) -> Measurement:
        arrays = {}
        for weight in node.weights:
            if weight.key in plan.schemes:
                scheme, axis = plan.schemes[weight.key], weight.channel_axis
                encoded = scheme.encode(weight.array(), axis, groups=groups(node, weight), name=weight.key)
                arrays[weight.key] = encoded.decode(weight.shape, axis, name=weight.key)
        return self._reference.distance(self._variations.outputs(node, arrays), self._variations.original)

    def _node(self, key: Key) -> Node:
        return self._model.graph.node(key.layer)

    @cached_property
    def _sizes(self) -> LayerSizes:
        return LayerSizes(self._model)

    @cached_property
    def _variations(self) -> Variations:
        layers = quantized_layers(self._model, None)
        return Variations(self._model, self._job.inputs, self._reference.names, layers, self._job.custom_layers)


_PREPARED: dict[str, _Prepared] = {}
_LOCK = threading.Lock()


def _prepared(job: Job) -> _Prepared:
    """What a job needs, made once in each process; what the job before needed is forgotten."""
    with _LOCK:
        if job.digest not in _PREPARED:
            _PREPARED.clear()
            _PREPARED[job.digest] = _Prepared(job)
        return _PREPARED[job.digest]


class _Cache:
    """Rows in a folder, one file for each; or nothing, without a folder."""

    def __init__(self, folder: str | os.PathLike[str] | None, job: Job) -> None:
        self._folder = None if folder is None else Path(folder) / job.digest
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)

    def read(self, key: Key) -> Row | None:
        """The row, None where it is not there or cannot be read."""
        try:
            data = json.loads(self._path(key).read_text(encoding="utf-8"))
            counts = data.pop("agreement")
            return Row(key.layer, key.scheme, **data, agreement=None if counts is None else Rate(*counts))
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def write(self, key: Key, row: Row) -> None:
        """Keep a row."""
        if self._folder is None:
            return
        path = self._path(key)
        values = {name: getattr(row, name) for name in ("nbytes", "error", "quality", "metric")}
        values["agreement"] = row.agreement and (row.agreement.count, row.agreement.total)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps(values), encoding="utf-8")
        partial.replace(path)

    def _path(self, key: Key) -> Path:
        if self._folder is None:
            return Path(os.devnull)
        name = hashlib.blake2b(f"{key.layer}\n{json.dumps(key.scheme.to_json())}".encode(), digest_size=16).hexdigest()
        return self._folder / f"{name}.json"


def _content(value: Any) -> bytes:
    """Bytes that are equal for equal inputs."""
    if isinstance(value, Mapping):
        return b"".join(str(name).encode() + b"\0" + _content(item) for name, item in sorted(value.items()))
    if isinstance(value, np.ndarray | Image.Image):
        array = np.ascontiguousarray(value)
        return f"{array.shape}{array.dtype}".encode() + array.tobytes()
    if isinstance(value, Iterable) and not isinstance(value, str):
        return b"".join(map(_content, value))
    return repr(value).encode()
