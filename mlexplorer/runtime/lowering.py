"""From layers to one ONNX graph: as many layers of a network as can be written for the shapes at hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import MlexplorerError, ModelError, UnsupportedError
from mlexplorer.graph import Node
from mlexplorer.layers import LOWERINGS
from mlexplorer.runtime.builder import GraphBuilder, UnknownShape, Value, WeightUse
from mlexplorer.runtime.half_precision import HalfPrecision, is_relu
from mlexplorer.runtime.room import sizing_inputs

Array = NDArray[Any]


@dataclass(frozen=True)
class Segment:
    """A stretch of layers as one weightless ONNX graph for fixed input shapes.

    `stop` is the index of the first layer that is not in it; `inputs` and `outputs` pair blob names with graph names;
    `constants` are blobs whose values do not depend on any input; `arrays` are the initializers of this lowering.
    """

    stop: int
    model: bytes
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]
    constants: Mapping[str, Array]
    uses: tuple[WeightUse, ...]
    arrays: Mapping[str, Array]

    def without_arrays(self) -> Segment:
        """The same segment, to be kept: graphs are small, weights are not."""
        return replace(self, arrays={})


def lower(
    nodes: Sequence[Node],
    start: int,
    shapes: Mapping[str, tuple[int, ...]],
    known: Mapping[str, Array],
    weights: Mapping[str, Array],
    baked: frozenset[str],
    wanted: Callable[[str, int], bool],
    half: HalfPrecision | None = None,
) -> Segment:
    """The longest segment from layer `start` on.

    It ends before a layer that is not lowered to ONNX, one that needs a shape that only a run can tell, or one whose
    result is as large as a run says. `shapes` are those of the blobs at hand, `known` the values of constant ones, and
    `wanted(blob, stop)` says whether a blob is read after layer `stop`; `half` says which results are rounded. Raises
    ModelError or UnsupportedError naming the layer.
    """
    build = GraphBuilder(weights, baked)
    blobs: dict[str, Value] = {}
    written: dict[str, Value] = {}
    fed: dict[str, str] = {}
    unrounded: dict[str, Value] = {}

    def read(node: Node, blob: str) -> Value:
        if blob not in blobs:
            if blob in known:
                blobs[blob] = build.constant(known[blob])
            elif blob in shapes:
                blobs[blob] = build.input(shapes[blob])
                fed[blob] = blobs[blob].name
            else:
                raise ModelError(f"layer {node.name!r} ({node.type}) reads {blob!r}, which nothing before it writes")
        return blobs[blob]

    stop = start
    for node in nodes[start:]:
        lowering = LOWERINGS.get(node.type)
        if lowering is None:
            break
        if stop > start and any(read(node, node.inputs[i]).value is None for i in sizing_inputs(node)):
            break  # the values are looked at before anything is allocated for them
        mark = build.mark()
        build.layer = node.name
        early = is_relu(node) and not unrounded.keys().isdisjoint(node.inputs)
        try:
            operands = [unrounded[blob] if early else read(node, blob) for blob in node.inputs]
            values = lowering(build, node, [build.cast(operand, np.float32) for operand in operands])
            results = [
                build.cast(value, np.float32) for value in (values if isinstance(values, Sequence) else (values,))
            ]
        except UnknownShape:
            build.rewind(mark)
            if stop == start:
                raise UnsupportedError(
                    f"layer {node.name!r} ({node.type}) needs a shape inside it that depends on its values"
                ) from None
            break
        except MlexplorerError as error:
            if repr(node.name) in str(error):
                raise
            raise type(error)(f"layer {node.name!r} ({node.type}): {error}") from error
        except (ValueError, ArithmeticError, LookupError, TypeError, MemoryError) as error:
            raise ModelError(f"layer {node.name!r} ({node.type}) has parameters that make no sense: {error}") from error
        if len(results) < len(node.outputs):
            raise ModelError(
                f"layer {node.name!r} ({node.type}) names {len(node.outputs)} outputs but has {len(results)}"
            )
        for blob, value in zip(node.outputs, results, strict=False):
            unrounded.pop(blob, None)
            if half is not None and (early or half.rounds(node, blob)):
                unrounded[blob], value = value, build.round_to_half(value)
            written[blob] = blobs[blob] = value
        stop += 1

    constants: dict[str, Array] = {}
    outputs: dict[str, str] = {}
    for blob, value in written.items():
        if wanted(blob, stop):
            if value.value is not None:
                constants[blob] = np.asarray(value.value, np.float32)
            else:
                outputs[blob] = build.as_output(value, set(outputs.values()))
    model = build.model(list(outputs.values()))
    used = {use.name for use in build.uses.values()}
    return Segment(
        stop,
        model,
        tuple(fed.items()),
        tuple(outputs.items()),
        constants,
        tuple(build.uses.values()),
        {name: array for name, array in build.arrays.items() if name in used},
    )
