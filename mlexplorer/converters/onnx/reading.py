"""ONNX files, bytes and messages as a message that can be trusted: whole, of a known version, with its own tensors."""

from __future__ import annotations

import os
from collections.abc import Iterable
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from mlexplorer.errors import FileFormatError, InputError, ModelError, UnsupportedError
from mlexplorer.formats.diagnosis import diagnose, has_model_type, top_level_fields
from mlexplorer.layers.layer_type import Array

_HEAD = 4096
_MOST_DENSE = 1 << 26
"""Elements of a sparse tensor that few numbers may stand for."""
_GRAPH, _VERSION, _LAST_FIELD = 7, 1, 30


def is_onnx_source(source: Any) -> bool:
    """Whether `convert` should read this as ONNX: a ModelProto, a path to an .onnx file, or the bytes of one."""
    if isinstance(source, onnx.ModelProto):
        return True
    if isinstance(source, bytes | bytearray | memoryview):
        return _looks_like_onnx(bytes(source[:_HEAD]))
    if not isinstance(source, str | PathLike):
        return False
    path = Path(source)
    if path.suffix.lower() == ".onnx":
        return True
    if not os.path.isfile(path):  # not Path.is_file, which raises for texts that are too long to be a name
        return False
    with path.open("rb") as file:
        return _looks_like_onnx(file.read(_HEAD))


def read_model(source: Any) -> tuple[onnx.ModelProto, Path | None]:
    """The message, and the folder in which its external tensors may lie: that of the file, or None.

    Raises FileFormatError, which names the file, where it is no ONNX model or not a whole one, and UnsupportedError
    where it is newer than the installed onnx package knows.
    """
    if isinstance(source, onnx.ModelProto):
        model, name, folder = source, "the ModelProto", None
    elif isinstance(source, bytes | bytearray | memoryview):
        model, name, folder = _parsed(bytes(source), "the data"), "the data", None
    else:
        path = Path(source)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise InputError(f"there is no file {path}") from error
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
        model, name, folder = _parsed(data, str(path)), path.name, path.parent
    _check_versions(model, name)
    return model, folder


def opsets(imports: Iterable[Any]) -> dict[str, int]:
    """The version of each domain; files from before there were any have version 1 of ONNX's own."""
    return {"": 1, **{"" if entry.domain == "ai.onnx" else entry.domain: int(entry.version) for entry in imports}}


def tensor_array(tensor: TensorProto, folder: Path | None) -> Array:
    """The values of a tensor, read from its own file where it is external.

    Raises ModelError, which names the tensor, where its data do not fit its shape, or lie outside the model's folder.
    """
    shape = [int(n) for n in tensor.dims]
    try:
        dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if min(shape, default=0) < 0:
            raise ValueError(f"its shape is {shape}")
        if tensor.data_location == TensorProto.EXTERNAL:
            return _external(tensor, folder, shape, np.dtype(dtype))
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError, OSError) as error:
        raise ModelError(f"the tensor {tensor.name!r} is damaged: {error}") from error
    return np.asarray(array)


def dense_array(sparse: onnx.SparseTensorProto, folder: Path | None) -> Array:
    """The values of a sparse tensor with its zeros; raises ModelError where it is damaged, or too large."""
    values, indices = tensor_array(sparse.values, folder), tensor_array(sparse.indices, folder)
    shape = [int(n) for n in sparse.dims]
    if min(shape, default=1) < 0 or prod(shape) > _MOST_DENSE:
        raise ModelError(f"the sparse tensor {sparse.values.name!r} has the shape {shape}, which is too large")
    result: Array = np.zeros(shape, values.dtype)
    try:
        result[tuple(indices.T) if indices.ndim == 2 else np.unravel_index(indices, shape)] = values
    except (ValueError, IndexError, TypeError) as error:
        raise ModelError(f"the sparse tensor {sparse.values.name!r} is damaged: {error}") from error
    return result


def _external(tensor: TensorProto, folder: Path | None, shape: list[int], dtype: np.dtype[Any]) -> Array:
    name = tensor.name
    if folder is None:
        raise ModelError(f"the tensor {name!r} lies in a file of its own; pass the model's path to find it")
    info = external_data_helper.ExternalDataInfo(tensor)
    location = str(info.location)
    root = folder.resolve()
    path = (root / location).resolve()
    if not location or os.path.isabs(location) or not path.is_relative_to(root) or path == root:
        raise ModelError(f"the tensor {name!r} is said to lie in {location!r}, which is outside the model's folder")
    if not path.is_file():
        raise ModelError(f"the tensor {name!r} lies in {location!r}, which is missing; put it beside the model")
    offset, count = int(info.offset or 0), prod(shape)
    needed, available = count * dtype.itemsize, path.stat().st_size
    length = int(info.length or needed)
    if offset < 0 or length != needed or offset + needed > available:
        raise ModelError(
            f"the tensor {name!r} of shape {shape} needs {needed:,} bytes at {offset:,} of {location!r}; "
            f"the model says {length:,}, and the file has {available:,}"
        )
    if not count:
        return np.zeros(shape, dtype)
    return np.memmap(path, dtype.newbyteorder("<"), "r", offset, tuple(shape) or (1,)).reshape(shape)


def _parsed(data: bytes, name: str) -> onnx.ModelProto:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise FileFormatError(f"{name} {_diagnosis(data)}") from error
    if not model.HasField("graph") or not model.ir_version:
        raise FileFormatError(f"{name} {_diagnosis(data)}")
    return model


def _diagnosis(data: bytes) -> str:
    fields = list(top_level_fields(data))
    if _looks_like_onnx(data):
        end = fields[-1][1]
        if end > len(data):
            return f"is truncated: it has {len(data):,} bytes and should have at least {end:,}; get it again"
        return "is an ONNX model that does not follow the format; get or export it again"
    answer = diagnose(data)
    if has_model_type(data):
        return "is a Core ML model, not an ONNX model; read it with mlexplorer.load"
    if "Core ML model" in answer:
        return "is not an ONNX model; check where it comes from"
    return answer


def _looks_like_onnx(head: bytes) -> bool:
    numbers = {number for number, _ in top_level_fields(head)}
    return {_VERSION, _GRAPH} <= numbers and max(numbers) <= _LAST_FIELD


def _check_versions(model: onnx.ModelProto, name: str) -> None:
    if not model.HasField("graph"):
        raise FileFormatError(f"{name} holds no graph; export the model again")
    if model.ir_version > onnx.IR_VERSION:
        raise UnsupportedError(
            f"{name} has IR version {model.ir_version}; the installed onnx {onnx.__version__} knows {onnx.IR_VERSION}: "
            "update onnx, or export the model for an older version"
        )
    newest = onnx.defs.onnx_opset_version()
    version = opsets(model.opset_import)[""]
    if not 1 <= version <= newest:
        raise UnsupportedError(
            f"{name} uses opset {version}; the installed onnx {onnx.__version__} knows 1 to {newest}: update onnx, or "
            "export the model for another opset"
        )
