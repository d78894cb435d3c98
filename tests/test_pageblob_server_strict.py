"""Where Azurite is looser than Azure: limits, paging, managed disks, credentials."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from azure.core import MatchConditions
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.storage.blob import BlobClient, BlobServiceClient

from tests.pageblob_server import (
    SAS,
    BlobLimits,
    ManagedDisk,
    Operation,
    PageBlobServer,
    Rule,
    ServerOptions,
    Stall,
    on,
)
from tests.pageblob_server.checksums import crc64, crc64_combine, crc64_of_zeros
from tests.pageblob_server.pacing import BlobPace, Link
from tests.test_pageblob_server import MIB, PAGE, refusal

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

TIB = 1024 * 1024 * MIB


def client(server: PageBlobServer, name: str = "disks/disk.vhd", sas: str = SAS) -> BlobClient:
    """The SDK's client for a blob, with a SAS and without retries."""
    return BlobClient.from_blob_url(server.blob_url(name, sas), retry_total=0)


def raw(
    server: PageBlobServer, method: str, target: str, body: bytes | None = None, **headers: str
) -> tuple[int, str | None]:
    """Status and error code of a request that the SDK would not send; `_` in names is `-`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, target, body, {"Authorization": "SharedKey a:b", **named})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["x-ms-error-code"]
    finally:
        connection.close()


PUT_PAGE = "/devstoreaccount1/disks/disk.vhd?comp=page"


class TestLimits:
    def test_body_over_4_mib(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", 16 * MIB)
        with client(page_blob_server) as blob:
            blob.upload_page(b"x" * 4 * MIB, 0, 4 * MIB)
            data = b"x" * (4 * MIB + PAGE)
            assert refusal(blob.upload_page, data, 0, len(data)) == (413, "RequestBodyTooLarge")
            blob.clear_page(0, 16 * MIB)
        assert page_blob_server.blob("disks/disk.vhd").ranges() == []

    def test_range_behind_the_end(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", 4 * PAGE)
        with client(page_blob_server) as blob:
            beyond = (416, "InvalidPageRange")
            assert refusal(blob.upload_page, b"x" * 2 * PAGE, 3 * PAGE, 2 * PAGE) == beyond
            assert refusal(blob.upload_page, b"x" * PAGE, 4 * PAGE, PAGE) == beyond
            assert refusal(blob.clear_page, 0, 5 * PAGE) == beyond
            assert refusal(blob.download_blob, 4 * PAGE, PAGE) == (416, "InvalidRange")
            ranges = blob.list_page_ranges(offset=4 * PAGE, length=PAGE)
            assert refusal(lambda: list(ranges)) == (416, "InvalidRange")

    @pytest.mark.parametrize(
        ("span", "length"),
        [("0-510", 511), ("1-512", 512), ("0-511", 1024), ("512-", 512), ("512-0", 512), ("x", 1)],
    )
    def test_range_of_a_write(
        self, page_blob_server: PageBlobServer, span: str, length: int
    ) -> None:
        page_blob_server.create_blob("disks/disk.vhd", 4 * PAGE)
        assert raw(
            page_blob_server,
            "PUT",
            PUT_PAGE,
            b"x" * length,
            x_ms_page_write="update",
            x_ms_range=f"bytes={span}",
        ) == (400, "InvalidHeaderValue")

    def test_headers_of_a_write(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", 4 * PAGE)
        body, span = b"x" * PAGE, "bytes=0-511"
        missing = (400, "MissingRequiredHeader")
        assert raw(page_blob_server, "PUT", PUT_PAGE, body, x_ms_range=span) == missing
        assert raw(page_blob_server, "PUT", PUT_PAGE, body, x_ms_page_write="update") == missing
        assert raw(
            page_blob_server, "PUT", PUT_PAGE, body, x_ms_range=span, x_ms_page_write="clear"
        ) == (400, "InvalidHeaderValue")
        assert raw(
            page_blob_server, "PUT", PUT_PAGE, body, Range=span, x_ms_page_write="update"
        ) == (201, None)

    @pytest.mark.parametrize("size", [1, 511, 513, 8 * TIB + PAGE])
    def test_size_of_a_blob(self, page_blob_server: PageBlobServer, size: int) -> None:
        path, wrong = "/devstoreaccount1/disks/disk.vhd", (400, "InvalidHeaderValue")
        sized: dict[str, Any] = {
            "x_ms_blob_type": "PageBlob",
            "x_ms_blob_content_length": str(size),
        }
        assert raw(page_blob_server, "PUT", path, **sized) == wrong
        sized["x_ms_blob_content_length"] = str(8 * TIB)
        assert raw(page_blob_server, "PUT", path, **sized) == (201, None)
        sized["x_ms_blob_content_length"] = str(size)
        assert raw(page_blob_server, "PUT", f"{path}?comp=properties", **sized) == wrong

    def test_names_and_metadata(self, page_blob_server: PageBlobServer) -> None:
        with BlobServiceClient.from_connection_string(
            page_blob_server.connection_string, retry_total=0
        ) as service:
            for name in ("UPPER", "ab", "a--b", "-ab"):
                container = service.get_container_client(name)
                assert refusal(container.create_container) == (400, "InvalidResourceName")
        with client(page_blob_server) as blob:
            blob.create_page_blob(PAGE)
            assert refusal(blob.set_blob_metadata, {"a-b": "1"}) == (400, "InvalidMetadata")
            assert refusal(blob.set_blob_metadata, {"a": "x" * 8192}) == (400, "MetadataTooLarge")

    def test_other_blob_types(self, page_blob_server: PageBlobServer) -> None:
        with client(page_blob_server) as blob:
            blob.upload_blob(b"something else")
            assert blob.get_blob_properties().blob_type == "BlockBlob"
            assert blob.download_blob().readall() == b"something else"
            wrong = (409, "InvalidBlobType")
            assert refusal(blob.upload_page, b"x" * PAGE, 0, PAGE) == wrong
            assert refusal(lambda: list(blob.list_page_ranges())) == wrong

    def test_not_modified(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", PAGE)
        with client(page_blob_server) as blob:
            etag = page_blob_server.blob("disks/disk.vhd").etag
            unchanged = {"etag": etag, "match_condition": MatchConditions.IfModified}
            assert refusal(blob.get_blob_properties, **unchanged) == (304, "ConditionNotMet")

    def test_what_it_does_not_speak(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", PAGE)
        path = "/devstoreaccount1/disks/disk.vhd"
        assert raw(page_blob_server, "PUT", path + "?comp=tier")[1] == "UnsupportedQueryParameter"
        assert raw(page_blob_server, "POST", path) == (405, "UnsupportedHttpVerb")
        assert raw(page_blob_server, "GET", "/") == (400, "InvalidUri")

    def test_a_huge_blob_costs_nothing(self, page_blob_server: PageBlobServer) -> None:
        size, data = 2040 * 1024 * MIB + PAGE, os.urandom(PAGE)
        with client(page_blob_server) as blob:
            blob.create_page_blob(size)
            blob.upload_page(data, size - PAGE, PAGE)
            assert blob.download_blob(size - 2 * PAGE, 2 * PAGE).readall() == bytes(PAGE) + data
            blob.clear_page(0, size)
        expected = crc64_of_zeros(size)
        assert page_blob_server.blob("disks/disk.vhd").crc64() == expected


class TestPageRanges:
    def test_neighbours_are_one(self, page_blob_server: PageBlobServer) -> None:
        with client(page_blob_server) as blob:
            blob.create_page_blob(MIB)
            for page in (3, 1, 2, 7):
                blob.upload_page(bytes(PAGE), page * PAGE, PAGE)
            found = [(part.start, part.end) for part in blob.list_page_ranges()]
        assert found == [(PAGE, 4 * PAGE - 1), (7 * PAGE, 8 * PAGE - 1)]

    def test_paging(self, serve: Serve) -> None:
        server = serve(page_ranges_per_answer=3)
        pages = [(page * 2 * PAGE, b"x" * PAGE) for page in range(8)]
        server.create_blob("disks/disk.vhd", MIB, *pages)
        with client(server) as blob:
            found = [part.start for part in blob.list_page_ranges()]
            assert found == [offset for offset, _ in pages]
            assert len(server.requests) == 3
            found = [part.start for part in blob.list_page_ranges(results_per_page=2)]
            assert found == [offset for offset, _ in pages]
            assert len(server.requests) == 3 + 4
            part = blob.list_page_ranges(offset=2 * PAGE, length=8 * PAGE)
            assert [found.start for found in part] == [2 * PAGE, 4 * PAGE, 6 * PAGE, 8 * PAGE]

    def test_too_fragmented_to_list_at_once(self, serve: Serve) -> None:
        server = serve(page_ranges_timeout=4)
        pages = [(page * 2 * PAGE, b"x" * PAGE) for page in range(8)]
        server.create_blob("disks/disk.vhd", MIB, *pages)
        with client(server) as blob:
            whole = blob.list_page_ranges()
            assert refusal(lambda: list(whole)) == (500, "OperationTimedOut")
            part = blob.list_page_ranges(offset=0, length=8 * PAGE)
            assert len(list(part)) == 4


class TestLeaseTime:
    def test_expired(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        with client(page_blob_server) as blob:
            lease = blob.acquire_lease(15)
            page_blob_server.pass_time(16)
            assert page_blob_server.blob("disks/disk.vhd").lease_state == "expired"
            write = (blob.upload_page, b"x" * PAGE, 0, PAGE)
            assert refusal(*write, lease=lease) == (412, "LeaseLost")
            lease.renew()
            blob.upload_page(b"x" * PAGE, 0, PAGE, lease=lease)
            page_blob_server.pass_time(16)
            blob.upload_page(b"x" * PAGE, 0, PAGE)
            assert refusal(lease.renew) == (409, "LeaseIdMismatchWithLeaseOperation")

    def test_none_or_another(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        with client(page_blob_server) as blob:
            lease = blob.acquire_lease(15)
            held = lease.id
            lease.release()
            write = (blob.upload_page, b"x" * PAGE, 0, PAGE)
            assert refusal(*write, lease=held) == (412, "LeaseNotPresentWithBlobOperation")
            other = blob.acquire_lease(60)
            assert refusal(*write, lease=held) == (412, "LeaseIdMismatchWithBlobOperation")
            other.break_lease(5)
            assert page_blob_server.blob("disks/disk.vhd").lease_state == "breaking"
            page_blob_server.pass_time(6)
            assert refusal(*write, lease=other) == (412, "LeaseLost")
            assert page_blob_server.blob("disks/disk.vhd").lease_state == "broken"
            blob.acquire_lease(15, lease_id=held)


class TestManagedDisk:
    NAME = "upload/abcd"
    DISK = ManagedDisk(NAME, MIB + PAGE, ((PAGE, b"x" * PAGE),))

    def test_what_is_allowed(self, serve: Serve) -> None:
        server = serve(managed_disks=(self.DISK,))
        with client(server, self.NAME) as blob:
            assert blob.get_blob_properties().size == MIB + PAGE
            assert [part.start for part in blob.list_page_ranges()] == [PAGE]
            blob.upload_page(b"y" * PAGE, MIB, PAGE)
            blob.clear_page(PAGE, PAGE)
        assert server.blob(self.NAME).ranges() == [(MIB, PAGE)]
        assert server.violations == ()

    def test_what_is_not(self, serve: Serve) -> None:
        server = serve(managed_disks=(self.DISK,))
        with client(server, self.NAME) as blob:
            not_allowed = (403, "AuthorizationPermissionMismatch")
            assert refusal(blob.set_blob_metadata, {"a": "b"}) == not_allowed
            assert refusal(blob.set_http_headers) == not_allowed
            assert refusal(blob.resize_blob, MIB) == not_allowed
            assert refusal(blob.acquire_lease) == not_allowed
            assert refusal(blob.delete_blob) == not_allowed
            assert refusal(blob.download_blob) == not_allowed
        assert [violation.operation for violation in server.violations] == [
            Operation.SET_METADATA,
            Operation.SET_PROPERTIES,
            Operation.SET_PROPERTIES,
            Operation.ACQUIRE_LEASE,
            Operation.DELETE_BLOB,
            Operation.GET_BLOB,
        ]
        assert server.blob(self.NAME).ranges() == [(PAGE, PAGE)]

    def test_put_blob_wipes_it(self, serve: Serve) -> None:
        server = serve(managed_disks=(self.DISK,))
        with client(server, self.NAME) as blob:
            blob.create_page_blob(MIB)
        assert server.blob(self.NAME).ranges() == []
        assert [(found.operation, found.wiped) for found in server.violations] == [
            (Operation.PUT_BLOB, True)
        ]

    def test_by_account_or_host(self, serve: Serve, lead_here: Callable[[str], None]) -> None:
        server = serve(account="md-impexp-1")
        server.create_blob(self.NAME, PAGE)
        host = "md-impexp-1.blob.storage.test"
        lead_here(host)
        urls = (
            server.blob_url(self.NAME),
            f"http://{host}:{server.port}/{self.NAME}?{SAS}",
        )
        for url in urls:
            with BlobClient.from_blob_url(url, retry_total=0) as blob:
                assert blob.get_blob_properties().size == PAGE
                assert refusal(blob.acquire_lease)[0] == 403
        assert len(server.violations) == 2

    def test_a_disk_without_an_account_in_its_url(self, serve: Serve) -> None:
        server = serve(managed_disks=(self.DISK,))
        path = f"/{self.NAME}"
        assert raw(server, "HEAD", path) == (200, None)
        assert raw(server, "PUT", f"{path}?comp=metadata")[0] == 403

    def test_readable(self, serve: Serve) -> None:
        disk = ManagedDisk(self.NAME, PAGE, ((0, b"x" * PAGE),), readable=True)
        server = serve(managed_disks=(disk,))
        with client(server, self.NAME) as blob:
            assert blob.download_blob().readall() == b"x" * PAGE
        assert server.violations == ()


class Token:
    """A credential whose tokens are counted."""

    def __init__(self) -> None:
        self.given = 0

    def get_token(self, *scopes: str, **keywords: Any) -> AccessToken:
        self.given += 1
        return AccessToken(f"token-{self.given}", 4_000_000_000)


class TestCredentials:
    def test_none(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", PAGE)
        with client(page_blob_server, sas="") as blob:
            refused = refusal(blob.get_blob_properties)
        assert refused == (401, "NoAuthenticationInformation")

    def test_sas_that_expires_under_way(self, serve: Serve) -> None:
        server = serve(sas=SAS)
        server.create_blob("disks/disk.vhd", MIB)
        server.expire_sas(after=2)
        with client(server) as blob:
            blob.upload_page(b"x" * PAGE, 0, PAGE)
            blob.upload_page(b"x" * PAGE, 0, PAGE)
            with pytest.raises(ClientAuthenticationError) as caught:
                blob.upload_page(b"x" * PAGE, PAGE, PAGE)
        assert caught.value.status_code == 403
        assert caught.value.message is not None
        assert "Signature not valid in the specified time frame" in caught.value.message
        fresh = SAS.replace("sig=", "sig=bmV3")
        server.set_sas(fresh)
        with client(server, sas=fresh) as blob:
            blob.upload_page(b"x" * PAGE, PAGE, PAGE)
        with client(server) as blob:
            refused = refusal(blob.get_blob_properties)
        assert refused == (403, "AuthenticationFailed")
        assert server.blob("disks/disk.vhd").ranges() == [(0, 2 * PAGE)]

    def test_sas_by_its_own_time(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        with client(page_blob_server) as blob:
            blob.get_blob_properties()
            page_blob_server.pass_time(1000 * 366 * 86400)
            refused = refusal(blob.get_blob_properties)
        assert refused == (403, "AuthenticationFailed")

    def test_sas_without_the_permission(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        with client(page_blob_server, sas=SAS.replace("sp=racwdl", "sp=r")) as blob:
            blob.get_blob_properties()
            refused = refusal(blob.upload_page, b"x" * PAGE, 0, PAGE)
        assert refused == (403, "AuthorizationPermissionMismatch")

    def test_sas_of_a_blob_makes_no_container(self, page_blob_server: PageBlobServer) -> None:
        with BlobServiceClient(page_blob_server.url, credential=SAS, retry_total=0) as service:
            container = service.get_container_client("new")
            assert refusal(container.create_container) == (403, "AuthorizationFailure")

    def test_token_that_expires(self, serve: Serve, tmp_path: Path) -> None:
        server = serve(tls=True, token="token-1")
        server.create_blob("disks/disk.vhd", MIB)
        authority = tmp_path / "ca.pem"
        assert server.ca_pem is not None
        authority.write_bytes(server.ca_pem)
        credential = Token()
        with BlobClient(
            server.url,
            "disks",
            "disk.vhd",
            credential=credential,
            connection_verify=str(authority),
            retry_total=0,
        ) as blob:
            blob.upload_page(b"x" * PAGE, 0, PAGE)
            server.expire_token()
            with pytest.raises(ClientAuthenticationError) as caught:
                blob.upload_page(b"x" * PAGE, 0, PAGE)
            assert caught.value.status_code == 401
            server.set_token(f"token-{credential.given + 1}")
            blob.upload_page(b"x" * PAGE, 0, PAGE)


class TestPace:
    def test_requests_beyond_the_burst_are_refused(self, serve: Serve) -> None:
        limits = BlobLimits(requests_per_second=0.001, burst_seconds=4000)
        server = serve(limits=limits)
        server.create_blob("disks/disk.vhd", MIB)
        with client(server) as blob:
            for _ in range(4):
                blob.get_blob_properties()
            assert refusal(blob.get_blob_properties) == (503, "ServerBusy")
        assert server.stats().by_code == {"ServerBusy": 1}

    def test_bytes_beyond_the_burst_are_refused(self, serve: Serve) -> None:
        server = serve(limits=BlobLimits(bytes_per_second=1, burst_seconds=0))
        server.create_blob("disks/disk.vhd", 8 * MIB)
        with client(server) as blob:
            blob.upload_page(b"x" * 3 * MIB, 0, 3 * MIB)
            write = (blob.upload_page, b"x" * 3 * MIB, 4 * MIB, 3 * MIB)
            assert refusal(*write) == (503, "ServerBusy")
            blob.upload_page(b"x" * PAGE, 0, PAGE)
        assert server.blob("disks/disk.vhd").ranges() == [(0, 3 * MIB)]

    def test_a_queue_makes_requests_wait(self, serve: Serve) -> None:
        limits = BlobLimits(requests_per_second=5, burst_seconds=0, queue_seconds=10)
        server = serve(limits=limits)
        server.create_blob("disks/disk.vhd", MIB)
        with client(server) as blob:
            threads = [threading.Thread(target=blob.get_blob_properties) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert [found.status for found in server.requests] == [200] * 4
        assert any(found.waited > 0 for found in server.requests)

    def test_latency(self, serve: Serve) -> None:
        server = serve(latency=0.02)
        server.create_blob("disks/disk.vhd", MIB)
        with client(server) as blob:
            blob.get_blob_properties()
        assert [found.waited for found in server.requests] == [0.02]

    @pytest.mark.parametrize("slow", ["link_rate", "total_rate"])
    def test_slow_lines(self, serve: Serve, slow: str) -> None:
        server = serve(**{slow: 10 * MIB})
        server.create_blob("disks/disk.vhd", 8 * MIB)
        with client(server) as blob:
            blob.upload_page(b"x" * MIB, 0, MIB)
        assert server.requests[0].waited > 0

    def test_of_a_blob_by_the_clock(self) -> None:
        pace = BlobPace(BlobLimits(4 * MIB, 8, burst_seconds=1, queue_seconds=0.5), 100.0)
        assert pace.admit(4 * MIB, 100.0) == 0
        assert pace.admit(MIB, 100.0) == 0.25
        assert pace.admit(4 * MIB, 100.0) is None
        assert pace.admit(2 * MIB, 101.0) == 0
        assert [pace.admit(0, 102.0) for _ in range(9)] == [0] * 8 + [0.125]

    def test_of_a_line_by_the_clock(self) -> None:
        now = 100.0
        link = Link(1000.0, lambda: now)
        assert link.carry(501) == 0.5
        assert link.carry(500) == 1.0
        now = 102.0
        assert link.carry(101) == pytest.approx(0.1)


class TestBooks:
    def test_what_was_sent_again(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        with client(page_blob_server) as blob:
            blob.upload_page(b"x" * 8 * PAGE, 0, 8 * PAGE)
            blob.upload_page(b"x" * 4 * PAGE, 6 * PAGE, 4 * PAGE)
            blob.clear_page(0, MIB)
            blob.upload_page(b"x" * PAGE, 6 * PAGE, PAGE)
        view = page_blob_server.blob("disks/disk.vhd")
        assert view.written_bytes == 13 * PAGE
        assert view.rewritten_bytes == 3 * PAGE
        assert view.rewritten_ranges() == [(6 * PAGE, 2 * PAGE)]
        stats = page_blob_server.stats()
        assert (stats.written_bytes, stats.rewritten_bytes) == (13 * PAGE, 3 * PAGE)
        assert stats.received_bytes == 13 * PAGE
        assert stats.by_operation == {"put-page": 3, "clear-pages": 1}
        assert stats.connections == 1
        last = page_blob_server.requests[-1]
        assert (last.operation, last.name) == (Operation.PUT_PAGE, "disks/disk.vhd")
        assert (last.offset, last.length, last.status) == (6 * PAGE, PAGE, 201)

    def test_most_at_once(self, serve: Serve) -> None:
        server = serve(Rule(Stall(None), on(Operation.GET_PROPERTIES), times=3))
        server.create_blob("disks/disk.vhd", MIB)
        with client(server) as blob:
            threads = [threading.Thread(target=blob.get_blob_properties) for _ in range(3)]
            for thread in threads:
                thread.start()
            while server.stats().peak < 3:
                time.sleep(0.01)
            while any(thread.is_alive() for thread in threads):
                server.release()
                time.sleep(0.01)
        assert server.stats().peak == 3

    def test_checksum_of_what_was_discarded(self, serve: Serve) -> None:
        server = serve(discard=True)
        first, second = os.urandom(2 * PAGE), os.urandom(3 * PAGE)
        with client(server) as blob:
            blob.create_page_blob(MIB)
            blob.upload_page(second, 8 * PAGE, 3 * PAGE)
            blob.upload_page(first, PAGE, 2 * PAGE)
            blob.upload_page(first, PAGE, 2 * PAGE)
            whole = bytes(PAGE) + first + bytes(5 * PAGE) + second
            expected = crc64(whole + bytes(MIB - len(whole)))
            view = server.blob("disks/disk.vhd")
            assert view.crc64() == expected
            assert view.ranges() == [(PAGE, 2 * PAGE), (8 * PAGE, 3 * PAGE)]
            with pytest.raises(ValueError, match="discard"):
                view.read(0, PAGE)
            blob.upload_page(first[:PAGE], 2 * PAGE, PAGE)
            with pytest.raises(ValueError, match="overlap"):
                view.crc64()

    def test_hash_of_the_content(self, page_blob_server: PageBlobServer) -> None:
        import hashlib

        data = os.urandom(PAGE)
        view = page_blob_server.create_blob("disks/disk.vhd", 3 * MIB, (MIB, data))
        whole = bytes(MIB) + data + bytes(2 * MIB - PAGE)
        assert view.content_hash() == hashlib.sha256(whole).hexdigest()
        assert view.crc64() == crc64(whole)
        assert crc64_combine(crc64(b"a"), crc64(b"b"), 1) == crc64(b"ab")

    def test_stopping_leaves_nothing(self) -> None:
        before = threading.active_count()
        with PageBlobServer(ServerOptions()) as server:
            assert threading.active_count() == before + 1
            url = urlsplit(server.url)
        assert threading.active_count() == before
        with pytest.raises(ConnectionRefusedError):
            raw(server, "GET", url.path)


class TestProcess:
    def test_serves_and_reports(self, tmp_path: Path) -> None:
        authority = tmp_path / "ca.pem"
        command = [
            *(sys.executable, "-m", "tests.pageblob_server"),
            *("--discard", "--tls", "--ca-file", str(authority), "--azure-limits"),
            *("--queue", "1", "--managed-disk", f"upload/disk={MIB}", "--link-rate", "100"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            with BlobServiceClient.from_connection_string(
                ready["connection_string"], connection_verify=str(authority), retry_total=0
            ) as service:
                blob = service.create_container("disks").get_blob_client("disk.vhd")
                blob.create_page_blob(MIB)
                blob.upload_page(b"x" * PAGE, PAGE, PAGE)
                disk = service.get_blob_client("upload", "disk")
                with pytest.raises(HttpResponseError):
                    disk.set_blob_metadata({})
            trusting = ssl.create_default_context(cafile=str(authority))
            with urllib.request.urlopen(ready["report"], context=trusting) as answer:
                report = json.load(answer)
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
        found = report["blobs"]["disks/disk.vhd"]
        expected = crc64(bytes(PAGE) + b"x" * PAGE + bytes(MIB - 2 * PAGE))
        assert found["crc64"] == f"{expected:016x}"
        assert found["range_bytes"] == PAGE
        assert report["stats"]["requests"] == 4
        assert report["violations"] == ["set-blob-metadata upload/disk"]
