"""The trees of a TreeEnsembleParameters message as arrays, walked one level at a time in all trees at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlexplorer.errors import ModelError

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_LEAF = 6
_LESS, _GREATER, _EQUAL = 2, 4, 8
_OUTCOMES = (_LESS | _EQUAL, _LESS, _GREATER | _EQUAL, _GREATER, _EQUAL, _LESS | _GREATER, 0)
"""For each nodeBehavior the comparisons that lead to the true child, as bits; bit 0 is that of a missing value."""

_MOST_DIMENSIONS = 1 << 20

_NODE = np.dtype(
    [
        ("tree", np.uint64),
        ("node", np.uint64),
        ("behavior", np.int32),
        ("feature", np.uint64),
        ("value", np.float64),
        ("true", np.uint64),
        ("false", np.uint64),
        ("missing", np.bool_),
    ]
)
_ENTRY = np.dtype([("dimension", np.uint64), ("amount", np.float64)])


@dataclass(frozen=True)
class Forest:
    """The trees of an ensemble.

    `size` is the number of features that the trees look at, or more; `single` says whether they are compared in single
    precision. Of each node: the feature that it compares with `values`, the outcomes that lead to the true child (bits)
    and its `children`, false then true; a leaf is its own child. `roots` are in the order of the trees, `deepest_first`
    orders them by falling depth, and `walking` counts, per level, the trees that are deeper. What node i adds are the
    entries `first[i]` to `first[i + 1]` of `dimensions` and `amounts`, to `base`.
    """

    base: Floats
    size: int
    single: bool
    features: Indices
    values: Floats | NDArray[np.float32]
    outcomes: NDArray[np.uint8]
    children: Indices
    roots: Indices
    deepest_first: Indices
    walking: tuple[int, ...]
    first: Indices
    dimensions: Indices
    amounts: Floats

    def sums(self, features: Floats) -> Floats:
        """What the trees' leaves for these features [size] add up to, `base` included: [dimensions of the ensemble]."""
        leaves = self.leaves(features)
        counts = self.first[leaves + 1] - self.first[leaves]
        ends = np.cumsum(counts)
        entries = np.repeat(self.first[leaves] - (ends - counts), counts) + np.arange(ends[-1])
        added = np.bincount(self.dimensions[entries], self.amounts[entries], self.base.size)
        return self.base + added

    def leaves(self, features: Floats) -> Indices:
        """The leaf of each tree that these features [size] lead to."""
        inputs: Any = features
        if self.single:
            with np.errstate(over="ignore"):
                inputs = features.astype(np.float32)
        at = self.roots[self.deepest_first]
        for count in self.walking:
            nodes = at[:count]
            given, values = inputs[self.features[nodes]], self.values[nodes]
            # 0 where the value is missing, 1 where it is less, 2 where it is greater, 3 where it is equal
            outcome = (given <= values).view(np.uint8) + 2 * (given >= values).view(np.uint8)
            at[:count] = self.children[nodes, self.outcomes[nodes] >> outcome & 1]
        leaves = np.empty_like(at)
        leaves[self.deepest_first] = at
        return leaves


def read_forest(parameters: Any, size: int | None) -> Forest:
    """The trees of a TreeEnsembleParameters message for `size` features, None where any number may be given.

    Raises ModelError where they are no trees: no nodes, a node twice, children that are not there or have two parents,
    no root or several, nodes that no root leads to; leaves that add nothing or to no dimension; features that are not
    there. Features are compared in single precision where all values that they are compared with are singles, as
    coremltools' converter of XGBoost's trees says of Apple's compiler; scikit-learn and XGBoost round features, too.
    """
    nodes = _read(parameters)
    base = _base(parameters)
    leaf = nodes["behavior"] == _LEAF
    children, tree = _connect(nodes, leaf)
    roots, depths = _trees(nodes, leaf, children, tree)
    order = np.argsort(-depths, kind="stable")
    first, dimensions, amounts = _leaves(parameters, nodes, leaf, base.size)
    values = np.where(leaf, 0.0, nodes["value"])
    with np.errstate(over="ignore"):
        singles = values.astype(np.float32)
    single = bool((singles == values).all())
    return Forest(
        base=base,
        size=_feature_count(nodes, leaf, size),
        single=single,
        features=np.where(leaf, 0, nodes["feature"]).astype(np.intp),
        values=singles if single else values,
        outcomes=np.array(_OUTCOMES, np.uint8)[nodes["behavior"]] | nodes["missing"].view(np.uint8),
        children=children,
        roots=roots,
        deepest_first=order,
        walking=tuple(np.searchsorted(-depths[order], -np.arange(depths.max()), "left").tolist()),
        first=first,
        dimensions=dimensions,
        amounts=amounts,
    )


def _read(parameters: Any) -> NDArray[Any]:
    if not parameters.nodes:
        raise ModelError("the tree ensemble has no nodes")
    nodes = np.fromiter(_rows(parameters), _NODE, len(parameters.nodes))
    unknown = np.flatnonzero((nodes["behavior"] < 0) | (nodes["behavior"] > _LEAF))
    if unknown.size:
        place, behavior = _place(nodes, unknown[0]), nodes["behavior"][unknown[0]]
        raise ModelError(f"{place}: nodeBehavior {behavior} is none that the format knows")
    undefined = np.flatnonzero(np.isnan(nodes["value"]) & (nodes["behavior"] != _LEAF))
    if undefined.size:
        raise ModelError(f"{_place(nodes, undefined[0])}: branchFeatureValue is not a number")
    return nodes


def _rows(parameters: Any) -> Iterator[tuple[Any, ...]]:
    for node in parameters.nodes:
        yield (
            node.treeId,
            node.nodeId,
            node.nodeBehavior,
            node.branchFeatureIndex,
            node.branchFeatureValue,
            node.trueChildNodeId,
            node.falseChildNodeId,
            node.missingValueTracksTrueChild,
        )


def _place(nodes: NDArray[Any], index: Any) -> str:
    return f"tree {nodes['tree'][index]}, node {nodes['node'][index]}"


def _base(parameters: Any) -> Floats:
    dimensions, base = parameters.numPredictionDimensions, np.array(parameters.basePredictionValue, np.float64)
    if not 0 < dimensions <= _MOST_DIMENSIONS:
        raise ModelError(f"numPredictionDimensions is {dimensions}, not 1 or a few more")
    if base.size not in (0, dimensions):
        raise ModelError(f"basePredictionValue has {base.size} values, but numPredictionDimensions is {dimensions}")
    return base if base.size else np.zeros(dimensions)


def _connect(nodes: NDArray[Any], leaf: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """The children of each node [nodes, 2], false then true, and the number of its tree, by rank [nodes]."""
    count, branches = len(nodes), np.flatnonzero(~leaf)
    named = nodes[branches]
    tree = np.unique(nodes["tree"], return_inverse=True)[1]
    names, ranks = np.unique(np.concatenate([nodes["node"], named["false"], named["true"]]), return_inverse=True)
    keys = tree * len(names) + ranks[:count]
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    twice = np.flatnonzero(ordered[1:] == ordered[:-1])
    if twice.size:
        raise ModelError(f"{_place(nodes, order[twice[0]])} is there twice")

    wanted = np.stack([tree[branches] * len(names) + part for part in np.split(ranks[count:], 2)], axis=1)
    found = np.minimum(np.searchsorted(ordered, wanted), count - 1)
    absent = np.argwhere(ordered[found] != wanted)
    if absent.size:
        row, side = absent[0]
        name = ("false", "true")[side]
        raise ModelError(
            f"{_place(nodes, branches[row])}: its {name} child, node {named[name][row]}, is not in the tree"
        )
    children = np.repeat(np.arange(count)[:, None], 2, axis=1)
    children[branches] = order[found]
    return children, tree


def _trees(nodes: NDArray[Any], leaf: NDArray[np.bool_], children: Indices, tree: Indices) -> tuple[Indices, Indices]:
    """The root of each tree and its depth: how many branches the longest way to a leaf has."""
    parents = np.bincount(children[~leaf].reshape(-1), minlength=len(nodes))
    shared = np.flatnonzero(parents > 1)
    if shared.size:
        raise ModelError(f"{_place(nodes, shared[0])} is the child of two nodes, or both children of one")
    roots = np.flatnonzero(parents == 0)
    counts = np.bincount(tree[roots], minlength=tree.max() + 1)
    for wrong in np.flatnonzero(counts != 1)[:1]:
        if not counts[wrong]:
            raise ModelError(f"{_place(nodes, np.flatnonzero(tree == wrong)[0])}: the tree has no root; it goes round")
        several = ", ".join(str(nodes["node"][index]) for index in roots[tree[roots] == wrong][:3])
        raise ModelError(f"tree {nodes['tree'][tree == wrong][0]} has several nodes without a parent: {several}")
    roots = roots[np.argsort(tree[roots])]

    depths = np.zeros(len(roots), np.intp)
    reached = np.zeros(len(nodes), np.bool_)
    level, depth = roots, 0
    while level.size:
        reached[level] = True
        depths[tree[level]] = depth
        level, depth = children[level[~leaf[level]]].reshape(-1), depth + 1
    if not reached.all():
        place = _place(nodes, np.flatnonzero(~reached)[0])
        raise ModelError(f"{place} cannot be reached from the root of its tree; its parents go round")
    return roots, depths


def _leaves(
    parameters: Any, nodes: NDArray[Any], leaf: NDArray[np.bool_], size: int
) -> tuple[Indices, Indices, Floats]:
    """Where the entries of each node begin [nodes + 1], and of each entry the dimension and what it adds."""
    places = np.flatnonzero(leaf)
    lists = [parameters.nodes[index].evaluationInfo for index in places.tolist()]
    counts = np.array([len(entries) for entries in lists], np.intp)
    empty = np.flatnonzero(counts == 0)
    if empty.size:
        raise ModelError(f"{_place(nodes, places[empty[0]])}: the leaf has no evaluationInfo")
    rows = ((entry.evaluationIndex, entry.evaluationValue) for entries in lists for entry in entries)
    entries = np.fromiter(rows, _ENTRY, counts.sum())
    owners = np.repeat(places, counts)
    far = np.flatnonzero(entries["dimension"] >= size)
    if far.size:
        dimension = entries["dimension"][far[0]]
        raise ModelError(
            f"{_place(nodes, owners[far[0]])}: evaluationIndex is {dimension}, but numPredictionDimensions is {size}"
        )
    dimensions = entries["dimension"].astype(np.intp)
    keys = np.sort(owners * size + dimensions)
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if twice.size:
        owner, dimension = divmod(int(keys[twice[0]]), size)
        raise ModelError(f"{_place(nodes, owner)}: evaluationIndex {dimension} is there twice")
    first = np.zeros(len(nodes) + 1, np.intp)
    first[places + 1] = counts
    return np.cumsum(first), dimensions, entries["amount"].copy()


def _feature_count(nodes: NDArray[Any], leaf: NDArray[np.bool_], size: int | None) -> int:
    features = np.where(leaf, 0, nodes["feature"])
    if leaf.all():
        return 0
    widest = int(np.argmax(features))
    if features[widest] >= (np.iinfo(np.intp).max if size is None else size):
        raise ModelError(
            f"{_place(nodes, widest)}: branchFeatureIndex is {features[widest]}, but the inputs have {size} values"
        )
    return int(features[widest]) + 1
