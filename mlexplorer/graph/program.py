"""The operations of an ML Program as nodes: functions and nested blocks are scopes, small constants are parameters.

An operation `const` is not a node of its own: it is a parameter of the operations that read it, shown where it is
small, a weight where it is large. A constant that is an output of a block, or that nobody reads, stays a node.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import FileFormatError, ModelError
from mlexplorer.graph.node import Blobs, ConstantWeight, Custom, Node, Scope, Weight
from mlexplorer.graph.wiring import Names, Wiring
from mlexplorer.spec.data_types import BY_MIL, DataType
from mlexplorer.spec.reflection import LONGEST

Shape = tuple[int | None, ...]


def add_program(wiring: Wiring, program: Any, default: str, names: Names, scope: str, blobs: Blobs | None) -> Names:
    """List the operations of all functions, the default one first; answers what its outputs' names stand for."""
    several = len(program.functions) > 1
    results: Names = {}
    for name in sorted(program.functions, key=lambda name: (name != default, name)):
        function = program.functions[name]
        inner = f"{scope}/{name}" if scope and several else name if several else scope
        if several:
            wiring.scopes.append(Scope(inner, name, "function", scope))
        known = {feature.name: () if results else names.get(feature.name, ()) for feature in function.inputs}
        for feature in function.inputs:
            shape, dtype = tensor_type(feature.type)
            for index in known[feature.name]:
                wiring.writes[index].shape, wiring.writes[index].dtype = shape, dtype
            if not known[feature.name]:
                known[feature.name] = (wiring.write(feature.name, inner, None, shape, dtype),)
        for opset, block in sorted(function.block_specializations.items()):
            if opset == function.opset or function.opset not in function.block_specializations:
                _BlockWalk(wiring, blobs, known, inner, {}, _read_names(block)).add(block)
        results = results or known
    return results


def _read_names(block: Any) -> frozenset[str]:
    return frozenset(
        binding.name
        for operation in block.operations
        for argument in operation.inputs.values()
        for binding in argument.arguments
    ).union(*(_read_names(inner) for operation in block.operations for inner in operation.blocks))


@dataclass
class _BlockWalk:
    wiring: Wiring
    blobs: Blobs | None
    names: Names
    scope: str
    constants: dict[str, Any] = field(default_factory=dict)
    read: frozenset[str] = frozenset()

    def add(self, block: Any) -> None:
        returned = set(block.outputs)
        for operation in block.operations:
            output = operation.outputs[0].name if operation.outputs else ""
            if operation.type == "const" and "val" in operation.attributes:
                self.constants[output] = operation.attributes["val"]
                if output in self.read and output not in returned:
                    continue
            self._add_operation(operation, output)

    def _add_operation(self, operation: Any, output: str) -> None:
        label = str(plain(operation.attributes["name"])) if "name" in operation.attributes else output
        node_id = self.wiring.new_id(self.scope, output or operation.type)
        owner = f"operation {label!r} ({operation.type})"
        arguments = {name: list(operation.inputs[name].arguments) for name in sorted(operation.inputs)}
        bindings = [binding for bound in arguments.values() for binding in bound]
        literals = {name: operation.attributes[name] for name in sorted(operation.attributes) if name != "name"}
        literals |= {name: value for name, bound in arguments.items() if (value := self._literal(bound)) is not None}
        node = Node(
            id=node_id,
            name=label,
            type=operation.type,
            inputs=tuple(dict.fromkeys(b.name for b in bindings if b.name and b.name not in self.constants)),
            outputs=tuple(result.name for result in operation.outputs),
            params=operation,
            scope=self.scope,
            weights=tuple(
                _weight(node_id, owner, name, value, self.blobs)
                for name, value in literals.items()
                if _is_weight(value)
            ),
            custom=_custom(operation),
            read_parameters=partial(_parameters, literals),
        )
        self.wiring.add(node, self.names)
        for result in operation.outputs:
            for index in self.names[result.name]:
                self.wiring.writes[index].shape, self.wiring.writes[index].dtype = tensor_type(result.type)
        self._add_blocks(operation, node_id)

    def _add_blocks(self, operation: Any, node_id: str) -> None:
        for i, block in enumerate(operation.blocks):
            scope = f"{node_id}/blocks[{i}]"
            self.wiring.scopes.append(Scope(scope, f"blocks[{i}]", "block", self.scope))
            inner = dict(self.names)
            for feature in block.inputs:
                shape, dtype = tensor_type(feature.type)
                inner[feature.name] = (self.wiring.write(feature.name, scope, node_id, shape, dtype),)
            _BlockWalk(self.wiring, self.blobs, inner, scope, dict(self.constants), self.read).add(block)

    def _literal(self, bindings: list[Any]) -> Any:
        """The constant that a parameter is bound to; None where it depends on a value."""
        values = [self.constants.get(binding.name) if binding.name else binding.value for binding in bindings]
        if not values or any(value is None for value in values):
            return None
        return values[0] if len(values) == 1 else values


def _is_weight(value: Any) -> bool:
    """Whether a constant is a weight: numbers in weight.bin, or more of them than are shown inline."""
    if isinstance(value, list) or value.type.WhichOneof("type") != "tensorType":
        return False
    if value.WhichOneof("value") == "blobFileValue":
        return True
    shape, dtype = tensor_type(value.type)
    return dtype != "string" and None not in (shape or ()) and math.prod(n or 0 for n in shape or ()) > LONGEST


def _weight(node_id: str, owner: str, name: str, value: Any, blobs: Blobs | None) -> Weight:
    shape, dtype = tensor_type(value.type)
    sizes = tuple(int(n or 0) for n in shape or ())
    data_type = _data_type(value)
    read = partial(_read, value, sizes, data_type, blobs, f"{owner}: {name}")
    return ConstantWeight(node_id, name, sizes, None, dtype or "unknown", data_type.bits, value, owner, read)


def _data_type(value: Any) -> DataType:
    number = value.type.tensorType.dataType
    known = value.type.tensorType.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number
    if number not in known or known[number].name not in BY_MIL:
        return DataType(f"data type {number}", "", 0)
    return BY_MIL[known[number].name]


def _read(value: Any, shape: tuple[int, ...], data_type: DataType, blobs: Blobs | None, label: str) -> NDArray[Any]:
    count = math.prod(shape)
    if value.WhichOneof("value") == "blobFileValue":
        location = value.blobFileValue
        if blobs is None:
            raise FileFormatError(
                f"{label} lies in {location.fileName!r}, but the model was loaded without its weight files; "
                "load the .mlpackage instead"
            )
        stored, data = blobs.read(location.fileName, location.offset)
        if stored.name != data_type.name:
            raise ModelError(f"{label} should be {data_type.name}, but {location.fileName!r} holds {stored.name}")
        if len(data) != data_type.nbytes(count):
            raise ModelError(
                f"{label} has shape {list(shape)}, {data_type.nbytes(count)} bytes of {data_type.name}, but "
                f"{location.fileName!r} holds {len(data)} bytes at offset {location.offset}"
            )
        return data_type.decode(data, count).reshape(shape)
    values = _immediate(value, data_type, count)
    if values.size != count:
        raise ModelError(f"{label} has shape {list(shape)}, {count} values, but the program holds {values.size}")
    return values.reshape(shape)


def _immediate(value: Any, data_type: DataType, count: int) -> NDArray[Any]:
    tensor = value.immediateValue.tensor
    chosen = tensor.WhichOneof("value")
    if chosen is None:
        return np.empty(0, np.float32)
    values = getattr(tensor, chosen).values
    return data_type.decode(values, count) if chosen == "bytes" else np.array(values)


def tensor_type(value_type: Any) -> tuple[Shape | None, str | None]:
    """The shape (None for a size that varies) and the data type's name; a state is what it wraps."""
    chosen = value_type.WhichOneof("type")
    if chosen == "stateType":
        return tensor_type(value_type.stateType.wrappedType)
    if chosen != "tensorType":
        return None, None
    tensor = value_type.tensorType
    names = tensor.DESCRIPTOR.fields_by_name["dataType"].enum_type.values_by_number
    known = names.get(tensor.dataType)
    dtype = BY_MIL[known.name].name if known and known.name in BY_MIL else None
    sizes = (d.constant.size if d.WhichOneof("dimension") == "constant" else None for d in tensor.dimensions)
    return tuple(None if n is None else int(n) for n in sizes), dtype


def _parameters(literals: dict[str, Any]) -> dict[str, Any]:
    return {
        name: [plain(item) for item in value] if isinstance(value, list) else plain(value)
        for name, value in literals.items()
        if not _is_weight(value)
    }


def plain(value: Any) -> Any:
    """A constant as plain Python values; a large one as its type and shape, "float16[64, 3, 3, 3]"."""
    shape, dtype = tensor_type(value.type)
    chosen = value.immediateValue.WhichOneof("value")
    if value.WhichOneof("value") == "blobFileValue" or _is_weight(value):
        return f"{dtype}{list(shape or ())}"
    if chosen == "list":
        return [plain(item) for item in value.immediateValue.list.values]
    if chosen == "tuple":
        return [plain(item) for item in value.immediateValue.tuple.values]
    if chosen == "dictionary":
        pairs = value.immediateValue.dictionary.values
        return {str(plain(pair.key)): plain(pair.value) for pair in pairs}
    if dtype == "string":
        values = list(value.immediateValue.tensor.strings.values)
        return (values[0] if values else "") if not shape else values[:LONGEST]
    count = math.prod(n or 0 for n in shape or ())
    array = _immediate(value, _data_type(value), count)
    return array.reshape([n or 0 for n in shape or ()]).tolist() if array.size == count else array.tolist()


def _custom(operation: Any) -> Custom | None:
    """A custom operation names its class in attributes, as a custom layer does."""
    if operation.type != "custom_layer":
        return None
    given = {name: plain(operation.attributes[name]) for name in operation.attributes}
    named = {name: given.pop(name, "") for name in ("class_name", "description", "name")}
    return Custom(str(named["class_name"]), str(named["description"]), given)
