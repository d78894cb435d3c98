"""Answers that a proxy packed otherwise are read, and cost nothing: chunks, gzip, HTTP/1.0."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pageblob_server import Match, OldVersion, Operation, PageBlobServer, Repack, Rule, on
from tests.pageblob_server.faults import Fault
from tests.support.build_vhd import place
from tests.support.uploads import PER_MIB, dynamic, expected_blob, send, target_at
from vhdtools.checksums import crc64
from vhdtools.errors import TargetMissingError
from vhdtools.ranges import PAGE, PageRange

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

NAME = "disks/x.vhd"
DATA = bytes(range(256)) * 64
WAYS: dict[str, Fault] = {
    "chunks": Repack(),
    "gzip": Repack(gzip=True),
    "HTTP/1.0": OldVersion(),
}


@pytest.fixture(params=WAYS)
def server(request: pytest.FixtureRequest, serve: Serve) -> PageBlobServer:
    """Every answer of which comes through such a proxy."""
    return serve(Rule(WAYS[request.param], Match(), times=None))


def test_every_call(server: PageBlobServer) -> None:
    with target_at(server.blob_url(NAME)) as target:
        assert target.state() is None
        target.create(1 << 20, {"a": "b"}, replace=False)
        assert target.write(4096, memoryview(DATA), crc64(DATA)) is True
        state = target.state()
        assert state is not None
        assert (state.size, dict(state.metadata)) == (1 << 20, {"a": "b"})
        assert list(target.page_ranges(0, 1 << 20)) == [PageRange(4096, len(DATA))]
        buffer = bytearray(len(DATA))
        target.read_into(4096, buffer)
        assert buffer == DATA


def test_an_upload_without_retries(server: PageBlobServer, tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", dynamic("A" * PER_MIB + "-" * PER_MIB + "B" * PER_MIB * 2))
    result = send(disk, server.blob_url(NAME))
    assert result.retries == 0
    assert result.unconfirmed_requests == 0
    blob = server.blob(NAME)
    assert blob.read(0, blob.size) == expected_blob(disk)


def test_refusals_keep_their_reasons(server: PageBlobServer) -> None:
    with (
        target_at(server.blob_url("none/x.vhd")) as target,
        pytest.raises(TargetMissingError) as failed,
    ):
        target.create(PAGE, {}, replace=False)
    assert failed.value.code == "ContainerNotFound"


def test_a_refusal_of_head_has_no_body(serve: Serve) -> None:
    """And the connection is fit for the next request."""
    server = serve()
    with target_at(server.blob_url(NAME)) as target:
        for _ in range(3):
            assert target.state() is None
    assert server.stats().connections == 1


def test_an_old_server_gets_a_connection_for_each_request(serve: Serve) -> None:
    server = serve(Rule(OldVersion(), on(Operation.GET_PROPERTIES), times=None))
    with target_at(server.blob_url(NAME)) as target:
        for _ in range(3):
            assert target.state() is None
    assert server.stats().connections == 3
