"""Choosing: a target and the smallest file that keeps it, and the bits of each layer, to be found or set by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from mlexplorer.comparison.outputs import class_outputs
from mlexplorer.errors import MlexplorerError
from mlexplorer.exploration import Row
from mlexplorer.model import Model
from mlexplorer.quantization.linear import Linear
from mlexplorer.quantization.lookup_table import LookupTable
from mlexplorer.quantization.plan import Plan
from mlexplorer.quantization.scheme import Scheme
from mlexplorer.recommendation import Choice, Recommendation
from mlexplorer.views.controls import publish_row, rate_data
from mlexplorer.views.view import View

AS_IT_IS = 32
"""The bits of a layer that a plan leaves out."""
_BEST_QUALITY = 150.0
"""dB; a plan that changes nothing would be infinitely good, which JSON cannot say."""
_SCHEMES: Mapping[str, type[Scheme]] = {"linear": Linear, "lookup_table": LookupTable}


def layers_data(model: Model) -> list[dict[str, Any]]:
    """The layers that quantization changes, in the model's order: id, name, type, and how many weights each has.

    Empty for models without a neural network, which have none.
    """
    try:
        assigned = Plan.uniform(model, LookupTable(bits=8)).assignments(model)
    except MlexplorerError:
        return []
    layers: dict[str, dict[str, Any]] = {}
    for node, weight, _ in assigned:
        entry = layers.setdefault(node.id, {"id": node.id, "name": node.name, "type": node.type, "counts": []})
        entry["counts"].append(weight.count)
    return list(layers.values())


def plan_of_bits(model: Model, bits: Mapping[str, int], scheme: str = "lookup_table") -> Plan:
    """The plan with so many bits for each layer, by its id; layers that are left out, or have 32, stay as they are."""
    kind = _SCHEMES[scheme]
    chosen = {node: kind(bits=depth) for node, depth in bits.items() if depth != AS_IT_IS}
    assigned = Plan.uniform(model, LookupTable(bits=8)).assignments(model)
    return Plan({weight.key: chosen[node.id] for node, weight, _ in assigned if node.id in chosen})


def asked_plan(content: Mapping[str, Any]) -> tuple[dict[str, int], str]:
    """The bits of each layer, by id, and the scheme, in a page's message that asks for a plan."""
    return {str(node): int(depth) for node, depth in content["bits"].items()}, str(content["scheme"])


def bits_of_plan(model: Model, plan: Plan) -> dict[str, int]:
    """The bits of each layer that quantization changes: the most that one of its weights has."""
    bits = dict.fromkeys((layer["id"] for layer in layers_data(model)), AS_IT_IS)
    for node, _, scheme in plan.assignments(model):
        if node.id in bits:
            bits[node.id] = scheme.bits if bits[node.id] == AS_IT_IS else max(bits[node.id], scheme.bits)
    return bits


def frontier_data(model: Model, found: Recommendation) -> list[dict[str, Any]]:
    """The choices on a recommendation's frontier, by size: label, bytes, scheme, and the bits of each layer.

    `quality` is in dB, `agreement` that of a classifier over several inputs, as `rate_data` gives it.
    """
    return [
        {
            "label": choice.label,
            "nbytes": choice.nbytes,
            "quality": min(choice.measurement.quality, _BEST_QUALITY),
            "agreement": rate_data(choice.measurement.agreement) if _counts(choice) else None,
            "scheme": plan_scheme(choice.plan),
            "bits": bits_of_plan(model, choice.plan),
        }
        for choice in found.frontier
    ]


def plan_scheme(plan: Plan) -> str:
    """What a mixed plan is made of, by name: "linear" or "lookup_table"."""
    return "linear" if any(isinstance(scheme, Linear) for scheme in plan.schemes.values()) else "lookup_table"


def _counts(choice: Choice) -> bool:
    rate = choice.measurement.agreement
    return rate is not None and rate.total > 1


class Choosing(View):
    """A target slider with the smallest file that reaches it, and the bits of each layer as columns to drag.

    >>> from mlexplorer.exploration import rows
    >>> Choosing(model, rows(model, "photo.jpg"))

    Traits: `bits`, `scheme`, `layer`, `image` (see `View`). `on_find` gets the target and looks for a mixed plan: in dB
    or, of a classifier with several pictures, the share of them that keeps its label. `on_plan` gets the bits of each
    layer, by id, and the scheme; both answer by `show_plan`.
    """

    name = "choosing"

    def __init__(
        self,
        model: Model | None = None,
        rows: Iterable[Row] = (),
        *,
        on_find: Callable[[float], None] | None = None,
        on_plan: Callable[[dict[str, int], str], None] | None = None,
        **traits: Any,
    ) -> None:
        super().__init__(**traits)
        self._model = model
        self._on_find, self._on_plan = on_find, on_plan
        if model is not None:
            abilities = {"finds": on_find is not None, "edits": on_plan is not None}
            about = {"layers": layers_data(model), "classifies": bool(class_outputs(model))}
            self.publish("layers", {"type": "layers", **about, **abilities})
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Take in a row of a sweep."""
        publish_row(self, row)

    def show_plan(self, bits: Mapping[str, int], scheme: str, nbytes: int) -> None:
        """Show the bits of each layer, by id, and the exact size of the file, in place of what was found before."""
        said = self._messages.get("search")
        if said is not None and said[0]["state"] != "running":
            self.searching("done", "")
        self.publish("plan", {"type": "plan", "bits": dict(bits), "scheme": scheme, "nbytes": nbytes})

    def show_frontier(self, choices: Iterable[Mapping[str, Any]]) -> None:
        """Show the choices of a frontier (see `frontier_data`): every plan on it can be taken."""
        self.publish("frontier", {"type": "frontier", "choices": list(choices)})

    def searching(self, state: str, text: str) -> None:
        """Say how far the search for a mixed plan is; `state` is "running", "done" or "failed"."""
        self.publish("search", {"type": "search", "state": state, "text": text})

    def handle(self, content: Mapping[str, Any]) -> None:
        """Look for a plan, or take one that was set by hand, as the page asks."""
        kind = content.get("type")
        if kind == "find" and self._on_find is not None:
            self._on_find(float(content["target"]))
        elif kind == "plan" and self._on_plan is not None:
            self._on_plan(*asked_plan(content))
