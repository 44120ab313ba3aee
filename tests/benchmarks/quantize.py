"""How long the bundled model takes to quantize at every depth, against coremltools in the same run.

Run: python tests/benchmarks/quantize.py [model.mlmodel]
"""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import mlexplorer as mle
from mlexplorer import samples
from mlexplorer.quantization import analysis


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        function()
    return time.perf_counter() - start


def by_coremltools(model: mle.Model, bits: int, mode: str) -> Callable[[], Any]:
    from coremltools.models import MLModel
    from coremltools.models.neural_network import quantization_utils
    from coremltools.proto.Model_pb2 import Model as Specification

    own = MLModel(Specification.FromString(model.spec.SerializeToString()), skip_model_load=True)
    solve = quantization_utils._get_kmeans_lookup_table_and_weight

    def flat(*arguments: Any, **options: Any) -> Any:
        """The table of coremltools 9.0 has shape [2^n, 1], which current protobuf refuses: flatten it."""
        table, codes = solve(*arguments, **options)
        return np.ravel(table), codes

    quantization_utils._get_kmeans_lookup_table_and_weight = flat
    return lambda: quantization_utils.quantize_weights(own, bits, quantization_mode=mode)


def main() -> None:
    model = mle.load(sys.argv[1]) if len(sys.argv) > 1 else samples.style()
    count = sum(weight.count for weight in model.graph.weights)
    print(f"{count:,} weights in {len(model.graph.weights)} arrays")
    analysis.KEPT = analysis.Kept(256 << 20)
    linear = {bits: seconds(lambda bits=bits: mle.quantize(model, mle.Linear(bits))) for bits in range(1, 9)}
    tables = {bits: seconds(lambda bits=bits: mle.quantize(model, mle.LookupTable(bits))) for bits in range(1, 9)}
    sizes = seconds(lambda: [mle.Plan.uniform(model, mle.Linear(bits)).predicted_size(model) for bits in range(1, 9)])
    print(f"all sixteen {sum(linear.values()) + sum(tables.values()):.2f} s; eight predicted sizes {sizes:.2f} s")
    print(f"linear: eight depths {sum(linear.values()):.2f} s, 4 bit {linear[4]:.3f} s")
    print(
        f"tables: eight depths {sum(tables.values()):.2f} s, the first {tables[1]:.2f} s, 4 bit then {tables[4]:.3f} s"
    )
    peer = seconds(by_coremltools(model, 4, "linear"))
    print(f"coremltools, 4 bit linear {peer:.2f} s: {peer / linear[4]:.0f} times as long")
    peer = seconds(by_coremltools(model, 4, "kmeans_lut"))
    print(
        f"coremltools, 4 bit k-means {peer:.2f} s: {peer / sum(tables.values()):.1f} times as long as all eight of ours"
    )


if __name__ == "__main__":
    main()
