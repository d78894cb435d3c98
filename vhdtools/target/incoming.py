"""Reading HTTP/1 answers, whoever they come from: heads by `http.client`, bodies by their framing.

`http.client` accepts what servers send by mistake: a head that breaks off, a header without a
colon, a length that is not a number, a body cut short. An answer may mean that data is safe, so
these are errors here, and nothing is received without a bound. What proxies change on the way is
read: bodies in chunks, compressed ones, interim answers (RFC 9110, 9112).
"""

from __future__ import annotations

import http.client
import io
import socket
import zlib
from email import errors as defects
from typing import TypeAlias

__all__ = ["Headers", "Incoming", "read_body", "read_head"]

Headers: TypeAlias = list[tuple[str, str]]

_MAX_HEAD = 64 * 1024  # with the interim answers before it
_MAX_BODY = 256 * 1024 * 1024  # a list of page ranges, unpaged, of a very fragmented blob
_BUFFER = 64 * 1024
_GZIP_OR_ZLIB = zlib.MAX_WBITS + 32  # zlib finds out which
_CODINGS = {"gzip", "x-gzip", "deflate"}
_NOT_HEADERS = (
    defects.FirstHeaderLineIsContinuationDefect,
    defects.InvalidHeaderDefect,
    defects.MisplacedEnvelopeHeaderDefect,
    defects.MissingHeaderBodySeparatorDefect,
)


class _Socket(io.RawIOBase):
    """A socket's bytes; while `paused`, none."""

    def __init__(self, connected: socket.socket) -> None:
        self._receive = connected.recv_into
        self.paused = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]
        return None if self.paused else self._receive(buffer)


class Incoming:
    """What a connection receives: a line, a number of bytes, or all up to its end.

    No more is given out than was allowed, and lines and bodies that break off are errors
    (http.client.HTTPException). It does as the socket of an `http.client.HTTPResponse`.
    """

    def __init__(self, connected: socket.socket) -> None:
        self._socket = _Socket(connected)
        self._reader = io.BufferedReader(self._socket, _BUFFER)
        self._left = 0

    def allow(self, count: int) -> None:
        """Give out `count` bytes from now on."""
        self._left = count

    def readline(self, limit: int = -1) -> bytes:
        """A line with its end, or its first `limit` bytes."""
        line = self._reader.readline(self._left + 1 if limit < 0 else min(limit, self._left + 1))
        self._take(len(line))
        if not line.endswith(b"\n") and len(line) != limit:
            raise http.client.IncompleteRead(line)
        return line

    def read(self, count: int) -> bytes:
        """Just `count` bytes."""
        self._take(count)
        data = self._reader.read(count)
        if len(data) < count:
            raise http.client.IncompleteRead(b"", count - len(data))
        return data

    def read_into(self, buffer: memoryview) -> None:
        """Just the bytes that `buffer` has room for, however many are allowed."""
        count = self._reader.readinto(buffer)
        if count < len(buffer):
            raise http.client.IncompleteRead(b"", len(buffer) - count)

    def read_rest(self) -> bytes:
        """All up to the connection's end."""
        data = self._reader.read(self._left + 1)
        self._take(len(data))
        return data

    def holds_more(self) -> bool:
        """Whether bytes that nobody took were received already."""
        self._socket.paused = True
        try:
            return bool(self._reader.peek(1))
        finally:
            self._socket.paused = False

    def makefile(self, mode: str) -> Incoming:
        """Itself, for `http.client`."""
        return self

    def close(self) -> None:
        """Nothing: `http.client` closes what it read an answer from, and the next comes here."""

    def _take(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise http.client.HTTPException("it is larger than any answer of the service")


def read_head(incoming: Incoming, method: str) -> tuple[http.client.HTTPResponse, Headers]:
    """The final answer to a `method` request, its body unread; interim answers are skipped.

    Its `length` is 0 where it has no body, and None where the connection's end is the body's.
    """
    incoming.allow(_MAX_HEAD)
    while True:
        response = http.client.HTTPResponse(incoming, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
        except http.client.IncompleteRead as error:
            if error.partial:
                raise
            raise http.client.RemoteDisconnected("closed without an answer") from None
        if response.status >= 200 or response.status == 101:
            break
    for defect in response.msg.defects:
        if isinstance(defect, _NOT_HEADERS):
            raise http.client.HTTPException("a line among its headers is none")
    # A folded line counts as one blank (RFC 9112, 5.2).
    headers = [
        (name, " ".join(part.strip(" \t") for part in value.split("\r\n")))
        for name, value in response.msg.items()
    ]
    lengths = {value for name, value in headers if name.lower() == "content-length"}
    if len(lengths) > 1 or not all(text.isascii() and text.isdecimal() for text in lengths):
        raise http.client.HTTPException("its length is not a number")
    coding = response.msg.get("transfer-encoding", "identity").lower()
    if not response.chunked and coding != "identity":
        raise http.client.HTTPException("it comes in an unknown transfer coding")
    if method == "CONNECT" and 200 <= response.status < 300:
        response.length = 0  # a tunnel follows
    if response.length == 0:
        response.chunked = False
    return response, headers


def read_body(
    incoming: Incoming,
    response: http.client.HTTPResponse,
    headers: Headers,
    size: int | None,
    most: int = _MAX_BODY,
) -> tuple[bytes, Headers]:
    """The body as it was before it was cut into chunks and compressed, and headers that fit it.

    A body of just `size` bytes is never unpacked: a blob's own Content-Encoding says nothing of
    what was done on the way. More than `most` bytes are an error.
    """
    incoming.allow(most)
    if response.chunked:
        body = b"".join(_chunks(incoming))
    elif response.length is None:
        body = incoming.read_rest()
    else:
        body = incoming.read(response.length)
    coding = next((value for name, value in headers if name.lower() == "content-encoding"), "")
    packed = bool(body) and len(body) != size and coding.lower() in _CODINGS
    if packed:
        body = _unpacked(body, most)
    if not packed and not response.chunked:
        return body, headers
    gone = {"content-length", "transfer-encoding"} | ({"content-encoding"} if packed else set())
    headers = [(name, value) for name, value in headers if name.lower() not in gone]
    return body, [*headers, ("Content-Length", str(len(body)))]


def _chunks(incoming: Incoming) -> list[bytes]:
    """RFC 9112, 7.1; extensions and trailers mean nothing to us."""
    chunks = []
    while size := _chunk_size(incoming.readline()):
        chunks.append(incoming.read(size))
        if incoming.readline() not in (b"\r\n", b"\n"):
            raise http.client.HTTPException("a chunk of it does not end where it should")
    while incoming.readline() not in (b"\r\n", b"\n"):
        pass
    return chunks


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or digits.strip(b"0123456789abcdefABCDEF"):
        raise http.client.HTTPException("a chunk of it has no length")
    return int(digits, 16)


def _unpacked(body: bytes, most: int) -> bytes:
    """What is in a gzip or zlib stream, or in several, one behind the other."""
    parts = []
    left = most
    try:
        while body:
            stream = zlib.decompressobj(_GZIP_OR_ZLIB)
            parts.append(stream.decompress(body, left + 1))  # 0 would be without a bound
            left -= len(parts[-1])
            if left < 0 or not stream.eof:
                raise http.client.HTTPException("its compressed body breaks off, or is too large")
            body = stream.unused_data
    except zlib.error:
        raise http.client.HTTPException("its compressed body cannot be read") from None
    return b"".join(parts)
