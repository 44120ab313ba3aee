"""The explorer: controls, layer graph, preview, curve and histogram on one screen, linked in the browser."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets
from numpy.typing import NDArray
from PIL import Image

from mlexplorer.errors import Cancelled, InputError, MlexplorerError
from mlexplorer.exploration import (
    BITS,
    FEEDBACK,
    MIXED,
    Calibrated,
    LayerProgress,
    Row,
    Runs,
    Step,
    read_inputs,
    scheme,
    sizes,
)
from mlexplorer.formats import save
from mlexplorer.formats.atomic import write_file
from mlexplorer.model import Model
from mlexplorer.progress import reporting
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.plan import Plan, quantize
from mlexplorer.recommendation import recommend
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.images import PictureLike
from mlexplorer.views.background import Background
from mlexplorer.views.choosing import Choosing, bits_of_plan, frontier_data, plan_of_bits
from mlexplorer.views.controls import Controls, model_data, options_source
from mlexplorer.views.curve import Curve
from mlexplorer.views.defaults import heaviest_layer, sample_photos, sample_source
from mlexplorer.views.graph import GraphView
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.preview import Preview
from mlexplorer.views.report import LINKED, report
from mlexplorer.views.view import static

Images = PictureLike | Iterable[PictureLike]
Inputs = list[tuple[str, Image.Image | NDArray[Any]]]

PREPARED_WEIGHTS = 8_000_000
"""Histograms of all layers are computed ahead in models of up to this many weights; else when a layer is chosen."""

_SAID = 0.1
"""Seconds between two reports of progress where many small steps are run."""

_SENSITIVITY_BITS = 4
"""The bits at which layers are compared by what they lose."""
REPEATS = (1.0, 3.0, 8.0)
"""Seconds after which a page that does not answer gets everything once more."""


class _TopControls(Controls):
    """The controls, which bring the explorer's layout along."""

    _css = static("view.css", "controls.css", "explorer.css")


class _AnotherIsChosen(Exception):
    """The depth that is being calibrated is left for another one."""


class Explorer(ipywidgets.Box):  # type: ignore[misc]
    """One screen to choose a bit depth on: what the model makes, how large it is, and where its weights go.

    Traits: `bits` (1..8), `scheme` ("linear", "lookup_table", "feedback" or "mixed"), `layer` (the id of a graph node,
    "" for none), `image` (the index of the picture) and `teach` (whether captions say why one sees what one sees). They
    follow the browser, and the browser follows them. The views are `controls`, `graph`, `preview`, `curve`, `histogram`
    and `choosing`; each can be shown elsewhere as well.

    The computation runs in one background thread. Look-up tables with error feedback are computed once that scheme is
    chosen: the chosen depth first, then the others, each with a run of the network for every layer. What goes wrong
    there is shown on the screen and kept in `error`.
    """

    bits = traitlets.Int(4, min=1, max=8)
    scheme = traitlets.Enum(("linear", "lookup_table", FEEDBACK, MIXED), "lookup_table")
    layer = traitlets.Unicode("")
    image = traitlets.Int(0, min=0)
    teach = traitlets.Bool(False)

    # a widget that refuses its arguments is closed all the same
    _views: tuple[Any, ...] = ()
    _links: tuple[Any, ...] = ()
    _runs: Runs | None = None

    def __init__(
        self,
        model: Model,
        images: Images | None = None,
        *,
        custom_layers: Mapping[str, CustomLayerClass] | None = None,
        calibration: Any = "noise",
        bits: int = 4,
        scheme: str = "lookup_table",
        layer: str | None = None,
        source: str | None = None,
    ) -> None:
        self._background = Background("mlexplorer explorer")
        self.model = model
        self.error: MlexplorerError | None = None
        self._images = images
        self._calibrated = Calibrated(model, calibration, custom_layers)
        self._with_feedback, self._cancelled = scheme == FEEDBACK, False
        self._mixed: Plan | None = None
        self._inputs: Inputs = []
        self._rows: dict[tuple[int, tuple[str, int]], Row] = {}
        self._done: set[Step] = set()
        self._lock = threading.Lock()
        self._opened, self._repeats = time.perf_counter(), [*REPEATS]
        chosen: dict[str, Any] = {
            "bits": bits,
            "scheme": scheme,
            "layer": heaviest_layer(model) if layer is None else layer,
        }
        self.controls = _TopControls(
            model,
            source=source or sample_source(model),
            calibration=options_source(calibration, custom_layers),
            on_save=self._save,
            on_download=self._file,
            on_cancel=self.cancel,
            on_resume=self.resume,
            **chosen,
        )
        self.graph = GraphView(model, custom_layers=custom_layers, layer=chosen["layer"])
        self.preview = Preview(**chosen)
        self.curve = Curve(on_plan=self._take, **chosen)
        self.histogram = Histogram(model, **chosen)
        self.choosing = Choosing(model, on_find=self.find, on_plan=self._take, **chosen)
        self._views = (self.controls, self.graph, self.preview, self.curve, self.histogram, self.choosing)
        self._links = tuple(self._link_views())
        screen = ipywidgets.Box(self._areas())
        screen.add_class("mlx-screen")
        super().__init__(children=[screen], **chosen)
        self.add_class("mlx-explorer")
        for trait in LINKED:
            traitlets.link((self, trait), (self.controls, trait))
        self.observe(lambda _: self.resume(), "image")
        self.observe(lambda _: self._ask_for_feedback(), "scheme")
        self.resume()

    @property
    def results(self) -> list[Row]:
        """The rows that have come in so far, one for each picture, scheme and bits; full ones replace coarse ones."""
        with self._lock:
            return list(self._rows.values())

    @property
    def plan(self) -> Plan:
        """The plan that makes the chosen model; with error feedback, what `quantize` takes beside the calibration."""
        if self.scheme == MIXED:
            return self._mixed or Plan({})
        return Plan.uniform(self.model, scheme(self.scheme, self.bits))

    def quantized(self) -> Model:
        """The chosen model: a quantized copy of the original.

        With error feedback it is calibrated now where that was not done before; raises as `quantize` does.
        """
        return self._quantized(self.scheme, self.bits)

    def save(self, path: str | Path) -> Path:
        """Save the chosen model and return the file's path; raises InputError where it would overwrite the original."""
        target = self._target(path)
        save(self.quantized(), target)
        return target

    def find(self, target: float) -> None:
        """Look for the smallest mixed plan that keeps `target` dB on the chosen picture, and take it; see `recommend`.

        It is looked for in the background, on a quarter of the picture's pixels where the model accepts that, each
        layer at each bit depth first; `cancel` ends it.
        """
        image, self._cancelled = self.image, False
        self._background.submit(lambda cancelled: self._search(image, target, cancelled), self._interrupt)

    def take(self, plan: Plan) -> None:
        """Choose a plan, whatever it does to each layer; raises as `Plan.apply` does where it does not fit."""
        size = plan.predicted_size(self.model)
        assigned = plan.assignments(self.model)
        weights = {weight.key: kind.bits for _, weight, kind in assigned}
        name = "linear" if any(isinstance(kind, Linear) for _, _, kind in assigned) else "lookup_table"
        self._mixed = plan
        self._done = {step for step in self._done if step.scheme != MIXED}
        self._add(Row(MIXED, round(sum(weights.values()) / max(len(weights), 1)), size))
        self.controls.show_plan(weights, name)
        bits = bits_of_plan(self.model, plan)
        self.choosing.show_plan(bits, name, size)
        self.graph.show_plan(plan)
        self.scheme = MIXED
        self.resume()

    def to_html(self, path: str | Path) -> Path:
        """Write what the explorer shows into one HTML file that needs no kernel and no network; returns its path.

        Slider, preview, curve, histogram and graph work in it as here. It holds the chosen picture and the others of
        which every depth has been computed, and error feedback as far as that has been; what is being computed is
        waited for. No model is in it. Raises InputError where it cannot be written.
        """
        self.wait()
        target = Path(path).expanduser().absolute()
        rows = self.results
        depths = {row.key for row in rows if row.scheme in ("linear", "lookup_table")}
        done: dict[int, set[Any]] = {}
        for row in rows:
            if row.stage == "full":
                done.setdefault(row.image, set()).add(row.key)
        images = sorted({self.image, *(image for image, keys in done.items() if depths <= keys)})
        names = model_data(self.model)
        page = report(
            self._by_name(),
            title=f"{names['title']} at 1 to 8 bits per weight",
            about=names["about"],
            traits={name: getattr(self, name) for name in LINKED},
            images=images,
            without=[] if any(row.scheme == FEEDBACK for row in rows) else [FEEDBACK],
        )
        try:
            write_file(target, [page.encode()])
        except OSError as error:
            raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
        return target

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is computed; False where `timeout` seconds were not enough."""
        return self._background.wait(timeout)

    def cancel(self) -> None:
        """Stop the computation; `resume` goes on with what is missing."""
        self._cancelled = True
        self._background.cancel()

    def resume(self) -> None:
        """Compute what is missing of the chosen picture."""
        image, self._cancelled = self.image, False
        self._background.submit(lambda cancelled: self._compute(image, cancelled), self._interrupt)

    def close(self) -> None:
        """Stop the thread and take the views off the page."""
        self._background.close()
        self._interrupt()
        for link in self._links:
            link.close()
        for view in self._views:
            view.close()
        super().close()

    def _link_views(self) -> Iterable[Any]:
        for view in (self.preview, self.curve, self.histogram, self.choosing):
            for trait in ("bits", "scheme", "image"):
                yield ipywidgets.jslink((self.controls, trait), (view, trait))
        for view in (self.graph, self.histogram, self.choosing):
            yield ipywidgets.jslink((self.controls, "layer"), (view, "layer"))
        for view in self._views[1:]:
            yield ipywidgets.jslink((self.controls, "teach"), (view, "teach"))

    def _areas(self) -> list[Any]:
        boxes = []
        for name, view in self._by_name().items():
            box = ipywidgets.Box([view])
            box.add_class("mlx-area")
            box.add_class(f"mlx-area-{name}")
            boxes.append(box)
        return boxes

    def _by_name(self) -> dict[str, Any]:
        return {
            "controls": self.controls,
            "graph": self.graph,
            "preview": self.preview,
            "curve": self.curve,
            "histogram": self.histogram,
            "choosing": self.choosing,
        }

    def _interrupt(self) -> None:
        runs = self._runs
        if runs is not None:
            runs.cancel()

    def _ask_for_feedback(self) -> None:
        """Compute the depths with error feedback from now on, as that scheme is chosen."""
        if self.scheme == FEEDBACK:
            asked, self._with_feedback = self._with_feedback, True
            if not asked or self._cancelled or not self._background.busy:
                self.resume()

    def _compute(self, image: int, cancelled: threading.Event) -> None:
        self.error = None
        try:
            self._prepare()
            done = self._run(image, cancelled)
            if self._with_feedback:
                self._prepare_histograms(cancelled)
                done = self._run_feedback(image, cancelled) or done
            self._prepare_histograms(cancelled)
            if self.error is None:
                ahead = self._run_ahead(image, cancelled)
                self.controls.progress("done", "; ".join(filter(None, (done, ahead))))
            else:
                self._fail(self.error)
        except Cancelled:
            self.controls.progress("cancelled", "Cancelled. What was computed so far stays.")
        except (MlexplorerError, OSError) as error:
            self._fail(error)
            self.preview.say("There are no outputs to show. The line at the top says why.")
            self._prepare_histograms(cancelled)
        except Exception as error:
            self.controls.progress("failed", f"The computation failed unexpectedly: {type(error).__name__}: {error}")
            raise
        finally:
            self.preview.working(0, 0, 0)

    def _prepare(self) -> None:
        """Sizes and pictures, which need no run, and then the lowered network."""
        if not self._rows:
            self.controls.progress("running", "Computing file sizes")
            for row in sizes(self.model):
                self._add(row)
            self._prepare_histogram(self.layer)
        if not self._inputs:
            self.controls.progress("running", "Reading pictures")
            self._inputs, faults = read_inputs(self.model, sample_photos() if self._images is None else self._images)
            self.controls.say("; ".join(faults))
            self.preview.offer(self._inputs)
        if self._runs is None:
            self.controls.progress("running", "Preparing the network")
            known = {row.key: row.nbytes for row in self.results}
            self._runs = Runs(self.model, self._inputs, calibrated=self._calibrated, known_sizes=known)

    def _run(self, image: int, cancelled: threading.Event) -> str:
        """The outputs without error feedback; returns what was done, in words."""
        assert self._runs is not None
        if image >= len(self._inputs):
            raise InputError(f"there is no picture {image}: there are {len(self._inputs)}, counted from 0")
        self._run_mixed(image, cancelled)
        started = time.perf_counter()
        steps = self._runs.steps(image, (self.scheme, self.bits), self._done)
        for index, step in enumerate(steps):
            if index and step.stage == "full" and self.scheme == FEEDBACK and self._with_feedback:
                self._run_depth(image, self.bits, cancelled)
            self._repeat()
            self.controls.progress("running", f"Computing {step.label}", index, len(steps))
            self._add(self._row(step, cancelled))
            self._done.add(step)
        seconds = time.perf_counter() - started
        return f"{len(steps)} outputs computed in {seconds:.1f} s" if steps else "All outputs are there"

    def _run_mixed(self, image: int, cancelled: threading.Event) -> None:
        """The output of the mixed plan, where there is one: what was just set by hand is waited for."""
        assert self._runs is not None
        plan = self._mixed
        step = Step(image, "full", MIXED, self.bits)
        if plan is None or step in self._done:
            return
        self._runs.plan = plan
        self.controls.progress("running", f"Computing {step.label}")
        self._add(self._row(step, cancelled))
        if plan is self._mixed:
            self._done.add(step)

    def _take(self, bits: dict[str, int], name: str) -> None:
        try:
            self.take(plan_of_bits(self.model, bits, name))
        except MlexplorerError as error:
            self.choosing.searching("failed", str(error))

    def _search(self, image: int, target: float, cancelled: threading.Event) -> None:
        """Find a mixed plan on one picture and take it."""

        def report(text: str, done: int, total: int) -> None:
            self.controls.progress("running", f"Looking for a mixed plan: {text}", done, total)

        self.choosing.searching("running", "Looking: every layer at every depth …")
        try:
            self._prepare()
            assert self._runs is not None
            name, given = self._inputs[image][0], self._runs.coarse(image)
            in_psnr = any(row.metric == "PSNR" for row in self.results)
            found = recommend(
                self.model,
                [given],
                psnr=target if in_psnr else None,
                snr=None if in_psnr else target,
                custom_layers=self._calibrated.custom_layers,
                progress=report,
                cancelled=cancelled,
            )
        except Cancelled:
            self.choosing.searching("done", "Cancelled.")
            self.controls.progress("cancelled", "Cancelled. What was computed so far stays.")
            return
        except (MlexplorerError, OSError) as error:
            self.choosing.searching("failed", str(error))
            self._fail(error)
            return
        alone = {row.layer: row.quality for row in found.sweep.layers if row.bits == _SENSITIVITY_BITS}
        title = f"quality with this layer alone at {_SENSITIVITY_BITS} bits"
        self.graph.show_values("sensitivity", alone, title=title, unit="dB", low_is_worse=True)
        choices = frontier_data(self.model, found)
        self.curve.show_frontier(choices)
        self.choosing.show_frontier(choices)
        if found.mixed is None or not found.mixed.plan.schemes:
            self.choosing.searching("failed", f"Only the original keeps {target:g} dB on {name}.")
        else:
            self.choosing.searching("done", f"{found.mixed.nbytes / 1e6:.2f} MB keep {target:g} dB on {name}.")
            self.take(found.mixed.plan)
        self._compute(image, cancelled)

    def _run_ahead(self, image: int, cancelled: threading.Event) -> str:
        """What other pictures give, the chosen depth first at any time; returns what was done, in words."""
        assert self._runs is not None
        count, said = 0, 0.0
        while True:
            chosen = self.scheme, self.bits
            steps = self._runs.steps_ahead(image, chosen, self._done)
            for index, step in enumerate(steps):
                if (self.scheme, self.bits) != chosen:
                    break
                if time.perf_counter() - said > _SAID:
                    said = time.perf_counter()
                    text = f"Other pictures: {self._inputs[step.image][0]}, {step.label}"
                    self.controls.progress("running", text, count, count + len(steps) - index)
                self._add(self._row(step, cancelled))
                self._done.add(step)
                count += 1
            else:
                return f"{count} more of other pictures" if count else ""

    def _run_feedback(self, image: int, cancelled: threading.Event) -> str:
        """All depths with error feedback, at any time the chosen one first; returns what was done, in words."""
        started, count = time.perf_counter(), 0
        while self._with_feedback:
            missing = [bits for bits in (self.bits, *BITS) if self._feedback_step(image, bits) not in self._done]
            if not missing:
                break
            count += self._run_depth(image, missing[0], cancelled)
        seconds = time.perf_counter() - started
        return f"{count} outputs with feedback computed in {seconds:.0f} s" if count else ""

    def _run_depth(self, image: int, bits: int, cancelled: threading.Event) -> bool:
        """One depth with error feedback; whether its output is new.

        Where another depth is chosen meanwhile, that one comes first, unless more than half of this one is done.
        """
        step = self._feedback_step(image, bits)
        if step in self._done:
            return False

        def report(layer: int, layers: int) -> None:
            chosen = self._feedback_step(image, self.bits)
            if self.scheme == FEEDBACK and step != chosen and chosen not in self._done and layer * 2 < layers:
                raise _AnotherIsChosen
            self._repeat()
            self.controls.progress("running", f"{step.label}: layer {layer} of {layers}", layer - 1, layers)
            self.preview.working(bits, layer, layers)

        self.controls.progress("running", f"Computing {step.label}")
        try:
            row = self._row(step, cancelled, report)
            self.histogram.add_calibrated(self._calibrated.model(bits), bits)
        except Cancelled:
            raise
        except _AnotherIsChosen:
            return False
        except (MlexplorerError, OSError) as error:
            self._with_feedback = False
            self._fail(error)
            return False
        self._add(row)
        self._done.add(step)
        return True

    @staticmethod
    def _feedback_step(image: int, bits: int) -> Step:
        return Step(image, "full", FEEDBACK, bits)

    def _repeat(self) -> None:
        """Send once more what may have come before the page had loaded its modules, while the kernel cannot hear it."""
        if self._repeats and time.perf_counter() - self._opened > self._repeats[0]:
            del self._repeats[0]
            for view in self._views:
                view.repeat()

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
        """The histograms of all layers, so that choosing one needs no kernel; large models compute them when asked."""
        graph = self.model.graph
        if sum(weight.count for weight in graph.weights) > PREPARED_WEIGHTS:
            return
        for node in graph.nodes:
            if cancelled.is_set():
                return
            if node.weights:
                self.histogram.prepare(node.id)

    def _prepare_histogram(self, layer: str) -> None:
        if layer:
            self.histogram.prepare(layer)

    def _fail(self, error: MlexplorerError | OSError) -> None:
        self.error = error if isinstance(error, MlexplorerError) else InputError(str(error))
        self.controls.progress("failed", str(error))

    def _add(self, row: Row) -> None:
        with self._lock:
            self._rows[row.image, row.key] = row
        for view in (self.controls, self.preview, self.curve, self.choosing):
            view.add(row)

    def _save(self, name: str, scheme_name: str, bits: int) -> str:
        self._require_made(scheme_name, bits)
        target = self._target(name)
        save(self._quantized(scheme_name, bits), target)
        return f"Saved {target}, {target.stat().st_size / 1e6:.2f} MB"

    def _file(self, scheme_name: str, bits: int) -> bytes:
        """The chosen model as one file: a package goes as a zip archive."""
        self._require_made(scheme_name, bits)
        model = self._quantized(scheme_name, bits)
        with tempfile.TemporaryDirectory(prefix="mlexplorer-") as folder:
            packed = model.blobs is not None
            target = Path(folder, "model.zip" if packed else "model.mlmodel")
            save(model, target)
            return target.read_bytes()

    def _require_made(self, scheme_name: str, bits: int) -> None:
        if scheme_name == FEEDBACK and bits not in self._calibrated:
            raise InputError(f"{bits} bit LUT + feedback is not computed yet; choose it, or press Resume")

    def _quantized(self, scheme_name: str, bits: int) -> Model:
        if scheme_name == MIXED:
            return self.plan.apply(self.model)
        if scheme_name != FEEDBACK:
            return quantize(self.model, scheme(scheme_name, bits))
        label = self._feedback_step(0, bits).label
        with reporting(True) as report:
            return self._calibrated.model(bits, lambda layer, layers: report(label, layer - 1, layers))

    def _target(self, path: str | Path) -> Path:
        if not str(path).strip():
            raise InputError("give the file a name")
        target = Path(path).expanduser().absolute()
        if self.model.path is not None and target == Path(self.model.path).absolute():
            raise InputError(f"{target} is the original; give the quantized model another name")
        return target
