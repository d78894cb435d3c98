"""What a discarding server answers to all requests but Put Page: just enough for the uploaders.

A blob is created, leased, given metadata and asked for its page ranges; nothing is checked. Page
ranges are those that `written` says were put.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from vhdtools.ranges import PageRange, coalesce

_ETAG = '"0x8DC0000000000000"'
_METADATA = "x-ms-meta-"


@dataclass(slots=True)
class _Blob:
    size: int
    metadata: dict[str, str] = field(default_factory=dict)


@contextmanager
def control_server(written: Callable[[], Iterable[PageRange]]) -> Iterator[int]:
    """Serve on a free port of the loopback interface, which is yielded."""
    blobs = dict[str, _Blob]()

    class Handler(_Handler):
        pass

    Handler.blobs, Handler.written = blobs, staticmethod(written)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    blobs: dict[str, _Blob]
    written: Callable[[], Iterable[PageRange]]

    def do_HEAD(self) -> None:
        blob = self.blobs.get(self._place)
        if blob is None:
            self._missing()
        else:
            self._answer(200, self._properties(blob), length=blob.size)

    def do_GET(self) -> None:
        blob = self.blobs.get(self._place)
        if blob is None:
            self._missing()
        elif self._query.get("comp") == ["pagelist"]:
            self._answer(200, self._properties(blob), self._page_list(blob))
        else:
            self._answer(200, self._properties(blob), length=0)

    def do_PUT(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self.rfile.read(length)
        what = self._query.get("comp", self._query.get("restype", [""]))[0]
        blob = self.blobs.get(self._place)
        if what == "":
            size = int(self.headers.get("x-ms-blob-content-length", "0"))
            self.blobs[self._place] = _Blob(size, self._metadata)
            self._answer(201)
        elif what == "container":
            self._answer(201)
        elif blob is None:
            self._missing()
        elif what == "lease":
            wanted = self.headers.get("x-ms-proposed-lease-id") or str(uuid.uuid4())
            new = self.headers.get("x-ms-lease-action") == "acquire"
            self._answer(201 if new else 200, {"x-ms-lease-id": wanted})
        else:
            if what == "metadata":
                blob.metadata = self._metadata
            self._answer(200)

    def do_DELETE(self) -> None:
        self.blobs.pop(self._place, None)
        self._answer(202)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""

    @property
    def _place(self) -> str:
        return urlsplit(self.path).path

    @property
    def _query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.path).query)

    @property
    def _metadata(self) -> dict[str, str]:
        pairs = ((name.lower(), value) for name, value in self.headers.items())
        return {name: value for name, value in pairs if name.startswith(_METADATA)}

    def _properties(self, blob: _Blob) -> dict[str, str]:
        return blob.metadata | {
            "x-ms-blob-type": "PageBlob",
            "x-ms-blob-content-length": str(blob.size),
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
        }

    def _page_list(self, blob: _Blob) -> bytes:
        start, end = 0, blob.size
        if asked := self.headers.get("x-ms-range") or self.headers.get("Range"):
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1 if last else end
        parts = [
            f"<PageRange><Start>{item.offset}</Start><End>{item.end - 1}</End></PageRange>"
            for item in coalesce(sorted(self.written(), key=lambda item: item.offset))
            if item.offset < end and item.end > start
        ]
        text = f'<?xml version="1.0" encoding="utf-8"?><PageList>{"".join(parts)}</PageList>'
        return text.encode()

    def _missing(self) -> None:
        self._answer(404, {"x-ms-error-code": "BlobNotFound"})

    def _answer(
        self,
        status: int,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        known = {
            "ETag": _ETAG,
            "Last-Modified": formatdate(usegmt=True),
            "x-ms-version": self.headers.get("x-ms-version", "2021-12-02"),
            "x-ms-request-id": str(uuid.uuid4()),
            "Content-Length": str(len(body) if length is None else length),
        }
        if body:
            known["Content-Type"] = "application/xml"
        for name, value in (known | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
