"""The contrast of every text on a page with what really lies behind it, pictures and drawings included.

axe judges plain backgrounds only. Here the page is photographed with and without its letters, and their colour is
compared with the pixels around them, by the formula of WCAG 2.2 (1.4.3). Letters that something covers have none.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

LEAST, LEAST_LARGE = 4.5, 3.0
_SHARE = 0.1
"""Of the pixels behind a text so many may be worse, as where a line of a chart passes."""

_LETTERS = """root => {
  const found = [];
  const add = (element, style, colour, boxes, words) => {
    let opacity = 1;
    let view = { left: 0, top: 0, right: innerWidth, bottom: innerHeight };
    for (let parent = element; parent && parent.nodeType === 1; parent = parent.parentElement) {
      const own = getComputedStyle(parent);
      opacity *= parseFloat(own.opacity);
      if (own.overflowX === "visible" && own.overflowY === "visible") continue;
      const { left, top, right, bottom } = parent.getBoundingClientRect();
      view = {
        left: Math.max(view.left, left), top: Math.max(view.top, top),
        right: Math.min(view.right, right), bottom: Math.min(view.bottom, bottom),
      };
    }
    for (const box of boxes) {
      const [left, top] = [Math.max(box.left, view.left), Math.max(box.top, view.top)];
      const [right, bottom] = [Math.min(box.right, view.right), Math.min(box.bottom, view.bottom)];
      // of a line at an edge the letters may be out of view
      if (right - left < 3 || bottom - top < (box.bottom - box.top) / 2) continue;
      found.push({ words, colour, opacity, size: parseFloat(style.fontSize), bold: style.fontWeight >= 700,
        box: [left, top, right, bottom], what: `${element.tagName}.${element.getAttribute("class") ?? ""}` });
    }
  };
  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true })
    && !element.closest(".unseen, :disabled, [aria-disabled=true], [hidden], script, style, title");
  const walker = document.createTreeWalker(document.querySelector(root), NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { data, parentElement: element } = walker.currentNode;
    if (!data.trim() || !shown(element) || ["OPTION", "SELECT"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const range = document.createRange();
    range.selectNodeContents(walker.currentNode);
    const scale = element.ownerSVGElement ? element.getScreenCTM().a : 1;
    const size = { fontSize: `${parseFloat(style.fontSize) * scale}px`, fontWeight: style.fontWeight };
    add(element, size, element.ownerSVGElement ? style.fill : style.color, range.getClientRects(), data.trim());
  }
  for (const field of document.querySelectorAll(`${root} :is(select, input[type=text], input[type=search])`)) {
    if (!shown(field)) continue;
    const style = getComputedStyle(field);
    const { left, top, right, bottom } = field.getBoundingClientRect();
    const box = { left: left + 8, top: top + 7, right: right - 8, bottom: bottom - 7 };
    const colour = field.value ? style.color : getComputedStyle(field, "::placeholder").color;
    add(field, style, colour, [box], field.value || field.placeholder || "empty");
  }
  // any notation of a colour, as red, green, blue and alpha
  const brush = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  for (const text of found) {
    brush.clearRect(0, 0, 1, 1);
    brush.fillStyle = text.colour;
    brush.fillRect(0, 0, 1, 1);
    text.colour = [...brush.getImageData(0, 0, 1, 1).data];
  }
  return found;
}"""
_STILL = ".mlx * { transition: none !important; animation: none !important; caret-color: transparent !important; }"
_WITHOUT = """
.mlx, .mlx *, .mlx *::before, .mlx *::placeholder { -webkit-text-fill-color: transparent !important; }
.mlx svg text { fill: transparent !important; }
"""


@dataclass(frozen=True)
class Text:
    """A text with the contrast of its letters, and the least that it should have."""

    words: str
    what: str
    contrast: float
    least: float

    def __str__(self) -> str:
        return f"{self.words[:40]!r} in {self.what}: {self.contrast:.2f} : 1, {self.least:g} wanted"


def texts(page: Any, root: str = ".mlx-explorer") -> list[Text]:
    """All texts in the page's window, each in as many parts as it has lines."""
    letters = page.evaluate(_LETTERS, root)
    still = page.add_style_tag(content=_STILL)
    written = _photograph(page)
    style = page.add_style_tag(content=_WITHOUT)
    bare = _photograph(page)
    for tag in (style, still):
        tag.evaluate("style => style.remove()")
    near = ndimage.binary_dilation((written != bare).any(-1), iterations=1)
    return [_judged(letter, bare, near) for letter in letters]


def _photograph(page: Any) -> NDArray[np.float64]:
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"), np.float64)


def _judged(letter: dict[str, Any], bare: NDArray[np.float64], near: NDArray[np.bool_]) -> Text:
    left, top, right, bottom = (round(edge) for edge in letter["box"])
    place = slice(max(0, top), bottom), slice(max(0, left), right)
    behind = bare[place][near[place]]
    if not len(behind):
        return Text(letter["words"], letter["what"], 1.0, LEAST)
    alpha = letter["colour"][3] / 255 * letter["opacity"]
    ink = np.array(letter["colour"][:3]) * alpha + behind * (1 - alpha)
    large = letter["size"] >= 24 or (letter["bold"] and letter["size"] >= 18.66)
    contrasts = contrast(ink, behind)
    worst = float(np.quantile(contrasts, _SHARE))
    return Text(letter["words"], letter["what"], worst, LEAST_LARGE if large else LEAST)


def contrast(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The contrast of colours [..., 3] in 0..255, 1 to 21."""
    lighter, darker = np.maximum(_luminance(a), _luminance(b)), np.minimum(_luminance(a), _luminance(b))
    return np.asarray((lighter + 0.05) / (darker + 0.05))


def _luminance(colour: NDArray[np.float64]) -> NDArray[np.float64]:
    parts = colour / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ [0.2126, 0.7152, 0.0722])
