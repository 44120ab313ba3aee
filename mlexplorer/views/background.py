"""One thread that does the latest thing that it was asked for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

Job = Callable[[threading.Event], None]


class Background:
    """Runs jobs in a thread of its own, one at a time; a new job takes the place of the one that is under way.

    A job gets an event that is set when it should end. The thread lives only while there is something to do; what a job
    raises goes to `threading.excepthook`.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._pending: tuple[Job, Callable[[], None]] | None = None
        self._cancelled = threading.Event()
        self._interrupt: Callable[[], None] = _nothing
        self._idle = threading.Event()
        self._idle.set()
        self._closed = False

    @property
    def busy(self) -> bool:
        """Whether a job is under way or waiting."""
        return not self._idle.is_set()

    def submit(self, job: Job, interrupt: Callable[[], None] | None = None) -> None:
        """Do this next, and end what is under way; `interrupt` is called from other threads to end the job sooner."""
        with self._lock:
            if self._closed:
                return
            self._pending = job, interrupt or _nothing
            if self._idle.is_set():
                self._idle.clear()
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                return
            cancelled, interrupt_other = self._cancelled, self._interrupt
        cancelled.set()
        interrupt_other()

    def cancel(self) -> None:
        """End what is under way and forget what waits."""
        with self._lock:
            self._pending = None
            cancelled, interrupt = self._cancelled, self._interrupt
        cancelled.set()
        interrupt()

    def close(self) -> None:
        """Cancel, and take no more jobs."""
        with self._lock:
            self._closed = True
        self.cancel()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until there is nothing left to do; False where `timeout` seconds were not enough."""
        return self._idle.wait(timeout)

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._pending is None:
                    self._interrupt = _nothing
                    self._idle.set()
                    return
                (job, self._interrupt), self._pending = self._pending, None
                self._cancelled = cancelled = threading.Event()
            try:
                job(cancelled)
            except Exception:
                threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))


def _nothing() -> None:
    pass
