"""Fingers on a report in an emulated tablet: slider and split, panning and pinching of pictures and of the graph."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlexplorer.views.explorer import Explorer
from tests.painter import deep_painter, photo

pytestmark = pytest.mark.browser

STAGE = ".mlx-preview .stage"
PANE = ".mlx-graph .pane"
TABLET = {"viewport": {"width": 900, "height": 1200}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


class Fingers:
    """Touches the page at points in CSS pixels, as the hardware would report it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self._session = page.context.new_cdp_session(page)

    def _send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    def move(self, *paths: tuple[tuple[float, float], tuple[float, float]], steps: int = 8) -> None:
        """Each finger from one point to another, all at once."""
        self._send("touchStart", *(start for start, _ in paths))
        for step in range(1, steps + 1):
            share = step / steps
            self._send("touchMove", *((a + (c - a) * share, b + (d - b) * share) for (a, b), (c, d) in paths))
            self.page.wait_for_timeout(16)
        self._send("touchEnd")
        self.page.wait_for_timeout(80)


@pytest.fixture(scope="module")
def page(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    explorer = Explorer(deep_painter(), [photo(240, 160) // 4])
    assert explorer.wait(120)
    path = explorer.to_html(tmp_path_factory.mktemp("touch") / "report.html")
    explorer.close()
    context = browser.browser.new_context(**TABLET)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("() => document.documentElement.dataset.ready === 'true'")
    page.wait_for_timeout(300)
    yield page
    assert page.faults == []
    context.close()


def box(page: Any, selector: str) -> dict[str, float]:
    """Where an element is in the window, scrolled into the middle of it."""
    page.eval_on_selector(selector, "element => element.scrollIntoView({ block: 'center' })")
    found: dict[str, float] = page.locator(selector).first.bounding_box()
    return found


def middle(place: dict[str, float]) -> tuple[float, float]:
    return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2


def test_the_slider_follows_a_finger(page: Any) -> None:
    slider = ".mlx-controls input[type=range]"
    place = box(page, slider)
    y = middle(place)[1]
    thumb = place["x"] + 10 + (place["width"] - 20) * 3 / 7
    Fingers(page).move(((thumb, y), (place["x"] + place["width"] - 4, y)))
    assert page.input_value(slider) == "8"
    page.touchscreen.tap(place["x"] + 6, y)
    page.wait_for_function(f"() => document.querySelector('{slider}').value === '1'")


def test_the_split_follows_a_finger_and_the_page_still_scrolls(page: Any) -> None:
    place = box(page, STAGE)
    x, y = middle(place)
    handle = page.locator(".mlx-preview .handle")
    assert handle.get_attribute("aria-valuenow") == "50"
    Fingers(page).move(((x, y), (place["x"] + place["width"] * 0.2, y)))
    assert abs(int(handle.get_attribute("aria-valuenow")) - 20) <= 3
    before = page.evaluate("scrollY")
    Fingers(page).move(((place["x"] + place["width"] * 0.7, y), (place["x"] + place["width"] * 0.7, y - 150)))
    page.wait_for_function(f"() => scrollY > {before} + 60")
    assert abs(int(handle.get_attribute("aria-valuenow")) - 20) <= 3, "scrolling leaves the seam where it was"


def zoom(page: Any) -> int:
    return int(page.inner_text(".mlx-preview output.zoom").removesuffix(" %"))


def test_pictures_are_pinched_and_panned(page: Any) -> None:
    place = box(page, STAGE)
    x, y = middle(place)
    fitting = zoom(page)
    Fingers(page).move(((x - 30, y), (x - 120, y)), ((x + 30, y), (x + 120, y)))
    page.wait_for_function(f"() => parseInt(document.querySelector('.mlx-preview output.zoom').value) > {2 * fitting}")
    zoomed = zoom(page)
    pixels = "document.querySelector('.mlx-preview .stage canvas').toDataURL()"
    before, scrolled = page.evaluate(pixels), page.evaluate("scrollY")
    far = place["x"] + place["width"] * 0.8
    Fingers(page).move(((far, y), (far - 60, y - 50)))
    page.wait_for_function(f"() => {pixels} !== {before!r}")
    assert page.evaluate("scrollY") == scrolled, "and the page does not"
    Fingers(page).move(((x - 120, y), (x - 30, y)), ((x + 120, y), (x + 30, y)))
    page.wait_for_function(f"() => parseInt(document.querySelector('.mlx-preview output.zoom').value) < {zoomed}")


def test_the_graph_is_panned_pinched_and_tapped(page: Any) -> None:
    place = box(page, PANE)
    x, y = middle(place)

    def camera() -> list[float]:
        return list(
            page.eval_on_selector(
                ".mlx-graph .sheet", "s => { const m = new DOMMatrix(s.style.transform); return [m.e, m.f, m.a]; }"
            )
        )

    before, scrolled = camera(), page.evaluate("scrollY")
    Fingers(page).move(((x, y), (x + 40, y + 30)))
    after = camera()
    assert [after[0] - before[0], after[1] - before[1], after[2]] == pytest.approx([40, 30, before[2]], abs=8)
    assert page.evaluate("scrollY") == scrolled
    Fingers(page).move(((x, y - 20), (x, y - 80)), ((x, y + 20), (x, y + 80)))
    assert camera()[2] == pytest.approx(before[2] * 4, rel=0.25)
    page.locator(".mlx-graph .zoom button").last.tap()
    page.wait_for_timeout(250)
    page.locator(".mlx-graph [role=option]", has_text="varnish").tap()
    assert page.inner_text(".mlx-graph .details h3") == "varnish"
