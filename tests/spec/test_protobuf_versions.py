"""The schema and the weights on every major version of protobuf: each gets a virtual environment of its own."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

VERSIONS = {"4": "4.25.*", "5": "5.*", "6": "6.*", "7": "7.*"}

SCRIPT = """
import copy, pickle, sys
import google.protobuf
import numpy as np
from google.protobuf.internal import api_implementation
from mlexplorer import spec
from mlexplorer.spec import reflection, weight_params

assert google.protobuf.__version__.split(".")[0] == sys.argv[1]
assert api_implementation.Type() == sys.argv[2]

# float fields: packed bytes that protobuf wrote by itself, read and written without it
values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
boxed = spec.WeightParams(floatValue=values.tolist())
assert np.array_equal(weight_params.read_floats(boxed), values)
written = spec.WeightParams(floatValue=[1.0, 2.0])
weight_params.write_floats(written, values)
assert written.SerializeToString() == boxed.SerializeToString()

# load, edit and save a model; what the schema does not know stays
unknown = b"\\xc2\\xb2\\x04\\x03new"  # field 9000, 3 bytes
model = spec.Model(specificationVersion=4)
layer = model.neuralNetwork.layers.add(name="fc", input=["x"], output=["y"])
layer.innerProduct.inputChannels = 1000
layer.innerProduct.weights.CopyFrom(boxed)
model.description.metadata.userDefined["author"] = "us"
model.neuralNetwork.layers.add().CopyFrom(layer)
read = spec.Model.FromString(model.SerializeToString() + unknown)
assert read.SerializeToString().endswith(unknown)
assert read.WhichOneof("Type") == "neuralNetwork"
assert read.description.metadata.userDefined["author"] == "us"
weight_params.write_floats(read.neuralNetwork.layers[0].innerProduct.weights, -values)
again = spec.Model.FromString(read.SerializeToString())
first, second = (layer.innerProduct.weights for layer in again.neuralNetwork.layers)
assert np.array_equal(weight_params.read_floats(first), -values)
assert np.array_equal(weight_params.read_floats(second), values)

# an encoding by each kind of codes
codes = np.arange(1000, dtype=np.uint8) % 8
table = np.linspace(-1, 1, 8, dtype=np.float32)
encoded = weight_params.Encoded(bits=3, codes=codes, table=table)
weight_params.write(second, encoded)
assert np.array_equal(weight_params.read(second).codes, codes)
assert weight_params.describe(second) == ("lookup_table", 3)

# copies, pickles, parameters by reflection
for message in (again, again.neuralNetwork.layers[0], spec.VisionFeaturePrint.Scene(version="SCENE_VERSION_2")):
    assert pickle.loads(pickle.dumps(message)) == message
    assert copy.deepcopy(message) == message
assert reflection.parameters(again.neuralNetwork.layers[0].innerProduct)["inputChannels"] == 1000
assert spec.MILSpec.DataType.Name(10) == "FLOAT16"
print("passed")
"""


@pytest.fixture(scope="module", params=VERSIONS)
def interpreter(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A major version of protobuf, and the Python of an environment that has it and NumPy alone."""
    folder = tmp_path_factory.mktemp(f"protobuf{request.param}")
    venv.create(folder, with_pip=True)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    requirements = [f"protobuf=={VERSIONS[request.param]}", "numpy"]
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    return request.param, python


@pytest.mark.protobuf_versions
@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_the_schema_works(interpreter: tuple[str, Path], implementation: str) -> None:
    version, python = interpreter
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": implementation,
    }
    command = [str(python), "-W", "error", "-c", SCRIPT, version, implementation]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "passed"
