"""`python -m mlexplorer`: what it puts where, and what it says when it cannot."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from mlexplorer import samples
from mlexplorer.__main__ import main, prepare
from mlexplorer.errors import InputError
from mlexplorer.exploration import CHOICES, MIXED


def test_the_first_notebook_is_copied_and_never_overwritten(tmp_path: Path) -> None:
    notebook = prepare(tmp_path / "new")
    assert notebook.name.startswith("01-")
    nbformat.validate(nbformat.read(notebook, as_version=4))
    notebook.write_text("mine")
    assert prepare(tmp_path / "new").read_text() == "mine"


def test_a_model_gets_a_notebook_that_explores_it(tmp_path: Path) -> None:
    model = samples.FOLDER / "style_mosaic.mlmodel"
    notebook = prepare(tmp_path, model, samples.FOLDER)
    cells = nbformat.read(notebook, as_version=4).cells
    nbformat.validate(nbformat.read(notebook, as_version=4))
    assert f"mle.load({str(model)!r})" in cells[0].source
    assert cells[0].source.endswith(f"mle.explore(model, images={str(samples.FOLDER)!r})")


def test_a_model_and_pictures_may_be_at_an_address(tmp_path: Path) -> None:
    notebook = prepare(tmp_path, "https://example.org/models/Squeeze%20Net.mlmodel?raw=1")
    assert notebook.name == "Squeeze Net.ipynb"
    source = nbformat.read(notebook, as_version=4).cells[0].source
    assert "mle.load('https://example.org/models/Squeeze%20Net.mlmodel?raw=1')" in source
    notebook = prepare(tmp_path, samples.FOLDER / "style_mosaic.mlmodel", "https://example.org/cat.jpg")
    source = nbformat.read(notebook, as_version=4).cells[0].source
    assert source.endswith("mle.explore(model, images='https://example.org/cat.jpg')")


def test_what_was_asked_for_is_opened_and_nothing_is_overwritten(tmp_path: Path) -> None:
    model = samples.FOLDER / "style_mosaic.mlmodel"
    other = tmp_path / "other" / model.name
    other.parent.mkdir()
    other.write_bytes(b"another model of the same name")
    first = prepare(tmp_path, model)
    mine = nbformat.read(first, as_version=4)
    mine.cells[0].source = mine.cells[0].source.replace("explore(model)", "explore(model, bits=7)\nprint('mine')")
    mine.cells.append(nbformat.v4.new_code_cell("1 + 1"))
    nbformat.write(mine, first)
    kept = first.read_bytes()
    opened = {
        "the model again": prepare(tmp_path, model),
        "what stands there": prepare(tmp_path, model, bits=7),
        "bits": prepare(tmp_path, model, bits=2),
        "pictures": prepare(tmp_path, model, samples.FOLDER),
        "the same name": prepare(tmp_path, other),
    }
    assert [path.name for path in opened.values()] == [
        *["style_mosaic.ipynb"] * 2,
        *(f"style_mosaic-{number}.ipynb" for number in (2, 3, 4)),
    ]
    assert first.read_bytes() == kept
    assert prepare(tmp_path, model, bits=2) == opened["bits"]
    assert nbformat.read(opened["bits"], as_version=4).cells[0].source.endswith("mle.explore(model, bits=2)")
    assert f"mle.load({str(other)!r})" in nbformat.read(opened["the same name"], as_version=4).cells[0].source
    opened["bits"].write_text("no notebook")
    assert prepare(tmp_path, model, bits=2).name == "style_mosaic-5.ipynb"
    assert opened["bits"].read_text() == "no notebook"


def test_what_the_explorer_begins_with_can_be_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Path] = []
    monkeypatch.setattr("mlexplorer.__main__._serve", lambda notebook, browser: served.append(notebook) or 0)
    model = samples.FOLDER / "style_mosaic.mlmodel"
    for scheme in (name for name in CHOICES if name != MIXED):
        folder = tmp_path / scheme
        assert main([str(model), "--bits", "2", "--scheme", scheme, "--folder", str(folder)]) == 0
        source = nbformat.read(served[-1], as_version=4).cells[0].source
        assert source.endswith(f"mle.explore(model, bits=2, scheme={scheme!r})")
    with pytest.raises(SystemExit):
        main([str(model), "--scheme", MIXED, "--folder", str(tmp_path)])


def test_a_missing_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"absent\.mlmodel"):
        prepare(tmp_path, tmp_path / "absent.mlmodel")
    with pytest.raises(InputError, match="nowhere: there is no such file"):
        prepare(tmp_path, samples.FOLDER / "style_mosaic.mlmodel", "nowhere")
    assert main([str(tmp_path / "absent.mlmodel"), "--folder", str(tmp_path)]) == 1
    assert "there is no such file" in capsys.readouterr().err
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match="another --folder"):
        prepare(blocked)
