"""A Keras model as its file describes it: layers, what each is called with, weights. Nothing of it is executed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

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
    `keywords` likewise.
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

    `class_name` is the bare class ("Conv2D", "MyLayer"); `config` its configuration; `weights` the variables by name,
    without scopes and ":0" ("kernel", "bias", "gamma", "moving_mean", "recurrent_kernel"), in Keras' order, numbered
    ("0", "1") where the file does not name them. `inner` holds the layers that a wrapper calls: {"layer": ...} of
    TimeDistributed, {"forward_layer": ..., "backward_layer": ...} of Bidirectional, {"cell": ...} of RNN. `model` is
    the network of a nested model.
    """

    name: str
    class_name: str
    config: Mapping[str, Any]
    weights: Mapping[str, Array] = field(default_factory=dict)
    calls: Sequence[Call] = ()
    inner: Mapping[str, KerasLayer] = field(default_factory=dict)
    model: KerasModel | None = None


@dataclass(frozen=True)
class KerasModel:
    """A model: Functional, or Sequential written as such, layers in an order in which they can be computed.

    `inputs` and `outputs` are in the model's own order. An InputLayer has one call without arguments, and the shape
    under "batch_shape" in its configuration, whatever the file called it. `keras_version` is that which wrote the model
    ("2.2.4", "3.6.0"), as far as the file tells; nested models may leave it out.
    """

    name: str
    layers: Sequence[KerasLayer]
    inputs: Sequence[TensorRef]
    outputs: Sequence[TensorRef]
    keras_version: str = ""


def _tensors(value: Any) -> list[TensorRef]:
    if isinstance(value, TensorRef):
        return [value]
    if isinstance(value, Mapping):
        return [tensor for item in value.values() for tensor in _tensors(item)]
    if isinstance(value, list | tuple):
        return [tensor for item in value for tensor in _tensors(item)]
    return []
