"""Ways in which other tools corrupt, lose or lie: each is tried here, and must not happen."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobClient, BlobLeaseClient
from click.testing import CliRunner

import vhdtools
from tests.pageblob_server import (
    SAS,
    ManagedDisk,
    Operation,
    PageBlobServer,
    Refuse,
    Rule,
    ServerOptions,
    on,
)
from tests.pageblob_server.errors import ServiceError
from tests.support.build_vhd import UNIQUE_ID, Recipe, child_of, guest_view, place
from tests.support.uploads import BLOCK, PER_MIB, QUICK, dynamic, expected_blob, fixed
from vhdtools.cli import main
from vhdtools.errors import (
    NotUploadableError,
    SourceChangedError,
    SourceReadError,
    TargetBusyError,
    TargetRefusedError,
    TransferInterruptedError,
    VhdToolsError,
)
from vhdtools.transfer import UploadOptions, UploadResult

NAME = "disks/disk.vhd"
MIB = 1 << 20

WORD = ("A" * 32).ljust(1024, "-") * 48
"""24 MiB: 16 KiB of data in every 512 KiB, a request each."""

NO = Refuse(ServiceError(400, "InvalidInput", "No."))


@pytest.fixture
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer() as running:
        running.create_container("disks")
        yield running


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return place(tmp_path / "disk.vhd", dynamic(WORD))


def upload(server: PageBlobServer, disk: Path, **changes: Any) -> UploadResult:
    stop = changes.pop("stop", None)
    options = UploadOptions(**{"retry": QUICK, "workers": 4, **changes})
    return vhdtools.upload(disk, server.blob_url(NAME), options=options, stop=stop)


def content(server: PageBlobServer) -> bytes:
    return server.blob(NAME).read(0, server.blob(NAME).size)


def interrupt(server: PageBlobServer, disk: Path, writes: int) -> int:
    """Stop an upload after so many writes more; where the checkpoint is then."""
    before = server.stats().by_operation.get("put-page", 0)
    stop = threading.Event()

    def watch() -> None:
        while server.stats().by_operation.get("put-page", 0) < before + writes:
            if stop.wait(0.002):
                return
        stop.set()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        with pytest.raises(TransferInterruptedError):
            upload(server, disk, stop=stop, workers=2, max_rate=2.0 * MIB)
    finally:
        stop.set()
        watching.join()
    return int(server.blob(NAME).metadata["vhdtools_checkpoint"].partition(",")[0])


class TestContentMd5:
    """A failed upload left with a valid-looking Content-MD5, because it was set at create."""

    @pytest.mark.parametrize("skip", [0, 5, 40])
    def test_a_failed_upload_has_none(self, skip: int, server: PageBlobServer, disk: Path) -> None:
        server.inject(Rule(NO, on(Operation.PUT_PAGE), skip=skip))
        with pytest.raises(TargetRefusedError):
            upload(server, disk, content_md5=True)
        assert "Content-MD5" not in server.blob(NAME).properties

    def test_a_replaced_blob_loses_that_of_the_old_content(
        self, server: PageBlobServer, disk: Path, tmp_path: Path
    ) -> None:
        upload(server, place(tmp_path / "old.vhd", fixed("B" * PER_MIB)), content_md5=True)
        assert "Content-MD5" in server.blob(NAME).properties
        server.inject(Rule(NO, on(Operation.PUT_PAGE), skip=3))
        with pytest.raises(TargetRefusedError):
            upload(server, disk, overwrite=True)
        assert "Content-MD5" not in server.blob(NAME).properties


class TestSecondInterruption:
    """A resume that takes the first unfinished chunk for done: a hole of zeros after the second."""

    def test_there_is_no_hole_however_often_it_is_interrupted(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        expected = expected_blob(disk)
        last = 0
        for writes in (5, 1, 7, 1, 3):
            at = interrupt(server, disk, writes)
            assert at >= last
            assert content(server)[:at] == expected[:at]
            last = at
        assert last > 0
        assert upload(server, disk).resumed_bytes == last
        assert content(server) == expected


class TestDynamicDisks:
    """Azure-vhd-utils, which people use for dynamic disks."""

    def test_the_size_is_that_of_the_disk_not_of_its_blocks(
        self, server: PageBlobServer, tmp_path: Path
    ) -> None:
        """Dynamic size taken as BAT entries × block size, so that the disk grows."""
        recipe = Recipe("A" * (3 * PER_MIB), block_size=BLOCK, extra_entries=7)
        disk = place(tmp_path / "disk.vhd", recipe)
        assert upload(server, disk).virtual_size == 3 * MIB
        assert server.blob(NAME).size == 3 * MIB + 512
        assert content(server) == expected_blob(disk, guest_view(recipe.content))

    def test_a_relative_parent_lies_beside_its_child(
        self, server: PageBlobServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Relative parents joined to the working directory, where another disk may be."""
        child, parent, wrong = "-B" * 2048, "A" * 4096, "C" * 4096
        there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
        there.mkdir()
        elsewhere.mkdir()
        disk = place(there / "child.vhd", child_of("parent.vhd", child, block_size=BLOCK))
        place(there / "parent.vhd", dynamic(parent))
        place(elsewhere / "parent.vhd", dynamic(wrong))
        monkeypatch.chdir(elsewhere)
        upload(server, disk)
        assert content(server) == expected_blob(disk, guest_view(child, parent))

    def test_a_parent_with_another_id_is_not_the_parent(
        self, server: PageBlobServer, tmp_path: Path
    ) -> None:
        """Parent ids never checked."""
        disk = place(tmp_path / "child.vhd", child_of("parent.vhd", "-B" * 2048, block_size=BLOCK))
        other = {"unique_id": bytes(reversed(UNIQUE_ID))}
        place(tmp_path / "parent.vhd", Recipe("A" * 4096, block_size=BLOCK, footer=other))
        with pytest.raises(NotUploadableError):
            upload(server, disk)
        assert not server.blob(NAME).exists

    @pytest.mark.parametrize(
        "operation",
        [Operation.PUT_PAGE, Operation.GET_PAGE_RANGES, Operation.SET_METADATA],
        ids=lambda item: item.value,
    )
    def test_a_late_failure_is_a_failure(
        self, operation: Operation, server: PageBlobServer, disk: Path
    ) -> None:
        """A late failure can end as success: here the last write, the last check, the mark."""
        writes = 48
        skip = writes if operation is Operation.PUT_PAGE else 0
        server.inject(Rule(NO, on(operation), skip=skip, times=None))
        command = ["upload", str(disk), server.blob_url(NAME), "--no-progress"]
        found = CliRunner().invoke(main, [*command, "--checkpoint-interval", "60"])
        assert found.exit_code == 1
        assert "Uploaded" not in found.output
        assert "vhdtools_crc64" not in server.blob(NAME).metadata


class TestChangedSource:
    """Resume by time stamp that refuses, or accepts a changed source of the same size."""

    def test_a_touched_or_copied_disk_goes_on(
        self, server: PageBlobServer, disk: Path, tmp_path: Path
    ) -> None:
        at = interrupt(server, disk, 12)
        copy = Path(shutil.copy(disk, tmp_path / "copy.vhd"))
        os.utime(copy, (1, 1))
        assert upload(server, copy).resumed_bytes == at > 0
        assert content(server) == expected_blob(disk)

    def test_a_changed_disk_with_the_old_size_and_time_is_refused(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        at = interrupt(server, disk, 12)
        before = content(server)
        was = disk.stat()
        place(disk, dynamic("B" + WORD[1:]))
        os.utime(disk, ns=(was.st_atime_ns, was.st_mtime_ns))
        assert disk.stat().st_size == was.st_size
        with pytest.raises(SourceChangedError, match=rf"\(0, {at:,}\)"):
            upload(server, disk)
        assert content(server) == before


class TestAzCopy:
    def test_a_pipe_never_becomes_a_blob_of_another_kind(
        self, server: PageBlobServer, tmp_path: Path
    ) -> None:
        """`--blob-type PageBlob` ignored when piping, so that a block blob was made."""
        pipe = tmp_path / "pipe.vhd"
        os.mkfifo(pipe)
        for source in (pipe, Path("/dev/stdin"), Path("-")):
            with pytest.raises(VhdToolsError):
                upload(server, source)
        assert not server.blob(NAME).exists

    def test_zeros_are_written_where_a_disk_holds_data(self, tmp_path: Path) -> None:
        """An old version skipped zeros on a disk that held data."""
        disk = place(tmp_path / "disk.vhd", dynamic(WORD))
        expected = expected_blob(disk)
        old = tuple((offset, b"\7" * 65536) for offset in range(0, len(expected) - 65536, MIB))
        options = ServerOptions(managed_disks=(ManagedDisk(NAME, len(expected), old),))
        with PageBlobServer(options) as server:
            vhdtools.upload(
                disk,
                server.blob_url(NAME),
                options=UploadOptions(overwrite=True, retry=QUICK),
                managed_disk=True,
            )
            assert content(server) == expected
            assert not server.violations

    def test_a_blob_with_data_is_made_anew_where_it_is_overwritten(
        self, server: PageBlobServer, disk: Path
    ) -> None:
        expected = expected_blob(disk)
        server.create_blob(NAME, len(expected), (0, b"\7" * len(expected)))
        upload(server, disk, overwrite=True)
        assert content(server) == expected


def test_the_sas_is_not_printed(server: PageBlobServer, disk: Path) -> None:
    """Add-AzVhd prints the SAS."""
    signature = SAS.rpartition("sig=")[2]
    url = server.blob_url(NAME)
    said = []
    for command in (
        ["upload", str(disk), url, "--dry-run"],
        ["upload", str(disk), url],
        ["upload", str(disk), url, "--json"],
        ["verify", str(disk), url],
        ["upload", str(disk), url.replace("disks/", "nowhere/")],
    ):
        found = CliRunner().invoke(main, command)
        said.append(found.output)
        assert "disk.vhd" in found.output
    assert signature not in "".join(said)
    assert "sig=" not in "".join(said)


class TestShortReads:
    """A short read taken for a full chunk: everything after it shifted."""

    @pytest.mark.parametrize("make", [dynamic, fixed], ids=["dynamic", "fixed"])
    def test_what_a_read_did_not_give_is_read(
        self,
        make: Callable[[str], Recipe],
        server: PageBlobServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        disk = place(tmp_path / "disk.vhd", make("A" * 5000 + "-" * 3192))
        expected = expected_blob(disk)
        read = os.preadv

        def short(descriptor: int, buffers: list[memoryview], offset: int) -> int:
            return read(descriptor, [buffers[0][:100_001]], offset)

        monkeypatch.setattr(os, "preadv", short)
        upload(server, disk)
        assert content(server) == expected

    @pytest.mark.parametrize("make", [dynamic, fixed], ids=["dynamic", "fixed"])
    def test_a_file_that_ends_early_is_an_error(
        self,
        make: Callable[[str], Recipe],
        server: PageBlobServer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Cut after it was inspected: neither zeros nor what follows take the place of the rest."""
        disk = place(tmp_path / "disk.vhd", make("A" * 16384))
        expected = expected_blob(disk)
        end = 6 * MIB
        read = os.preadv
        size = disk.stat().st_size

        def cut(descriptor: int, buffers: list[memoryview], offset: int) -> int:
            if not threading.current_thread().name.startswith("vhdtools-worker"):
                return read(descriptor, buffers, offset)  # the inspection
            if os.fstat(descriptor).st_size != size or offset < end:
                return read(descriptor, [buffers[0][: max(end - offset, 0)]], offset)
            return 0 if offset < size - 4096 else read(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", cut)
        with pytest.raises(SourceReadError, match="ends early"):
            upload(server, disk)
        monkeypatch.undo()
        at = int(server.blob(NAME).metadata["vhdtools_checkpoint"].partition(",")[0])
        assert at <= end
        assert content(server)[:at] == expected[:at]


def test_the_condition_holds_for_every_write_of_every_worker(
    server: PageBlobServer, disk: Path
) -> None:
    """`upload_blob` of the SDK drops the caller's conditions when it runs in parallel.

    Somebody breaks the lease and takes it: not one of the writes of eight workers arrives then.
    """
    taken: list[int] = []

    def take() -> None:
        while server.stats().by_operation.get("put-page", 0) < 10:
            pass
        with BlobClient.from_blob_url(server.blob_url(NAME)) as blob:
            BlobLeaseClient(blob).break_lease(0)
            lease = BlobLeaseClient(blob)
            lease.acquire(60)
            taken.append(server.blob(NAME).written_bytes)

    taker = threading.Thread(target=take)
    taker.start()
    with pytest.raises(TargetBusyError):
        upload(server, disk, workers=8, max_rate=float(MIB))
    taker.join()
    assert server.blob(NAME).written_bytes == taken[0] < len(expected_blob(disk))
    assert server.blob(NAME).lease_state == "leased"
