"""The schema against coremltools: every declaration, every field on the wire, and both in one process."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickle
import pkgutil
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from mlexplorer import spec
from mlexplorer.spec.reflection import is_map, is_repeated

ROOT = Path(__file__).resolve().parents[2]
FieldProto = descriptor_pb2.FieldDescriptorProto
NEVER_PACKED = (FieldProto.TYPE_STRING, FieldProto.TYPE_BYTES, FieldProto.TYPE_MESSAGE)


@pytest.fixture(scope="session")
def coremltools_modules() -> dict[str, ModuleType | None]:
    """The generated modules of coremltools by name; None for one that today's protobuf cannot import."""
    proto = pytest.importorskip("coremltools.proto")
    modules: dict[str, ModuleType | None] = {}
    for found in pkgutil.iter_modules(proto.__path__):
        if found.name.endswith("_pb2"):
            try:
                modules[found.name] = importlib.import_module(f"coremltools.proto.{found.name}")
            except TypeError:
                modules[found.name] = None
    return modules


@pytest.fixture(scope="session")
def theirs(coremltools_modules: dict[str, ModuleType | None]) -> list[descriptor_pb2.FileDescriptorProto]:
    files = []
    for module in coremltools_modules.values():
        if module is not None:
            files.append(descriptor_pb2.FileDescriptorProto())
            module.DESCRIPTOR.CopyToProto(files[-1])
    return files


@pytest.fixture(scope="session")
def their_messages(coremltools_modules: dict[str, ModuleType | None]) -> dict[str, Any]:
    messages: dict[str, Any] = {}
    for module in coremltools_modules.values():
        for name in module.DESCRIPTOR.message_types_by_name if module is not None else ():
            add_classes(getattr(module, name), messages)
    return messages


@pytest.fixture(scope="session")
def our_messages() -> dict[str, Any]:
    messages: dict[str, Any] = {}
    for file in spec.file_descriptor_set().file:
        for message in file.message_type:
            add_classes(spec.message_class(f"{file.package}.{message.name}"), messages)
    return messages


def add_classes(message: Any, messages: dict[str, Any]) -> None:
    messages[message.DESCRIPTOR.full_name] = message
    for nested in message.DESCRIPTOR.nested_types:
        add_classes(getattr(message, nested.name), messages)


def facts(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, object]]:
    """Every fact of a file that matters on the wire or to code that uses the messages, under a name of its own."""
    yield file.name, (file.package, file.syntax)
    public = set(file.public_dependency)
    yield f"{file.name} imports", {(name, index in public) for index, name in enumerate(file.dependency)}
    for enum in file.enum_type:
        yield from enum_facts(enum, file.package)
    for message in file.message_type:
        yield from message_facts(message, file.package)


def message_facts(message: descriptor_pb2.DescriptorProto, parent: str) -> Iterator[tuple[str, object]]:
    name = f"{parent}.{message.name}"
    yield name, (message.options.map_entry, list(message.reserved_name), len(message.extension_range))
    for field in message.field:
        packed = field.label == FieldProto.LABEL_REPEATED and field.type not in NEVER_PACKED
        if field.options.HasField("packed"):
            packed = field.options.packed
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
        yield (
            f"{name}.{field.name}",
            (field.number, field.type, field.type_name, field.label, oneof, packed, field.proto3_optional),
        )
    for enum in message.enum_type:
        yield from enum_facts(enum, name)
    for nested in message.nested_type:
        yield from message_facts(nested, name)


def enum_facts(enum: descriptor_pb2.EnumDescriptorProto, parent: str) -> Iterator[tuple[str, object]]:
    yield f"{parent}.{enum.name}", (enum.options.allow_alias, list(enum.reserved_name))
    for value in enum.value:
        yield f"{parent}.{enum.name}.{value.name}", value.number


def test_every_declaration_is_that_of_coremltools(theirs: list[descriptor_pb2.FileDescriptorProto]) -> None:
    expected = dict(fact for file in theirs for fact in facts(file))
    actual = dict(fact for file in spec.file_descriptor_set().file for fact in facts(file))
    assert len(expected) > 1300
    assert {name: expected[name] for name in expected.keys() - actual.keys()} == {}, "missing in proto/"
    assert {name: actual[name] for name in actual.keys() - expected.keys()} == {}, "unknown to coremltools"
    assert {name: (actual[name], fact) for name, fact in expected.items() if actual[name] != fact} == {}


def test_only_a_stale_file_that_nothing_refers_to_is_left_out(
    coremltools_modules: dict[str, ModuleType | None], theirs: list[descriptor_pb2.FileDescriptorProto]
) -> None:
    # NamedParameters.proto is a draft of Parameters.proto, with 32-bit values and with names; no message holds its own.
    assert [name for name, module in coremltools_modules.items() if module is None] == ["NamedParameters_pb2"]
    assert "NamedParameters.proto" not in {name for file in theirs for name in file.dependency}


def test_every_field_reads_the_same_on_the_wire(our_messages: dict[str, Any], their_messages: dict[str, Any]) -> None:
    fields = 0
    for name, message in our_messages.items():
        for field in message.DESCRIPTOR.fields:
            ours = message(**{field.name: sample(field)})
            data = ours.SerializeToString(deterministic=True)
            read = their_messages[name].FromString(data)
            assert [listed.name for listed, _ in read.ListFields()] == [field.name], f"{name}.{field.name}"
            assert str(read) == str(ours), f"{name}.{field.name}"
            assert read.SerializeToString(deterministic=True) == data, f"{name}.{field.name}"
            fields += 1
    assert fields > 850


def sample(field: Any) -> Any:
    """A value of a field, or several for a repeated one, that no other type would write in the same way."""
    if is_map(field):
        key, value = field.message_type.fields
        return {samples(key)[0]: samples(value)[0]}
    return samples(field) if is_repeated(field) else samples(field)[0]


def samples(field: Any) -> list[Any]:
    if field.enum_type is not None:
        return [value.number for value in reversed(field.enum_type.values)]
    by_type: dict[int, list[Any]] = {
        field.TYPE_MESSAGE: [{}, {}],
        field.TYPE_DOUBLE: [0.1, -2.5],
        field.TYPE_FLOAT: [0.75, -2.5],
        field.TYPE_INT64: [-(2**62), 3],
        field.TYPE_UINT64: [2**64 - 1, 3],
        field.TYPE_INT32: [-(2**30), 3],
        field.TYPE_UINT32: [2**32 - 1, 3],
        field.TYPE_BOOL: [True, False],
        field.TYPE_STRING: ["Höhe", ""],
        field.TYPE_BYTES: [b"\xff\x00", b""],
    }
    return by_type[field.type]


def test_messages_and_enums_are_found_by_name() -> None:
    assert spec.Model is spec.message_class("CoreML.Specification.Model")
    assert spec.VisionFeaturePrint is spec.message_class("CoreML.Specification.CoreMLModels.VisionFeaturePrint")
    nested = spec.message_class("CoreML.Specification.PoolingLayerParams.ValidCompletePadding")
    assert spec.PoolingLayerParams.ValidCompletePadding is nested
    assert type(spec.Model().mlProgram) is spec.MILSpec.Program
    assert spec.MILSpec.DataType.Value("UINT6") == 38
    assert spec.ScatterMode.Name(6) == "SCATTER_MIN"
    assert {"Model", "TextClassifier", "ScatterMode", "MILSpec"} <= set(dir(spec))
    assert {"Program", "DataType"} <= set(dir(spec.MILSpec))
    for package, name in ((spec, "Program"), (spec, "model"), (spec.MILSpec, "Model")):
        with pytest.raises(AttributeError, match=f"no message or enum '{name}'"):
            getattr(package, name)
    with pytest.raises(KeyError):
        spec.message_class("CoreML.Specification.NeuralNet")


def test_no_short_name_stands_for_two_messages() -> None:
    packages = (spec.PACKAGE, spec.MODELS_PACKAGE)
    files = [file for file in spec.file_descriptor_set().file if file.package in packages]
    names = [message.name for file in files for message in file.message_type]
    names += [enum.name for file in files for enum in file.enum_type]
    assert len(names) == len(set(names))
    assert {file.package for file in spec.file_descriptor_set().file} == {*packages, spec.MIL_PACKAGE}


def test_messages_survive_pickle_and_copy() -> None:
    layer = spec.NeuralNetworkLayer(name="pool")
    layer.pooling.includeLastPixel.paddingAmounts.extend([1, 2])
    model = spec.Model(specificationVersion=4, neuralNetwork={"layers": [layer]})
    program = spec.MILSpec.Program(version=1, functions={"main": {"opset": "CoreML7"}})
    for message in (model, layer, layer.pooling.includeLastPixel, program):
        assert pickle.loads(pickle.dumps(message)) == message
        assert copy.deepcopy(message) == message


COMPILER = pytest.mark.skipif(
    not (importlib.util.find_spec("grpc_tools") or shutil.which("protoc")), reason="no protobuf compiler is installed"
)


def compile_schema(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "proto" / "compile.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@COMPILER
def test_the_compiled_schema_is_up_to_date() -> None:
    result = compile_schema("--check")
    assert result.returncode == 0, result.stderr


@COMPILER
def test_a_change_in_a_proto_file_is_noticed_and_compiled(tmp_path: Path) -> None:
    sources = shutil.copytree(ROOT / "proto", tmp_path / "proto")
    schema = Path(shutil.copy(ROOT / "mlexplorer" / "spec" / "schema.binpb", tmp_path))
    identity = sources / "Identity.proto"
    identity.write_text(identity.read_text().replace("message Identity {}", "message Identity { int32 extra = 9; }"))
    stale = compile_schema("--check", "--sources", sources, "--schema", schema)
    assert stale.returncode == 1
    assert "run `python proto/compile.py`" in stale.stderr
    assert compile_schema("--sources", sources, "--schema", schema).returncode == 0
    files = descriptor_pb2.FileDescriptorSet.FromString(schema.read_bytes()).file
    assert [field.name for file in files if file.name == "Identity.proto" for field in file.message_type[0].field] == [
        "extra"
    ]
    identity.write_text("message Identity {")
    refused = compile_schema("--sources", sources, "--schema", schema)
    assert refused.returncode == 1
    assert "Identity.proto" in refused.stderr


IMPORTS = {
    "coremltools first": "from coremltools.proto import Model_pb2\nfrom mlexplorer import spec\nspec.Model()",
    "coremltools second": "from mlexplorer import spec\nspec.Model()\nfrom coremltools.proto import Model_pb2",
}

EXCHANGE = """
ours = spec.Model(specificationVersion=4)
layer = ours.neuralNetwork.layers.add(name="fc", input=["x"], output=["y"])
layer.innerProduct.weights.floatValue.extend([0.5, -1.25, 3.0])
ours.description.metadata.userDefined["author"] = "us"
theirs = Model_pb2.Model.FromString(ours.SerializeToString())
assert type(theirs) is not type(ours)
assert list(theirs.neuralNetwork.layers[0].innerProduct.weights.floatValue) == [0.5, -1.25, 3.0]
assert theirs.description.metadata.userDefined["author"] == "us"
theirs.neuralNetwork.layers[0].innerProduct.outputChannels = 2**40
theirs.mlProgram.functions["main"].opset = "CoreML8"
back = spec.Model.FromString(theirs.SerializeToString())
assert back.WhichOneof("Type") == "mlProgram" and back.mlProgram.functions["main"].opset == "CoreML8"
print("exchanged")
"""


@pytest.mark.parametrize("order", IMPORTS)
def test_coremltools_and_the_schema_live_in_one_process(order: str) -> None:
    pytest.importorskip("coremltools.proto")
    command = [sys.executable, "-c", IMPORTS[order] + EXCHANGE]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "exchanged"
