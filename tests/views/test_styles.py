"""The style sheets of a view: each class means one thing."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib.resources import files

import pytest

STATIC = files("mlexplorer.views").joinpath("static")
SHARED = {"note", "caption", "group", "tools"}
"""What has one look in several modules of a view, and is meant to."""


@pytest.mark.parametrize("view", ["controls", "graph", "preview", "curve", "histogram", "choosing"])
def test_no_two_modules_give_one_class_to_different_things(view: str) -> None:
    texts = {file.name: file.read_text("utf-8") for file in STATIC.iterdir()}
    own = re.compile(rf"({view}(_\w+)?|fields)\.(js|css)$")  # fields.css reaches every view of a page
    users: dict[str, set[str]] = defaultdict(set)
    bare: set[str] = set()
    for name, text in texts.items():
        if not own.match(name):
            continue
        if name.endswith(".js"):
            for words in re.findall(r"class: [`\"]([^`\"]*)[`\"]", text):
                for word in re.sub(r"\$\{[^}]*\}", "", words).split():
                    users[word].add(name)
        else:
            bare |= set(re.findall(r"^\.mlx(?:-\w+)? \.([\w-]+)[^\s,{]*(?=[,\s]*\{?$)", text, re.MULTILINE))
    assert bare
    assert {word: names for word, names in users.items() if len(names) > 1 and word in bare - SHARED} == {}
