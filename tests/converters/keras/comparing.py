"""Keras models with random weights, converted and run, against Keras itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

import mlexplorer as mle

keras = pytest.importorskip("keras")

TOLERANCE = 1e-4
"""The greatest error that a converted model may have, relative to the range of the output."""


def randomize(model: Any, seed: int = 0) -> Any:
    """The model with random numbers in every weight: biases and moving statistics too, variances positive."""
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        if "seed" in variable.path or not str(variable.dtype).startswith(("float", "bfloat")):
            continue
        shape = tuple(variable.shape)
        values = (
            rng.normal(0, 1, shape) / max(1, np.prod(shape[:-1])) ** 0.5
            if len(shape) > 1
            else rng.normal(0, 0.5, shape)
        )
        if variable.path.endswith(("variance", "gamma")):
            values = rng.uniform(0.5, 1.5, shape)
        variable.assign(values.astype(np.float32))
    return model


def random_input(shape: Sequence[int], seed: int = 0) -> Any:
    return np.random.default_rng(100 + seed).normal(0, 1, shape).astype(np.float32)


def keras_outputs(model: Any, feeds: Sequence[Any]) -> list[Any]:
    """What Keras computes, by its own names of outputs turned into a list."""
    outputs = model(list(feeds) if len(feeds) > 1 else feeds[0], training=False)
    flat = keras.tree.flatten(outputs)
    return [np.asarray(keras.ops.convert_to_numpy(value), np.float32) for value in flat]


def error(ours: Any, theirs: Any) -> float:
    """The greatest difference over the range of the expected output (at least 1e-3)."""
    assert ours.shape == theirs.shape
    assert np.isfinite(theirs).all()
    span = max(float(theirs.max() - theirs.min()), float(np.abs(theirs).max()), 1e-3)
    return float(np.abs(ours - theirs).max()) / span


def check(
    model: Any, feeds: Sequence[Any] | None = None, *, converted: Any = None, tolerance: float = TOLERANCE
) -> Any:
    """Convert a live model, run it on random inputs and compare every output; returns the converted model."""
    randomize(model)
    if feeds is None:
        shapes = [(1, *tensor.shape[1:]) for tensor in model.inputs]
        feeds = [random_input(shape, seed) for seed, shape in enumerate(shapes)]
    converted = converted or mle.convert(model)
    names = [feature.name for feature in converted.inputs]
    outputs = mle.predict(converted, dict(zip(names, feeds, strict=True)))
    expected = keras_outputs(model, feeds)
    assert len(converted.outputs) == len(expected)
    for feature, theirs in zip(converted.outputs, expected, strict=True):
        assert tuple(feature.shape) == theirs.shape
        assert error(np.asarray(outputs[feature.name]), theirs) <= tolerance, feature.name
    return converted


def layer_types(converted: Any) -> list[str]:
    """The types of the network's layers, in order."""
    network: Mapping[str, Any] | Any = converted.spec.neuralNetwork
    return [layer.WhichOneof("layer") for layer in network.layers]


def sequential(*layers: Any, shape: Sequence[int]) -> Any:
    return keras.Sequential([keras.Input(tuple(shape), name="x"), *layers])
