"""What holds the project together: versions, names, light imports, every layer type."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import mlexplorer as mle
from mlexplorer import spec
from mlexplorer.layers import EVALUATIONS, LOWERINGS
from mlexplorer.runtime.program import RUN_HERE
from tests.layers.conftest import EXERCISED

ROOT = Path(__file__).resolve().parents[1]
HEAVY = ("IPython", "anywidget", "graphviz", "ipywidgets", "matplotlib", "onnx", "onnxruntime", "sklearn", "torch")


def test_the_changelog_tells_of_this_version() -> None:
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest
    assert newest[1] == mle.__version__
    assert f'version = "{mle.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_every_public_name_is_there_and_documented() -> None:
    assert mle.__all__ == sorted(mle.__all__)
    for name in mle.__all__:
        assert getattr(mle, name).__doc__, name


def test_no_public_name_is_hidden_by_a_module_of_the_same_name() -> None:
    package = Path(mle.__file__).parent
    modules = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert modules.intersection(mle.__all__) == {"errors", "samples"}


def test_importing_is_light() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import mlexplorer; seconds = time.perf_counter() - start;"
        "mlexplorer.load, mlexplorer.quantize, mlexplorer.samples;"
        f"import json; print(json.dumps([seconds, [m for m in {HEAVY!r} if m in sys.modules]]))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    seconds, imported = json.loads(output)
    assert seconds < 1
    assert imported == []


def test_the_explorer_imports_nothing_that_its_first_picture_need_not_wait_for() -> None:
    later = ("onnx", "onnxruntime", "joblib", "matplotlib", "sklearn", "torch", "PIL.TgaImagePlugin")
    code = (
        "import sys, json, mlexplorer; from PIL import Image;"
        "mlexplorer.explore; from mlexplorer.views.preview_data import thumbnail;"
        "thumbnail(Image.new('RGB', (8, 4)));"
        f"print(json.dumps([m for m in {later!r} if m in sys.modules]))"
    )
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert json.loads(output) == []


LAYER_TYPES = {field.name for field in spec.NeuralNetworkLayer.DESCRIPTOR.oneofs_by_name["layer"].fields}


def test_every_layer_type_of_the_specification_can_run() -> None:
    assert len(LAYER_TYPES) == 158
    assert LAYER_TYPES - set(LOWERINGS) - set(EVALUATIONS) - RUN_HERE == set()
    assert set(LOWERINGS) | set(EVALUATIONS) <= LAYER_TYPES


def test_every_layer_type_of_the_specification_is_run_by_the_tests_of_layers(tmp_path: Path) -> None:
    """None is left to coremltools' own tests. What this session has not run, a run of tests/layers must."""
    missing = LAYER_TYPES - EXERCISED
    if missing:
        answer = tmp_path / "exercised.json"
        code = (
            "import json, pathlib, pytest; code = pytest.main(['-q', '-p', 'no:cacheprovider', 'tests/layers']);"
            "from tests.layers.conftest import EXERCISED;"
            f"pathlib.Path({str(answer)!r}).write_text(json.dumps(sorted(EXERCISED))); raise SystemExit(code)"
        )
        result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
        missing -= set(json.loads(answer.read_text()))
    assert missing == set()
