"""The strict page-blob service answers the SDK as Azure does, and as Azurite where that is true."""

from __future__ import annotations

import base64
import hashlib
import os
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.storage.blob import (
    BlobClient,
    BlobLeaseClient,
    BlobServiceClient,
    BlobType,
    ContainerClient,
    ContentSettings,
    SequenceNumberAction,
)

from tests.pageblob_server import PageBlobServer
from tests.pageblob_server.checksums import crc64, crc64_header
from tests.pageblob_server.clients import MIB, PAGE, refusal
from tests.pageblob_server.rangeset import RangeSet


@pytest.fixture(scope="module")
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer() as running:
        yield running


@pytest.fixture(params=["strict", "azurite"])
def container(request: pytest.FixtureRequest) -> Iterator[ContainerClient]:
    """A new container on each of the two services, which both must answer alike."""
    name = "server" if request.param == "strict" else "azurite"
    connection_string: str = request.getfixturevalue(name).connection_string
    with (
        BlobServiceClient.from_connection_string(connection_string, retry_total=0) as service,
        service.create_container(f"test-{uuid.uuid4().hex}") as client,
    ):
        yield client


@pytest.fixture
def blob(container: ContainerClient) -> BlobClient:
    """A page blob of 1 MiB."""
    client = container.get_blob_client("disk.vhd")
    client.create_page_blob(MIB)
    return client


def listed(blob: BlobClient, **keywords: Any) -> list[tuple[int, int]]:
    """The page ranges as (offset, length), neighbours joined."""
    joined = RangeSet()
    for found in blob.list_page_ranges(**keywords):
        assert not found.cleared
        assert found.start is not None
        assert found.end is not None
        joined.add(found.start, found.end - found.start + 1)
    return list(joined)


class TestBlob:
    def test_create_and_properties(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("folder/a disk ü.vhd")
        settings = ContentSettings(content_type="application/x-vhd", cache_control="no-cache")
        made = blob.create_page_blob(
            3 * PAGE, content_settings=settings, metadata={"Offset": "7", "crc64": "00ff"}
        )
        found = blob.get_blob_properties()
        assert found.size == 3 * PAGE
        assert found.blob_type == "PageBlob"
        assert found.etag == made["etag"]
        assert found.last_modified == made["last_modified"]
        assert found.metadata == {"Offset": "7", "crc64": "00ff"}
        assert found.content_settings.content_type == "application/x-vhd"
        assert found.content_settings.cache_control == "no-cache"
        assert found.content_settings.content_md5 is None
        assert found.page_blob_sequence_number == 0
        assert found.lease.state == "available"
        assert found.lease.status == "unlocked"
        assert listed(blob) == []

    def test_create_over_an_existing_one_empties_it(self, blob: BlobClient) -> None:
        blob.upload_page(b"x" * PAGE, 0, PAGE)
        blob.create_page_blob(2 * PAGE)
        assert listed(blob) == []
        assert blob.get_blob_properties().size == 2 * PAGE

    def test_create_only_if_there_is_none(self, blob: BlobClient) -> None:
        assert refusal(blob.create_page_blob, PAGE, match_condition=MatchConditions.IfMissing) == (
            409,
            "BlobAlreadyExists",
        )

    def test_missing(self, container: ContainerClient) -> None:
        blob = container.get_blob_client("nothing")
        assert refusal(blob.get_blob_properties) == (404, "BlobNotFound")
        assert refusal(blob.upload_page, b"x" * PAGE, 0, PAGE) == (404, "BlobNotFound")
        assert refusal(blob.delete_blob) == (404, "BlobNotFound")
        container.delete_container()
        assert refusal(blob.create_page_blob, PAGE) == (404, "ContainerNotFound")

    def test_container_twice(self, container: ContainerClient) -> None:
        assert refusal(container.create_container) == (409, "ContainerAlreadyExists")

    def test_list_and_delete(self, container: ContainerClient) -> None:
        for name in ("b", "a", "other"):
            container.get_blob_client(name).create_page_blob(PAGE)
        assert [found.name for found in container.list_blobs()] == ["a", "b", "other"]
        container.get_blob_client("b").delete_blob()
        assert [found.name for found in container.list_blobs()] == ["a", "other"]

    def test_metadata_is_replaced_and_gives_a_new_etag(self, blob: BlobClient) -> None:
        before = blob.get_blob_properties().etag
        blob.set_blob_metadata({"one": "1", "two": "2"})
        blob.set_blob_metadata({"three": "3"})
        found = blob.get_blob_properties()
        assert found.metadata == {"three": "3"}
        assert found.etag != before

    def test_content_md5_stays_until_it_is_set_again(self, blob: BlobClient) -> None:
        md5 = bytearray(hashlib.md5(b"anything", usedforsecurity=False).digest())
        blob.set_http_headers(ContentSettings(content_md5=md5))
        blob.upload_page(b"x" * PAGE, 0, PAGE)
        assert blob.get_blob_properties().content_settings.content_md5 == md5
        blob.set_http_headers(ContentSettings(content_type="text/plain"))
        assert blob.get_blob_properties().content_settings.content_md5 is None

    def test_upload_blob(self, container: ContainerClient) -> None:
        data = bytearray(9 * MIB)
        data[5 * MIB : 5 * MIB + PAGE] = os.urandom(PAGE)
        blob = container.get_blob_client("disk.vhd")
        blob.upload_blob(
            bytes(data), blob_type=BlobType.PAGEBLOB, max_concurrency=3, overwrite=True
        )
        assert blob.download_blob().readall() == data

    def test_resize(self, blob: BlobClient) -> None:
        blob.upload_page(b"x" * 2 * PAGE, 0, 2 * PAGE)
        blob.resize_blob(PAGE)
        assert listed(blob) == [(0, PAGE)]
        blob.resize_blob(MIB)
        assert blob.get_blob_properties().size == MIB
        assert blob.download_blob(0, 2 * PAGE).readall() == b"x" * PAGE + bytes(PAGE)

    def test_conditions(self, blob: BlobClient) -> None:
        old = blob.get_blob_properties().etag
        blob.upload_page(b"x" * PAGE, 0, PAGE)
        stale: dict[str, Any] = {"etag": old, "match_condition": MatchConditions.IfNotModified}
        assert refusal(blob.upload_page, b"y" * PAGE, 0, PAGE, **stale) == (412, "ConditionNotMet")
        assert refusal(blob.set_blob_metadata, {}, **stale) == (412, "ConditionNotMet")
        assert refusal(blob.delete_blob, **stale) == (412, "ConditionNotMet")
        fresh: dict[str, Any] = {
            "etag": blob.get_blob_properties().etag,
            "match_condition": MatchConditions.IfNotModified,
        }
        blob.upload_page(b"y" * PAGE, 0, PAGE, **fresh)

    def test_sequence_numbers(self, blob: BlobClient) -> None:
        blob.set_sequence_number(SequenceNumberAction.UPDATE, "7")
        blob.set_sequence_number(SequenceNumberAction.INCREMENT)
        blob.set_sequence_number(SequenceNumberAction.MAX, "3")
        assert blob.get_blob_properties().page_blob_sequence_number == 8
        for condition, number in (("lt", 8), ("lte", 7), ("eq", 9)):
            wrong: dict[str, Any] = {f"if_sequence_number_{condition}": number}
            assert refusal(blob.upload_page, b"x" * PAGE, 0, PAGE, **wrong) == (
                412,
                "SequenceNumberConditionNotMet",
            )
        blob.upload_page(b"x" * PAGE, 0, PAGE, if_sequence_number_eq=8)


class TestPages:
    def test_written_and_cleared_pages(self, blob: BlobClient) -> None:
        data = os.urandom(8 * PAGE)
        blob.upload_page(data, 2 * PAGE, 8 * PAGE)
        blob.upload_page(bytes(PAGE), 10 * PAGE, PAGE)
        blob.clear_page(4 * PAGE, PAGE)
        assert listed(blob) == [(2 * PAGE, 2 * PAGE), (5 * PAGE, 6 * PAGE)]
        expected = bytearray(MIB)
        expected[2 * PAGE : 10 * PAGE] = data
        expected[4 * PAGE : 5 * PAGE] = bytes(PAGE)
        assert blob.download_blob().readall() == expected
        assert blob.download_blob(2 * PAGE + 3, 100).readall() == data[3:103]
        assert blob.download_blob(MIB - 10, 100).readall() == bytes(10)

    def test_a_large_clear(self, blob: BlobClient) -> None:
        blob.upload_page(b"x" * MIB, 0, MIB)
        blob.clear_page(PAGE, MIB - PAGE)
        assert listed(blob) == [(0, PAGE)]

    def test_ranges_of_a_part(self, blob: BlobClient) -> None:
        blob.upload_page(b"x" * 4 * PAGE, 0, 4 * PAGE)
        blob.upload_page(b"x" * 4 * PAGE, 8 * PAGE, 4 * PAGE)
        assert listed(blob, offset=2 * PAGE, length=7 * PAGE) == [
            (2 * PAGE, 2 * PAGE),
            (8 * PAGE, PAGE),
        ]

    def test_every_write_gives_a_new_etag(self, blob: BlobClient) -> None:
        first = blob.upload_page(b"x" * PAGE, 0, PAGE)["etag"]
        second = blob.upload_page(b"x" * PAGE, 0, PAGE)["etag"]
        third = blob.clear_page(0, PAGE)["etag"]
        assert len({first, second, third}) == 3
        assert blob.get_blob_properties().etag == third

    def test_crc64_is_checked_and_returned(self, blob: BlobClient) -> None:
        data = os.urandom(PAGE)
        sent = crc64_header(crc64(data))
        answer: dict[str, Any] = blob.upload_page(
            data, 0, PAGE, headers={"x-ms-content-crc64": sent}
        )
        assert base64.b64encode(answer["content_crc64"]).decode() == sent
        wrong = {"x-ms-content-crc64": crc64_header(crc64(data) ^ 1)}
        assert refusal(blob.upload_page, data, PAGE, PAGE, headers=wrong) == (400, "Crc64Mismatch")
        assert listed(blob) == [(0, PAGE)]

    def test_crc64_that_is_too_short(self, blob: BlobClient) -> None:
        headers = {"x-ms-content-crc64": "AAAA"}
        assert refusal(blob.upload_page, b"x" * PAGE, 0, PAGE, headers=headers) == (
            400,
            "InvalidHeaderValue",
        )

    def test_md5_is_checked_and_returned(self, blob: BlobClient) -> None:
        data = os.urandom(PAGE)
        digest = hashlib.md5(data, usedforsecurity=False).digest()
        assert blob.upload_page(data, 0, PAGE, validate_content=True)["content_md5"] == digest
        wrong = {"Content-MD5": base64.b64encode(bytes(16)).decode()}
        assert refusal(blob.upload_page, data, 0, PAGE, headers=wrong) == (400, "Md5Mismatch")
        short = {"Content-MD5": base64.b64encode(bytes(15)).decode()}
        assert refusal(blob.upload_page, data, 0, PAGE, headers=short) == (400, "InvalidMd5")

    def test_both_checksums(self, blob: BlobClient) -> None:
        data = b"x" * PAGE
        headers = {"x-ms-content-crc64": crc64_header(crc64(data))}
        assert refusal(blob.upload_page, data, 0, PAGE, validate_content=True, headers=headers) == (
            400,
            "BothCrc64AndMd5HeaderPresent",
        )

    def test_download_with_md5(self, blob: BlobClient) -> None:
        data = os.urandom(4 * PAGE)
        blob.upload_page(data, 0, 4 * PAGE)
        assert blob.download_blob(0, 4 * PAGE, validate_content=True).readall() == data


class TestLease:
    def test_writes_need_its_id(self, blob: BlobClient) -> None:
        lease = blob.acquire_lease(15)
        found = blob.get_blob_properties().lease
        assert (found.state, found.status, found.duration) == ("leased", "locked", "fixed")
        write = (blob.upload_page, b"x" * PAGE, 0, PAGE)
        assert refusal(*write) == (412, "LeaseIdMissing")
        assert refusal(blob.clear_page, 0, PAGE) == (412, "LeaseIdMissing")
        assert refusal(blob.set_blob_metadata, {}) == (412, "LeaseIdMissing")
        assert refusal(blob.create_page_blob, PAGE) == (412, "LeaseIdMissing")
        assert refusal(blob.resize_blob, PAGE) == (412, "LeaseIdMissing")
        assert refusal(blob.delete_blob) == (412, "LeaseIdMissing")
        other = str(uuid.uuid4())
        assert refusal(*write, lease=other) == (412, "LeaseIdMismatchWithBlobOperation")
        blob.upload_page(b"x" * PAGE, 0, PAGE, lease=lease)
        assert listed(blob) == [(0, PAGE)]
        blob.create_page_blob(PAGE, lease=lease)
        assert blob.get_blob_properties().lease.state == "leased"
        blob.delete_blob(lease=lease)

    def test_one_at_a_time(self, blob: BlobClient) -> None:
        lease = blob.acquire_lease(15)
        assert refusal(blob.acquire_lease, 15) == (409, "LeaseAlreadyPresent")
        assert refusal(blob.acquire_lease, 15, lease_id=str(uuid.uuid4())) == (
            409,
            "LeaseAlreadyPresent",
        )
        assert blob.acquire_lease(20, lease_id=lease.id).id == lease.id
        lease.release()
        blob.acquire_lease(-1).release()

    def test_infinite(self, blob: BlobClient) -> None:
        lease = blob.acquire_lease()
        assert blob.get_blob_properties().lease.duration == "infinite"
        lease.renew()
        assert lease.break_lease(0) == 0
        assert blob.get_blob_properties().lease.state == "broken"

    def test_change(self, blob: BlobClient) -> None:
        lease = blob.acquire_lease(15)
        old, new = lease.id, str(uuid.uuid4())
        lease.change(new)
        assert lease.id == new
        other = BlobLeaseClient(blob, lease_id=old)
        assert refusal(other.renew) == (409, "LeaseIdMismatchWithLeaseOperation")
        assert refusal(other.release) == (409, "LeaseIdMismatchWithLeaseOperation")
        lease.release()
        assert refusal(other.change, new) == (409, "LeaseNotPresentWithLeaseOperation")

    def test_break(self, blob: BlobClient) -> None:
        assert refusal(BlobLeaseClient(blob).break_lease) == (
            409,
            "LeaseNotPresentWithLeaseOperation",
        )
        lease = blob.acquire_lease(60)
        assert 0 < lease.break_lease(30) <= 30
        assert blob.get_blob_properties().lease.state == "breaking"
        assert refusal(lease.renew) == (409, "LeaseIsBrokenAndCannotBeRenewed")
        assert refusal(blob.acquire_lease, 15, lease_id=lease.id) == (
            409,
            "LeaseIsBreakingAndCannotBeAcquired",
        )
        assert refusal(lease.change, str(uuid.uuid4())) == (
            409,
            "LeaseIsBreakingAndCannotBeChanged",
        )
        blob.upload_page(b"x" * PAGE, 0, PAGE, lease=lease)
        assert lease.break_lease(0) == 0
        assert blob.get_blob_properties().lease.state == "broken"
        assert refusal(lease.renew) == (409, "LeaseIsBrokenAndCannotBeRenewed")
        blob.upload_page(b"x" * PAGE, 0, PAGE)
        assert blob.get_blob_properties().lease.state == "available"

    def test_wrong_values(self, blob: BlobClient) -> None:
        for seconds in (0, 14, 61):
            assert refusal(blob.acquire_lease, seconds) == (400, "InvalidHeaderValue")
        lease = blob.acquire_lease(15)
        assert refusal(lease.break_lease, 61) == (400, "InvalidHeaderValue")
