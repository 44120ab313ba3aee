"""The explorer: controls, layer graph, preview, curve and histogram on one screen, linked in the browser."""

from __future__ import annotations

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
from mlexplorer.formats import load, save
from mlexplorer.model import Model
from mlexplorer.quantization.plan import Plan, quantize
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.runtime.images import PictureLike
from mlexplorer.exploration import Row, Runs, Step, read_inputs, scheme, sizes
from mlexplorer.views.background import Background
from mlexplorer.views.controls import Controls
from mlexplorer.views.curve import Curve
from mlexplorer.views.graph import GraphView
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.preview import Preview
from mlexplorer.views.view import static

Images = PictureLike | Iterable[PictureLike]
Inputs = list[tuple[str, Image.Image | NDArray[Any]]]

PREPARED_WEIGHTS = 8_000_000
"""Histograms of all layers are computed ahead in models of up to this many weights; else when a layer is chosen."""

REPEATS = (1.0, 3.0, 8.0)
"""Seconds after which a page that does not answer gets everything once more."""


class _TopControls(Controls):
    """The controls, which bring the explorer's layout along."""

    _css = static("view.css", "controls.css", "explorer.css")


class Explorer(ipywidgets.Box):  # type: ignore[misc]
    """One screen to choose a bit depth on: what the model makes, how large it is, and where its weights go.

    Traits: `bits` (1..8), `scheme` ("linear" or "lookup_table"), `layer` (the id of a graph node, "" for none) and
    `image` (the index of the picture). They follow the browser, and the browser follows them. The views are `controls`,
    `graph`, `preview`, `curve` and `histogram`; each can be shown elsewhere as well.

    The computation runs in one background thread. What goes wrong there is shown on the screen and kept in `error`.
    """

    bits = traitlets.Int(4, min=1, max=8)
    scheme = traitlets.Enum(("linear", "lookup_table"), "lookup_table")
    layer = traitlets.Unicode("")
    image = traitlets.Int(0, min=0)

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
        bits: int = 4,
        scheme: str = "lookup_table",
        layer: str | None = None,
        source: str | None = None,
    ) -> None:
        self._background = Background("mlexplorer explorer")
        self.model = model
        self.error: MlexplorerError | None = None
        self._images, self._custom_layers = images, custom_layers
        self._inputs: Inputs = []
        self._rows: dict[tuple[int, tuple[str, int]], Row] = {}
        self._done: set[Step] = set()
        self._lock = threading.Lock()
        self._opened, self._repeats = time.perf_counter(), [*REPEATS]
        chosen: dict[str, Any] = {
            "bits": bits,
            "scheme": scheme,
            "layer": _heaviest_layer(model) if layer is None else layer,
        }
        self.controls = _TopControls(
            model,
            source=source or _sample_source(model),
            on_save=self._save,
            on_cancel=self.cancel,
            on_resume=self.resume,
            **chosen,
        )
        self.graph = GraphView(model, layer=chosen["layer"])
        self.preview = Preview(**chosen)
        self.curve = Curve(**chosen)
        self.histogram = Histogram(model, **chosen)
        self._views = (self.controls, self.graph, self.preview, self.curve, self.histogram)
        self._links = tuple(self._link_views())
        screen = ipywidgets.Box(self._areas())
        screen.add_class("mlx-screen")
        super().__init__(children=[screen], **chosen)
        self.add_class("mlx-explorer")
        for trait in ("bits", "scheme", "layer", "image"):
            traitlets.link((self, trait), (self.controls, trait))
        self.observe(lambda _: self.resume(), "image")
        self.resume()

    @property
    def results(self) -> list[Row]:
        """The rows that have come in so far, one for each picture, scheme and bits; full ones replace coarse ones."""
        with self._lock:
            return list(self._rows.values())

    @property
    def plan(self) -> Plan:
        """The plan that makes the chosen model."""
        return Plan.uniform(self.model, scheme(self.scheme, self.bits))

    def quantized(self) -> Model:
        """The chosen model: a quantized copy of the original."""
        return quantize(self.model, self.plan)

    def save(self, path: str | Path) -> Path:
        """Save the chosen model and return the file's path; raises InputError where it would overwrite the original."""
        return self._save_as(path, self.scheme, self.bits)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is computed; False where `timeout` seconds were not enough."""
        return self._background.wait(timeout)

    def cancel(self) -> None:
        """Stop the computation; `resume` goes on with what is missing."""
        self._background.cancel()

    def resume(self) -> None:
        """Compute what is missing of the chosen picture."""
        image = self.image
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
        for view in (self.preview, self.curve, self.histogram):
            for trait in ("bits", "scheme", "image"):
                yield ipywidgets.jslink((self.controls, trait), (view, trait))
        for view in (self.graph, self.histogram):
            yield ipywidgets.jslink((self.controls, "layer"), (view, "layer"))

    def _areas(self) -> list[Any]:
        areas = {
            "controls": self.controls,
            "graph": self.graph,
            "preview": self.preview,
            "curve": self.curve,
            "histogram": self.histogram,
        }
        boxes = []
        for name, view in areas.items():
            box = ipywidgets.Box([view])
            box.add_class("mlx-area")
            box.add_class(f"mlx-area-{name}")
            boxes.append(box)
        return boxes

    def _interrupt(self) -> None:
        runs = self._runs
        if runs is not None:
            runs.cancel()

    def _compute(self, image: int, cancelled: threading.Event) -> None:
        self.error = None
        try:
            self._prepare()
            self._run(image, cancelled)
            self._prepare_histograms(cancelled)
        except Cancelled:
            self.controls.progress("cancelled", "Cancelled. What was computed so far stays.")
        except (MlexplorerError, OSError) as error:
            self._fail(error if isinstance(error, MlexplorerError) else InputError(str(error)))
            self._prepare_histograms(cancelled)
        except Exception as error:
            self.controls.progress("failed", f"The computation failed unexpectedly: {type(error).__name__}: {error}")
            raise

    def _prepare(self) -> None:
        """Sizes and pictures, which need no run, and then the lowered network."""
        if not self._rows:
            self.controls.progress("running", "Computing file sizes")
            for row in sizes(self.model):
                self._add(row)
            self._prepare_histogram(self.layer)
        if not self._inputs:
            self.controls.progress("running", "Reading pictures")
            self._inputs, faults = read_inputs(self.model, _sample_photos() if self._images is None else self._images)
            self.controls.say("; ".join(faults))
            self.preview.offer(self._inputs)
        if self._runs is None:
            self.controls.progress("running", "Preparing the network")
            known = {row.key: row.nbytes for row in self.results}
            self._runs = Runs(self.model, self._inputs, custom_layers=self._custom_layers, known_sizes=known)

    def _run(self, image: int, cancelled: threading.Event) -> None:
        assert self._runs is not None
        if image >= len(self._inputs):
            raise InputError(f"there is no picture {image}: there are {len(self._inputs)}, counted from 0")
        started = time.perf_counter()
        steps = self._runs.steps(image, (self.scheme, self.bits), self._done)
        for index, step in enumerate(steps):
            self._repeat()
            self.controls.progress("running", f"Computing {step.label}", index, len(steps))
            self._add(self._row(step, cancelled))
            self._done.add(step)
        seconds = time.perf_counter() - started
        text = f"{len(steps)} outputs computed in {seconds:.1f} s" if steps else "All outputs are there"
        self.controls.progress("done", text)

    def _repeat(self) -> None:
        """Send once more what may have come before the page had loaded its modules, while the kernel cannot hear it."""
        if self._repeats and time.perf_counter() - self._opened > self._repeats[0]:
            del self._repeats[0]
            for view in self._views:
                view.repeat()

    def _row(self, step: Step, cancelled: threading.Event) -> Row:
        """One row; a late interruption that was meant for the job before is passed over."""
        assert self._runs is not None
        while not cancelled.is_set():
            try:
                return self._runs.row(step)
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

    def _fail(self, error: MlexplorerError) -> None:
        self.error = error
        self.controls.progress("failed", str(error))
        self.preview.say("There are no outputs to show. The line at the top says why.")

    def _add(self, row: Row) -> None:
        with self._lock:
            self._rows[row.image, row.key] = row
        for view in (self.controls, self.preview, self.curve):
            view.add(row)

    def _save(self, name: str, scheme_name: str, bits: int) -> str:
        path = self._save_as(name, scheme_name, bits)
        return f"Saved {path}, {path.stat().st_size / 1e6:.2f} MB"

    def _save_as(self, path: str | Path, scheme_name: str, bits: int) -> Path:
        if not str(path).strip():
            raise InputError("give the file a name")
        target = Path(path).expanduser().absolute()
        if self.model.path is not None and target == Path(self.model.path).absolute():
            raise InputError(f"{target} is the original; give the quantized model another name")
        save(quantize(self.model, scheme(scheme_name, bits)), target)
        return target


def explore(
    model: Model | str | Path,
    images: Images | None = None,
    *,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    **choice: Any,
) -> Explorer:
    """Open the explorer on a model, or on the file of one.

    `images` is a picture, a folder of pictures, or a list of paths, PIL images and [H, W, 3] arrays; without it the
    sample photographs are used. A model that takes an array instead of a picture gets `images=[array, ...]`.
    `custom_layers` maps class names to classes (see `CustomLayer`). `bits`, `scheme` and `layer` are what is chosen at
    first, `source` is the expression that loads the model in the line of Python to copy.
    """
    if not isinstance(model, Model):
        model = load(model)
    return Explorer(model, images, custom_layers=custom_layers, **choice)


def _sample_photos() -> Any:
    from mlexplorer import samples

    return samples.photos()


def _sample_source(model: Model) -> str | None:
    """The expression that loads a bundled model."""
    from mlexplorer import samples

    bundled = model.path is not None and Path(model.path).parent == samples.FOLDER
    return "mle.samples.style()" if bundled else None


def _heaviest_layer(model: Model) -> str:
    """The id of the layer with the most weights, the first to be looked at; "" where there are no weights."""
    weights = model.graph.weights
    return max(weights, key=lambda weight: weight.count).node if weights else ""
