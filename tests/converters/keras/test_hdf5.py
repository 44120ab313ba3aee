"""Arrays of HDF5 files, seen in the file or read from it, are what h5py reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import mlexplorer as mle
from mlexplorer.converters.keras.hdf5 import open_hdf5
from tests.converters.keras.reading_models import keras

VALUES = np.arange(-30, 30).reshape(3, 4, 5)
STORED: dict[str, dict[str, Any]] = {
    "float32": {"data": VALUES.astype("<f4")},
    "float16": {"data": VALUES.astype("<f2")},
    "big-endian": {"data": VALUES.astype(">f8")},
    "whole numbers": {"data": VALUES.astype(">i4")},
    "truth": {"data": VALUES > 0},
    "in pieces": {"data": VALUES.astype("<f4"), "chunks": (1, 4, 2)},
    "packed": {"data": VALUES.astype("<f4"), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "one number": {"data": np.float32(1.25)},
    "empty": {"data": np.zeros((0, 4), "<f4")},
}


@pytest.mark.parametrize("opened", ["path", "file"])
@pytest.mark.parametrize("userblock", [0, 512])
def test_arrays_are_what_h5py_reads(tmp_path: Path, opened: str, userblock: int) -> None:
    path = tmp_path / "arrays.h5"
    with h5py.File(path, "w", userblock_size=userblock) as file:
        for name, stored in STORED.items():
            file.create_dataset(f"a/b/{name}", **stored)
        compact = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        compact.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple(VALUES.shape)
        within = h5py.h5d.create(file["a/b"].id, b"compact", h5py.h5t.NATIVE_FLOAT, space, compact)
        within.write(h5py.h5s.ALL, h5py.h5s.ALL, VALUES.astype(np.float32))
    source = path if opened == "path" else io.BytesIO(path.read_bytes())
    with h5py.File(path) as file, open_hdf5(source, path.stat().st_size) as root:
        group = root.group("a")
        assert group is not None
        for name in (*STORED, "compact"):
            array, expected = group.array(f"b/{name}"), file[f"a/b/{name}"][()]
            assert array.dtype == np.asarray(expected).dtype.newbyteorder("=")
            np.testing.assert_array_equal(array, expected)


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_what_a_conversion_function_gets_is_its_own(tmp_path: Path) -> None:
    network = keras.Sequential([keras.Input((7,)), keras.layers.Dense(5, name="dense")])
    path = tmp_path / "dense.h5"
    network.save(path)
    held = [keras.ops.convert_to_numpy(variable) for variable in network.layers[0].weights]
    kept: list[Any] = []

    def convert(layer: mle.SourceLayer) -> mle.CustomLayerParams:
        kept.extend(layer.weights.values())
        kept[0] += 1
        return mle.CustomLayerParams("Dense", output_shapes=[(1, 5)])

    mle.convert(path, custom_conversion_functions={"dense": convert})
    path.write_bytes(b"")
    np.testing.assert_array_equal(kept[0], held[0] + 1)
    np.testing.assert_array_equal(kept[1], held[1])
