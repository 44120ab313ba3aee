"""Matrix products."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod
from string import ascii_letters

import numpy as np

from mlexplorer.converters.onnx.node import Node
from mlexplorer.converters.onnx.operators.table import converts
from mlexplorer.errors import ModelError, UnsupportedError
from mlexplorer.layers.layer_type import Array


@converts("MatMul")
def matmul(node: Node) -> str:
    """The product over the last two axes; a constant matrix on the right is the weights of an inner product."""
    a, b = node.input(0), node.input(1)
    if b.is_constant and b.rank == 2 and not a.is_constant:
        return inner_product(node, node.blob(), a.rank, node.weight(1, "the matrix").T, None)
    blob = node.add("batchedMatmul", node.blob(0), node.blob(1))
    rows = a.shape if a.rank > 1 else (1, *a.shape)
    columns = b.shape if b.rank > 1 else (*b.shape, 1)
    leading = np.broadcast_shapes(rows[:-2], columns[:-2])
    return node.reshape(blob, (*leading, rows[-2], columns[-1]), node.shape)


@converts("Gemm")
def gemm(node: Node) -> str:
    """The product alpha A B + beta C of matrices, each of the first two perhaps transposed."""
    a, b = node.input(0), node.input(1)
    alpha, beta = node.attribute("alpha", 1.0), node.attribute("beta", 1.0)
    left, right = bool(node.attribute("transA", 0)), bool(node.attribute("transB", 0))
    if a.rank != 2 or b.rank != 2:
        raise ModelError(f"its inputs have the shapes {list(a.shape)} and {list(b.shape)}; both must be matrices")
    if b.is_constant and not a.is_constant:
        matrix = node.weight(1, "the matrix")
        rows = matrix if right else matrix.T
        bias = None
        vector = node.has(2) and node.input(2).is_constant and prod(node.input(2).shape[:-1]) == 1
        if vector:
            bias = np.ascontiguousarray(np.broadcast_to(node.weight(2, "C").reshape(-1) * np.float32(beta), len(rows)))
        x = node.transpose(node.blob(), [1, 0]) if left else node.blob()
        blob = inner_product(node, x, 2, rows if alpha == 1 else rows * np.float32(alpha), bias)
        if vector or not node.has(2):
            return blob
    else:
        blob = node.add("batchedMatmul", node.blob(0), node.blob(1), transposeA=left, transposeB=right)
        blob = node.linear(blob, alpha)
    if not node.has(2):
        return blob
    return node.add("addBroadcastable", blob, node.linear(node.blob(2), beta))


def inner_product(node: Node, blob: str, rank: int, weights: Array, bias: Array | None) -> str:
    """Weights [out, in] times the vectors on the last axis of a blob.

    From four axes on the layer innerProduct takes [C, H, W] for a vector: batchedMatmul has the same weights.
    """
    outputs, inputs = weights.shape
    if rank < 4:
        fields = {"inputChannels": inputs, "outputChannels": outputs}
        layer = "innerProduct"
    else:
        fields = {"weightMatrixFirstDimension": inputs, "weightMatrixSecondDimension": outputs}
        layer = "batchedMatmul"
    weights = np.ascontiguousarray(weights)
    optional = {} if bias is None else {"bias": bias}
    return node.add(layer, blob, **fields, hasBias=bias is not None, weights=weights, **optional)


@converts("Einsum")
def einsum(node: Node) -> str:
    """Sums of products by letters: of one operand, or of two as a batched matrix product."""
    equation = re.sub(r"\s", "", node.attribute("equation", ""))
    equation = _without_dots(equation, [value.rank for value in node.inputs if value is not None])
    match = re.fullmatch(r"([a-zA-Z]+)(?:,([a-zA-Z]+))?(?:->([a-zA-Z]*))?", equation)
    if match is None or len(node.inputs) != (2 if match[2] else 1):
        raise UnsupportedError(f"its equation {equation!r} is none of one or two operands in letters")
    terms = [term for term in match.groups()[:2] if term]
    letters = "".join(terms)
    result = match[3] if match[3] is not None else "".join(sorted(c for c in letters if letters.count(c) == 1))
    if any(len(set(term)) != len(term) for term in [*terms, result]):
        raise UnsupportedError(f"its equation {equation!r} takes a diagonal")
    sizes: dict[str, int] = {}
    for index, term in enumerate(terms):
        shape = node.input(index).shape
        if len(shape) != len(term) or any(sizes.setdefault(c, n) != n for c, n in zip(term, shape, strict=True)):
            raise ModelError(f"its equation {equation!r} does not fit inputs of shapes {list(shape)}")
    reduced = [
        _summed(node, index, term, {*result, *"".join(terms[:index] + terms[index + 1 :])})
        for index, term in enumerate(terms)
    ]
    if len(reduced) == 1:
        blob, term = reduced[0]
        return _arranged(node, blob, term, result)
    (a, left), (b, right) = reduced
    batch = [c for c in left if c in right and c in result]
    summed = [c for c in left if c in right and c not in result]
    rows, columns = ([c for c in term if c not in batch + summed] for term in (left, right))

    def size(group: Sequence[str]) -> int:
        return prod(sizes[c] for c in group)

    a = _arranged(node, a, left, [*batch, *rows, *summed])
    b = _arranged(node, b, right, [*batch, *summed, *columns])
    leading = [sizes[c] for c in batch]
    a = node.reshape(a, [sizes[c] for c in [*batch, *rows, *summed]], [size(batch), size(rows), size(summed)])
    b = node.reshape(b, [sizes[c] for c in [*batch, *summed, *columns]], [size(batch), size(summed), size(columns)])
    product = node.add("batchedMatmul", a, b)
    full = [*leading, *(sizes[c] for c in [*rows, *columns])]
    product = node.reshape(product, [size(batch), size(rows), size(columns)], full)
    return _arranged(node, product, [*batch, *rows, *columns], result)


def _without_dots(equation: str, ranks: Sequence[int]) -> str:
    """The equation with letters of its own for the axes that "..." stands for, the last ones of each operand alike."""
    if "..." not in equation:
        return equation
    sources, arrow, result = equation.partition("->")
    terms = sources.split(",")
    if len(terms) != len(ranks):
        raise ModelError(f"its equation {equation!r} does not fit {len(ranks)} inputs")
    free = [letter for letter in ascii_letters if letter not in equation]
    counts = [rank - len(term.replace(".", "")) for term, rank in zip(terms, ranks, strict=True) if "..." in term]
    dots = "".join(free[: max(counts, default=0)])
    written = [
        term.replace("...", dots[len(dots) - max(0, rank - len(term.replace(".", ""))) :])
        for term, rank in zip(terms, ranks, strict=True)
    ]
    if not arrow:
        letters = "".join(terms)
        result = "..." + "".join(sorted(c for c in letters if c != "." and letters.count(c) == 1))
    return f"{','.join(written)}->{result.replace('...', dots)}"


def _summed(node: Node, index: int, term: str, kept: set[str]) -> tuple[str, str]:
    """An operand without the letters that nothing else has."""
    axes = [axis for axis, letter in enumerate(term) if letter not in kept]
    blob = node.blob(index)
    if not axes:
        return blob, term
    blob = node.add("reduceSum", blob, axes=axes, keepDims=False)
    return blob, "".join(c for c in term if c in kept)


def _arranged(node: Node, blob: str, letters: Sequence[str], wanted: Sequence[str]) -> str:
    return node.transpose(blob, [list(letters).index(letter) for letter in wanted])
