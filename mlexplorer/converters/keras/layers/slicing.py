"""Parts of tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlexplorer.converters.keras.context import Context, converts
from mlexplorer.converters.keras.layers.functions import function, setting
from mlexplorer.converters.keras.values import Value


@function("Split", "split")
def split(c: Context) -> Sequence[Value]:
    """Parts of an axis: so many, or (Keras) cut before these positions, or (TensorFlow) of these sizes."""
    x = c.as_plain(c.input)
    axis = x.positive(int(setting(c, "axis", 2, 0)))
    given = setting(c, "indices_or_sections", 1, setting(c, "num_or_size_splits", 1))
    length = x.shape[axis]
    if isinstance(given, int):
        sizes = [length // given] * given
    elif "num_or_size_splits" in c.keywords:
        sizes = [int(size) for size in given]
    else:
        sizes = np.diff([0, *(int(place) for place in given), length]).tolist()
    if sum(sizes) != length or min(sizes) < 1:
        raise ValueError(f"an axis of length {length} cannot be split into {given}")
    blobs = c.add("splitND", x.blob, outputs=len(sizes), axis=axis, splitSizes=sizes)
    return [
        Value(blob, (*x.shape[:axis], size, *x.shape[axis + 1 :]))
        for blob, size in zip([blobs] if len(sizes) == 1 else blobs, sizes, strict=True)
    ]


@converts("GetItem", "SlicingOpLambda")
def get_item(c: Context) -> Value:
    """x[...]: whole numbers and slices, an ellipsis, new axes."""
    x = c.as_plain(c.input)
    key = c.layer.config.get("key", c.keywords.get("key", c.keywords.get("slice_spec")))
    if key is None and len(c.arguments) > 1:
        key = c.arguments[1]
    entries = [_entry(c, item) for item in (key if isinstance(key, list | tuple) else [key])]
    used = sum(not (entry is None or entry is Ellipsis) for entry in entries)
    if Ellipsis in entries:
        place = entries.index(Ellipsis)
        entries[place : place + 1] = [slice(None)] * (x.rank - used)
    else:
        entries += [slice(None)] * (x.rank - used)
    indices = [entry for entry in entries if entry is not None]
    if len(indices) != x.rank:
        raise ValueError(f"a tensor of shape {list(x.shape)} has no element {key}")
    parts = [slice(item, item + 1 if item != -1 else None) if isinstance(item, int) else item for item in indices]
    ranges = [range(size)[part] for size, part in zip(x.shape, parts, strict=True)]
    if not all(ranges):
        raise ValueError(f"nothing of a tensor of shape {list(x.shape)} is left by {key}")
    squeezed = [isinstance(item, int) for item in indices]
    kept = tuple(len(part) for part, gone in zip(ranges, squeezed, strict=True) if not gone)
    if not kept:
        c.refuse("it takes a single number")
    new = [entry is None for entry in entries if not isinstance(entry, int)]
    masks: dict[str, Any] = {"squeezeMasks": squeezed} if any(squeezed) else {}
    y = c.add(
        "sliceStatic",
        x.blob,
        part="slice" if any(new) else "",
        beginIds=[part[0] for part in ranges],
        endIds=[part[-1] + (1 if part.step > 0 else -1) for part in ranges],
        beginMasks=[False] * x.rank,
        endMasks=[part.step < 0 and part[-1] == 0 for part in ranges],
        strides=[part.step for part in ranges],
        **masks,
    )
    if not any(new):
        return Value(y, kept)
    sizes = iter(kept)
    return Value(
        c.add("expandDims", y, axes=[n for n, is_new in enumerate(new) if is_new]),
        tuple(1 if is_new else next(sizes) for is_new in new),
    )


def _entry(c: Context, item: Any) -> Any:
    """One entry of x[...], from what Keras' configurations have for slices."""
    if item is None or isinstance(item, slice) or item is Ellipsis:
        return item
    if isinstance(item, bool):
        c.refuse("it selects by truth values")
    if isinstance(item, int):
        return item
    if isinstance(item, Mapping):
        inner = item.get("config", item)
        if item.get("class_name") in ("__ellipsis__", "Ellipsis"):
            return Ellipsis
        if isinstance(inner, list | tuple):
            return slice(*(None if end is None else int(end) for end in inner))
        if any(isinstance(inner.get(key), Value) for key in ("start", "stop", "step")):
            c.refuse("it selects by tensors")
        return slice(inner.get("start"), inner.get("stop"), inner.get("step"))
    if item not in ("Ellipsis", "..."):
        c.refuse("it selects by tensors")
    return Ellipsis
