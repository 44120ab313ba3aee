"""Files that are damaged, or made to do harm: each is refused by an error of ours that names the file."""

from __future__ import annotations

import base64
import io
import json
import marshal
import re
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlexplorer.converters.keras.reading import is_keras_source, read_keras
from mlexplorer.errors import FileFormatError, MlexplorerError, UnsupportedError

h5py = pytest.importorskip("h5py")

KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)
BIAS = np.array([0.5, -1, 2], np.float32)


# Honest files, hand-made, as a start


def layer(class_name: str, name: str, inbound: Any = None, **config: Any) -> dict[str, Any]:
    data = {"class_name": class_name, "name": name, "config": {"name": name, **config}}
    return data if inbound is None else {**data, "inbound_nodes": inbound}


def functional(*layers: dict[str, Any], inputs: Any = None, outputs: Any = None) -> dict[str, Any]:
    config = {
        "name": "net",
        "layers": list(layers),
        "input_layers": inputs or [["x", 0, 0]],
        "output_layers": outputs or [["d", 0, 0]],
    }
    return {"class_name": "Functional", "config": config}


INPUT = layer("InputLayer", "x", [], batch_input_shape=[None, 2])
DENSE = layer("Dense", "d", [[["x", 0, 0, {}]]], units=3)


def hdf5(path: Path, config: Any = None, change: Callable[[Any], None] = lambda file: None, **format: Any) -> Path:
    """A file as Keras 2 writes them, of a network with one Dense layer; `change` spoils it."""
    with h5py.File(path, "w", **format) as file:
        text = config if isinstance(config, str | bytes) else json.dumps(config or functional(INPUT, DENSE))
        file.attrs["model_config"] = text
        file.attrs["keras_version"] = "2.4.0"
        group = file.create_group("model_weights/d")
        file["model_weights"].attrs["layer_names"] = [b"x", b"d"]
        file["model_weights"].create_group("x").attrs["weight_names"] = np.zeros(0)
        group.attrs["weight_names"] = [b"d/kernel:0", b"d/bias:0"]
        group["d/kernel:0"], group["d/bias:0"] = KERNEL, BIAS
        change(file)
    return path


def archive(path: Path, members: dict[str, bytes] | None = None, compression: int = zipfile.ZIP_STORED) -> Path:
    """A file as Keras 3 writes them, of the same network; `members` replace what is in it."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/dense/vars/0"], file["layers/dense/vars/1"] = KERNEL, BIAS
    honest = {
        "metadata.json": b'{"keras_version": "3.1.0"}',
        "config.json": json.dumps(functional(INPUT, DENSE)).encode(),
        "model.weights.h5": weights.getvalue(),
    }
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in {**honest, **(members or {})}.items():
            file.writestr(name, data)
    return path


@pytest.mark.parametrize("make", [hdf5, archive, lambda path: archive(path, compression=zipfile.ZIP_DEFLATED)])
def test_the_honest_file_is_read(make: Callable[[Path], Path], tmp_path: Path) -> None:
    dense = read_keras(make(tmp_path / "model")).layers[1]
    assert list(dense.weights) == ["kernel", "bias"]
    np.testing.assert_array_equal(dense.weights["kernel"], KERNEL)
    np.testing.assert_array_equal(dense.weights["bias"], BIAS)


def refused(path: Path, words: str, kind: type[MlexplorerError] = FileFormatError) -> None:
    with pytest.raises(kind, match=words) as caught:
        read_keras(path)
    assert type(caught.value) is kind
    assert str(path) in str(caught.value)


# HDF5 files


def replaced(name: str, make: Callable[[Any, str], None]) -> Callable[[Any], None]:
    """The change that puts something else in the place of a dataset or group."""

    def change(file: Any) -> None:
        del file[name]
        make(file, name)

    return change


def in_place(name: str, value: Any) -> Callable[[Any], None]:
    return replaced(name, lambda file, name: file.__setitem__(name, value))


def dataset(name: str, **settings: Any) -> Callable[[Any], None]:
    return replaced(name, lambda file, name: file.create_dataset(name, **settings))


def virtual(file: Any, name: str) -> None:
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "data", (2, 3))
    file.create_virtual_dataset(name, layout)


def unknown_filter(file: Any, name: str) -> None:
    space, properties = h5py.h5s.create_simple((2, 3)), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_chunk((2, 3))
    properties.set_filter(40000, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    h5py.h5d.create(file.id, name.encode(), h5py.h5t.IEEE_F32LE, space, properties)


def compressed_bomb(file: Any, name: str) -> None:
    """640 MiB of zeros in 640 KiB."""
    bomb = file.create_dataset(name, (40, 1 << 22), "f4", chunks=(1, 1 << 22), compression="gzip")
    chunk = zlib.compress(bytes(4 << 22))
    for row in range(40):
        bomb.id.write_direct_chunk((row, 0), chunk)


def attribute(group: str, name: str, value: Any) -> Callable[[Any], None]:
    return lambda file: file[group].attrs.__setitem__(name, value)


def arrays_for_text(group: str, name: str) -> Callable[[Any], None]:
    """Attributes whose type says numbers where that of Keras' says letters: HDF5 crashes when it reads some of them."""
    dtype = h5py.vlen_dtype(np.float32)
    values = np.array([KERNEL[0], KERNEL[1, :2]], dtype=object)
    return lambda file: file[group].attrs.create(name, values, dtype=dtype)


GROUP, WEIGHT, OTHER = "model_weights/d", "model_weights/d/d/kernel:0", "model_weights/d/d/bias:0"
EXTERNAL = [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
HDF5 = {
    "soft link": (in_place(WEIGHT, h5py.SoftLink(f"/{OTHER}")), "soft, external or user-defined link"),
    "external link": (in_place(WEIGHT, h5py.ExternalLink("/etc/passwd", "/x")), "soft, external or user-defined link"),
    "group that is a link": (in_place(GROUP, h5py.ExternalLink("other.h5", "/x")), "soft, external or user-defined"),
    "dangling link": (in_place(WEIGHT, h5py.SoftLink("/nowhere")), "soft, external or user-defined link"),
    "external dataset": (dataset(WEIGHT, shape=(2, 3), dtype="f4", external=EXTERNAL), "from other files"),
    "virtual dataset": (replaced(WEIGHT, virtual), "from other files"),
    "huge shape, no data": (dataset(WEIGHT, shape=(1 << 20, 1 << 20), chunks=(1, 1024), dtype="f4"), "bomb"),
    "shape without data": (dataset(WEIGHT, shape=(2, 3), dtype="f4", chunks=(1, 3)), "holds no values"),
    "fill value": (dataset(WEIGHT, shape=(2, 3), dtype="f4", fillvalue=7.0, chunks=(1, 3)), "holds no values"),
    "compressed bomb": (replaced(WEIGHT, compressed_bomb), "bomb"),
    "filter from a library": (replaced(WEIGHT, unknown_filter), "filter 40000"),
    "objects": (dataset(WEIGHT, data=["a", "b"], dtype=h5py.string_dtype()), "arrays of numbers"),
    "references": (dataset(WEIGHT, shape=(2, 3), dtype=h5py.ref_dtype), "arrays of numbers"),
    "arrays of any length": (dataset(WEIGHT, shape=(2,), dtype=h5py.vlen_dtype(np.float32)), "arrays of numbers"),
    "records": (dataset(WEIGHT, shape=(2,), dtype=[("a", "f4"), ("b", "f4")]), "arrays of numbers"),
    "complex numbers": (dataset(WEIGHT, data=KERNEL.astype(complex)), "arrays of numbers"),
    "no shape": (dataset(WEIGHT, data=h5py.Empty("f4")), "no shape"),
    "group for a dataset": (replaced(WEIGHT, lambda file, name: file.create_group(name)), "no dataset"),
    "dataset for a group": (in_place(GROUP, KERNEL), "dataset where a group"),
    "missing dataset": (replaced(WEIGHT, lambda file, name: None), "no dataset"),
    "missing group": (replaced(GROUP, lambda file, name: None), "no group"),
    "path that climbs": (attribute(GROUP, "weight_names", [b"../../x", b"d/bias:0"]), "not a path within"),
    "names that are numbers": (attribute(GROUP, "weight_names", np.arange(2)), "does not hold text"),
    "names that are a table": (attribute(GROUP, "weight_names", np.array([[b"a", b"b"]])), "does not hold text"),
    "names that are arrays of any length": (arrays_for_text(GROUP, "weight_names"), "does not hold text"),
    "configuration that is arrays of any length": (arrays_for_text("/", "model_config"), "does not hold text"),
    "names not in UTF-8": (attribute(GROUP, "weight_names", np.array([b"\xff\xfe", b"d/bias:0"])), "utf-8"),
    "configuration of numbers": (attribute("/", "model_config", np.arange(4)), "does not hold text"),
    "wrong shape": (dataset(WEIGHT, data=KERNEL.T), r"shape \(3, 2\).*asks for \(\?, 3\)"),
    "wrong rank": (dataset(WEIGHT, data=KERNEL[None]), "asks for"),
    "one weight too many": (attribute(GROUP, "weight_names", [b"d/kernel:0", b"d/bias:0", b"d/bias:0"]), "3 weights"),
    "one weight too few": (attribute(GROUP, "weight_names", [b"d/kernel:0"]), "has 1 weights and needs 2"),
    "weights of a layer that is not there": (attribute("model_weights", "layer_names", [b"d", b"d", b"e"]), "'e'"),
}


@pytest.mark.parametrize("kind", HDF5)
def test_hostile_hdf5(kind: str, tmp_path: Path) -> None:
    change, words = HDF5[kind]
    path = hdf5(tmp_path / "model.h5", change=change)
    assert is_keras_source(path)
    refused(path, words)


@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.95, 0.999])
def test_truncated_files(part: float, tmp_path: Path) -> None:
    for whole in (hdf5(tmp_path / "model.h5"), archive(tmp_path / "model.keras")):
        data = whole.read_bytes()
        whole.write_bytes(data[: int(len(data) * part)])
        refused(whole, "damaged|neither HDF5")


def test_damaged_bytes_never_give_another_error(tmp_path: Path) -> None:
    """Bytes overwritten at random: refused in our words, or read as other numbers."""
    rng = np.random.default_rng(0)
    for whole in (
        hdf5(tmp_path / "model.h5"),
        hdf5(tmp_path / "fixed.h5", change=attribute(GROUP, "weight_names", np.array([b"d/kernel:0", b"d/bias:0"]))),
        hdf5(tmp_path / "new.h5", libver="latest"),
        archive(tmp_path / "model.keras"),
    ):
        data = whole.read_bytes()
        for _ in range(100):
            spoiled = bytearray(data)
            for place in rng.integers(0, len(data), 8):
                spoiled[place] = rng.integers(256)
            whole.write_bytes(spoiled)
            with suppress(MlexplorerError):
                read_keras(whole)


# Texts of any length: a heap holds them, and what has the text holds their lengths and places


def heap_objects(data: bytes) -> dict[int, tuple[int, int]]:
    """Where the header of each object of the only heap is, and its length, by number; 0 is what is free."""
    start = data.index(b"GCOL")
    assert data.count(b"GCOL") == 1
    place, found, number = start + 16, {}, 1
    while number:
        number, length = struct.unpack_from("<H6xQ", data, place)
        found[number] = place, length
        place += 16 + (length + 7) // 8 * 8
    return found


HEAPS = {
    "free room of no bytes": (0, 0),
    "free room of less than its header": (0, 8),
    "free room beyond the heap": (0, 1 << 20),
    "object whose end is its beginning": (1, 2**64 - 16),
    "object that ends before it begins": (2, 2**64 - 64),
    "object beyond the heap": (2, 1 << 32),
}
_READING = """
import sys
from mlexplorer.converters.keras.reading import read_keras
from mlexplorer.errors import FileFormatError
for path in sys.argv[1:]:
    try:
        read_keras(path)
    except FileFormatError as error:
        print(error)
"""


def test_damaged_heaps_end(tmp_path: Path) -> None:
    """HDF5 walks the first of them for ever, so that they are read in a process of its own."""
    honest = hdf5(tmp_path / "model.h5")
    assert list(read_keras(honest).layers[1].weights) == ["kernel", "bias"]
    data, paths = honest.read_bytes(), []
    for name, (number, length) in HEAPS.items():
        spoiled = bytearray(data)
        struct.pack_into("<Q", spoiled, heap_objects(data)[number][0] + 8, length)
        paths.append(tmp_path / f"{name}.h5")
        paths[-1].write_bytes(spoiled)
        archived = archive(tmp_path / f"{name}.keras", {"model.weights.h5": bytes(spoiled)})
        with suppress(MlexplorerError):  # Keras 3 has other texts there; it ends
            read_keras(archived)
    command = [sys.executable, "-c", _READING, *map(str, paths)]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.splitlines()
    for path, line, (number, length) in zip(paths, said, HEAPS.values(), strict=True):
        assert str(path) in line
        assert f"object {number} of the heap" in line
        assert f"{length:,} bytes" in line


def test_names_that_are_all_one_long_text(tmp_path: Path) -> None:
    """2,000 names of 1.2 MB, in a file of 1.2 MB."""

    def spoil(file: Any) -> None:
        names = [f"name {number}" for number in range(2000)]
        file[GROUP].attrs.create("weight_names", names, dtype=h5py.string_dtype())

    path = hdf5(tmp_path / "model.h5", json.dumps(functional(INPUT, DENSE)) + " " * 1_200_000, spoil)
    data = bytearray(path.read_bytes())
    places = [match.start() for match in re.finditer(rb"GCOL\x01\0\0\0", data)]
    long = struct.pack("<IQI", 1_200_000, *next((p, 1) for p in places if data[p : p + 4000].find(b"class_name") > 0))
    first = data.index(struct.pack("<I", len("name 0")), data.index(b"weight_names\0"))
    for number in range(2000):
        struct.pack_into("16s", data, first + 16 * number, long)
    path.write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(path, "a list of texts declares 2,4.* a decompression bomb")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_addresses_of_other_sizes(tmp_path: Path) -> None:
    properties = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    properties.set_sizes(4, 4)
    h5py.h5f.create(bytes(tmp_path / "model.h5"), fcpl=properties).close()
    refused(tmp_path / "model.h5", "have not eight bytes")


def test_groups_that_contain_each_other_end(tmp_path: Path) -> None:
    custom = functional(INPUT, layer("Mine", "d", [[["x", 0, 0, {}]]]))
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["layers/mine/vars/0"] = KERNEL
        for name in ("a", "b", "c"):
            file[f"layers/mine/{name}/{name}/{name}"] = file["layers/mine"]
    members = {"config.json": json.dumps(custom).encode(), "model.weights.h5": weights.getvalue()}
    mine = read_keras(archive(tmp_path / "model.keras", members)).layers[1]
    assert list(mine.weights) == ["0"]


# Archives


def test_a_zip_bomb_takes_neither_memory_nor_disk(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    path = archive(tmp_path / "model.keras", {"model.weights.h5": bytes(300 << 20)}, zipfile.ZIP_DEFLATED)
    made = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert path.stat().st_size < 1 << 20
    refused(path, "decompression bomb")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - max(before, made) < 100 << 10


def test_a_long_configuration_is_not_read(tmp_path: Path) -> None:
    text = b'{"class_name": "' + b"a" * (17 << 20) + b'"}'
    refused(archive(tmp_path / "model.keras", {"config.json": text}, zipfile.ZIP_DEFLATED), "longer than")


@pytest.mark.parametrize("name", ["../evil.txt", "/etc/cron.d/evil", "a/../../evil", "..\\evil", "C:\\evil", "C:/evil"])
def test_names_that_lead_out_of_the_folder(name: str, tmp_path: Path) -> None:
    refused(archive(tmp_path / "model.keras", {name: b"x"}), "leads out of its folder")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_are_no_models(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras")
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", b"{}")
    refused(path, "stands in the archive 2 times")
    nested = archive(tmp_path / "inner").read_bytes()
    refused(archive(path, {"model.weights.h5": nested}), "HDF5 file is damaged")
    refused(archive(path, {"config.json": nested}), "not text in UTF-8|not JSON")
    refused(archive(path, {"metadata.json": b"[1]"}), "not a JSON object")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps(functional(INPUT, DENSE)))
    refused(path, "holds no model.weights.h5")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("else.txt", "x")
    refused(path, "holds no config.json")
    assert not is_keras_source(path)


def test_encrypted_archives(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(signature)
        while place >= 0:
            data[place + offset] |= 1
            place = data.find(signature, place + 1)
    path.write_bytes(data)
    refused(path, "encrypted")


def test_sizes_that_an_archive_only_claims(tmp_path: Path) -> None:
    """A member that says to be larger than the archive is not given room for it."""
    path = archive(tmp_path / "model.keras")
    data = path.read_bytes()
    place = data.rfind(b"PK\x01\x02")
    huge = (1 << 31).to_bytes(4, "little")
    path.write_bytes(data[: place + 20] + huge + huge + data[place + 28 :])
    refused(path, "damaged")


# Configurations


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def chain(*sources: str) -> dict[str, Any]:
    """Dense layers a, b, ... that each take the result of the given one, from x to d."""
    names = "abcdefgh"[: len(sources)]
    nodes = {name: [[[source, 0, 0, {}]]] for name, source in zip(names, sources, strict=True)}
    denses = [layer("Dense", name, inbound, units=3) for name, inbound in nodes.items()]
    return functional(INPUT, *denses, outputs=[[names[-1], 0, 0]])


NEW_NODE = {"args": [{"class_name": "__keras_tensor__", "config": {"keras_history": ["nowhere", 0, 0]}}], "kwargs": {}}
ENDLESS = b'{"class_name": "Functional", "config": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
CONFIGURATIONS: dict[str, tuple[Any, str]] = {
    "cycle": (chain("c", "a", "b"), "'a', 'b', 'c' wait for each other"),
    "layer that takes its own result": (chain("x", "b"), "'b' wait for each other"),
    "layer that is not there": (chain("x", "y"), "layer 'b' takes the result of call 0 of 'y'"),
    "layer that is not there, Keras 3": (functional(INPUT, layer("Dense", "d", [NEW_NODE], units=3)), "'nowhere'"),
    "call that is not there": (functional(INPUT, layer("Dense", "d", [[["x", 1, 0, {}]]], units=3)), "call 1 of 'x'"),
    "call before the first": (functional(INPUT, layer("Dense", "d", [[["x", -1, 0, {}]]], units=3)), "call -1 of 'x'"),
    "output that is not there": (functional(INPUT, DENSE, outputs=[["z", 0, 0]]), "output 'z'"),
    "no output": (functional(INPUT, DENSE, outputs=[[]]), "no outputs"),
    "input that is a layer": (functional(INPUT, DENSE, inputs=[["d", 0, 0]]), "'d' is no InputLayer"),
    "names twice": (functional(INPUT, DENSE, DENSE), "two layers are called 'd'"),
    "names twice in a Sequential": ({"class_name": "Sequential", "config": [DENSE, DENSE]}, "two layers are called"),
    "reference of another form": (functional(INPUT, layer("Dense", "d", [[["x", "0", 0, {}]]], units=3)), "no result"),
    "nodes of another form": (functional(INPUT, layer("Dense", "d", [[5]], units=3)), "is called with 5"),
    "no nodes": (functional(INPUT, layer("Dense", "d", 5, units=3)), "not a list"),
    "layers of another form": (functional("x", 3), "not a list of JSON objects"),  # type: ignore[arg-type]
    "name of another form": (functional(INPUT, layer("Dense", "d", []) | {"name": ["d"]}), "must be a text"),
    "name that is no text": (functional(INPUT, layer("Dense", "\ud800", [], units=3)), "no text in UTF-8"),
    "no configuration": (functional(INPUT, {**DENSE, "config": None}), "no configuration"),
    "shape of another form": (functional(layer("InputLayer", "x", [], batch_shape=[None, "2"]), DENSE), "the shape"),
    "negative shape": (functional(layer("InputLayer", "x", [], batch_shape=[None, -2]), DENSE), "the shape"),
    "empty Sequential": ({"class_name": "Sequential", "config": {"name": "s", "layers": []}}, "no layers"),
    "deep lists": (functional(INPUT, layer("Dense", "d", [], units=3, deep=nested(250))), "nested too deeply"),
    "endless lists": (ENDLESS, "nested too deeply"),
    "not a number": (functional(INPUT, layer("Dense", "d", [], units=float("nan"))), "number nan"),
    "infinity": (b'{"class_name": "Functional", "config": {"x": 1e999}}', "number inf"),
    "endless number": (b'{"class_name": "Functional", "config": ' + b"9" * 10_000 + b"}", "not JSON"),
    "text": (b"Functional", "not JSON"),
    "list": (b"[]", "not a JSON object"),
    "not UTF-8": (b'{"class_name": "\xff\xfe"}', "(?i)UTF-8"),
    "UTF-16": ('{"class_name": "Functional"}'.encode("utf-16"), "UTF-8"),
    "no class": (b'{"config": {"layers": []}}', "no class_name"),
}


@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_hostile_configurations(kind: str, tmp_path: Path) -> None:
    config, words = CONFIGURATIONS[kind]
    text = config if isinstance(config, bytes) else json.dumps(config).encode()
    refused(archive(tmp_path / "model.keras", {"config.json": text}), words)
    if b"\0" not in text and len(text) < 60_000:
        refused(hdf5(tmp_path / "model.h5", np.bytes_(text)), words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"class_name": "MyModel", "config": {"name": "m", "units": 3}}, "MyModel is a subclassed model"),
        ({"class_name": "pack>MyModel", "config": {"name": "m", "layers": [DENSE]}}, "MyModel is a subclassed model"),
    ],
)
def test_subclassed_models(config: Any, words: str, tmp_path: Path) -> None:
    refused(hdf5(tmp_path / "model.h5", config), words, UnsupportedError)


def test_files_of_keras_1(tmp_path: Path) -> None:
    change = attribute("/", "keras_version", "1.2.2")
    refused(hdf5(tmp_path / "model.h5", change=change), "Keras 1.2.2 wrote it", UnsupportedError)


# Code in files


def code(path: Path) -> str:
    """A marshalled function that leaves a file behind when it is called."""
    source = compile(f"open({str(path)!r}, 'w').close()", "evil", "exec")
    return base64.b64encode(marshal.dumps(source)).decode()


@pytest.mark.parametrize("notation", ["Keras 2", "Keras 3"])
def test_the_code_of_a_lambda_is_neither_run_nor_kept(notation: str, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    text = code(evil)
    config: dict[str, Any] = {"arguments": {"scale": 2}}
    if notation == "Keras 2":
        config |= {"function": [text, None, None], "function_type": "lambda", "module": "evil_module"}
        config |= {"output_shape": [text, None, None], "output_shape_type": "lambda"}
    else:
        config |= {
            "function": {"class_name": "__lambda__", "config": {"code": text, "defaults": None, "closure": None}}
        }
    network = functional(INPUT, layer("Lambda", "l", [[["x", 0, 0, {}]]], **config), outputs=[["l", 0, 0]])
    read = read_keras(archive(tmp_path / "model.keras", {"config.json": json.dumps(network).encode()}))
    assert not evil.exists()
    assert read.layers[1].config["arguments"] == {"scale": 2}
    assert text not in repr(read)


def test_a_named_function_of_a_lambda_stays_a_name(tmp_path: Path) -> None:
    network = functional(INPUT, layer("Lambda", "d", [[["x", 0, 0, {}]]], function="double", function_type="function"))
    read = read_keras(archive(tmp_path / "model.keras", {"config.json": json.dumps(network).encode()}))
    assert read.layers[1].config["function"] == "double"


def test_nothing_that_a_file_names_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'evil')!r}, 'w').close()")
    monkeypatch.syspath_prepend(str(tmp_path))
    mine = layer(
        "Evil", "d", [[["x", 0, 0, {}]]], activation={"module": "evil_module", "class_name": "F", "config": {}}
    )
    mine |= {"module": "evil_module", "registered_name": "evil_module>Evil"}
    path = archive(tmp_path / "model.keras", {"config.json": json.dumps(functional(INPUT, mine)).encode()})
    assert is_keras_source(path)
    assert read_keras(path).layers[1].class_name == "Evil"
    assert "evil_module" not in sys.modules
    assert not (tmp_path / "evil").exists()
