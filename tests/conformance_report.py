"""Run coremltools' own tests with mlexplorer as the engine, and print what came of them as a Markdown table.

    python tests/conformance_report.py [--modules PATTERN ...] [--environment FOLDER]

An environment with versions that all of coremltools' tests accept is made in FOLDER, unless it is there already;
without one, the tests run with this Python. The shared plugin `coreml_conformance.py` lies beside the checkout, in
`../shared/conformance`. Packages come from pip's index; PIP_EXTRA_INDEX_URL may name one with a torch for CPUs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import venv
from collections import Counter
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path
from zipfile import ZipFile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.conftest import SHARED
from tests.test_conformance import MODULES, AppleTests, Outcome, excuse, run_apple_tests

VERSIONS = (
    *("coremltools==9.0", "scikit-learn==1.5.1", "xgboost==1.4.2", "libsvm-official==3.32.0", "numpy==1.26.4"),
    *("tensorflow-cpu==2.19.1", "torch==2.7.0", "pandas==3.0.6", "scipy==1.17.1", "requests", "pytest"),
    *("onnx>=1.20", "onnxruntime>=1.28", "pillow>=10.1", "protobuf>=4.25.8"),
)
SHOWN = ("coremltools", "numpy", "scikit-learn", "xgboost", "libsvm-official", "tensorflow-cpu", "torch", "onnxruntime")

# coremltools' tests read the Boston housing data there, and fetch it from a university's server where it is not.
HOUSES = Path("/tmp/bostonHousingData.txt")
LAST_WITH_HOUSES = "scikit-learn==1.1.3"


def make_environment(folder: Path) -> str:
    """The Python of an environment with VERSIONS; it is made where there is none."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *VERSIONS], check=True)
    if not HOUSES.exists():
        write_houses(python)
    return str(python)


def write_houses(python: Path) -> None:
    """Take the data from the last scikit-learn that had it, and write it as the university's server gives it."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [python, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", LAST_WITH_HOUSES, "-d", folder],
            check=True,
        )
        (wheel,) = Path(folder).iterdir()
        with ZipFile(wheel) as archive:
            rows = archive.read("sklearn/datasets/data/boston_house_prices.csv").decode().splitlines()[2:]
    lines = ["header"] * 22
    for row in rows:
        numbers = row.split(",")
        lines += [" " + " ".join(numbers[:11]), "  " + " ".join(numbers[11:])]
    HOUSES.write_text("\n".join(lines) + "\n", encoding="utf-8")


def installed(python: str) -> str:
    """The versions of what the tests use: "coremltools 9.0, numpy 1.26.4"."""
    code = (
        "import sys; from importlib import metadata\n"
        f"have = {{d.name.lower().replace('_', '-'): d.version for d in metadata.distributions()}}; names = {SHOWN!r}\n"
        "print(', '.join([f'Python {sys.version.split()[0]}', *(f'{n} {have[n]}' for n in names if n in have)]))"
    )
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def row(tests: AppleTests, outcomes: Iterable[Outcome]) -> str:
    """One line of the table: counts, and what did not pass with its reason."""
    outcomes = list(outcomes)
    counts = Counter(outcome.outcome for outcome in outcomes)
    reasons: Counter[str] = Counter()
    for outcome in outcomes:
        if outcome.outcome not in ("passed", "xpassed"):
            said = outcome.reason.strip().splitlines() or [outcome.outcome]
            reasons[excuse(tests, outcome) or f"**{outcome.test}: {said[0][:160]}**"] += 1
    why = "; ".join(f"{count}: {reason}" for reason, count in reasons.items())
    return (
        f"| {tests.module} | {len(outcomes)} | {counts['passed'] + counts['xpassed']} | "
        f"{counts['failed'] + counts['error']} | {counts['skipped'] + counts['xfailed']} | {why.replace('|', '/')} |"
    )


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modules", nargs="*", default=["*"], help="patterns, as 'sklearn_tests.*'")
    parser.add_argument("--environment", type=Path, help="a folder for an environment with pinned versions")
    parser.add_argument("--select", default="", help="pytest's -k: only tests with such names")
    arguments = parser.parse_args()
    plugin = SHARED / "conformance"
    if not plugin.is_dir():
        parser.error(f"the shared plugin is not there: {plugin}")
    python = make_environment(arguments.environment) if arguments.environment else sys.executable
    chosen = [
        tests for tests in MODULES if any(fnmatchcase(tests.module, f"*{pattern}*") for pattern in arguments.modules)
    ]
    print(
        f"{installed(python)}\n\n| module | tests | passed | failed | skipped or marked by Apple | what does not pass |"
    )
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    everything: list[Outcome] = []
    for tests in chosen:
        with tempfile.TemporaryDirectory() as folder:
            outcomes = run_apple_tests([tests], arguments.select, plugin, Path(folder), python=python)
        everything += outcomes
        print(row(tests, outcomes), flush=True)
    counts = Counter(outcome.outcome for outcome in everything)
    print(
        f"| all | {len(everything)} | {counts['passed'] + counts['xpassed']} | {counts['failed'] + counts['error']} | "
        f"{counts['skipped'] + counts['xfailed']} | |"
    )


if __name__ == "__main__":
    main()
