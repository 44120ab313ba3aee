"""What runs a model of one type; the families in `models` fill the registry."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from mlexplorer.errors import InputError, UnsupportedError
from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass, CustomModelClass

Values = dict[str, Any]
"""Feature values by name: arrays, PIL images, float, int, str, dicts and lists."""


@dataclass(frozen=True)
class Settings:
    """How a model is run: the user's classes by class name, and whether values are rounded to 16 bits."""

    custom_layers: Mapping[str, CustomLayerClass] = field(default_factory=dict)
    custom_models: Mapping[str, CustomModelClass] = field(default_factory=dict)
    half_precision: bool = False


class Runner(Protocol):
    """A model made ready to run many times on values that fit its inputs (see `features.read_inputs`)."""

    def run(self, values: Values) -> Values:
        """The values of the model's outputs."""

    def intermediates(self, values: Values, names: Sequence[str]) -> Values:
        """The values with these names, wherever in the model they arise; raises InputError for unknown names."""

    def rebind(self, model: Model) -> Runner:
        """A runner for a copy of the model whose weights differ."""

    def cancel(self) -> None:
        """Stop the run that is under way, from another thread; it raises Cancelled."""


RUNNERS: dict[str, Callable[[Model, Settings], Runner]] = {}
"""Model type, as the format names it, to what makes a runner for such a model."""

_Factory = Callable[[Model, Settings], Runner]
_Evaluate = Callable[[Values], Values]
_Function = Callable[[Model], _Evaluate]


def runs(*kinds: str) -> Callable[[Any], Any]:
    """Register a class or function (model, settings) -> Runner for these model types."""

    def register(factory: Any) -> Any:
        RUNNERS.update(dict.fromkeys(kinds, factory))
        return factory

    return register


def evaluates(*kinds: str) -> Callable[[_Function], _Function]:
    """Register a function of the model that returns the function from input values to output values.

    The outer function reads the specification and raises ModelError where it contradicts itself; the inner one is quick
    and may raise InputError. Numbers in the answer need not have the declared types yet (see `features.write_outputs`).
    """

    def register(function: _Function) -> _Function:
        def factory(model: Model, settings: Settings) -> Runner:
            return FunctionRunner(_READ.get(function), model)

        RUNNERS.update(dict.fromkeys(kinds, factory))
        return function

    return register


def make_runner(model: Model, settings: Settings) -> Runner:
    """What runs this model; raises UnsupportedError where nothing can, and ModelError, CustomLayerError."""
    factory = RUNNERS.get(model.kind)
    if factory is None:
        raise UnsupportedError(
            f"a model of type {model.kind} cannot be run; neural networks, pipelines and the classic model types can"
        )
    return factory(model, settings)


class _Read:
    """What was read of the last few specifications: `predict` in a loop does not read a forest for every row."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._evaluations: OrderedDict[tuple[_Function, bytes], _Evaluate] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, function: _Function) -> _Function:
        """The function of a model, which answers from an earlier call with an equal specification where it can."""

        def read(model: Model) -> _Evaluate:
            content = model.spec.SerializeToString(deterministic=True)
            key = function, hashlib.blake2b(content, digest_size=16).digest()
            with self._lock:
                found = self._evaluations.get(key)
            if found is None:
                found = function(model.copy())
            with self._lock:
                self._evaluations[key] = found
                self._evaluations.move_to_end(key)
                while len(self._evaluations) > self._most:
                    self._evaluations.popitem(last=False)
            return found

        return read


_READ = _Read(8)


class FunctionRunner:
    """Runs a model that is one function; it is done before anybody could cancel it."""

    def __init__(self, function: _Function, model: Model) -> None:
        self._function = function
        self._evaluate = function(model)

    def run(self, values: Values) -> Values:
        """The values of the model's outputs."""
        return self._evaluate(values)

    def intermediates(self, values: Values, names: Sequence[str]) -> Values:
        """Inputs and outputs by name; raises InputError for unknown names."""
        results = {**values, **self._evaluate(values)}
        unknown = [name for name in names if name not in results]
        if unknown:
            raise InputError(
                f"the model has no value {', '.join(map(repr, unknown))}; it has {', '.join(map(repr, results))}"
            )
        return {name: results[name] for name in names}

    def rebind(self, model: Model) -> Runner:
        """A runner for a copy of the model."""
        return FunctionRunner(self._function, model)

    def cancel(self) -> None:
        """Nothing to stop."""
