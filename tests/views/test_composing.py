"""Views alone and in a layout of one's own: what `show` documents is what there is."""

from __future__ import annotations

import doctest
import re
from typing import Any

import ipywidgets
import pytest
import traitlets

import mlexplorer as mle
from mlexplorer.views.page_code import view_source
from mlexplorer.views.showing import VIEWS
from mlexplorer.views.view import View
from tests.painter import deep_painter, photo

SECONDS = 60
KINDS = {
    "int": traitlets.Int,
    "str": (traitlets.Unicode, traitlets.Enum),
    "bool": traitlets.Bool,
    "list": traitlets.List,
}


def tables() -> list[list[list[str]]]:
    """The tables in what `show` says of itself, cell by cell, without their heads."""
    text = str(mle.show.__doc__)
    found = re.findall(r"(?:^ *\|.*\|$\n?)+", text, re.MULTILINE)
    rows = [[row.strip(" |").split("|") for row in table.splitlines()[2:]] for table in found]
    return [[[cell.strip() for cell in row] for row in table] for table in rows]


def opened(name: str) -> Any:
    alone = name in ("graph", "histogram")
    return mle.show(deep_painter(), name) if alone else mle.show(deep_painter(), name, [photo()])


def test_every_view_and_every_trait_is_documented() -> None:
    views, traits = tables()
    assert {row[0].strip('"') for row in views} == VIEWS.keys()
    documented = {row[0]: row[1] for row in traits}
    own: dict[str, traitlets.TraitType[Any, Any]] = {}
    for name in VIEWS.keys() - {"explorer"}:
        view = opened(name)
        own |= {trait: view.traits()[trait] for trait in view.shown_state()}
        view.close()
    assert documented.keys() == own.keys()
    for name, trait in own.items():
        assert isinstance(trait, KINDS[documented[name].split()[0].strip(",")]), name
    schemes = next(row[2] for row in traits if row[0] == "scheme")
    assert set(re.findall(r'"(\w+)"', schemes)) == set(own["scheme"].values)  # type: ignore[attr-defined]
    for row in views[1:]:
        assert set(re.findall(r"\w+", " ".join(row[2:]))) <= documented.keys()


def test_what_a_view_changes_is_what_its_page_sets() -> None:
    for name, _, _, *changes in tables()[0][1:]:
        view = opened(name.strip('"'))
        own = view_source(view.name)
        view.close()
        said = set(re.findall(r"\w+", changes[0] if changes else ""))
        for trait in ("layer", "image", "teach", "opened", "colour"):
            sets = re.search(rf"choose\(\{{[^}}]*\b{trait}\b", own) is not None
            assert sets == (trait in said), f"{name} {trait}"


def test_the_example_runs() -> None:
    names = {
        "mle": mle,
        "ipywidgets": ipywidgets,
        "model": deep_painter(),
        "other_model": deep_painter(),
        "images": [photo()],
    }
    for example in doctest.DocTestParser().get_examples(str(mle.show.__doc__)):
        exec(example.source, names)
    explorer, page, links = names["explorer"], names["page"], names["links"]
    assert isinstance(explorer, mle.Explorer)
    assert isinstance(page, ipywidgets.VBox)
    assert [link.source[1] for link in links] == ["bits", "scheme"]  # type: ignore[attr-defined]
    assert explorer.wait(SECONDS)
    explorer.close()


@pytest.mark.parametrize("name", ["controls", "preview", "curve", "choosing"])
def test_a_view_that_is_closed_ends_its_computation(name: str) -> None:
    view = mle.show(deep_painter(), name, [photo()])
    assert isinstance(view, View)
    explorer = view.explorer  # type: ignore[attr-defined]
    view.close()
    assert explorer.comm is None
    assert explorer.wait(SECONDS)
