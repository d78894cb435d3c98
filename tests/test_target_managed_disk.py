"""What is sent to managed disks, and above all what is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from azure.core.credentials import AccessToken

from tests.pageblob_server import SAS, ManagedDisk, Operation, PageBlobServer
from vhdtools.checksums import crc64
from vhdtools.errors import AccessError, TargetMissingError, TargetRefusedError
from vhdtools.ranges import PAGE, PageRange
from vhdtools.target.destination import open_target
from vhdtools.target.managed_disk import ManagedDiskTarget

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

MIB = 1024 * 1024
SIZE = 4 * MIB + PAGE
DATA = memoryview(b"\xa5" * MIB)
DISK = ManagedDisk("upload/abcd", SIZE, ((MIB, b"x" * PAGE),))


class Tokens:
    def __init__(self) -> None:
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        self.scopes.extend(scopes)
        return AccessToken("t0ken", 4_000_000_000)


def test_only_three_operations_are_sent(serve: Serve) -> None:
    server = serve(managed_disks=(DISK,))
    target = open_target(server.blob_url("upload/abcd"), managed_disk=True)
    state = target.state()
    assert state is not None
    assert (state.size, dict(state.metadata)) == (SIZE, {})
    target.write(0, DATA, crc64(DATA))
    assert list(target.page_ranges(0, SIZE)) == [PageRange(0, MIB + PAGE)]
    calls: list[Callable[[], object]] = [
        lambda: target.create(SIZE, {}, replace=True),
        lambda: target.acquire_lease("11111111-2222-4333-8444-555555555555"),
        target.renew_lease,
        lambda: target.clear(0, PAGE),
        lambda: target.set_metadata({"a": "b"}),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"upload SAS"):
            call()
    assert not target.capabilities.reads
    with pytest.raises(TargetRefusedError, match=r"--access-level Read"):
        target.read_into(0, bytearray(PAGE))
    target.release_lease()
    target.set_content_md5(bytes(16))
    target.finish()
    target.close()
    assert server.violations == ()
    assert {made.operation for made in server.requests} == {
        Operation.GET_PROPERTIES,
        Operation.PUT_PAGE,
        Operation.GET_PAGE_RANGES,
    }


def test_known_by_its_host(serve: Serve, lead_here: Callable[[str], None]) -> None:
    """The server, too, knows by the host that what it is asked concerns a managed disk."""
    host = "md-impexp-abc.localhost"  # any other name would have to be reached by https
    lead_here(host)
    server = serve(managed_disks=(DISK,))
    target = open_target(f"http://{host}:{server.port}/upload/abcd?{SAS}")
    assert isinstance(target, ManagedDiskTarget)
    target.write(0, DATA, crc64(DATA))
    target.close()
    assert server.violations == ()


def test_a_sas_for_reading(serve: Serve) -> None:
    server = serve(managed_disks=(replace(DISK, readable=True),))
    sas = SAS.replace("sp=racwdl", "sp=r")
    target = open_target(server.blob_url("upload/abcd", sas), managed_disk=True)
    assert target.capabilities.reads
    buffer = bytearray(PAGE)
    target.read_into(MIB, buffer)
    assert buffer == b"x" * PAGE
    target.close()
    assert server.violations == ()


def test_a_disk_that_is_not_there(serve: Serve) -> None:
    server = serve(managed_disks=(DISK,))
    target = open_target(server.blob_url("upload/other"), managed_disk=True)
    assert target.state() is None
    with pytest.raises(TargetMissingError, match=r"grant-access"):
        target.write(0, DATA, crc64(DATA))
    target.close()


def trusting(server: PageBlobServer, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    assert server.ca_pem is not None
    (folder / "ca.pem").write_bytes(server.ca_pem)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))


class TestSecuredByEntra:
    def test_sas_and_token_are_sent(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        server = serve(managed_disks=(DISK,), tls=True, token="t0ken")
        trusting(server, monkeypatch, tmp_path)
        tokens = Tokens()
        heads: list[bytes] = []
        from vhdtools.target import transport

        make_head = transport._head

        def watched(*arguments: Any) -> bytes:
            heads.append(make_head(*arguments))
            return heads[-1]

        monkeypatch.setattr(transport, "_head", watched)
        target = open_target(server.blob_url("upload/abcd"), credential=tokens, managed_disk=True)
        target.write(0, DATA, crc64(DATA))
        target.close()
        assert tokens.scopes[0] == "https://disk.azure.com//.default"
        for head in heads:
            assert b"Authorization: Bearer t0ken\r\n" in head
            assert b"&sig=" in head

    def test_a_fresh_sas_keeps_the_token(
        self, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        server = serve(managed_disks=(DISK,), tls=True)
        trusting(server, monkeypatch, tmp_path)
        other = SAS.replace("c2lnbmF0dXJl", "b3RoZXI")
        tokens = Tokens()
        target = open_target(
            server.blob_url("upload/abcd"),
            credential=tokens,
            managed_disk=True,
            refresh=lambda: other,
        )
        server.set_sas(other)
        with pytest.raises(AccessError):
            target.state()
        assert target.refresh_access() is True
        before = len(tokens.scopes)
        target.state()
        assert len(tokens.scopes) > before
        target.close()
