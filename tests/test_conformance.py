"""coremltools' own tests, with mlexplorer in the place of Apple's framework.

`tests/conformance_report.py` runs the same table and prints the counts, here or in an environment of its own.
"""

from __future__ import annotations

import json
import os
import pkgutil
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from importlib import import_module, util
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("neural_network", "pipeline", "sklearn_tests", "xgboost_tests")

PROGRAM = "an ML Program, which this version does not run"
COMPILER = "needs Apple's compiler"
TIES = "compares the indices of ties with NumPy's unstable sort: passes by luck"
SAMPLES = "compares the moments of two random samples: passes by luck"
RGBA = "Core ML gives RGB images with an opaque alpha channel; mlexplorer.predict gives RGB"
NEWER_SKLEARN = "calls scikit-learn in a way that newer versions refuse"
NEWER_NUMPY = "coremltools' converter makes a number of an array of length 1, which NumPy 2 refuses"
WRONG_MODE = "the test opens a temporary file in a mode that does not exist"
SPECIAL_CHARACTERS = "coremltools' converter fails on XGBoost's own text"
RANDOM_FOREST = "expects a certain error of a random forest against XGBoost, and fails where it is smaller"


@dataclass(frozen=True)
class AppleTests:
    """One module of coremltools.test; `exceptions` are the tests that need not pass, by pattern, with the reason.

    `macos` is the version of macOS that is told: Apple skips its XGBoost tests on those that came after. `long` are
    tests that take long, beside those that coremltools marks as slow.
    """

    module: str
    exceptions: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    macos: str = "15.1"
    long: tuple[str, ...] = ()


def _older(module: str, exceptions: Mapping[str, str] = MappingProxyType({}), **options: Any) -> AppleTests:
    return AppleTests(module, exceptions, macos="10.15", **options)


FROM_FILES = {
    "*XGboost*::test_conversion_from_file": WRONG_MODE,
    "*XGboost*::test_conversion_special_characters_in_feature_names": SPECIAL_CHARACTERS,
}

MODULES = (
    AppleTests("neural_network.test_compiled_model", {"*": COMPILER}),
    AppleTests("neural_network.test_custom_neural_nets"),
    AppleTests("neural_network.test_model", {"*mlprogram*": PROGRAM}),
    AppleTests("neural_network.test_neural_networks"),
    AppleTests("neural_network.test_nn_builder"),
    AppleTests(
        "neural_network.test_numpy_nn_layers",
        {"*::test_topk_?pu": TIES, "*::test_random_bernoulli_*": SAMPLES},
        long=(
            *("conv3d", "pool3d", "slice_static", "pixel_shuffle", "gather_scatter_multiple_axis"),
            *("upsample_pytorch", "elementwise_binary", "reduce_"),
        ),
    ),
    AppleTests("neural_network.test_quantization"),
    AppleTests("neural_network.test_simple_nn_inference"),
    AppleTests("neural_network.test_tf_numeric"),
    AppleTests("pipeline.test_model_updatable"),
    AppleTests(
        "pipeline.test_pipeline",
        {"TestMakePipeline::test_simple?*mlprogram*": PROGRAM, "TestMakePipeline::*multiple_models": PROGRAM}
        | {"TestMakePipeline::test_second_model_needs_pipeline_input": PROGRAM},
    ),
    *(
        AppleTests(f"sklearn_tests.test_{name}")
        for name in (
            *("NuSVC", "NuSVR", "SVC", "SVR", "categorical_imputer", "composite_pipelines", "feature_names"),
            *("imputer", "k_neighbors_classifier", "linear_regression", "nearest_neighbors_builder", "normalizer"),
            *("one_hot_encoder", "random_forest_classifier", "random_forest_classifier_numeric"),
            *("random_forest_regression", "random_forest_regression_numeric", "ridge_regression"),
            *("standard_scalar", "utils"),
        )
    ),
    AppleTests("sklearn_tests.test_dict_vectorizer", {"*::test_int_features_in_pipeline": NEWER_SKLEARN}),
    AppleTests("sklearn_tests.test_glm_classifier", {"*::test_logistic_regression_*": NEWER_SKLEARN}),
    AppleTests("sklearn_tests.test_io_types", {"*::test_image_output_rgb": RGBA}),
    _older("xgboost_tests.test_boosted_trees_classifier", {"*MulticlassClassifierScikit*": NEWER_NUMPY} | FROM_FILES),
    _older("xgboost_tests.test_boosted_trees_classifier_numeric", {"*MultiClass*Scikit*": NEWER_NUMPY}),
    _older("xgboost_tests.test_boosted_trees_regression", {"*Scikit*": NEWER_NUMPY} | FROM_FILES),
    _older(
        "xgboost_tests.test_boosted_trees_regression_numeric",
        {"*Scikit*": NEWER_NUMPY, "*::test_boston_housing_simple_random_forest_regression": RANDOM_FOREST},
    ),
    _older("xgboost_tests.test_decision_tree_classifier"),
    _older("xgboost_tests.test_decision_tree_classifier_numeric"),
    _older("xgboost_tests.test_decision_tree_regression"),
    _older("xgboost_tests.test_decision_tree_regression_numeric"),
)

# Reasons that the tests give themselves for being skipped, and what they mean.
SKIPS = {
    r"TensorFlow 2\.x not found": "TensorFlow is not installed",
    r"[Ss]cikit-?learn|[Ss]klearn": "scikit-learn is not installed",
    r"[Ll]ibsvm": "LIBSVM is not installed",
    r"xgboost": "XGBoost is not installed",
    r"macOS 10\.13-": "only for a macOS before 10.13",
    r"categorical_features": "only for scikit-learn before 0.22",
    r"rdar://": "Apple skips it, naming a fault of its own",
    r"LibSVM.s Python library is broken": "Apple skips it: LIBSVM's Python library is broken there",
    r"^(Skipped: )?Skipped$": "Apple skips it without a reason",
}
NEVER_SKIPPED = "Only supported on macOS"


@dataclass(frozen=True)
class Outcome:
    """What came of one test: "passed", "failed", "error", "skipped", "xfailed" or "xpassed"."""

    module: str
    test: str
    outcome: str
    reason: str
    seconds: float


def run_apple_tests(
    modules: Iterable[AppleTests], selection: str, plugin: Path, folder: Path, *, python: str = sys.executable
) -> list[Outcome]:
    """Run modules of coremltools' tests, in one process for each version of macOS that is told.

    Raises AssertionError where mlexplorer crashed, which is an exception that is none of its own.
    """
    outcomes = []
    groups: dict[str, list[AppleTests]] = defaultdict(list)
    for tests in modules:
        groups[tests.macos].append(tests)
    for macos, group in groups.items():
        outcomes += _run([tests.module for tests in group], macos, selection, plugin, folder, python)
    return outcomes


def _run(modules: Sequence[str], macos: str, selection: str, plugin: Path, folder: Path, python: str) -> list[Outcome]:
    record = folder / "record.json"
    record.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(plugin), str(ROOT)]),
        "MLEXPLORER_CONFORMANCE": str(record),
        "MLEXPLORER_MACOS": macos,
        "MLEXPLORER_SKLEARN": "1.5.1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    command = [
        *(python, "-m", "pytest", "-p", "tests.conformance_record", "-p", "coreml_conformance"),
        *("-p", "no:cacheprovider", "-W", "ignore", "-q", "--tb=short", "--no-header", "-o", "addopts="),
        *("--rootdir", str(folder), "-k", selection),
        *("--pyargs", *(f"coremltools.test.{module}" for module in modules)),
    ]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=7200)
    output = result.stdout + result.stderr
    assert record.is_file(), output[-5000:]
    content = json.loads(record.read_text(encoding="utf-8"))
    assert content["crashes"] == {}, output[-5000:]
    return [
        Outcome(test["module"].removeprefix("coremltools.test."), test["test"], *map(test.get, FIELDS))
        for test in content["tests"]
    ]


FIELDS = ("outcome", "reason", "seconds")


def excuse(tests: AppleTests, outcome: Outcome) -> str | None:
    """Why a test need not pass; None where it must, or did."""
    if outcome.outcome == "xfailed":
        return f"Apple marks it as failing: {outcome.reason}"
    if outcome.outcome == "skipped":
        if NEVER_SKIPPED in outcome.reason and "10.13-" not in outcome.reason:
            return None
        return next((meaning for said, meaning in SKIPS.items() if re.search(said, outcome.reason)), None)
    return next((reason for test, reason in tests.exceptions.items() if fnmatchcase(outcome.test, test)), None)


def unexcused(modules: Iterable[AppleTests], outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The tests that neither passed nor have an excuse."""
    by_module = {tests.module: tests for tests in modules}
    return [
        outcome
        for outcome in outcomes
        if outcome.outcome not in ("passed", "xpassed") and excuse(by_module[outcome.module], outcome) is None
    ]


LONG = " or ".join(["slow", "gpu", *(name for tests in MODULES for name in tests.long)])


@pytest.fixture(scope="module")
def quick_outcomes(conformance: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    for package in ("coremltools", "torch", "requests", "pandas"):
        if util.find_spec(package) is None:
            pytest.skip(f"coremltools' tests import {package}")
    return run_apple_tests(MODULES, f"not ({LONG})", conformance, tmp_path_factory.mktemp("quick"))


@pytest.mark.parametrize("tests", MODULES, ids=lambda tests: tests.module)
def test_coremltools_quick_tests_pass(tests: AppleTests, quick_outcomes: list[Outcome]) -> None:
    outcomes = [outcome for outcome in quick_outcomes if outcome.module == tests.module]
    assert outcomes, "no test was collected"
    assert unexcused([tests], outcomes) == []


@pytest.mark.slow
@pytest.mark.parametrize("tests", MODULES, ids=lambda tests: tests.module)
def test_coremltools_long_tests_pass(tests: AppleTests, conformance: Path, tmp_path: Path) -> None:
    assert unexcused([tests], run_apple_tests([tests], LONG, conformance, tmp_path)) == []


def test_enough_tests_pass(quick_outcomes: list[Outcome]) -> None:
    passed = defaultdict(int)
    for outcome in quick_outcomes:
        passed[outcome.module.partition(".")[0]] += outcome.outcome == "passed"
    assert passed["neural_network"] >= 150, passed
    assert passed["pipeline"] >= 18, passed


def test_no_module_of_coremltools_tests_is_forgotten() -> None:
    pytest.importorskip("coremltools")
    found = []
    for package in PACKAGES:
        path = import_module(f"coremltools.test.{package}").__path__
        found += [
            f"{package}.{module.name}" for module in pkgutil.iter_modules(path) if module.name.startswith("test_")
        ]
    assert sorted(found) == sorted(tests.module for tests in MODULES)


@pytest.mark.parametrize(
    ("outcome", "reason", "excused"),
    [
        ("failed", "AssertionError", False),
        ("error", "NameError", False),
        ("xfailed", "rdar://1", True),
        ("skipped", "Skipped: TensorFlow 2.x not found.", True),
        ("skipped", "Skipped: Only supported on macOS 10.13+", False),
        ("skipped", "Skipped: Only supported on macOS 10.13-", True),
    ],
)
def test_only_known_excuses_count(outcome: str, reason: str, excused: bool) -> None:
    tests = AppleTests("a", {"Test::test_ties*": TIES})
    assert (unexcused([tests], [Outcome("a", "Test::test_other", outcome, reason, 0)]) == []) == excused
    assert unexcused([tests], [Outcome("a", "Test::test_ties_cpu", "failed", "", 0)]) == []
