"""HTTP/1.1 as our connections speak it, against what servers may do to them."""

from __future__ import annotations

import contextlib
import http.client
import io
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.target.http_connection import Connection, Timeouts, parse_head

QUICK = Timeouts(connect=5, stall=0.3, slowest=1 << 40)
HEAD = b"PUT /c/b HTTP/1.1\r\nHost: x\r\n\r\n"


@contextlib.contextmanager
def talking_to(*answers: bytes, close: bool = True) -> Iterator[Connection]:
    """A connection to a server that says `answers`, one for each request, and then closes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            for answer in answers:
                theirs.recv(1 << 20)
                theirs.sendall(answer)
            if not close:
                theirs.settimeout(5)
                with contextlib.suppress(OSError):
                    while theirs.recv(1 << 16):
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    connection = Connection(ours, QUICK)
    try:
        yield connection
    finally:
        connection.close()
        thread.join()


def answer_to(raw: bytes, method: str = "PUT", **options: Any) -> Any:
    with talking_to(raw) as connection:
        return connection.exchange(method, HEAD, b"", **options)


class TestAnswers:
    def test_with_a_length(self) -> None:
        answer = answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello")
        assert (answer.status, answer.reason, answer.body) == (200, "OK", b"hello")
        assert answer.header("x-a") == "b"
        assert answer.header("x-b") is None

    def test_in_chunks(self) -> None:
        answer = answer_to(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"5;x=y\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
        )
        assert answer.body == b"hello0123456789"

    def test_up_to_the_end_of_the_connection(self) -> None:
        with talking_to(b"HTTP/1.0 502 Bad\r\n\r\n<html>") as connection:
            answer = connection.exchange("PUT", HEAD, b"")
            assert (answer.status, answer.body) == (502, b"<html>")
            assert not connection.reusable

    @pytest.mark.parametrize(
        ("method", "status"), [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)]
    )
    def test_without_a_body(self, method: str, status: int) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\n".encode()
        with talking_to(head, head, close=False) as connection:
            assert connection.exchange(method, HEAD, b"").body == b""
            assert connection.reusable
            assert connection.exchange(method, HEAD, b"").status == status

    def test_after_a_continue(self) -> None:
        answer = answer_to(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
        )
        assert answer.status == 201

    @pytest.mark.parametrize("spelling", ["close", "Close", "keep-alive, close"])
    def test_that_is_the_last(self, spelling: str) -> None:
        head = f"HTTP/1.1 200 OK\r\nConnection: {spelling}\r\nContent-Length: 0\r\n\r\n"
        with talking_to(head.encode()) as connection:
            connection.exchange("PUT", HEAD, b"")
            assert not connection.reusable

    def test_with_more_behind_it(self) -> None:
        """What was not asked for must not be taken for the answer to the next request."""
        one = b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"
        with talking_to(one + one, close=False) as connection:
            assert connection.exchange("PUT", HEAD, b"").status == 201
            assert not connection.reusable

    def test_into_a_buffer(self) -> None:
        buffer = bytearray(8)
        raw = b"HTTP/1.1 206 X\r\nContent-Length: 8\r\n\r\n01234567"
        answer = answer_to(raw, "GET", into=memoryview(buffer))
        assert (answer.body, bytes(buffer)) == (b"", b"01234567")

    @pytest.mark.parametrize(("status", "length"), [(200, 8), (206, 7), (403, 8)])
    def test_not_into_a_buffer(self, status: int, length: int) -> None:
        """An error's text, or another length than asked for, is not the blob's bytes."""
        buffer = bytearray(8)
        raw = f"HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * length
        answer = answer_to(raw, "GET", into=memoryview(buffer))
        assert (answer.body, bytes(buffer)) == (b"x" * length, bytes(8))

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"HTTP/1.1",
            b"HTTP/1.1 200 OK\r\nContent-Len",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5_0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\r\n folded\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 2xx OK\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
            b"A: b\r\n" * 20_000,
        ],
        ids=lambda raw: repr(raw[:70]),
    )
    def test_that_are_none(self, raw: bytes) -> None:
        with talking_to(raw) as connection, pytest.raises((OSError, http.client.HTTPException)):
            connection.exchange("GET", HEAD, b"")

    def test_that_never_come(self) -> None:
        with talking_to(close=False) as connection, pytest.raises(TimeoutError):
            connection.exchange("GET", HEAD, b"")


class TestSending:
    @pytest.mark.parametrize("size", [0, 1, 65536, 65537, 5_000_000])
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_whole(self, size: int, kind: Any) -> None:
        body = bytes(range(256)) * (size // 256) + bytes(size % 256)
        ours, theirs = socket.socketpair()
        received = bytearray()

        def serve() -> None:
            while len(received) < len(HEAD) + size:
                received.extend(theirs.recv(1 << 20))
            theirs.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with ours, theirs:
            assert Connection(ours, QUICK).exchange("PUT", HEAD, kind(body)).status == 201
            thread.join()
        assert received == HEAD + body

    def test_slow_but_moving(self) -> None:
        """However long a body takes: as long as bytes move, nothing times out."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        body = bytes(200_000)

        def serve() -> None:
            left = len(HEAD) + len(body)
            while left:
                pause.wait(0.005)
                left -= len(theirs.recv(2048))
            theirs.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

        pause = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        with ours, theirs:
            timeouts = Timeouts(connect=1, stall=0.2, slowest=1 << 40)
            assert Connection(ours, timeouts).exchange("PUT", HEAD, body).status == 201
            thread.join()

    def test_stalled(self) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, pytest.raises(TimeoutError):
            Connection(ours, QUICK).exchange("PUT", HEAD, bytes(10_000_000))

    def test_refused_under_way(self) -> None:
        """A refusal that comes before all was sent is the answer, and the last one."""
        ours, theirs = socket.socketpair()
        theirs.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        theirs.shutdown(socket.SHUT_WR)
        theirs.close()
        connection = Connection(ours, QUICK)
        answer = connection.exchange("PUT", HEAD, bytes(10_000_000))
        assert (answer.status, answer.body) == (413, b"no")
        assert not connection.reusable
        connection.close()

    @pytest.mark.parametrize("status", [100, 200, 201, 302])
    def test_success_before_the_end_is_none(self, status: int) -> None:
        ours, theirs = socket.socketpair()
        theirs.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
        theirs.close()
        connection = Connection(ours, QUICK)
        with pytest.raises(OSError):
            connection.exchange("PUT", HEAD, bytes(10_000_000))
        connection.close()

    def test_how_long_an_answer_may_take(self) -> None:
        """8 workers that send 4 MiB each over a line of 1 Mbit/s need 268 s for it."""
        assert Timeouts().answer(4 << 20) > 8 * (4 << 20) * 8 / 1e6
        assert Timeouts().answer(512) < 61


class TestIdle:
    def test_fresh_is_not_stale(self) -> None:
        with talking_to(close=False) as connection:
            assert not connection.is_stale()

    def test_closed_is_stale(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.close()
        connection = Connection(ours, QUICK)
        assert connection.is_stale()
        connection.close()

    def test_spoken_to_unasked_is_stale(self) -> None:
        ours, theirs = socket.socketpair()
        theirs.sendall(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        connection = Connection(ours, QUICK)
        assert connection.is_stale()
        connection.close()
        theirs.close()


TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(
    st.integers(100, 599),
    st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    st.lists(st.tuples(TOKENS, VALUES), max_size=8),
)
def test_heads_are_read_as_the_standard_library_does(
    status: int, reason: str, headers: list[tuple[str, str]]
) -> None:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    head = "\r\n".join(lines).encode("latin-1")
    ours = parse_head(head)

    class Socket:
        def makefile(self, _: str) -> io.BytesIO:
            return io.BytesIO(head + b"\r\n\r\n")

    assert ours == (status, reason, headers)
    if status != 100 and not any(name.lower() == "transfer-encoding" for name, _ in headers):
        theirs = http.client.HTTPResponse(Socket())  # type: ignore[arg-type]
        theirs.begin()
        assert (theirs.status, theirs.getheaders()) == (status, headers)


@given(st.binary(max_size=300))
def test_no_head_does_anything_else(head: bytes) -> None:
    with contextlib.suppress(http.client.HTTPException):
        parse_head(head)
