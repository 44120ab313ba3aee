"""What has been fetched, a folder for each address: what was longest not asked for goes, so that it stays bounded.

A folder's own time of change is when it was last asked for. Several processes may fetch and tidy at once: a folder
vanishes as a whole, and never within a day of its use, as models read their weights from it when these are asked for.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

MOST_BYTES = 5_000_000_000
"""What all copies may have together, those of the last day aside."""
IN_USE = 24 * 3600.0
"""Seconds in which a copy that was asked for stays, whatever its size."""


def open_copy(folder: Path) -> None:
    """Make the folder of an address where it is not there, and note that it is asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    os.utime(folder)


def tidy(folder: Path) -> None:
    """Remove what was longest not asked for in the folder of all copies, as far as they are too large together.

    What cannot be removed, a file that is open on Windows say, stays until the next time.
    """
    kept = 0
    for used, nbytes, copy in sorted(map(_weighed, folder.iterdir()), reverse=True):
        if _is_leaving(copy):  # its process was stopped
            shutil.rmtree(copy, ignore_errors=True)
        elif kept + nbytes <= MOST_BYTES or not _remove(copy, used):
            kept += nbytes


def _weighed(copy: Path) -> tuple[float, int, Path]:
    """When a copy was last asked for, and its bytes; nothing of what another process has removed meanwhile."""
    used, nbytes = 0.0, 0
    with suppress(OSError):
        used = copy.stat().st_mtime
        with os.scandir(copy) as entries:
            nbytes = sum(entry.stat().st_size for entry in entries)
    return used, nbytes, copy


def _remove(copy: Path, used: float) -> bool:
    """Remove a copy that has not been asked for since, nor within a day; whether it is gone."""
    leaving = copy.with_name(f".{copy.name}.{token_hex(6)}")
    try:
        if time.time() - used < IN_USE or copy.stat().st_mtime != used:
            return False
        copy.rename(leaving)
    except OSError:
        return False
    shutil.rmtree(leaving, ignore_errors=True)
    return True


def _is_leaving(copy: Path) -> bool:
    return copy.name.startswith(".")
