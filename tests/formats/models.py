"""Small models and packages made by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from mlexplorer import spec
from mlexplorer.spec.weight_params import write_floats


def network(name: str = "fc", inputs: int = 3, outputs: int = 5) -> Any:
    """A NeuralNetwork with one innerProduct whose weights are 0, 1, 2, ..."""
    model = spec.Model(specificationVersion=4)
    for feature, size, features in (("x", inputs, model.description.input), ("y", outputs, model.description.output)):
        described = features.add(name=feature)
        described.type.multiArrayType.shape.append(size)
        described.type.multiArrayType.dataType = 65568
    layer = model.neuralNetwork.layers.add(name=name, input=["x"], output=["y"])
    layer.innerProduct.inputChannels, layer.innerProduct.outputChannels = inputs, outputs
    write_floats(layer.innerProduct.weights, np.arange(inputs * outputs, dtype=np.float32))
    return model


def write_package(path: Path, specification: bytes, files: dict[str, bytes] | None = None) -> Path:
    """A package with a manifest of its own, and files beside the specification."""
    folder = path / "Data/com.apple.CoreML"
    folder.mkdir(parents=True)
    (folder / "model.mlmodel").write_bytes(specification)
    for name, data in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    entries = {"A-1": {"path": "com.apple.CoreML/model.mlmodel", "name": "model.mlmodel"}}
    manifest = {"fileFormatVersion": "1.0.0", "itemInfoEntries": entries, "rootModelIdentifier": "A-1"}
    (path / "Manifest.json").write_text(json.dumps(manifest))
    return path


def zip_folder(folder: Path, archive: Path) -> Path:
    """A compressed archive of a folder, with the folder's name in it."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))
    return archive


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder by their relative names."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def model_paths(corpus: Path) -> list[Path]:
    """Every model of the corpus, those that do not parse included."""
    return sorted(
        [
            *corpus.glob("mlmodel/*/*.mlmodel"),
            *corpus.glob("style/*/*.mlmodel"),
            *corpus.glob("mlpackage/*/*.mlpackage"),
        ]
    )


def add_layers(target: Any, *layers: tuple[str, str, list[str], list[str]]) -> list[Any]:
    """Append layers (name, type, inputs, outputs) to a network."""
    added = []
    for name, kind, reads, writes in layers:
        layer = target.layers.add(name=name, input=reads, output=writes)
        getattr(layer, kind).SetInParent()
        added.append(layer)
    return added
