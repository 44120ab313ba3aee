"""The preview in a real JupyterLab: pixels, keys, pointers, labels, plots; all of it while the kernel is busy."""

from __future__ import annotations

import base64
import json
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import mlexplorer as mle
from mlexplorer.comparison import Rate
from mlexplorer.inputs import input_feature
from mlexplorer.runtime.resizing import resize
from mlexplorer.views.explorer import Explorer
from tests.browser.conftest import write_notebook
from tests.browser.lab import Notebook
from tests.painter import painter, photo

pytestmark = pytest.mark.browser

SETUP = """\
import ipywidgets
import numpy as np
import mlexplorer as mle
from mlexplorer.exploration import rows
from mlexplorer.inputs import read_inputs
from mlexplorer.views.preview import Preview
from tests.browser.test_preview import grained, two_arrays
from tests.painter import painter, photo


def preview(name, model, images, **traits):
    view = Preview(rows(model, images), **traits)
    view.offer(read_inputs(model, images)[0])
    view.add_class(name)
    return view


photos = [photo(seed=seed) for seed in range(8)]
pictures = preview("shown-pictures", painter(), [grained(0), grained(2)], bits=2, scheme="linear")
classes = preview("labelled", painter(classes=9, sizes="fixed"), photos, bits=1, scheme="linear")
arrays = preview("plotted", two_arrays(), [np.linspace(-1, 1, 5, dtype=np.float32)], bits=2, scheme="linear")
box = ipywidgets.VBox([pictures, classes, arrays])
box.add_class("all-previews")
box.layout.width = "640px"
box"""
CELL = "{} .film .strip.linear .cell:nth-child({})"
STAGE = ".shown-pictures .stage canvas"


def two_arrays() -> mle.Model:
    """Five numbers to nine numbers, and to a plane of 6 by 7."""
    from mlexplorer.converters.network import NetworkBuilder

    rng = np.random.default_rng(6)
    network = NetworkBuilder()
    x = network.array_input("x", (5,))
    for name, count in (("line", 9), ("flat", 42)):
        weights = rng.normal(size=(count, 5)).astype(np.float32)
        blob = network.add("innerProduct", x, inputChannels=5, outputChannels=count, weights=weights)
        if name == "flat":
            blob = network.add("reshapeStatic", blob, targetShape=[6, 7])
        network.output(blob, {"line": "line", "flat": "plane"}[name])
    return network.model()


def grained(seed: int) -> np.ndarray[Any, Any]:
    """A photo of 300 x 200 with grain, so that no two places look the same."""
    grain = np.random.default_rng(seed).integers(-30, 31, (200, 300, 3))
    return np.clip(photo(300, 200, seed=seed) // 2 + 60 + grain, 0, 255).astype(np.uint8)


def painted(bits: int | None = None, seed: int = 0) -> np.ndarray[Any, Any]:
    """What the painter makes of the photo of 300 x 200, or its linear copy."""
    model = painter() if bits is None else mle.quantize(painter(), mle.Linear(bits=bits))
    return np.asarray(mle.predict(model, {"photo": Image.fromarray(grained(seed))})["painted"])


def shown(notebook: Notebook) -> np.ndarray[Any, Any]:
    """The pixels on the canvas, [H, W, 3]."""
    found = notebook.page.evaluate(
        f"""() => {{
          const canvas = document.querySelector('{STAGE}');
          const {{ data, width, height }} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          return {{ width, height, bytes: btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join('')) }};
        }}"""
    )
    flat = np.frombuffer(base64.b64decode(found["bytes"]), np.uint8)
    return flat.reshape(found["height"], found["width"], 4)[..., :3]


def middle(image: np.ndarray[Any, Any], height: int, width: int) -> np.ndarray[Any, Any]:
    """The part of this size in the middle."""
    top, left = round((image.shape[0] - height) / 2), round((image.shape[1] - width) / 2)
    return image[top : top + height, left : left + width]


def tool(notebook: Notebook, name: str) -> Any:
    return notebook.page.locator(f".shown-pictures .zooms button[aria-label^='{name}']")


def zoom(notebook: Notebook) -> str:
    return str(notebook.page.inner_text(".shown-pictures .zooms .zoom"))


def settled(notebook: Notebook) -> None:
    """Waits until what was asked for is painted."""
    notebook.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


@pytest.fixture(scope="module")
def notebook(browser: Any, light: str, folder: Path) -> Iterator[Notebook]:
    write_notebook(folder / "previews.ipynb", SETUP)
    notebook = Notebook(browser, light, "previews.ipynb")
    notebook.run_all()
    notebook.page.wait_for_function(
        """() => document.querySelector('.plotted .plot')
          && document.querySelector('.labelled .tile[data-state=changed]')
          && document.querySelectorAll('.strip .quality:not(:empty)').length === 48"""
    )
    yield notebook
    assert notebook.faults == []
    notebook.page.close()


@pytest.fixture(autouse=True)
def _start(notebook: Notebook) -> None:
    """The split in the middle of the fitted first picture, at 5 bits."""
    page = notebook.page
    page.click(".shown-pictures .modes input[value=split]", force=True)
    page.click(".shown-pictures .inputs .input:first-child")
    page.click(CELL.format(".shown-pictures", 5))
    tool(notebook, "Fit").click()
    page.focus(".shown-pictures .handle")
    page.keyboard.press("Home")
    for _ in range(5):
        page.keyboard.press("PageUp")
    settled(notebook)


def test_one_to_one_shows_the_pixels_of_both_models(notebook: Notebook, screenshots: Path) -> None:
    tool(notebook, "One pixel").click()
    settled(notebook)
    assert zoom(notebook) == "100 %"
    image = middle(shown(notebook), 200, 300)
    np.testing.assert_array_equal(image[:, :148], painted()[:, :148])
    np.testing.assert_array_equal(image[:, 152:], painted(5)[:, 152:])
    notebook.page.screenshot(path=screenshots / "preview-pictures.png")


def test_zooming_keeps_the_place_and_pixels_stay_squares(notebook: Notebook) -> None:
    page = notebook.page
    tool(notebook, "One pixel").click()
    for expected in ("200 %", "300 %", "400 %"):
        tool(notebook, "Zoom in").click()
        settled(notebook)
        assert zoom(notebook) == expected
    image = shown(notebook)
    height, width = image.shape[:2]
    block = painted()[100 - height // 8 + 2 : 110, 150 - width // 8 + 2 : 140]
    top, left = (
        round(height / 2 - 400) + 4 * (100 - height // 8 + 2),
        round(width / 2 - 600) + 4 * (150 - width // 8 + 2),
    )
    expected_block = block.repeat(4, axis=0).repeat(4, axis=1)
    np.testing.assert_array_equal(
        image[top : top + len(expected_block), left : left + expected_block.shape[1]], expected_block
    )
    page.focus(".shown-pictures .stage")
    page.keyboard.press("-")
    settled(notebook)
    assert zoom(notebook) == "300 %"
    page.keyboard.press("1")
    settled(notebook)
    assert zoom(notebook) == "100 %"
    page.keyboard.press("0")
    settled(notebook)
    assert page.get_attribute(".shown-pictures .zooms button[aria-label^=Fit]", "aria-pressed") == "true"


def test_the_wheel_scrolls_the_page_and_zooms_with_a_modifier(notebook: Notebook) -> None:
    page = notebook.page
    box = page.locator(STAGE).bounding_box()
    x, y = 257, 161  # in the middle of a pixel of the picture, which is as large as two of the screen
    page.mouse.move(box["x"] + x, box["y"] + y)
    top = "document.querySelector('.shown-pictures').getBoundingClientRect().top"
    before, at = zoom(notebook), page.evaluate(top)
    page.mouse.wheel(0, 60)
    page.wait_for_function(f"() => {top} < {at} - 20")
    assert zoom(notebook) == before
    page.mouse.wheel(0, -60)
    page.wait_for_function(f"() => {top} === {at}")
    place = shown(notebook)[y, x]
    page.keyboard.down("Control")
    page.mouse.wheel(0, -160)
    page.keyboard.up("Control")
    settled(notebook)
    assert float(zoom(notebook).split()[0]) == pytest.approx(2 * float(before.split()[0]), rel=0.02)
    assert page.evaluate(top) == at, "the page stays"
    zoomed = shown(notebook)[y, x]
    np.testing.assert_array_equal(zoomed, place, "what is under the pointer stays there")


def test_a_large_picture_is_panned_by_dragging_and_by_keys(notebook: Notebook) -> None:
    page = notebook.page
    tool(notebook, "One pixel").click()
    for _ in range(3):
        tool(notebook, "Zoom in").click()
    settled(notebook)
    before = shown(notebook)
    box = page.locator(STAGE).bounding_box()
    x, y = box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x - 40, y - 24, steps=4)
    page.mouse.up()
    settled(notebook)
    after = shown(notebook)
    np.testing.assert_array_equal(after[:100, :200], before[24:124, 40:240])
    page.focus(".shown-pictures .stage")
    page.keyboard.press("ArrowRight")
    settled(notebook)
    np.testing.assert_array_equal(shown(notebook)[:, :200], after[:, 40:240])
    assert page.get_attribute(".shown-pictures .handle", "aria-valuenow") == "50", "panning leaves the split"


def test_two_fingers_zoom_and_pan(notebook: Notebook) -> None:
    page = notebook.page
    tool(notebook, "One pixel").click()
    box = page.locator(STAGE).bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)

    def fingers(kind: str, *distances: float) -> None:
        points = [{"x": x + d, "y": y, "id": index} for index, d in enumerate(distances)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", -40)
    fingers("touchStart", -40, 40)
    for spread in (60, 80, 100, 120):
        fingers("touchMove", -spread, spread)
    fingers("touchEnd")
    settled(notebook)
    assert float(zoom(notebook).split()[0]) == pytest.approx(300, abs=2)
    middle_pixel = shown(notebook)[round(box["height"] / 2), round(box["width"] / 2) - 5]
    assert any(np.array_equal(middle_pixel, painted()[100 + dy, 148 + dx]) for dx in (-1, 0, 1) for dy in (-1, 0, 1))


@pytest.mark.parametrize("by", ["key", "button"])
def test_holding_flips_the_two_pictures(notebook: Notebook, by: str) -> None:
    page = notebook.page
    tool(notebook, "One pixel").click()
    settled(notebook)
    rest = shown(notebook)
    if by == "key":
        page.focus(".shown-pictures .handle")
        page.keyboard.down("f")
    else:
        page.hover(".shown-pictures .flip")
        page.mouse.down()
    settled(notebook)
    image = middle(shown(notebook), 200, 300)
    np.testing.assert_array_equal(image[:, :148], painted(5)[:, :148])
    np.testing.assert_array_equal(image[:, 152:], painted()[:, 152:])
    assert page.get_attribute(".shown-pictures .flip", "aria-pressed") == "true"
    assert page.inner_text(".shown-pictures .tag.before") == "5 bit linear"
    page.keyboard.up("f") if by == "key" else page.mouse.up()
    settled(notebook)
    np.testing.assert_array_equal(shown(notebook), rest)


def test_side_by_side_both_pictures_follow_one_camera(notebook: Notebook, screenshots: Path) -> None:
    page = notebook.page
    page.click(".shown-pictures .modes input[value=side]", force=True)
    tool(notebook, "One pixel").click()
    tool(notebook, "Zoom in").click()
    box = page.locator(STAGE).bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75 - 30, box["y"] + 50, steps=3)
    page.mouse.up()
    settled(notebook)
    image = shown(notebook)
    half = (image.shape[1] - 2) // 2
    left, right = image[:, : half - 1], image[:, -half + 1 :]
    assert not np.array_equal(left, right)
    places = []
    for tile, reference in ((left, painted()), (right, painted(5))):
        pixel = tile[::2, ::2][10:20, 10:20].reshape(-1)
        windows = np.lib.stride_tricks.sliding_window_view(reference, (10, 10, 3))[:, :, 0].reshape(191, 291, -1)
        found = np.argwhere((windows == pixel).all(-1))
        assert len(found) == 1
        places.append(found[0])
    assert np.abs(places[0] - places[1]).max() <= 1
    page.screenshot(path=screenshots / "preview-side-by-side.png")


def lightness(colour: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """CIE L* of sRGB colours, [N, 3] of 0..255."""
    linear = np.where(colour <= 10.31475, colour / 255 / 12.92, ((colour / 255 + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > 0.008856, 116 * np.cbrt(y) - 16, 903.3 * y)


def test_the_difference_is_drawn_in_even_colours_on_one_scale(notebook: Notebook, screenshots: Path) -> None:
    page = notebook.page
    page.click(".shown-pictures .modes input[value=difference]", force=True)
    tool(notebook, "One pixel").click()
    ramp = np.array(
        page.evaluate(
            "() => [...document.querySelector('.legend canvas').getContext('2d').getImageData(0, 0, 256, 1).data]"
        )
    ).reshape(256, 4)[:, :3]
    steps = np.diff(lightness(ramp.astype(float)))
    assert steps.min() > 0, "lighter is more, in black and white, too"
    for low in range(0, 255, 51):
        assert steps[low : low + 51].sum() == pytest.approx(steps.sum() / 5, rel=0.3)
    for bits in (2, 6):
        page.click(CELL.format(".shown-pictures", bits))
        settled(notebook)
        apart = np.abs(painted().astype(int) - painted(bits).astype(int)).max(axis=2)
        places = np.rint(np.log2(1 + apart) / 8 * 255).astype(int)
        np.testing.assert_array_equal(middle(shown(notebook), 200, 300), ramp[places])
        words = page.inner_text(".shown-pictures .legend .note")
        mean = f"{apart.mean():.2f}" if apart.mean() < 10 else f"{apart.mean():.1f}"
        assert f"mean {mean} (" in words
        assert f"at most {apart.max()} (" in words
    ticks = page.eval_on_selector_all(
        ".shown-pictures .legend .tick", "ticks => ticks.map(t => [Number(t.textContent), parseFloat(t.style.left)])"
    )
    assert all(place == pytest.approx(100 * np.log2(1 + value) / 8, abs=0.01) for value, place in ticks)
    page.screenshot(path=screenshots / "preview-difference.png")
    page.focus(".shown-pictures .stage")
    page.keyboard.press("d")
    settled(notebook)
    assert page.locator(".shown-pictures .legend").is_hidden()


def test_the_readout_gives_both_values_of_a_pixel(notebook: Notebook) -> None:
    tool(notebook, "One pixel").click()
    settled(notebook)
    box = notebook.page.locator(STAGE).bounding_box()
    x, y = round((box["width"] - 300) / 2) + 30, round((box["height"] - 200) / 2) + 40
    notebook.page.mouse.move(box["x"] + x + 0.5, box["y"] + y + 0.5)
    before, after = (" ".join(map(str, image[40, 30])) for image in (painted(), painted(5)))
    assert notebook.page.inner_text(".shown-pictures .readout") == f"(30, 40)  {before}  →  {after}"


def classified(bits: int | None = None) -> list[dict[str, float]]:
    model = painter(classes=9, sizes="fixed")
    feature = input_feature(model)
    small = model if bits is None else mle.quantize(model, mle.Linear(bits=bits))
    return [
        mle.predict(small, {"photo": resize(Image.fromarray(photo(seed=seed)), feature)})["chances"]
        for seed in range(8)
    ]


def top(probabilities: dict[str, float]) -> list[str]:
    return sorted(probabilities, key=probabilities.__getitem__, reverse=True)


def percent(share: float) -> str:
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return f"{100 * share:.{0 if share > 0.9995 else 1}f} %"


def test_the_best_labels_stand_side_by_side_and_what_changed_is_marked(notebook: Notebook) -> None:
    page = notebook.page
    page.click(CELL.format(".labelled", 1))
    page.click(".labelled .tile:first-child")
    before, after = classified()[0], classified(1)[0]
    for side, chances in (("before", before), ("after", after)):
        items = page.locator(f".labelled .best.{side} li")
        assert items.locator(".label").all_inner_texts() == top(chances)[:5]
        assert items.locator(".number").all_inner_texts() == [percent(chances[label]) for label in top(chances)[:5]]
    marks = page.eval_on_selector_all(
        ".labelled .best.after li", "items => items.map(i => i.querySelector('.became .unseen')?.textContent ?? '')"
    )
    expected = []
    for rank, label in enumerate(top(after)[:5], 1):
        was = top(before).index(label) + 1
        words = f"new, was {was}th" if was > 5 else f"up {was - rank}" if was > rank else f"down {rank - was}"
        expected.append("" if was == rank else f", {words}, ")
    assert marks == expected
    assert any(expected)
    verdict = page.locator(".labelled .verdict")
    assert verdict.get_attribute("data-agrees") == str(top(before)[0] == top(after)[0]).lower()
    assert ("✓" if top(before)[0] == top(after)[0] else "✗") in verdict.inner_text()


def test_the_contact_sheet_counts_agreement_and_chooses_pictures(notebook: Notebook, screenshots: Path) -> None:
    page = notebook.page
    originals = [top(chances)[0] for chances in classified()]
    for bits in (1, 8):
        page.click(CELL.format(".labelled", bits))
        labels = [top(chances)[0] for chances in classified(bits)]
        agrees = [a == b for a, b in zip(originals, labels, strict=True)]
        assert page.locator(".labelled .tile .label").all_inner_texts() == labels
        assert page.locator(".labelled .tile .sign").all_inner_texts() == ["✓" if same else "✗" for same in agrees]
        rate = Rate.of(agrees)
        low, high = (f"{100 * bound:.0f}" for bound in rate.interval)
        words = page.inner_text(".labelled .agreement")
        assert words.startswith(f"Top-1 agreement {rate.count} of 8 (")
        assert words.endswith(f"95 % interval {low}–{high} %)")
        assert page.inner_text(f"{CELL.format('.labelled', bits)} .quality") == f"{rate.count}/8"
    page.click(CELL.format(".labelled", 1))
    page.locator(".labelled .contacts").scroll_into_view_if_needed()
    page.screenshot(path=screenshots / "preview-classes.png")
    page.click(".labelled .tile:nth-child(3)")
    notebook.knows("classes.image", 2)
    page.keyboard.press("ArrowRight")
    notebook.knows("classes.image", 3)
    assert page.evaluate("document.activeElement.getAttribute('aria-checked')") == "true"
    assert page.inner_text(".labelled .best.before li:first-child .label") == originals[3]
    page.check(".labelled .filter input")
    changed = [a != b for a, b in zip(originals, [top(chances)[0] for chances in classified(1)], strict=True)]
    assert [tile.is_visible() for tile in page.locator(".labelled .tile").all()] == changed
    page.uncheck(".labelled .filter input")


def test_arrays_are_drawn_over_each_other_and_outputs_can_be_chosen(notebook: Notebook, screenshots: Path) -> None:
    page = notebook.page
    values = np.linspace(-1, 1, 5, dtype=np.float32)
    before = mle.predict(two_arrays(), {"x": values})
    after = mle.predict(mle.quantize(two_arrays(), mle.Linear(bits=2)), {"x": values})
    page.select_option(".plotted .outputs select", "line")
    heights = {
        name: np.array(
            page.eval_on_selector_all(
                f".plotted .plot.values rect.{name}", "b => b.map(r => +r.getAttribute('height'))"
            )
        )
        for name in ("before", "after")
    }
    span = max(0, before["line"].max(), after["line"].max()) - min(0, before["line"].min(), after["line"].min())
    for name, output in (("before", before["line"]), ("after", after["line"])):
        np.testing.assert_allclose(heights[name], np.maximum(np.abs(output) / span * 192, 0.8), atol=0.02)
    apart = np.abs(after["line"] - before["line"]).max()
    assert f"at most {float(f'{apart:.4g}'):g}" in page.inner_text(".plotted .drawing > .note").replace("−", "-")
    page.select_option(".plotted .outputs select", "plane")
    sizes = page.eval_on_selector_all(".plotted .planes canvas", "all => all.map(c => [c.width, c.height])")
    assert sizes == [[7, 6]] * 3
    cell = page.inner_text(".plotted table.values tbody tr:nth-child(2) td:last-child")
    noise, power = np.mean((after["plane"] - before["plane"]) ** 2), np.mean(before["plane"].astype(float) ** 2)
    assert float(cell.split()[0].replace("−", "-")) == pytest.approx(10 * np.log10(power / noise), abs=0.06)
    page.locator(".plotted").scroll_into_view_if_needed()
    page.screenshot(path=screenshots / "preview-arrays.png")


def test_a_busy_kernel_is_not_needed_and_a_choice_is_painted_within_a_frame(notebook: Notebook) -> None:
    page = notebook.page
    notebook.execute("import time; time.sleep(6); print('slept')")
    for mode in ("split", "difference"):
        page.click(f".shown-pictures .modes input[value={mode}]", force=True)
        tool(notebook, "One pixel").click()
        settled(notebook)
        milliseconds = page.evaluate(
            """async () => {
              const times = [];
              for (const bits of [1, 5, 3, 8, 2, 7, 4, 6, 1, 8, 3, 2, 5]) {
                await new Promise(requestAnimationFrame);
                const start = performance.now();
                document.querySelector(`.shown-pictures .film .strip.linear .cell:nth-child(${bits})`).click();
                document.querySelector('.shown-pictures .stage canvas').getContext('2d').getImageData(0, 0, 1, 1);
                times.push(performance.now() - start);
              }
              return times;
            }"""
        )
        assert statistics.median(milliseconds) < 16, milliseconds
    page.click(".shown-pictures .modes input[value=split]", force=True)
    page.click(".shown-pictures .inputs .input:nth-child(2)")
    settled(notebook)
    image = middle(shown(notebook), 200, 300)
    np.testing.assert_array_equal(image[:, :148], painted(seed=2)[:, :148])
    np.testing.assert_array_equal(image[:, 152:], painted(5, seed=2)[:, 152:])
    assert page.evaluate("window.mlexplorerReply") is None, "the kernel still sleeps"
    page.wait_for_function("() => window.mlexplorerReply !== null")


def test_everything_has_a_name_and_the_saved_notebook_is_small(notebook: Notebook, folder: Path) -> None:
    page = notebook.page
    kinds = "button, input, select, [role=radio], [role=slider], [role=radiogroup], [role=img], [role=application]"
    nameless = page.eval_on_selector_all(
        f".mlx-preview :is({kinds}):not([aria-hidden=true])",
        """all => all.filter(e => !(e.getAttribute('aria-label') || (e.labels?.[0] ?? e).textContent.trim()))
          .map(e => e.outerHTML.slice(0, 80))""",
    )
    assert nameless == []
    page.evaluate("window.jupyterapp.commands.execute('docmanager:save')")
    path = folder / "previews.ipynb"
    page.wait_for_function("() => !window.jupyterapp.shell.currentWidget.context.model.dirty")
    assert json.loads(path.read_text())["cells"][0]["outputs"]
    assert path.stat().st_size < 100_000


def test_nothing_sticks_out_where_it_is_narrow_and_text_is_light_where_it_is_dark(
    notebook: Notebook, screenshots: Path
) -> None:
    page = notebook.page
    page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
    page.wait_for_function("() => document.body.dataset.jpThemeLight === 'false'")
    for width in (600, 380):
        page.evaluate(f"document.querySelector('.all-previews').style.width = '{width}px'")
        settled(notebook)
        wide = page.eval_on_selector_all(
            ".mlx-preview",
            """roots => roots.flatMap(root => [...root.querySelectorAll('*')]
              .filter(e => e.getBoundingClientRect().right > root.getBoundingClientRect().right + 1)
              .filter(e => !e.closest('.unseen, .joins, .inputs, .stage, [hidden]'))
              .map(e => `${e.className} in ${e.parentElement.className}`))""",
        )
        assert wide == [], f"at {width} pixels"
        page.locator(".labelled").scroll_into_view_if_needed()
        page.screenshot(path=screenshots / f"preview-dark-{width}.png")
    colour = page.eval_on_selector(".labelled .best.before .label", "label => getComputedStyle(label).color")
    assert min(int(float(part)) for part in colour.split("(")[1].rstrip(")").split(",")[:3]) > 150, colour


def test_a_report_shows_the_same_differences_without_a_kernel(browser: Any, tmp_path: Path) -> None:
    explorer = Explorer(painter(), [grained(0)], bits=6, scheme="linear")
    try:
        assert explorer.wait(60)
        text = explorer.to_html(tmp_path / "report.html").read_text("utf-8")
    finally:
        explorer.close()
    page = browser.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.set_content(text)
    page.wait_for_selector("html[data-ready=true]")
    page.click(".mlx-preview .modes input[value=difference]", force=True)
    apart = np.abs(painted().astype(int) - painted(6).astype(int)).max(axis=2)
    page.wait_for_function("() => document.querySelector('.legend .note').textContent.includes('mean')")
    words = page.inner_text(".mlx-preview .legend .note")
    assert f"mean {apart.mean():.2f} (" in words
    assert f"at most {apart.max()} (" in words
    before = page.evaluate("document.querySelector('.mlx-preview .stage canvas').toDataURL()")
    page.click(CELL.format(".mlx-preview", 3))
    assert page.evaluate("document.querySelector('.mlx-preview .stage canvas').toDataURL()") != before
    page.hover(".mlx-preview .stage")
    assert page.inner_text(".mlx-preview .readout") == "", "compressed pixels are no values to read"
    assert faults == []
    page.close()
