"""The report is one file of everything that is needed, and of nothing that could run by itself."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mlexplorer as mle
from mlexplorer.errors import InputError
from mlexplorer.views.explorer import Explorer
from tests.browser.models import swish_model
from tests.painter import deep_painter, photo

SECONDS = 120
HOSTILE = "</script><script>alert(1)</script><!--"


@pytest.fixture(scope="module")
def explorer() -> Iterator[Explorer]:
    model = deep_painter()
    model.path = Path(f"{HOSTILE}.mlmodel".replace("/", "\u2215"))
    explorer = Explorer(model, [photo(), photo(seed=4)])
    assert explorer.wait(SECONDS)
    yield explorer
    explorer.close()


@pytest.fixture(scope="module")
def page(explorer: Explorer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return explorer.to_html(tmp_path_factory.mktemp("report") / "report.html").read_text("utf-8")


def data(page: str) -> Any:
    found = re.search(r'<script type="text/plain" id="mlx-data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(zlib.decompress(base64.b64decode(found[1], validate=True)))


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    assert not re.findall(
        r"\bimport\b\s*[({'\"]|<link\b|\bsrc\s*=\s*['\"]?\w+:|@import|https?://(?!www\.w3\.org/)", page
    )
    assert "default-src 'none'" in page
    assert len(re.findall(r"<script\b", page)) == 2
    assert page.count("</script>") == 2


def test_it_holds_the_rows_and_the_choice(page: str, explorer: Explorer) -> None:
    views = data(page)["views"]
    assert set(views) == {"controls", "graph", "preview", "curve", "histogram", "choosing"}
    assert {view["traits"]["scheme"] for view in views.values()} == {"lookup_table"}
    rows = [content for content, _ in views["curve"]["messages"] if content["type"] == "row"]
    known = {(r.scheme, r.bits): r.quality for r in explorer.results if r.image == 0 and r.stage == "full"}
    told = {(row["scheme"], row["bits"]): row["quality"] for row in rows if row["stage"] == "full"}
    assert told == {key: None if quality == float("inf") else quality for key, quality in known.items()}
    (model,) = [content for content, _ in views["controls"]["messages"] if content["type"] == "model"]
    assert model["saves"] is False, "there is no kernel that could save"


def test_only_pictures_whose_depths_are_all_there_are_offered(page: str, explorer: Explorer) -> None:
    messages = data(page)["views"]["preview"]["messages"]
    ((inputs, thumbnails),) = [message for message in messages if message[0]["type"] == "inputs"]
    assert len(inputs["names"]) == len(thumbnails) == 1
    assert {content["image"] for content, _ in messages if content["type"] == "row"} == {0}
    explorer.image = 1
    assert explorer.wait(SECONDS)


def test_why_there_are_no_outputs_is_in_it(tmp_path: Path) -> None:
    explorer = Explorer(swish_model(), [photo(64, 48)])
    explorer.wait(SECONDS)
    views = data(explorer.to_html(tmp_path / "swish.html").read_text("utf-8"))["views"]
    explorer.close()
    told = [content for content, _ in views["controls"]["messages"] if content["type"] == "progress"]
    assert [(content["state"], "'Swish'" in content["text"]) for content in told] == [("failed", True)]


def test_with_all_pictures_computed_all_are_in_it(explorer: Explorer, tmp_path: Path) -> None:
    explorer.image = 1
    assert explorer.wait(SECONDS)
    told = data(explorer.to_html(tmp_path / "both.html").read_text("utf-8"))["views"]["preview"]
    assert told["traits"]["image"] == 1
    assert {content["image"] for content, _ in told["messages"] if content["type"] == "row"} == {0, 1}


def test_a_folder_that_is_not_there_is_an_error(explorer: Explorer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        explorer.to_html(tmp_path / "nowhere" / "report.html")


def test_the_bundled_model_makes_a_report_below_three_megabytes(tmp_path: Path) -> None:
    explorer = Explorer(mle.samples.style(), mle.samples.photos()[:1])
    try:
        assert explorer.to_html(tmp_path / "report.html").stat().st_size < 3_000_000
    finally:
        explorer.close()
