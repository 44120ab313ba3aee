"""How long Keras and ONNX models of 100 MB take to convert, against reading their weights alone, and the memory.

Times are seconds of the processor, so that other work on the machine counts less, the best of several runs; the peak
memory is that of a process of its own, over what imports take.

Run: python -m tests.benchmarks.convert
"""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np

REPEATS = 5
LAYERS, CHANNELS = 25, 1024


def onnx_model(path: Path) -> None:
    """25 matrix products of 1024 x 1024, each behind a relu, as exporters write them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, weights = [], []
    for index in range(LAYERS):
        weights.append(numpy_helper.from_array(rng.normal(size=(CHANNELS, CHANNELS)).astype(np.float32), f"w{index}"))
        weights.append(numpy_helper.from_array(rng.normal(size=CHANNELS).astype(np.float32), f"b{index}"))
        nodes.append(
            helper.make_node(
                "Gemm", [f"r{index - 1}" if index else "x", f"w{index}", f"b{index}"], [f"y{index}"], transB=1
            )
        )
        nodes.append(helper.make_node("Relu", [f"y{index}"], [f"r{index}"]))
    shape = [1, CHANNELS]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(f"r{LAYERS - 1}", TensorProto.FLOAT, shape)],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def keras_model(path: Path) -> None:
    """ResNet50 with random weights."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    keras.applications.ResNet50(weights=None).save(path)


def read_onnx(path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    for tensor in onnx.load(path).graph.initializer:
        numpy_helper.to_array(tensor)


def read_hdf5(path: Path | IO[bytes]) -> None:
    import h5py

    arrays = []
    with h5py.File(path) as file:
        file.visititems(lambda _, entry: arrays.append(entry[()]) if isinstance(entry, h5py.Dataset) else None)


def read_archive(path: Path) -> None:
    with ZipFile(path) as archive:
        read_hdf5(io.BytesIO(archive.read("model.weights.h5")))


def convert(path: Path) -> None:
    import mlexplorer as mle

    mle.convert(path)


def made(make: Callable[[Path], None], path: Path) -> None:
    """Make a model in a process of its own: what Keras leaves behind would slow down everything that follows."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=make, args=(path,))
    process.start()
    process.join()


def fastest(path: Path, *functions: Callable[[Path], Any]) -> list[float]:
    """The shortest of several runs of each, in seconds of the processor; the functions take turns."""
    times: list[list[float]] = [[] for _ in functions]
    for _ in range(REPEATS):
        for function, of in zip(functions, times, strict=True):
            start = time.process_time()
            function(path)
            of.append(time.process_time() - start)
    return [min(of) for of in times]


def peak(path: Path) -> float:
    """Megabytes that a conversion takes over what the imports take."""
    code = (
        "import sys; import mlexplorer as mle; import mlexplorer.converters.onnx.conversion, h5py;"
        "import mlexplorer.converters.keras.conversion; from pathlib import Path;"
        "peak = lambda: int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0]) / 1000;"
        "before = peak(); model = mle.convert(sys.argv[1]); print(peak() - before)"
    )
    return float(subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True).stdout)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, make, read in (
            ("dense.onnx", onnx_model, read_onnx),
            ("resnet50.h5", keras_model, read_hdf5),
            ("resnet50.keras", keras_model, read_archive),
        ):
            path = Path(folder, name)
            made(make, path)
            size = path.stat().st_size / 1e6
            convert(path)
            weights, whole = fastest(path, read, convert)
            memory = peak(path)
            print(
                f"{name}, {size:.0f} MB: weights read in {weights:.2f} s, converted in {whole:.2f} s, "
                f"{whole / weights:.1f} times; peak {memory:.0f} MB, {memory / size:.1f} times the file"
            )


if __name__ == "__main__":
    main()
