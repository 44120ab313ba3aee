"""Nodes that stand for others: functions of the model, and operators that ONNX, or we, define by simpler ones."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import onnx
from onnx import AttributeProto, helper

from mlexplorer.converters.onnx.definitions import own_definition
from mlexplorer.converters.onnx.node import Node

_ATTRIBUTE_TYPES = {
    "f": AttributeProto.FLOAT,
    "i": AttributeProto.INT,
    "s": AttributeProto.STRING,
    "t": AttributeProto.TENSOR,
    "g": AttributeProto.GRAPH,
    "floats": AttributeProto.FLOATS,
    "ints": AttributeProto.INTS,
    "strings": AttributeProto.STRINGS,
}
"""The type of an attribute by the field that holds it."""


def definition(node: Node, own: Mapping[tuple[str, str], onnx.FunctionProto]) -> onnx.FunctionProto | None:
    """What a node stands for: one of the model's own functions, or what its operator is defined by, or None."""
    domain, type = node.proto.domain, node.proto.op_type
    if (domain, type) in own or not onnx.defs.has(type, domain):
        return own.get((domain, type)) or own_definition(node)
    try:
        schema = onnx.defs.get_schema(type, node.version, domain)
    except onnx.defs.SchemaError:
        return None
    if (body := own_definition(node)) is not None:
        return body
    if schema.has_function:  # type: ignore[attr-defined]
        return _with_defaults(schema.function_body, schema)
    if not schema.has_context_dependent_function:  # type: ignore[attr-defined]
        return None
    types = [
        helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape).SerializeToString()
        if value is not None
        else b""
        for value in node.inputs
    ]
    body = onnx.FunctionProto()
    write = schema.get_context_dependent_function  # type: ignore[attr-defined]
    body.ParseFromString(write(node.proto.SerializeToString(), types))
    return _with_defaults(body, schema)


def written_out(node: Node, body: onnx.FunctionProto, given: Collection[str]) -> list[onnx.NodeProto]:
    """The nodes of a function under the name of the one that calls it, with its attributes.

    What the call leaves out of the function's inputs, all but `given`, its nodes leave out, too.
    """
    attributes = {attribute.name: attribute for attribute in (*body.attribute_proto, *node.proto.attribute)}
    omitted = set(body.input).difference(given)
    nodes = []
    for proto in body.node:
        result = onnx.NodeProto()
        result.CopyFrom(proto)
        result.name = f"{node.name}/{proto.name or next(filter(None, proto.output), proto.op_type)}"
        for index, name in enumerate(proto.input):
            if name in omitted:
                result.input[index] = ""
        del result.attribute[:]
        result.attribute.extend(
            _bound(attribute, attributes)
            for attribute in proto.attribute
            if not attribute.ref_attr_name or attribute.ref_attr_name in attributes
        )
        nodes.append(result)
    return nodes


def _bound(attribute: AttributeProto, attributes: Mapping[str, AttributeProto]) -> AttributeProto:
    """An attribute, or the one of the call that it refers to, under its name."""
    if not attribute.ref_attr_name:
        return attribute
    result = AttributeProto()
    result.CopyFrom(attributes[attribute.ref_attr_name])
    result.name = attribute.name
    return result


def _with_defaults(body: onnx.FunctionProto, schema: onnx.defs.OpSchema) -> onnx.FunctionProto:
    """The function that defines an operator, with the defaults of the operator's attributes."""
    result = onnx.FunctionProto()
    result.CopyFrom(body)
    result.attribute_proto.extend(
        attribute.default_value for attribute in schema.attributes.values() if attribute.default_value.type
    )
    return result


def with_types(proto: onnx.NodeProto, domain: str) -> onnx.NodeProto:
    """The node with `domain`, and with types for its attributes, which the first files did not state."""
    if proto.domain == domain and all(attribute.type or attribute.ref_attr_name for attribute in proto.attribute):
        return proto
    result = onnx.NodeProto()
    result.CopyFrom(proto)
    result.domain = domain
    for attribute in result.attribute:
        if not attribute.type:
            kinds = [
                _ATTRIBUTE_TYPES[field.name] for field, _ in attribute.ListFields() if field.name in _ATTRIBUTE_TYPES
            ]
            attribute.type = kinds[0] if kinds else AttributeProto.INT
    return result
