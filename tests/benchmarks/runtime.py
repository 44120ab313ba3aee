"""The runtime against bare onnxruntime and torch: steady runs, a cold start, the peak of memory.

    python -m tests.benchmarks.runtime [rounds]
    taskset -c 0 python -m tests.benchmarks.runtime [rounds]

Two networks: the bundled style network at 480x320 and SqueezeNet (the corpus' own, else one with random weights). The
peers are the same network in torch (inference_mode), and that network as torch's own exporter writes it, run by bare
onnxruntime with default options; all with one thread for each core that the process may use. Runs are interleaved,
with pauses in which idle threads stop spinning. Printed are medians and the median of the ratios within a round, by the
clock and by the CPU; on a machine that does other work, the CPU's on one core are the ones to trust. A cold start is a
process of its own: from a file, imports excluded, to the first result.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COLD_STARTS = 7
PAUSE = 0.06
Timed = Callable[[], Any]


def interleaved(runs: Mapping[str, Timed], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of each run in each round, by the clock and by the CPU; a first round is not counted."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            time.sleep(PAUSE)
            clock, cpu = time.perf_counter(), time.process_time()
            run()
            taken = (1000 * (time.perf_counter() - clock), 1000 * (time.process_time() - cpu))
            if number:
                times[name].append(taken)
    return times


def ratio(times: Mapping[str, list[tuple[float, float]]], name: str, peer: str, axis: int) -> float:
    """The median of a run's times over its peer's in the same round."""
    return statistics.median(a[axis] / b[axis] for a, b in zip(times[name], times[peer], strict=True))


def print_steady(title: str, model: Any, picture: Image.Image, rounds: int, folder: Path) -> tuple[Path, Path, Path]:
    """Measure steady runs of one model; the model, its exported peer and the picture as files."""
    import onnxruntime
    import torch

    import mlexplorer as mle
    from mlexplorer.runtime.models.network import encode, output_blobs
    from mlexplorer.runtime.program import Program
    from mlexplorer.runtime.sessions import available_cores
    from tests.benchmarks.torch_networks import TorchNetwork, exported

    (name,) = (feature.name for feature in model.inputs)
    blobs, wanted = encode(model, {name: picture}), output_blobs(model)
    image = blobs[name].reshape(1, *blobs[name].shape[-3:])
    network = TorchNetwork(model).eval()
    torch.set_num_threads(available_cores())
    onnx_file = exported(network, image)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cores()
    session = onnxruntime.InferenceSession(onnx_file, options, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: image}
    program, predictor = Program(model), mle.Predictor(model)

    def in_torch() -> Any:
        with torch.inference_mode():
            return network(torch.from_numpy(image)).numpy()

    runs: dict[str, Timed] = {
        "onnxruntime": lambda: session.run(None, feed)[0],
        "Program.run": lambda: program.run(blobs, wanted)[wanted[0]],
        "Predictor.predict": lambda: predictor.predict({name: picture}),
        "torch": in_torch,
    }
    peer = runs["onnxruntime"]()
    print(f"{title}: {' x '.join(map(str, image.shape))}, {available_cores()} threads, {rounds} rounds")
    for other in ("Program.run", "torch"):
        difference, largest = np.abs(runs[other]().reshape(peer.shape) - peer).max(), np.abs(peer).max()
        print(f"  {other} differs from onnxruntime by {difference:.1e} at most, where values reach {largest:.3g}")
    times = interleaved(runs, rounds)
    for run, pairs in times.items():
        clock, cpu = (statistics.median(pair[axis] for pair in pairs) for axis in (0, 1))
        by_clock, by_cpu = (ratio(times, run, "onnxruntime", axis) for axis in (0, 1))
        print(
            f"  {run:18} {clock:8.2f} ms, {cpu:8.2f} ms of the CPU; "
            f"{by_clock:.2f}x by the clock, {by_cpu:.2f}x by the CPU"
        )
    paths = folder / f"{title}.mlmodel", folder / f"{title}.onnx", folder / f"{title}.npz"
    mle.save(model, paths[0])
    paths[1].write_bytes(onnx_file)
    np.savez(paths[2], image=image, picture=np.asarray(picture))
    return paths


def cold_ours(model_path: str, data_path: str) -> dict[str, float]:
    """In a process of its own: from a model file to its first prediction."""
    start = time.perf_counter()
    import mlexplorer as mle
    from mlexplorer.runtime import lowering, sessions

    load, predictor_class = mle.load, mle.Predictor
    picture = Image.fromarray(np.load(data_path)["picture"])
    spent: dict[str, float] = {"imports": time.perf_counter() - start}

    def watched(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            begin = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                spent[name] = spent.get(name, 0) + time.perf_counter() - begin

        return run

    lowering.lower = watched("lower", lowering.lower)
    sessions.Session = watched("session", sessions.Session)  # type: ignore[assignment, misc]
    start, cpu = time.perf_counter(), time.process_time()
    model = load(model_path)
    spent["load"] = time.perf_counter() - start
    predictor_class(model).predict({model.inputs[0].name: picture})
    spent["all"], spent["cpu"] = time.perf_counter() - start, time.process_time() - cpu
    return spent


def cold_bare(onnx_path: str, data_path: str) -> dict[str, float]:
    """In a process of its own: from an ONNX file to bare onnxruntime's first run."""
    start = time.perf_counter()
    import onnxruntime

    image = np.load(data_path)["image"]
    spent = {"imports": time.perf_counter() - start}
    start, cpu = time.perf_counter(), time.process_time()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    session = onnxruntime.InferenceSession(onnx_path, options, providers=["CPUExecutionProvider"])
    spent["session"] = time.perf_counter() - start
    session.run(None, {session.get_inputs()[0].name: image})
    spent["all"], spent["cpu"] = time.perf_counter() - start, time.process_time() - cpu
    return spent


def peak() -> float:
    """The most memory that this process held, in MB; Linux counts what its parent held, too, in `ru_maxrss`."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def in_own_process(kind: str, path: Path, data: Path) -> dict[str, float]:
    """What a cold start measures, in ms, and the peak of its process's memory, in MB."""
    command = [sys.executable, "-m", "tests.benchmarks.runtime", kind, str(path), str(data)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(output))


def print_cold(title: str, model_path: Path, onnx_path: Path, data: Path) -> None:
    """Measure cold starts of both, interleaved."""
    samples: dict[str, list[dict[str, float]]] = {"ours": [], "bare": []}
    for _ in range(COLD_STARTS):
        samples["ours"].append(in_own_process("ours", model_path, data))
        samples["bare"].append(in_own_process("bare", onnx_path, data))
    print(f"{title}, cold start, median of {COLD_STARTS}")
    medians = {}
    for kind, rows in samples.items():
        row = medians[kind] = {key: statistics.median(r[key] for r in rows) for key in rows[0]}
        rest = row["all"] - sum(row.get(key, 0) for key in ("load", "lower", "session"))
        parts = {**row, "the rest with the first run": rest}
        words = ", ".join(f"{key} {value:.0f} ms" for key, value in parts.items() if key not in ("all", "cpu", "peak"))
        print(
            f"  {kind}: {row['all']:.0f} ms from file to result, {row['cpu']:.0f} ms of the CPU ({words}); "
            f"peak {row['peak']:.0f} MB"
        )
    ours, bare = medians["ours"], medians["bare"]
    clock, cpu, memory = (ours[key] / bare[key] for key in ("all", "cpu", "peak"))
    print(f"  ratios: {clock:.2f}x by the clock, {cpu:.2f}x by the CPU, {memory:.2f}x the memory")


def main() -> None:
    """Measure and print; or, in a process of its own, one cold start."""
    if len(sys.argv) == 4:
        measure = {"ours": cold_ours, "bare": cold_bare}[sys.argv[1]]
        result = {key: 1000 * value for key, value in measure(*sys.argv[2:]).items()}
        result["peak"] = peak()
        print(json.dumps(result))
        return

    import mlexplorer as mle
    from tests.benchmarks.torch_networks import squeezenet

    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    photo = Image.open(mle.samples.photos()[-1]).convert("RGB")
    with tempfile.TemporaryDirectory() as name:
        for title, model, size, more in (
            ("style", mle.samples.style(), (480, 320), 1),
            ("squeezenet", squeezenet(), (227, 227), 20),
        ):
            paths = print_steady(title, model, photo.resize(size), more * rounds, Path(name))
            print_cold(title, *paths)


if __name__ == "__main__":
    main()
