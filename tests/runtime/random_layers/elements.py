"""Proposals of layers that work element by element, of reductions and of constants."""

from __future__ import annotations

from typing import Any

from tests.runtime.random_layers.options import weigh
from tests.runtime.random_networks import Sketch, Unfit, proposes


@proposes("activation")
def activation(s: Sketch) -> None:
    source = s.blob()
    put_activation(s, s.layer([source]), s.shape(source))


def put_activation(s: Sketch, params: Any, shape: tuple[int, ...]) -> None:
    kinds = [f.name for f in params.DESCRIPTOR.oneofs_by_name["NonlinearityType"].fields]
    kind = s.one(kinds)
    own = getattr(params, kind)
    own.SetInParent()
    for field in own.DESCRIPTOR.fields:
        if field.message_type is None:
            setattr(own, field.name, s.number(0.2, 1.5) * s.one((1, 1, -1)))
        else:
            count = shape[-3] if len(shape) > 2 and s.chance(0.7) else 1
            weigh(own, s, field.name, count)


@proposes("clip")
def clip(s: Sketch) -> None:
    s.layer([s.blob()], minVal=s.number(-1.5, 0), maxVal=s.number(0, 1.5))


@proposes("clampedReLU")
def clamped_relu(s: Sketch) -> None:
    s.layer([s.blob()], alpha=s.number(), beta=s.number(0, 2))


@proposes("gelu")
def gelu(s: Sketch) -> None:
    s.layer([s.blob()], mode=s.whole(0, 2))


@proposes("unary")
def unary(s: Sketch) -> None:
    params = add_unary(s)
    params.alpha = s.one((-1.0, 0.5, 2.0, 3.0, s.number()))
    params.epsilon = s.one((0.0, 0.1))
    params.shift = s.one((0.0, 0.3, 8.0))
    params.scale = s.one((0.0, 1.0, 0.7, -1.3))


def add_unary(s: Sketch) -> Any:
    s_type = s.whole(0, 7)
    params = s.layer([s.blob()])
    params.type = s_type
    return params


@proposes(
    *("ceil", "floor", "round", "sign", "exp2", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh"),
    *("asinh", "acosh", "atanh", "erf", "logicalNot", "getShape", "copy"),
)
def plain(s: Sketch) -> None:
    s.layer([s.blob()])


def partner(s: Sketch, name: str) -> str:
    """A blob that broadcasts against another one and does not grow it."""
    shape = s.shape(name)

    def fits(x: Any) -> bool:
        return x.ndim <= len(shape) and all(n in (1, m) for n, m in zip(x.shape[::-1], shape[::-1], strict=False))

    others = [n for n, x in s.blobs.items() if fits(x)]
    if s.chance(0.6):
        return str(s.one(others))
    own = [n if s.chance(0.7) else 1 for n in shape][s.whole(0, len(shape) - 1) :]
    return s.values(s.normal(*own))


@proposes(
    *("addBroadcastable", "subtractBroadcastable", "multiplyBroadcastable", "divideBroadcastable", "powBroadcastable"),
    *("maxBroadcastable", "minBroadcastable", "floorDivBroadcastable", "modBroadcastable"),
    *("logicalAnd", "logicalOr", "logicalXor"),
)
def of_two(s: Sketch) -> None:
    first = s.blob()
    inputs = [first, partner(s, first)]
    s.layer(inputs if s.chance() else inputs[::-1])


@proposes("equal", "notEqual", "lessThan", "lessEqual", "greaterThan", "greaterEqual")
def comparison(s: Sketch) -> None:
    first = s.blob()
    if s.chance():
        s.layer([first], alpha=s.number())
    else:
        inputs = [first, partner(s, first)]
        s.layer(inputs if s.chance() else inputs[::-1])


@proposes("add", "multiply")
def legacy_arithmetic(s: Sketch) -> None:
    first = s.blob()
    if s.chance(0.3):
        s.layer([first], alpha=s.number())
    else:
        s.layer([first, *(same_rank(s, first) for _ in range(s.whole(1, 2)))], alpha=s.one((0.0, 5.0)))


def same_rank(s: Sketch, first: str) -> str:
    shape = s.shape(first)
    if s.chance():
        fitting = [
            n
            for n, x in s.blobs.items()
            if x.ndim == len(shape) and all(a in (1, b) for a, b in zip(x.shape, shape, strict=True))
        ]
        return str(s.one(fitting))
    if s.chance(0.6):
        return s.values(s.normal(*shape))
    return s.values(s.normal(*(n if s.chance() else 1 for n in shape)))


@proposes("average", "max", "min")
def of_several(s: Sketch) -> None:
    first = s.blob()
    s.layer([first, *(same_rank(s, first) for _ in range(s.whole(1, 3)))])


def channel_shape(s: Sketch, shape: tuple[int, ...]) -> list[int]:
    channels, height, width = shape[-3:]
    return list(s.one(([1], [channels], [1, height, width], [channels, height, width], [channels, 1, 1])))


@proposes("scale")
def scale(s: Sketch) -> None:
    source = s.image()
    shape, other = channel_shape(s, s.shape(source)), channel_shape(s, s.shape(source))
    params = s.layer([source], shapeScale=shape, hasBias=s.chance())
    weigh(params, s, "scale", *shape, scale=1.0)
    if params.hasBias:
        params.shapeBias.extend(other)
        weigh(params, s, "bias", *other, scale=1.0)


@proposes("bias")
def bias(s: Sketch) -> None:
    source = s.image()
    shape = channel_shape(s, s.shape(source))
    weigh(s.layer([source], shape=shape), s, "bias", *shape, scale=1.0)


@proposes("dot")
def dot(s: Sketch) -> None:
    first = s.image()
    s.layer([first, s.values(s.normal(*s.shape(first)))], cosineSimilarity=s.chance())


@proposes("whereBroadcastable")
def where(s: Sketch) -> None:
    first = s.blob()
    condition = s.values(s.rng.integers(0, 2, s.shape(first))) if s.chance() else partner(s, first)
    others = [first, partner(s, first)]
    s.layer([condition, *(others if s.chance() else others[::-1])])


@proposes("whereNonZero")
def where_non_zero(s: Sketch) -> None:
    s.layer([s.blob(1, 4, lambda x: x.size < 200)])


@proposes("reduce")
def reduce(s: Sketch) -> None:
    mode = s.whole(0, 9)
    s.layer([s.image()], mode=mode, axis=s.whole(2 if mode == 9 else 0, 4), epsilon=s.one((0.0, 0.5)))


@proposes(
    *("reduceL1", "reduceL2", "reduceMax", "reduceMin", "reduceSum", "reduceProd", "reduceMean", "reduceLogSum"),
    *("reduceSumSquare", "reduceLogSumExp"),
)
def reduce_axes(s: Sketch) -> None:
    source = s.blob()
    params = s.layer([source], keepDims=s.chance(), reduceAll=s.chance(0.2))
    if not params.reduceAll:
        params.axes.extend(s.axes(len(s.shape(source))))


@proposes("argMax", "argMin")
def arg_extreme(s: Sketch) -> None:
    source = s.blob()
    s.layer([source], axis=s.axis(len(s.shape(source))), removeDim=s.chance())


@proposes("argSort")
def arg_sort(s: Sketch) -> None:
    source = s.blob()
    s.layer([source], axis=s.axis(len(s.shape(source))), descending=s.chance())


@proposes("topK")
def top_k(s: Sketch) -> None:
    source = s.blob()
    axis = s.axis(len(s.shape(source)))
    count = s.whole(1, s.shape(source)[axis])
    if s.chance():
        s.layer([source], 2, axis=axis, K=count, useBottomK=s.chance())
    else:
        s.layer([source, s.values(count)], 2, axis=axis, useBottomK=s.chance())


@proposes("cumSum")
def cumulative_sum(s: Sketch) -> None:
    source = s.blob()
    axis = s.axis(len(s.shape(source)))
    inputs = [source, s.values(axis)] if s.chance(0.3) else [source]
    params = s.layer(inputs, excludeFinalSum=s.chance(), reverse=s.chance())
    if len(inputs) == 1:
        params.axis = axis


@proposes("loadConstant")
def load_constant(s: Sketch) -> None:
    if s.exact:
        raise Unfit
    shape = s.lengths(3)
    weigh(s.layer([], shape=shape), s, "data", *shape, scale=1.0)


@proposes("loadConstantND")
def load_constant_nd(s: Sketch) -> None:
    shape = s.lengths(s.whole(1, 4))
    weigh(s.layer([], shape=shape), s, "data", *shape, scale=1.0)


@proposes("fillLike")
def fill_like(s: Sketch) -> None:
    s.layer([s.blob()], value=s.number())


@proposes("fillStatic")
def fill_static(s: Sketch) -> None:
    s.layer([], value=s.number(), targetShape=s.lengths(s.whole(1, 4)))


@proposes("fillDynamic")
def fill_dynamic(s: Sketch) -> None:
    s.layer([s.values(s.lengths(s.whole(1, 4)))], value=s.number())


@proposes("rangeStatic")
def range_static(s: Sketch) -> None:
    s.layer([], startValue=s.number(-3, 3), endValue=s.number(4, 9), stepSizeValue=s.number(0.3, 2))


@proposes("rangeDynamic")
def range_dynamic(s: Sketch) -> None:
    given = [s.values(s.whole(5, 9)), s.values(s.number(-3, 3)), s.values(s.number(0.3, 2))][: s.whole(1, 3)]
    s.layer(given, startValue=s.number(-3, 3), stepSizeValue=s.number(0.3, 2))


@proposes("oneHot")
def one_hot(s: Sketch) -> None:
    size, shape = s.whole(2, 7), s.lengths(s.whole(1, 3))
    ids = s.values(s.rng.integers(-1, size + 1, shape))
    options = {"axis": s.axis(len(shape) + 1), "onValue": s.number(), "offValue": s.number()}
    if s.chance():
        s.layer([ids], oneHotVectorSize=size, **options)
    else:
        s.layer([ids, s.values(size)], **options)
