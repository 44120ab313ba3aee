"""coremltools predicts on every system, with mlexplorer in the place of Apple's framework."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

from PIL.Image import Image

from mlexplorer.errors import MissingDependencyError, MlexplorerError, UnsupportedError
from mlexplorer.formats import load
from mlexplorer.runtime.prediction import Predictor

_MACOS = (26, 0)
"""What coremltools is told: the system that coremltools 9 was made for, so that nothing is refused for its age."""
_NATIVE = "coremltools.libcoremlpython"
_ABSENT = object()


def connect_coremltools() -> Connection:
    """Let coremltools predict with mlexplorer, on every system, until `disconnect_coremltools` is called.

    From then on `coremltools.models.MLModel.predict` works for what `mlexplorer.predict` runs, on a dictionary and on a
    list of them, and with it everything in coremltools that predicts: `compare_models`, `quantize_weights` with
    `sample_data`, `evaluate_regressor`, `evaluate_classifier`, `evaluate_transformer`. A model made before is served
    too, unless Apple's framework serves it already, and so is one made with `skip_model_load`. Custom layers and models
    are those registered with `custom_layer` and `custom_model`. Whatever `compute_units` and `optimization_hints` say,
    the computation is done on the CPU with float32. Pictures in colour come back with an opaque alpha channel
    ("RGBA"), as Apple's framework gives them.

    A model that cannot be run can still be made, and its `predict` raises what `mlexplorer.predict` would. What only
    Apple's framework knows raises UnsupportedError by name: compiling, compute plans and devices, states.

    coremltools is imported if it was not. Connecting twice is harmless. The answer can be used in a `with` statement,
    whose end undoes what this call did; a model made while connected keeps mlexplorer as its engine.

    Raises MissingDependencyError where coremltools is not installed, UnsupportedError where its version is built
    differently.
    """
    if _link.replaced:
        return Connection(undo=False)
    model_module = _import_coremltools()
    model_class = getattr(model_module, "MLModel", None)
    if "_MLModelProxy" not in vars(model_module) or model_class is None:
        version = getattr(sys.modules["coremltools"], "__version__", "of an unknown version")
        raise UnsupportedError(
            f"coremltools {version} calls Apple's framework in a way that is not known here; install coremltools 9"
        )
    _link.connect(model_class)
    return Connection(undo=True)


def disconnect_coremltools() -> None:
    """Undo `connect_coremltools`: coremltools is what it was before; harmless where it is not connected."""
    _link.disconnect()


class Connection:
    """The answer of `connect_coremltools`; the end of a `with` block undoes that call, if it was not a repeated one."""

    def __init__(self, *, undo: bool) -> None:
        self._undo = undo

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._undo:
            disconnect_coremltools()


def _refusal(what: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what}: only Apple's framework on macOS can do this; coremltools is connected to mlexplorer, which predicts "
        f"(see mlexplorer.connect_coremltools)"
    )


def _refuses(what: str) -> Callable[..., Any]:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise _refusal(what)

    return staticmethod(refuse)


def _as_apple(outputs: dict[str, Any]) -> dict[str, Any]:
    """Core ML's pictures in colour have an opaque alpha channel."""
    return {name: value.convert("RGBA") if _is_rgb(value) else value for name, value in outputs.items()}


def _is_rgb(value: Any) -> bool:
    return isinstance(value, Image) and value.mode == "RGB"


class EngineProxy:
    """Stands in for `_MLModelProxy` of coremltools' native module: one model, made ready at its first prediction.

    `source` is a path, or an MLModel that has no engine. Nothing is raised for a model that cannot be loaded before it
    is to predict, as coremltools makes MLModel objects for many other ends.
    """

    def __init__(
        self,
        source: Any,
        compute_units: str = "ALL",
        function_name: str | None = None,
        hints: Mapping[str, str] | None = None,
        asset: Any = None,
    ) -> None:
        if asset is not None or (isinstance(source, str) and source.rstrip("/\\").endswith(".mlmodelc")):
            raise _refusal("loading a compiled model (.mlmodelc)")
        self._function = function_name or ""
        self._predictor: Predictor | None = None
        self._error: MlexplorerError | None = None
        self._last_duration: int | None = None
        start = time.perf_counter_ns()
        try:
            # coremltools deletes a temporary file after this.
            self._model = load(source)
        except MlexplorerError as error:
            self._error = error
        self._load_duration = time.perf_counter_ns() - start

    @staticmethod
    def maximum_supported_specification_version() -> int:
        """No limit of ours: what is too new in a model is refused by its name."""
        return 2**31 - 1

    def predict(self, inputs: dict[str, Any], state: Any = None) -> dict[str, Any]:
        """The outputs by name; raises what `mlexplorer.predict` raises."""
        if state is not None:
            raise _refusal("predict with a state")
        return self._timed(inputs)  # type: ignore[no-any-return]

    def batchPredict(self, batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The outputs for each dictionary; raises what `mlexplorer.predict` raises."""
        return self._timed(list(batch))  # type: ignore[no-any-return]

    def get_load_duration_in_nano_seconds(self) -> int | None:
        """How long reading the model took."""
        return None if self._error else self._load_duration

    def get_last_predict_duration_in_nano_seconds(self) -> int | None:
        """How long the last prediction took; None before the first."""
        return self._last_duration

    def _timed(self, inputs: Any) -> Any:
        start = time.perf_counter_ns()
        outputs = self._ready().predict(inputs)
        self._last_duration = time.perf_counter_ns() - start
        return [_as_apple(one) for one in outputs] if isinstance(outputs, list) else _as_apple(outputs)

    def _ready(self) -> Predictor:
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._predictor is None:
            predictor = Predictor(self._model)
            if self._function not in ("", "main", self._model.spec.description.defaultFunctionName):
                raise UnsupportedError(
                    f"function_name={self._function!r}: only the default function of a model can be run here"
                )
            self._predictor = predictor
        return self._predictor

    newState = _refuses("make_state")
    get_compiled_model_path = _refuses("get_compiled_model_path")
    compileModel = _refuses("compile_model")
    create_model_asset_from_path = _refuses("MLModelAsset.from_path")
    create_model_asset_from_memory = _refuses("MLModelAsset.from_memory")
    get_model_structure = _refuses("MLModelStructure.load_from_path")
    get_compute_plan = _refuses("MLComputePlan.load_from_path")
    get_available_compute_devices = _refuses("MLModel.get_available_compute_devices")
    get_all_compute_devices = _refuses("MLComputeDevice.get_all_compute_devices")
    auto_set_specification_version = _refuses("save_spec with auto_set_specification_version")


def _is_macos() -> bool:
    return True


def _macos_version() -> tuple[int, ...]:
    return _MACOS


_REPLACEMENTS = {"_MLModelProxy": EngineProxy, "_is_macos": _is_macos, "_macos_version": _macos_version}
"""By the names under which coremltools' modules hold them."""


class _EngineOfModel:
    """`MLModel.__proxy__` while connected: an object's own engine, else one of ours, made when it is asked for."""

    def __init__(self) -> None:
        self._made: WeakKeyDictionary[Any, EngineProxy] = WeakKeyDictionary()

    def __get__(self, model: Any, owner: Any = None) -> Any:
        if model is None:
            return self
        own = vars(model).get("__proxy__")
        if own is not None:
            return own
        if model not in self._made:
            self._made[model] = EngineProxy(model, function_name=model.function_name)
        return self._made[model]

    def __set__(self, model: Any, engine: Any) -> None:
        vars(model)["__proxy__"] = engine


class _Link:
    """What was replaced in coremltools, to be put back."""

    def __init__(self) -> None:
        self.replaced: list[tuple[Any, str, Any]] = []
        self._originals: dict[str, Any] = {}

    def connect(self, model_class: type) -> None:
        homes = {"_MLModelProxy": "coremltools.models.model"}
        for name, replacement in _REPLACEMENTS.items():
            home = homes.get(name, "coremltools.models.utils")
            self._originals[name] = vars(sys.modules[home]).get(name)
            for module in _modules():
                if name in vars(module):
                    self._replace(module, name, replacement)
        self._replace(model_class, "__proxy__", _EngineOfModel())
        if _NATIVE not in sys.modules:
            # For the calls that import the native module when they need it, and for modules imported later.
            native = ModuleType(_NATIVE, "mlexplorer in the place of coremltools' native module.")
            vars(native)["_MLModelProxy"] = EngineProxy
            sys.modules[_NATIVE] = native
            self._replace(sys.modules["coremltools"], _NATIVE.rpartition(".")[2], native)

    def disconnect(self) -> None:
        if not self.replaced:
            return
        for owner, name, before in reversed(self.replaced):
            if before is _ABSENT:
                delattr(owner, name)
            else:
                setattr(owner, name, before)
        self.replaced.clear()
        native = sys.modules.get(_NATIVE)
        if native is not None and vars(native).get("_MLModelProxy") is EngineProxy:
            del sys.modules[_NATIVE]
        for module in _modules():  # imported while connected
            for name, replacement in _REPLACEMENTS.items():
                if vars(module).get(name) is replacement:
                    setattr(module, name, self._originals[name])

    def _replace(self, owner: Any, name: str, value: Any) -> None:
        self.replaced.append((owner, name, vars(owner).get(name, _ABSENT)))
        setattr(owner, name, value)


_link = _Link()


def _modules() -> list[ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, ModuleType) and f"{name}.".startswith("coremltools.")
    ]


def _import_coremltools() -> ModuleType:
    """coremltools.models.model, without its warnings that the native module is missing."""

    def about_the_native_module(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("Failed to load _ML")

    logger = logging.getLogger("coremltools")
    logger.addFilter(about_the_native_module)
    try:
        import_module("coremltools")
        return import_module("coremltools.models.model")
    except Exception as error:  # an old one fails on a new protobuf with a TypeError
        reason = str(error).strip().partition("\n")[0]
        raise MissingDependencyError(
            f"coremltools cannot be imported: {type(error).__name__}: {reason}; install it with: "
            f"pip install --upgrade coremltools"
        ) from error
    finally:
        logger.removeFilter(about_the_native_module)
