"""Models at addresses, from a server on this machine that behaves well and badly; nothing else is reached."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import mlexplorer as mle
from mlexplorer.errors import Cancelled, FileFormatError
from mlexplorer.formats.download import cache_folder, download, file_address, file_name
from tests.formats.models import network, write_package, zip_folder
from tests.web_server import Answer, Server, sends, serving

MODEL = network().SerializeToString()


def copies() -> list[str]:
    """The names of all files in the cache but for the records of headers."""
    return sorted(path.name for path in cache_folder().rglob("*") if path.is_file() and path.name != ".headers.json")


def test_a_model_is_loaded_from_its_address_and_its_copy_asked_for(server: Server) -> None:
    server.answers["/models/fc.mlmodel?raw=1"] = sends(MODEL, ETag='"first"')
    address = f"{server.address}/models/fc.mlmodel?raw=1"
    model = mle.load(address)
    assert model.spec.SerializeToString() == MODEL
    assert model.path is not None
    assert (model.path.name, copies()) == ("fc.mlmodel", ["fc.mlmodel"])

    def unchanged(handler: BaseHTTPRequestHandler) -> None:
        sends(b"", 304 if handler.headers["If-None-Match"] == '"first"' else 500, Content_Length=None)(handler)

    server.answers["/models/fc.mlmodel?raw=1"] = unchanged
    before = model.path.stat().st_mtime_ns
    assert download(address).stat().st_mtime_ns == before
    other = network("other").SerializeToString()
    server.answers["/models/fc.mlmodel?raw=1"] = sends(other, ETag='"second"')
    assert download(address).read_bytes() == other
    assert server.asked[-1]["If-None-Match"] == '"first"'


def test_a_package_comes_as_an_archive_without_a_length(server: Server, tmp_path: Path) -> None:
    archive = zip_folder(write_package(tmp_path / "fc.mlpackage", MODEL), tmp_path / "fc.zip")
    server.answers["/fc.zip"] = sends(archive.read_bytes(), Content_Length=None)
    server.answers["/latest"] = sends(b"", 302, Location="/fc.zip")
    assert mle.load(f"{server.address}/latest").spec.SerializeToString() == MODEL


def test_a_name_without_an_ending_is_asked_of_the_server(server: Server) -> None:
    server.answers["/get?id=5"] = sends(MODEL, Content_Disposition='attachment; filename="../../up.mlmodel"')
    assert download(f"{server.address}/get?id=5").name == "up.mlmodel"
    server.answers["/files/there.onnx"] = sends(MODEL)
    server.answers["/get?id=6"] = sends(b"", 302, Location="/files/there.onnx")
    assert download(f"{server.address}/get?id=6").name == "there.onnx"
    assert copies() == ["there.onnx", "up.mlmodel"]


def test_progress_is_in_bytes_and_cancel_is_heard_at_once(server: Server) -> None:
    def stalls(handler: BaseHTTPRequestHandler) -> None:
        sends(b"x" * 5000, Content_Length=9000)(handler)
        handler.wfile.flush()
        server.over.wait(20)

    server.answers["/slow.mlmodel"] = stalls
    told: list[tuple[str, int, int]] = []
    cancelled = threading.Event()

    def tell(*progress: Any) -> None:
        told.append(progress)
        cancelled.set()

    begun = time.monotonic()
    with pytest.raises(Cancelled):
        download(f"{server.address}/slow.mlmodel", progress=tell, cancelled=cancelled)
    assert told == [("slow.mlmodel", 5000, 9000)]
    assert time.monotonic() - begun < 2
    server.over.set()
    deadline = time.monotonic() + 5
    while copies() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert copies() == [], "what was written aside is removed"


def trickles(handler: BaseHTTPRequestHandler) -> None:
    sends(b"", Content_Length=9000)(handler)
    for _ in range(80):
        handler.wfile.write(b"x")
        time.sleep(0.05)


def endless(handler: BaseHTTPRequestHandler) -> None:
    sends(b"", Content_Length=None)(handler)
    for _ in range(200):
        handler.wfile.write(b"x" * 10_000)


FAULTS: dict[str, tuple[Answer, str]] = {
    "truncated": (sends(MODEL[:40], Content_Length=len(MODEL)), "broke off after 0.0 of 0.0 MB; try again"),
    "broken_chunks": (
        sends(b"20\r\nonly this\r\n", Transfer_Encoding="chunked", Content_Length=None),
        "broke off|cannot be reached",
    ),
    "endless": (endless, "larger than 1.0 MB, the most that is fetched here; download it in a browser"),
    "announced": (sends(b"", Content_Length=10**15), "larger than 1.0 MB"),
    "page": (sends(b"<!DOCTYPE html><html>Sign in</html>"), "is a web page, not a file; give the address of the file"),
    "zipped": (sends(b"\x1f\x8b", Content_Encoding="gzip"), "comes packed as 'gzip'"),
    "file": (sends(b"", 302, Location="file:///etc/passwd"), "leads elsewhere, which is not followed.*file:///etc"),
    "ftp": (sends(b"", 302, Location="ftp://127.0.0.1/x"), "leads elsewhere, which is not followed.*ftp://"),
    "loop": (sends(b"", 302, Location="/loop"), "leads elsewhere, which is not followed"),
    "login": (sends(b"", 403), "without a login .403.; download it in a browser and give its path"),
    "broken": (sends(b"", 503), "refuses .*503 Service Unavailable; try again later"),
    "missing.mlpackage": (sends(b"", 404), "nothing at .*404.: a .mlpackage is a folder, so give .* zip archive"),
    "slow": (trickles, "sent [0-9]+ bytes in 1 seconds; try again later"),
    "silent": (lambda _: time.sleep(3), "did not answer in 1 seconds"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_goes_wrong_is_told_and_leaves_nothing(server: Server, name: str) -> None:
    server.answers[f"/{name}"], words = FAULTS[name]
    with pytest.raises(FileFormatError, match=words) as raised:
        download(f"{server.address}/{name}", most_bytes=1_000_000, patience=1 if name in ("slow", "silent") else 30)
    assert server.address.removeprefix("http://") in str(raised.value)
    server.over.set()
    deadline = time.monotonic() + 5
    while copies() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert copies() == []


def test_a_copy_stays_when_the_next_transfer_breaks_off(server: Server) -> None:
    server.answers["/fc.mlmodel"] = sends(MODEL)
    path = download(f"{server.address}/fc.mlmodel")
    server.answers["/fc.mlmodel"] = sends(MODEL[:9], Content_Length=len(MODEL))
    with pytest.raises(FileFormatError, match="broke off"):
        download(f"{server.address}/fc.mlmodel")
    assert path.read_bytes() == MODEL


def test_servers_that_are_not_there_and_disks_that_are_full(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.close()
    with pytest.raises(FileFormatError, match=r"cannot be reached \(Connection refused\); check the address"):
        download(f"{server.address}/fc.mlmodel")
    with serving() as other:
        other.answers["/fc.mlmodel"] = sends(MODEL)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
        with pytest.raises(FileFormatError, match="for which there is no room in"):
            download(f"{other.address}/fc.mlmodel")
        monkeypatch.undo()
        monkeypatch.setenv("no_proxy", "*")
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        with pytest.raises(FileFormatError, match=r"fc.mlmodel cannot be written to .*XDG_CACHE_HOME"):
            download(f"{other.address}/fc.mlmodel")


def test_a_certificate_that_nobody_knows_is_not_trusted(server: Server, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=here -keyout key.pem -out certificate.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with serving(context) as secret, pytest.raises(FileFormatError, match=r"is not trusted .*self.signed.*SSL_CERT"):
        download(f"{secret.address}/fc.mlmodel")


@pytest.mark.parametrize(
    ("address", "file"),
    [
        ("https://github.com/o/r/blob/main/a/b.mlmodel", "https://github.com/o/r/raw/main/a/b.mlmodel"),
        ("https://huggingface.co/o/r/blob/main/b.zip", "https://huggingface.co/o/r/resolve/main/b.zip"),
        ("https://git.example/o/s/r/-/blob/v1/b.onnx", "https://git.example/o/s/r/-/raw/v1/b.onnx"),
        (" HTTPS://Server.Example:8080/a b/ü.mlmodel#x ", "https://server.example:8080/a%20b/%C3%BC.mlmodel"),
        ("http://bücher.example/m?a=b c", "http://xn--bcher-kva.example/m?a=b%20c"),
        ("http://[::1]:80/m%20n", "http://[::1]:80/m%20n"),
    ],
)
def test_addresses_of_pages_and_addresses_with_odd_characters(address: str, file: str) -> None:
    assert file_address(address) == file


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file:///etc/passwd", "only addresses with http or https are opened; download"),
        ("ftp://server/m.mlmodel", "only addresses with http or https"),
        ("https:///m.mlmodel", "names no server"),
        ("https://server:port/m.mlmodel", "is not an address"),
        ("https://me:secret@server/m.mlmodel", "the address on server has a user's name in it"),
    ],
)
def test_other_addresses_are_refused(address: str, words: str) -> None:
    with pytest.raises(FileFormatError, match=words) as raised:
        mle.load(address)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://s/a/m.mlmodel?x=/../y", "m.mlmodel"),
        ("https://s/a/..%2F..%2Fevil.mlmodel", "evil.mlmodel"),
        ("https://s/a/..", ""),
        ("https://s/a/..%5C.bashrc", "bashrc"),
        ("https://s/C:%00%0Aevil", "C___evil"),
        (f"https://s/{'m' * 300}.mlmodel", f"{'m' * 92}.mlmodel"),
        ("https://s/", ""),
    ],
)
def test_names_of_copies_lead_nowhere(address: str, name: str) -> None:
    assert file_name(address) == name
