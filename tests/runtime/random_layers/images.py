"""Proposals of layers that pad, crop and resample images."""

from __future__ import annotations

import numpy as np

from tests.runtime.random_layers.options import edges, put_edges
from tests.runtime.random_networks import Sketch, proposes


@proposes("padding")
def padding(s: Sketch) -> None:
    source = s.blob(2, 5)
    kind = s.one(("constant", "reflection", "replication"))
    amounts = edges(s, 3)
    if kind == "reflection":
        amounts = [[min(a, n - 1) for a in pair] for pair, n in zip(amounts, s.shape(source)[-2:], strict=True)]
    params = s.layer([source], **{kind: {"value": s.one((0.0, s.number()))} if kind == "constant" else {}})
    put_edges(params.paddingAmounts, amounts)


@proposes("constantPad")
def constant_pad(s: Sketch) -> None:
    source = s.blob(1, 4)
    shape = s.shape(source)
    to_size = s.chance(0.4)
    amounts: list[int] = []
    for n in shape:
        if to_size:
            pair = [n + s.whole(0, 3), 0] if s.chance(0.7) else [0, 0]
            amounts.extend(pair if s.chance() else pair[::-1])
        else:
            amounts.extend([s.whole(0, 2), s.whole(0, 2)])
    inputs = [source] if s.chance() else [source, s.values(amounts)]
    params = s.layer(inputs, value=s.number(), padToGivenOutputSizeMode=to_size)
    if len(inputs) == 1:
        params.padAmounts.extend(amounts)


@proposes("crop")
def crop(s: Sketch) -> None:
    source = s.blob(2, 5)
    height, width = s.shape(source)[-2:]
    top, left = s.whole(0, height - 1), s.whole(0, width - 1)
    size = [s.whole(1, height - top), s.whole(1, width - left)]
    if s.chance():
        params = s.layer([source])
        put_edges(params.cropAmounts, [[top, height - top - size[0]], [left, width - left - size[1]]])
    else:
        like = s.values(s.normal(*s.shape(source)[:-2], *size))
        s.layer([source, like], offset=[top, left])


@proposes("upsample")
def upsample(s: Sketch) -> None:
    factors = [s.whole(1, 3), s.whole(1, 4)]
    mode, grid = s.whole(0, 1), s.whole(0, 2)
    params = s.layer([s.image()], mode=mode)
    if mode:
        params.linearUpsampleMode = grid
    if mode and grid and s.chance():
        params.fractionalScalingFactor.extend([factors[0] + 0.5, factors[1] + 0.25])
    else:
        params.scalingFactor.extend(factors)


@proposes("resizeBilinear")
def resize_bilinear(s: Sketch) -> None:
    s.layer([s.image()], targetSize=[s.whole(1, 9), s.whole(1, 9)], mode={"samplingMethod": s.whole(0, 3)})


@proposes("cropResize")
def crop_resize(s: Sketch) -> None:
    source = s.blob(5, 5, lambda x: x.shape[0] == 1)
    batch, _, height, width = s.shape(source)[1:]
    count, normalized, order = s.whole(1, 3), s.chance(), s.whole(0, 3)
    extent = np.array([1.0, 1.0]) if normalized else np.array([height - 1.0, width - 1.0])
    start = s.rng.uniform(0, 0.5, (count, 2)) * extent
    end = start + s.rng.uniform(0.1, 0.5, (count, 2)) * extent
    boxes = np.concatenate([(start + end) / 2, end - start] if order > 1 else [start, end], 1)
    if order in (1, 3):
        boxes = boxes[:, [1, 0, 3, 2]]
    if s.chance():
        boxes = np.concatenate([s.rng.integers(0, batch, (count, 1)), boxes], 1)
    name = s.values(boxes[:, None, :, None, None])
    params = s.layer([source, name], targetSize=[s.whole(1, 6), s.whole(1, 6)], normalizedCoordinates=normalized)
    params.mode.samplingMethod = s.whole(0, 3)
    params.boxIndicesMode.boxMode = order
    params.spatialScale = s.one((0.0, 1.0, 0.8))
