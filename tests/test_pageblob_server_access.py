"""Managed disks and credentials: who may do what to which blob."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.storage.blob import BlobClient, BlobServiceClient

from tests.pageblob_server import (
    SAS,
    ManagedDisk,
    Operation,
    PageBlobServer,
)
from tests.pageblob_server.clients import MIB, PAGE, client, raw, refusal

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]


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
