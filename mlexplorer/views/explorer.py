"""The explorer: what is chosen, the screen that shows it, the computation behind it; saving, sending, plans."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ipywidgets
import traitlets

from mlexplorer.errors import InputError, MlexplorerError
from mlexplorer.exploration import CHOICES, MIXED, SCHEMES, WITH_FEEDBACK, Calibrated, Row, Step, scheme
from mlexplorer.formats import save
from mlexplorer.formats.atomic import write_file
from mlexplorer.inputs import Inputs
from mlexplorer.model import Model
from mlexplorer.progress import reporting
from mlexplorer.quantization.plan import Plan, quantize
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.views.cells import replace
from mlexplorer.views.choosing import Choosing, plan_of_bits
from mlexplorer.views.computation import Computation
from mlexplorer.views.controls import Controls, model_data, options_source
from mlexplorer.views.curve import Curve
from mlexplorer.views.defaults import heaviest_layer, model_source
from mlexplorer.views.fields import said_of_pictures, takes_pictures
from mlexplorer.views.graph import GraphView
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.preview import Preview
from mlexplorer.views.report import LINKED, report
from mlexplorer.views.screen import Screen


class Explorer(ipywidgets.Box):  # type: ignore[misc]
    """One screen to choose a bit depth on: what the model makes, how large it is, and where its weights go.

    Traits: `bits` (1..8), `scheme` ("linear", "linear_feedback", "lookup_table", "lookup_table_feedback" or "mixed"),
    `layer` (the id of a graph node, "" for none), `image` (the index of the picture) and `teach` (whether captions say
    why one sees what one sees). They follow the browser, and the browser follows them. The views are `controls`,
    `graph`, `preview`, `curve`, `histogram` and `choosing`; each can be shown elsewhere as well.

    The computation runs in one background thread. A scheme with error feedback is computed once it is chosen: the
    chosen depth first, then the others, each with a run of the network for every layer. What goes wrong there is shown
    on the screen and kept in `error`. A cell that runs again closes the explorers of its run before.
    """

    bits = traitlets.Int(4, min=1, max=8)
    scheme = traitlets.Enum(CHOICES, "lookup_table")
    layer = traitlets.Unicode("")
    image = traitlets.Int(0, min=0)
    teach = traitlets.Bool(False)

    # a widget that refuses its arguments is closed all the same
    _screen: Screen | None = None
    _computation: Computation | None = None

    def __init__(
        self,
        model: Model,
        images: Inputs | None = None,
        *,
        custom_layers: Mapping[str, CustomLayerClass] | None = None,
        calibration: Any = "noise",
        bits: int = 4,
        scheme: str = "lookup_table",
        layer: str | None = None,
        source: str | None = None,
    ) -> None:
        self.model = model
        self._calibrated = Calibrated(model, calibration, custom_layers)
        chosen: dict[str, Any] = {
            "bits": bits,
            "scheme": scheme,
            "layer": heaviest_layer(model) if layer is None else layer,
        }
        self.controls = Controls(
            model,
            source=source or model_source(model),
            calibration=options_source(calibration, custom_layers),
            on_save=self._save,
            on_download=self._file,
            on_cancel=self.cancel,
            on_resume=self.resume,
            on_feedback=self._round_mixed,
            **chosen,
        )
        self.graph = GraphView(model, custom_layers=custom_layers, layer=chosen["layer"])
        self.preview = Preview(on_pictures=self.open_pictures if takes_pictures(model) else None, **chosen)
        self.curve = Curve(on_plan=self._take, **chosen)
        self.histogram = Histogram(model, **chosen)
        self.choosing = Choosing(model, on_find=self.find, on_plan=self._take, **chosen)
        self._screen = screen = Screen(
            model,
            self.controls,
            self.graph,
            self.preview,
            self.curve,
            self.histogram,
            self.choosing,
            on_found=self.take,
        )
        super().__init__(children=[screen.box], **chosen)
        self.add_class("mlx-explorer")
        for trait in LINKED:
            traitlets.link((self, trait), (self.controls, trait))
        self._computation = computation = Computation(model, images, self._calibrated, self, screen)
        self.observe(lambda _: computation.resume(), "image")
        self.observe(lambda _: computation.ask_for_feedback() if self.scheme in WITH_FEEDBACK else None, "scheme")
        replace(self)
        if self.comm is not None:
            self.comm.on_close(lambda _: self.close())
        computation.resume()

    @property
    def error(self) -> MlexplorerError | None:
        """What went wrong in the computation, None where nothing did."""
        return self._computing.error

    @property
    def results(self) -> list[Row]:
        """The rows that have come in so far, one for each picture, scheme and bits; full ones replace coarse ones."""
        return self._computing.rows

    @property
    def images(self) -> Any:
        """What the model is run on, as it was given, folders taken apart once they were read; None for the samples."""
        return self._computing.pictures.sources

    def show_images(self, images: Inputs | None = None, *, add: bool = False) -> None:
        """Run the model on other pictures, None for the samples, or, with `add`, on more of them.

        `images` is what `explore` takes; where reading all takes long, most are read in the background. Results on
        pictures that are gone are forgotten; bits, scheme, layer, plan and sizes stay. Raises InputError where nothing
        can be read, and then all stays as it was.
        """
        self._computing.show(images, add=add)

    def open_pictures(self, path: Path | None, add: bool = False) -> str:
        """`show_images` for a field on the page: returns what to say of it, files that cannot be read included."""
        given, faults, left = self._computing.show(path, add=add)
        return said_of_pictures(self.model, given, left, faults, add)

    @property
    def plan(self) -> Plan:
        """The plan that makes the chosen model; with error feedback, what `quantize` takes beside the calibration."""
        if self.scheme == MIXED:
            return self._computing.plan or Plan({})
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
        """Look for the smallest mixed plan that keeps a target, and take it; see `recommend`.

        `target` is in dB, on the chosen picture, of which a quarter of the pixels is used where the model accepts that;
        of a classifier that was given several pictures it is the share of them that keeps its label, 0..1. The plan is
        of linear quantization where that is chosen, else of tables. It is looked for in the background, each
        layer alone first; `cancel` ends it.
        """
        self._computing.find(target)

    def take(self, plan: Plan, feedback: bool | None = None) -> None:
        """Choose a plan, whatever it does to each layer; raises as `Plan.apply` does where it does not fit.

        With `feedback` it is rounded with error feedback; None leaves that as it is for the plan before.
        """
        assert self._screen is not None
        feedback = self._computing.feedback if feedback is None else feedback
        self._screen.show_plan(plan, self._computing.take(plan, feedback), feedback)
        self.scheme = MIXED
        self.resume()

    def to_html(self, path: str | Path) -> Path:
        """Write what the explorer shows into one HTML file that needs no kernel and no network; returns its path.

        Slider, preview, curve, histogram and graph work in it as here. It holds the chosen picture and the others of
        which every depth has been computed, and error feedback as far as that has been; what is being computed is
        waited for. No model is in it. Raises InputError where it cannot be written.
        """
        assert self._screen is not None
        self.wait()
        target = Path(path).expanduser().absolute()
        rows = self.results
        depths = {row.key for row in rows if row.scheme in SCHEMES}
        done: dict[int, set[Any]] = {}
        for row in rows:
            if row.stage == "full":
                done.setdefault(row.image, set()).add(row.key)
        images = sorted({self.image, *(image for image, keys in done.items() if depths <= keys)})
        names = model_data(self.model)
        page = report(
            self._screen.by_name(),
            title=f"{names['title']} at 1 to 8 bits per weight",
            about=names["about"],
            traits={name: getattr(self, name) for name in LINKED},
            images=images,
            without=sorted(WITH_FEEDBACK.keys() - {row.scheme for row in rows}),
        )
        try:
            write_file(target, [page.encode()])
        except OSError as error:
            raise InputError(f"{target} cannot be written: {error.strerror or error}") from error
        return target

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until all is computed; False where `timeout` seconds were not enough."""
        return self._computing.wait(timeout)

    def cancel(self) -> None:
        """Stop the computation; `resume` goes on with what is missing."""
        self._computing.cancel()

    def resume(self) -> None:
        """Compute what is missing of the chosen picture."""
        self._computing.resume()

    def close(self) -> None:
        """Stop the thread and take the views off the page."""
        for part in (self._computation, self._screen):
            if part is not None:
                part.close()
        layout = self.layout
        super().close()
        layout.close()

    @property
    def _computing(self) -> Computation:
        assert self._computation is not None
        return self._computation

    def _take(self, bits: dict[str, int], name: str) -> None:
        try:
            self.take(plan_of_bits(self.model, bits, name))
        except MlexplorerError as error:
            self.choosing.searching("failed", str(error))

    def _round_mixed(self, feedback: bool) -> None:
        if self._computing.plan is not None:
            self.take(self._computing.plan, feedback)

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
        if scheme_name in WITH_FEEDBACK and (scheme_name, bits) not in self._calibrated:
            label = Step(0, "full", scheme_name, bits).label
            raise InputError(f"{label} is not computed yet; choose it, or press Resume")
        if scheme_name == MIXED and self._computing.feedback and self.plan not in self._calibrated:
            raise InputError("the mixed plan with error feedback is not computed yet; press Resume")

    def _quantized(self, scheme_name: str, bits: int) -> Model:
        plan = (self._computing.plan or Plan({})) if scheme_name == MIXED else None
        if plan is not None and not self._computing.feedback:
            return plan.apply(self.model)
        if plan is None and scheme_name not in WITH_FEEDBACK:
            return quantize(self.model, scheme(scheme_name, bits))
        label = Step(0, "full", scheme_name, bits).label
        with reporting(True) as report:

            def tell(layer: int, layers: int) -> None:
                report(label, layer - 1, layers)

            if plan is not None:
                return self._calibrated.of_plan(plan, tell)
            return self._calibrated.model((scheme_name, bits), tell)

    def _target(self, path: str | Path) -> Path:
        if not str(path).strip():
            raise InputError("give the file a name")
        target = Path(path).expanduser().absolute()
        if self.model.path is not None and target == Path(self.model.path).absolute():
            raise InputError(f"{target} is the original; give the quantized model another name")
        return target
