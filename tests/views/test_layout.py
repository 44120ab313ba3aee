"""The drawing: words that survive whatever a file calls its layers, coordinates, errors of the layout command."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlexplorer.errors import MissingDependencyError, ModelError
from mlexplorer.views import layout
from mlexplorer.views.folding import fold
from mlexplorer.views.labels import LONGEST_TITLE, shorten
from mlexplorer.views.layout import COLOURS, lay_out, layout_command, to_dot, to_svg
from tests.views.networks import network, residual

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = [
    'say "hi"',
    r"C:\new\Nodes\E",
    "a<b>c</b> & d &amp; &#65;",
    "two\nlines",
    "]]></text><script>alert(1)</script>",
    "nul\x00bell\x07",
    "{x|y}",
    "ünïcode 层 ★",
    "-->",
    "",
]


def drawn(svg: str) -> dict[str, ElementTree.Element]:
    """The groups of boxes and frames by key."""
    return {group.get("id", ""): group for group in ElementTree.fromstring(svg).iter(f"{SVG}g")}


def words(group: ElementTree.Element) -> list[str]:
    return [(line.text or "").replace("\u2060", "") for line in group.iter(f"{SVG}text")]


def test_names_are_shown_as_they_are() -> None:
    layers = [(name, "pooling", "x" if i == 0 else HOSTILE[i - 1]) for i, name in enumerate(HOSTILE)]
    graph = network(*layers, inputs=("x",), outputs=("y",)).graph
    svg = to_svg(graph, fold(graph, {"*"}))
    boxes = drawn(svg)
    for i, name in enumerate(HOSTILE):
        visible = "".join("\ufffd" if ord(c) < 32 and c != "\n" else c for c in name).replace("\n", " ")
        assert words(boxes[f"n{i}"])[0] == (shorten(visible, LONGEST_TITLE) or "pooling")
        tooltip = boxes[f"n{i}"].find(f"{SVG}title")
        assert tooltip is not None
        assert visible in (tooltip.text or "")
    assert "<script" not in svg


def test_long_names_keep_their_telling_end() -> None:
    path = "model/stage_4/unit_11/bottleneck_v2/conv3/Conv2D:0"
    short = shorten(path, 26)
    assert len(short) <= 26
    assert path.endswith(short.removeprefix("…"))
    assert shorten("a" * 20 + "z" * 20, 21) == "aaaaaaa…zzzzzzzzzzzzz"
    assert shorten("exactly", 7) == "exactly"


def test_arrows_point_down_and_carry_their_blobs() -> None:
    graph = network(("a", "convolution", "x"), ("b", "pooling", "a"), ("c", "lrn", "a"), ("d", "add", "b", "c")).graph
    folded = fold(graph)
    svg = to_svg(graph, folded)
    boxes = drawn(svg)

    def top(key: str) -> float:
        path = boxes[key].find(f".//{SVG}path")
        assert path is not None
        return min(float(y) for _, y in re.findall(r"(-?[\d.]+),(-?[\d.]+)", path.get("d", "")))

    edges = [group for group in boxes.values() if group.get("data-source")]
    assert {(edge.get("data-source"), edge.get("data-target")) for edge in edges} == {
        (edge.source, edge.target) for edge in folded.edges
    }
    for edge in edges:
        assert top(str(edge.get("data-source"))) < top(str(edge.get("data-target")))
    (carries,) = [edge for edge in edges if (edge.get("data-source"), edge.get("data-target")) == ("n0", "n1")]
    assert carries.findtext(f"{SVG}title") == "a"
    assert "label=" not in "".join(line for line in to_dot(graph, folded).splitlines() if "->" in line)


def test_custom_layers_show_without_colour() -> None:
    graph = network(("conv", "convolution", "x"), ("swish", "custom:Swish", "conv"), ("end", "pooling", "swish")).graph
    boxes = drawn(to_svg(graph, fold(graph)))
    assert words(boxes["n1"]) == ["★ Swish", "swish"]
    widths = {key: boxes[key].find(f"{SVG}path").get("stroke-width") for key in ("n0", "n1", "n2")}  # type: ignore[union-attr]
    assert widths == {"n0": None, "n1": "3.5", "n2": None}
    assert "custom" in (boxes["n1"].get("class") or "").split()
    assert list(COLOURS.values()).count(COLOURS["custom"]) == 1


def test_a_repeat_says_how_often_and_looks_like_a_pile() -> None:
    graph = network(*residual(5)).graph
    folded = fold(graph)
    (frame,) = folded.frames()
    svg = to_svg(graph, folded)
    titles = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text") if "repeat" in text.get("class", "")]
    assert titles == ["× 5"]
    assert len(drawn(svg)[frame.key].findall(f"{SVG}path")) == 3
    opened = drawn(to_svg(graph, fold(graph, {frame.fold})))
    assert len(opened[frame.key].findall(f"{SVG}path")) == 1


def test_a_thousand_layers() -> None:
    layers = [("l0", "pooling", "x")]
    layers += [(f"l{i}", ("lrn", "pooling", "flatten")[i * i % 3], f"l{i - 1}") for i in range(1, 1000)]
    graph = network(*layers).graph
    boxes = drawn(to_svg(graph, fold(graph, {"*"})))
    assert sum("node" in (group.get("class") or "").split() for group in boxes.values()) == 1002


def test_no_layout_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    layout_command.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(layout.sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(MissingDependencyError, match="pip install graphviz-pure"):
        layout_command()
    layout_command.cache_clear()


def test_the_command_beside_python_is_found_off_the_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    layout_command.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Path(layout_command()).stem == "graphviz-pure"
    layout_command.cache_clear()


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        ("sleep 5", ModelError, "longer than 0.2 s"),
        ("echo 'Error: out of paper' >&2; exit 3", ModelError, "out of paper"),
        ("exit 0", ModelError, "no output"),
    ],
    ids=["slow", "failing", "silent"],
)
def test_a_layout_command_that_fails(
    script: str, error: type[Exception], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    command = tmp_path / "dot"
    command.write_text(f"#!/bin/sh\nexec </dev/null\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setattr(layout, "layout_command", lambda: str(command))
    with pytest.raises(error, match=message):
        lay_out("digraph {}", timeout=0.2 if script.startswith("sleep") else 20)


def test_a_layout_command_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(layout, "layout_command", lambda: str(tmp_path / "gone"))
    with pytest.raises(MissingDependencyError, match="cannot be started"):
        lay_out("digraph {}")


def test_bad_dot_is_an_error_of_ours() -> None:
    with pytest.raises(ModelError, match="syntax error"):
        lay_out("digraph { a -> }")
    assert subprocess.run([layout_command(), "-V"], capture_output=True, check=False).returncode == 0
