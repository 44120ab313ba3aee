"""The teaching notebooks: each is a row of questions, experiments and answers, and runs as it is."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIRST, LAST = NOTEBOOKS[0], NOTEBOOKS[-1]
CPU_SECONDS = 120
"""What two cores have in a minute; the clock says more where others use them too."""

BROUGHT_ALONG = {"IPython", "PIL", "ipywidgets", "mlexplorer", "numpy"}
PACKAGES = {"sklearn": "scikit-learn"}
MEASURED = re.compile(r"\d\s?(dB|[kMG]?B|%|bytes|m?s|seconds|times)(?![\w-])")

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    """The notebook, which must be valid."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def title(path: Path) -> str:
    """What stands behind the # of the first cell."""
    return str(read(path).cells[0].source).partition("\n")[0].removeprefix("# ")


def prose(notebook: Any) -> str:
    """All markdown."""
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def sections(notebook: Any) -> Iterator[tuple[str, list[str]]]:
    """Each question with what comes up to the next one: "code" for a cell of code, the text for a paragraph."""
    question, parts = "", []
    for cell in notebook.cells:
        for part in ["code"] if cell.cell_type == "code" else cell.source.split("\n\n"):
            if part.startswith("## "):
                if question:
                    yield question, parts
                question, parts = part.removeprefix("## "), []
            elif not part.startswith("Next: "):
                parts.append(part)
    yield question, parts


def test_they_are_numbered_from_one_without_a_gap() -> None:
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{number:02}-" for number in range(1, len(NOTEBOOKS) + 1)]
    assert len({title(path) for path in NOTEBOOKS}) == len(NOTEBOOKS)


@each
def test_it_is_stored_without_outputs(path: Path) -> None:
    notebook = read(path)
    assert [cell.id for cell in notebook.cells] == [f"cell-{number}" for number in range(1, len(notebook.cells) + 1)]
    assert notebook.metadata == {
        "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        assert cell.metadata == {}
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


@each
def test_a_question_comes_before_each_experiment_and_its_answer_after_it(path: Path) -> None:
    notebook = read(path)
    assert notebook.cells[0].source.startswith("# ")
    for question, parts in sections(notebook):
        assert question.endswith("?"), question
        assert "code" in parts, f"{question} Nothing is tried"
        assert parts[-1] != "code", f"{question} There is no answer"


@each
def test_its_prose_states_no_measured_numbers(path: Path) -> None:
    """They would drift away from what the cells compute; the cells print and assert them."""
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "", prose(read(path)))
    assert [text[max(0, m.start() - 30) : m.end()] for m in MEASURED.finditer(text)] == []


@each
def test_it_says_what_to_install(path: Path) -> None:
    notebook = read(path)
    imported = set()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add(str(node.module).partition(".")[0])
    commands = " ".join(re.findall(r"`pip install ([^`]+)`", prose(notebook)))
    for name in imported - BROUGHT_ALONG - sys.stdlib_module_names:
        assert PACKAGES.get(name, name) in commands, f"{name} is imported; say `pip install {PACKAGES.get(name, name)}`"


@each
def test_its_links_lead_somewhere_and_the_last_one_to_the_next_notebook(path: Path) -> None:
    notebook = read(path)
    links = re.findall(r"\[([^\]]+)\]\(([^)]+)\)", prose(notebook))
    for _, target in links:
        assert (path.parent / target).exists(), target
    following = FIRST if path == LAST else NOTEBOOKS[NOTEBOOKS.index(path) + 1]
    text, target = links[-1]
    assert target == following.name
    if path != LAST:
        assert text == title(following)
        assert notebook.cells[-1].source.endswith(f"Next: [{text}]({target})")


def test_the_readme_links_to_each_by_its_title() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [link for path in NOTEBOOKS if (link := f"[{title(path)}](notebooks/{path.name})") not in readme]
    assert missing == []


def test_binder_installs_what_the_notebooks_ask_for_and_opens_the_first_one(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras, pending, lines = project["optional-dependencies"], [], []
    for line in (ROOT / "binder" / "requirements.txt").read_text(encoding="utf-8").splitlines():
        found = re.fullmatch(r"\.\[([\w,]+)\]", line)
        pending += found[1].split(",") if found else []
        lines += [] if found else [line]
    while pending:
        for line in extras[pending.pop()]:
            found = re.fullmatch(r"mlexplorer\[([\w,]+)\]", line)
            pending += found[1].split(",") if found else []
            lines += [] if found else [line]
    installed = {re.split(r"[<>=!~\[; ]", line)[0] for line in lines} | {"mlexplorer"}
    for path in NOTEBOOKS:
        for command in re.findall(r"`pip install ([^`]+)`", prose(read(path))):
            assert {re.split(r"[<>=\[]", name.strip("'\""))[0] for name in command.split()} <= installed, command
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=False)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    subprocess.run([python, ROOT / "binder" / "postBuild"], cwd=ROOT, check=True)
    settings = json.loads((environment / "etc" / "jupyter" / "jupyter_lab_config.json").read_text())
    assert settings == {"LabApp": {"default_url": f"/lab/tree/notebooks/{FIRST.name}"}}


def run(path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> list[str]:
    """Run a notebook and some more lines in an empty folder; returns what the lines print.

    Raises CellExecutionError, and AssertionError where a cell writes to stderr.
    """
    notebook = read(path)
    ours = [new_code_cell(line) for line in more]
    notebook.cells += ours
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(folder / name))
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=":")
    (folder / "work").mkdir()
    client = NotebookClient(
        notebook, timeout=900, kernel_name="python3", resources={"metadata": {"path": folder / "work"}}
    )
    client.execute()
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            assert output.get("name") != "stderr", f"{cell.source}\n{output.text}"
    return ["".join(output.text for output in cell.outputs) for cell in ours]


CPU = "import resource; used = resource.getrusage(resource.RUSAGE_SELF); print(used.ru_utime + used.ru_stime)"


@each
def test_it_runs_within_a_minute_on_two_cores(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (seconds,) = run(path, tmp_path, monkeypatch, CPU)
    assert float(seconds) < CPU_SECONDS


def test_what_the_first_one_says_of_the_explorer_is_true(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, error, rows, saved = run(
        FIRST,
        tmp_path,
        monkeypatch,
        "assert explorer.wait(800)",
        "print(explorer.error)",
        "print({(r.scheme, r.bits): (r.quality, r.nbytes) for r in explorer.results if r.image == 0})",
        "print(mle.Plan.of(mle.load('style-mosaic-4bit.mlmodel')) == mle.Plan.uniform(model, mle.LookupTable(bits=4)))",
    )
    assert error.strip() == "None"
    found = ast.literal_eval(rows.replace("inf", "1e999"))
    (linear, linear_size), (table, table_size) = found["linear", 2], found["lookup_table", 2]
    assert found["linear", 1][0] < 6, "with 1 bit nothing is left"
    assert linear < 12, "with 2 bits its colours are all wrong"
    assert table > linear + 8, "a table with 2 bits still paints the mosaic"
    assert abs(linear_size / table_size - 1) < 0.1, "the files have about the same size"
    assert saved.strip() == "True"
