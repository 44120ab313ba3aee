"""A pytest plugin for the process that runs coremltools' tests: it records what came of each.

    python -m pytest -p tests.conformance_record -p coreml_conformance --pyargs coremltools.test...

It also lets more of them run. The shared plugin says that this is a Mac in the module that asks first; those that had
asked before are told here. Apple skips its XGBoost tests on a macOS after 10.15, so it can be another version; those
tests give XGBoost an array of names, where it wants a list. coremltools switches its converters off for newer versions
of scikit-learn. LIBSVM's modules lie in a package on PyPI.

Environment: MLEXPLORER_CONFORMANCE names the JSON file to write, {"tests": [...], "crashes": {message: count}};
MLEXPLORER_MACOS is the version of macOS to tell; MLEXPLORER_SKLEARN is what scikit-learn says its version is while
coremltools is imported.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

TESTS: dict[tuple[str, str], dict[str, Any]] = {}


def tell_every_module() -> None:
    from coremltools.models import utils

    if version := os.environ.get("MLEXPLORER_MACOS"):
        utils._macos_version = lambda: tuple(map(int, version.split(".")))
    for name, module in list(sys.modules.items()):
        if name.startswith("coremltools.") and "_macos_version" in vars(module):
            vars(module)["_macos_version"] = utils._macos_version


STATED = os.environ.get("MLEXPLORER_SKLEARN")
if STATED and importlib.util.find_spec("sklearn"):
    import sklearn

    ACTUAL, sklearn.__version__ = sklearn.__version__, STATED


def pytest_configure() -> None:
    if "sklearn" in globals():
        sklearn.__version__ = ACTUAL
    if importlib.util.find_spec("libsvm"):
        name_modules_of_libsvm()
    tell_every_module()
    name_houses_in_a_list()


def name_modules_of_libsvm() -> None:
    """As LIBSVM's own folder names them, and with the version that an older package stated."""
    libsvm = importlib.import_module("libsvm")
    sys.modules.update({name: importlib.import_module(f"libsvm.{name}") for name in ("svm", "svmutil")})
    vars(libsvm).setdefault("__version__", metadata.version("libsvm-official"))


def name_houses_in_a_list() -> None:
    from coremltools.test import utils

    load_boston = utils.load_boston

    def load() -> dict[str, Any]:
        houses = load_boston()
        return houses | {"feature_names": houses["feature_names"].tolist()}

    if os.environ.get("MLEXPLORER_MACOS", "").startswith("10."):
        utils.load_boston = load


def skip_reason(report: Any) -> str:
    return str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Function, call: Any) -> Any:
    report = yield
    outcome, reason = report.outcome, ""
    if hasattr(report, "wasxfail"):
        outcome, reason = "xfailed" if outcome == "skipped" else "xpassed", report.wasxfail
    elif outcome == "failed":
        outcome, reason = "failed" if report.when == "call" else "error", call.excinfo.exconly()
    elif outcome == "skipped":
        reason = skip_reason(report)
    name = f"{item.cls.__name__}::{item.name}" if item.cls else item.name
    known = TESTS.setdefault((item.module.__name__, name), {"outcome": "passed", "reason": "", "seconds": 0.0})
    known["seconds"] += report.duration
    if outcome != "passed" and known["outcome"] == "passed":
        known.update(outcome=outcome, reason=reason)
    return report


def pytest_collectreport(report: Any) -> None:
    """Whole modules that could not be collected, or asked to be skipped."""
    if report.outcome != "passed":
        module = "coremltools" + report.nodeid.removesuffix(".py").replace("/", ".").rpartition("coremltools")[2]
        reason = skip_reason(report) if report.outcome == "skipped" else report.longreprtext.strip().splitlines()[-1]
        outcome = "skipped" if report.outcome == "skipped" else "error"
        TESTS[(module, "collection")] = {"outcome": outcome, "reason": reason, "seconds": 0.0}


def pytest_sessionfinish() -> None:
    tests = [{"module": module, "test": test, **known} for (module, test), known in TESTS.items()]
    record = {"tests": tests, "crashes": dict(getattr(sys.modules.get("coreml_conformance"), "CRASHES", {}))}
    Path(os.environ["MLEXPLORER_CONFORMANCE"]).write_text(json.dumps(record), encoding="utf-8")
