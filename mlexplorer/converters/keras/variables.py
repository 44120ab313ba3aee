"""The variables of Keras' own layers: their names in Keras' order, and the shapes that the configuration asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Pattern = tuple[Any, ...] | None
"""A shape; None, or a None in it, stands for what the configuration does not tell."""

Variables = dict[str, Pattern]
_Function = Callable[[Mapping[str, Any]], Variables]

_TABLE: dict[str, _Function] = {}

ATTENTION_BY_HEADS = ("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention")
"""The classes whose variables are those of products in them, for query, key and value."""


def expected_variables(class_name: str, config: Mapping[str, Any]) -> Variables | None:
    """The variables of a layer by name, in Keras' order; None for classes that are not Keras' own."""
    function = _TABLE.get(class_name)
    return None if function is None else function(config)


def fits(shape: tuple[int, ...], pattern: Pattern) -> bool:
    """Whether an array of that shape can be the variable."""
    if pattern is None:
        return True
    return len(shape) == len(pattern) and all(
        size == wanted for size, wanted in zip(shape, pattern, strict=True) if isinstance(wanted, int)
    )


def is_frozen(name: str) -> bool:
    """Whether a variable is none of those that training changes, so that old files have it after those."""
    return name in ("moving_mean", "moving_variance", "mean", "variance", "count")


def _variables(*class_names: str) -> Callable[[_Function], _Function]:
    def register(function: _Function) -> _Function:
        for class_name in class_names:
            _TABLE[class_name] = function
        return function

    return register


def _chosen(config: Mapping[str, Any], **variables: tuple[str, Pattern]) -> Variables:
    """Of variables that the configuration can switch off, those that are on: `name=(switch, pattern)`."""
    return {name: pattern for name, (switch, pattern) in variables.items() if config.get(switch, True)}


def _times(factor: int, size: Any) -> Any:
    return factor * size if isinstance(size, int) else None


def _sizes(config: Mapping[str, Any], key: str, rank: int) -> tuple[Any, ...]:
    value = config.get(key)
    return tuple(value) if isinstance(value, list | tuple) and len(value) == rank else (value,) * rank


@_variables("Dense")
def _dense(config: Mapping[str, Any]) -> Variables:
    units = config.get("units")
    return {"kernel": (None, units), **_chosen(config, bias=("use_bias", (units,)))}


@_variables("EinsumDense")
def _einsum_dense(config: Mapping[str, Any]) -> Variables:
    return {"kernel": None, **({"bias": None} if config.get("bias_axes") else {})}


def _convolution(rank: int, transposed: bool) -> _Function:
    def variables(config: Mapping[str, Any]) -> Variables:
        filters, kernel = config.get("filters"), _sizes(config, "kernel_size", rank)
        channels = (filters, None) if transposed else (None, filters)
        return {"kernel": (*kernel, *channels), **_chosen(config, bias=("use_bias", (filters,)))}

    return variables


def _depthwise(rank: int) -> _Function:
    def variables(config: Mapping[str, Any]) -> Variables:
        kernel = (*_sizes(config, "kernel_size", rank), None, config.get("depth_multiplier", 1))
        return {"depthwise_kernel": kernel, **_chosen(config, bias=("use_bias", (None,)))}

    return variables


def _separable(rank: int) -> _Function:
    def variables(config: Mapping[str, Any]) -> Variables:
        filters = config.get("filters")
        return {
            "depthwise_kernel": (*_sizes(config, "kernel_size", rank), None, config.get("depth_multiplier", 1)),
            "pointwise_kernel": (*(1,) * rank, None, filters),
            **_chosen(config, bias=("use_bias", (filters,))),
        }

    return variables


def _recurrent_convolution(rank: int) -> _Function:
    def variables(config: Mapping[str, Any]) -> Variables:
        filters, kernel = config.get("filters"), _sizes(config, "kernel_size", rank)
        gates = _times(4, filters)
        return {
            "kernel": (*kernel, None, gates),
            "recurrent_kernel": (*kernel, filters, gates),
            **_chosen(config, bias=("use_bias", (gates,))),
        }

    return variables


for _rank in (1, 2, 3):
    _variables(f"Conv{_rank}D", f"Convolution{_rank}D")(_convolution(_rank, transposed=False))
    _variables(f"Conv{_rank}DTranspose", f"Convolution{_rank}DTranspose")(_convolution(_rank, transposed=True))
    _variables(f"DepthwiseConv{_rank}D")(_depthwise(_rank))
    _variables(f"SeparableConv{_rank}D", f"SeparableConvolution{_rank}D")(_separable(_rank))
    _variables(f"ConvLSTM{_rank}D")(_recurrent_convolution(_rank))


@_variables("LocallyConnected1D", "LocallyConnected2D")
def _locally_connected(config: Mapping[str, Any]) -> Variables:
    return {"kernel": None, **_chosen(config, bias=("use_bias", None))}


def _recurrent(gates: int) -> _Function:
    def variables(config: Mapping[str, Any]) -> Variables:
        units = config.get("units")
        width = _times(gates, units)
        bias = (width,) if gates == 4 or gates == 1 else None  # a GRU's is [3 units] or [2, 3 units]
        return {
            "kernel": (None, width),
            "recurrent_kernel": (units, width),
            **_chosen(config, bias=("use_bias", bias)),
        }

    return variables


_variables("SimpleRNN", "SimpleRNNCell")(_recurrent(1))
_variables("GRU", "GRUCell")(_recurrent(3))
_variables("LSTM", "LSTMCell")(_recurrent(4))


@_variables("CuDNNGRU", "CuDNNLSTM")
def _cudnn(config: Mapping[str, Any]) -> Variables:
    return {"kernel": None, "recurrent_kernel": None, "bias": None}


@_variables("BatchNormalization", "SyncBatchNormalization")
def _batch_normalization(config: Mapping[str, Any]) -> Variables:
    switched = _chosen(config, gamma=("scale", (None,)), beta=("center", (None,)))
    return {**switched, "moving_mean": (None,), "moving_variance": (None,)}


@_variables("LayerNormalization", "GroupNormalization")
def _layer_normalization(config: Mapping[str, Any]) -> Variables:
    return _chosen(config, gamma=("scale", None), beta=("center", None))


@_variables("RMSNormalization")
def _rms_normalization(config: Mapping[str, Any]) -> Variables:
    return {"scale": None}


@_variables("Normalization")
def _normalization(config: Mapping[str, Any]) -> Variables:
    return {} if config.get("mean") is not None else {"mean": None, "variance": None, "count": ()}


@_variables("PReLU")
def _prelu(config: Mapping[str, Any]) -> Variables:
    return {"alpha": None}


@_variables("Embedding")
def _embedding(config: Mapping[str, Any]) -> Variables:
    return {"embeddings": (config.get("input_dim"), config.get("output_dim"))}


@_variables(*ATTENTION_BY_HEADS)
def _attention_by_heads(config: Mapping[str, Any]) -> Variables:
    parts = ("kernel", "bias") if config.get("use_bias", True) else ("kernel",)
    gate = ("gate",) if config.get("use_gate", False) else ()
    return {f"{of}/{part}": None for of in ("query", "key", *gate, "value", "attention_output") for part in parts}


@_variables("Attention")
def _dot_product_attention(config: Mapping[str, Any]) -> Variables:
    scale: Variables = {"scale": ()} if config.get("use_scale", False) else {}
    return {**scale, **({"concat_score_weight": ()} if config.get("score_mode") == "concat" else {})}


@_variables("AdditiveAttention")
def _additive_attention(config: Mapping[str, Any]) -> Variables:
    return _chosen(config, scale=("use_scale", (None,)))


def _none(config: Mapping[str, Any]) -> Variables:
    return {}


_variables("InputLayer", "Flatten", "Reshape", "Permute", "RepeatVector", "Masking", "Rescaling")(_none)
_variables("Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax", "UnitNormalization")(_none)
_variables("Dropout", "GaussianNoise", "GaussianDropout", "AlphaDropout", "ActivityRegularization")(_none)
_variables("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate", "Dot")(_none)
for _rank in (1, 2, 3):
    for _kind in ("MaxPooling", "AveragePooling", "GlobalMaxPooling", "GlobalAveragePooling"):
        _variables(f"{_kind}{_rank}D")(_none)
    for _kind in ("ZeroPadding", "Cropping", "UpSampling", "SpatialDropout"):
        _variables(f"{_kind}{_rank}D")(_none)
