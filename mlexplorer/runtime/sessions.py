"""onnxruntime sessions: made from weightless graphs, with as many threads as the process may use."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from mlexplorer.errors import Cancelled, UnsupportedError

Array = NDArray[Any]
_FATAL = 4
_SPIN = 100
"""Microseconds that a thread waits for more work before it sleeps. onnxruntime's own choice lasts a whole run: it takes
a fifth more of the processor, and where other processes want that, too, the run takes a third longer."""


def available_cores() -> int:
    """The number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN))
    if _has_shared_arena():
        options.add_session_config_entry("session.use_env_allocators", "1")
    else:
        options.enable_cpu_mem_arena = False
    return options


@cache
def _has_shared_arena() -> bool:
    """Register one arena for all sessions: the next bit depth's finds its memory warm, and peaks are lower."""
    kind = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR
    memory = onnxruntime.OrtMemoryInfo("Cpu", kind, 0, onnxruntime.OrtMemType.DEFAULT)
    try:
        onnxruntime.create_and_register_allocator(memory, None)
    except Exception:  # another library in this process was first; onnxruntime's exceptions share no public base
        return False
    return True


class Session:
    """One graph with its weights, ready to run on the CPU.

    The weights are the graph's external initializers; onnxruntime refers to the arrays, so they are kept alive here.
    """

    def __init__(self, model: bytes, weights: Mapping[str, Array]) -> None:
        options = _options(available_cores())
        self._weights = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in weights.items()}
        if self._weights:
            options.add_external_initializers(list(self._weights), list(self._weights.values()))
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no public base
            raise UnsupportedError(f"onnxruntime refuses the lowered network: {_reason(error)}") from error

    def run(self, feeds: Mapping[str, Array], run_options: onnxruntime.RunOptions | None = None) -> list[Array]:
        """The graph's outputs in order; raises Cancelled where `run_options.terminate` was set meanwhile."""
        try:
            return [np.asarray(a) for a in self._session.run(None, dict(feeds), run_options)]
        except Exception as error:
            if run_options is not None and run_options.terminate:
                raise Cancelled("the run was cancelled") from error
            raise UnsupportedError(f"onnxruntime failed in the lowered network: {_reason(error)}") from error


def run_once(model: bytes, feeds: Mapping[str, Array]) -> list[Array]:
    """The outputs of a small graph that is run a single time, too seldom to be worth optimizing."""
    options = _options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], disable_fallback=1)
    return [np.asarray(a) for a in session.run(None, dict(feeds))]


def _reason(error: Exception) -> str:
    failed = re.search(r"while running (\w+) node\. Name:'(.*)/[^/]*' Status Message: (.*)", str(error))
    if failed:  # operators bear the names of their layers
        return f"layer {failed[2]!r}, {failed[1]}: {failed[3]}"
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__
