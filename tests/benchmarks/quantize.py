"""Quantization against coremltools in the same run: the bundled model, and a network with the layers of ResNet-50.

Times are seconds of the processor, of one thread, so that other work on the machine counts less; where both sides are
short they alternate and the medians are compared.

Run: python tests/benchmarks/quantize.py [bundled | linear | kmeans | memory]
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import logging
import math
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import mlexplorer as mle
from mlexplorer import samples, spec
from mlexplorer.quantization import analysis
from mlexplorer.spec.weight_params import write_floats

LARGEST = (512, 512, 3, 3)


def resnet_50() -> Iterator[tuple[int, ...]]:
    """The shapes of the weights: 53 convolutions and a dense layer, 25.5 million weights."""
    yield 64, 3, 7, 7
    inputs = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for block in range(blocks):
            yield width, inputs, 1, 1
            yield width, width, 3, 3
            yield 4 * width, width, 1, 1
            if not block:
                yield 4 * width, inputs, 1, 1
            inputs = 4 * width
    yield 1000, 2048


def network(shapes: list[tuple[int, ...]]) -> mle.Model:
    """A chain of such layers with Laplace and Gauss weights, a scale for each channel, and biases."""
    specification = spec.Model(specificationVersion=4)
    specification.description.input.add(name="0").type.multiArrayType.shape.extend([3, 224, 224])
    specification.description.output.add(name=str(len(shapes))).type.multiArrayType.SetInParent()
    rng = np.random.default_rng(0)
    for index, shape in enumerate(shapes):
        layer = specification.neuralNetwork.layers.add(name=f"layer_{index}")
        layer.input.append(str(index))
        layer.output.append(str(index + 1))
        if len(shape) == 4:
            params = layer.convolution
            params.outputChannels, params.kernelChannels, params.nGroups = shape[0], shape[1], 1
            params.kernelSize.extend(shape[2:])
            params.valid.SetInParent()
        else:
            params = layer.innerProduct
            params.outputChannels, params.inputChannels = shape
        params.hasBias = True
        values = rng.standard_normal(shape, dtype=np.float32)
        if index % 2:
            values *= np.abs(values)
        values *= rng.uniform(0.5, 2, (shape[0], *(1 for _ in shape[1:]))).astype(np.float32) / math.sqrt(shape[1])
        write_floats(params.weights, values)
        write_floats(params.bias, rng.standard_normal(shape[0], dtype=np.float32))
    return mle.Model(specification)


def count(model: mle.Model) -> int:
    return sum(weight.count for weight in model.graph.weights)


def seconds(function: Callable[[], Any]) -> float:
    logging.disable()
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        function()
    return time.process_time() - start


def to_bytes(model: mle.Model, scheme: mle.Scheme) -> bytes:
    return bytes(mle.quantize(model, scheme).spec.SerializeToString())


def all_tables(model: mle.Model) -> list[bytes]:
    quantized = mle.quantize_each(model, [mle.LookupTable(bits) for bits in range(1, 9)])
    return [bytes(one.spec.SerializeToString()) for one in quantized]


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

    def run() -> bytes:
        quantization_utils._get_kmeans_lookup_table_and_weight = flat
        try:
            quantized = quantization_utils.quantize_weights(own, bits, quantization_mode=mode)
        finally:
            quantization_utils._get_kmeans_lookup_table_and_weight = solve
        return bytes(quantized.get_spec().SerializeToString())

    return run


def bundled() -> None:
    model = samples.style()
    print(f"the bundled model: {count(model):,} weights in {len(model.graph.weights)} arrays")
    ours: dict[str, list[float]] = {"linear": [], "tables": []}
    peers: dict[str, list[float]] = {"linear": [], "kmeans_lut": []}
    for _ in range(3):
        analysis.KEPT = analysis.Kept(256 << 20)
        ours["linear"].append(seconds(lambda: to_bytes(model, mle.Linear(4))))
        ours["tables"].append(seconds(lambda: all_tables(model)))
        for mode, times in peers.items():
            times.append(seconds(by_coremltools(model, 4, mode)))
    report("linear, 4 bits", ours["linear"], peers["linear"])
    report("all eight k-means tables, against one of 4 bits", ours["tables"], peers["kmeans_lut"])
    steps = [seconds(lambda bits=bits: mle.quantize(model, mle.LookupTable(bits))) for bits in range(1, 9)]
    print(f"from one bit depth to the next: {statistics.median(steps) * 1e3:.0f} ms")


def linear() -> None:
    """Linear, 4 bits, to bytes; coremltools does one layer of 2.36 million weights, and is taken times their number."""
    model, one = network(list(resnet_50())), network([LARGEST])
    ours, peers = [], []
    for _ in range(5):
        ours.append(seconds(lambda: to_bytes(model, mle.Linear(4))))
        peers.append(seconds(by_coremltools(one, 4, "linear")) * count(model) / count(one))
    report(f"linear, 4 bits, {count(model):,} weights to bytes", ours, peers)


def kmeans() -> None:
    """All eight tables, to bytes, against one 8-bit run of coremltools, extrapolated likewise: some minutes."""
    model, one = network(list(resnet_50())), network([LARGEST])
    ours = []
    for _ in range(3):
        analysis.KEPT = analysis.Kept(256 << 20)
        ours.append(seconds(lambda: all_tables(model)))
    print(f"all eight k-means tables, {count(model):,} weights to bytes: {statistics.median(ours):.2f} s")
    peer = seconds(by_coremltools(one, 8, "kmeans_lut")) * count(model) / count(one)
    report("all eight k-means tables, against one of 8 bits", ours, [peer])


def memory() -> None:
    """The peak of a fresh process that makes the network and quantizes it to bytes."""
    code = "from tests.benchmarks import quantize; quantize.print_peak()"
    subprocess.run([sys.executable, "-c", code], check=True)


def peak() -> int:
    """The most bytes that this process had in memory; ru_maxrss knows that of its parent, too, where it was larger."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def print_peak() -> None:
    model = network(list(resnet_50()))
    if sys.platform == "linux":  # what making the network left over is not part of the model
        ctypes.CDLL(None).malloc_trim(0)
    before = peak()
    data = to_bytes(model, mle.Linear(4))
    most = peak()  # before the size is asked for: that serializes the model
    print(
        f"linear, 4 bits: a model of {model.size / 1e6:.0f} MB to {len(data) / 1e6:.0f} MB; the peak of the process "
        f"is {most / 1e6:.0f} MB, {most / model.size:.2f} times the model (making it took {before / 1e6:.0f} MB)"
    )


def report(what: str, ours: list[float], peers: list[float]) -> None:
    own, peer = statistics.median(ours), statistics.median(peers)
    print(f"{what}: {own:.3f} s, coremltools {peer:.2f} s: {peer / own:.0f} times as long")


def main() -> None:
    from threadpoolctl import threadpool_limits

    chosen = sys.argv[1:] or ["bundled", "linear", "memory", "kmeans"]
    with threadpool_limits(1):
        for name in chosen:
            {"bundled": bundled, "linear": linear, "kmeans": kmeans, "memory": memory}[name]()


if __name__ == "__main__":
    main()
