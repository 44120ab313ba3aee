"""Pipelines: models one after the other, each taking what it needs by name from all that came before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from mlexplorer.errors import Cancelled, InputError, MlexplorerError, ModelError
from mlexplorer.model import Model
from mlexplorer.runtime.features import read_inputs, write_outputs
from mlexplorer.runtime.model_type import Runner, Settings, Values, make_runner, runs

_STAGE = "pipeline[{}]"


@runs("pipeline", "pipelineClassifier", "pipelineRegressor")
class PipelineRunner:
    """Runs the stages of a Pipeline, PipelineClassifier or PipelineRegressor.

    A stage's outputs replace earlier values of the same name, whatever their type was.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self._stages = _stages(model)
        self._runners: list[Runner] = []
        for index, stage in enumerate(self._stages):
            with _Named(model, index, stage):
                self._runners.append(make_runner(stage, settings))
        self._model = model
        self._cancelled = threading.Event()

    def run(self, values: Values) -> Values:
        """The values of the pipeline's outputs."""
        pool, _ = self._run(values, {})
        return pool

    def intermediates(self, values: Values, names: Sequence[str]) -> Values:
        """Values by name: what a stage gives, the last one of that name; "pipeline[0]/name" for one within a stage."""
        inner: dict[int, list[str]] = {}
        for name in names:
            for index in range(len(self._stages)):
                prefix = _STAGE.format(index) + "/"
                if name.startswith(prefix):
                    inner.setdefault(index, []).append(name.removeprefix(prefix))
        pool, found = self._run(values, inner)
        pool = {**pool, **found}
        unknown = [name for name in names if name not in pool]
        if unknown:
            raise InputError(
                f"the pipeline has no value {', '.join(map(repr, unknown))}; it has {', '.join(map(repr, pool))}, and "
                f"those within its stages as 'pipeline[0]/name'"
            )
        return {name: pool[name] for name in names}

    def rebind(self, model: Model) -> PipelineRunner:
        """A runner for a copy of the model whose weights differ."""
        other = object.__new__(PipelineRunner)
        other._model, other._stages = model, _stages(model)
        other._runners = [runner.rebind(stage) for runner, stage in zip(self._runners, other._stages, strict=True)]
        other._cancelled = threading.Event()
        return other

    def cancel(self) -> None:
        """Stop the run that is under way."""
        self._cancelled.set()
        for runner in self._runners:
            runner.cancel()

    def _run(self, values: Values, inner: dict[int, list[str]]) -> tuple[Values, Values]:
        self._cancelled.clear()
        pool, found = dict(values), {}
        for index, (stage, runner) in enumerate(zip(self._stages, self._runners, strict=True)):
            if self._cancelled.is_set():
                raise Cancelled("the run was cancelled")
            with _Named(self._model, index, stage):
                names = [feature.name for feature in stage.inputs]
                taken = read_inputs(stage, {name: pool[name] for name in names if name in pool})
                taken.update({name: pool[name] for name in _thresholds(stage) if name in pool})
                for name, value in runner.intermediates(taken, inner[index]).items() if index in inner else ():
                    found[f"{_STAGE.format(index)}/{name}"] = value
                pool.update(write_outputs(stage, runner.run(taken)))
        return pool, found


class _Named:
    """Says in an error which stage it comes from."""

    def __init__(self, model: Model, index: int, stage: Model) -> None:
        names = _message(model).names
        title = f" {names[index]!r}" if index < len(names) else ""
        self._place = f"{_STAGE.format(index)}{title} ({stage.kind})"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, MlexplorerError) and not isinstance(error, Cancelled):
            raise type(error)(f"{self._place}: {error}") from error


def _message(model: Model) -> Any:
    message = getattr(model.spec, model.kind)
    return message if model.kind == "pipeline" else message.pipeline


def _thresholds(stage: Model) -> set[str]:
    """The numbers that a detector's last stage takes; converters often do not state them among its inputs."""
    message = stage.spec.nonMaximumSuppression
    return {message.iouThresholdInputFeatureName, message.confidenceThresholdInputFeatureName}


def _stages(model: Model) -> list[Model]:
    stages = [Model(spec, blobs=model.blobs) for spec in _message(model).models]
    if not stages:
        raise ModelError("the pipeline has no models")
    return stages
