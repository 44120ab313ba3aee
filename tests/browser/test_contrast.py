"""Contrast in both themes: texts over pictures, in charts and in the graph, marks and lines, and black and white."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlexplorer.model import Model
from mlexplorer.views.explorer import Explorer
from mlexplorer.views.families import FAMILIES
from mlexplorer.views.graph import GraphView
from mlexplorer.views.report import report
from tests.browser.contrast import contrast, texts
from tests.painter import deep_painter, painter, photo
from tests.views.networks import add_layers, network

pytestmark = pytest.mark.browser

THEMES = ("light", "dark")
PICTURES = {"white": "brightness(0) invert(1)", "black": "brightness(0)"}
SECONDS = 120
KINDS = (
    *("custom:Crop", "copy", "reduceMean", "padding", "loadConstant", "uniDirectionalLSTM", "batchnorm", "upsample"),
    *("convolution:5", "pooling", "innerProduct", "relu", "flatten", "add", "branch"),
)
DEPTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32)
MARKS = """() => {
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (colour) => {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = colour;
    brush.fillRect(0, 0, 1, 1);
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const root = document.querySelector(".mlx");
  const paper = getComputedStyle(root).getPropertyValue("--mlx-bg");
  const parts = {
    ".node .body": "stroke", ".edge .line": "stroke", ".edge .tip": "fill", ".fold .sign": "stroke",
    ".fold path": "stroke", ".cluster .body": "stroke", ".custom .band": "fill", ".custom .inner-line": "stroke",
    ".legend button i": "borderTopColor",
  };
  const all = (selector) => [...document.querySelectorAll(`.mlx-graph ${selector}`)];
  return Object.entries(parts).flatMap(([selector, property]) => all(selector)
    .filter((element) => element.checkVisibility())
    .map((element) => ({ selector, family: element.closest(".node, .chip")?.getAttribute("class") ?? "",
      colour: channels(getComputedStyle(element)[property]), paper: channels(paper) })));
}"""


def colourful() -> Model:
    """A layer of every family, and ten of weights to be coloured by bits and by numbers."""
    layers = [
        (f"{kind.split(':')[0]} {i}", kind, f"{KINDS[i - 1].split(':')[0]} {i - 1}" if i else "x")
        for i, kind in enumerate(KINDS)
    ]
    before = layers[-1][0]
    for i in range(len(DEPTHS)):
        layers.append((f"weights {i}", f"convolution:{3 + i * i}", before))
        before = layers[-1][0]
    model = network(*layers).spec
    branch = next(layer.branch for layer in model.neuralNetwork.layers if layer.WhichOneof("layer") == "branch")
    add_layers(branch.ifBranch, *((f"inner {i}", "relu", "x") for i in range(3)))
    model.neuralNetwork.layers.add(name="unheard of", input=["x"], output=["z"])
    return Model(model)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A picture network with a mixed plan and captions, and a classifier of several pictures."""
    folder = tmp_path_factory.mktemp("contrast")
    painting = Explorer(deep_painter(), [photo(240, 160)])
    assert painting.wait(SECONDS)
    painting.find(30.0)
    assert painting.wait(SECONDS)
    painting.teach = True
    classes = Explorer(painter(classes=7), [photo(240, 160, seed) for seed in range(4)])
    assert classes.wait(SECONDS)
    files = {
        "painting": painting.to_html(folder / "painting.html"),
        "classes": classes.to_html(folder / "classes.html"),
    }
    painting.close()
    classes.close()
    return files


def opened(browser: Any, file: Path, theme: str) -> Any:
    page = browser.new_page()
    page.set_viewport_size({"width": 1400, "height": 1700})
    page.emulate_media(color_scheme=theme, reduced_motion="reduce")
    page.goto(file.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    page.wait_for_timeout(300)
    return page


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", ["painting", "classes"])
def test_every_text_reads_whatever_the_pictures_show(
    browser: Any, reports: dict[str, Path], name: str, theme: str
) -> None:
    page = opened(browser, reports[name], theme)
    for shown, paint in PICTURES.items():
        style = page.add_style_tag(content=f".mlx-preview :is(canvas, img) {{ filter: {paint} !important; }}")
        found = texts(page)
        assert len(found) > 120
        if name == "painting":
            assert {"32-bit original", "mixed plan"} <= {
                text.words for text in found if text.what.startswith("SPAN.tag")
            }
        assert [f"{shown}: {text}" for text in found if text.contrast < text.least] == []
        style.evaluate("style => style.remove()")
    page.close()


@pytest.mark.parametrize("theme", THEMES)
def test_every_text_reads_in_the_colours_of_jupyterlab(browser: Any, reports: dict[str, Path], theme: str) -> None:
    themes = Path(sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab")
    page = opened(browser, reports["painting"], theme)
    page.add_style_tag(content=(themes / f"theme-{theme}-extension" / "index.css").read_text("utf-8"))
    page.evaluate("light => { document.body.dataset.jpThemeLight = light; }", str(theme == "light").lower())
    page.wait_for_timeout(200)
    found = texts(page)
    assert len(found) > 120
    assert [str(text) for text in found if text.contrast < text.least] == []
    page.close()


def test_the_instrument_sees_faults(browser: Any, reports: dict[str, Path]) -> None:
    page = opened(browser, reports["painting"], "light")
    page.add_style_tag(
        content=".mlx-preview .tag { background: none !important; }"
        ".mlx-preview .stage canvas { filter: brightness(0) invert(1); }"
        ".mlx-graph .node text ~ text { fill: #999 !important; }"
        ".mlx-controls h2 { visibility: hidden; }"
    )
    faults = {text.what for text in texts(page) if text.contrast < text.least}
    assert {"SPAN.tag before", "SPAN.tag after", "text."} == faults
    page.close()


@pytest.fixture(scope="module")
def graph(browser: Any) -> Iterator[Any]:
    """A page with a graph of every family that can be coloured by bits and by sensitivity."""
    model = colourful()
    view = GraphView(model, opened=["*"])
    weighty = [node.id for node in view._graph.nodes if node.name.startswith("weights")]
    view.show_plan(dict(zip(weighty, DEPTHS, strict=True)))
    losses = dict(zip(weighty, np.linspace(4.0, 61.0, len(weighty)).tolist(), strict=True))
    view.show_values("sensitivity", losses, title="quality", unit="dB", low_is_worse=True)
    page = browser.new_page()
    page.set_viewport_size({"width": 1100, "height": 2400})
    traits = {"bits": 4, "scheme": "linear", "layer": "", "image": 0, "teach": False}
    page.set_content(report({"graph": view}, title="graph", about="", traits=traits, images=[0]))
    page.add_style_tag(content=".mlx-graph { --mlx-graph-height: 2200px; }")
    page.wait_for_selector(".mlx-graph [role=option]")
    yield page
    page.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("colour", ["type", "size", "bits", "sensitivity"])
def test_the_graph_reads_in_every_colour(graph: Any, theme: str, colour: str, screenshots: Path) -> None:
    graph.emulate_media(color_scheme=theme, reduced_motion="reduce")
    graph.select_option(".mlx-graph .colours select", colour)
    graph.keyboard.press("Escape")
    graph.wait_for_timeout(200)
    graph.screenshot(path=screenshots / f"graph-{colour}-{theme}.png")
    families = set(graph.eval_on_selector_all(".mlx-graph .node", "all => all.flatMap(n => [...n.classList])"))
    assert families >= set(FAMILIES) - {"classic", "network"}
    found = texts(graph)
    assert len([text for text in found if text.what.startswith("text")]) > 2 * len(KINDS)
    assert [str(text) for text in found if text.contrast < text.least] == []
    marks = graph.evaluate(MARKS)
    assert {mark["selector"] for mark in marks} >= {".node .body", ".edge .line", ".custom .band"}
    faint = [
        f"{mark['selector']} of {mark['family']}: {ratio:.2f}"
        for mark in marks
        if (ratio := float(contrast(np.array(mark["colour"], float), np.array(mark["paper"], float)))) < 3
    ]
    assert faint == []


def test_a_custom_layer_is_unmistakable_in_black_and_white(graph: Any, screenshots: Path) -> None:
    graph.emulate_media(color_scheme="light", reduced_motion="reduce")
    for colour in ("type", "size"):
        graph.select_option(".mlx-graph .colours select", colour)
        graph.wait_for_timeout(100)
        custom = graph.locator(".mlx-graph .node.custom").first
        other = graph.locator(".mlx-graph .node.pooling").first
        assert "custom layer" in custom.get_attribute("aria-label")
        shape = "node => node.querySelector('.body').getAttribute('d').includes('A')"
        assert (custom.evaluate(shape), other.evaluate(shape)) == (False, True), "corners cut off, not round"
        for mark in (".band", ".star", ".inner-line"):
            assert custom.locator(mark).count() == 1
            assert graph.locator(f".mlx-graph .node:not(.custom) {mark}").count() == 0
        assert custom.locator(".inner-line").evaluate("line => getComputedStyle(line).strokeDasharray") != "none"
        grey = np.asarray(Image.open(io.BytesIO(custom.screenshot())).convert("L"), float)
        band = grey[grey.shape[0] // 4 : -grey.shape[0] // 4, 4:18]
        plain = np.asarray(Image.open(io.BytesIO(other.screenshot())).convert("L"), float)[10:-10, 4:18]
        assert contrast(np.full(3, np.median(band)), np.full(3, np.median(plain))) > 3, "a dark band with a star"
    graph.screenshot(path=screenshots / "graph-custom.png")
