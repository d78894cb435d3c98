"""Files of the operating system: exact reads, holes, changes, and what cannot be opened."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vhdtools.errors import SourceChangedError, SourceReadError
from vhdtools.image import source as source_module
from vhdtools.image.source import Source, data_runs, open_source

DATA = bytes(range(256)) * 16


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disk.vhd"
    path.write_bytes(DATA)
    return path


@pytest.fixture(params=["preadv", "without preadv"])
def source(path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Source:
    if request.param == "without preadv":
        monkeypatch.setattr(source_module, "_HAS_PREADV", False)
    return open_source(path)


def test_reads_are_exact(source: Source) -> None:
    assert source.size == len(DATA)
    assert source.read(0, len(DATA)) == DATA
    assert source.read(1000, 10) == DATA[1000:1010]
    assert source.read(len(DATA), 0) == b""
    buffer = bytearray(20)
    source.read_into(5, memoryview(buffer)[10:])
    assert buffer == bytes(10) + DATA[5:15]
    source.close()


def test_reads_are_completed(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system may give less than was asked for."""
    original: Callable[[Source, int, memoryview], int] = Source._read_some
    monkeypatch.setattr(
        Source, "_read_some", lambda self, position, view: original(self, position, view[:7])
    )
    assert source.read(3, 1000) == DATA[3:1003]
    source.close()


@pytest.mark.parametrize(
    ("offset", "length", "end"), [(4000, 97, 4096), (4096, 1, 4096), (9999, 1, 9999)]
)
def test_the_end_is_not_padded(source: Source, offset: int, length: int, end: int) -> None:
    with pytest.raises(SourceReadError, match="the file ends early") as raised:
        source.read(offset, length)
    assert raised.value.offset == end
    assert raised.value.subject == str(source.path)
    source.close()


def test_offsets_past_what_a_file_can_hold(source: Source) -> None:
    for offset in (1 << 63, (1 << 64) - 4):
        with pytest.raises(SourceReadError, match="past what a file can hold"):
            source.read(offset, 4)
    source.close()


def test_errors_of_the_system_are_told(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(Source, "_read_some", fails)
    with pytest.raises(SourceReadError, match="cannot be read: Input/output error") as raised:
        source.read(512, 4)
    assert raised.value.offset == 512
    assert isinstance(raised.value.__cause__, OSError)
    source.close()


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, problem in {
        "missing": "there is no such file",
        ".": "this is a folder",
        "pipe": "this is not a regular file",
        "a\0b": "cannot be opened: ",
        "n" * 300: "cannot be opened: File name too long",
        "pipe/x": "cannot be opened: Not a directory",
    }.items():
        with pytest.raises(SourceReadError, match=problem) as raised:
            open_source(tmp_path / name)
        assert raised.value.remedy
    with pytest.raises(SourceReadError, match="this is not a regular file"):
        open_source("/dev/null")

    def refused(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(SourceReadError, match="no permission to read the file"):
        open_source(tmp_path / "file")


def test_a_block_device_ends_where_seeking_says(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stat, "S_ISREG", lambda _: False)
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)
    source = open_source(path)
    assert source.read(0, source.size) == DATA
    source.close()
    with pytest.raises(SourceReadError, match="not a regular file"):
        open_source(path, devices=False)


@pytest.mark.parametrize("what", ["pipe", "error"])
def test_a_file_that_is_replaced_while_it_is_opened(
    path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing stays open, and nothing but a regular file is taken."""
    closed = []
    inode = path.stat().st_ino
    original_fstat, original_close = os.fstat, os.close

    def fstat(descriptor: int) -> os.stat_result:
        status = original_fstat(descriptor)
        if status.st_ino != inode:
            return status
        if what == "error":
            raise OSError(errno.EIO, "Input/output error")
        return os.stat_result([0o010644, *status[1:]])

    def close(descriptor: int) -> None:
        closed.append(descriptor)
        original_close(descriptor)

    monkeypatch.setattr(os, "fstat", fstat)
    monkeypatch.setattr(os, "close", close)
    with pytest.raises(SourceReadError) as raised:
        open_source(path)
    monkeypatch.undo()
    assert raised.value.problem in (
        "this is not a regular file",
        "cannot be opened: Input/output error",
    )
    assert len(closed) == 1


def test_a_change_is_noticed(path: Path) -> None:
    def touched() -> None:
        os.utime(path, ns=(0, 123_456_789))

    def longer() -> None:
        with path.open("ab") as file:
            file.write(b"x")

    def replaced() -> None:
        other = path.with_name("other")
        other.write_bytes(DATA)
        os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
        other.replace(path)

    def removed() -> None:
        path.unlink()

    for change in (touched, longer, replaced, removed):
        source = open_source(path)
        source.check_unchanged()
        change()
        with pytest.raises(SourceChangedError):
            source.check_unchanged()
        source.close()


def test_the_working_directory_may_change(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    source = open_source(path.name)
    assert source.path == Path(path.name)
    monkeypatch.chdir("/")
    source.check_unchanged()
    source.close()


def test_what_cannot_be_looked_at_any_more(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(path)
    source.close()
    with pytest.raises(ValueError, match="closed file"):
        source.check_unchanged()


def test_files_have_an_identity(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    one, other = open_source(path), open_source(tmp_path / "link")
    assert one.fingerprint == other.fingerprint
    assert one.fingerprint.identity == (path.stat().st_dev, path.stat().st_ino)
    one.close()
    other.close()


class Holes:
    """lseek of a file system that knows which bytes are data, and counts how often it is asked."""

    def __init__(self, data: list[tuple[int, int]], size: int) -> None:
        self.data = data
        self.size = size
        self.asked = 0

    def seek(self, offset: int, how: int) -> int:
        self.asked += 1
        if offset >= self.size:
            raise OSError(errno.ENXIO, "No such device or address")
        for start, end in self.data:
            if offset < end:
                if how == source_module._SEEK_DATA:
                    return max(start, offset)
                return end if offset >= start else offset
        if how == source_module._SEEK_DATA:
            raise OSError(errno.ENXIO, "No such device or address")
        return offset


@given(
    st.lists(st.tuples(st.integers(0, 1500), st.integers(1, 3000)), max_size=6),
    st.integers(1, 8000),
    st.data(),
)
def test_holes_are_whole_sectors(
    tmp_path_factory: pytest.TempPathFactory,
    pairs: list[tuple[int, int]],
    size: int,
    data: st.DataObject,
) -> None:
    """Whatever the file system tells, and some tell holes to the byte."""
    runs: list[tuple[int, int]] = []
    position = 0
    for gap, length in pairs:
        start = position + gap + (1 if runs else 0)
        position = min(start + length, size)
        if start < position:
            runs.append((start, position))
    path = tmp_path_factory.getbasetemp() / "holes"
    with path.open("wb") as file:
        file.truncate(size)
    holes = Holes(runs, size)
    start = data.draw(st.integers(0, size))
    end = data.draw(st.integers(start, size))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Source, "_seek", lambda _, offset, how: holes.seek(offset, how))
        source = open_source(path)
        found = list(data_runs(source, start, end))
        source.close()
    position = start
    for offset, length, is_data in found:
        assert offset == position
        assert length > 0
        assert (offset - start) % 512 == 0
        if not is_data:
            assert not any(offset < stop and begin < offset + length for begin, stop in runs)
        position = offset + length
    assert position == end
    kinds = [is_data for *_, is_data in found]
    assert all(one is not other for one, other in pairwise(kinds))
    if not runs and start < end:
        assert found == [(start, end - start, False)]


def test_one_question_is_enough_for_a_file_without_holes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holes = Holes([(0, len(DATA))], len(DATA))
    monkeypatch.setattr(Source, "_seek", lambda _, offset, how: holes.seek(offset, how))
    source = open_source(path)
    for start in range(0, len(DATA), 512):
        assert list(data_runs(source, start, start + 512)) == [(start, 512, True)]
    assert holes.asked == 2
    source.close()


@pytest.mark.parametrize("how", ["no constants", "not supported"])
def test_without_holes_all_is_data(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    if how == "no constants":
        monkeypatch.setattr(source_module, "_SEEK_DATA", None)
    monkeypatch.setattr(Source, "_seek", refused)
    source = open_source(path)
    assert list(data_runs(source, 512, 4096)) == [(512, 3584, True)]
    source.close()


def test_a_cut_is_no_hole(path: Path) -> None:
    source = open_source(path)
    os.truncate(path, 1024)
    with pytest.raises(SourceReadError, match="the file was cut while it was in use"):
        list(data_runs(source, 2048, 4096))
    source.close()
