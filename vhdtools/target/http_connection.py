"""One HTTP/1.1 connection that is kept alive: a request out, an answer in.

Answers are read by `http.client`. Requests are sent from here, a piece at a time: `http.client`
sends a whole body under one time-out, and eight workers that send 4 MiB each over 1 Mbit/s need
268 s for it. Here a time-out says how long nothing may move. Bodies are sent from the buffer they
are in, and an answer's body may be received into the buffer it is for.
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

from vhdtools.target.incoming import Incoming, read_body, read_head

__all__ = ["Answer", "Connection", "Timeouts"]

Buffer: TypeAlias = bytes | bytearray | memoryview

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
    """Status, headers in the order they came, and the body (empty if it went to a buffer).

    The headers describe the body as it is here: of one that came in chunks or compressed, the
    length is that of what was in it.
    """

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        """The first header called `name`, whatever its case."""
        return next(iter(self.all_of(name)), None)

    def all_of(self, name: str) -> list[str]:
        """The values of every header called `name`, whatever its case."""
        name = name.lower()
        return [value for key, value in self.headers if key.lower() == name]


class Connection:
    """A connected socket that speaks HTTP/1.1, for one thread at a time.

    Raises OSError (TimeoutError included) and http.client.HTTPException; the connection is of no
    use then, and must be closed.
    """

    __slots__ = ("_incoming", "_piece", "_socket", "_timeouts", "reusable")

    def __init__(self, connected: socket.socket, timeouts: Timeouts) -> None:
        self._socket = connected
        self._timeouts = timeouts
        self._incoming = Incoming(connected)
        # Without TLS, each send() takes what the system has room for: the more at once the better.
        self._piece = _TLS_PIECE if isinstance(connected, ssl.SSLSocket) else sys.maxsize
        self.reusable = True

    @property
    def socket(self) -> socket.socket:
        """The socket, for a tunnel to continue with."""
        return self._socket

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def is_stale(self) -> bool:
        """Whether the other side closed it, or sent something unasked, while it was idle."""
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
        return self._receive(method, into)

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
        response, headers = read_head(self._incoming, method)
        self._socket.settimeout(self._timeouts.stall)
        if response.status != 206:
            into = None
        if into is not None and response.length == len(into):
            self._incoming.read_into(into)
            body = b""
        else:
            size = None if into is None else len(into)
            body, headers = read_body(self._incoming, response, headers, size)
            if into is not None and len(body) == size:
                into[:], body = body, b""
        # What was not asked for must not be taken for the answer to the next request.
        if response.will_close or response.status == 101 or self._incoming.holds_more():
            self.reusable = False
        return Answer(response.status, response.reason, headers, body)
