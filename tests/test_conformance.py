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

# Tests that do not pass, each with its reason.
KNOWN_FAILURES: dict[str, str] = {}


def run_conformance(module: str, plugin: Path, folder: Path) -> tuple[set[str], set[str], str]:
    """Run one of coremltools' test modules: the tests that passed, those that did not, and the output."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(plugin), str(ROOT)])}
    command = [
        *(sys.executable, "-m", "pytest", "-p", "coreml_conformance", "-p", "no:cacheprovider", "-W", "ignore"),
        *("-q", "-rA", "--tb=no", "--no-header", "-o", "addopts=", "--rootdir", str(folder), "--pyargs", module),
    ]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1200)
    outcomes: dict[str, set[str]] = {"PASSED": set(), "FAILED": set(), "ERROR": set()}
    for outcome, name in re.findall(r"^(PASSED|FAILED|ERROR) \S*?::(\S+)", result.stdout, re.MULTILINE):
        outcomes[outcome].add(name)
    return outcomes["PASSED"], outcomes["FAILED"] | outcomes["ERROR"], result.stdout + result.stderr


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="coremltools' tests import torch")
def test_coremltools_tests_of_neural_network_layers(conformance: Path, tmp_path: Path) -> None:
    passed, failed, output = run_conformance(NETWORK_TESTS, conformance, tmp_path)
    print(f"{len(passed)} of {len(passed | failed)} tests of {NETWORK_TESTS} pass")
    assert "CRASHED" not in output, output[-5000:]
    assert failed == set(KNOWN_FAILURES), output[-5000:]
    assert len(passed) > 200, output[-5000:]
