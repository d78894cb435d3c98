"""What only local files do: names, locks, holes, and what systems lack."""

from __future__ import annotations

import errno
import os
import resource
import secrets
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vhdtools.checksums import crc64
from vhdtools.errors import (
    TargetError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
)
from vhdtools.ranges import PAGE, PageRange
from vhdtools.target import sparse_file
from vhdtools.target.local import LocalFileTarget

MIB = 1024 * 1024
SIZE = 8 * MIB
DATA = memoryview(b"\xa5" * (64 * 1024))


def write(target: LocalFileTarget, offset: int, data: memoryview = DATA) -> None:
    assert target.write(offset, data, crc64(data)) is True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.vhd"


@pytest.fixture
def target(path: Path) -> LocalFileTarget:
    made = LocalFileTarget(path)
    made.create(SIZE, {}, replace=False)
    return made


class TestNames:
    def test_named_when_finished(self, path: Path, target: LocalFileTarget) -> None:
        write(target, MIB)
        assert not path.exists()
        target.finish()
        assert [found.name for found in path.parent.iterdir()] == ["out.vhd"]
        assert path.read_bytes() == bytes(MIB) + DATA + bytes(SIZE - MIB - len(DATA))

    def test_nothing_is_left_of_what_was_not(self, path: Path, target: LocalFileTarget) -> None:
        write(target, 0)
        target.close()
        assert list(path.parent.iterdir()) == []

    def test_the_old_stays_until_the_new_is_whole(self, path: Path) -> None:
        path.write_bytes(b"old")
        target = LocalFileTarget(path)
        target.create(SIZE, {}, replace=True)
        write(target, 0)
        assert path.read_bytes() == b"old"
        target.close()
        assert path.read_bytes() == b"old"
        target.create(SIZE, {}, replace=True)
        target.finish()
        assert path.read_bytes() == bytes(SIZE)

    def test_finished_is_not_written_again(self, target: LocalFileTarget) -> None:
        target.finish()
        calls: list[Callable[[], None]] = [
            lambda: write(target, 0),
            lambda: target.clear(0, PAGE),
            target.finish,
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"was not created"):
                call()
        with pytest.raises(TargetExistsError):
            target.create(SIZE, {}, replace=False)

    def test_existing_is_read_not_written(self, path: Path) -> None:
        path.write_bytes(bytes(PAGE) + b"x" * PAGE)
        target = LocalFileTarget(path)
        buffer = bytearray(PAGE)
        target.read_into(PAGE, buffer)
        assert buffer == b"x" * PAGE
        with pytest.raises(ValueError, match=r"was not created"):
            target.write(0, memoryview(buffer), crc64(buffer))
        target.close()
        assert path.exists()

    def test_what_cannot_be_a_file(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder.vhd"
        folder.mkdir()
        with pytest.raises(TargetRefusedError, match=r"not a file"):
            LocalFileTarget(folder).state()
        with pytest.raises(TargetMissingError, match=r"Create the folder"):
            LocalFileTarget(tmp_path / "none" / "x.vhd").create(SIZE, {}, replace=False)
        (tmp_path / "file").touch()
        with pytest.raises(TargetRefusedError):
            LocalFileTarget(tmp_path / "file" / "x.vhd").create(SIZE, {}, replace=False)


class TestOneWriter:
    def test_what_is_beside_is_not_touched(self, path: Path) -> None:
        beside = path.with_name("out.vhd.partial")
        beside.write_bytes(b"somebody's disk")
        target = LocalFileTarget(path)
        target.create(SIZE, {}, replace=True)
        write(target, 0)
        target.close()
        assert beside.read_bytes() == b"somebody's disk"
        assert list(path.parent.iterdir()) == [beside]

    def test_not_even_where_the_name_is_guessed(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(secrets, "token_hex", lambda _: "guess")
        victim = path.with_name("victim")
        beside = path.with_name("out.vhd.guess.partial")
        beside.symlink_to(victim)
        with pytest.raises(TargetRefusedError):
            LocalFileTarget(path).create(SIZE, {}, replace=True)
        assert not victim.exists()
        assert beside.is_symlink()

    def test_the_second_does_not_replace_what_the_first_finished(
        self, path: Path, target: LocalFileTarget
    ) -> None:
        write(target, 0)
        other = LocalFileTarget(path)
        other.create(SIZE, {}, replace=False)
        other.finish()
        with pytest.raises(TargetExistsError):
            target.finish()
        target.close()
        assert path.read_bytes() == bytes(SIZE)
        assert list(path.parent.iterdir()) == [path]

    def test_after_closing_what_is_there_counts(self, path: Path, target: LocalFileTarget) -> None:
        target.close()
        path.write_bytes(b"somebody's disk")
        with pytest.raises(TargetExistsError):
            target.create(SIZE, {}, replace=False)

    def test_the_dead_do_not_block(self, path: Path) -> None:
        script = (
            "import os, signal, sys; from pathlib import Path; "
            "from vhdtools.target.local import LocalFileTarget; "
            "from vhdtools.checksums import crc64; "
            "target = LocalFileTarget(Path(sys.argv[1])); target.create(1 << 24, {}, replace=False)"
            "; data = memoryview(b'dead' * 1024); target.write(4096, data, crc64(data)); "
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
        assert done.returncode == -9
        (left,) = path.parent.iterdir()
        assert left.name.startswith("out.vhd.")
        assert left.name.endswith(".partial")
        target = LocalFileTarget(path)
        assert target.state() is None
        target.create(SIZE, {}, replace=False)
        target.finish()
        assert path.read_bytes() == bytes(SIZE)

    @pytest.mark.parametrize("call", ["open", "fsync"])
    def test_a_folder_that_cannot_be_synced(
        self, path: Path, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch, call: str
    ) -> None:
        works = getattr(os, call)

        def fail(what: Any, *rest: Any) -> Any:
            folder = path.parent.is_dir() if call == "open" else path.exists()
            if folder:
                raise OSError(errno.EINVAL, "Invalid argument")
            return works(what, *rest)

        monkeypatch.setattr(os, call, fail)
        target.finish()
        monkeypatch.undo()
        target.close()
        assert path.read_bytes() == bytes(SIZE)

    def test_a_name_that_cannot_be_had(
        self, path: Path, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "link", fail)
        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(TargetRefusedError):
            target.finish()
        target.close()
        assert list(path.parent.iterdir()) == []


class TestRoom:
    def test_holes_take_none(self, path: Path) -> None:
        target = LocalFileTarget(path)
        target.create(1 << 40, {}, replace=False)
        write(target, (1 << 40) - len(DATA))
        target.finish()
        assert path.stat().st_size == 1 << 40
        assert path.stat().st_blocks * 512 <= MIB

    def test_cleared_gives_it_back(self, path: Path, target: LocalFileTarget) -> None:
        for offset in range(0, SIZE, len(DATA)):
            write(target, offset)
        target.clear(0, SIZE)
        assert list(target.page_ranges(0, SIZE)) == []
        target.finish()
        assert path.stat().st_blocks * 512 <= MIB

    def test_when_there_is_no_more(self, target: LocalFileTarget) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (MIB, hard))
        try:
            with pytest.raises(TargetRefusedError) as failed:
                write(target, 2 * MIB)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "Make room" in failed.value.remedy
        assert failed.value.offset == 2 * MIB
        target.close()

    @pytest.mark.parametrize(
        ("number", "word"),
        [
            (errno.ENOSPC, "Make room"),
            (errno.EDQUOT, "Make room"),
            (errno.EACCES, "permissions"),
            (errno.EROFS, "another file"),
            (errno.EIO, "another file"),
        ],
    )
    def test_what_the_system_says(
        self, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch, number: int, word: str
    ) -> None:
        def fail(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "pwrite", fail)
        with pytest.raises(TargetRefusedError) as failed:
            write(target, 0)
        assert os.strerror(number) in failed.value.problem
        assert word in failed.value.remedy
        target.close()


class TestSystemsThatLackSomething:
    def test_holes(self, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where holes cannot be told, everything may be data."""
        monkeypatch.delattr(os, "SEEK_DATA")
        assert list(target.page_ranges(PAGE, MIB)) == [PageRange(PAGE, MIB)]
        target.close()

    @pytest.mark.parametrize("number", [errno.EINVAL, errno.EOVERFLOW, errno.EIO])
    def test_holes_on_this_file_system(
        self, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        def fail(*_: object) -> int:
            raise OSError(number, os.strerror(number))

        monkeypatch.setattr(os, "lseek", fail)
        assert list(target.page_ranges(PAGE, MIB)) == [PageRange(PAGE, MIB)]
        target.close()

    @pytest.mark.parametrize("failing", [False, True])
    def test_punching(
        self,
        path: Path,
        target: LocalFileTarget,
        monkeypatch: pytest.MonkeyPatch,
        failing: bool,
    ) -> None:
        def no_support(*_: object) -> int:
            import ctypes

            ctypes.set_errno(errno.EOPNOTSUPP)
            return -1

        monkeypatch.setattr(sparse_file, "_fallocate", lambda: no_support if failing else None)
        write(target, 3 * MIB)
        write(target, 0)
        target.clear(PAGE, 5 * MIB)
        target.finish()
        assert path.read_bytes() == bytes(DATA[:PAGE]) + bytes(SIZE - PAGE)

    def test_positioned_reads_and_writes(
        self, path: Path, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr(os, "pwrite")
        monkeypatch.delattr(os, "preadv")
        write(target, MIB)
        buffer = bytearray(len(DATA))
        target.read_into(MIB, buffer)
        assert buffer == DATA
        target.finish()
        assert path.read_bytes()[MIB : MIB + len(DATA)] == DATA

    def test_whole_writes(
        self, path: Path, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = os.pwrite
        monkeypatch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:1000], at))
        write(target, MIB)
        target.finish()
        assert path.read_bytes()[MIB : MIB + len(DATA)] == DATA


def test_a_file_cut_by_others(path: Path, target: LocalFileTarget) -> None:
    write(target, 0)
    (partial,) = path.parent.iterdir()
    os.truncate(partial, MIB)
    with pytest.raises(TargetError, match=r"ends too early"):
        target.read_into(MIB - PAGE, bytearray(2 * PAGE))
    target.close()


def test_carries_no_metadata(path: Path) -> None:
    with pytest.raises(ValueError, match=r"metadata"):
        LocalFileTarget(path).create(SIZE, {"a": "b"}, replace=False)
    assert not list(path.parent.iterdir())


class TestReplacing:
    """What a file that is replaced hands on, and what is not replaced."""

    def replaced(self, path: Path) -> None:
        target = LocalFileTarget(path)
        target.create(SIZE, {}, replace=True)
        write(target, 0)
        target.finish()
        target.close()

    @pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o400])
    def test_the_mode_stays(self, mode: int, path: Path) -> None:
        path.write_bytes(b"an older disk")
        path.chmod(mode)
        self.replaced(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert path.stat().st_size == SIZE

    def test_nobody_else_can_read_it_meanwhile(self, path: Path) -> None:
        path.write_bytes(b"an older disk")
        path.chmod(0o600)
        target = LocalFileTarget(path)
        target.create(SIZE, {}, replace=True)
        (partial,) = path.parent.glob("*.partial")
        assert stat.S_IMODE(partial.stat().st_mode) == 0o600
        target.close()

    def test_the_owner_stays(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path.write_bytes(b"an older disk")
        was, status = path.stat(), os.fstat
        given: list[tuple[int, int]] = []

        def of_another(descriptor: int) -> os.stat_result:
            fields = list(status(descriptor))
            fields[4:6] = [was.st_uid + 1, was.st_gid + 1]
            return os.stat_result(fields)

        def chown(_descriptor: int, user: int, group: int) -> None:
            given.append((user, group))

        monkeypatch.setattr(os, "fstat", of_another)
        monkeypatch.setattr(os, "fchown", chown)
        self.replaced(path)
        assert given == [(was.st_uid, was.st_gid)]

    @pytest.mark.parametrize(("group_too", "mode"), [(False, 0o664), (True, 0o604)])
    def test_a_group_that_cannot_be_kept_has_no_rights(
        self, group_too: bool, mode: int, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path.write_bytes(b"an older disk")
        path.chmod(0o664)
        was, status = path.stat(), os.fstat

        def of_another(descriptor: int) -> os.stat_result:
            fields = list(status(descriptor))
            fields[4:6] = [was.st_uid + 1, was.st_gid + 1]
            return os.stat_result(fields)

        def chown(_descriptor: int, user: int, _group: int) -> None:
            if user != -1 or group_too:
                raise PermissionError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "fstat", of_another)
        monkeypatch.setattr(os, "fchown", chown)
        self.replaced(path)
        assert stat.S_IMODE(path.stat().st_mode) == mode

    def test_a_link_stays_and_what_it_leads_to_is_replaced(
        self, path: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "elsewhere"
        other.mkdir()
        real = other / "real.vhd"
        real.write_bytes(b"an older disk")
        path.symlink_to(real)
        self.replaced(path)
        assert path.is_symlink()
        assert real.stat().st_size == SIZE
        assert list(other.iterdir()) == [real]

    def test_a_link_to_nothing_is_something(self, path: Path) -> None:
        path.symlink_to(path.with_name("nothing.vhd"))
        target = LocalFileTarget(path)
        assert target.state() is not None
        with pytest.raises(TargetExistsError):
            target.create(SIZE, {}, replace=False)
        assert path.is_symlink()
        self.replaced(path)
        assert path.stat().st_size == SIZE

    @pytest.mark.parametrize("links", [True, False])
    def test_what_came_meanwhile_is_not_replaced(
        self, links: bool, path: Path, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A link to nothing, too; also on a file system that has no hard links."""
        path.symlink_to(path.with_name("nothing.vhd"))
        if not links:

            def fail(*_: object, **__: object) -> None:
                raise OSError(errno.EPERM, "Operation not permitted")

            monkeypatch.setattr(os, "link", fail)
        with pytest.raises(TargetExistsError):
            target.finish()
        target.close()
        assert path.is_symlink()
        assert list(path.parent.iterdir()) == [path]

    def test_a_file_system_without_links(
        self, path: Path, target: LocalFileTarget, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", fail)
        target.finish()
        target.close()
        assert path.read_bytes() == bytes(SIZE)
        assert list(path.parent.iterdir()) == [path]
