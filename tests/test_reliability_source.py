"""Disks that fail or change while they are uploaded: real files, over HTTP, by the command."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import vhdtools
from tests.pageblob_server import Operation, PageBlobServer, Rule, Stall, on
from tests.support.build_vhd import child_of, place
from tests.support.uploads import PER_MIB, QUICK, Stages, dynamic, expected_blob, fixed
from vhdtools.cli import main
from vhdtools.errors import TransferInterruptedError
from vhdtools.transfer import UploadOptions

NAME = "disks/disk.vhd"
WORD = ("A" * 32).ljust(PER_MIB, "-") * 12
MIB = 1 << 20


@pytest.fixture
def server() -> Iterator[PageBlobServer]:
    with PageBlobServer() as running:
        running.create_container("disks")
        yield running
    assert not [t.name for t in threading.enumerate() if t.name.startswith("vhdtools")]


def run(disk: Path, server: PageBlobServer, *options: str) -> Result:
    command = ["upload", str(disk), server.blob_url(NAME), "--no-progress"]
    return CliRunner().invoke(main, [*command, "--checkpoint-interval", "0.1", *options])


def checkpoint(server: PageBlobServer) -> int:
    return int(server.blob(NAME).metadata["vhdtools_checkpoint"].partition(",")[0])


def while_a_write_hangs(server: PageBlobServer, do: Callable[[], object]) -> threading.Thread:
    """Do something when the fifth write is under way; it goes on a little later."""
    server.inject(Rule(Stall(None), on(Operation.PUT_PAGE), skip=4))

    def act() -> None:
        while not server.stats().faults:
            time.sleep(0.002)
        do()
        time.sleep(0.3)  # the source is looked at every 0.1 s
        server.release()

    acting = threading.Thread(target=act)
    acting.start()
    return acting


def truncate(disk: Path) -> None:
    os.truncate(disk, disk.stat().st_size // 2)


def append(disk: Path) -> None:
    with disk.open("ab") as file:
        file.write(b"more")


def overwrite(disk: Path) -> None:
    with disk.open("r+b") as file:
        file.seek(disk.stat().st_size // 2)
        file.write(b"other")


def replace(disk: Path) -> None:
    other = disk.with_name("other.vhd")
    other.write_bytes(disk.read_bytes())
    other.replace(disk)


def remove(disk: Path) -> None:
    disk.unlink()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *(("fixed", change) for change in (truncate, append, overwrite, replace, remove)),
        *((kind, change) for kind in ("dynamic", "parent") for change in (truncate, overwrite)),
    ],
)
def test_a_file_that_changes_under_way_ends_the_upload(
    kind: str, change: Callable[[Path], None], server: PageBlobServer, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.vhd"
    victim = disk
    if kind == "parent":
        victim = place(tmp_path / "parent.vhd", dynamic(WORD))
        place(disk, child_of("parent.vhd", "-" * len(WORD), block_size=2 * MIB))
    else:
        place(disk, fixed(WORD) if kind == "fixed" else dynamic(WORD))
    acting = while_a_write_hangs(server, lambda: change(victim))
    found = run(disk, server, "--workers", "1")
    acting.join()
    assert found.exit_code == 1
    assert victim.name in found.stderr
    assert "vhdtools_crc64" not in server.blob(NAME).metadata
    assert checkpoint(server) <= 5 * MIB
    assert server.blob(NAME).lease_state == "available"


class TestReadErrors:
    """The operating system cannot read a part of the file."""

    @pytest.fixture
    def disk(self, tmp_path: Path) -> Path:
        return place(tmp_path / "disk.vhd", fixed(WORD))

    def broken(self, monkeypatch: pytest.MonkeyPatch, bad: int, code: int = errno.EIO) -> None:
        read = os.preadv

        def fail(descriptor: int, buffers: list[memoryview], offset: int) -> int:
            if offset <= bad < offset + len(buffers[0]):
                raise OSError(code, os.strerror(code))
            return read(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", fail)

    @pytest.mark.parametrize("bad", [0, 8192, 12 * MIB - 512])
    def test_where_the_inspection_reads_nothing_is_sent(
        self, bad: int, disk: Path, server: PageBlobServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.broken(monkeypatch, bad)
        found = run(disk, server)
        assert found.exit_code == 1
        assert "Input/output error" in found.stderr
        assert not server.requests

    @pytest.mark.parametrize("bad", [MIB, 5 * MIB, 6 * MIB])
    def test_end_the_upload_and_it_goes_on_when_mended(
        self, bad: int, disk: Path, server: PageBlobServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        expected = expected_blob(disk)
        with monkeypatch.context() as patched:
            self.broken(patched, bad)
            found = run(disk, server)
        assert found.exit_code == 1
        assert "Input/output error" in found.stderr
        assert server.blob(NAME).read(bad, 512) == bytes(512), "nothing is made up"
        assert checkpoint(server) <= bad
        again = run(disk, server)
        assert again.exit_code == 0
        assert server.blob(NAME).read(0, len(expected)) == expected

    def test_while_what_is_there_is_checked(
        self, disk: Path, server: PageBlobServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run(disk, server).exit_code == 0
        metadata = server.blob(NAME).metadata
        self.broken(monkeypatch, 5 * MIB)
        assert run(disk, server).exit_code == 1
        assert server.blob(NAME).metadata == metadata

    def test_while_hashing_alone(
        self, disk: Path, server: PageBlobServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What the upload could read, and the hash could not."""
        read = os.preadv

        def fail(descriptor: int, buffers: list[memoryview], offset: int) -> int:
            if threading.current_thread().name.startswith("vhdtools-md5") and offset >= 5 * MIB:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return read(descriptor, buffers, offset)

        monkeypatch.setattr(os, "preadv", fail)
        found = run(disk, server, "--content-md5")
        assert found.exit_code == 1
        assert "Input/output error" in found.stderr
        assert "Content-MD5" not in server.blob(NAME).properties
        assert "vhdtools_crc64" not in server.blob(NAME).metadata


def test_stopped_while_it_writes_a_file_it_leaves_none(tmp_path: Path) -> None:
    disk = place(tmp_path / "disk.vhd", dynamic(WORD))
    stop = threading.Event()

    class Stopping(Stages):
        def advance(self, amount: int) -> None:
            stop.set()
            super().advance(amount)

    options = UploadOptions(retry=QUICK, workers=1, progress=Stopping(), max_rate=float(MIB))
    with pytest.raises(TransferInterruptedError, match="nothing is kept"):
        vhdtools.upload(disk, f"file:{tmp_path / 'out.vhd'}", options=options, stop=stop)
    assert [path.name for path in tmp_path.iterdir()] == ["disk.vhd"]


def test_a_failure_while_it_writes_a_file_keeps_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = place(tmp_path / "disk.vhd", dynamic(WORD))
    out = tmp_path / "out.vhd"
    out.write_bytes(b"an older disk")
    read = os.preadv

    def fail(descriptor: int, buffers: list[memoryview], offset: int) -> int:
        if threading.current_thread().name.startswith("vhdtools-worker"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(descriptor, buffers, offset)

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(vhdtools.VhdToolsError, match="Input/output"):
        vhdtools.upload(disk, f"file:{out}", options=UploadOptions(overwrite=True, retry=QUICK))
    assert out.read_bytes() == b"an older disk"
    assert {path.name for path in tmp_path.iterdir()} == {"disk.vhd", "out.vhd"}
