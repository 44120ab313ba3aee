"""The training script: its parts against formulas, and a short training from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer import samples, spec
from mlexplorer.errors import InputError
from mlexplorer.samples.style_network import weights_of

torch = pytest.importorskip("torch")

from mlexplorer.samples import train_style  # noqa: E402  (it needs torch)


@pytest.fixture(scope="module")
def feature_arrays() -> dict[str, np.ndarray]:
    """SqueezeNet 1.1 up to fire7 with random weights, as 16-bit floats."""
    rng = np.random.default_rng(2)
    shapes = {"conv1": (64, 3, 3, 3)}
    inputs = 64
    for number, squeezed, expanded in (
        (2, 16, 64),
        (3, 16, 64),
        (4, 32, 128),
        (5, 32, 128),
        (6, 48, 192),
        (7, 48, 192),
    ):
        shapes[f"fire{number}.squeeze1x1"] = (squeezed, inputs, 1, 1)
        shapes[f"fire{number}.expand1x1"] = (expanded, squeezed, 1, 1)
        shapes[f"fire{number}.expand3x3"] = (expanded, squeezed, 3, 3)
        inputs = 2 * expanded
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"{name}_w_0"] = (rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))).astype(np.float16)
        arrays[f"{name}_b_0"] = rng.normal(size=shape[0]).astype(np.float16)
    return arrays


def test_features_are_squeezenet_s(feature_arrays: dict[str, np.ndarray]) -> None:
    """The first two values of conv1 by hand, and every activation at the size that SqueezeNet 1.1 has it."""
    picture = np.random.default_rng(4).uniform(size=(3, 83, 67)).astype(np.float32)
    activations = train_style.SqueezeNetFeatures(feature_arrays)(torch.from_numpy(picture)[None])
    sizes = {name: tuple(activation.shape[1:]) for name, activation in activations.items()}
    assert sizes == {
        "conv1": (64, 41, 33),
        "fire2": (128, 20, 16),
        "fire3": (128, 20, 16),
        "fire4": (256, 10, 8),
        "fire5": (256, 10, 8),
        "fire6": (384, 5, 4),
        "fire7": (384, 5, 4),
    }
    bgr = picture[::-1] * 255 - np.array([104, 117, 123]).reshape(3, 1, 1)
    weight, bias = feature_arrays["conv1_w_0"].astype(float), feature_arrays["conv1_b_0"].astype(float)
    for column in (0, 1):
        window = bgr[:, 4:7, 2 * column : 2 * column + 3]
        expected = np.maximum((weight * window).sum((1, 2, 3)) + bias, 0)
        np.testing.assert_allclose(activations["conv1"][0, :, 2, column], expected, rtol=1e-3, atol=1e-2)


def test_missing_features_are_named(feature_arrays: dict[str, np.ndarray]) -> None:
    arrays = {name: array for name, array in feature_arrays.items() if not name.startswith("fire5.expand")}
    with pytest.raises(InputError, match=r"fire5\.expand1x1_w_0, .*fire5\.expand3x3_b_0;"):
        train_style.SqueezeNetFeatures(arrays)


def test_losses_vanish_where_style_and_content_are_met(feature_arrays: dict[str, np.ndarray]) -> None:
    features = train_style.SqueezeNetFeatures(feature_arrays)
    glass = train_style.tensor_of(train_style.mosaic(80, np.random.default_rng(1)))
    grams = {name: train_style.gram(features(glass)[name]) for name in train_style.STYLE_FEATURES}
    painted = torch.atanh((2 * glass - 1).clamp(-0.999, 0.999))
    same = train_style.Losses.of(features, grams, painted, glass)
    assert max(float(same.style), float(same.content)) < 1e-4
    flat = train_style.Losses.of(features, grams, torch.full_like(painted, -2.5), glass)
    assert (float(flat.variation), float(flat.saturation)) == (0, 0.25)
    assert min(float(flat.style), float(flat.content)) > 0.01


def test_the_mosaic_is_glass_between_strips_of_lead() -> None:
    glass = train_style.mosaic(160, np.random.default_rng(0), face=24)
    np.testing.assert_array_equal(glass, train_style.mosaic(160, np.random.default_rng(0), face=24))
    lead = (np.abs(glass.astype(int) - train_style.LEAD) <= 3).all(-1)
    assert 0.01 < lead.mean() < 0.3
    assert len(np.unique(glass[~lead] // 64, axis=0)) > 12


def test_a_short_training_from_the_command_line(
    tmp_path: Path, feature_arrays: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    features, output = tmp_path / "features.npz", tmp_path / "glass.mlmodel"
    np.savez(features, **feature_arrays)
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.open(samples.FOLDER / "fruit.jpg").save(photos / "fruit.png")
    (photos / "notes.txt").write_text("not a photograph")
    line = [
        "train_style",
        "--features",
        str(features),
        "--photos",
        str(photos),
        "--output",
        str(output),
        "--crop",
        "64",
    ]
    line += ["--preview", str(photos / "fruit.png"), "--style-size", "96", "--threads", "1", "--iterations"]

    monkeypatch.setattr(sys, "argv", [*line, "2"])
    train_style.main()
    first = weights_of(spec.Model.FromString(output.read_bytes()))
    assert sum(array.size for array in first.values()) == 1_677_635
    with Image.open(output.with_suffix(".png")) as preview:
        assert preview.size == (960, 320)

    monkeypatch.setattr(sys, "argv", [*line, "1", "--resume", str(output), "--rate", "1e-6"])
    train_style.main()
    second = weights_of(mle.load(output).spec)
    steps = {name: np.abs(second[name] - first[name]).max() for name in first}
    assert 0 < max(steps.values()) < 2e-6


def test_a_folder_without_photographs_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (40, 300)).save(tmp_path / "narrow.png")
    with pytest.raises(InputError, match="64 pixels"):
        train_style.read_photos([tmp_path], 64)
