from __future__ import annotations

from mlexplorer.exploration import rows as every_row
from mlexplorer.views.curve import Curve
from tests.painter import painter, photo
from tests.views.page import Page


def test_every_depth_has_a_size_and_a_quality_without_its_picture() -> None:
    rows = list(every_row(painter(), photo(), bits=[2, 6]))
    page = Page(Curve(rows))
    contents = page.say(type="ready")
    assert [content["nbytes"] for content in contents if content["stage"] == "size"] == [row.nbytes for row in rows[:5]]
    full = [content for content in contents if content["stage"] == "full"]
    assert [(content["scheme"], content["bits"]) for content in full] == [row.key for row in rows[-5:]]
    assert all(buffers == [] for _, buffers in page.received)
    assert len(contents) == 10, "coarse qualities were replaced"
