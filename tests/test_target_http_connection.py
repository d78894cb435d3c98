"""HTTP/1.1 as our connections speak it, against what servers may do to them."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import threading
import zlib
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.target.http_connection import Connection, Timeouts
from vhdtools.target.incoming import Incoming, read_body, read_head

QUICK = Timeouts(connect=5, stall=0.3, slowest=1 << 40)
HEAD = b"PUT /c/b HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GZIP = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"


@contextlib.contextmanager
def talking_to(*answers: bytes, close: bool = True) -> Iterator[Connection]:
    """A connection to a server that says `answers`, one for each request, and then closes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            with contextlib.suppress(
                ConnectionError
            ):  # what breaks the rules is not read to its end
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

    @pytest.mark.parametrize("interim", ["100 Continue", "102 Processing", "103 Early Hints"])
    def test_after_an_interim_one(self, interim: str) -> None:
        early = f"HTTP/1.1 {interim}\r\nLink: </x>\r\n\r\n".encode()
        answer = answer_to(early * 2 + b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")
        assert answer.status == 201

    def test_with_a_folded_line(self) -> None:
        """Means one blank: RFC 9112, 5.2."""
        answer = answer_to(b"HTTP/1.1 200 OK\r\nA: b\r\n \t folded\r\nContent-Length: 0\r\n\r\n")
        assert answer.header("A") == "b folded"

    def test_compressed(self) -> None:
        for coding, body in [
            ("gzip", gzip.compress(b"hel") + gzip.compress(b"lo")),
            ("x-gzip", gzip.compress(b"hello")),
            ("GZIP", gzip.compress(b"hello")),
            ("deflate", zlib.compress(b"hello")),
        ]:
            answer = answer_to(
                b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (coding.encode(), len(body), body)
            )
            assert answer.body == b"hello"
            assert answer.header("Content-Length") == "5"

    @pytest.mark.parametrize("version", ["1.0", "1.1"])
    @pytest.mark.parametrize("keep", [False, True])
    def test_by_version(self, version: str, keep: bool) -> None:
        """A server that speaks HTTP/1.0 closes unless it says otherwise."""
        head = f"HTTP/{version} 200 OK\r\nContent-Length: 2\r\n"
        head += "Connection: keep-alive\r\n" if keep else ""
        with talking_to(head.encode() + b"\r\nok", close=False) as connection:
            assert connection.exchange("PUT", HEAD, b"").body == b"ok"
            assert connection.reusable == (keep or version == "1.1")

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

    @pytest.mark.parametrize("coding", ["", "Content-Encoding: gzip\r\n"])
    def test_into_a_buffer_as_it_is(self, coding: str) -> None:
        """A blob may have a Content-Encoding of its own, which says nothing of its pages."""
        for framing in ("Content-Length: 8\r\n\r\n01234567", "\r\n01234567"):
            buffer = bytearray(8)
            answer = answer_to(
                f"HTTP/1.1 206 X\r\n{coding}{framing}".encode(), "GET", into=memoryview(buffer)
            )
            assert (answer.body, bytes(buffer)) == (b"", b"01234567")

    @pytest.mark.parametrize("packed", [False, True])
    def test_in_chunks_into_a_buffer(self, packed: bool) -> None:
        body = bytes(range(64)) * 64
        sent = gzip.compress(body) if packed else body
        head = "HTTP/1.1 206 X\r\nTransfer-Encoding: chunked\r\n"
        head += "Content-Encoding: gzip\r\n" if packed else ""
        buffer = bytearray(len(body))
        raw = head.encode() + b"\r\n" + in_chunks(sent, [100])
        answer = answer_to(raw, "GET", into=memoryview(buffer))
        assert (answer.body, bytes(buffer)) == (b"", body)
        assert answer.header("Content-Length") == str(len(body))

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
            b"HTTP/1.1 200 OK\r\n folded\r\nA: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: x, chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
            GZIP + b"no gzip",
            GZIP + gzip.compress(b"hello", mtime=0)[:-1],
            b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
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
FRAMING = {"content-length", "transfer-encoding"}


def in_chunks(body: bytes, sizes: list[int]) -> bytes:
    """`body` in chunks of `sizes` and one for the rest, with an extension and a trailer."""
    sent = b""
    for size in [*sizes, len(body)]:
        if chunk := body[:size]:
            sent += b"%x;name=value\r\n%s\r\n" % (len(chunk), chunk)
        body = body[size:]
    return sent + b"0\r\nTrailer: x\r\n\r\n"


def incoming(data: bytes) -> Incoming:
    """What a connection receives that brings `data` and ends."""

    class Socket:
        left = data

        def recv_into(self, buffer: memoryview) -> int:
            count = min(len(buffer), len(self.left))
            buffer[:count], self.left = self.left[:count], self.left[count:]
            return count

    return Incoming(cast(socket.socket, Socket()))


@given(
    st.integers(200, 599),
    st.text(st.characters(min_codepoint=33, max_codepoint=126)),
    st.lists(st.tuples(TOKENS.filter(lambda name: name.lower() not in FRAMING), VALUES)),
)
def test_heads_are_read_as_they_were_sent(
    status: int, reason: str, headers: list[tuple[str, str]]
) -> None:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    response, found = read_head(incoming(head), "GET")
    assert (response.status, response.reason, found) == (status, reason, headers)


@given(st.binary(), st.lists(st.integers(1, 50)), st.booleans())
def test_bodies_in_chunks_and_compressed_are_read(
    body: bytes, sizes: list[int], packed: bool
) -> None:
    sent = gzip.compress(body) if packed else body
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    if packed:
        head += b"Content-Encoding: gzip\r\n"
    at = incoming(head + b"\r\n" + in_chunks(sent, sizes) + b"next")
    response, headers = read_head(at, "GET")
    found, headers = read_body(at, response, headers, None)
    assert found == body
    assert at.read(4) == b"next"
    assert ("Content-Length", str(len(body))) in headers
    assert not {name.lower() for name, _ in headers} & {"transfer-encoding", "content-encoding"}


@pytest.mark.parametrize("excess", [0, 1])
@pytest.mark.parametrize(
    "framing",
    ["Content-Length: %d", "X: %d", "Transfer-Encoding: chunked", "Content-Encoding: gzip"],
)
def test_no_more_is_received_than_an_answer_may_have(framing: str, excess: int) -> None:
    body = bytes(5000 + excess)
    if "gzip" in framing:
        sent = gzip.compress(body[:3000]) + gzip.compress(body[3000:])
    else:
        sent = in_chunks(body, []) if "chunked" in framing else body
    most = len(sent) - excess if "chunked" in framing else 5000
    head = f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".replace("%d", str(len(body)))
    at = incoming(head.encode() + sent)
    response, headers = read_head(at, "GET")
    if not excess:
        assert read_body(at, response, headers, None, most)[0] == body
    else:
        with pytest.raises(http.client.HTTPException, match=r"larger|too large"):
            read_body(at, response, headers, None, most)


@given(st.binary(max_size=300), st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", CHUNKED, GZIP]))
def test_nothing_else_is_raised(data: bytes, start: bytes) -> None:
    at = incoming(start + data)
    with contextlib.suppress(http.client.HTTPException):
        response, headers = read_head(at, "GET")
        read_body(at, response, headers, None)
