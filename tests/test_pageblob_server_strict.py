"""Where Azurite is looser than Azure: sizes, ranges, paging, leases that expire, speed."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from azure.core import MatchConditions
from azure.storage.blob import BlobServiceClient, ContentSettings

from tests.pageblob_server import (
    BlobLimits,
    PageBlobServer,
)
from tests.pageblob_server.checksums import crc64, crc64_header, crc64_of_zeros
from tests.pageblob_server.clients import MIB, PAGE, client, raw, refusal
from tests.pageblob_server.pacing import BlobPace, Link

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

TIB = 1024 * 1024 * MIB
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

    def test_content_md5_of_a_wrong_length(self, page_blob_server: PageBlobServer) -> None:
        settings = ContentSettings(content_md5=bytearray(15))
        with client(page_blob_server) as blob:
            refused = refusal(blob.create_page_blob, PAGE, content_settings=settings)
        assert refused == (400, "InvalidMd5")

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

    def test_conditions_by_time(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", PAGE)
        with client(page_blob_server) as blob:
            modified = blob.get_blob_properties().last_modified
            before = modified - timedelta(minutes=1)
            assert refusal(blob.clear_page, 0, PAGE, if_unmodified_since=before) == (
                412,
                "ConditionNotMet",
            )
            assert refusal(blob.get_blob_properties, if_modified_since=modified) == (
                304,
                "ConditionNotMet",
            )
            blob.clear_page(0, PAGE, if_unmodified_since=modified, if_modified_since=before)
        path = "/devstoreaccount1/disks/disk.vhd"
        assert raw(page_blob_server, "GET", path, If_Modified_Since="yesterday") == (
            400,
            "InvalidHeaderValue",
        )

    def test_creation(self, page_blob_server: PageBlobServer) -> None:
        path = "/devstoreaccount1/disks/disk.vhd"
        page = {"x_ms_blob_type": "PageBlob"}
        sized = {**page, "x_ms_blob_content_length": "512"}
        for given, body, expected in (
            ({}, None, (400, "MissingRequiredHeader")),
            ({"x_ms_blob_type": "AppendBlob"}, None, (400, "InvalidHeaderValue")),
            (page, None, (400, "MissingRequiredHeader")),
            ({**page, "x_ms_blob_content_length": "many"}, None, (400, "InvalidHeaderValue")),
            (sized, b"x", (400, "InvalidHeaderValue")),
            ({**sized, "If_Match": "*"}, None, (412, "ConditionNotMet")),
            ({**sized, "x_ms_meta_": "x"}, None, (400, "EmptyMetadataKey")),
            (sized, None, (201, None)),
        ):
            headers: dict[str, Any] = given
            assert raw(page_blob_server, "PUT", path, body, **headers) == expected

    def test_checksums_of_a_range(self, page_blob_server: PageBlobServer) -> None:
        data = os.urandom(2 * PAGE)
        page_blob_server.create_blob("disks/disk.vhd", 8 * MIB, (0, data))
        path = "/devstoreaccount1/disks/disk.vhd"
        md5: dict[str, Any] = {"x_ms_range_get_content_md5": "true"}
        crc: dict[str, Any] = {"x_ms_range_get_content_crc64": "true"}
        assert raw(page_blob_server, "GET", path, Range="bytes=0-9", **crc, **md5) == (
            400,
            "BothCrc64AndMd5RangeHeaderPresent",
        )
        for span in ({}, {"Range": f"bytes=0-{4 * MIB}"}):
            asked: dict[str, Any] = {**crc, **span}
            assert raw(page_blob_server, "GET", path, **asked) == (400, "InvalidHeaderValue")
        with client(page_blob_server) as blob:
            headers = {"x-ms-range-get-content-crc64": "true"}
            seen: list[str] = []
            blob.download_blob(
                0,
                PAGE,
                headers=headers,
                raw_response_hook=lambda answer: seen.append(
                    answer.http_response.headers["x-ms-content-crc64"]
                ),
            ).readall()
        assert seen == [crc64_header(crc64(data[:PAGE]))]

    def test_a_body_of_unknown_length(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", PAGE)
        chunked = iter([b"x" * PAGE])
        assert raw(
            page_blob_server,
            "PUT",
            PUT_PAGE,
            chunked,
            x_ms_page_write="update",
            x_ms_range="bytes=0-511",
        ) == (411, "MissingContentLengthHeader")

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

    def test_wrong_questions(self, page_blob_server: PageBlobServer) -> None:
        page_blob_server.create_blob("disks/disk.vhd", MIB)
        path = "/devstoreaccount1/disks/disk.vhd?comp=pagelist"
        for query, code in (
            ("&maxresults=0", "OutOfRangeQueryParameterValue"),
            ("&marker=x", "InvalidQueryParameterValue"),
            ("&prevsnapshot=x", "UnsupportedQueryParameter"),
        ):
            assert raw(page_blob_server, "GET", path + query) == (400, code)
        assert raw(page_blob_server, "GET", path, Range="bytes=1-512") == (
            400,
            "InvalidHeaderValue",
        )

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
