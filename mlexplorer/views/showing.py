"""The verbs that put something on the screen: the whole explorer, or one of its views alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlexplorer.errors import InputError
from mlexplorer.formats import load
from mlexplorer.inputs import Inputs
from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass
from mlexplorer.views.cells import replace
from mlexplorer.views.defaults import heaviest_layer
from mlexplorer.views.explorer import Explorer
from mlexplorer.views.graph import GraphView
from mlexplorer.views.histogram import Histogram
from mlexplorer.views.opening import OpenExplorer
from mlexplorer.views.view import View


def explore(
    model: Model | str | Path | None = None,
    images: Inputs | None = None,
    *,
    custom_layers: Mapping[str, CustomLayerClass] | None = None,
    calibration: Any = "noise",
    **choice: Any,
) -> Any:
    """Open the explorer on a model, or on the file or address of one; without either, with fields to open models in.

    `images` is a picture, a folder of pictures, or a list of paths, addresses, PIL images and [H, W, 3] arrays; without
    it the sample photographs are used. A model that takes an array instead of a picture gets `images=[array, ...]`.
    `custom_layers` maps class names to classes (see `CustomLayer`). `calibration` is what error feedback is calibrated
    on: "noise" for none of your data, or pictures or inputs as `quantize` takes them. `bits`, `scheme` ("linear" or
    "lookup_table", with error feedback "linear_feedback" or "lookup_table_feedback") and `layer` are what is chosen at
    first, `source` is the expression that loads the model in the line of Python to copy.

    On the page, and by `Explorer.show_images`, other pictures take the place of those or are added to them.

    Returns an `Explorer`; without a model a widget whose `explorer` is the one that is open.
    """
    options = {"custom_layers": custom_layers, "calibration": calibration, **choice}
    if model is None:
        return OpenExplorer(images, **options)
    return Explorer(model if isinstance(model, Model) else load(model), images, **options)


def show(model: Model | str | Path, view: str = "explorer", images: Inputs | None = None, **options: Any) -> Any:
    """One view of a model as a widget of its own, to stand alone or in any layout of ipywidgets.

    `images` and the options are those of `explore`. What needs runs of the model is computed in the background, by the
    Explorer in the view's `explorer`, until the view is closed. Raises InputError for an unknown view.

    | view | shows | follows | changes |
    | --- | --- | --- | --- |
    | "explorer" | all of those below, linked | | |
    | "controls" | the choice, its size and quality, Python, Save | bits, scheme, image | bits, scheme, teach |
    | "preview" | outputs before and after, at every depth | bits, scheme, image | bits, scheme, image |
    | "curve" | size against quality | bits, scheme, image | bits, scheme |
    | "histogram" | weights and levels of a layer | bits, scheme, layer | |
    | "choosing" | the smallest file for a target, bits per layer | bits, scheme, layer, image | bits, scheme, layer |
    | "graph" | the layers | layer, opened, colour | layer, opened, colour |

    The traits are synced with the page, and Python may set each of them:

    | trait | type | meaning |
    | --- | --- | --- |
    | bits | int, 1 to 8 | bits per weight |
    | scheme | str | "linear", "linear_feedback", "lookup_table", "lookup_table_feedback" or "mixed" |
    | layer | str | id of the node in `model.graph` that is selected, "" for none |
    | image | int, from 0 | which of the pictures |
    | teach | bool | whether a sentence below says why one sees what one sees |
    | group | str | views of the same group follow each other in the page; "" for none |
    | opened | list of str | names of the open folds of the graph, ["*"] for all |
    | colour | str | what colours the boxes of the graph: "type", "size", "bits", once measured "sensitivity" |

    The views of one explorer are linked already and share its results; others are linked with `ipywidgets.jslink`, in
    the page, without the kernel:

    >>> explorer = mle.explore(model, images)
    >>> weights = mle.show(other_model, "histogram")
    >>> slider = ipywidgets.IntSlider(min=1, max=8, description="bits")
    >>> link = ipywidgets.jslink((slider, "value"), (explorer.preview, "bits"))
    >>> links = [ipywidgets.jslink((explorer.preview, trait), (weights, trait)) for trait in ("bits", "scheme")]
    >>> page = ipywidgets.VBox([slider, ipywidgets.HBox([explorer.preview, weights])])
    """
    if view not in VIEWS:
        raise InputError(f"there is no view {view!r}; there are {', '.join(map(repr, VIEWS))}")
    return VIEWS[view](model if isinstance(model, Model) else load(model), images, options)


def _graph(model: Model, images: Inputs | None, options: dict[str, Any]) -> Any:
    return _alone(GraphView(model, **options))


def _histogram(model: Model, images: Inputs | None, options: dict[str, Any]) -> Any:
    return _alone(Histogram(model, **{"layer": heaviest_layer(model), **options}))


def _alone(view: View) -> View:
    replace(view)
    return view


def _of_explorer(name: str) -> Callable[..., Any]:
    def view(model: Model, images: Inputs | None, options: dict[str, Any]) -> Any:
        explorer = Explorer(model, images, **options)
        found = getattr(explorer, name)
        found.explorer = explorer  # it computes what the view shows
        found.observe(lambda change: explorer.close() if change.new is None else None, "comm")
        return found

    return view


VIEWS: Mapping[str, Callable[[Model, Inputs | None, dict[str, Any]], Any]] = {
    "explorer": lambda model, images, options: Explorer(model, images, **options),
    "controls": _of_explorer("controls"),
    "graph": _graph,
    "preview": _of_explorer("preview"),
    "curve": _of_explorer("curve"),
    "histogram": _histogram,
    "choosing": _of_explorer("choosing"),
}
"""What makes each view."""
