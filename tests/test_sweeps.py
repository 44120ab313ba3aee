"""Sweeps measure what was quantized, go on where they stopped, and give the same rows in any number of processes."""

from __future__ import annotations

import importlib
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.errors import Cancelled, InputError
from mlexplorer.sweeps import Sweep, sweep
from tests.painter import deep_classifier, deep_painter, photo

BITS = (2, 5)


def pictures() -> list[Image.Image]:
    return [Image.fromarray(photo()), Image.fromarray(photo(48, 32, seed=1))]


@pytest.fixture(scope="module")
def swept() -> Sweep:
    return sweep(deep_painter(), pictures(), bits=BITS, layers=True)


def test_whole_models_first_then_each_layer_alone(swept: Sweep) -> None:
    nodes = list(dict.fromkeys(weight.node for weight in deep_painter().graph.weights))
    schemes = [mle.Linear(bits=2), mle.Linear(bits=5), mle.LookupTable(bits=2), mle.LookupTable(bits=5)]
    assert [row.scheme for row in swept.models] == schemes
    assert [(row.layer, row.scheme) for row in swept.layers] == [(node, scheme) for node in nodes for scheme in schemes]
    assert len(swept) == len(list(swept)) == len(schemes) * (1 + len(nodes))


@pytest.mark.parametrize("index", [0, 3, 6])
def test_rows_are_the_distances_of_predictions_and_the_sizes_of_files(swept: Sweep, index: int, tmp_path: Path) -> None:
    row = swept.rows[index]
    model = deep_painter()
    small = mle.quantize(model, row.scheme, select=lambda weight: row.layer in ("", weight.node))
    mle.save(small, tmp_path / "small.mlmodel")
    assert row.nbytes == (tmp_path / "small.mlmodel").stat().st_size
    squares, noise, signal = [], 0.0, 0.0
    for picture in pictures():
        a, b = (
            mle.predict(m, {"photo": picture}, outputs=["painted"])["painted"].astype(float) for m in (model, small)
        )
        noise, signal = noise + np.sum((a - b) ** 2), signal + np.sum(a**2)
        a, b = (np.asarray(mle.predict(m, {"photo": picture})["painted"], float) for m in (model, small))
        squares.append(((a - b) ** 2).reshape(-1))
    assert row.error == pytest.approx(noise / signal, rel=1e-6)
    assert row.metric == "PSNR"
    assert row.quality == pytest.approx(10 * math.log10(255**2 / np.mean(np.concatenate(squares))), rel=1e-6)
    assert row.agreement is None


def test_classifiers_are_measured_by_their_labels_too(tmp_path: Path) -> None:
    model = deep_classifier()
    given = [{"photo": Image.fromarray(photo(48, 32, seed=seed))} for seed in range(6)]
    found = sweep(model, given, schemes=[mle.LookupTable], bits=(8, 1), cache=tmp_path)
    labels = [[mle.predict(m, one)["label"] for one in given] for m in (model, mle.quantize(model, mle.LookupTable(1)))]
    kept = sum(a == b for a, b in zip(*labels, strict=True))
    assert 0 < kept < 6
    rates = [row.agreement for row in found]
    assert [(rate.count, rate.total) for rate in rates if rate is not None] == [(6, 6), (kept, 6)]
    assert all(row.metric == "SNR" for row in found)
    assert found.rows[0].error < found.rows[1].error
    again = [row.agreement for row in sweep(model, given, schemes=[mle.LookupTable], bits=(8, 1), cache=tmp_path)]
    assert [rate.interval for rate in again if rate] == [rate.interval for rate in rates if rate], "counts are kept"


def test_a_cancelled_sweep_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancelled = threading.Event()
    seen: list[tuple[str, int, int]] = []

    def progress(label: str, done: int, total: int) -> None:
        seen.append((label, done, total))
        if done == 3:
            cancelled.set()

    arguments: dict[str, Any] = {"bits": BITS, "layers": True, "cache": tmp_path}
    with pytest.raises(Cancelled):
        sweep(deep_painter(), pictures(), progress=progress, cancelled=cancelled, **arguments)
    assert [done for _, done, _ in seen] == [1, 2, 3]
    measured: list[Any] = []
    module = importlib.import_module("mlexplorer.sweeps")
    original = module._measure
    monkeypatch.setattr(module, "_measure", lambda job, key, plan: (measured.append(key), original(job, key, plan))[1])
    resumed = sweep(deep_painter(), pictures(), **arguments)
    assert len(measured) == len(resumed) - 3
    measured.clear()
    again = sweep(deep_painter(), pictures(), **arguments)
    assert not measured
    assert again == resumed == sweep(deep_painter(), pictures(), bits=BITS, layers=True)
    measured.clear()
    sweep(deep_painter(), pictures()[:1], **arguments)
    assert len(measured) == len(resumed), "other pictures are another sweep"


def test_damaged_files_of_the_cache_are_measured_anew(tmp_path: Path) -> None:
    first = sweep(deep_painter(), pictures(), bits=BITS, cache=tmp_path)
    for path in tmp_path.rglob("*.json"):
        path.write_text('{"nbytes": 1}')
    assert sweep(deep_painter(), pictures(), bits=BITS, cache=tmp_path) == first


@pytest.mark.parametrize("jobs", [2])
def test_other_processes_give_the_same_rows(swept: Sweep, jobs: int) -> None:
    assert sweep(deep_painter(), pictures(), bits=BITS, layers=True, jobs=jobs) == swept


def test_a_dask_cluster_of_other_processes_gives_the_same_rows_and_stops_when_cancelled(swept: Sweep) -> None:
    distributed = pytest.importorskip("distributed")
    import joblib

    cancelled = threading.Event()
    seen: list[int] = []

    def progress(label: str, done: int, total: int) -> None:
        seen.append(done)
        if done == 2:
            cancelled.set()

    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert sweep(deep_painter(), pictures(), bits=BITS, layers=True) == swept
        with pytest.raises(Cancelled):
            sweep(deep_painter(), pictures(), bits=BITS, layers=True, progress=progress, cancelled=cancelled)
    assert seen == [1, 2]


def test_it_prints_and_becomes_a_frame(swept: Sweep) -> None:
    text = repr(swept)
    assert "linear 2 bit" in text
    assert "lookup table 5 bit" in text
    assert "PSNR" in text
    frame = swept.to_pandas()
    assert list(frame["bits"]) == [row.bits for row in swept]
    assert list(frame["PSNR"]) == [row.quality for row in swept]


def test_nothing_to_measure_with_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing"):
        sweep(deep_painter(), [])
