"""The Core ML specification as message classes, in a descriptor pool of our own.

`proto/` is compiled into `schema.binpb`, a FileDescriptorSet; it is loaded into a private pool at the first use, so
that coremltools, which registers the same full names in the default pool, can be imported before or after in the same
process. The messages of both read each other's bytes, but they are of different classes: copy by
`ours.MergeFromString(theirs.SerializeToString())`. Messages can be pickled.

    >>> from mlexplorer import spec
    >>> model = spec.Model(specificationVersion=4)
    >>> program = spec.MILSpec.Program(version=1)
    >>> spec.MILSpec.DataType.Name(10)
    'FLOAT16'

Messages and enums of the packages CoreML.Specification and CoreML.Specification.CoreMLModels are attributes of this
module, those of CoreML.Specification.MILSpec attributes of `spec.MILSpec`, those within a message attributes of its
class: `spec.VisionFeaturePrint.Scene`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from importlib.resources import files
from threading import Lock
from typing import Any

from google.protobuf import descriptor, descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

PACKAGE = "CoreML.Specification"
MODELS_PACKAGE = "CoreML.Specification.CoreMLModels"
MIL_PACKAGE = "CoreML.Specification.MILSpec"

# Two threads at the first use would load two pools, whose messages do not go together.
_loading = Lock()


@cache
def file_descriptor_set() -> descriptor_pb2.FileDescriptorSet:
    """The compiled schema: one FileDescriptorProto per file of `proto/`, dependencies first."""
    return descriptor_pb2.FileDescriptorSet.FromString(files(__package__).joinpath("schema.binpb").read_bytes())


@cache
def message_class(full_name: str) -> Any:
    """The class of the message with a full name, "CoreML.Specification.Model" say; KeyError where there is none."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(full_name))


def _pool() -> descriptor_pool.DescriptorPool:
    with _loading:
        return _load()


@cache
def _load() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    for file in file_descriptor_set().file:
        pool.AddSerializedFile(file.SerializeToString())
    for file in file_descriptor_set().file:
        for message in file.message_type:
            _complete(pool.FindMessageTypeByName(f"{file.package}.{message.name}"))
    return pool


def _complete(message: descriptor.Descriptor) -> Any:
    """The class of a message, picklable and with the messages within it as attributes."""
    created = message_factory.GetMessageClass(message)
    # protobuf's own way to pickle looks nested messages up in the default pool: coremltools' class is there, or none.
    copyreg.pickle(created, _reduce)
    for nested in message.nested_types:
        inner = _complete(nested)
        if not hasattr(created, nested.name):  # protobuf without its C extension
            setattr(created, nested.name, inner)
    return created


def _reduce(message: Any) -> tuple[Callable[[str, bytes], Any], tuple[str, bytes]]:
    return _restore, (message.DESCRIPTOR.full_name, message.SerializeToString())


def _restore(full_name: str, data: bytes) -> Any:
    return message_class(full_name).FromString(data)


def _find(packages: tuple[str, ...], name: str) -> Any:
    # Python asks modules and objects for many names of its own; none of those begins with a capital.
    if name[:1].isupper():
        for package in packages:
            with suppress(KeyError):
                return message_class(f"{package}.{name}")
            with suppress(KeyError):
                return EnumTypeWrapper(_pool().FindEnumTypeByName(f"{package}.{name}"))
    raise AttributeError(f"no message or enum {name!r} in {' or '.join(packages)}")


def _declared(packages: tuple[str, ...]) -> list[str]:
    declarations: list[Any] = []
    for file in file_descriptor_set().file:
        if file.package in packages:
            declarations += [*file.message_type, *file.enum_type]
    return sorted(declaration.name for declaration in declarations)


class _MILSpec:
    """The messages and enums of CoreML.Specification.MILSpec, by name."""

    def __getattr__(self, name: str) -> Any:
        self.__dict__[name] = value = _find((MIL_PACKAGE,), name)
        return value

    def __dir__(self) -> list[str]:
        return _declared((MIL_PACKAGE,))


MILSpec = _MILSpec()


def __getattr__(name: str) -> Any:
    globals()[name] = value = _find((PACKAGE, MODELS_PACKAGE), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_declared((PACKAGE, MODELS_PACKAGE))})
