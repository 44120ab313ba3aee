"""The explorer's first run on the bundled model against as many bare onnxruntime runs as it makes outputs.

    python -m tests.benchmarks.explore

Prints seconds and CPU seconds; the ratio of the CPU seconds counts, for other work on the machine does not change it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import mlexplorer as mle
from mlexplorer.runtime.prediction import Predictor
from mlexplorer.sweep import fit, input_feature, read_inputs

OUTPUTS = 16


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and seconds of the CPU."""
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - cpu


def main() -> None:
    """Measure and print."""
    model = mle.samples.style()
    photo = mle.samples.photos()[-1]
    picture = fit(read_inputs(model, photo)[0][0][1], input_feature(model))  # type: ignore[arg-type]
    predictor = Predictor(model)
    predictor.predict({"image": picture})
    bare = timed(lambda: [predictor.predict({"image": picture}) for _ in range(OUTPUTS)])
    explorer: list[mle.Explorer] = []

    def explore() -> None:
        explorer.append(mle.explore(model, photo))
        explorer[0].wait()

    whole = timed(explore)
    print(f"{OUTPUTS} bare runs at {picture.width}x{picture.height}: {bare[0]:.1f} s, {bare[1]:.1f} s of the CPU")
    print(f"explorer, first run: {whole[0]:.1f} s, {whole[1]:.1f} s of the CPU, {whole[1] / bare[1]:.2f} times")
    explorer[0].close()


if __name__ == "__main__":
    main()
