"""A bare client: page writes over as many connections, and nothing else.

What `push` takes, from memory, is the limit of any client in this language: no reading, no zero
test, no checksum, no retries, no signing, one system call to send a request and one to receive the
answer. `push_file` reads and digests what it sends, which no client is spared.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar
from urllib.parse import urlsplit

from vhdtools.checksums import crc64, crc64_base64
from vhdtools.image.buffer import page_buffer
from vhdtools.ranges import PageRange

T = TypeVar("T")

_Request: TypeAlias = tuple[bytes, bytes | memoryview]
"""A head, and the body that follows it."""

_API_VERSION = "2021-12-02"
_SMALL = 64 * 1024
_MOST_TRIES = 1000


@dataclass(frozen=True, slots=True)
class Write:
    """One request: *data* at *offset*, with its CRC-64."""

    offset: int
    data: bytes
    crc64: int


class PushError(RuntimeError):
    """The service did not take a request."""


def push(writes: Sequence[Write], url: str, connections: int, ca_file: Path | None = None) -> float:
    """Send *writes* to the blob at *url* (with its SAS); the seconds from first to last byte."""
    requests: list[_Request] = [
        (_head(url, PageRange(write.offset, len(write.data)), write.crc64), write.data)
        for write in writes
    ]
    return _push(requests, lambda: lambda request: request, url, connections, ca_file)


def push_file(
    path: Path,
    places: Sequence[PageRange],
    url: str,
    connections: int,
    ca_file: Path | None = None,
) -> float:
    """Send what the file holds at *places* (4 MiB each at the most) to the same places in the blob.

    Returns the seconds from first to last byte. Each connection has one buffer.
    """

    def reader() -> Callable[[PageRange], _Request]:
        buffer = page_buffer(max(place.length for place in places))

        def read(place: PageRange) -> _Request:
            view = buffer[: place.length]
            if os.preadv(descriptor, [view], place.offset) != place.length:
                raise PushError(f"{path} was not read as a whole")
            return _head(url, place, crc64(view)), view

        return read

    descriptor = os.open(path, os.O_RDONLY)
    try:
        return _push(places, reader, url, connections, ca_file)
    finally:
        os.close(descriptor)


def _push(
    items: Iterable[T],
    preparer: Callable[[], Callable[[T], _Request]],
    url: str,
    connections: int,
    ca_file: Path | None,
) -> float:
    """Make requests of *items*, by a function of each connection's own, and send them."""
    pending = iter(items)
    lock = threading.Lock()
    failures = list[Exception]()

    def work() -> None:
        try:
            prepare = preparer()
            with _connect(url, ca_file) as connection:
                while True:
                    with lock:
                        item = next(pending, None)
                    if item is None:
                        return
                    _send(connection, *prepare(item))
        except Exception as error:  # noqa: BLE001 (raised below)
            failures.append(error)

    workers = [threading.Thread(target=work) for _ in range(connections)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    taken = time.perf_counter() - started
    if failures:
        raise failures[0]
    return taken


def _head(url: str, place: PageRange, crc: int) -> bytes:
    parts = urlsplit(url)
    query = "&".join(filter(None, ("comp=page", parts.query)))
    return (
        f"PUT {parts.path}?{query} HTTP/1.1\r\n"
        f"Host: {parts.netloc}\r\n"
        f"Content-Length: {place.length}\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"x-ms-version: {_API_VERSION}\r\n"
        "x-ms-page-write: update\r\n"
        f"x-ms-range: bytes={place.offset}-{place.end - 1}\r\n"
        f"x-ms-content-crc64: {crc64_base64(crc)}\r\n"
        "\r\n"
    ).encode("ascii")


def _connect(url: str, ca_file: Path | None) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 0))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=ca_file)
        return context.wrap_socket(connection, server_hostname=parts.hostname)
    return connection


def _send(connection: socket.socket, head: bytes, body: bytes | memoryview) -> None:
    """Send one request until it is taken: a service that is busy says so with 503."""
    for _ in range(_MOST_TRIES):
        if len(body) <= _SMALL:
            connection.sendall(b"".join((head, body)))
        else:
            connection.sendall(head)
            connection.sendall(body)
        answer = _receive(connection)
        if answer.startswith(b"HTTP/1.1 201"):
            return
        if not answer.startswith(b"HTTP/1.1 503"):
            raise PushError(answer.decode("latin-1"))
        time.sleep(0.02)
    raise PushError(f"still busy after {_MOST_TRIES} tries")


def _receive(connection: socket.socket) -> bytes:
    """The answer's head; its body is read and dropped."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = connection.recv(16384)
        if not piece:
            raise PushError(f"connection closed after {answer!r}")
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"transfer-encoding":
            raise PushError("a chunked answer, which this client does not read")
    while len(body) < length:
        body += connection.recv(length - len(body))
    return head
