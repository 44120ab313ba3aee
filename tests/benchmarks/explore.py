"""The explorer's first run on the bundled model against as many bare onnxruntime runs as it makes outputs.

    python -m tests.benchmarks.explore
    taskset -c 0 python -m tests.benchmarks.explore

The peer is one onnxruntime session with the same graph, its weights inside, run on the same picture; reading, lowering,
quantizing, comparing and encoding are on the explorer's side only. Prints seconds and CPU seconds; the ratio of the CPU
seconds counts, for other work on the machine does not change it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

import mlexplorer as mle
from mlexplorer.inputs import read_inputs
from mlexplorer.runtime.models.network import encode
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.runtime.sessions import available_cores

OUTPUTS = 16


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and seconds of the CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def bare_run(model: mle.Model, picture: Any) -> Callable[[], object]:
    """One run of a plain onnxruntime session on the picture."""
    predictor = Predictor(model)
    predictor.predict({"image": picture})
    (segment,) = predictor._runner._program._segments.values()
    weights = {weight.key: weight.array() for weight in model.graph.weights}
    graph = onnx.load_from_string(segment.model)
    uses = {use.name: use for use in segment.uses}
    for tensor in graph.graph.initializer:
        if tensor.name in uses:
            tensor.CopyFrom(numpy_helper.from_array(uses[tensor.name].array(weights), tensor.name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    ((blob, name),) = segment.inputs
    feeds = {name: np.ascontiguousarray(encode(model, {"image": picture})[blob], np.float32)}
    return lambda: session.run(None, feeds)


def main() -> None:
    """Measure and print."""
    model = mle.samples.style()
    photo = mle.samples.photos()[-1]
    picture = read_inputs(model, photo)[0][0].stages["full"]
    run = bare_run(model, picture)
    run()
    bare = timed(lambda: [run() for _ in range(OUTPUTS)])
    explorer: list[mle.Explorer] = []

    def explore() -> None:
        explorer.append(mle.explore(model, photo))
        explorer[0].wait()

    whole = timed(explore)
    size = f"{picture.width}x{picture.height}"
    print(f"{OUTPUTS} bare onnxruntime runs at {size}: {bare[0]:.1f} s, {bare[1]:.1f} s of the CPU")
    print(f"explorer, first run: {whole[0]:.1f} s, {whole[1]:.1f} s of the CPU")
    print(f"ratio: {whole[0] / bare[0]:.2f} by the clock, {whole[1] / bare[1]:.2f} by the CPU")
    explorer[0].close()


if __name__ == "__main__":
    main()
