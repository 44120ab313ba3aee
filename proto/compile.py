"""Compiles the .proto files of this folder into mlexplorer/spec/schema.binpb.

python proto/compile.py            writes the file
python proto/compile.py --check    exits with 1 where the file differs from what would be written

The compiler is that of grpcio-tools, else `protoc` on the PATH. What is written is the same for every version of it.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet

SOURCES = Path(__file__).resolve().parent
SCHEMA = SOURCES.parent / "mlexplorer" / "spec" / "schema.binpb"


def compiler() -> list[str] | None:
    """The command of the compiler that is installed, or None."""
    if importlib.util.find_spec("grpc_tools"):
        return [sys.executable, "-m", "grpc_tools.protoc"]
    protoc = shutil.which("protoc")
    return [protoc] if protoc else None


def compile_folder(folder: Path) -> bytes:
    """A serialised FileDescriptorSet of the .proto files of a folder, dependencies first, without source positions."""
    command = compiler()
    if command is None:
        raise SystemExit("No protobuf compiler: run `pip install grpcio-tools`, or put protoc on the PATH.")
    names = sorted(path.name for path in folder.glob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "schema.binpb"
        try:
            subprocess.run([*command, f"--proto_path={folder}", f"--descriptor_set_out={output}", *names], check=True)
        except subprocess.CalledProcessError as error:
            raise SystemExit(f"The protobuf compiler refused {folder}: see its message above.") from error
        schema = FileDescriptorSet.FromString(output.read_bytes())
    for file in schema.file:
        for message in file.message_type:
            _drop_json_names(message)
    return schema.SerializeToString(deterministic=True)


def _drop_json_names(message: DescriptorProto) -> None:
    # The compiler writes them out although they all follow from the names; without them the file loads faster.
    for field in message.field:
        field.ClearField("json_name")
    for nested in message.nested_type:
        _drop_json_names(nested)


def main(arguments: list[str] | None = None) -> int:
    """Compile, then write or check; returns the exit status."""
    parser = argparse.ArgumentParser(description="Compile proto/ into mlexplorer/spec/schema.binpb.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is out of date")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="the folder of .proto files")
    parser.add_argument("--schema", type=Path, default=SCHEMA, help="the compiled file")
    options = parser.parse_args(arguments)
    compiled = compile_folder(options.sources)
    if not options.check:
        options.schema.write_bytes(compiled)
        print(f"wrote {options.schema}: {len(compiled)} bytes")
        return 0
    if options.schema.read_bytes() == compiled:
        return 0
    print(f"{options.schema} is out of date: run `python proto/compile.py`.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
