"""What converts each Keras class: one file per family, filling the table of `context.py`."""

from __future__ import annotations

from mlexplorer.converters.keras.context import CONVERTERS
from mlexplorer.converters.keras.layers import (  # noqa: F401 - each registers its classes
    activation,
    attention,
    conv_lstm,
    convolution,
    core,
    encoding,
    locally_connected,
    merging,
    normalization,
    operators,
    pooling,
    recurrent,
    reshaping,
    resizing,
    slicing,
    wrappers,
)
from mlexplorer.converters.keras.layers.activation import knows_activation
from mlexplorer.converters.keras.layers.functions import knows_function
from mlexplorer.converters.keras.source_model import KerasLayer

__all__ = ["is_known"]

_ACTIVATIONS = ("activation", "recurrent_activation")


def is_known(layer: KerasLayer) -> bool:
    """Whether this layer itself, whatever it wraps, has a conversion function, and its activations have one, too."""
    if layer.model is not None:
        return True
    return (
        layer.class_name in CONVERTERS
        and all(knows_activation(layer.config.get(key)) for key in _ACTIVATIONS)
        and knows_function(layer)
    )
