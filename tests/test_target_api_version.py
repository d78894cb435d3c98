"""Services that know older versions of the API alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import vhdtools
from tests.pageblob_server import (
    FlipReply,
    FlipRequest,
    Match,
    PageBlobServer,
    Refuse,
    Rule,
    WrongChecksum,
    on,
)
from tests.pageblob_server.calls import Operation
from tests.pageblob_server.errors import invalid_header
from tests.support.azurite import ACCOUNT, KEY, Azurite, start_azurite
from tests.support.build_vhd import Recipe, build
from vhdtools.checksums import crc64
from vhdtools.cli import main
from vhdtools.errors import ChecksumError, TargetMissingError, TargetRefusedError, UsageError
from vhdtools.layout import DiskType
from vhdtools.target.api_version import KNOWN_VERSIONS, ApiVersion, refuses_version
from vhdtools.target.destination import open_target

if TYPE_CHECKING:
    from tests.pageblob_server.fixtures import Serve

pytest_plugins = ["tests.pageblob_server.fixtures"]

NEWEST = KNOWN_VERSIONS[0]
DATA = memoryview(random.Random(0).randbytes(4096))


class TestTheSearch:
    @pytest.mark.parametrize("newest", KNOWN_VERSIONS[1:])
    def test_finds_the_newest(self, newest: str) -> None:
        asked: list[str] = []
        notes: list[str] = []

        def takes(version: str) -> bool:
            asked.append(version)
            return version <= newest

        version = ApiVersion(note=notes.append)
        assert version.current == NEWEST
        assert version.fall_back(NEWEST, takes)
        assert version.current == newest
        assert len(asked) <= 6
        assert len(notes) == 1
        assert newest in notes[0]
        assert ("MD5" in notes[0]) == (newest < "2019-02-02") == (not version.has_crc64)
        # Another thread that was refused with the old version finds it done.
        assert version.fall_back(NEWEST, lambda _: False)
        assert len(notes) == 1

    def test_finds_none(self) -> None:
        version = ApiVersion(note=lambda _: pytest.fail("there is nothing to tell"))
        assert not version.fall_back(NEWEST, lambda _: False)
        assert version.current == NEWEST

    def test_pinned(self) -> None:
        version = ApiVersion("2020-04-08")
        assert not version.fall_back("2020-04-08", lambda _: True)
        assert version.current == "2020-04-08"

    @pytest.mark.parametrize(
        "text", ["", "latest", "2020-4-8", "2020-13-01", "2020-04-08\n", "2020-04-32"]
    )
    def test_no_version(self, text: str) -> None:
        with pytest.raises(UsageError, match="is not a version"):
            ApiVersion(text)

    def test_known_versions_descend(self) -> None:
        assert list(KNOWN_VERSIONS) == sorted(set(KNOWN_VERSIONS), reverse=True)

    @pytest.mark.parametrize(
        ("status", "code", "detail", "head", "expected"),
        [
            (400, "InvalidHeaderValue", "x-ms-version; The value", False, True),
            (400, "InvalidHeaderValue", "The API version 2026-10-06 is not supported", False, True),
            (400, "InvalidHeaderValue", "x-ms-range", False, False),
            (400, "InvalidHeaderValue", "", True, True),
            (400, "", "", True, True),
            (400, "", "", False, False),
            (400, "UnsupportedRestVersion", "", False, True),
            (400, "InvalidInput", "", True, False),
            (403, "InvalidHeaderValue", "x-ms-version", True, False),
        ],
    )
    def test_what_says_so(
        self, status: int, code: str, detail: str, head: bool, expected: bool
    ) -> None:
        assert refuses_version(status, code, detail, head=head) is expected


@pytest.mark.parametrize("coded", [True, False], ids=["code", "no code"])
@pytest.mark.parametrize("newest", ["2017-11-09", "2018-11-09", "2019-07-07", "2026-06-06"])
def test_an_older_service(serve: Serve, newest: str, coded: bool) -> None:
    server = serve(api_version=newest, head_error_codes=coded)
    server.create_blob("disks/disk.vhd", 1 << 20)
    notes: list[str] = []
    with closing(open_target(server.blob_url("disks/disk.vhd"), note=notes.append)) as target:
        assert target.state() is not None
        assert target.write(0, DATA, crc64(DATA)) is True
        assert [item.length for item in target.page_ranges(0, 1 << 20)] == [4096]
        buffer = bytearray(4096)
        target.read_into(0, buffer)
        assert buffer == DATA
        target.set_metadata({"a": "b"})
        before = len(server.requests)
        target.state()
        assert len(server.requests) == before + 1  # what was found is kept
    assert len(notes) == 1
    assert f"{newest} is used" in notes[0]


def test_a_blob_that_is_not_there_is_missing_all_the_same(serve: Serve) -> None:
    server = serve(api_version="2019-07-07")
    with closing(open_target(server.blob_url("disks/none.vhd"))) as target:
        assert target.state() is None
    with (
        closing(open_target(server.blob_url("nowhere/none.vhd"))) as target,
        pytest.raises(TargetMissingError, match="container does not exist"),
    ):
        target.state()


class TestMd5InsteadOfCrc64:
    @pytest.fixture
    def server(self, serve: Serve) -> PageBlobServer:
        server = serve(api_version="2018-11-09")
        server.create_blob("disks/disk.vhd", 1 << 20, (0, bytes(DATA)))
        return server

    def test_damage_is_noticed(self, server: PageBlobServer) -> None:
        with closing(open_target(server.blob_url("disks/disk.vhd"))) as target:
            target.state()
            for fault in (FlipRequest(), WrongChecksum()):
                server.inject(Rule(fault))
                with pytest.raises(ChecksumError):
                    target.write(0, DATA, crc64(DATA))
            server.inject(Rule(FlipReply(7), on(Operation.GET_BLOB)))
            with pytest.raises(ChecksumError):
                target.read_into(0, bytearray(4096))


class TestPinned:
    def test_is_what_is_sent(self, serve: Serve) -> None:
        server = serve(api_version="2020-04-08")
        server.create_blob("disks/disk.vhd", 1 << 20)
        url = server.blob_url("disks/disk.vhd")
        with closing(open_target(url, api_version="2020-04-08")) as target:
            assert target.state() is not None
        assert [made.status for made in server.requests] == [200]

    @pytest.mark.parametrize("coded", [True, False], ids=["code", "no code"])
    def test_and_refused(self, serve: Serve, coded: bool) -> None:
        server = serve(api_version="2020-04-08", head_error_codes=coded)
        server.create_blob("disks/disk.vhd", 1 << 20)
        url = server.blob_url("disks/disk.vhd")
        with (
            closing(open_target(url, api_version="2021-06-08")) as target,
            pytest.raises(TargetRefusedError) as failed,
        ):
            target.state()
        assert "does not know this version of the API: x-ms-version" in failed.value.problem
        assert "Leave out --api-version" in failed.value.remedy


def test_a_header_that_no_version_mends(page_blob_server: PageBlobServer) -> None:
    """It is not the version: the error is that of the request, and the newest version stays."""
    page_blob_server.create_blob("disks/disk.vhd", 1 << 20)
    refusal = Refuse(invalid_header("x-ms-range", "odd"))
    page_blob_server.inject(Rule(refusal, Match(), times=None))
    notes: list[str] = []
    with closing(
        open_target(page_blob_server.blob_url("disks/disk.vhd"), note=notes.append)
    ) as target:
        with pytest.raises(TargetRefusedError, match="value of a header"):
            target.set_metadata({})
        with pytest.raises(TargetRefusedError):
            target.state()
        page_blob_server.clear_faults()
        assert target.state() is not None
    assert notes == []


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.vhd"
    path.write_bytes(build(Recipe("AB" + 2046 * "0", disk_type=DiskType.FIXED)))
    return path


class TestCommands:
    def test_an_older_service(self, serve: Serve, disk: Path) -> None:
        server = serve(api_version="2018-03-28")
        url = server.blob_url("disks/x.vhd")
        for command in (["upload", str(disk), url, "--verify"], ["verify", str(disk), url]):
            result = CliRunner().invoke(main, command)
            assert result.exit_code == 0, result.output
            assert result.stderr.count("2018-03-28 is used") == 1
        assert "not confirmed" not in result.output
        inspected = CliRunner().invoke(main, ["inspect", url])
        assert inspected.exit_code == 0, inspected.output
        assert inspected.stderr.count("2018-03-28 is used") == 1

    @pytest.mark.parametrize("by_variable", [True, False])
    def test_a_version_that_is_asked_for(self, serve: Serve, disk: Path, by_variable: bool) -> None:
        server = serve(api_version="2018-03-28")
        url = server.blob_url("disks/x.vhd")
        variable = {"AZCOPY_DEFAULT_SERVICE_API_VERSION": "2018-03-28"}
        for command in (["upload", str(disk), url], ["verify", str(disk), url], ["inspect", url]):
            options = [] if by_variable else ["--api-version", "2018-03-28"]
            environment = variable if by_variable else {}
            result = CliRunner().invoke(main, [*command, *options], env=environment)
            assert result.exit_code == 0, result.output
            assert "is used" not in result.stderr
        assert all(made.status != 400 for made in server.requests)

    def test_no_version(self, page_blob_server: PageBlobServer, disk: Path) -> None:
        url = page_blob_server.blob_url("disks/x.vhd")
        result = CliRunner().invoke(main, ["upload", str(disk), url, "--api-version", "new"])
        assert result.exit_code == 2
        assert "Versions are dates" in result.output


class TestLibrary:
    def test_note_and_parameter(self, serve: Serve, disk: Path) -> None:
        server = serve(api_version="2019-07-07")
        url = server.blob_url("disks/x.vhd")
        vhdtools.upload(disk, url, api_version="2019-07-07")
        vhdtools.verify(disk, url, api_version="2019-07-07")
        assert all(made.status != 400 for made in server.requests)


@pytest.fixture(scope="module")
def plain_azurite() -> Iterator[Azurite]:
    """As everyone starts it: versions newer than its own are refused."""
    with start_azurite(check_versions=True) as running:
        yield running


def test_azurite_as_everyone_starts_it(plain_azurite: Azurite, disk: Path) -> None:
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient(
        plain_azurite.endpoint,
        {"account_name": ACCOUNT, "account_key": KEY},
        api_version="2024-11-04",
    ) as service:
        service.create_container("disks")
    url = plain_azurite.blob_url("disks", "disk.vhd")
    shown = ["--connection-string", plain_azurite.connection_string]
    for command in (["upload", str(disk), url, "--verify"], ["verify", str(disk), url]):
        result = CliRunner().invoke(main, [*command, *shown])
        assert result.exit_code == 0, result.output
        assert f"The service does not know version {NEWEST} of the API" in result.stderr
    assert "not confirmed" not in result.output
