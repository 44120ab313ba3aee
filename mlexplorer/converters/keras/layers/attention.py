"""Attention: by scalar products, by sums, and with several heads.

What masks and causality hide is collected as blobs of 1 and 0 that broadcast against the scores.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Array, Context, converts
from mlexplorer.converters.keras.layers.core import product
from mlexplorer.converters.keras.values import Value

_FAR = -1e9
"""The score of what masks hide, as Keras has it."""


@converts("Attention")
def attention(c: Context) -> Any:
    """Attention of [query, value, key]: softmax of scores, times the values; score_mode "dot" or "concat"."""
    query, value, key = _three(c)
    mode = c.get("score_mode", "dot")
    arrays = iter(c.weights(bool(c.get("use_scale", False)) + (mode == "concat")))
    scale = float(next(arrays).item()) if c.get("use_scale", False) else 1.0
    c.refuse_unless("score_mode", "dot", "concat")
    if mode == "dot":
        scores = c.add("batchedMatmul", c.plain(query), c.plain(key), part="scores", transposeB=True)
        if scale != 1:
            scores = c.add("activation", scores, part="scaled", linear={"alpha": scale})
    else:
        weight = float(next(arrays).item())
        scores = _sum_of_pairs(c, query, key, scale, np.full(query.shape[-1], weight, np.float32))
    return _attended(c, scores, query, value)


@converts("AdditiveAttention")
def additive_attention(c: Context) -> Any:
    """AdditiveAttention of [query, value, key]: scores are sums of scale * tanh(query + key)."""
    query, value, key = _three(c)
    use_scale = bool(c.get("use_scale", True))
    arrays = c.weights(use_scale)
    scale = arrays[0] if arrays else np.ones(query.shape[-1], np.float32)
    return _attended(c, _sum_of_pairs(c, query, key, 1.0, scale), query, value)


def _three(c: Context) -> tuple[Value, Value, Value]:
    values = c.inputs
    first = c.arguments[0] if c.arguments else c.keywords.get("inputs")
    if not isinstance(first, list | tuple) or len(values) != len(first) or not 2 <= len(values) <= 3:
        c.refuse("it is called with masks, or with other tensors than [query, value, key]")
    if any(value.rank != 3 for value in values):
        c.refuse(f"its inputs have the shapes {[list(value.shape) for value in values]}; they must have three axes")
    return values[0], values[1], values[2] if len(values) == 3 else values[1]


def _sum_of_pairs(c: Context, query: Value, key: Value, scale: float, weights: Array) -> str:
    """sum(weights * tanh(scale * (query + key))) for each pair: [N, Tq, Tk]."""
    left = c.add("expandDims", c.plain(query), part="query", axes=[2])
    right = c.add("expandDims", c.plain(key), part="key", axes=[1])
    both = c.add("addBroadcastable", left, right, part="pairs")
    if scale != 1:
        both = c.add("activation", both, part="scaled", linear={"alpha": scale})
    both = c.add("activation", both, part="tanh", tanh={})
    both = c.add("multiplyBroadcastable", both, c.constant(weights, "scale"), part="weighted")
    return str(c.add("reduceSum", both, part="scores", axes=[3], keepDims=False))


def _attended(c: Context, scores: str, query: Value, value: Value) -> Any:
    steps, others = query.shape[1], value.shape[1]
    kept = [_axes(c, value.mask(), [value.shape[0], 1, others], "value_mask")] if value.mask else []
    if c.get("use_causal_mask", c.keywords.get("use_causal_mask", False)) or c.get("causal", False):
        kept.append(c.constant(_causal(c, steps, others)[None], "causal_mask"))
    weights = c.add("softmaxND", _hidden(c, scores, _both(c, kept)), part="weights", axis=2)
    part = "attended" if query.mask else ""
    y = c.add("batchedMatmul", weights, c.plain(value), part=part)
    if query.mask:
        y = c.add("multiplyBroadcastable", y, _axes(c, query.mask(), [query.shape[0], steps, 1], "query_mask"))
    result = Value(y, (*query.shape[:2], value.shape[-1]), mask=query.mask)
    if c.keywords.get("return_attention_scores", c.get("return_attention_scores", False)):
        return [result, Value(weights, (query.shape[0], steps, others))]
    return result


def _axes(c: Context, blob: str, shape: Sequence[int], part: str) -> str:
    return str(c.add("reshapeStatic", blob, part=part, targetShape=list(shape)))


def _both(c: Context, kept: Sequence[str]) -> str:
    """The blob that is 1 where all are, "" of none."""
    mask = kept[0] if kept else ""
    for number, other in enumerate(kept[1:], 1):
        mask = c.add("multiplyBroadcastable", mask, other, part=f"mask_{number}")
    return mask


def _hidden(c: Context, scores: str, mask: str) -> str:
    """Scores where the mask is 1, and elsewhere a number whose exponential is 0."""
    if not mask:
        return scores
    return str(c.add("whereBroadcastable", mask, scores, c.constant(_FAR, "hidden"), part="masked"))


@converts("MultiHeadAttention")
def multi_head_attention(c: Context) -> Any:
    """MultiHeadAttention on sequences: three products, attention for each head, and one more product.

    Weights in Keras' order: kernels [features, heads, size] and biases of query, key and value, then of the output.
    With `use_gate`, sigmoids of a product of the query, whose weights come before those of the value, are factors of
    what was attended to.
    """
    axes = c.get("attention_axes", [1])
    if list([axes] if isinstance(axes, int) else axes) not in ([1], [-2]):
        c.refuse(f"attention_axes is {axes}; attention over one axis of three is known")
    return _by_heads(c, _parts(c), int(c.get("key_dim")))


@converts("GroupQueryAttention", "GroupedQueryAttention")
def grouped_query_attention(c: Context) -> Any:
    """GroupedQueryAttention: as MultiHeadAttention, but so many heads of the query share one of key and value."""
    return _by_heads(c, _parts(c), int(c.get("head_dim")))


def _parts(c: Context) -> dict[str, tuple[Array, Array | None]]:
    """Kernel and bias of each product, by what it is for."""
    names = ["query", "key", *(["gate"] if c.get("use_gate", False) else []), "value", "attention_output"]
    use_bias = bool(c.get("use_bias", True))
    arrays = iter(c.weights(len(names) * (1 + use_bias)))
    return {name: (next(arrays), next(arrays) if use_bias else None) for name in names}


def _by_heads(c: Context, parts: Mapping[str, tuple[Array, Array | None]], size: int) -> Any:
    """Attention for each head of the query. `parts` holds kernels and biases; a head of the query is `size` wide.

    Where key and value have fewer heads, those of the query that share one are more steps of the query for it.
    """
    query, value, key = _calls(c)
    if query.rank != 3 or value.rank != 3:
        c.refuse(f"its query has the shape {list(query.shape)}; attention over one axis of three is known")
    q, k, v = (
        _heads(c, source, *parts[part], part)
        for source, part in zip((query, key, value), ("query", "key", "value"), strict=True)
    )
    batch, heads, steps, _ = q.shape
    groups, others = k.shape[1:3]
    shared = groups != heads
    folded = (batch, groups, heads // groups * steps)
    scaled = c.map(q, "activation", "scaled", linear={"alpha": 1 / sqrt(size)})
    if shared:
        scaled = c.reshape(scaled, [*folded, size], "query_groups")
    scores = Value(c.add("batchedMatmul", scaled.blob, k.blob, part="scores", transposeB=True), (*folded, others))
    if shared:
        scores = c.reshape(scores, [batch, heads, steps, others], "scores_by_head")
    mask = _both(c, _masks_of_heads(c, query, value, key))
    weights = c.add("softmaxND", _hidden(c, scores.blob, mask), part="weights", axis=3)
    if mask:  # a query that may see nothing gets nothing
        weights = c.add("multiplyBroadcastable", weights, mask, part="weights_masked")
    seen = Value(weights, (batch, heads, steps, others))
    taken = c.reshape(seen, [*folded, others], "weights_by_group") if shared else seen
    joined = Value(c.add("batchedMatmul", taken.blob, v.blob, part="attended"), (*folded, v.shape[3]))
    if shared:
        joined = c.reshape(joined, [batch, heads, steps, v.shape[3]], "attended_by_head")
    turned = c.transpose(joined, [0, 2, 1, 3], "steps")
    rows = c.reshape(turned, [batch, steps, heads * v.shape[3]], "rows")
    if "gate" in parts:
        rows = rows.with_blob(c.add("multiplyBroadcastable", rows.blob, _gate(c, query, *parts["gate"]), part="gated"))
    kernel, bias = parts["attention_output"]
    if kernel.ndim != 3:
        c.refuse(f"output_shape is {c.get('output_shape')}; one axis is known")
    y = product(c, rows, kernel.reshape(-1, kernel.shape[-1]), bias)
    return [y, seen] if c.keywords.get("return_attention_scores", False) else y


def _gate(c: Context, query: Value, kernel: Array, bias: Array | None) -> str:
    flat = product(c, query, kernel.reshape(len(kernel), -1), None if bias is None else bias.reshape(-1), "gate")
    return str(c.add("activation", flat.blob, part="gate_sigmoid", sigmoid={}))


_ARGUMENTS = ("query", "value", "key", "query_mask", "value_mask", "key_mask", "attention_mask")


def _calls(c: Context) -> tuple[Value, Value, Value]:
    """Query, value and key of the call, whichever way they were given."""
    query, value, key = (_given(c, name) for name in _ARGUMENTS[:3])
    if not isinstance(query, Value) or not isinstance(value, Value):
        raise ValueError("it is called without query and value")
    return query, value, key if isinstance(key, Value) else value


def _given(c: Context, name: str) -> Any:
    place = _ARGUMENTS.index(name)
    return c.arguments[place] if place < len(c.arguments) else c.keywords.get(name)


def _masks_of_heads(c: Context, query: Value, value: Value, key: Value) -> list[str]:
    """What hides scores [N, heads, T, S]: masks of query, value and key, causality, and the mask of the call."""
    batch, steps, others = query.shape[0], query.shape[1], value.shape[1]
    kept = []
    for name, source, shape in (
        ("query_mask", query, [batch, 1, steps, 1]),
        ("value_mask", value, [batch, 1, 1, others]),
        ("key_mask", key, [batch, 1, 1, others]),
    ):
        mask = _given(c, name)
        if isinstance(mask, Value):
            kept.append(_axes(c, c.plain(mask), shape, name))
        elif source.mask and not (name == "key_mask" and key is value):
            kept.append(_axes(c, source.mask(), shape, name))
    if c.keywords.get("use_causal_mask", False):
        kept.append(c.constant(_causal(c, steps, others)[None, None], "causal_mask"))
    if window := c.get("sliding_window"):
        c.require_room(steps, others)
        distance = np.abs(np.arange(steps)[:, None] - np.arange(others))
        kept.append(c.constant((distance < int(window))[None, None], "window_mask"))
    mask = _given(c, "attention_mask")
    if isinstance(mask, Value):
        axes = mask.shape if mask.rank == 4 else (mask.shape[0], 1, *mask.shape[1:])
        kept.append(c.reshape(mask, axes, "attention_mask").blob)
    elif mask is not None:
        array = np.asarray(mask, np.float32)
        kept.append(c.constant(array.reshape((1,) * (4 - array.ndim) + array.shape), "attention_mask"))
    return kept


def _heads(c: Context, x: Value, kernel: Array, bias: Array | None, part: str) -> Value:
    """[N, T, features] to [N, heads, T, size]."""
    features, heads, size = kernel.shape
    flat = product(c, x, kernel.reshape(features, -1), None if bias is None else bias.reshape(-1), part)
    parted = c.reshape(flat, [*x.shape[:2], heads, size], f"{part}_parts")
    return c.transpose(parted, [0, 2, 1, 3], f"{part}_heads")


def _causal(c: Context, steps: int, others: int) -> Array:
    c.require_room(steps, others)
    return np.tril(np.ones((steps, others), np.float32))
