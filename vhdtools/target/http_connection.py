"""One HTTP/1.1 connection that is kept alive: a request out, an answer in.

Made for large bodies over lines of any speed. `http.client` gives a connection one time-out for
all it does, and sending a whole body counts as one thing: eight workers that send 4 MiB each over
1 Mbit/s need 268 s for it. Here a time-out says how long nothing may move. Buffers are sent from
where they are, and an answer's body may be received where it is wanted.
"""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Answer", "Connection", "Timeouts", "parse_head"]

Buffer: TypeAlias = bytes | bytearray | memoryview

_MAX_HEAD = 64 * 1024
_MAX_BODY = 256 * 1024 * 1024  # a list of page ranges, unpaged, of a very fragmented blob
_TLS_PIECE = 256 * 1024  # per send(): over TLS, a time-out covers a whole send()
_SMALL = 64 * 1024  # bodies up to here are copied behind the head, to go out as one packet
_EARLY_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait, in seconds, before a connection counts as broken.

    `connect`: for a connection to be made. `stall`: for anything to move, once it is. An answer
    may take longer by what its request would need at `slowest` bytes per second, because systems
    and proxies on the way take in a body faster than they pass it on; the default is what each
    of 8 workers has on a line of 1 Mbit/s.
    """

    connect: float = 20.0
    stall: float = 60.0
    slowest: int = 16 * 1000

    def answer(self, sent: int) -> float:
        """How long the answer to a request of `sent` bytes may take."""
        return self.stall + sent / self.slowest


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers in the order they came, and the body (empty if it went to a buffer)."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header called `name`, whatever its case."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)


class Connection:
    """A connected socket that speaks HTTP/1.1, for one thread at a time.

    Raises OSError (TimeoutError included) and http.client.HTTPException; the connection is of no
    use then, and must be closed.
    """

    __slots__ = ("_piece", "_received", "_socket", "_timeouts", "reusable")

    def __init__(self, connected: socket.socket, timeouts: Timeouts) -> None:
        self._socket = connected
        self._timeouts = timeouts
        self._received = bytearray()
        # Without TLS, each send() takes what the system has room for: the more at once the better.
        self._piece = _TLS_PIECE if isinstance(connected, ssl.SSLSocket) else sys.maxsize
        self.reusable = True

    @property
    def socket(self) -> socket.socket:
        """The socket, for a tunnel to go on with."""
        return self._socket

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def is_stale(self) -> bool:
        """Whether the other side closed it, or said something unasked, while it was idle."""
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        if hasattr(select, "poll"):
            waiting = select.poll()
            waiting.register(self._socket, select.POLLIN)
            return bool(waiting.poll(0))
        return bool(select.select([self._socket], [], [], 0)[0])

    def exchange(
        self, method: str, head: bytes, body: Buffer, into: memoryview | None = None
    ) -> Answer:
        """Send a request and receive the answer.

        `head` ends with the empty line. The body of a 206 of just that length is received into
        `into`; any other is in the answer.
        """
        try:
            self._send(head, memoryview(body))
        except OSError:
            # Refusals come before a body's end, and then the connection closes.
            self.reusable = False
            refusal = self._early_answer(method)
            if refusal is None or refusal.status < 400:
                raise
            return refusal
        self._socket.settimeout(self._timeouts.answer(len(body)))
        answer = self._receive(method, into)
        if self._received:
            self.reusable = False  # more than was asked for must not answer the next request
        return answer

    def _send(self, head: bytes, body: memoryview) -> None:
        self._socket.settimeout(self._timeouts.stall)
        first = min(len(body), _SMALL)
        self._send_all(memoryview(head + body[:first]) if first else memoryview(head))
        if first < len(body):
            self._send_all(body[first:])

    def _send_all(self, data: memoryview) -> None:
        sent = 0
        while sent < len(data):
            sent += self._socket.send(data[sent : sent + self._piece])

    def _early_answer(self, method: str) -> Answer | None:
        self._socket.settimeout(min(_EARLY_ANSWER_SECONDS, self._timeouts.stall))
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self._receive(method, None)
        return None

    def _receive(self, method: str, into: memoryview | None) -> Answer:
        while True:
            status, reason, headers = parse_head(self._receive_head())
            if status >= 200 or status == 101:
                break
        fields = {name.lower(): value.lower() for name, value in headers}
        if "close" in fields.get("connection", "") or status == 101:
            self.reusable = False
        self._socket.settimeout(self._timeouts.stall)
        answer = Answer(status, reason, headers, b"")
        if method == "HEAD" or status in (204, 304) or (method == "CONNECT" and status < 300):
            return answer
        if "chunked" in fields.get("transfer-encoding", ""):
            body = self._receive_chunks()
        elif "content-length" in fields:
            length = _length(fields["content-length"], 10)
            if into is not None and status == 206 and length == len(into):
                self._fill(into)
                return answer
            body = self._take(length)
        else:
            self.reusable = False
            body = self._receive_rest()
        return Answer(status, reason, headers, body)

    def _receive_head(self) -> bytes:
        return self._take_until(b"\r\n\r\n")

    def _receive_chunks(self) -> bytes:
        chunks = []
        while True:
            line = self._take_until(b"\r\n")
            length = _length(line.partition(b";")[0].decode("ascii", "replace").strip(), 16)
            if length == 0:
                break
            chunks.append(self._take(length))
            if self._take(2) != b"\r\n":
                raise http.client.HTTPException("a chunk does not end where it said")
        while self._take_until(b"\r\n"):
            pass  # trailers
        return b"".join(chunks)

    def _receive_rest(self) -> bytes:
        while self._receive_more():
            pass
        rest, self._received = bytes(self._received), bytearray()
        return rest

    def _take_until(self, mark: bytes) -> bytes:
        """What comes before `mark`, which is taken too."""
        while (end := self._received.find(mark)) < 0:
            if len(self._received) > _MAX_HEAD:
                raise http.client.LineTooLong("head of an answer")
            if not self._receive_more():
                if not self._received:
                    raise http.client.RemoteDisconnected("the connection closed without an answer")
                raise http.client.IncompleteRead(bytes(self._received))
        taken = bytes(self._received[:end])
        del self._received[: end + len(mark)]
        return taken

    def _take(self, length: int) -> bytes:
        if length <= len(self._received):
            taken = bytes(self._received[:length])
            del self._received[:length]
            return taken
        data = bytearray(length)
        self._fill(memoryview(data))
        return bytes(data)

    def _fill(self, buffer: memoryview) -> None:
        filled = min(len(buffer), len(self._received))
        buffer[:filled] = self._received[:filled]
        del self._received[:filled]
        while filled < len(buffer):
            count = self._socket.recv_into(buffer[filled:])
            if not count:
                raise http.client.IncompleteRead(bytes(buffer[:0]), len(buffer) - filled)
            filled += count

    def _receive_more(self) -> bool:
        data = self._socket.recv(_MAX_HEAD)
        self._received += data
        return bool(data)


def parse_head(head: bytes) -> tuple[int, str, list[tuple[str, str]]]:
    """Status, reason and headers of an answer's head, given without the empty line at its end.

    Raises http.client.BadStatusLine for anything but HTTP/1.x, http.client.HTTPException for
    a header without a colon.
    """
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or len(code) != 3 or not code.isdecimal():
        raise http.client.BadStatusLine(first[:80])
    headers = []
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name or name[0] in " \t":
            raise http.client.HTTPException(f"not a header: {line[:80]!r}")
        headers.append((name, value.strip(" \t")))
    return int(code), reason, headers


def _length(text: str, base: int) -> int:
    """A length in an answer: digits alone, and not more than memory should hold."""
    try:
        value = int(text, base) if text.isalnum() else -1
    except ValueError:
        value = -1
    if not 0 <= value <= _MAX_BODY:
        raise http.client.HTTPException(f"not a length: {text[:80]!r}")
    return value
