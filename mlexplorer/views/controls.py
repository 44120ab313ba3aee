"""The controls: bits and scheme, what they cost and give, the progress of the computation, saving."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mlexplorer.comparison import Rate
from mlexplorer.errors import MlexplorerError
from mlexplorer.exploration import MIXED, Row
from mlexplorer.model import Model
from mlexplorer.views.view import View

PACKAGE_SUFFIX = ".mlpackage"
_NAMED = 3
"""So many paths to calibrate on are written out, at most."""


def row_data(row: Row) -> dict[str, Any]:
    """A row as JSON: the quality is None where nothing has run; equal outputs are marked `exact`, not infinite.

    `agreement` has the counts and the 95 % interval, None where there is none.
    """
    quality = row.quality
    exact = quality is not None and math.isinf(quality) and quality > 0
    return {
        "type": "row",
        "image": row.image,
        "scheme": row.scheme,
        "bits": row.bits,
        "nbytes": row.nbytes,
        "stage": row.stage,
        "metric": row.metric,
        "exact": exact,
        "quality": quality if quality is not None and math.isfinite(quality) else None,
        "agreement": rate_data(row.agreement),
    }


def publish_row(view: View, row: Row) -> None:
    """Show a row without its outputs; the size of another mixed plan takes the place of all that the last one gave."""
    is_size = row.stage == "size"
    if is_size and row.scheme == MIXED:
        view.withdraw(MIXED)
    view.publish(("row", is_size, row.image, row.key), row_data(row))


def rate_data(rate: Rate | None) -> dict[str, Any] | None:
    """A share as JSON, with the interval that a few pictures make necessary."""
    if rate is None:
        return None
    low, high = rate.interval
    return {"count": rate.count, "total": rate.total, "low": low, "high": high}


def model_data(model: Model, source: str | None = None) -> dict[str, str]:
    """How a model is called on the screen (`title`, `about`), in files (`stem`, `suffix`) and in Python (`source`)."""
    path = model.path
    weights = model.graph.weights
    about = [model.kind, f"{sum(weight.count for weight in weights):,} weights", f"{len(model.graph.nodes)} layers"]
    return {
        "type": "model",
        "title": path.name if path else "Model",
        "about": ", ".join(about),
        "stem": path.stem if path else "model",
        "suffix": PACKAGE_SUFFIX if path and path.suffix == PACKAGE_SUFFIX else ".mlmodel",
        "source": source or (f"mle.load({str(path)!r})" if path else "..."),
    }


def options_source(calibration: Any, custom_layers: Mapping[str, Any] | None = None) -> str:
    """The options of `quantize` in Python: paths and classes by name, "..." for what has no name."""
    paths = [calibration] if isinstance(calibration, str | Path) else calibration
    if isinstance(paths, list | tuple) and 0 < len(paths) <= _NAMED and all(isinstance(p, str | Path) for p in paths):
        names = [json.dumps(str(path), ensure_ascii=False) for path in paths]
        named = names[0] if paths is not calibration else f"[{', '.join(names)}]"
    else:
        named = "..."
    classes = [
        f"{json.dumps(name, ensure_ascii=False)}: {getattr(layer, '__name__', '...')}"
        for name, layer in (custom_layers or {}).items()
    ]
    return f"calibration={named}" + (f", custom_layers={{{', '.join(classes)}}}" if classes else "")


class Controls(View):
    """Slider for the bits, switches for scheme and error feedback, what they cost and give, progress, Python, Save.

    >>> from mlexplorer.exploration import rows
    >>> controls = Controls(model, rows(model, "photos"))

    Traits: `bits`, `scheme`, `image` (see `View`). `calibration` has the options of `quantize` for error feedback, in
    Python. `on_save` gets the file's name, scheme and bits and returns what to
    say; `on_download` gets scheme and bits and returns the file; `on_cancel` and `on_resume` get nothing. Without
    `on_save` there is no Save button.
    """

    name = "controls"

    def __init__(
        self,
        model: Model | None = None,
        rows: Iterable[Row] = (),
        *,
        source: str | None = None,
        calibration: str = options_source("noise"),
        on_save: Callable[[str, str, int], str] | None = None,
        on_download: Callable[[str, int], bytes] | None = None,
        on_cancel: Callable[[], None] | None = None,
        on_resume: Callable[[], None] | None = None,
        on_feedback: Callable[[bool], None] | None = None,
        **traits: Any,
    ) -> None:
        super().__init__(**traits)
        self._on_download = on_download
        self._on_save, self._on_cancel, self._on_resume = on_save, on_cancel, on_resume
        self._on_feedback = on_feedback
        if model is not None:
            names = {**model_data(model, source), "calibration": calibration}
            self.publish("model", {**names, "saves": on_save is not None, "calibrates": on_resume is not None})
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of a sweep."""
        publish_row(self, row)

    def show_plan(self, weights: Mapping[str, int], scheme: str, feedback: bool = False) -> None:
        """Take in the mixed plan, for its Python: the bits of each weight by key, their scheme, how it is rounded."""
        self.publish("plan", {"type": "plan", "weights": dict(weights), "scheme": scheme, "feedback": feedback})

    def progress(self, state: str, text: str, done: int = 0, total: int = 0) -> None:
        """Show how far a computation is; `state` is "running", "done", "cancelled" or "failed"."""
        self.publish("progress", {"type": "progress", "state": state, "text": text, "done": done, "total": total})

    def say(self, text: str) -> None:
        """Show what is wrong beside what works, a file that could not be read say; "" takes it back."""
        self.publish("notice", {"type": "notice", "text": text})

    def handle(self, content: Mapping[str, Any]) -> None:
        """Save, cancel or resume, as the page asks."""
        kind = content.get("type")
        if kind == "save" and self._on_save is not None:
            try:
                text, failed = self._on_save(str(content["name"]), str(content["scheme"]), int(content["bits"])), False
            except (MlexplorerError, OSError) as error:
                text, failed = str(error), True
            self.send({"type": "saved", "text": text, "failed": failed})
        elif kind == "download" and self._on_download is not None:
            try:
                data = self._on_download(str(content["scheme"]), int(content["bits"]))
            except (MlexplorerError, OSError) as error:
                self.send({"type": "saved", "text": str(error), "failed": True})
            else:
                name = Path(str(content["name"])).name or "model.mlmodel"
                self.send({"type": "file", "name": f"{name}.zip" if data.startswith(b"PK") else name}, [data])
        elif kind == "cancel" and self._on_cancel is not None:
            self._on_cancel()
        elif kind == "resume" and self._on_resume is not None:
            self._on_resume()
        elif kind == "feedback" and self._on_feedback is not None:
            self._on_feedback(bool(content["on"]))
