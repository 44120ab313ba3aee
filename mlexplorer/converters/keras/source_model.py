"""A Keras model as its file describes it: layers, what each is called with, weights. Nothing of it is executed."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from mlexplorer.errors import FileFormatError

Array = NDArray[Any]


@dataclass(frozen=True)
class TensorRef:
    """An output of a layer: of its call number `call`, the `index`-th of that call's results."""

    layer: str
    call: int = 0
    index: int = 0


@dataclass(frozen=True)
class Call:
    """One call of a layer; shared layers have several.

    `arguments` is what the layer is called with, in nested lists and dicts: TensorRef for tensors, plain values else.
    `keywords` likewise. Recurrent layers get their states as the keywords "initial_state" and "constants", however the
    file passes them.
    """

    arguments: Sequence[Any] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[TensorRef, ...]:
        """The tensors among the arguments, in their order, keywords last."""
        return tuple(_tensors([*self.arguments, *self.keywords.values()]))


@dataclass(frozen=True)
class KerasLayer:
    """A layer of a Keras model.

    `class_name` is the bare class ("Conv2D", "MyLayer"), `module` what it is imported from where the file says so
    ("keras.layers", "keras.src.ops.numpy": Keras 3 has an Add in each). `config` is its configuration in JSON's types,
    with functions as their names and without the code of a Lambda. `weights` are the variables by name, without scopes
    and ":0" ("kernel", "bias", "gamma", "moving_mean", "recurrent_kernel", "depthwise_kernel" of every depthwise
    layer, "query/kernel" of attention), in Keras' order, numbered ("0", "1") where the file does not name them.
    `inner` holds the layers that a wrapper calls: {"layer": ...} of TimeDistributed, {"forward_layer": ...,
    "backward_layer": ...} of Bidirectional, {"cell": ...} of RNN, {"0": ..., "1": ...} of StackedRNNCells; the weights
    are theirs then. `model` is the network of a nested model.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    weights: Mapping[str, Array] = field(default_factory=dict)
    calls: Sequence[Call] = ()
    inner: Mapping[str, KerasLayer] = field(default_factory=dict)
    model: KerasModel | None = None
    module: str = ""


@dataclass(frozen=True)
class KerasModel:
    """A model: Functional, or Sequential written as such, layers in an order in which they can be computed.

    `inputs` and `outputs` are in the model's own order. An InputLayer has one call without arguments, and the shape
    under "batch_shape" in its configuration, whatever the file called it; None where a Sequential model was saved
    before it knew its shape. `keras_version` is what the file says ("2.0.5", "3.15.0"), "3.0" where only the form
    of its JSON tells, and "" where nothing does.
    """

    name: str
    layers: Sequence[KerasLayer]
    inputs: Sequence[TensorRef]
    outputs: Sequence[TensorRef]
    keras_version: str = ""

    @cached_property
    def steps(self) -> Sequence[tuple[KerasLayer, int]]:
        """Every call of every layer, as (layer, call number), in an order in which they can be computed.

        A layer that is shared, A(B(A(x))), stands there more than once; otherwise this is the order of `layers`.
        Raises FileFormatError where calls wait for each other.
        """
        place = {layer.name: number for number, layer in enumerate(self.layers)}
        waiting: dict[tuple[int, int], int] = {}
        followers: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for number, layer in enumerate(self.layers):
            for call, made in enumerate(layer.calls):
                sources = {(place[tensor.layer], tensor.call) for tensor in made.inputs}
                waiting[number, call] = len(sources)
                for source in sources:
                    followers[source].append((number, call))
        ready = [step for step, sources in waiting.items() if not sources]
        heapq.heapify(ready)
        steps = []
        while ready:
            step = heapq.heappop(ready)
            steps.append(step)
            for follower in followers[step]:
                waiting[follower] -= 1
                if not waiting[follower]:
                    heapq.heappush(ready, follower)
        if len(steps) < len(waiting):
            stuck = sorted({self.layers[number].name for number, _ in waiting.keys() - set(steps)})
            raise FileFormatError(
                f"the layers {', '.join(map(repr, stuck[:5]))} wait for each other's results: a cycle"
            )
        return [(self.layers[number], call) for number, call in steps]


def _tensors(value: Any) -> list[TensorRef]:
    if isinstance(value, TensorRef):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in _tensors(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
