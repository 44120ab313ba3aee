"""Proposals of layers that reshape, join, split, slice, gather, scatter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.runtime.random_layers.options import divisors
from tests.runtime.random_networks import Sketch, Unfit, proposes


def regroup(s: Sketch, size: int, rank: int) -> list[int]:
    """A shape of a rank with so many elements."""
    shape = []
    for _ in range(rank - 1):
        n = s.one(divisors(size))
        shape.append(n)
        size //= n
    return [*shape, size]


@proposes("flatten")
def flatten(s: Sketch) -> None:
    s.layer([s.image()], mode=s.whole(0, 1))


@proposes("reshape")
def reshape(s: Sketch) -> None:
    source = s.blob(5, 5)
    seq, batch, *own = s.shape(source)
    if s.chance() or batch > 1:
        s.layer([source], targetShape=regroup(s, int(np.prod(own)), 3), mode=s.whole(0, 1))
    else:
        s.layer([source], targetShape=regroup(s, int(np.prod(own)) * seq, 4), mode=s.whole(0, 1))


@proposes("permute")
def permute(s: Sketch) -> None:
    s.layer([s.blob(5, 5)], axis=[int(a) for a in s.rng.permutation(4)])


@proposes("transpose")
def transpose(s: Sketch) -> None:
    source = s.blob()
    s.layer([source], axes=[int(a) for a in s.rng.permutation(len(s.shape(source)))])


@proposes("reorganizeData")
def reorganize(s: Sketch) -> None:
    mode, block = s.whole(0, 2), s.whole(2, 3)

    def fits(x: Any) -> bool:
        c, h, w = x.shape[-3:]
        return not (h % block or w % block) if mode == 0 else c % block**2 == 0

    try:
        source = s.image(fits)
    except Unfit:
        shape = [s.whole(1, 3), 5, 7]
        if mode == 0:
            shape = [shape[0], block * 2, block * 3]
        else:
            shape[0] *= block**2
        source = s.values(s.normal(*([1] * s.whole(0, 2)), *shape))
    s.layer([source], mode=mode, blockSize=block)


@proposes("squeeze")
def squeeze(s: Sketch) -> None:
    source = s.blob(2, 6, lambda x: 1 in x.shape)
    ones = [a for a, n in enumerate(s.shape(source)) if n == 1]
    if s.chance(0.3):
        s.layer([source], squeezeAll=True)
    else:
        chosen = [a for a in ones if s.chance()] or ones[:1]
        s.layer([source], axes=[a - len(s.shape(source)) if s.chance(0.3) else a for a in chosen])


@proposes("expandDims")
def expand_dims(s: Sketch) -> None:
    source = s.blob(1, 4)
    new = s.whole(1, 5 - len(s.shape(source)))
    rank = len(s.shape(source)) + new
    chosen = sorted(int(a) for a in s.rng.choice(rank, new, replace=False))
    s.layer([source], axes=[a - rank if s.chance(0.3) else a for a in chosen])


@proposes("flattenTo2D")
def flatten_to_2d(s: Sketch) -> None:
    source = s.blob()
    s.layer([source], axis=s.axis(len(s.shape(source))))


@proposes("reshapeStatic", "reshapeDynamic", "reshapeLike", "rankPreservingReshape")
def reshape_any(s: Sketch) -> None:
    source = s.blob()
    shape = s.shape(source)
    target = regroup(s, int(np.prod(shape)), len(shape) if s.type == "rankPreservingReshape" else s.whole(1, 5))
    hidden = s.whole(0, len(target) - 1) if s.chance(0.4) else -1
    given = [-1 if axis == hidden else n for axis, n in enumerate(target)]
    if s.type == "reshapeLike":
        s.layer([source, s.values(s.normal(*target))])
    elif s.type == "reshapeDynamic":
        s.layer([source, s.values(given)])
    else:
        if s.type == "rankPreservingReshape":
            given = [0 if g == n else g for g, n in zip(given, shape, strict=True)]
        s.layer([source], targetShape=given)


@proposes("broadcastToLike", "broadcastToStatic", "broadcastToDynamic")
def broadcast(s: Sketch) -> None:
    source = s.blob(1, 4)
    shape = [s.whole(2, 4) if n == 1 and s.chance(0.7) else n for n in s.shape(source)]
    shape = [s.whole(1, 3)] * s.whole(0, 1) + shape
    if s.type == "broadcastToStatic":
        s.layer([source], targetShape=shape)
    elif s.type == "broadcastToLike":
        s.layer([source, s.values(s.normal(*shape))])
    else:
        s.layer([source, s.values(shape)])


def alike(s: Sketch, first: str, axis: int) -> str:
    """A blob of the same shape but for one axis."""
    shape = s.shape(first)
    axis %= len(shape)
    fitting = [
        n
        for n, x in s.blobs.items()
        if x.ndim == len(shape) and all(a == axis or x.shape[a] == shape[a] for a in range(len(shape)))
    ]
    if s.chance():
        return str(s.one(fitting))
    return s.values(s.normal(*(s.whole(1, 4) if a == axis else n for a, n in enumerate(shape))))


@proposes("concat")
def concat(s: Sketch) -> None:
    along_sequence = s.chance(0.2)
    first = s.blob(5, 5) if along_sequence else s.image()
    axis = -5 if along_sequence else -3
    s.layer([first, *(alike(s, first, axis) for _ in range(s.whole(1, 2)))], sequenceConcat=along_sequence)


@proposes("concatND")
def concat_nd(s: Sketch) -> None:
    first = s.blob()
    axis = s.axis(len(s.shape(first)))
    if s.chance(0.3):
        others = [s.values(s.normal(*s.shape(first))) for _ in range(s.whole(1, 2))]
        s.layer([first, *others], axis=axis, interleave=True)
    else:
        s.layer([first, *(alike(s, first, axis) for _ in range(s.whole(1, 2)))], axis=axis)


@proposes("stack")
def stack(s: Sketch) -> None:
    first = s.blob(1, 4)
    others = [s.values(s.normal(*s.shape(first))) if s.chance() else first for _ in range(s.whole(1, 2))]
    s.layer([first, *others], axis=s.axis(len(s.shape(first)) + 1))


@proposes("split")
def split(s: Sketch) -> None:
    source = s.image(lambda x: x.shape[-3] > 1)
    parts = s.one(divisors(s.shape(source)[-3])[1:])
    s.layer([source], parts, nOutputs=parts)


@proposes("splitND")
def split_nd(s: Sketch) -> None:
    source = s.blob()
    axis = s.axis(len(s.shape(source)))
    length = s.shape(source)[axis]
    if s.chance():
        parts = s.whole(1, length)
        s.layer([source], parts, axis=axis, numSplits=parts)
        return
    sizes, left = [], length
    while left:
        sizes.append(s.whole(1, left))
        left -= sizes[-1]
    s.layer([source], len(sizes), axis=axis, numSplits=len(sizes), splitSizes=sizes)


@proposes("tile")
def tile(s: Sketch) -> None:
    source = s.blob(1, 4)
    reps = [s.whole(1, 3) for _ in s.shape(source)]
    if s.chance():
        s.layer([source], reps=reps)
    else:
        s.layer([source, s.values(reps)])


@proposes("sequenceRepeat")
def sequence_repeat(s: Sketch) -> None:
    s.layer([s.blob(5, 5)], nRepetitions=s.whole(0, 3))


@proposes("slice")
def slice_(s: Sketch) -> None:
    source = s.image()
    axis = s.whole(0, 2)
    length = s.shape(source)[axis - 3]
    start = s.whole(0, length - 1)
    end = s.whole(start + 1, length)
    if end < length and s.chance():
        end -= length
    s.layer([source], startIndex=start, endIndex=end, stride=s.whole(0, 3), axis=axis)


def slices(s: Sketch, shape: tuple[int, ...]) -> dict[str, list[int]]:
    fields: dict[str, list[int]] = {n: [] for n in ("beginIds", "endIds", "strides")}
    for mask in ("beginMasks", "endMasks", "squeezeMasks"):
        fields[mask] = []
    for n in shape:
        start = s.whole(0, n - 1)
        end, stride = s.whole(start + 1, n), s.whole(1, 3)
        squeezed = s.chance(0.15)
        if s.chance(0.2) and not squeezed:
            start, end, stride = end - 1, start - 1, -stride
            end = end - n if end < 0 else end
        fields["beginIds"].append(start - n if s.chance(0.3) else start)
        fields["endIds"].append(end)
        fields["strides"].append(stride)
        fields["beginMasks"].append(int(s.chance(0.2)) if not squeezed else 0)
        fields["endMasks"].append(int(s.chance(0.2) or end < 0) if not squeezed else 0)
        fields["squeezeMasks"].append(int(squeezed))
    return fields


@proposes("sliceStatic")
def slice_static(s: Sketch) -> None:
    source = s.blob()
    s.layer(
        [source], **{k: [bool(v) for v in vs] if "Mask" in k else vs for k, vs in slices(s, s.shape(source)).items()}
    )


@proposes("sliceDynamic")
def slice_dynamic(s: Sketch) -> None:
    source = s.blob()
    fields = slices(s, s.shape(source))
    order = ["beginIds", "endIds", "strides", "beginMasks", "endMasks", "squeezeMasks"]
    given = s.whole(1, 6)
    inputs = [source, *(s.values(fields[name]) for name in order[:given])]
    rest = {name: fields[name] for name in order[given:]}
    s.layer(inputs, **{k: [bool(v) for v in vs] if "Mask" in k else vs for k, vs in rest.items()})


@proposes("sliceBySize")
def slice_by_size(s: Sketch) -> None:
    source = s.blob()
    axis = s.axis(len(s.shape(source)))
    size = s.whole(1, s.shape(source)[axis])
    begin = s.values(s.whole(0, s.shape(source)[axis] - size))
    s.layer([source, begin], axis=axis, size=size)


@proposes("slidingWindows")
def sliding_windows(s: Sketch) -> None:
    source = s.blob(1, 4)
    axis = s.axis(len(s.shape(source)))
    s.layer([source], axis=axis, windowSize=s.whole(1, s.shape(source)[axis]), step=s.whole(0, 2))


@proposes("reverse")
def reverse(s: Sketch) -> None:
    source = s.blob()
    s.layer([source], reverseDim=[s.chance() for _ in s.shape(source)])


@proposes("reverseSeq")
def reverse_seq(s: Sketch) -> None:
    source = s.blob(2, 5)
    rank = len(s.shape(source))
    batch, sequence = (int(a) for a in s.rng.choice(rank, 2, replace=False))
    lengths = s.rng.integers(1, s.shape(source)[sequence] + 1, s.shape(source)[batch])
    s.layer([source, s.values(lengths)], batchAxis=batch - rank if s.chance(0.3) else batch, sequenceAxis=sequence)


@proposes("matrixBandPart")
def matrix_band_part(s: Sketch) -> None:
    s.layer([s.blob(2, 5)], numLower=s.whole(-1, 4), numUpper=s.whole(-1, 4))


@proposes("lowerTriangular", "upperTriangular")
def triangular(s: Sketch) -> None:
    s.layer([s.blob(2, 5)], k=s.whole(-4, 4))


def places(s: Sketch, length: int, shape: list[int]) -> Any:
    return s.rng.integers(-length if s.chance(0.3) else 0, length, shape)


@proposes("gather")
def gather(s: Sketch) -> None:
    source = s.blob(1, 4)
    axis = s.axis(len(s.shape(source)))
    indices = places(s, s.shape(source)[axis], s.lengths(s.whole(1, 2)))
    s.layer([source, s.values(indices)], axis=axis)


@proposes("gatherND")
def gather_nd(s: Sketch) -> None:
    source = s.blob(1, 4)
    shape = s.shape(source)
    depth, count = s.whole(1, len(shape)), s.lengths(s.whole(1, 2))
    indices = np.stack([s.rng.integers(0, shape[a], count) for a in range(depth)], -1)
    s.layer([source, s.values(indices)])


@proposes("gatherAlongAxis")
def gather_along_axis(s: Sketch) -> None:
    source = s.blob(1, 4)
    shape = list(s.shape(source))
    axis = s.axis(len(shape))
    length, shape[axis] = shape[axis], s.whole(1, 5)
    s.layer([source, s.values(places(s, length, shape))], axis=axis)


def updates(s: Sketch, mode: int, shape: list[int]) -> str:
    values = s.normal(*shape)
    return s.values(np.sign(values) * (np.abs(values) + 0.5) if mode == 4 else values)


@proposes("scatter")
def scatter(s: Sketch) -> None:
    source = s.blob(1, 4)
    shape = list(s.shape(source))
    axis, mode = s.axis(len(shape)), s.whole(0, 6)
    length = shape[axis]
    count = s.whole(1, length)
    indices = s.rng.choice(length, count, replace=mode != 0)
    positive = axis % len(shape)
    inputs = [s.values(indices), updates(s, mode, [*shape[:positive], count, *shape[positive + 1 :]])]
    s.layer([source, *inputs], axis=axis, mode=mode)


@proposes("scatterND")
def scatter_nd(s: Sketch) -> None:
    source = s.blob(1, 4)
    shape = list(s.shape(source))
    depth, mode, count = s.whole(1, len(shape)), s.whole(0, 6), s.whole(1, 4)
    indices = np.stack([s.rng.integers(0, shape[a], count) for a in range(depth)], -1)
    if mode == 0 and len(np.unique(indices, axis=0)) < count:
        raise Unfit
    s.layer([source, s.values(indices), updates(s, mode, [count, *shape[depth:]])], mode=mode)


@proposes("scatterAlongAxis")
def scatter_along_axis(s: Sketch) -> None:
    source = s.blob(1, 4)
    shape = list(s.shape(source))
    axis, mode = s.axis(len(shape)), s.whole(0, 6)
    length = shape[axis]
    count = s.whole(1, length)
    indices = np.argsort(s.rng.random(shape), axis).take(range(count), axis)
    if mode and s.chance():
        indices = s.rng.integers(0, length, indices.shape)
    s.layer([source, s.values(indices), updates(s, mode, list(indices.shape))], axis=axis, mode=mode)
