"""What the explorer computes in the background: sizes, outputs and plans, what is of most use first."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from mlexplorer.errors import Cancelled, InputError, MlexplorerError
from mlexplorer.exploration import (
    BITS,
    KINDS,
    MIXED,
    SCHEMES,
    SHEET,
    WITH_FEEDBACK,
    Calibrated,
    Key,
    LayerProgress,
    Row,
    Runs,
    Step,
    sizes,
)
from mlexplorer.inputs import Given, Inputs
from mlexplorer.model import Model
from mlexplorer.progress import Progress, check
from mlexplorer.quantization.plan import Plan
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.recommendation import Recommendation, recommend
from mlexplorer.sensitivity import sensed
from mlexplorer.sweeps import Sweep, sweep
from mlexplorer.views.background import Background
from mlexplorer.views.choosing import plan_scheme
from mlexplorer.views.pictures import Pictures
from mlexplorer.views.screen import Screen

PREPARED_WEIGHTS = 8_000_000
"""Histograms of all layers are computed ahead in models of up to this many weights; else when a layer is chosen."""
REPEATS = (1.0, 3.0, 8.0)
"""Seconds after which a page that does not answer gets everything once more."""
PAGE_LOADS = 3.0
"""Seconds that a page may take to load its widgets and draw the first outputs, before others are computed."""
SENSED = 4
"""So many pictures, at most, tell how much each layer of a classifier matters; whole plans are run on all."""
_CANCELLED = "Cancelled. What was computed so far stays."
_POLL = 0.02
_SAID = 0.1
"""Seconds between two reports of progress where many small steps are run."""


class Chosen(Protocol):
    """What is chosen on the screen at any time; see `Explorer`."""

    bits: Any
    scheme: Any
    layer: Any
    image: Any


class _AnotherIsChosen(Exception):
    """The depth that is being calibrated is left for another one."""


class Computation:
    """Computes, in one thread, what is missing of what is chosen, and tells the screen.

    `rows` are the results so far; `error` is what went wrong last; `plan` is the mixed plan, None where there is none,
    and `feedback` whether it is rounded with error feedback; `pictures` are what the model is run on.
    """

    def __init__(
        self, model: Model, images: Inputs | None, calibrated: Calibrated, chosen: Chosen, screen: Screen
    ) -> None:
        self.error: MlexplorerError | None = None
        self.plan: Plan | None = None
        self.feedback = False
        self.background = Background("mlexplorer explorer")
        self.pictures = Pictures(model, images, screen)
        self._model, self._calibrated = model, calibrated
        self._chosen, self._screen = chosen, screen
        self._feedback_asked = {chosen.scheme} & WITH_FEEDBACK.keys()
        self._cancelled = self._closed = self._sized = self._awaited = False
        self._rows: dict[tuple[int, tuple[str, int]], Row] = {}
        self._done: set[Step] = set()
        self._lock = threading.Lock()
        self._sizes: dict[Key, int] = {}
        self._announced = ""
        self._runs: Runs | None = None
        self._measured = False
        self._sensitivities: dict[tuple[type[Scheme], int | None], Sweep] = {}
        self._opened, self._repeats = time.perf_counter(), [*REPEATS]

    @property
    def rows(self) -> list[Row]:
        """The rows that have come in, one for each picture, scheme and bits; full ones replace coarse ones."""
        with self._lock:
            return list(self._rows.values())

    def resume(self) -> None:
        """Compute what is missing of the chosen picture, in place of what is under way."""
        image, self._cancelled = self._chosen.image, False
        self.background.submit(lambda cancelled: self._compute(image, cancelled), self._interrupt)

    def cancel(self) -> None:
        """Stop; `resume` goes on with what is missing. It is said at once, what is under way ends at its next step."""
        busy, self._cancelled = self.background.busy, True
        self.background.cancel()
        if busy:
            self._tell("cancelled", _CANCELLED)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is computed; False where `timeout` seconds were not enough."""
        self._awaited = True
        return self.background.wait(timeout)

    def close(self) -> None:
        """Stop for good, and let go of the network, its inputs and outputs, which notebooks' histories would keep."""
        self._closed = True
        self.background.close()
        self._interrupt()
        if not self.background.busy:
            self._release()

    def ask_for_feedback(self) -> None:
        """Compute the depths of the chosen scheme, which has error feedback, from now on."""
        asked = self._chosen.scheme in self._feedback_asked
        self._feedback_asked.add(self._chosen.scheme)
        if not asked or self._cancelled or not self.background.busy:
            self.resume()

    def take(self, plan: Plan, feedback: bool) -> int:
        """Put a mixed plan in the place of the one before, whose outputs are forgotten; `resume` computes its own.

        Its weights are rounded with error feedback or not. Returns the bytes of its file.
        """
        assigned = plan.assignments(self._model)
        bits = round(sum(scheme.bits for _, _, scheme in assigned) / max(len(assigned), 1))
        size = plan.predicted_size(self._model)
        self.plan, self.feedback = plan, feedback
        self._done = {step for step in self._done if step.scheme != MIXED}
        self._add(Row(MIXED, bits, size))
        return size

    def show(self, images: Inputs | None, *, add: bool) -> tuple[list[Given], list[str], int]:
        """Run the model on other pictures, or on more of them.

        The first of them are read now, the rest in the background. Returns the first, what cannot be read, in words,
        and how many are left. Raises as `Reading` does, and then everything stays as it was.
        """
        shown = self.pictures.ask(images, add=add)
        self.resume()
        return shown

    def find(self, target: float) -> None:
        """Look for the smallest mixed plan that keeps a target, and tell the screen; see `Explorer.find`."""
        image, self._cancelled = self._chosen.image, False
        self.background.submit(lambda cancelled: self._search(image, target, cancelled), self._interrupt)

    def _release(self) -> None:
        self._runs = None
        self.pictures.close()
        with self._lock:
            self._rows = {place: replace(row, outputs=()) for place, row in self._rows.items()}

    def _interrupt(self) -> None:
        runs = self._runs
        if runs is not None:
            runs.cancel()

    def _compute(self, image: int, cancelled: threading.Event) -> None:
        self.error = None
        try:
            self._prepare(cancelled)
            check(cancelled)
            done = self._run(image, cancelled)
            self._read_rest(cancelled)
            if self._feedback_asked:
                self._prepare_histograms(cancelled)
                done = self._run_feedback(image, cancelled) or done
            self._prepare_histograms(cancelled)
            if self.error is None:
                self._measure_shapes(image)
                ahead = self._run_ahead(image, cancelled)
                self._tell("done", "; ".join(filter(None, (done, ahead))))
            else:
                self._fail(self.error)
        except Cancelled:
            self._tell("cancelled", _CANCELLED)
        except (MlexplorerError, OSError) as error:
            with suppress(MlexplorerError):
                self._prepare_sizes(cancelled)
            self._fail(error)
            if not any(row.outputs for row in self.rows):
                self._screen.say_why("There are no outputs to show. The line at the top says why.")
            self._prepare_histograms(cancelled)
        except Exception as error:
            self._tell("failed", f"The computation failed unexpectedly: {type(error).__name__}: {error}")
            raise
        finally:
            self._screen.working("", 0, 0, 0)
            if self._closed:
                self._release()
            else:
                self._screen.prepare_histogram(self._announced)

    def _prepare(self, cancelled: threading.Event) -> None:
        """The sizes of the original and of what is chosen, the pictures, and then the lowered network."""
        if not self._sizes:
            self._announced = self._chosen.layer
            self._screen.histogram.announce(self._announced)
            chosen = [name for name in SCHEMES if KINDS.get(self._chosen.scheme) is SCHEMES[name]]
            self._add_sizes(sizes(self._model, chosen, [self._chosen.bits]), cancelled)
        self._show_asked(cancelled)
        if not self.pictures.given:
            self._tell("running", "Reading pictures")
            self.pictures.read_first(cancelled)
        if self._runs is None:
            self._tell("running", "Preparing the network")
            self._runs = Runs(self._model, [], calibrated=self._calibrated, known_sizes=self._sizes)
            self._take_pictures(self._runs)

    def _prepare_sizes(self, cancelled: threading.Event) -> None:
        """All sizes and a histogram, which need no run, but would keep the first picture waiting; once is enough."""
        if self._sized:
            return
        self._tell("running", "Computing file sizes")
        self._add_sizes(sizes(self._model), cancelled)
        self._sized = True
        self._screen.prepare_histogram(self._announced)

    def _add_sizes(self, rows: Iterable[Row], cancelled: threading.Event) -> None:
        for row in rows:
            check(cancelled)
            self._sizes[row.key] = row.nbytes
            if (0, row.key) not in self._rows:
                self._add(row)

    def _read_rest(self, cancelled: threading.Event) -> None:
        """Read the pictures that are left."""
        assert self._runs is not None

        def report(done: int, total: int) -> None:
            self._tell("running", f"Reading pictures: {done} of {total}", done, total)

        for _ in self.pictures.read_rest(cancelled, report):
            self._take_pictures(self._runs)

    def _take_pictures(self, runs: Runs) -> None:
        runs.inputs, runs.more = self.pictures.given, self.pictures.left

    def _show_asked(self, cancelled: threading.Event) -> None:
        """Show what `show` has read: added pictures come after those that are there, others take their place."""
        for asked in self.pictures.asked():
            if asked.added:
                with suppress(MlexplorerError, OSError):  # then there are none to add to
                    self.pictures.read_first(cancelled)
            if not (asked.added and self.pictures.given):
                self._forget_pictures()
            first, runs = self.pictures.put(asked), self._runs
            if runs is not None:
                counted = runs.counts
                self._take_pictures(runs)
                if runs.counts and not counted:
                    self._done.clear()  # a picture on its own was not counted
            self._screen.say_why("")
            self._chosen.image = first

    def _forget_pictures(self) -> None:
        """Forget the pictures and what was measured on them, but for the sizes, which need no picture."""
        with self._lock:
            sizes_only = [
                replace(row, stage="size", image=0, metric="", quality=None, agreement=None, outputs=())
                for row in self._rows.values()
            ]
            self._rows = {(0, row.key): row for row in sizes_only}
        self._runs = None
        self._done.clear()
        self._sensitivities.clear()
        self._screen.forget_pictures()

    def _run(self, image: int, cancelled: threading.Event) -> str:
        """The outputs without error feedback; returns what was done, in words."""
        assert self._runs is not None
        if image >= len(self.pictures.given):
            self._read_rest(cancelled)
        if image >= len(self.pictures.given):
            raise InputError(f"there is no picture {image}: there are {len(self.pictures.given)}, counted from 0")
        self._run_mixed(image, cancelled)
        started = time.perf_counter()
        steps = self._runs.steps(image, (self._chosen.scheme, self._chosen.bits), self._done)
        for index, step in enumerate(steps):
            if index and step.stage == "full" and self._chosen.scheme in self._feedback_asked:
                self._run_depth(self._chosen_step(image), cancelled)
            self._repeat()
            self._tell("running", f"Computing {step.label}", index, len(steps))
            self._add(self._row(step, cancelled))
            self._done.add(step)
            if not self._sized:
                self._let_page_load(cancelled)
            self._prepare_sizes(cancelled)
        self._prepare_sizes(cancelled)
        seconds = time.perf_counter() - started
        return f"{len(steps)} outputs computed in {seconds:.1f} s" if steps else "All outputs are there"

    def _run_mixed(self, image: int, cancelled: threading.Event) -> None:
        """The output of the mixed plan, where there is one: what was just set by hand is waited for."""
        assert self._runs is not None
        plan, feedback = self.plan, self.feedback
        step = Step(image, "full", MIXED, self._chosen.bits)
        if plan is None or step in self._done:
            return
        self._runs.mix(plan, feedback)

        def report(layer: int, layers: int) -> None:
            self._repeat()
            self._tell("running", f"{step.label} + feedback: layer {layer} of {layers}", layer - 1, layers)

        self._tell("running", f"Computing {step.label}")
        try:
            self._add(self._row(step, cancelled, report))
        except Cancelled:
            raise
        except (MlexplorerError, OSError) as error:
            if not feedback:
                raise
            self._fail(error)
            return
        if (plan, feedback) == (self.plan, self.feedback):
            self._done.add(step)
            if feedback:
                self._screen.histogram.show_plan(plan, self._calibrated.of_plan(plan))

    def _search(self, image: int, target: float, cancelled: threading.Event) -> None:
        """Find a mixed plan and take it: of classifiers on all pictures, of others on the chosen one."""

        def report(text: str, done: int, total: int) -> None:
            self._tell("running", f"Looking for a mixed plan: {text}", done, total)

        self._screen.searching("running", "Looking: how much each layer matters …")
        try:
            self._prepare(cancelled)
            check(cancelled)
            found, name = self._recommended(image, target, report, cancelled)
        except Cancelled:
            self._screen.searching("done", "Cancelled.")
            self._tell("cancelled", _CANCELLED)
            return
        except (MlexplorerError, OSError) as error:
            self._screen.searching("failed", str(error))
            self._fail(error)
            return
        self._screen.found(found, target, name)
        self._compute(image, cancelled)

    def _recommended(
        self, image: int, target: float, report: Progress, cancelled: threading.Event
    ) -> tuple[Recommendation, str]:
        """What keeps the target, and on what, in words; each layer is measured once for all targets."""
        assert self._runs is not None
        kind, runs = self._mixed_kind(), self._runs
        options: dict[str, Any] = {
            "custom_layers": self._calibrated.custom_layers,
            "progress": report,
            "cancelled": cancelled,
        }
        if runs.counts:
            self._read_rest(cancelled)
            pictures = [runs.full(index) for index in range(min(len(self.pictures.given), SHEET))]
            some, metric, of = pictures[:: -(-len(pictures) // SENSED)], "agreement", None
            name = f"{len(pictures)} pictures"
        else:
            pictures = some = [runs.coarse(image)]
            metric, of = "psnr" if any(row.metric == "PSNR" for row in self.rows) else "snr", image
            part = "" if runs.coarse(image) is runs.full(image) else ", at a quarter of its pixels"
            name = f"{self.pictures.given[image].name}{part}"
        if (kind, of) not in self._sensitivities:
            measured = sweep(self._model, some, schemes=(kind,), bits=(), layers=sensed(BITS), **options)
            self._sensitivities[kind, of] = measured
        options |= {metric: target, "sensitivities": self._sensitivities[kind, of]}
        return recommend(self._model, pictures, scheme=kind, **options), name

    def _mixed_kind(self) -> type[Scheme]:
        """What a mixed plan is made of: of the chosen scheme, or of that of the plan which is chosen."""
        name = self._chosen.scheme
        return KINDS[plan_scheme(self.plan or Plan({})) if name == MIXED else name]

    def _run_ahead(self, image: int, cancelled: threading.Event) -> str:
        """What other pictures give, the chosen depth first at any time; returns what was done, in words."""
        assert self._runs is not None
        count, said = 0, 0.0
        while True:
            chosen = self._chosen.scheme, self._chosen.bits
            steps = self._runs.steps_ahead(image, chosen, self._done)
            for index, step in enumerate(steps):
                if (self._chosen.scheme, self._chosen.bits) != chosen:
                    break
                if time.perf_counter() - said > _SAID:
                    said = time.perf_counter()
                    text = f"Other pictures: {self.pictures.given[step.image].name}, {step.label}"
                    self._tell("running", text, count, count + len(steps) - index)
                self._add(self._row(step, cancelled))
                self._done.add(step)
                count += 1
            else:
                return f"{count} more of other pictures" if count else ""

    def _run_feedback(self, image: int, cancelled: threading.Event) -> str:
        """All depths with error feedback that were asked for, at any time the chosen one first, then its scheme's.

        Returns what was done, in words.
        """
        started, count = time.perf_counter(), 0
        while True:
            chosen = self._chosen_step(image)
            schemes = sorted(self._feedback_asked, key=lambda scheme: scheme != chosen.scheme)
            steps = [Step(image, "full", scheme, bits) for scheme in schemes for bits in BITS]
            missing = [step for step in sorted(steps, key=lambda step: step != chosen) if step not in self._done]
            if not missing:
                break
            count += self._run_depth(missing[0], cancelled)
        seconds = time.perf_counter() - started
        return f"{count} outputs with feedback computed in {seconds:.0f} s" if count else ""

    def _run_depth(self, step: Step, cancelled: threading.Event) -> bool:
        """One depth with error feedback; whether its output is new.

        Where another depth is chosen meanwhile, that one comes first, unless more than half of this one is done.
        """
        if step in self._done:
            return False

        def report(layer: int, layers: int) -> None:
            chosen = self._chosen_step(step.image)
            waits = chosen.scheme in self._feedback_asked and chosen not in self._done
            if waits and step != chosen and layer * 2 < layers:
                raise _AnotherIsChosen
            self._repeat()
            self._tell("running", f"{step.label}: layer {layer} of {layers}", layer - 1, layers)
            self._screen.working(*step.key, layer, layers)

        self._tell("running", f"Computing {step.label}")
        try:
            row = self._row(step, cancelled, report)
            self._screen.add_calibrated(self._calibrated.model(step.key), *step.key)
        except Cancelled:
            raise
        except _AnotherIsChosen:
            return False
        except (MlexplorerError, OSError) as error:
            self._feedback_asked.clear()
            self._fail(error)
            return False
        self._add(row)
        self._done.add(step)
        return True

    def _chosen_step(self, image: int) -> Step:
        return Step(image, "full", self._chosen.scheme, self._chosen.bits)

    def _let_page_load(self, cancelled: threading.Event) -> None:
        """Leave the processor to the page, and to the server that sends it, until the first outputs are drawn."""
        while not (self._awaited or self._screen.is_drawn) and time.perf_counter() - self._opened < PAGE_LOADS:
            cancelled.wait(_POLL)
            check(cancelled)
            self._repeat()

    def _repeat(self) -> None:
        """Send once more what may have come before the page had loaded its modules, while the kernel cannot hear it."""
        if self._repeats and time.perf_counter() - self._opened > self._repeats[0]:
            del self._repeats[0]
            self._screen.repeat()

    def _row(self, step: Step, cancelled: threading.Event, report: LayerProgress | None = None) -> Row:
        """One row; a late interruption that was meant for the job before is passed over."""
        assert self._runs is not None
        while not cancelled.is_set():
            try:
                return self._runs.row(step, report, cancelled)
            except Cancelled:
                continue
        raise Cancelled("the computation was cancelled")

    def _prepare_histograms(self, cancelled: threading.Event) -> None:
        """All histograms, so that choosing one needs no kernel; those of large models are computed when asked for."""
        graph = self._model.graph
        if sum(weight.count for weight in graph.weights) > PREPARED_WEIGHTS:
            return
        for node in graph.nodes:
            if cancelled.is_set():
                return
            if node.weights:
                self._screen.prepare_histogram(node.id)
        self._screen.prepare_whole_histogram(cancelled)

    def _measure_shapes(self, image: int) -> None:
        """The shapes inside the model, once; where they cannot be told, the graph says nothing of them."""
        assert self._runs is not None
        if not self._measured:
            self._measured = True
            with suppress(MlexplorerError):
                self._screen.measure_shapes({self._runs.input_name: self._runs.coarse(image)})

    def _tell(self, state: str, text: str, done: int = 0, total: int = 0) -> None:
        """Show how far the computation is; after `cancel` a job that has not noticed yet has nothing to say."""
        if not (self._cancelled and state == "running"):
            self._screen.progress(state, text, done, total)

    def _fail(self, error: MlexplorerError | OSError) -> None:
        self.error = error if isinstance(error, MlexplorerError) else InputError(str(error))
        self._tell("failed", str(error))

    def _add(self, row: Row) -> None:
        with self._lock:
            self._rows[row.image, row.key] = row
        self._screen.add(row)
