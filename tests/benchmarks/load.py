"""How long a model of 100 MB takes to load, save and read, against protobuf alone.

Run: python tests/benchmarks/load.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mlexplorer import spec
from mlexplorer.formats import load, save
from mlexplorer.spec.weight_params import write_floats

LAYERS, CHANNELS = 25, 1024


def model_of_100_mb() -> Any:
    model = spec.Model(specificationVersion=4)
    description = model.description
    for name, features in (("x", description.input), ("y24", description.output)):
        feature = features.add(name=name)
        feature.type.multiArrayType.shape.append(CHANNELS)
        feature.type.multiArrayType.dataType = 65568
    weights = np.random.default_rng(0).normal(size=(CHANNELS, CHANNELS)).astype(np.float32)
    for i in range(LAYERS):
        layer = model.neuralNetwork.layers.add(name=f"fc{i}", input=[f"y{i - 1}" if i else "x"], output=[f"y{i}"])
        layer.innerProduct.inputChannels = layer.innerProduct.outputChannels = CHANNELS
        write_floats(layer.innerProduct.weights, weights)
    return model


def fastest(function: Callable[[], Any], repeats: int = 7) -> float:
    """The shortest of several runs, in seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, copy = Path(folder) / "large.mlmodel", Path(folder) / "copy.mlmodel"
        path.write_bytes(model_of_100_mb().SerializeToString())
        data = path.read_bytes()
        model = load(path)
        parse = fastest(lambda: spec.Model.FromString(data))
        whole_parse = fastest(lambda: spec.Model.FromString(path.read_bytes()))
        write = fastest(lambda: copy.write_bytes(model.spec.SerializeToString()))
        print(f"{len(data) / 1e6:.0f} MB, bare parse {1000 * parse:.0f} ms, with reading {1000 * whole_parse:.0f} ms")
        for name, seconds, peer, peer_name in (
            ("load", fastest(lambda: load(path)), parse, "bare parse"),
            ("load", fastest(lambda: load(path)), whole_parse, "reading and parsing"),
            ("load and graph", fastest(lambda: load(path).graph.weights), parse, "bare parse"),
            ("all weights to arrays", fastest(lambda: [w.array() for w in model.graph.weights]), parse, "bare parse"),
            ("copy", fastest(model.copy), parse, "bare parse"),
            ("save", fastest(lambda: save(model, copy)), write, "serialising and writing, without fsync"),
        ):
            print(f"{name}: {seconds / peer:.2f}x {peer_name} ({1000 * seconds:.0f} ms)")


if __name__ == "__main__":
    sys.exit(main())
