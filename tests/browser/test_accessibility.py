"""Accessibility in a real JupyterLab and in the report: axe, names, the Tab key, motion, narrow pages, both themes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from mlexplorer.views.explorer import Explorer
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.painter import deep_painter, photo

pytestmark = pytest.mark.browser

THEMES = ("light", "dark")
CELLS = (
    "import mlexplorer as mle\nexplorer = mle.explore(mle.samples.style(), mle.samples.photos()[:1])\nexplorer",
    "from mlexplorer.samples.grid_sampler import grid_sampler\n"
    "path = mle.samples.spatial_transformer()\n"
    "names = {'GridSampler': grid_sampler}\n"
    "model = mle.convert(path, image_input_names='image', class_labels=[str(n) for n in range(10)],"
    " custom_conversion_functions=names)\n"
    "classifier = mle.explore(model, mle.samples.digits()[0][:6])\nclassifier",
    "opening = mle.explore()\nopening",
)
MOST_STOPS = 80
BETWEEN = "ours => Boolean(document.activeElement?.closest(ours))"
STOP = """() => {
  const element = document.activeElement;
  if (!element?.closest(".mlx")) return null;
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const labelled = element.getAttribute("aria-labelledby")?.split(" ").map((id) => document.getElementById(id));
  const groups = "[role=radiogroup], [role=tablist], [role=toolbar]";
  const group = element.closest(groups);
  return {
    what: `${element.tagName}.${element.getAttribute("class") ?? ""}`,
    name: [element.getAttribute("aria-label"), ...(labelled ?? element.labels ?? []), element.title,
      element.textContent].map((part) => (part?.textContent ?? part ?? "").trim()).find(Boolean) ?? "",
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    radio: element.type === "radio" ? element.name : "",
    group: group ? [...document.querySelectorAll(groups)].indexOf(group) : -1,
    box: { x: box.x, y: box.y, width: box.width, height: box.height },
  };
}"""
OVERFLOWING = """root => [...document.querySelectorAll(`${root} .mlx *`)].filter((element) => {
  const box = element.getBoundingClientRect();
  if (box.width === 0 || box.right <= document.querySelector(root).getBoundingClientRect().right + 1) return false;
  for (let parent = element.parentElement; parent?.closest(root); parent = parent.parentElement)
    if (getComputedStyle(parent).overflowX !== "visible") return false;
  return true;
}).map((element) => `${element.tagName}.${element.getAttribute("class")}`)"""
MOVING = """() => [...document.querySelectorAll(".mlx, .mlx *")].filter((element) => ["", "::before"].some((part) => {
  const style = getComputedStyle(element, part || null);
  return style.transitionDuration.split(",").some((time) => parseFloat(time) > 0)
    || (style.animationName !== "none" && style.animationDuration.split(",").some((time) => parseFloat(time) > 0));
})).map((element) => `${element.tagName}.${element.getAttribute("class")}`)"""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core."""
    try:
        return files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
    except ModuleNotFoundError:
        if os.environ.get("MLEXPLORER_REQUIRE_BROWSER"):
            pytest.fail("axe-playwright-python is not installed, and this test may not be skipped")
        pytest.skip("axe-playwright-python is not installed")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    explorer = Explorer(deep_painter(), [photo(240, 160)])
    assert explorer.wait(120)
    path = explorer.to_html(tmp_path_factory.mktemp("report") / "report.html")
    explorer.close()
    return path


@pytest.fixture(scope="module")
def notebook(browser: Any, light: str, folder: Path) -> Iterator[Notebook]:
    """A picture network, a classifier with a custom layer and the opening fields, one below the other."""
    write_notebook(folder / "accessible.ipynb", *CELLS)
    notebook = Notebook(browser, light, "accessible.ipynb")
    notebook.run_all()
    notebook.page.wait_for_function(
        "() => { const work = [...document.querySelectorAll('.mlx-controls .work')];"
        " return work.length === 2 && work.every(line => line.dataset.state === 'done'); }",
        timeout=120_000,
    )
    yield notebook
    notebook.page.close()


def violations(page: Any, axe: str, *inside: str) -> list[str]:
    """What axe finds of serious or critical impact in these elements, and what it says of it."""
    page.evaluate(axe)
    found = page.evaluate("inside => axe.run({ include: inside }, { resultTypes: ['violations'] })", list(inside))
    assert len(found["passes"]) > 10, "it has looked at something"
    return [
        f"{fault['id']}: {node['target']} {node['failureSummary']}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def stops(page: Any, area: str) -> list[dict[str, Any]]:
    """Every stop of the Tab key in the first of our areas, in order, from its first control on."""
    page.locator(f"{area} .mlx-controls input[type=range]").focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    found = []
    while (
        (stop := page.evaluate(STOP))
        and (not found or stop["what"] != found[0]["what"] or stop["name"] != found[0]["name"])
        and page.evaluate(BETWEEN, area)
        and len(found) < MOST_STOPS
    ):
        if not stop["ring"]:
            stop["ring"] = _looks_focused(page)
        found.append(stop)
        page.keyboard.press("Tab")
    return found


def _looks_focused(page: Any) -> bool:
    """Whether the focused element, a slider's thumb say, looks otherwise than without the focus."""
    element = page.evaluate_handle("document.activeElement").as_element()
    focused = element.screenshot()
    element.evaluate("element => element.blur()")
    plain = element.screenshot()
    element.focus()
    return bool(focused != plain)


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_in_the_notebook(notebook: Notebook, axe: str, theme: str, screenshots: Path) -> None:
    notebook.page.evaluate(
        "theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })",
        f"JupyterLab {theme.capitalize()}",
    )
    notebook.page.wait_for_function(
        "light => document.body.dataset.jpThemeLight === light", arg="true" if theme == "light" else "false"
    )
    notebook.page.wait_for_timeout(300)
    notebook.page.screenshot(path=screenshots / f"accessible-{theme}.png")
    assert violations(notebook.page, axe, ".mlx") == []


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_serious_in_the_report(browser: Any, report: Path, axe: str, theme: str) -> None:
    page = browser.new_page()
    page.emulate_media(color_scheme=theme)
    page.goto(report.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    assert violations(page, axe, "html") == []
    page.close()


def test_the_check_sees_a_fault(browser: Any, report: Path, axe: str) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    page.evaluate("document.querySelectorAll('.mlx-controls label').forEach(label => { label.style.color = '#ddd'; })")
    page.evaluate(
        "document.querySelectorAll('.mlx-choosing [aria-label=Undo]').forEach("
        "button => { button.replaceChildren(); button.removeAttribute('aria-label'); button.title = ''; })"
    )
    kinds = {fault.split(":")[0] for fault in violations(page, axe, "html")}
    assert kinds == {"color-contrast", "button-name"}
    page.close()


def test_every_stop_of_the_tab_key_has_a_name_and_a_ring(browser: Any, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    _check_stops(stops(page, "body"))
    page.close()


def test_every_stop_in_the_explorer_has_a_name_and_a_ring(notebook: Notebook) -> None:
    notebook.page.evaluate("document.querySelector('.mlx-explorer').id = 'first-explorer'")
    area = "#first-explorer"
    found = stops(notebook.page, area)
    _check_stops(found)
    known = notebook.page.eval_on_selector_all(
        f"{area} .mlx button:not(:disabled), {area} .mlx select, {area} .mlx input:not(:disabled)",
        "all => all.filter(e => e.checkVisibility({ visibilityProperty: true }) && e.tabIndex >= 0"
        " && !(e.type === 'radio' && !e.checked)).length",
    )
    reached = [stop for stop in found if stop["what"].split(".")[0] in ("BUTTON", "SELECT", "INPUT")]
    assert len(reached) == known, "every control is reached, and nothing holds the focus"


def _check_stops(found: list[dict[str, Any]]) -> None:
    assert 20 < len(found) < MOST_STOPS
    assert [stop["what"] for stop in found if not stop["name"]] == [], "without a name"
    assert [stop["what"] for stop in found if not stop["ring"]] == [], "without a visible focus"
    radios = [stop["radio"] for stop in found if stop["radio"]]
    assert len(radios) == len(set(radios)), "one stop for a group of radio buttons"
    groups = [stop["group"] for stop in found if stop["group"] >= 0 and not stop["radio"]]
    assert len(groups) == len(set(groups)), "one stop for a group"


def test_nothing_moves_for_those_who_ask_for_that(browser: Any, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    assert page.evaluate(MOVING), "there is something to see otherwise"
    page.emulate_media(reduced_motion="reduce")
    page.evaluate("document.querySelectorAll('.mlx-graph .sheet').forEach(sheet => sheet.classList.add('gliding'))")
    assert page.evaluate(MOVING) == []
    page.close()


def test_a_page_at_200_percent_needs_no_horizontal_scrolling(browser: Any, report: Path, screenshots: Path) -> None:
    page = browser.new_page()
    page.set_viewport_size({"width": 700, "height": 575})
    page.goto(report.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    page.wait_for_timeout(300)
    page.screenshot(path=screenshots / "report-700.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert page.evaluate(OVERFLOWING, "body") == []
    page.close()


def test_the_explorer_at_200_percent_needs_no_horizontal_scrolling(notebook: Notebook, screenshots: Path) -> None:
    size = notebook.page.viewport_size
    notebook.page.set_viewport_size({"width": 700, "height": 575})
    notebook.page.wait_for_timeout(500)
    notebook.page.screenshot(path=screenshots / "explorer-700.png")
    wide = notebook.page.eval_on_selector_all(
        ".mlx-explorer",
        "all => all.filter(e => e.scrollWidth > e.clientWidth + 1).map(e => [e.scrollWidth, e.clientWidth])",
    )
    assert wide == []
    assert notebook.page.evaluate(OVERFLOWING, ".mlx-explorer") == []
    notebook.page.set_viewport_size(size)
