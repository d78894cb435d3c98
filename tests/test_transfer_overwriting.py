"""What is at a place before an upload is lost only where it can be replaced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import vhdtools
from tests.pageblob_server import (
    ACCOUNT_KEY,
    SAS,
    Operation,
    PageBlobServer,
    Refuse,
    Rule,
    on,
    server_busy,
)
from tests.pageblob_server.errors import NOT_PERMITTED, ServiceError
from tests.support.build_vhd import Recipe, build
from vhdtools.errors import AccessError, TargetRefusedError, VhdToolsError
from vhdtools.layout import DiskType
from vhdtools.transfer import RetryPolicy, UploadOptions

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

MIB = 1024 * 1024
OLD = (8192, b"o" * (5 * MIB))
IMMUTABLE = ServiceError(
    409,
    "BlobImmutableDueToPolicy",
    "This operation is not permitted as the blob is immutable due to a policy.",
)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.vhd"
    path.write_bytes(build(Recipe("AB" + 2046 * "0", disk_type=DiskType.FIXED)))
    return path


class TestTheOldBlob:
    @pytest.fixture
    def server(self, page_blob_server: PageBlobServer) -> PageBlobServer:
        page_blob_server.create_blob("disks/x.vhd", 8 * MIB, OLD)
        return page_blob_server

    @pytest.mark.parametrize(
        "refusal",
        [
            IMMUTABLE,
            NOT_PERMITTED,
            ServiceError(413, "RequestBodyTooLarge", "The request body is too large."),
        ],
        ids=lambda refusal: refusal.code,
    )
    def test_is_whole_where_no_page_can_be_written(
        self, server: PageBlobServer, disk: Path, refusal: ServiceError
    ) -> None:
        server.inject(Rule(Refuse(refusal), on(Operation.PUT_PAGE), times=None))
        with pytest.raises(VhdToolsError):
            vhdtools.upload(disk, server.blob_url("disks/x.vhd"), options=OVERWRITE)
        blob = server.blob("disks/x.vhd")
        assert blob.size == 8 * MIB
        assert blob.read(*(OLD[0], len(OLD[1]))) == OLD[1]
        assert blob.lease_state == "available"
        assert not any(made.operation is Operation.PUT_BLOB for made in server.requests)

    def test_is_replaced_where_they_can(self, server: PageBlobServer, disk: Path) -> None:
        server.inject(Rule(server_busy(), on(Operation.PUT_PAGE)))
        vhdtools.upload(disk, server.blob_url("disks/x.vhd"), options=OVERWRITE)
        assert server.blob("disks/x.vhd").size == MIB + 512
        writes = [made for made in server.requests if made.operation is Operation.PUT_PAGE]
        # As much as one request of the upload may carry, in the place it came from.
        assert [(made.offset, made.length) for made in writes[:2]] == [(8192, 4 * MIB)] * 2

    def test_without_pages_has_nothing_to_lose(
        self, page_blob_server: PageBlobServer, disk: Path
    ) -> None:
        page_blob_server.create_blob("disks/x.vhd", 8 * MIB)
        vhdtools.upload(disk, page_blob_server.blob_url("disks/x.vhd"), options=OVERWRITE)
        reads = [made for made in page_blob_server.requests if made.operation is Operation.GET_BLOB]
        assert reads == []


OVERWRITE = UploadOptions(overwrite=True, retry=RetryPolicy(first_delay=0.01, patience=5))


class TestNoBlobIsLeftThatNobodyCanDelete:
    @pytest.mark.parametrize("protection", ["legal hold", "immutability policy"])
    def test_in_an_immutable_container(self, serve: Serve, disk: Path, protection: str) -> None:
        server = serve(container_protection=protection)
        with pytest.raises(
            TargetRefusedError, match=f"the container has an? {protection}"
        ) as failed:
            vhdtools.upload(disk, "disks/x.vhd", connection_string=server.connection_string)
        assert failed.value.code == "BlobImmutableDueToPolicy"
        assert "az storage container create" in failed.value.remedy
        assert not server.blob("disks/x.vhd").exists

    def test_where_it_cannot_be_known(self, serve: Serve, disk: Path) -> None:
        """A service SAS does not allow to ask."""
        server = serve()
        vhdtools.upload(disk, server.blob_url("disks/x.vhd"))
        assert not any(made.operation is Operation.GET_CONTAINER for made in server.requests)
        refusal = Rule(Refuse(NOT_PERMITTED), on(Operation.GET_CONTAINER))
        server.inject(refusal)
        vhdtools.upload(disk, server.blob_url("disks/y.vhd", None), credential=ACCOUNT_KEY)
        assert server.stats().faults["403 AuthorizationPermissionMismatch"] == 1

    def test_with_a_sas_that_allows_no_writing(
        self, page_blob_server: PageBlobServer, disk: Path
    ) -> None:
        sas = SAS.replace("sp=racwdl", "sp=rc")
        with pytest.raises(AccessError, match="it has the permissions rc, and w is needed"):
            vhdtools.upload(disk, page_blob_server.blob_url("disks/x.vhd", sas))
        assert not page_blob_server.blob("disks/x.vhd").exists
