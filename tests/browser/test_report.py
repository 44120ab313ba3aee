"""The report, opened as a file: slider, curve, preview, graph and plans work without a kernel."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlexplorer.views.explorer import Explorer
from tests.painter import deep_painter, photo

pytestmark = pytest.mark.browser

RANGE = ".mlx-controls input[type=range]"
SECONDS = 180


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    explorer = Explorer(deep_painter(), [photo(240, 160)])
    assert explorer.wait(SECONDS)
    explorer.find(30.0)
    assert explorer.wait(SECONDS)
    path = explorer.to_html(tmp_path_factory.mktemp("report") / "report.html")
    explorer.close()
    return path


@pytest.fixture(scope="module")
def page(browser: Any, file: Path) -> Iterator[Any]:
    page = browser.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda message: page.faults.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    yield page
    page.close()


def pixels(page: Any) -> str:
    return str(page.evaluate("document.querySelector('.mlx-preview canvas').toDataURL()"))


def size(page: Any) -> str:
    return str(page.inner_text(".mlx-controls .statistic.size strong"))


@pytest.mark.parametrize(
    ("view", "parts"),
    [
        ("controls", (".depth", ".python")),
        ("graph", (".search .query", ".colours select", ".stage", ".legend")),
        ("preview", ("h3", ".modes", ".stage", ".film .first")),
        ("curve", ("h3", "svg")),
        ("histogram", ("h3", ".modes", ".pair")),
        ("choosing", ("h3", ".target .aim input", ".answers")),
    ],
)
def test_what_stands_below_each_other_begins_at_one_edge(page: Any, view: str, parts: tuple[str, ...]) -> None:
    area = page.locator(f".mlx-area-{view}").bounding_box()
    edges = {part: page.locator(f".mlx-{view} {part}").first.bounding_box()["x"] - area["x"] for part in parts}
    assert all(edge == pytest.approx(16, abs=1.5) for edge in edges.values()), edges


def test_what_stands_beside_each_other_has_one_middle(page: Any) -> None:
    boxes = [page.locator(f".mlx-controls {part}").bounding_box() for part in (".segments", ".lessons")]
    first, second = [box["y"] + box["height"] / 2 for box in boxes]
    assert first == pytest.approx(second, abs=1.5)


@pytest.mark.parametrize(
    "part", [".mlx-controls .track input", ".mlx-choosing .aim input", ".mlx-choosing .column:last-child .well"]
)
def test_in_high_contrast_what_is_told_by_backgrounds_is_still_seen(page: Any, part: str) -> None:
    page.emulate_media(forced_colors="active")
    chosen = page.evaluate(
        "[...document.querySelectorAll('.mlx-controls .segments label:not([hidden])')].map((label) => "
        "[label.firstChild.checked, getComputedStyle(label.lastChild).backgroundColor])"
    )
    with Image.open(io.BytesIO(page.locator(part).screenshot())) as picture:
        end = picture.convert("RGB").crop((picture.width - 8, 0, picture.width, picture.height))
    page.emulate_media(forced_colors="none")
    assert len({colour for _, colour in chosen}) == 2, "the one that is chosen, and the others"
    assert len(end.getcolors()) > 1


def test_every_view_is_there_and_follows_the_slider(page: Any, screenshots: Path) -> None:
    for view in ("controls", "graph", "preview", "curve", "histogram", "choosing"):
        assert page.locator(f".mlx-{view}").is_visible(), view
    page.focus(RANGE)
    page.keyboard.press("End")
    before, picture = size(page), pixels(page)
    page.keyboard.press("Home")
    page.wait_for_function(f"() => document.querySelector('.mlx-preview canvas').toDataURL() !== {picture!r}")
    assert float(size(page)) < float(before)
    unit = page.inner_text(".mlx-controls .statistic.size .unit")
    assert unit == " kB", "in MB all depths of so small a model are 0.001"
    assert page.locator(".mlx-curve [aria-checked=true]").get_attribute("aria-label").startswith("1 bit LUT")
    assert "1 bit LUT" in page.inner_text(".mlx-preview")
    page.screenshot(path=screenshots / "report-light.png", full_page=True)
    assert page.faults == []


def test_what_only_a_kernel_can_do_is_not_offered(page: Any) -> None:
    assert not page.locator(".mlx-controls .save").is_visible()
    assert not page.get_by_text("Find a mixed plan").is_visible()
    assert not page.locator(".mlx-controls label.feedback").is_visible()
    column = page.locator(".mlx-choosing .column").first
    column.focus()
    bits = column.get_attribute("aria-valuetext")
    page.keyboard.press("ArrowUp")
    assert column.get_attribute("aria-valuetext") == bits
    assert not page.locator(".mlx-controls input[value=mixed]").is_checked()


def test_a_click_on_the_curve_and_on_a_layer_is_followed_everywhere(page: Any) -> None:
    page.locator(".mlx-curve .point[aria-label^='6 bit linear']").click()
    assert page.input_value(RANGE) == "6"
    assert page.locator(".mlx-preview .cell[aria-checked=true], .mlx-preview .cell[aria-selected=true]").count() == 1
    page.locator(".mlx-choosing .column").nth(1).focus()
    name = str(page.locator(".mlx-choosing .column").nth(1).get_attribute("aria-label")).removeprefix("Bits of ")
    assert name in page.inner_text(".mlx-histogram h3")


def test_the_smallest_file_for_a_target_is_taken(page: Any) -> None:
    target = page.locator(".mlx-choosing input[type=range]")
    target.evaluate("(range) => { range.value = range.min; range.dispatchEvent(new Event('input')); }")
    low = page.inner_text(".mlx-choosing .best strong")
    target.evaluate("(range) => { range.value = range.max; range.dispatchEvent(new Event('input')); }")
    assert page.inner_text(".mlx-choosing .best strong") != low
    target.evaluate("(range) => { range.value = 20; range.dispatchEvent(new Event('input')); }")
    page.click(".mlx-choosing .best .take")
    page.wait_for_function("() => !document.querySelector('.mlx-choosing [aria-label=Undo]').disabled")
    page.click(".mlx-choosing [aria-label=Undo]")
    assert page.input_value(RANGE) == "6"


def test_dark_is_dark(browser: Any, file: Path, screenshots: Path) -> None:
    page = browser.new_page()
    page.emulate_media(color_scheme="dark")
    page.goto(file.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 23, 26)"
    page.screenshot(path=screenshots / "report-dark.png", full_page=True)
    page.close()
