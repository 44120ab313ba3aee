"""The table of functions that functional models record when tensors are computed with.

Keras 3 has a class for each ("TrueDivide", "GetItem"), whose settings are in the configuration or in the call; Keras 2
has TFOpLambda with the name of TensorFlow's function, and TensorFlowOpLayer with a node of its graph.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mlexplorer.converters.keras.context import Context, Results, converts
from mlexplorer.converters.keras.source_model import KerasLayer
from mlexplorer.converters.keras.values import Value

Function = Callable[[Context], Results]
FUNCTIONS: dict[str, Function] = {}


def function(*names: str) -> Callable[[Function], Function]:
    """Register what converts operators of these names, those of Keras 3's classes and of TensorFlow's functions."""

    def register(convert: Function) -> Function:
        for name in names:
            FUNCTIONS[name] = convert
            if name[:1].isupper():
                converts(name)(convert)
        return convert

    return register


def knows_function(layer: KerasLayer) -> bool:
    """Whether a layer that calls a function by its name calls one that is known."""
    return layer.class_name not in ("TFOpLambda", "TensorFlowOpLayer") or _name(layer) in FUNCTIONS


def _name(layer: KerasLayer) -> str:
    node = layer.config.get("node_def")
    if layer.class_name == "TensorFlowOpLayer":
        return str(node.get("op")) if isinstance(node, Mapping) else ""
    return str(layer.config.get("function"))


@converts("TFOpLambda")
def tf_op_lambda(c: Context) -> Results:
    """TFOpLambda: the function that its configuration names."""
    return FUNCTIONS[_name(c.layer)](c)


@converts("TensorFlowOpLayer")
def tensorflow_op_layer(c: Context) -> Results:
    """TensorFlowOpLayer: a node of a graph, some of whose inputs are constants."""
    constants = c.layer.config.get("constants") or {}
    count = len(c.inputs) + len(constants)
    values = iter(c.inputs)
    given = [constants[str(n)] if str(n) in constants else next(values) for n in range(count)]
    return FUNCTIONS[_name(c.layer)](replace(c, arguments=given, keywords={}))


def setting(c: Context, name: str, position: int, default: Any = None) -> Any:
    """A setting of an operator: of its configuration, or as the call's keyword or positional argument."""
    for value in (c.layer.config.get(name), c.keywords.get(name)):
        if value is not None:
            return value
    if position < len(c.arguments) and not isinstance(c.arguments[position], Value):
        value = c.arguments[position]
        return default if value is None else value
    return default
