"""Everything that must pass, in one command: `python tests/run.py [pytest arguments]`.

Brings a headless Chromium for the browser tests by the system's package manager where it can, else says what is
missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.lab import find_chromium  # noqa: E402

PACKAGES = ("chromium", "fonts-dejavu-core")
CHECKS = (
    ["-m", "ruff", "check", "."],
    ["-m", "ruff", "format", "--check", "."],
    ["-m", "mypy"],
    ["-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"],
)


def bring_chromium() -> None:
    """Install Chromium with apt-get as root, or through sudo where that needs no password."""
    if find_chromium():
        return
    if not shutil.which("apt-get"):
        print("No Chromium here: install Chromium or Chrome with your package manager to run the browser tests.")
        return
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *PACKAGES]):
        if subprocess.call([*prefix, "apt-get", *command], env=environment, stdout=subprocess.DEVNULL):
            break
    if not find_chromium():
        print(
            f"No Chromium here and apt-get could not bring it: install {' '.join(PACKAGES)} to run the browser tests."
        )


def main() -> int:
    """Run the checks one after the other; returns the first exit status that is not 0."""
    os.chdir(ROOT)
    bring_chromium()
    for arguments in (*CHECKS, ["-m", "pytest", *sys.argv[1:]]):
        print("\n$ python", *arguments, flush=True)
        if status := subprocess.call([sys.executable, *arguments]):
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
