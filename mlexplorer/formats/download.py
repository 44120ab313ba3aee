"""Files at addresses: fetched in pieces, aside, into a folder of copies; nothing but http and https is opened."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import re
import shutil
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib import request
from urllib.error import HTTPError, URLError
from urllib.parse import SplitResult, quote, unquote, urlsplit

from mlexplorer.errors import Cancelled, FileFormatError, MlexplorerError
from mlexplorer.formats import copies
from mlexplorer.formats.atomic import write_file
from mlexplorer.formats.diagnosis import is_web_page
from mlexplorer.progress import Progress

MOST_BYTES = 4_000_000_000
"""What is larger is refused: it should be fetched by other means, once."""
PATIENCE = 30.0
"""Seconds in which a server has to answer, and in which SLOWEST is to be kept."""
SLOWEST = 1_000
"""Bytes per second: a slower transfer is given up."""
_PIECE = 1 << 16
_POLL = 0.05
_LONGEST_NAME = 100
_HEADERS = ".headers.json"
_PAGES = (
    (re.compile(r"^https://(?:www\.)?github\.com/([^/]+/[^/]+)/blob/"), r"https://github.com/\1/raw/"),
    (re.compile(r"^https://huggingface\.co/(.+?)/blob/"), r"https://huggingface.co/\1/resolve/"),
    (re.compile(r"^(https?://.+?)/-/blob/"), r"\1/-/raw/"),
)
"""The pages about files of GitHub, Hugging Face and GitLab, and where the files themselves are."""
_ELSEWHERE = "download it in a browser and give its path"


def file_address(address: str) -> str:
    """The address of the file itself, where `address` is that of GitHub's, GitLab's or Hugging Face's page about it.

    Characters that an address must not have are quoted. Raises FileFormatError for what is no http or https address.
    """
    text = address.strip()
    try:
        parts = urlsplit(text)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError as error:
        raise FileFormatError(f"{text} is not an address: {error}") from error
    if parts.scheme.lower() not in ("http", "https"):
        raise FileFormatError(f"{text}: only addresses with http or https are opened; {_ELSEWHERE}")
    if not host:
        raise FileFormatError(f"{text} names no server; give an address like https://server/folder/model.mlmodel")
    if parts.username is not None:
        raise FileFormatError(f"the address on {host} has a user's name in it and is not opened; {_ELSEWHERE}")
    host = f"[{host}]" if ":" in host else host
    place = f"{host}:{port}" if port else host
    path, query = quote(parts.path, safe="/%:@!$&'()*+,;=~"), quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    found = SplitResult(parts.scheme.lower(), place, path, query, "").geturl()
    for page, file in _PAGES:
        found = page.sub(file, found)
    return found


def file_name(address: str) -> str:
    """A safe name for the file at an address: the last part of its path without what could lead elsewhere."""
    return _safe_name(unquote(urlsplit(address).path.rstrip("/")))


def _safe_name(path: str) -> str:
    last = re.split(r"[/\\]", path)[-1]
    name = re.sub(r'[\x00-\x1f\x7f<>:"|?*]', "_", last).strip(" .")
    stem, suffix = os.path.splitext(name)
    return stem[: _LONGEST_NAME - len(suffix)] + suffix if 0 < len(suffix) < _LONGEST_NAME else name[:_LONGEST_NAME]


def cache_folder() -> Path:
    """The folder in the user's cache for what can be fetched or made again; copies of files are in `downloads`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlexplorer"


def downloaded_from(path: Path) -> str | None:
    """The address that a copy was fetched from; None for other files."""
    if path.parent.parent != cache_folder() / "downloads":
        return None
    try:
        address = json.loads((path.parent / _HEADERS).read_text("utf-8"))["address"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return address if isinstance(address, str) else None


def download(
    address: str,
    *,
    progress: Progress | None = None,
    cancelled: threading.Event | None = None,
    most_bytes: int = MOST_BYTES,
    patience: float = PATIENCE,
) -> Path:
    """The path of a copy of the file at an address, in `cache_folder()`, which `copies.tidy` keeps bounded.

    The server is asked whether the copy of an earlier call is still what it has; else the file is fetched aside and
    put in the copy's place once it is whole. `progress` gets the name, the bytes so far, and of how many, 0 where the
    server does not say. Redirections are followed to http and https only.

    Raises FileFormatError, which names the address and says what to do, where the file is not there, is a web page or
    larger than `most_bytes`, where its server does not answer within `patience` seconds or sends less than 1 kB/s for
    as long, and where the transfer breaks off; Cancelled within a tenth of a second once `cancelled` is set.
    """
    transfer = _Transfer(address.strip(), file_address(address), most_bytes, patience)
    threading.Thread(target=transfer.run, name="mlexplorer download", daemon=True).start()
    try:
        transfer.watch(progress, cancelled)
    finally:
        transfer.stopped.set()
    return transfer.result()


class _Transfer:
    """One download in a thread of its own, so that nothing that blocks, a name's look-up say, holds up who waits."""

    def __init__(self, given: str, address: str, most_bytes: int, patience: float) -> None:
        self.stopped = threading.Event()
        self._given, self._address = given, address
        self._most_bytes, self._patience = most_bytes, patience
        self._host = urlsplit(address).netloc
        self._name = file_name(address) or "model"
        self._folder = cache_folder() / "downloads" / hashlib.sha256(address.encode()).hexdigest()[:16]
        self._received = self._total = 0
        self._finished = threading.Event()
        self._path: Path | None = None
        self._error: MlexplorerError | None = None

    def run(self) -> None:
        """Fetch the file."""
        try:
            self._path = self._fetch()
        except MlexplorerError as error:
            self._error = error
        except OSError as error:
            self._error = FileFormatError(
                f"{self._name} cannot be written to {self._folder}: {error.strerror or error}; make room, or choose "
                "another place by the environment's XDG_CACHE_HOME"
            )
        finally:
            self._finished.set()

    def watch(self, progress: Progress | None, cancelled: threading.Event | None) -> None:
        """Wait for the end, tell how far it is, and give up what is too slow."""
        since, before = time.monotonic(), 0
        while not self._finished.wait(_POLL):
            if cancelled is not None and cancelled.is_set():
                raise Cancelled("the download was cancelled")
            now = time.monotonic()
            if now - since > self._patience:
                if self._received - before < SLOWEST * self._patience:
                    raise FileFormatError(self._too_slow(self._received - before))
                since, before = now, self._received
            if progress is not None and self._received:
                progress(self._name, self._received, self._total)

    def result(self) -> Path:
        """The path of the copy; raises what went wrong."""
        if self._error is not None:
            raise self._error
        assert self._path is not None
        return self._path

    def _fetch(self) -> Path:
        copies.open_copy(self._folder)
        copy, conditions = self._copy()
        asked = request.Request(self._address, headers={"User-Agent": "mlexplorer", **conditions})
        try:
            with _opener().open(asked, timeout=self._patience) as response:
                path = self._folder / self._named(response)
                write_file(path, self._pieces(response))
                self._remember(path, response.headers)
                copies.tidy(self._folder.parent)
                return path
        except HTTPError as error:
            with error:
                if error.code == http.client.NOT_MODIFIED and copy is not None:
                    return copy if copy.exists() else self._fetch()  # another process has just removed it
                raise FileFormatError(self._refused(error)) from error
        except URLError as error:
            raise FileFormatError(self._unreachable(error.reason)) from error
        except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise FileFormatError(self._unreachable(error)) from error

    def _named(self, response: Any) -> str:
        """The name of the copy, with an ending if one can be had: of the address, else what the server calls it."""
        names = (self._name, _safe_name(response.headers.get_filename() or ""), file_name(response.url))
        return next((name for name in names if os.path.splitext(name)[1]), self._name)

    def _pieces(self, response: Any) -> Iterator[bytes]:
        """What comes, as it comes; raises FileFormatError where it is not all, or too much, or a page."""
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding not in ("identity", ""):
            raise FileFormatError(f"{self._given} comes packed as {encoding!r}, which was not asked for; {_ELSEWHERE}")
        self._total = int(response.length or 0)
        self._require_room(self._total)
        while not self.stopped.is_set():
            try:
                piece = response.read1(_PIECE)
            except (http.client.HTTPException, OSError, ValueError) as error:
                raise FileFormatError(self._broken_off()) from error
            if not piece:
                if self._received < self._total:
                    raise FileFormatError(self._broken_off())
                return
            if not self._received and is_web_page(piece):
                raise FileFormatError(f"{self._given} is a web page, not a file{self._advice()}")
            self._received += len(piece)
            self._require_room(self._received)
            yield piece
        raise Cancelled("the download was cancelled")

    def _require_room(self, nbytes: int) -> None:
        if nbytes > self._most_bytes:
            raise FileFormatError(
                f"{self._given} is larger than {_megabytes(self._most_bytes)} MB, the most that is fetched here; "
                f"{_ELSEWHERE}"
            )
        missing = self._total - self._received - shutil.disk_usage(self._folder).free
        if missing > 0:
            raise FileFormatError(
                f"{self._given} has {_megabytes(self._total)} MB, for which there is no room in {self._folder}; make "
                "room, or choose another place by the environment's XDG_CACHE_HOME"
            )

    def _copy(self) -> tuple[Path | None, dict[str, str]]:
        """The copy that is there, and the headers that ask whether it is still good."""
        try:
            known = json.loads((self._folder / _HEADERS).read_text("utf-8"))
            path = self._folder / str(known["name"])
            if path.name != known["name"] or path.stat().st_size != known["size"]:
                return None, {}
        except (OSError, ValueError, KeyError, TypeError):
            return None, {}
        asking = (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified"))
        return path, {name: str(known[header]) for name, header in asking if known.get(header)}

    def _remember(self, path: Path, headers: Any) -> None:
        known = {header: headers.get(header) for header in ("ETag", "Last-Modified")}
        text = json.dumps({**known, "name": path.name, "size": path.stat().st_size, "address": self._address})
        write_file(self._folder / _HEADERS, [text.encode()])

    def _refused(self, error: HTTPError) -> str:
        if error.code in (http.client.NOT_FOUND, http.client.GONE):
            return f"there is nothing at {self._given} ({error.code}){self._advice()}"
        if error.code in (http.client.UNAUTHORIZED, http.client.FORBIDDEN):
            return f"{self._host} does not give {self._given} without a login ({error.code}); {_ELSEWHERE}"
        if 300 <= error.code < 400:
            return f"{self._given} leads elsewhere, which is not followed: {error.reason}; {_ELSEWHERE}"
        return f"{self._host} refuses {self._given}: {error.code} {error.reason}; try again later, or {_ELSEWHERE}"

    def _advice(self) -> str:
        if self._name.endswith(".mlpackage"):
            return ": a .mlpackage is a folder, so give the address of a zip archive of it"
        return "; give the address of the file itself (of the button that says Raw or Download), and check it"

    def _unreachable(self, reason: Any) -> str:
        if isinstance(reason, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {self._host} is not trusted ({reason.verify_message}); where your network has a "
                "certificate of its own, name its file in the environment's SSL_CERT_FILE"
            )
        if isinstance(reason, TimeoutError):
            return self._too_slow(0)
        said = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        return f"{self._host} cannot be reached ({said}); check the address and the network"

    def _too_slow(self, received: int) -> str:
        sent = f"sent {received:,} bytes" if received else "sent nothing" if self._received else "did not answer"
        return f"{self._host} {sent} in {self._patience:g} seconds; try again later, or {_ELSEWHERE}"

    def _broken_off(self) -> str:
        of = f" of {_megabytes(self._total)}" if self._total else ""
        return f"the transfer of {self._given} broke off after {_megabytes(self._received)}{of} MB; try again"


class _Redirections(request.HTTPRedirectHandler):
    """Follows to http and https only: urllib itself would go on to ftp."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        if urlsplit(newurl).scheme.lower() not in ("http", "https"):
            raise HTTPError(req.full_url, code, f"to {newurl}", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> request.OpenerDirector:
    """What opens http and https, through the environment's proxies, and nothing else: no files, no ftp, no data."""
    opener = request.OpenerDirector()
    for handler in (
        request.ProxyHandler(),
        request.UnknownHandler(),
        request.HTTPHandler(),
        request.HTTPSHandler(context=ssl.create_default_context()),
        request.HTTPDefaultErrorHandler(),
        _Redirections(),
        request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.1f}"
