"""Each fault of the strict page-blob service, as the SDK's client sees it."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.exceptions import (
    AzureError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobClient

from tests.pageblob_server import (
    WRITES,
    CutBody,
    CutHeaders,
    Fault,
    FlipReply,
    FlipRequest,
    Match,
    Moment,
    NoChecksum,
    Operation,
    PageBlobServer,
    Reset,
    Rule,
    Schedule,
    Stall,
    WrongChecksum,
    bad_request,
    internal_error,
    on,
    operation_timed_out,
    request_timeout,
    server_busy,
    too_many_requests,
)
from tests.pageblob_server.checksums import crc64, crc64_header
from tests.pageblob_server.clients import MIB, PAGE, client, raw, refusal

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

NAME = "disks/disk.vhd"


@pytest.fixture
def server(page_blob_server: PageBlobServer) -> PageBlobServer:
    """A server with a page blob of 8 MiB."""
    page_blob_server.create_blob(NAME, 8 * MIB)
    return page_blob_server


def write(blob: BlobClient, data: bytes = b"x" * PAGE) -> dict[str, Any]:
    """Write at the blob's start, with the CRC-64."""
    headers = {"x-ms-content-crc64": crc64_header(crc64(data))}
    return blob.upload_page(data, 0, len(data), headers=headers)


class TestRefusals:
    @pytest.mark.parametrize(
        ("fault", "expected"),
        [
            (server_busy(), (503, "ServerBusy")),
            (operation_timed_out(), (500, "OperationTimedOut")),
            (internal_error(), (500, "InternalError")),
            (too_many_requests(), (429, "TooManyRequests")),
            (request_timeout(), (408, "RequestTimeout")),
            (bad_request(), (400, "InvalidInput")),
            (bad_request("SomethingNew"), (400, "SomethingNew")),
        ],
    )
    def test_once(self, server: PageBlobServer, fault: Fault, expected: tuple[int, str]) -> None:
        server.inject(Rule(fault))
        with client(server) as blob:
            assert refusal(write, blob) == expected
            assert server.blob(NAME).ranges() == []
            write(blob)
        assert server.blob(NAME).ranges() == [(0, PAGE)]
        assert server.stats().faults == {f"{expected[0]} {expected[1]}": 1}
        assert [found.status for found in server.requests] == [expected[0], 201]
        assert server.requests[0].code == expected[1]

    @pytest.mark.parametrize("fault", [server_busy(7), too_many_requests(7)])
    def test_retry_after(self, server: PageBlobServer, fault: Fault) -> None:
        server.inject(Rule(fault))
        with client(server) as blob, pytest.raises(HttpResponseError) as caught:
            write(blob)
        response: Any = caught.value.response
        assert response.headers["Retry-After"] == "7"

    @pytest.mark.parametrize("fault", [operation_timed_out, internal_error])
    def test_although_it_took_effect(
        self, server: PageBlobServer, fault: Callable[[Moment], Fault]
    ) -> None:
        server.inject(Rule(fault(Moment.AFTER_EFFECT)))
        with client(server) as blob:
            assert refusal(write, blob)[0] == 500
        assert server.blob(NAME).ranges() == [(0, PAGE)]


class TestConnections:
    @pytest.mark.parametrize("moment", [Moment.BEFORE_BODY, Moment.BEFORE_EFFECT])
    def test_reset_before_the_effect(self, server: PageBlobServer, moment: Moment) -> None:
        server.inject(Rule(Reset(moment)))
        with client(server) as blob:
            with pytest.raises((ServiceRequestError, ServiceResponseError)):
                write(blob)
            assert server.blob(NAME).ranges() == []
            write(blob)
        assert server.blob(NAME).rewritten_bytes == 0

    def test_reset_after_the_effect(self, server: PageBlobServer) -> None:
        server.inject(Rule(Reset(Moment.AFTER_EFFECT)))
        with client(server) as blob:
            with pytest.raises(ServiceResponseError):
                write(blob)
            assert server.blob(NAME).ranges() == [(0, PAGE)]
            write(blob)
        assert server.blob(NAME).rewritten_bytes == PAGE

    def test_reset_in_the_middle_of_the_body(self, server: PageBlobServer) -> None:
        server.inject(Rule(Reset(Moment.BEFORE_BODY, body_bytes=MIB)))
        with client(server) as blob:
            with pytest.raises((ServiceRequestError, ServiceResponseError)):
                write(blob, os.urandom(4 * MIB))
            write(blob)
        first = server.requests[0]
        assert first.status is None
        assert MIB <= first.received <= 4 * MIB
        assert server.blob(NAME).ranges() == [(0, PAGE)]

    def test_status_cut_short(self, server: PageBlobServer) -> None:
        server.inject(Rule(CutHeaders()))
        with client(server) as blob:
            with pytest.raises(ServiceResponseError):
                write(blob)
            write(blob)
        assert server.blob(NAME).rewritten_bytes == PAGE

    def test_headers_cut_short(self, server: PageBlobServer) -> None:
        """Python's HTTP client takes it for an answer: the missing checksum is the only sign."""
        server.inject(Rule(CutHeaders(30)))
        with client(server) as blob:
            assert write(blob)["content_crc64"] is None

    def test_body_cut_short(self, server: PageBlobServer) -> None:
        server.inject(Rule(CutBody(keep=1000), on(Operation.GET_BLOB)))
        with pytest.raises(http.client.IncompleteRead) as caught:
            raw(server, "GET", f"/devstoreaccount1/{NAME}", Range="bytes=0-4095")
        assert len(caught.value.partial) == 1000
        assert server.requests[0].sent == 1000

    def test_empty_body_cut_short(self, server: PageBlobServer) -> None:
        server.inject(Rule(CutBody()))
        with client(server) as blob, pytest.raises(AzureError):
            write(blob)
        assert server.blob(NAME).ranges() == [(0, PAGE)]

    @pytest.mark.parametrize("moment", list(Moment))
    def test_stall_until_released(self, server: PageBlobServer, moment: Moment) -> None:
        server.inject(Rule(Stall(None, moment)))
        with client(server) as blob:
            writer = threading.Thread(target=write, args=(blob,))
            writer.start()
            while not server.stats().faults:
                time.sleep(0.01)
            while writer.is_alive():
                server.release()
                writer.join(0.01)
        assert server.requests[0].status == 201

    def test_stall_longer_than_the_client_waits(self, server: PageBlobServer) -> None:
        server.inject(Rule(Stall(None, Moment.AFTER_EFFECT)))
        with client(server) as blob:
            with pytest.raises(ServiceResponseError):
                blob.upload_page(b"x" * PAGE, 0, PAGE, read_timeout=0.2)
            assert server.blob(NAME).ranges() == [(0, PAGE)]

    def test_stall_for_a_while(self, server: PageBlobServer) -> None:
        server.inject(Rule(Stall(0.01)))
        with client(server) as blob:
            write(blob)
        assert server.stats().faults == {"Stall, before effect": 1}

    def test_a_client_that_leaves_in_the_middle_of_the_body(self, server: PageBlobServer) -> None:
        import socket

        head = (
            f"PUT /devstoreaccount1/{NAME}?comp=page HTTP/1.1\r\nHost: here\r\n"
            "Authorization: SharedKey a:b\r\nContent-Length: 1024\r\n"
            "x-ms-page-write: update\r\nx-ms-range: bytes=0-1023\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head.encode() + b"x" * PAGE)
        while not server.requests:
            time.sleep(0.01)
        assert server.requests[0].status is None
        assert server.blob(NAME).ranges() == []


class TestDamage:
    def test_checksum_of_the_reply(self, server: PageBlobServer) -> None:
        data = b"x" * PAGE
        server.inject(Rule(WrongChecksum()), Rule(NoChecksum()))
        with client(server) as blob:
            sent = crc64(data).to_bytes(8, "little")
            assert write(blob, data)["content_crc64"] not in (None, sent)
            assert write(blob, data)["content_crc64"] is None
            assert write(blob, data)["content_crc64"] == sent

    def test_bits_flipped_before_the_check(self, server: PageBlobServer) -> None:
        server.inject(Rule(FlipRequest(position=100)))
        with client(server) as blob:
            assert refusal(write, blob) == (400, "Crc64Mismatch")
            assert server.blob(NAME).ranges() == []
            server.inject(Rule(FlipRequest()))
            blob.upload_page(b"x" * PAGE, 0, PAGE)
        assert server.blob(NAME).read(0, PAGE) == b"h" + b"x" * (PAGE - 1)

    def test_bits_flipped_behind_the_check(self, server: PageBlobServer) -> None:
        server.inject(Rule(FlipRequest(position=PAGE - 1, unnoticed=True)))
        data = b"x" * PAGE
        with client(server) as blob:
            assert write(blob, data)["content_crc64"] == crc64(data).to_bytes(8, "little")
            assert blob.download_blob(0, PAGE).readall() == b"x" * (PAGE - 1) + b"h"

    def test_bits_flipped_on_the_way_back(self, server: PageBlobServer) -> None:
        server.inject(Rule(FlipReply(position=3), on(Operation.GET_BLOB)))
        with client(server) as blob:
            write(blob)
            with pytest.raises(AzureError, match="MD5"):
                blob.download_blob(0, PAGE, validate_content=True).readall()
            assert blob.download_blob(0, PAGE).readall() == b"x" * PAGE


class TestSchedule:
    def test_skip_and_times(self) -> None:
        schedule = Schedule([Rule(server_busy(), skip=2, times=3)])
        struck = [schedule.choose(Operation.PUT_PAGE, NAME, (0, PAGE)) for _ in range(8)]
        assert [fault is not None for fault in struck] == [False] * 2 + [True] * 3 + [False] * 3
        assert schedule.fired() == {"503 ServerBusy": 3}

    def test_for_ever_until_it_is_cleared(self) -> None:
        schedule = Schedule([Rule(CutHeaders(), times=None)])
        assert all(schedule.choose(Operation.PUT_PAGE, NAME, None) for _ in range(20))
        schedule.clear()
        assert schedule.choose(Operation.PUT_PAGE, NAME, None) is None
        assert schedule.fired() == {"CutHeaders": 20}

    @pytest.mark.parametrize(
        ("match", "matched"),
        [
            (Match(), [True, True, True]),
            (WRITES, [True, False, True]),
            (on(Operation.GET_BLOB), [False, True, False]),
            (on(blob="disks/other"), [False, False, True]),
            (on(Operation.PUT_PAGE, offset=PAGE), [False, False, True]),
        ],
    )
    def test_match(self, match: Match, matched: list[bool]) -> None:
        requests = (
            (Operation.PUT_PAGE, NAME, (0, PAGE)),
            (Operation.GET_BLOB, NAME, None),
            (Operation.CLEAR_PAGES, "disks/other", (0, MIB)),
        )
        found = [match.covers(*request) for request in requests]
        if match.offset is not None:
            found[2] = match.covers(Operation.PUT_PAGE, NAME, (PAGE, PAGE))
        assert found == matched

    def test_first_rule_that_applies(self) -> None:
        schedule = Schedule([Rule(CutHeaders()), Rule(CutBody(), skip=1, times=None)])
        struck = [schedule.choose(Operation.PUT_PAGE, NAME, None) for _ in range(3)]
        assert struck == [CutHeaders(), CutBody(), CutBody()]

    def test_probability_by_seed(self) -> None:
        rule = Rule(NoChecksum(), times=None, probability=0.3)

        def run(seed: int) -> list[bool]:
            schedule = Schedule([rule], seed)
            return [schedule.choose(Operation.PUT_PAGE, NAME, None) is not None for _ in range(200)]

        assert run(1) == run(1)
        assert run(1) != run(2)
        assert 30 < sum(run(1)) < 90


def test_content_is_right_after_many_faults(serve: Serve) -> None:
    """A client that retries everything ends with the right content; none of the faults lies."""
    chance = random.Random(20260801)
    faults: list[Fault] = [
        server_busy(),
        operation_timed_out(Moment.AFTER_EFFECT),
        Reset(Moment.BEFORE_BODY, body_bytes=PAGE),
        Reset(Moment.AFTER_EFFECT),
        CutHeaders(5),
        FlipRequest(position=9),
    ]
    rules = [
        Rule(chance.choice(faults), skip=chance.randrange(60), probability=0.9) for _ in range(40)
    ]
    server = serve(*rules)
    server.create_blob(NAME, 64 * PAGE)
    data = chance.randbytes(64 * PAGE)
    with client(server) as blob:
        for offset in range(0, len(data), PAGE):
            piece = data[offset : offset + PAGE]
            headers = {"x-ms-content-crc64": crc64_header(crc64(piece))}
            while True:
                try:
                    blob.upload_page(piece, offset, PAGE, headers=headers)
                    break
                except AzureError:
                    continue
    stats = server.stats()
    assert server.blob(NAME).read(0, len(data)) == data
    assert sum(stats.faults.values()) >= 30
    assert stats.written_bytes == len(data) + stats.rewritten_bytes
