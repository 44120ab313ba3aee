"""The layer graph as a person uses it: folding, walking, searching, colours, details, and what the page works out."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlexplorer as mle
from mlexplorer.views.folding import Box, Folded, Frame, fold
from mlexplorer.views.graph import GraphView, graph_data
from mlexplorer.views.outline import Outline
from mlexplorer.views.page_code import static
from mlexplorer.views.report import report
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.browser.models import swish_model
from tests.views.networks import add_layers, network, residual

pytestmark = pytest.mark.browser

NODE = ".mlx-graph [role=option]"
PANE = ".mlx-graph .pane"
SEARCH = ".mlx-graph input[type=search]"
KINDS = ("lrn", "pooling", "flatten", "relu", "softmax", "convolution:5", "batchnorm", "custom:Crop")


def random_network(seed: int, count: int) -> mle.Model:
    """Layers that read random earlier ones, some of them in runs that repeat, some in nested branches."""
    generator = random.Random(seed)
    layers: list[tuple[str, ...]] = []

    def add(kind: str, *reads: str) -> str:
        layers.append((f"l{len(layers)}", kind, *reads))
        return layers[-1][0]

    last = add("pooling", "x")
    while len(layers) < count:
        block = [generator.choice(KINDS) for _ in range(generator.randint(1, 4))]
        skips = generator.random() < 0.6
        for _ in range(generator.choice((1, 1, 2, 5))):
            before = last
            for kind in block:
                last = add(kind, last)
            if skips:
                last = add("add", last, before)
        if generator.random() < 0.4:
            last = add("concat", last, generator.choice(layers)[0], generator.choice(layers)[0])
    message = network(*layers).spec
    if seed % 2:
        fork = message.neuralNetwork.layers.add(name="fork", input=[last]).branch
        add_layers(fork.ifBranch, *((f"y{i}", generator.choice(KINDS), f"y{i - 1}" if i else last) for i in range(9)))
        add_layers(fork.elseBranch, ("inner", "branch", last), ("z", "lrn", last))
        add_layers(fork.elseBranch.layers[0].branch.ifBranch, ("w", "lrn", last))
    return mle.load(message.SerializeToString()) if seed % 3 == 0 else mle.Model(message)


def lane_network(count: int) -> mle.Model:
    """A long network in which nothing repeats: random kinds, and now and then a value that is read again later."""
    generator = random.Random(count)
    layers: list[tuple[str, ...]] = [("l0", "pooling", "x")]
    for i in range(1, count):
        if i % 5:
            layers.append((f"l{i}", generator.choice(("lrn", "pooling", "flatten", "softmax")), f"l{i - 1}"))
        else:
            layers.append((f"l{i}", "add", f"l{i - 1}", f"l{max(0, i - generator.randint(2, 30))}"))
    return network(*layers)


def outline(folded: Folded) -> dict[str, Any]:
    """What is compared with the page: boxes, frames and arrows."""

    def tree(item: Box | Frame) -> Any:
        if isinstance(item, Box):
            return [item.key, item.kind, [list(copy) for copy in item.copies], item.fold]
        return [item.key, item.kind, item.fold, item.opened, [tree(child) for child in item.children]]

    edges = sorted([edge.source, edge.target, edge.nested] for edge in folded.edges)
    return {"children": [tree(child) for child in folded.children], "edges": edges}


FOLD = """([graph, opened]) => {
  const folded = new Folded(graph, opened);
  const tree = (item) => item.children
    ? [item.key, item.kind, item.fold, Boolean(item.opened), item.children.map(tree)]
    : [item.key, item.kind, item.copies, item.fold];
  const edges = folded.edges.map((e) => [e.source, e.target, e.nested]);
  return JSON.stringify({ children: folded.children.map(tree), edges });
}"""
LAY_OUT = """([graph, opened]) => {
  const folded = new Folded(graph, opened);
  const size = (item) => item.children ? { width: 70 } : { width: 60 + item.key.length * 17, height: 42 };
  const { places, arrows, width, height } = layOut(folded, size);
  const items = [...folded.boxes.values(), ...folded.frames.values()];
  const parents = Object.fromEntries(items.map((item) => [item.key, item.frames[0] ?? ""]));
  return { places: Object.fromEntries(places), arrows, width, height, parents };
}"""


@pytest.fixture(scope="module")
def blank(browser: Any) -> Iterator[Any]:
    """An empty page that knows how to fold and to lay out."""
    page = browser.new_page()
    page.add_script_tag(content=static("graph_folding.js", "graph_layers.js", "graph_layout.js"))
    yield page
    page.close()


@pytest.mark.parametrize("seed", range(5))
def test_the_page_folds_as_python_does(seed: int, blank: Any) -> None:
    graph = random_network(seed, 20 + 12 * seed).graph
    data = json.loads(json.dumps(graph_data(Outline(graph))))
    folds = {item.fold for item in _items(fold(graph)) if item.fold}
    generator = random.Random(seed)
    for opened in ([], ["*"], sorted(folds), *(generator.sample(sorted(folds), len(folds) // 2) for _ in range(3))):
        found = json.loads(blank.evaluate(FOLD, [data, list(opened)]))
        found["edges"].sort()
        assert found == outline(fold(graph, opened)), opened
        folds |= {item.fold for item in _items(fold(graph, opened)) if item.fold}


@pytest.mark.parametrize("seed", range(5))
def test_nothing_overlaps_and_arrows_lead_down(seed: int, blank: Any) -> None:
    graph = random_network(seed, 15 + 15 * seed).graph
    data = json.loads(json.dumps(graph_data(Outline(graph))))
    every = sorted({item.fold for item in _items(fold(graph)) if item.fold})
    for opened in ([], ["*"], every):
        drawn = blank.evaluate(LAY_OUT, [data, opened])
        places, parents = drawn["places"], drawn["parents"]
        by_parent: dict[str, list[str]] = {}
        for key, parent in parents.items():
            by_parent.setdefault(parent, []).append(key)
            area = places[parent] if parent else {"x": 0, "y": 0, "width": drawn["width"], "height": drawn["height"]}
            assert _inside(places[key], area), f"{key} leaves {parent or 'the drawing'}"
        for keys in by_parent.values():
            for i, a in enumerate(keys):
                for b in keys[:i]:
                    assert _apart(places[a], places[b]), f"{a} overlaps {b}"
        for arrow in drawn["arrows"]:
            points = arrow["points"]
            source, target = places[arrow["source"]], places[arrow["target"]]
            assert points[0][1] == pytest.approx(source["y"] + source["height"])
            assert points[-1][1] == pytest.approx(target["y"])
            assert source["x"] < points[0][0] < source["x"] + source["width"]
            assert target["x"] < points[-1][0] < target["x"] + target["width"]
            assert all(a[1] <= b[1] + 1e-6 for a, b in itertools.pairwise(points))


def test_an_arrow_passes_no_box_that_it_does_not_belong_to(blank: Any) -> None:
    data = json.loads(json.dumps(graph_data(Outline(lane_network(80).graph))))
    drawn = blank.evaluate(LAY_OUT, [data, ["*"]])
    for arrow in drawn["arrows"]:
        for a, b in itertools.pairwise(arrow["points"]):
            if a[0] != b[0]:
                continue
            for key, place in drawn["places"].items():
                if key in (arrow["source"], arrow["target"]):
                    continue
                across = place["x"] < a[0] < place["x"] + place["width"]
                along = min(b[1], place["y"] + place["height"]) - max(a[1], place["y"]) > 1
                assert not (across and along), f"{arrow['source']} to {arrow['target']} runs through {key}"


def _items(folded: Folded) -> list[Box | Frame]:
    return [*folded.boxes(), *folded.frames()]


def _inside(a: dict[str, float], b: dict[str, float]) -> bool:
    return (
        a["x"] >= b["x"] - 0.1
        and a["y"] >= b["y"] - 0.1
        and a["x"] + a["width"] <= b["x"] + b["width"] + 0.1
        and a["y"] + a["height"] <= b["y"] + b["height"] + 0.1
    )


def _apart(a: dict[str, float], b: dict[str, float]) -> bool:
    beside = a["x"] + a["width"] < b["x"] or b["x"] + b["width"] < a["x"]
    return beside or a["y"] + a["height"] < b["y"] or b["y"] + b["height"] < a["y"]


# ---- without a kernel, as in a report


def offline(browser: Any, view: GraphView, width: int, height: int = 800) -> Any:
    """A page with this view and nobody who answers it."""
    page = browser.new_page()
    page.set_viewport_size({"width": width, "height": height})
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    traits = {"bits": 4, "scheme": "linear", "layer": view.layer, "image": 0}
    page.set_content(report({"graph": view}, title="graph", about="", traits=traits, images=[0]))
    page.wait_for_selector(NODE)
    return page


@pytest.mark.parametrize("width", [300, 460, 1000])
def test_nothing_is_cut_at_any_width(width: int, browser: Any, screenshots: Path) -> None:
    page = offline(browser, GraphView(mle.samples.style(), layer="conv2"), width)
    frame = page.locator(".mlx-graph").bounding_box()
    pane = page.locator(PANE).bounding_box()
    first = page.locator(f"{NODE}.feature").first.bounding_box()
    assert first["x"] >= pane["x"]
    assert first["x"] + first["width"] <= pane["x"] + pane["width"]
    controls = page.locator(".mlx-graph").locator(".bar button, .bar select, .bar input, .zoom button, .close")
    seen = [part for part in controls.all() if part.is_visible()]
    assert len(seen) >= 9
    for part in seen:
        place = part.bounding_box()
        assert place["x"] + place["width"] <= frame["x"] + frame["width"] + 1, part.get_attribute("aria-label")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=screenshots / f"graph-{width}.png")
    assert page.faults == []
    page.close()


def test_the_panel_does_not_cover_what_was_clicked(browser: Any) -> None:
    page = offline(browser, GraphView(network(*residual(1)), opened=["*"]), 420)
    page.keyboard.press("Escape")
    last = page.locator(f"{NODE}.layer").last
    last.click()
    page.wait_for_selector(".mlx-graph .stage.chosen .details h3")
    page.wait_for_timeout(250)
    pane, chosen = page.locator(PANE).bounding_box(), last.bounding_box()
    assert pane["height"] < 400
    assert pane["y"] <= chosen["y"]
    assert chosen["y"] + chosen["height"] <= pane["y"] + pane["height"]
    page.close()


def test_three_thousand_layers_stay_usable(browser: Any, screenshots: Path) -> None:
    page = offline(browser, GraphView(lane_network(3000), opened=["*"]), 1000)
    assert page.locator(NODE).count() < 120, "only what is in view is in the page"
    page.fill(SEARCH, "l2997")
    page.focus(SEARCH)
    page.keyboard.press("Enter")
    assert page.inner_text(".mlx-graph .details h3") == "l2997"
    chosen = page.locator(f"{NODE}.chosen").bounding_box()
    pane = page.locator(PANE).bounding_box()
    assert pane["y"] <= chosen["y"] <= pane["y"] + pane["height"]
    page.keyboard.press("Escape")
    page.focus(PANE)
    page.keyboard.press("ArrowUp")
    assert page.inner_text(".mlx-graph .details h3") == "l2996"
    corner = page.locator(".mlx-graph .minimap").bounding_box()
    before = zoom_of(page)
    page.mouse.click(corner["x"] + corner["width"] / 2, corner["y"] + 8)
    assert zoom_of(page)[1] > before[1] + 1000
    page.mouse.move(pane["x"] + 200, pane["y"] + 200)
    page.mouse.down()
    for step in range(20):
        page.mouse.move(pane["x"] + 200, pane["y"] + 200 - 9 * step)
    page.mouse.up()
    assert page.locator(NODE).count() < 120
    page.keyboard.press("0")
    page.wait_for_selector(".mlx-graph .is-far")
    assert page.locator(NODE).count() == 1, "the active one, for screen readers"
    page.screenshot(path=screenshots / "graph-3000.png")
    page.click(".mlx-graph .fold-all")
    page.wait_for_function("() => document.querySelector('.mlx-graph .fold-all').textContent === 'Unfold all'")
    assert page.faults == []
    page.close()


def test_a_report_has_the_classes_of_custom_layers(browser: Any) -> None:
    page = offline(browser, GraphView(swish_model(), layer="swish"), 900)
    assert "MLCustomLayer" in page.inner_text(".mlx-graph .source pre")
    assert page.faults == []
    page.close()


# ---- in JupyterLab

CELL = """\
import mlexplorer as mle
from mlexplorer.views.folding import fold
from mlexplorer.views.graph import GraphView
model = mle.load("residual.mlmodel")
view = GraphView(model)
view"""


@pytest.fixture(scope="module")
def lab(browser: Any, light: str, folder: Path) -> Iterator[Notebook]:
    """A notebook with the graph of five residual blocks, a nested network and a custom layer."""
    ends = [("crop", "custom:Crop", "head"), ("test", "reduceMean", "crop"), ("fork", "branch", "test")]
    message = network(*residual(5), *ends, ("end", "pooling", "crop")).spec
    branch = next(layer.branch for layer in message.neuralNetwork.layers if layer.name == "fork")
    add_layers(branch.ifBranch, ("yes", "convolution:7", "crop"), ("after", "relu", "yes"))
    mle.save(mle.Model(message), folder / "residual.mlmodel")
    write_notebook(folder / "graph.ipynb", CELL)
    notebook = Notebook(browser, light, "graph.ipynb")
    notebook.run_all()
    notebook.page.wait_for_selector(NODE)
    yield notebook
    assert notebook.faults == []
    notebook.page.close()


def keys(notebook: Notebook) -> set[str]:
    """The keys of the boxes on the page."""
    return set(notebook.page.eval_on_selector_all(NODE, "nodes => nodes.map(n => n.dataset.key)"))


def box(notebook: Notebook, text: str) -> Any:
    """The box with this title."""
    return notebook.page.locator(NODE).filter(has=notebook.page.locator(f"text:text-is('{text}')")).first


def details(notebook: Notebook) -> str:
    """The panel's text."""
    return str(notebook.page.inner_text(".mlx-graph .details"))


def fit(notebook: Notebook) -> None:
    """Show all of the drawing."""
    notebook.page.click(".mlx-graph .zoom button[aria-label^='Show all']")


def zoom_of(page: Any) -> list[float]:
    """Shift and zoom of the drawing."""
    script = "sheet => { const m = new DOMMatrix(sheet.style.transform); return [m.e, m.f, m.a]; }"
    return list(page.eval_on_selector(".mlx-graph .sheet", script))


def test_a_click_opens_and_closes_without_the_kernel(lab: Notebook) -> None:
    fit(lab)
    closed = keys(lab)
    assert closed == set(lab.python("[b.key for b in fold(model.graph, view.opened).boxes()]"))
    lab.execute("import time; time.sleep(2)")
    frame = lab.page.locator(".mlx-graph g.cluster.repeat")
    lab.page.locator(".mlx-graph .frame-title", has_text="× 5").wait_for()
    frame.locator(".fold").click()
    assert len(keys(lab)) == len(closed) + 4 * 3
    lab.page.locator(f"{NODE}.chain .fold").first.click()
    assert lab.page.evaluate("window.mlexplorerReply") is None, "the kernel was not busy"
    opened = keys(lab)
    lab.page.wait_for_function("() => window.mlexplorerReply !== null")
    lab.knows("len(view.opened)", 3)  # and the small branch, which is open from the start
    assert opened == set(lab.python("[b.key for b in fold(model.graph, view.opened).boxes()]"))
    lab.page.locator(".mlx-graph g.cluster.chain .head").first.click(position={"x": 20, "y": 8})
    frame.locator("> .fold").click()
    assert keys(lab) == closed
    lab.python("setattr(view, 'opened', ['*'])")
    lab.page.wait_for_function(f"() => document.querySelectorAll('{NODE}').length === 30")
    assert lab.page.inner_text(".mlx-graph .fold-all") == "Fold all"
    lab.page.click(".mlx-graph .fold-all")
    lab.page.wait_for_selector(".mlx-graph .node.network")
    fit(lab)
    lab.page.locator(".mlx-graph .node.network .fold").click()
    assert keys(lab) == closed


def test_keys_walk_along_the_arrows_and_open(lab: Notebook) -> None:
    lab.page.focus(PANE)
    lab.page.keyboard.press("Home")
    lab.page.keyboard.press("ArrowDown")
    lab.knows("view.layer", "stem")
    active = lab.page.get_attribute(PANE, "aria-activedescendant")
    assert lab.page.get_attribute(f"#{active}", "aria-selected") == "true"
    assert lab.page.inner_text(".mlx-graph [role=status].unseen").startswith("stem, pooling; leads to 2")
    before = keys(lab)
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("Enter")  # opens the chain first0, rest0
    assert len(keys(lab)) == len(before) + 1
    lab.page.keyboard.press("Shift+Enter")
    assert keys(lab) == before
    lab.page.keyboard.press("ArrowDown")
    lab.knows("view.layer", "second0")
    lab.page.keyboard.press("Enter")  # a layer: opens the repeat around it
    assert len(keys(lab)) == len(before) + 12
    lab.page.keyboard.press("Shift+Enter")
    assert keys(lab) == before
    lab.page.keyboard.press("Escape")
    lab.knows("view.layer", "")
    count = lab.page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length")
    lab.page.keyboard.press("b")
    assert lab.page.evaluate("window.jupyterapp.shell.currentWidget.content.widgets.length") == count


def test_searching_counts_and_walks(lab: Notebook, screenshots: Path) -> None:
    lab.page.fill(SEARCH, "CONVOLUTION")
    assert lab.page.inner_text(".mlx-graph .found") == "11"
    hits = lab.page.eval_on_selector_all(f"{NODE}.hit", "nodes => nodes.map(n => n.textContent)")
    assert len(hits) == 3
    lab.page.focus(SEARCH)
    chosen = []
    for _ in range(11):
        lab.page.keyboard.press("Enter")
        chosen.append(lab.page.inner_text(".mlx-graph .details h3"))
    assert chosen == [f"{part}{i}" for i in range(5) for part in ("first", "second")] + ["yes"]
    assert lab.page.inner_text(".mlx-graph .found") == "11/11"
    assert lab.page.inner_text(".mlx-graph [role=status].unseen") == "11 of 11: yes"
    lab.page.keyboard.press("Shift+Enter")
    lab.knows("view.layer", "second4")
    faint = box(lab, "stem").evaluate("node => getComputedStyle(node).opacity")
    assert float(faint) < 0.5
    fit(lab)
    lab.page.screenshot(path=screenshots / "graph-search.png")
    lab.page.fill(SEARCH, "nowhere to be found")
    assert lab.page.inner_text(".mlx-graph .found") == "nothing"
    lab.page.keyboard.press("Escape")
    assert lab.page.input_value(SEARCH) == ""
    assert lab.page.locator(f"{NODE}.hit").count() == 0
    lab.page.click(".mlx-graph .legend button.custom")
    assert lab.page.eval_on_selector_all(f"{NODE}.hit", "nodes => nodes.map(n => n.dataset.key)") == ["n22"]
    lab.page.click(".mlx-graph .legend button.custom")


def test_colours_and_their_legend(lab: Notebook, screenshots: Path) -> None:
    assert lab.page.locator(".mlx-graph .colours option").all_inner_texts() == [
        "type",
        "size in bytes",
        "bits per weight",
    ]
    numbers = {"first0": 30.5, "first1": 12.0, "fork/ifBranch/yes": 44.0}
    lab.python(f"view.show_values('sensitivity', {numbers}, unit='dB', low_is_worse=True)")
    lab.python("view.show_plan({'first0': 2, 'second0': 6, 'fork/ifBranch/yes': 4})")
    lab.page.wait_for_function("() => document.querySelectorAll('.mlx-graph .colours option').length === 4")
    caption = "node => [...node.querySelectorAll('text:not(.star)')].pop().textContent"
    fill = "node => getComputedStyle(node.querySelector('.body')).fill"
    lab.page.select_option(".mlx-graph .colours select", "bits")
    lab.knows("view.colour", "bits")
    assert box(lab, "yes").evaluate(caption) == "4 bit"
    assert box(lab, "second0").evaluate(caption) == "6–32 bit"
    shades = [box(lab, name).evaluate(fill) for name in ("first0", "yes", "stem")]
    assert len(set(shades)) == 3
    legend = lab.page.inner_text(".mlx-graph .legend")
    assert all(words in legend for words in ("bits per weight", "2 bit", "4 bit", "6 bit", "32 bit"))
    lab.page.select_option(".mlx-graph .colours select", "sensitivity")
    assert box(lab, "first0").evaluate(caption) == "12 dB", "the worst of the five copies"
    assert lab.page.locator(".mlx-graph .ramp > span").all_inner_texts() == ["44 dB", "12 dB"]
    lab.page.select_option(".mlx-graph .colours select", "size")
    assert box(lab, "yes").evaluate(caption) == "56 B"
    assert box(lab, "second0").evaluate(caption) == "5 × 24 B"
    lab.page.screenshot(path=screenshots / "graph-size.png")
    lab.python("setattr(view, 'colour', 'type')")
    lab.page.wait_for_selector(".mlx-graph .legend button.custom")


def test_a_custom_layer_shows_by_its_shape_and_brings_its_class(lab: Notebook, browser: Any, screenshots: Path) -> None:
    fit(lab)
    custom = box(lab, "Crop")
    corners = "node => (node.querySelector('.body').getAttribute('d').match(/A/g) ?? []).length"
    assert (custom.evaluate(corners), box(lab, "stem").evaluate(corners)) == (0, 4)
    assert "★" in str(custom.text_content())
    assert str(custom.get_attribute("aria-label")).startswith("custom layer")
    assert "class Crop" not in str(lab.page.text_content(".mlx-graph .details"))
    custom.click()
    lab.page.wait_for_selector(".mlx-graph .source pre")
    assert "MLCustomLayer" in lab.page.inner_text(".mlx-graph .source pre")
    lab.page.click(".mlx-graph .source button:text('Python')")
    source = lab.page.inner_text(".mlx-graph .source pre")
    assert "class Crop" in source
    browser.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.page.click(".mlx-graph .source button.copy")
    lab.page.wait_for_function("() => document.querySelector('.mlx-graph button.copy').textContent === 'Copied'")
    assert lab.page.evaluate("navigator.clipboard.readText()").rstrip() == source.rstrip()
    panel = details(lab)
    assert all(words in panel for words in ("what Crop does", "crop", "2", "head"))
    lab.page.screenshot(path=screenshots / "graph-custom.png")
    lab.page.click(".mlx-graph .details .link:text('head')")
    lab.knows("view.layer", "head")


def test_details_and_shapes(lab: Notebook) -> None:
    fit(lab)
    box(lab, "yes").click()
    panel = details(lab)
    assert all(words in panel for words in ("7 × 2 × 1 × 1", "32-bit float", "56 B", "outputChannels"))
    assert "1 × 7 × 4" not in panel
    lab.python("view.show_shapes({'yes': (1, 7, 4)})")
    lab.page.wait_for_function("() => document.querySelector('.mlx-graph .details').innerText.includes('1 × 7 × 4')")
    lab.page.click(".mlx-graph .details .members button:text('ReLU')")
    lab.knows("view.layer", "fork/ifBranch/after")
    lab.page.keyboard.press("Escape")


def test_the_wheel_scrolls_the_page_and_zooms_with_a_modifier(lab: Notebook) -> None:
    lab.page.locator(PANE).scroll_into_view_if_needed()
    place = lab.page.locator(PANE).bounding_box()
    lab.page.mouse.move(place["x"] + 90, place["y"] + 60)
    before = zoom_of(lab.page)
    lab.page.mouse.wheel(0, 40)
    lab.page.wait_for_timeout(60)
    assert zoom_of(lab.page) == before
    lab.page.keyboard.down("Control")
    lab.page.mouse.wheel(0, -200)
    lab.page.keyboard.up("Control")
    lab.page.wait_for_function(
        f"() => new DOMMatrix(document.querySelector('.mlx-graph .sheet').style.transform).a > {before[2]}"
    )
    lab.page.focus(PANE)
    lab.page.keyboard.press("0")
    whole = zoom_of(lab.page)
    assert whole[2] <= before[2]
    lab.page.click(".mlx-graph .zoom button[aria-label^='Zoom in']")
    assert zoom_of(lab.page)[2] == pytest.approx(whole[2] * 1.25, rel=1e-4)


def test_a_drawing_is_saved_as_svg_and_png(lab: Notebook, tmp_path: Path) -> None:
    from xml.etree import ElementTree

    # as VS Code does, which saves what it sees clicked in the document
    lab.page.evaluate("""() => {
      window.clicked = [];
      document.addEventListener("click", ({ target }) => window.clicked.push(target.download));
    }""")
    for kind, start in (("SVG", b"<svg"), ("PNG", b"\x89PNG")):
        with lab.page.expect_download() as download:
            lab.page.click(f".mlx-graph .saves button:text('{kind}')")
        path = tmp_path / f"graph.{kind}"
        download.value.save_as(path)
        assert download.value.suggested_filename == f"residual-graph.{kind.lower()}"
        assert path.read_bytes().startswith(start)
    assert lab.page.evaluate("window.clicked.filter(Boolean)") == ["residual-graph.svg", "residual-graph.png"]
    drawing = ElementTree.fromstring((tmp_path / "graph.SVG").read_text())
    words = {element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")}
    assert {"first0", "second0", "Crop", "yes", "× 5"} <= words


def test_the_dark_theme(browser: Any, dark: str, folder: Path, screenshots: Path) -> None:
    mle.save(swish_model(), folder / "swish-graph.mlmodel")
    write_notebook(
        folder / "dark-graph.ipynb",
        CELL.replace("residual", "swish-graph").replace("(model)", "(model, layer='swish')"),
    )
    notebook = Notebook(browser, dark, "dark-graph.ipynb")
    notebook.run_all()
    notebook.page.wait_for_selector(".mlx-graph .source pre")
    notebook.page.screenshot(path=screenshots / "graph-dark.png")
    light_text, dark_box = notebook.page.eval_on_selector(
        f"{NODE}.custom",
        "node => ['.star + text', '.body'].map((part) => getComputedStyle(node.querySelector(part)).fill)",
    )
    assert min(_channels(light_text)) > 200
    assert max(_channels(dark_box)) < 160
    assert notebook.faults == []
    notebook.page.close()


def _channels(colour: str) -> list[float]:
    """Red, green and blue, 0 to 255, of "rgb(1, 2, 3)" or "color(srgb 0.1 0.2 0.3)"."""
    parts = [float(part) for part in colour.split("(")[1].rstrip(")").replace("srgb", "").replace(",", " ").split()[:3]]
    return [part * 255 for part in parts] if colour.startswith("color") else parts
