"""What an explorer runs its model on: pictures or arrays, a few of them read first and the rest in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mlexplorer.inputs import Given, Inputs, Reading
from mlexplorer.model import Model
from mlexplorer.views.defaults import sample_photos
from mlexplorer.views.screen import Screen

READING = 0.5
"""Seconds in which pictures are read before the model is run on the first one; the rest follow its outputs."""


class Asked(NamedTuple):
    """Pictures that were asked for, the first of them read: to be added, or to take the place of those there are."""

    reading: Reading
    given: list[Given]
    faults: list[str]
    added: bool


class Pictures:
    """The pictures in the order in which the page offers them, which it is told of.

    `given` are those that are read; `sources` are all of them as they were given, None for the samples as long as they
    are not read, and once it is closed.
    """

    def __init__(self, model: Model, images: Inputs | None, screen: Screen) -> None:
        self.sources: Any = images
        self.given: list[Given] = []
        self._model, self._screen = model, screen
        self._faults: list[str] = []
        self._readings: list[Reading] = []
        self._asked: list[Asked] = []
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """How many are still to be read."""
        return sum(reading.left for reading in self._readings)

    def ask(self, images: Inputs | None, *, add: bool) -> tuple[list[Given], list[str], int]:
        """Read the first of other pictures, or of more, in any thread; they wait to be put in their place.

        Returns them, in words what cannot be read, and how many are left. Raises as `Reading` does.
        """
        reading = self._reading(images)
        given, faults = reading.take(READING)
        with self._lock:
            self._asked.append(Asked(reading, given, faults, add))
        return given, faults, reading.left

    def asked(self) -> list[Asked]:
        """What was asked for and not put in its place yet; it is forgotten here."""
        with self._lock:
            asked, self._asked = self._asked, []
        return asked

    def put(self, asked: Asked) -> int:
        """Add what was asked for, or put it in the place of all; returns the index of its first picture."""
        first = len(self.given) if asked.added else 0
        if not first:
            self.sources, self.given, self._faults, self._readings = [], [], [], []
        self.sources = [*self.sources, *asked.reading.sources]
        self._readings.append(asked.reading)
        self._take(asked.given, asked.faults)
        return first

    def read_first(self, cancelled: threading.Event) -> None:
        """Read the first of those that were given at first, where that was not done before; raises as `Reading`."""
        if self.given:
            return
        if not self._readings:
            self._readings = [self._reading(self.sources)]
            self.sources = self._readings[0].sources
        self._take(*self._readings[0].take(READING, cancelled))

    def read_rest(self, cancelled: threading.Event, progress: Callable[[int, int], None]) -> Iterator[None]:
        """Read what is left, in larger and larger batches; raises Cancelled once `cancelled` is set."""
        seconds = READING
        for reading in self._readings:
            while reading.left:
                seconds *= 2
                self._take(*reading.take(seconds, cancelled, progress))
                yield

    def close(self) -> None:
        """Let go of all."""
        self.given, self._readings, self.sources = [], [], None

    def _reading(self, images: Inputs | None) -> Reading:
        return Reading(self._model, sample_photos() if images is None else images)

    def _take(self, given: list[Given], faults: list[str]) -> None:
        self.given = [*self.given, *given]
        self._faults += faults
        self._screen.say("; ".join(self._faults))
        self._screen.offer(self.given)
