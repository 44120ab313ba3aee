"""The views of one explorer: linked with each other in the browser, and told of everything together."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets

from mlexplorer.exploration import Row
from mlexplorer.inputs import Given
from mlexplorer.model import Model
from mlexplorer.quantization.plan import Plan
from mlexplorer.recommendation import Recommendation
from mlexplorer.sensitivity import SENSED
from mlexplorer.views.choosing import Choosing, bits_of_plan, frontier_data, plan_scheme
from mlexplorer.views.controls import Controls
from mlexplorer.views.curve import Curve
from mlexplorer.views.graph import GraphView
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.preview import Preview
from mlexplorer.views.view import View

_SENSITIVITY_BITS = max(SENSED)
"""The bits at which layers are compared by what they lose."""


class Screen:
    """Controls, layer graph, preview, curve, histogram and choosing, in the `box` that `explorer.css` lays out.

    What is computed is told here, from any thread. `on_found` gets the mixed plan that was looked for.
    """

    def __init__(
        self,
        model: Model,
        controls: Controls,
        graph: GraphView,
        preview: Preview,
        curve: Curve,
        histogram: Histogram,
        choosing: Choosing,
        on_found: Callable[[Plan], None],
    ) -> None:
        self._model, self._on_found = model, on_found
        self.controls, self.graph, self.preview = controls, graph, preview
        self.curve, self.histogram, self.choosing = curve, histogram, choosing
        group = uuid.uuid4().hex
        for name, view in self.by_name().items():
            with view.hold_sync():
                view.group = group
                view.add_class(f"mlx-area-{name}")
        self.box = ipywidgets.Box(list(self.by_name().values()))
        self.box.add_class("mlx-screen")

    def by_name(self) -> dict[str, View]:
        """The views by the names of their areas."""
        return {
            "controls": self.controls,
            "graph": self.graph,
            "preview": self.preview,
            "curve": self.curve,
            "histogram": self.histogram,
            "choosing": self.choosing,
        }

    @property
    def is_drawn(self) -> bool:
        """Whether a page has drawn outputs; see `Preview.is_drawn`."""
        return self.preview.is_drawn

    def add(self, row: Row) -> None:
        """Show a row; a full one takes the place of a coarse one."""
        self.controls.add(row)
        self.preview.add(row)
        self.curve.add(row)
        self.choosing.add(row)

    def progress(self, state: str, text: str, done: int = 0, total: int = 0) -> None:
        """Show how far the computation is; see `Controls.progress`."""
        self.controls.progress(state, text, done, total)

    def say(self, text: str) -> None:
        """Say what is wrong beside what works."""
        self.controls.say(self.preview.uploads.named(text))

    def say_why(self, text: str) -> None:
        """Say in the outputs' place why there are none."""
        self.preview.say(text)

    def offer(self, inputs: Sequence[Given]) -> None:
        """Show what the model can be run on."""
        self.preview.offer(inputs)

    def forget_pictures(self) -> None:
        """Forget what was measured on the pictures so far, as others take their place."""
        for view in (self.controls, self.preview, self.curve, self.choosing):
            view.forget_pictures()

    def working(self, scheme: str, bits: int, layer: int, layers: int) -> None:
        """Show which layer of a depth with error feedback is being calibrated; 0 bits for none."""
        self.preview.working(scheme, bits, layer, layers)

    def prepare_histogram(self, layer: str) -> None:
        """Have a layer's histograms ready; of none for ""."""
        if layer:
            self.histogram.prepare(layer)

    def prepare_whole_histogram(self, cancelled: threading.Event) -> None:
        """Have the histogram of the whole model ready, as far as that goes before `cancelled` is set."""
        self.histogram.prepare_whole(cancelled)

    def measure_shapes(self, inputs: Any) -> None:
        """Show the shapes of the values inside the model, from one run."""
        self.graph.measure_shapes(inputs)

    def add_calibrated(self, model: Model, scheme: str, bits: int) -> None:
        """Show the levels of a copy that was calibrated."""
        self.histogram.add_calibrated(model, scheme, bits)

    def searching(self, state: str, text: str) -> None:
        """Say how far the search for a mixed plan is; see `Choosing.searching`."""
        self.choosing.searching(state, text)

    def found(self, found: Recommendation, target: float, name: str) -> None:
        """Show what was found for a target on the input of this name: each layer's loss, the frontier, the plan."""
        alone = {row.layer: row.quality for row in found.sweep.layers if row.bits == _SENSITIVITY_BITS}
        of = " of the classes' scores" if found.goal[0] == "agreement" else ""
        title = f"quality{of} with this layer alone at {_SENSITIVITY_BITS} bits"
        self.graph.show_values("sensitivity", alone, title=title, unit="dB", low_is_worse=True)
        choices = frontier_data(self._model, found)
        self.curve.show_frontier(choices)
        self.choosing.show_frontier(choices)
        kept = f"{100 * target:g} % of the labels" if found.goal[0] == "agreement" else f"{target:g} dB"
        if found.mixed is None or not found.mixed.plan.schemes:
            self.searching("failed", f"Only the original keeps {kept} on {name}.")
        else:
            rate = found.mixed.measurement.agreement if found.goal[0] == "agreement" else None
            counted = f": {rate.count} of {rate.total}" if rate is not None else ""
            size = found.mixed.nbytes / 1e6
            self._on_found(found.mixed.plan)
            self.searching("done", f"{size:.{2 if size >= 0.1 else 3}f} MB keep {kept} on {name}{counted}.")

    def show_plan(self, plan: Plan, nbytes: int, feedback: bool) -> None:
        """Show the bits of each layer in a mixed plan, the size of its file, and its Python."""
        assigned = plan.assignments(self._model)
        name = plan_scheme(plan)
        self.controls.show_plan({weight.key: scheme.bits for _, weight, scheme in assigned}, name, feedback)
        self.choosing.show_plan(bits_of_plan(self._model, plan), name, nbytes)
        self.graph.show_plan(plan)
        self.histogram.show_plan(plan)

    def repeat(self) -> None:
        """Send everything once more to a page that has not said yet that it is ready."""
        for view in self.by_name().values():
            view.repeat()

    def close(self) -> None:
        """Take the views off the page."""
        for widget in (*self.by_name().values(), self.box):
            layout = widget.layout
            widget.close()
            layout.close()  # a widget of its own, which Jupyter would keep
