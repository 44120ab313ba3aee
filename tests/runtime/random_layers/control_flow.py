"""Proposals of branches, loops and overwritten blobs."""

from __future__ import annotations

from typing import Any

from tests.runtime.random_networks import Sketch, Unfit, proposes


def grown(s: Sketch, network: Any, prefix: str, layers: int) -> Sketch:
    """A network within, grown by so many layers."""
    inner = s.nested(network, prefix)
    for _ in range(layers * 4):
        if len(network.layers) >= layers:
            break
        inner.grow()
    return inner


@proposes("copy")
def overwrite(s: Sketch) -> None:
    """Write over a blob that is there; what read it before keeps the old value."""
    target = s.blob(fits=lambda x: True)
    if target.startswith("in") or s.depth:
        raise Unfit
    s.append("copy", [s.blob()], [target])


@proposes("branch")
def branch(s: Sketch) -> None:
    if s.depth > 1:
        raise Unfit
    condition = s.values(s.whole(0, 1))
    index = len(s.network.layers)
    result = f"{s.prefix}{index}_r"
    params = s.append("branch", [condition], [])
    for field in ("ifBranch", "elseBranch"):
        own = getattr(params, field)
        inner = grown(s, own, f"{s.prefix}{index}{field[0]}", s.whole(1, 3))
        inner.append("copy", [list(inner.blobs)[-1]], [result])


@proposes("loop")
def loop(s: Sketch) -> None:
    if s.depth > 1:
        raise Unfit
    index = len(s.network.layers)
    prefix, source = f"{s.prefix}{index}l", s.blob()
    state, turn, kind = f"{prefix}_state", f"{prefix}_turn", s.whole(0, 3)
    s.append("copy", [source], [state])
    s.append("fillStatic", [], [turn], value=0.0, targetShape=[1])
    s.finish(len(s.network.layers) - 2)
    inputs = [s.values(s.whole(1, 4))] if kind == 1 else []
    params = s.append("loop", inputs, [])
    if kind in (0, 3):
        params.maxLoopIterations = s.whole(1, 5)
    if kind in (2, 3):
        params.conditionVar = f"{prefix}_on"
        condition = s.nested(params.conditionNetwork, f"{prefix}c")
        condition.append("lessThan", [turn], [params.conditionVar], alpha=s.whole(1, 4) - 0.5)
    body = params.bodyNetwork
    inner = s.nested(body, f"{prefix}b")
    inner.append("add", [turn], [turn], alpha=1.0)
    inner.finish(0)
    if s.chance(0.3):
        inner.append("equal", [turn], [f"{prefix}_now"], alpha=float(s.whole(1, 3)))
        inner.finish(1)
        sub = inner.append("branch", [f"{prefix}_now"], [])
        add_leaving(sub.ifBranch, s.one(("loopBreak", "loopContinue")))
    before = len(body.layers)
    for _ in range(s.whole(1, 3)):
        inner.grow()
    if s.chance(0.3) and s.blobs[source].ndim:
        inner.append("concatND", [state, source], [state], axis=0)  # grows at every turn
    elif len(body.layers) > before:
        last = list(inner.blobs)[-1]
        inner.append("reduceMean", [last], [f"{prefix}_mean"], reduceAll=True)
        inner.append("addBroadcastable", [state, f"{prefix}_mean"], [f"{prefix}_sum"])
        inner.append("tanh", [f"{prefix}_sum"], [state])
    else:
        inner.append("activation", [state], [state], linear={"alpha": -0.7, "beta": 0.3})


def add_leaving(network: Any, type: str) -> None:
    layer = network.layers.add(name=type)
    getattr(layer, type).SetInParent()
