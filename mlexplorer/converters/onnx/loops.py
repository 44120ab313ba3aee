"""Loops of a constant number of steps, written out step by step: Loop, and Scan along its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import helper

from mlexplorer.converters.onnx.node import Node, Value, constant, positive
from mlexplorer.errors import ModelError, UnsupportedError

_MOST_STEPS = 256

Environment = dict[str, Value]
Follow = Callable[[Sequence[onnx.NodeProto], Environment], None]


def is_bounded(node: Node) -> bool:
    """Whether a node is a loop whose number of steps is known, or may turn out to be constant on the way."""
    if node.type == "Scan":
        return node.version >= 9  # the first version had batches
    return node.type == "Loop" and all(value is None or value.is_constant for value in node.inputs[:2])


def written_out(node: Node, opset: int, begin: Callable[[], Environment], follow: Follow) -> list[Value]:
    """The values that a bounded loop gives.

    `begin` gives an environment for one more step, `follow` traces nodes in it. Raises UnsupportedError where the
    network computes whether the loop goes on, and for more than 256 steps. Source: ONNX Loop, Scan.
    """
    steps = _Steps(node, opset, begin, follow)
    return steps.scan() if node.type == "Scan" else steps.loop()


class _Steps:
    def __init__(self, node: Node, opset: int, begin: Callable[[], Environment], follow: Follow) -> None:
        body = node.attributes.get("body")
        if not isinstance(body, onnx.GraphProto):
            raise ModelError("it has no body")
        self._node, self._opset, self._begin, self._follow = node, opset, begin, follow
        self._body = body

    def loop(self) -> list[Value]:
        node = self._node
        most = int(node.input(0).array.reshape(-1)[0]) if node.has(0) else None
        goes_on = bool(node.input(1).array.reshape(-1)[0]) if node.has(1) else True
        carried = [node.input(index) for index in range(2, len(node.inputs))]
        stacks: list[list[Value]] = [[] for _ in self._body.output[1 + len(carried) :]]
        step = 0
        while goes_on and (most is None or step < most):
            given = [
                constant(f"{node.name}/step", np.array(step)),
                constant(f"{node.name}/condition", np.array(True)),
                *carried,
            ]
            condition, *results = self._run(step, given)
            if not condition.is_constant:
                raise UnsupportedError(
                    f"whether it goes on after step {step} ({condition.name!r}) is computed by the network; only loops "
                    "of a constant number of steps are written out"
                )
            goes_on = bool(condition.array.reshape(-1)[0])
            carried = results[: len(carried)]
            for stack, value in zip(stacks, results[len(carried) :], strict=True):
                stack.append(value)
            step += 1
        return [*carried, *(self._stacked(stack, 0) for stack in stacks)]

    def scan(self) -> list[Value]:
        node = self._node
        along = node.attribute("num_scan_inputs", 0)
        states, sequences = list(node.inputs[: len(node.inputs) - along]), list(node.inputs[-along:])
        if not 1 <= along <= len(node.inputs) or None in node.inputs:
            raise ModelError(f"it has {len(node.inputs)} inputs, of which it runs along {along}")
        axes = [
            positive(axis, value.rank)
            for axis, value in zip(_each("scan_input_axes", node, along), filter(None, sequences), strict=True)
        ]
        lengths = {value.shape[axis] for value, axis in zip(filter(None, sequences), axes, strict=True)}
        if len(lengths) != 1:
            raise ModelError(f"it runs along sequences of the lengths {sorted(lengths)}")
        (length,) = lengths
        backwards = _each("scan_input_directions", node, along)
        count = len(self._body.output) - len(states)
        carried = [value for value in states if value is not None]
        stacks: list[list[Value]] = [[] for _ in range(count)]
        for step in range(length):
            slices = [
                self._slice(value, axis, length - 1 - step if back else step)
                for value, axis, back in zip(filter(None, sequences), axes, backwards, strict=True)
            ]
            results = self._run(step, [*carried, *slices])
            carried = results[: len(states)]
            for stack, value in zip(stacks, results[len(states) :], strict=True):
                stack.append(value)
        ends = zip(
            stacks, _each("scan_output_axes", node, count), _each("scan_output_directions", node, count), strict=True
        )
        return [*carried, *(self._stacked(stack[::-1] if back else stack, axis) for stack, axis, back in ends)]

    def _run(self, step: int, given: Sequence[Value]) -> list[Value]:
        if step == _MOST_STEPS:
            raise UnsupportedError(f"it has more steps than the {_MOST_STEPS} that are written out one by one")
        inner = self._begin()
        inner.update(zip((info.name for info in self._body.input), given, strict=True))
        self._follow([self._within(proto, f"step {step}") for proto in self._body.node], inner)
        return [inner[info.name] for info in self._body.output]

    def _slice(self, value: Value, axis: int, place: int) -> Value:
        gather = helper.make_node("Gather", ["x", "place"], ["slice"], axis=axis)
        return self._computed([gather], {"x": value, "place": constant(f"{self._node.name}/place", np.array(place))})

    def _stacked(self, values: Sequence[Value], axis: int) -> Value:
        """The values along a new axis."""
        if not values:
            raise UnsupportedError("it runs no step, and so gives an empty tensor, which Core ML does not have")
        axis = positive(axis, values[0].rank + 1)
        scope = {f"x{index}": value for index, value in enumerate(values)}
        if self._opset < 13:
            nodes = [helper.make_node("Unsqueeze", [name], [f"{name} up"], axes=[axis]) for name in scope]
        else:
            nodes = [helper.make_node("Unsqueeze", [name, "axes"], [f"{name} up"]) for name in scope]
        nodes.append(helper.make_node("Concat", [f"{name} up" for name in scope], ["stack"], axis=axis))
        return self._computed(nodes, {**scope, "axes": constant(f"{self._node.name}/axes", np.array([axis]))})

    def _computed(self, nodes: Sequence[onnx.NodeProto], scope: Environment) -> Value:
        """What the last of some nodes of ours gives."""
        self._follow([self._within(proto, proto.output[0]) for proto in nodes], scope)
        return scope[nodes[-1].output[0]]

    def _within(self, proto: onnx.NodeProto, part: str) -> onnx.NodeProto:
        result = onnx.NodeProto()
        result.CopyFrom(proto)
        result.name = f"{self._node.name}/{part}/{proto.name or next(filter(None, proto.output), proto.op_type)}"
        return result


def _each(attribute: str, node: Node, count: int) -> list[int]:
    """A number for each input or output, 0 where the attribute is left out."""
    numbers = [int(number) for number in node.attribute(attribute, [0] * count)]
    if len(numbers) != count:
        raise ModelError(f"{attribute} has {len(numbers)} numbers for {count}")
    return numbers
