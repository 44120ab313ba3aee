"""coremltools' own tests, with mlexplorer in the place of Apple's framework."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NETWORK_TESTS = "coremltools.test.neural_network.test_numpy_nn_layers"

# Their random integers have ties, whose order NumPy's unstable sort decides in the reference: they pass by luck.
UNDECIDED = {"NewLayersSimpleTest::test_topk_cpu", "NewLayersSimpleTest::test_topk_gpu"}


def run_conformance(module: str, selection: str, plugin: Path, folder: Path) -> tuple[set[str], set[str], str]:
    """Run one of coremltools' test modules: the tests that passed, those that did not, and the output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), str(ROOT)])}
    command = [
        *(sys.executable, "-m", "pytest", "-p", "coreml_conformance", "-p", "no:cacheprovider", "-W", "ignore"),
        *("-q", "-rA", "--tb=no", "--no-header", "-o", "addopts=", "--rootdir", str(folder), "-k", selection),
        *("--pyargs", module),
    ]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=3600)
    outcomes: dict[str, set[str]] = {"PASSED": set(), "FAILED": set(), "ERROR": set()}
    for outcome, name in re.findall(r"^(PASSED|FAILED|ERROR) \S*?::(\S+)", result.stdout, re.MULTILINE):
        outcomes[outcome].add(name)
    return outcomes["PASSED"], outcomes["FAILED"] | outcomes["ERROR"], result.stdout + result.stderr


def check_network_tests(selection: str, least: int, plugin: Path, folder: Path) -> None:
    """Assert that all decided tests pass, and that there are at least so many."""
    passed, failed, output = run_conformance(NETWORK_TESTS, selection, plugin, folder)
    print(f"{len(passed)} of {len(passed | failed)} tests of {NETWORK_TESTS} pass ({selection!r})")
    assert "CRASHED" not in output, output[-5000:]
    assert failed - UNDECIDED == set(), output[-5000:]
    assert len(passed | UNDECIDED) >= least, output[-5000:]


needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="coremltools' tests import torch")


@needs_torch
def test_coremltools_tests_of_neural_network_layers(conformance: Path, tmp_path: Path) -> None:
    check_network_tests("not slow and not gpu", 120, conformance, tmp_path)


@needs_torch
@pytest.mark.slow
def test_coremltools_tests_of_neural_network_layers_to_the_last(conformance: Path, tmp_path: Path) -> None:
    check_network_tests("slow or gpu", 80, conformance, tmp_path)
