"""The Core ML specification as message classes, in a descriptor pool of our own.

`proto/` is compiled into `schema.binpb`, a FileDescriptorSet; it is loaded into a private pool, so that coremltools,
which registers the same full names in the default pool, can be imported before or after in the same process.

    >>> from mlexplorer import spec
    >>> model = spec.Model(specificationVersion=4)
    >>> program = spec.MILSpec.Program()
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "CoreML.Specification"
MIL_PACKAGE = "CoreML.Specification.MILSpec"


@cache
def file_descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """The compiled schema: one FileDescriptorProto per file of `proto/`, dependencies first."""
    return descriptor_pb2.FileDescriptorSet.FromString(files(__package__).joinpath("schema.binpb").read_bytes())


@cache
def _classes() -> dict[str, Any]:
    pool = descriptor_pool.DescriptorPool()
    for file in file_descriptor_set().file:
        pool.Add(file) if hasattr(pool, "Add") else pool.AddSerializedFile(file.SerializeToString())
    classes = {}
    for file in file_descriptor_set().file:
        for message in file.message_type:
            name = f"{file.package}.{message.name}"
            classes[name] = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    return classes


@cache
def message_class(full_name: str) -> Any:
    """The class of a top-level message by its full name, "CoreML.Specification.Model" say."""
    return _classes()[full_name]


def __getattr__(name: str) -> Any:
    if name == "MILSpec":
        return SimpleNamespace(
            **{
                key.rpartition(".")[2]: value
                for key, value in _classes().items()
                if key.rpartition(".")[0] == MIL_PACKAGE
            }
        )
    try:
        return _classes()[f"{PACKAGE}.{name}"]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no message {name!r}") from None
