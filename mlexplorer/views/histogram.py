"""The histogram: weights, where the levels of quantization fall among them, and where the error comes from."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from mlexplorer.errors import MlexplorerError
from mlexplorer.model import Model
from mlexplorer.quantization.plan import Plan
from mlexplorer.views.background import Background
from mlexplorer.views.histogram_data import (
    ModelHistogram,
    calibrated_data,
    histogram_data,
    layer_data,
    plan_data,
    whole_data,
    whole_row_data,
)
from mlexplorer.views.view import View


class Histogram(View):
    """A layer's weights, or those of the whole model, twice: under linear quantization and under a look-up table.

    >>> Histogram(model, layer="conv1")

    Drawn are the levels among the weights, the squared error that the weights of each bin contribute, or the quantized
    weights of all bit depths behind each other. Traits: `bits`, `scheme`, `layer` (see `View`). A layer's data for all
    bit depths are sent once, when it is first chosen or by `prepare`, those of the whole model when they are asked for
    or by `prepare_whole`; what error feedback makes of the weights comes by `add_calibrated`, a mixed plan by
    `show_plan`.
    """

    name = "histogram"

    def __init__(self, model: Model | None = None, **traits: Any) -> None:
        super().__init__(**traits)
        self._model = model
        self._prepared: set[str] = set()
        self._calibrated: set[tuple[str, int]] = set()
        self._preparing = threading.Lock()
        self._whole: ModelHistogram | None = None
        self._whole_is_sent = False
        self._plan: Plan | None = None
        self._calibrated_plan: Model | None = None
        self._counting = threading.Lock()
        self._wanted: list[str] = []
        self._layers, self._background = Background("mlexplorer layers"), Background("mlexplorer histogram")
        self.publish("kernel", {"type": "kernel", "asks": model is not None})

    def announce(self, layer: str) -> None:
        """Show which weights a layer has: the page then waits for their histograms, which `prepare` is to send."""
        if self._model is not None and layer:
            self.publish(("layer", layer), layer_data(self._model.graph.node(layer)))

    def prepare(self, layer: str) -> None:
        """Compute and send the histograms of a layer's weights, unless that was done before."""
        with self._preparing:
            if self._model is None or layer in self._prepared:
                return
            node = self._model.graph.node(layer)
            self.announce(layer)
            for weight in sorted(node.weights, key=lambda weight: -weight.count):
                if weight.count:
                    self.publish(("weight", weight.key), *histogram_data(node, weight))
            self._prepared.add(layer)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the layers that the page asked for are sent; False where `timeout` seconds were not enough."""
        return self._layers.wait(timeout)

    def prepare_whole(self, cancelled: threading.Event | None = None) -> None:
        """Compute and send the histogram of all weights that quantization changes, unless that was done before.

        It ends soon after `cancelled` is set; the weights that were counted until then are kept.
        """
        with self._counting:
            if self._model is None or self._whole_is_sent:
                return
            try:
                whole, told = self._of_model(), -1
                for done in whole.steps():
                    if cancelled is not None and cancelled.is_set():
                        return
                    if done != told:
                        self.publish("whole", {"type": "progress", "done": done, "weights": len(whole)})
                        told = done
                self.publish("whole", *whole_data(whole))
            except MlexplorerError as error:
                self.publish("whole", {"type": "whole", "error": str(error)})
            self._whole_is_sent = True
            self._send_whole_plan()

    def add_calibrated(self, calibrated: Model, scheme: str, bits: int) -> None:
        """Show the levels of a copy that was calibrated, under the name of its scheme; once is enough."""
        with self._counting:
            if self._model is None or (scheme, bits) in self._calibrated:
                return
            self.publish(("calibrated", scheme, bits), *calibrated_data(self._model, calibrated, scheme, bits))
            whole = self._of_model()
            row = whole_row_data(whole, whole.of_copy(calibrated), scheme, bits)
            self.publish(("whole", scheme, bits), *row)
            self._calibrated.add((scheme, bits))

    def show_plan(self, plan: Plan, calibrated: Model | None = None) -> None:
        """Show a mixed plan in the place of the one before; raises as `Plan.apply` where it does not fit.

        `calibrated` is the copy that it makes where that was rounded with error feedback.
        """
        if self._model is None:
            return
        self._plan, self._calibrated_plan = plan, calibrated
        self.publish("plan", *plan_data(self._model, plan, calibrated))
        if self._whole_is_sent:
            self._send_whole_plan()

    def handle(self, content: Mapping[str, Any]) -> None:
        """Prepare the layer, or the whole model, that the page asks for; of several layers the latest comes first."""
        if content.get("type") == "layer":
            layer = str(content["layer"])
            if layer not in self._prepared:
                self.announce(layer)
                self._wanted.append(layer)
                self._layers.submit(self._prepare_wanted)
        elif content.get("type") == "whole":
            self._background.submit(self.prepare_whole)

    def close(self) -> None:
        """Take the view off the page and stop what it computes."""
        self._layers.close()
        self._background.close()
        super().close()

    def _prepare_wanted(self, cancelled: threading.Event) -> None:
        while self._wanted and not cancelled.is_set():
            self.prepare(self._wanted.pop())

    def _of_model(self) -> ModelHistogram:
        assert self._model is not None
        self._whole = self._whole or ModelHistogram(self._model)
        return self._whole

    def _send_whole_plan(self) -> None:
        whole, plan = self._whole, self._plan
        if whole is not None and plan is not None and whole.is_complete:
            copy = self._calibrated_plan
            made = whole.of_plan(plan) if copy is None else whole.of_copy(copy)
            self.publish(("whole", "mixed"), *whole_row_data(whole, made, "mixed", 0))
