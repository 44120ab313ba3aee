"""`python -m mlexplorer`: open the first notebook in JupyterLab, or a model's explorer in a notebook of its own."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from mlexplorer.errors import InputError, MissingDependencyError, MlexplorerError

STARTS = ("linear", "linear_feedback", "lookup_table", "lookup_table_feedback")
"""What an explorer can begin with; not imported, so that --help is there at once."""
DEFAULT_FOLDER = Path.home() / "mlexplorer"

_WELCOME = """\
mlexplorer opens {notebook}
JupyterLab prints its address, with a token, below. Where no browser opens by itself, copy that address into one.
In the notebook choose Run > Run All Cells, and scroll up to the explorer. Ctrl+C twice stops the server.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m mlexplorer",
        description="Open the explorer in JupyterLab: on the bundled style network, or on a model of yours.",
    )
    parser.add_argument("model", nargs="?", help="a .mlmodel, a .mlpackage, or an address of one (default: bundled)")
    parser.add_argument("--images", help="a picture, its address, or a folder of pictures to try the model on")
    parser.add_argument("--bits", type=int, choices=range(1, 9), help="bits per weight to begin with, with a model")
    parser.add_argument("--scheme", choices=STARTS, help="how its weights are quantized to begin with")
    parser.add_argument("--folder", type=Path, default=DEFAULT_FOLDER, help="where the notebooks go (%(default)s)")
    parser.add_argument("--no-browser", action="store_true", help="start the server and print the address only")
    options = parser.parse_args(arguments)
    try:
        chosen = {name: value for name in ("bits", "scheme") if (value := getattr(options, name)) is not None}
        notebook = prepare(options.folder, options.model, options.images, **chosen)
        return _serve(notebook, browser=not options.no_browser)
    except MlexplorerError as error:
        print(f"mlexplorer: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


def prepare(folder: Path, model: str | Path | None = None, images: str | Path | None = None, **chosen: Any) -> Path:
    """Copy the teaching notebooks to a folder, never over one that is there, and return the notebook to open.

    With a model, that is a notebook with the three lines that explore it, where `chosen` (`bits`, `scheme`) is what the
    explorer begins with: one that is there and has these lines, with whatever stands beside them, else a new one. Where
    neither pictures nor anything else is chosen, one that loads the model is taken as it is. Raises InputError where
    the model or the folder does not exist or cannot be written.
    """
    from mlexplorer.formats import is_address  # not with --help, which is there at once

    def found(source: str | Path | None) -> str | None:
        if source is None:
            return None
        if is_address(source):
            return str(source)
        if not Path(source).exists():
            raise InputError(f"{source}: there is no such file or folder")
        return str(Path(source).resolve())

    given, pictures = found(model), found(images)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for source in _notebooks():
            if not (folder / source.name).exists():
                shutil.copyfile(source, folder / source.name)
        if given is None:
            return folder / _notebooks()[0].name
        name = Path(unquote(urlsplit(given).path) if is_address(given) else given).stem or "model"
        lines = _lines(given, pictures, chosen)
        wanted = lines if pictures or chosen else lines[:-1]
        named = _numbered(folder / f"{name}.ipynb")
        notebook = next(path for path in named if not path.exists() or _holds(path, wanted))
        if not notebook.exists():
            notebook.write_text(json.dumps(_notebook(lines), indent=1), encoding="utf-8")
        return notebook
    except OSError as error:
        raise InputError(f"{folder}: the notebooks cannot be put there ({error}); choose another --folder") from error


def _notebooks() -> list[Path]:
    with as_file(files("mlexplorer")) as package:
        for folder in (package / "notebooks", package.parent / "notebooks"):
            notebooks = sorted(folder.glob("*.ipynb"))
            if notebooks:
                return notebooks
    raise InputError("the notebooks are missing from this installation of mlexplorer; install it again")


def _numbered(path: Path) -> Iterator[Path]:
    """The path itself, then with -2, -3, ... at the end of its name."""
    yield path
    for number in itertools.count(2):
        yield path.with_stem(f"{path.stem}-{number}")


def _holds(notebook: Path, lines: Sequence[str]) -> bool:
    """Whether all lines stand in the cells of a notebook; what is no notebook holds none."""
    try:
        sources = [cell["source"] for cell in json.loads(notebook.read_text("utf-8"))["cells"]]
        found = {line.strip() for source in sources for line in "".join(source).splitlines()}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return found.issuperset(line.strip() for line in lines)


def _lines(source: str, pictures: str | None, chosen: Mapping[str, Any]) -> list[str]:
    given = {"images": pictures} if pictures else {}
    arguments = ", ".join(["model", *(f"{name}={value!r}" for name, value in {**given, **chosen}.items())])
    return ["import mlexplorer as mle", f"model = mle.load({source!r})", f"mle.explore({arguments})"]


def _notebook(lines: Sequence[str]) -> dict[str, object]:
    first, *others = lines
    cell: dict[str, object] = {
        "cell_type": "code",
        "id": "explore",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": [f"{first}\n", "\n", *(f"{line}\n" for line in others[:-1]), others[-1]],
    }
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    return {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _serve(notebook: Path, *, browser: bool) -> int:
    if importlib.util.find_spec("jupyterlab") is None:
        raise MissingDependencyError("JupyterLab is not installed; install it with: pip install jupyterlab")
    print(_WELCOME.format(notebook=notebook), file=sys.stderr)
    address = f"/lab/tree/{quote(notebook.name)}"
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={notebook.parent}",
        f"--LabApp.default_url={address}",
    ]
    if not browser:
        command.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # containers, where JupyterLab would otherwise refuse to start
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
