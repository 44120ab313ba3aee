"""How far a long computation has come, and how it is stopped."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from mlexplorer.errors import Cancelled

Progress = Callable[[str, int, int], None]
"""Called with what is under way, how many steps are done, and of how many."""

_QUIET_SECONDS = 1.0


def check(cancelled: threading.Event | None) -> None:
    """Raise Cancelled once the event is set."""
    if cancelled is not None and cancelled.is_set():
        raise Cancelled("the computation was cancelled")


@contextmanager
def reporting(progress: Progress | bool) -> Iterator[Progress]:
    """What to call for progress: the caller's function, nothing for False, a bar in the notebook or terminal for True.

    The bar appears where the work takes longer than a second, and goes when it is done.
    """
    if progress is False:
        yield _silent
    elif progress is True:
        bar = _Bar()
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield progress


class _Bar:
    def __init__(self) -> None:
        self._started = time.monotonic()
        self._bar: Any = None

    def __call__(self, label: str, done: int, total: int) -> None:
        if self._bar is None:
            if time.monotonic() - self._started < _QUIET_SECONDS or done >= total:
                return
            from tqdm.auto import tqdm

            self._bar = tqdm(total=total, leave=False, file=sys.stderr, dynamic_ncols=True)
        self._bar.total = total
        self._bar.set_description(label)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _silent(label: str, done: int, total: int) -> None:
    pass
