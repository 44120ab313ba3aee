"""Random small networks with the values that every blob should have, for the runtime to be compared with.

A network grows layer by layer: a layer is proposed with random options for random blobs, the second interpreter
computes it, and it stays unless it gives values that nothing could be compared with: not finite, too large, or so
sensitive that rounding could change them altogether.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer import spec
from mlexplorer.spec.weight_params import write_floats
from tests.runtime import interpreter
from tests.runtime.networks import add, array_features

Array = NDArray[Any]

_LARGEST = 100.0
_MOST_ELEMENTS = 3000
_LENGTHS = (2, 3, 4, 5, 6, 7, 8, 9, 11)

_OFTEN = {
    "activation": 4,
    "batchedMatmul": 2,
    "biDirectionalLSTM": 2,
    "branch": 2,
    "convolution": 6,
    "convolution3d": 3,
    "cropResize": 2,
    "gru": 2,
    "innerProduct": 2,
    "loop": 2,
    "padding": 2,
    "pooling": 4,
    "pooling3d": 2,
    "reduce": 3,
    "resizeBilinear": 2,
    "sliceDynamic": 2,
    "sliceStatic": 2,
    "unary": 4,
    "uniDirectionalLSTM": 3,
    "upsample": 3,
}
"""How many times as often layers with many options are proposed."""

PROPOSALS: dict[str, list[Callable[[Sketch], None]]] = {}
"""What proposes layers of each type."""


class Unfit(Exception):
    """There is no blob that the layer could take."""


def proposes(*types: str) -> Callable[[Callable[[Sketch], None]], Callable[[Sketch], None]]:
    """Register a function that appends one layer of each of these types, given as `sketch.type`."""

    def register(function: Callable[[Sketch], None]) -> Callable[[Sketch], None]:
        for name in types:
            PROPOSALS.setdefault(name, []).append(function)
        return function

    return register


@dataclass
class RandomNetwork:
    """A specification, what to feed, and for each blob the value and how far it may be off."""

    model: Any
    feeds: dict[str, Array]
    values: dict[str, Array]
    tolerances: dict[str, float]
    leaves: list[str]


class Sketch:
    """A network that grows; `blobs` are its values, `noisy` those of a run with relative errors of 1e-5."""

    def __init__(self, rng: np.random.Generator, network: Any, exact: bool) -> None:
        self.rng = rng
        self.network = network
        self.exact = exact
        self.blobs: dict[str, Array] = {}
        self.noisy: dict[str, Array] = {}
        self.feeds: dict[str, Array] = {}
        self.type = ""
        self.depth = 0
        self.prefix = "b"

    def nested(self, network: Any, prefix: str) -> Sketch:
        """A sketch of a network within; it reads this one's blobs and does not write them."""
        other = Sketch(self.rng, network, self.exact)
        other.blobs, other.noisy = dict(self.blobs), dict(self.noisy)
        other.depth, other.prefix = self.depth + 1, prefix
        return other

    # Choices

    def chance(self, probability: float = 0.5) -> bool:
        return bool(self.rng.random() < probability)

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return int(self.rng.integers(low, high + 1))

    def one(self, items: Sequence[Any]) -> Any:
        return items[self.whole(0, len(items) - 1)]

    def number(self, low: float = -2.0, high: float = 2.0) -> float:
        return float(self.rng.uniform(low, high))

    def lengths(self, count: int) -> list[int]:
        """Different lengths of axes, sometimes one of them 1."""
        chosen = [int(n) for n in self.rng.choice(_LENGTHS, count, replace=False)]
        if count > 1 and self.chance(0.15):
            chosen[self.whole(0, count - 1)] = 1
        return chosen

    def normal(self, *shape: int, scale: float = 1.0) -> Array:
        return self.rng.normal(0, scale, shape).astype(np.float32)

    def blob(self, low: int = 1, high: int = 6, fits: Callable[[Array], bool] = lambda x: True) -> str:
        """A random blob of a rank from low to high, rather a late one."""
        names = [n for n, x in self.blobs.items() if low <= x.ndim <= high and x.size and fits(x)]
        if not names:
            raise Unfit
        late = names[-3:]
        return str(self.one(late if self.chance(0.7) else names))

    def image(self, fits: Callable[[Array], bool] = lambda x: True) -> str:
        """A blob with channels, height and width."""
        return self.blob(3, 5, fits)

    def shape(self, name: str) -> tuple[int, ...]:
        return self.blobs[name].shape

    def axis(self, rank: int) -> int:
        axis = self.whole(0, rank - 1)
        return axis - rank if self.chance(0.3) else axis

    def axes(self, rank: int, least: int = 1) -> list[int]:
        count = self.whole(least, rank)
        chosen = sorted(int(a) for a in self.rng.choice(rank, count, replace=False))
        return [a - rank if self.chance(0.2) else a for a in chosen]

    # Building

    def layer(self, inputs: Sequence[str], outputs: int = 1, /, **parameters: Any) -> Any:
        """Append a layer of the proposed type; returns its message, to be filled further."""
        names = [f"{self.prefix}{len(self.network.layers)}_{i}" for i in range(outputs)]
        return self.append(self.type, inputs, names, **parameters)

    def append(self, type: str, inputs: Sequence[str], outputs: Sequence[str], /, **parameters: Any) -> Any:
        name = f"{self.prefix}{len(self.network.layers)} {type}"
        return add(self.network, type, " ".join(inputs), " ".join(outputs), name=name, **parameters)

    def finish(self, start: int) -> None:
        """Compute the layers from `start` on; raises Unfit or Fragile where their values cannot be compared."""
        blobs, noisy = dict(self.blobs), dict(self.noisy)
        noise = np.random.default_rng(len(self.network.layers))
        for layer in self.network.layers[start:]:
            interpreter.run_layer(layer, blobs)
            interpreter.run_layer(layer, noisy, noise)
        for name, value in blobs.items():
            if name in self.blobs and self.blobs[name] is value:
                continue
            other = noisy[name]
            if value.shape != other.shape or not np.isfinite(value).all() or not np.isfinite(other).all():
                raise Unfit
            if not value.size or value.size > _MOST_ELEMENTS or np.abs(value).max() > _LARGEST or value.ndim > 6:
                raise Unfit
            if np.abs(value - other).max() > 0.02 * max(0.1, np.abs(value).max()):
                raise Unfit
        self.blobs, self.noisy = blobs, noisy

    def values(self, array: Any) -> str:
        """A blob with these values: a constant or an input."""
        array = np.asarray(array, np.float32)
        array = array.reshape(1) if array.ndim == 0 else array
        if self.depth == 0 and self.chance():
            name = f"in{len(self.feeds)}"
            self.feeds[name] = array
            self.blobs[name] = self.noisy[name] = array.astype(np.float64)
            return name
        name = f"{self.prefix}{len(self.network.layers)}_c"
        params = self.append("loadConstantND", [], [name], shape=list(array.shape))
        write_floats(params.data, array.reshape(-1))
        self.blobs[name] = self.noisy[name] = array.astype(np.float64)
        return name

    def grow(self) -> str | None:
        """Append a random layer; returns its type, or None where it did not fit."""
        self.type = str(self.one([name for name in PROPOSALS for _ in range(_OFTEN.get(name, 1))]))
        start = len(self.network.layers)
        feeds, before = dict(self.feeds), (dict(self.blobs), dict(self.noisy))
        try:
            self.one(PROPOSALS[self.type])(self)
            self.finish(start)
        except Exception as error:
            if not isinstance(error, Unfit | interpreter.Fragile) and self.type != "loop":
                raise  # the second turn of a loop may meet shapes that the first one has changed
            del self.network.layers[start:]
            self.feeds, (self.blobs, self.noisy) = feeds, before
            return None
        return self.type


def random_network(seed: int) -> RandomNetwork:
    """A network of three to twelve layers and what it computes; the same for the same seed."""
    rng = np.random.default_rng(seed)
    exact = bool(rng.random() < 0.6)
    model = spec.Model(specificationVersion=4)
    model.neuralNetwork.arrayInputShapeMapping = int(exact)
    sketch = Sketch(rng, model.neuralNetwork, exact)
    for index in range(int(rng.integers(1, 4))):
        rank = int(rng.integers(1, 6)) if exact else 5
        shape = sketch.lengths(rank)
        if not exact:
            shape[0] = sketch.one((1, 1, 1, 2, 3))
            shape[1] = sketch.one((1, 1, 1, 2))
            if sketch.chance(0.2):
                shape[3:] = [1, 1]
        while np.prod(shape) > _MOST_ELEMENTS / 3:
            shape[int(np.argmax(shape))] = 2
        sketch.feeds[f"x{index}"] = sketch.normal(*shape)
        sketch.blobs[f"x{index}"] = sketch.noisy[f"x{index}"] = sketch.feeds[f"x{index}"].astype(np.float64)
    missing = int(rng.integers(3, 13))
    for _ in range(10 * missing):
        missing -= sketch.grow() is not None
        if not missing:
            break
    array_features(model.description.input, {name: array.shape for name, array in sketch.feeds.items()})
    read = {name for layer in model.neuralNetwork.layers for name in layer.input}
    leaves = [name for name in sketch.blobs if name not in read]
    array_features(model.description.output, dict.fromkeys(leaves, ()))
    tolerances = {
        name: 3 * float(np.abs(sketch.noisy[name] - value).max()) + 2e-5 * max(0.1, float(np.abs(value).max()))
        for name, value in sketch.blobs.items()
    }
    return RandomNetwork(model, sketch.feeds, sketch.blobs, tolerances, leaves)


from tests.runtime import random_layers  # noqa: E402, F401 - fills PROPOSALS
