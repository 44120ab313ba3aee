"""A neural network that runs: segments of ONNX between the steps that are Python.

A network is lowered for the shapes that are fed to it. Where a custom layer, a branch, a loop or a shape that only a
run can tell stands in the way, the graph is cut, and what follows is lowered when it is reached. Lowered graphs carry
no weights: they are shared by all quantized copies of a model.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from math import inf, isfinite
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import Cancelled, CustomLayerError, MlexplorerError, ModelError, UnsupportedError
from mlexplorer.graph import Node
from mlexplorer.layers import EVALUATIONS, LOWERINGS
from mlexplorer.model import Model
from mlexplorer.runtime.custom import CustomLayerClass, CustomStep, registered_custom_layers
from mlexplorer.runtime.custom_stub import missing_layers_text
from mlexplorer.runtime.half_precision import HalfPrecision, round_to_half
from mlexplorer.runtime.loops import Watch
from mlexplorer.runtime.room import check_room

if TYPE_CHECKING:
    from onnxruntime import RunOptions

    from mlexplorer.runtime.lowering import Segment
    from mlexplorer.runtime.sessions import Session

Array = NDArray[Any]

NETWORK_KINDS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
BAKED_ELEMENTS = 64
"""Constants up to this size may become shapes and indices while lowering; bigger ones are always weights."""
_TRUTH = 1e-6
_ALWAYS = 1 << 62
_NESTED = {"branch": ("ifBranch", "elseBranch"), "loop": ("conditionNetwork", "bodyNetwork")}
RUN_HERE = frozenset({"custom", "branch", "loop", "loopBreak", "loopContinue"})
"""Layer types that the walk through a network runs itself."""


_MOST_SEGMENTS = 256
"""Segments that are kept ready; a loop whose values grow asks for new ones at every turn."""

_Key = tuple[Any, ...]
_T = TypeVar("_T")


class _LoopBreak(Exception):
    pass


class _LoopContinue(Exception):
    pass


class _Weights(Mapping[str, Array]):
    """The float32 arrays of a model's weights by key, decoded, and rounded where need be, when asked for.

    Those in `replaced` are taken from there.
    """

    def __init__(self, model: Model, half: HalfPrecision | None, replaced: Mapping[str, Array]) -> None:
        self._weights = {weight.key: weight for weight in model.graph.weights}
        self._replaced = replaced
        self._rounded = {w.key for n in model.graph.nodes if half and half.rounds_weights(n) for w in n.weights}

    def __getitem__(self, key: str) -> Array:
        array = self._replaced[key] if key in self._replaced else self._weights[key].array()
        return round_to_half(array) if key in self._rounded else array

    def __contains__(self, key: object) -> bool:
        return key in self._weights

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)


class Program:
    """Runs the network of a NeuralNetwork model on arrays that have the network's own ranks.

    Raises UnsupportedError or CustomLayerError, before anything runs, with the name of every layer that cannot run.
    `custom_layers` gives classes by class name, beside those registered with `custom_layer`. `half_precision` rounds
    inputs, weights and the results of each layer to float16, as the GPU and the Neural Engine store them; places,
    lengths and counts stay exact, and custom layers get their weights as the file has them.
    """

    def __init__(
        self,
        model: Model,
        custom_layers: Mapping[str, CustomLayerClass] | None = None,
        half_precision: bool = False,
    ) -> None:
        if model.kind not in NETWORK_KINDS:
            raise UnsupportedError(f"a model of type {model.kind} cannot be run yet; neural networks can")
        self._classes = {**registered_custom_layers(), **(custom_layers or {})}
        self._networks: dict[str, list[Node]] = {}
        for node in model.graph.nodes:
            self._networks.setdefault(node.scope, []).append(node)
        self._check(legacy=getattr(model.spec, model.kind).arrayInputShapeMapping == 0)
        self._half = HalfPrecision(model.graph.nodes) if half_precision else None
        self._custom = {
            node.id: CustomStep(node, self._classes[node.params.className])
            for nodes in self._networks.values()
            for node in nodes
            if node.type == "custom"
        }
        self._last_read = self._find_last_reads(model.graph.nodes)
        self._segments: dict[_Key, Segment] = {}
        self._bind(model, {})

    def rebind(self, model: Model, replaced: Mapping[str, Array] | None = None) -> Program:
        """A program for a copy of the model whose weights differ; the lowered graphs are shared.

        Weights in `replaced`, float32 arrays by key, are taken from there and not from the model.
        """
        other = object.__new__(Program)
        other.__dict__.update(self.__dict__)
        other._bind(model, replaced or {})
        return other

    def run(self, feeds: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Array]:
        """The blobs named in `outputs`, float32, for the input blobs in `feeds`.

        Raises ModelError where a blob does not exist or shapes contradict each other, and Cancelled after `cancel`.
        """
        self._cancelled.clear()
        run = _Run(self, feeds, outputs)
        run.main(0, None)
        missing = [name for name in outputs if name not in run.blobs]
        if missing:
            raise ModelError(f"no layer of the network writes {', '.join(map(repr, missing))}")
        return {name: run.blobs[name] for name in outputs}

    def cancel(self) -> None:
        """Stop the run that is under way, from another thread; `run` then raises Cancelled."""
        self._cancelled.set()
        options = self._run_options
        if options is not None:
            options.terminate = True

    def _bind(self, model: Model, replaced: Mapping[str, Array]) -> None:
        self._weights = _Weights(model, self._half, replaced)
        small = [
            weight
            for node in model.graph.nodes
            if node.type in ("loadConstant", "loadConstantND")
            for weight in node.weights
            if weight.count <= BAKED_ELEMENTS
        ]
        self._baked = frozenset(weight.key for weight in small)
        digest = hashlib.sha256()
        for weight in small:
            digest.update(weight.key.encode() + self._weights[weight.key].tobytes())
        self._baked_digest = digest.digest()
        self._sessions: dict[_Key, Session] = {}
        self._run_options: RunOptions | None = None
        self._cancelled = threading.Event()

    def _check(self, *, legacy: bool) -> None:
        nodes = [node for network in self._networks.values() for node in network]
        unknown = [n for n in nodes if n.type not in LOWERINGS and n.type not in EVALUATIONS and n.type not in RUN_HERE]
        if unknown:
            names = ", ".join(f"{node.name!r} ({node.type})" for node in unknown[:20])
            raise UnsupportedError(f"these layers cannot be run yet: {names}")
        missing = [n for n in nodes if n.type == "custom" and n.params.className not in self._classes]
        if missing:
            raise CustomLayerError(missing_layers_text(missing, legacy=legacy))

    def _find_last_reads(self, nodes: Sequence[Node]) -> dict[str, dict[str, int]]:
        """For each network the index of its last layer that reads a blob; nested ones may have another turn."""
        reads: dict[str, set[str]] = {}
        for node in reversed(nodes):  # the layers of a nested network follow the one that owns it
            own = reads[node.id] = set(node.inputs)
            if node.type == "loop" and node.params.conditionVar:
                own.add(node.params.conditionVar)
            for field in _NESTED.get(node.type, ()):
                own.update(*(reads[inner.id] for inner in self._networks.get(f"{node.id}/{field}", ())))
        every = dict.fromkeys(set().union(*reads.values()), _ALWAYS)
        last = dict.fromkeys(self._networks, every)
        last[""] = {blob: index for index, node in enumerate(self._networks.get("", ())) for blob in reads[node.id]}
        return last


class Walk:
    """A run that stops before layers of the main network, and goes on with the weights of other copies of the model.

    `outputs` are blobs that are kept besides those that a later layer reads.
    """

    def __init__(self, feeds: Mapping[str, Array], outputs: Sequence[str] = ()) -> None:
        self._feeds, self._outputs = feeds, outputs
        self._run: _Run | None = None
        self._at = 0

    @property
    def at(self) -> int:
        """The layer that it stands before."""
        return self._at

    def to(self, program: Program, stop: int) -> Mapping[str, Array]:
        """The blobs at hand before layer `stop`, those that it or a later layer reads.

        The layers from where the last call stopped have the weights of `program`. Raises as `Program.run` does.
        """
        run = self._run = self._run or _Run(program, self._feeds, self._outputs)
        run.continue_with(program, self._at, stop)
        self._at = stop
        return run.blobs

    def fork(self) -> Walk:
        """Another walk that goes on from here; both share what is at hand, which no layer changes."""
        other = Walk(self._feeds, self._outputs)
        other._at, other._run = self._at, self._run and self._run.copy()
        return other


class _Run:
    """The blobs of one run, and the walk through the layers."""

    def __init__(self, program: Program, feeds: Mapping[str, Array], outputs: Sequence[str]) -> None:
        self._program = program
        self._outputs = frozenset(outputs)
        self.blobs = {name: np.ascontiguousarray(array, np.float32) for name, array in feeds.items()}
        half = program._half
        if half is not None:
            self.blobs.update({n: round_to_half(a) for n, a in self.blobs.items() if n not in half.exact})
        self._known: dict[str, Array] = {}

    def continue_with(self, program: Program, start: int, stop: int) -> None:
        """Run some layers of the main network with the weights of a program, and forget what no later one reads."""
        self._program = program
        self.main(start, stop)
        last_read = program._last_read[""]
        needed = self._outputs
        self.blobs = {b: array for b, array in self.blobs.items() if b in needed or last_read.get(b, -1) >= stop}

    def copy(self) -> _Run:
        """The same run, to go on by itself."""
        other = object.__new__(_Run)
        other.__dict__.update(self.__dict__, blobs=dict(self.blobs), _known=dict(self._known))
        return other

    def main(self, start: int, stop: int | None) -> None:
        """Run the layers from `start` to `stop` of the main network."""
        try:
            self.network("", start, stop)
        except RecursionError:
            raise ModelError("the branches and loops of the network are nested too deeply to be run") from None
        except (_LoopBreak, _LoopContinue):
            raise ModelError("a loopBreak or loopContinue layer stands outside of all loops") from None

    def network(self, scope: str, start: int = 0, stop: int | None = None) -> None:
        """Run the layers from `start` to `stop` of a network: the main one ("") or a nested one by its scope."""
        nodes = self._program._networks.get(scope, ())[:stop]
        index = start
        while index < len(nodes):
            if self._program._cancelled.is_set():
                raise Cancelled("the run was cancelled")
            node = nodes[index]
            if node.type in LOWERINGS:
                index = self._segment(scope, nodes, index)
            else:
                self._step(node)
                index += 1

    def _segment(self, scope: str, nodes: Sequence[Node], start: int) -> int:
        # onnx and onnxruntime take as long to import as numpy: the page shows the explorer before something runs
        from onnxruntime import RunOptions

        from mlexplorer.runtime.lowering import lower
        from mlexplorer.runtime.sessions import Session

        program = self._program
        last_read = program._last_read[scope]
        if all(blob in self.blobs for blob in nodes[start].inputs):
            check_room(nodes[start], [self.blobs[blob] for blob in nodes[start].inputs])
        shapes = {blob: array.shape for blob, array in self.blobs.items()}
        known = {} if scope else self._known
        key = (
            program._baked_digest,
            self._outputs,
            scope,
            start,
            len(nodes),
            tuple(sorted(shapes.items())),
            tuple(sorted((blob, array.tobytes()) for blob, array in known.items())),
        )
        segment = program._segments.get(key)
        arrays: Mapping[str, Array] | None = None
        if segment is None:

            def wanted(blob: str, stop: int) -> bool:
                return blob in self._outputs or last_read.get(blob, -1) >= stop

            with np.errstate(all="ignore"):  # a constant that is no number is no reason to warn
                segment = lower(nodes, start, shapes, known, program._weights, program._baked, wanted, program._half)
            arrays = segment.arrays
            segment = segment.without_arrays()
            _keep(program._segments, key, segment)
        self._drop(nodes[start : segment.stop])
        if segment.outputs:
            session = program._sessions.get(key)
            if session is None:
                if arrays is None:
                    arrays = {use.name: use.array(program._weights) for use in segment.uses}
                session = Session(segment.model, arrays)
                _keep(program._sessions, key, session)
            program._run_options = options = RunOptions()
            try:
                results = session.run({name: self.blobs[blob] for blob, name in segment.inputs}, options)
            finally:
                program._run_options = None
            self.blobs.update(zip((blob for blob, _ in segment.outputs), results, strict=True))
        for blob, array in segment.constants.items():
            self.blobs[blob] = array
            self._known[blob] = array
        return segment.stop

    def _drop(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            for blob in node.outputs:
                self._known.pop(blob, None)

    def _step(self, node: Node) -> None:
        self._drop([node])
        if node.type == "branch":
            if not node.inputs:
                raise ModelError(f"layer {node.name!r} (branch) has no input that decides; it must have one")
            field = "ifBranch" if self._truth(node, node.inputs[0]) else "elseBranch"
            self.network(f"{node.id}/{field}")
        elif node.type == "loop":
            self._loop(node)
        elif node.type == "loopBreak":
            raise _LoopBreak
        elif node.type == "loopContinue":
            raise _LoopContinue
        else:
            inputs = [self._blob(node, blob) for blob in node.inputs]
            try:
                if node.type == "custom":
                    results: Sequence[Array] = self._program._custom[node.id].evaluate(
                        [array.copy() for array in inputs]
                    )
                else:
                    with np.errstate(all="ignore"):
                        results = EVALUATIONS[node.type](node, inputs)
            except MlexplorerError:
                raise
            except (ValueError, ArithmeticError, LookupError, TypeError, MemoryError) as error:
                shapes = ", ".join(str(list(array.shape)) for array in inputs)
                raise ModelError(
                    f"layer {node.name!r} ({node.type}) cannot take inputs of shapes {shapes}: {error}"
                ) from error
            half = self._program._half
            for blob, result in zip(node.outputs, results, strict=False):
                array = np.asarray(result, np.float32)
                self.blobs[blob] = round_to_half(array) if half is not None and half.rounds(node, blob) else array

    def _loop(self, node: Node) -> None:
        params = node.params
        left = self._most_turns(node)
        watch = Watch(self._program._networks, node)
        while left > 0:
            if self._program._cancelled.is_set():
                raise Cancelled("the run was cancelled")
            if params.conditionVar:
                self.network(f"{node.id}/conditionNetwork")
                if not self._truth(node, params.conditionVar):
                    break
            try:
                self.network(f"{node.id}/bodyNetwork")
            except _LoopBreak:
                break
            except _LoopContinue:
                pass
            left -= 1
            period = watch.period(self.blobs)
            if period and left == inf:
                raise ModelError(f"layer {node.name!r} (loop) never ends: its values recur every {period} turns")
            if period:
                left %= period

    def _most_turns(self, node: Node) -> int | float:
        """How many turns a loop may take: infinity where only its condition ends it."""
        params = node.params
        if not node.inputs:
            return int(params.maxLoopIterations) or (inf if params.conditionVar else 0)
        values = self._blob(node, node.inputs[0]).reshape(-1)
        if not values.size or not isfinite(values[0]):
            raise ModelError(f"layer {node.name!r} (loop): the number of turns {node.inputs[0]!r} is no number")
        return int(values[0])

    def _truth(self, node: Node, blob: str) -> bool:
        values = self._blob(node, blob).reshape(-1)
        if not values.size:
            raise ModelError(f"layer {node.name!r} ({node.type}): the condition {blob!r} is empty")
        return abs(float(values[0])) > _TRUTH

    def _blob(self, node: Node, blob: str) -> Array:
        if blob not in self.blobs:
            raise ModelError(f"layer {node.name!r} ({node.type}) reads {blob!r}, which nothing before it writes")
        return self.blobs[blob]


def _keep(cache: dict[_Key, _T], key: _Key, value: _T) -> None:
    """Put a value into a cache, the oldest ones out."""
    cache[key] = value
    while len(cache) > _MOST_SEGMENTS:
        cache.pop(next(iter(cache)))
