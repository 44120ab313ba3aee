"""The explorer as one file of HTML: what the views have shown, with their own modules, and no kernel."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from mlexplorer.views.page_code import static, styles, views_source
from mlexplorer.views.view import View

LINKED = ("bits", "scheme", "layer", "image", "teach")
_LEFT_OUT = ("progress", "working", "offer", "said", "forget_pictures")
"""Messages about a computation that is not there, and about files of whoever made the report."""
_ABILITIES = ("saves", "calibrates", "finds", "edits", "asks")
"""What a view offers only where a kernel answers."""
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src 'none'; "
    "connect-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""The page loads nothing from anywhere, whatever the names in a model file may say."""


def report(
    views: Mapping[str, View],
    *,
    title: str,
    about: str,
    traits: Mapping[str, Any],
    images: Sequence[int],
    without: Sequence[str] = (),
) -> str:
    """A self-contained page with these views, linked, in the explorer's areas of the same names.

    `traits` are those that the views share; of the pictures only `images` are in it, by index; what has the class of a
    scheme in `without` is hidden.
    """
    shared = {**traits, "image": images.index(traits["image"])}
    recorded = {
        name: {"traits": {**view.shown_state(), **shared}, "messages": _messages(view, images)}
        for name, view in views.items()
    }
    data = {"views": recorded}
    screen = ' class="mlx-screen"' if len(views) > 1 else ""
    areas = "".join(f'<div class="mlx-area-{name}" data-view="{name}"></div>' for name in views)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>
{styles()}
{static("report.css")}
</style>
</head>
<body>
<main>
<header><h1>{escape(title)}</h1><p>{escape(about)}</p></header>
<div class="mlx-explorer" data-without="{" ".join(without)}"><div{screen}>{areas}</div></div>
<footer><p>Made with mlexplorer. Everything in this file was computed before; no model is in it.</p></footer>
</main>
<script type="text/plain" id="mlx-data">{_packed(data)}</script>
<script type="module">
const modules = {views_source()};
{static("report.js")}
</script>
</body>
</html>
"""


def _messages(view: View, images: Sequence[int]) -> list[Any]:
    """The messages to replay, as JSON and base64: of these pictures, and without what only a kernel can do."""
    messages = []
    for content, buffers in view.recorded():
        kind = content.get("type")
        says_why = kind == "progress" and content["state"] == "failed"  # there are no outputs
        if (kind in _LEFT_OUT and not says_why) or content.get("image", images[0]) not in images:
            continue
        if "image" in content:
            content = {**content, "image": images.index(content["image"])}
        if kind == "inputs":
            content = {**content, "names": [content["names"][index] for index in images]}
            buffers = [buffers[index] for index in images]
        content = {**content, **{name: False for name in _ABILITIES if name in content}}
        messages.append([_finite(content), [base64.b64encode(buffer).decode() for buffer in buffers]])
    return messages


def _finite(value: Any) -> Any:
    """JSON has no number for NaN and infinity; a page takes them for what is not there."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def _packed(data: Any) -> str:
    """JSON, deflated, as base64: a third of it, and nothing that could end the script element that it stands in."""
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()
