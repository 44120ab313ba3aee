"""Fixtures that every test may use; real models live beside the checkout and are never committed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web_server import Server, serving

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real models and photographs; tests skip where it is absent."""
    folder = SHARED / "corpus"
    if not folder.is_dir():
        pytest.skip("the corpus of real models is not beside this checkout")
    return folder


@pytest.fixture(scope="session")
def conformance() -> Path:
    """The folder of the plugin that runs coremltools' own tests; tests skip where it is absent."""
    folder = SHARED / "conformance"
    if not folder.is_dir():
        pytest.skip("the conformance plugin is not beside this checkout")
    return folder


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server on this machine; what is fetched from it is kept in the test's own folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "*")
    with serving() as server:
        yield server
