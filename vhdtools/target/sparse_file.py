"""A file of a fixed size, written at any place from any thread, with holes where nothing was.

What systems differ in is all here: positioned reads and writes, holes, and making a name last.
Raises OSError.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import sys
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from vhdtools.ranges import PAGE, PageRange, align_down, align_up, coalesce

__all__ = ["SparseFile"]

_ZEROS = memoryview(bytes(1024 * 1024))
_NO_HOLES = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}
_FLAGS = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class SparseFile:
    """An open file of `size` bytes; `create` makes a new one, `open` only reads."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path = path
        self.size = size
        self._descriptor = descriptor
        self._seek_lock = threading.Lock()

    @classmethod
    def create(cls, path: Path, size: int, like: os.stat_result | None = None) -> SparseFile:
        """A new file of `size` zeros at `path`. Raises FileExistsError where there is anything.

        It has the owner, group and mode of the file `like`, as far as the system allows, and is
        never open to more users than that.
        """
        mode = 0o666 if like is None else 0o600
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _FLAGS, mode)
        try:
            if like is not None:
                _take_after(descriptor, like)
            if sys.platform == "win32":
                _make_sparse(descriptor)
            os.ftruncate(descriptor, size)
        except BaseException:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        return cls(path, descriptor, size)

    @classmethod
    def open(cls, path: Path) -> SparseFile:
        """The file at `path`, to be read."""
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
        return cls(path, descriptor, os.fstat(descriptor).st_size)

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of `data` at `offset`."""
        while data:
            count = self._write_some(offset, data)
            offset += count
            data = data[count:]

    def read_into(self, offset: int, buffer: memoryview) -> bool:
        """Fill `buffer` from `offset`; False where the file ends before that."""
        while buffer:
            count = self._read_some(offset, buffer)
            if count == 0:
                return False
            offset += count
            buffer = buffer[count:]
        return True

    def clear(self, offset: int, length: int) -> None:
        """Make a range read as zeros, and take no room where that is possible."""
        if _punch_hole(self._descriptor, offset, length):
            return
        while length:
            piece = _ZEROS[: min(length, len(_ZEROS))]
            self.write(offset, piece)
            offset += len(piece)
            length -= len(piece)

    def data_ranges(self, offset: int, end: int) -> Iterator[PageRange]:
        """The whole pages from `offset` to `end` that are not holes, as far as can be told."""
        return coalesce(self._data_ranges(offset, end))

    def _data_ranges(self, offset: int, end: int) -> Iterator[PageRange]:
        while offset < end:
            start, stop = self._next_data(offset, end)
            first, last = max(offset, align_down(start, PAGE)), min(end, align_up(stop, PAGE))
            if first < last:
                yield PageRange(first, last - first)
            offset = max(stop, last)

    def _next_data(self, offset: int, end: int) -> tuple[int, int]:
        """Where data next begins and ends from `offset` on; (end, end) where there is none."""
        if not hasattr(os, "SEEK_DATA"):
            return offset, end
        with self._seek_lock:
            try:
                start = os.lseek(self._descriptor, offset, os.SEEK_DATA)
                return start, os.lseek(self._descriptor, start, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return end, end
                return offset, end  # not supported here; a read would tell of worse

    def finish(self, name: Path, *, replace: bool) -> None:
        """Write all to the disk, then make `name` mean this file.

        Raises FileExistsError where it means anything already, and is not to `replace` it.
        """
        os.fsync(self._descriptor)
        if sys.platform == "win32":  # an open file cannot be renamed there
            self._close_descriptor()
            if replace:
                self.path.replace(name)
            else:
                self.path.rename(name)  # which never replaces, there
            return
        if replace or not _renamed_without_replacing(self.path, name):
            self.path.replace(name)
        self._close_descriptor()
        # The file is whole and has its name; some file systems cannot sync a folder.
        with contextlib.suppress(OSError):
            folder = os.open(name.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def close(self, *, remove: bool) -> None:
        """Close the file, if it is open; `remove` it as well."""
        try:
            self._close_descriptor()
        finally:
            if remove:
                self.path.unlink(missing_ok=True)

    def _close_descriptor(self) -> None:
        # Forgotten first: its number may soon be another file's.
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor != -1:
            os.close(descriptor)

    def _write_some(self, offset: int, data: memoryview) -> int:
        if hasattr(os, "pwrite"):
            return os.pwrite(self._descriptor, data, offset)
        with self._seek_lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.write(self._descriptor, data)

    def _read_some(self, offset: int, buffer: memoryview) -> int:
        if hasattr(os, "preadv"):
            return os.preadv(self._descriptor, [buffer], offset)
        with self._seek_lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)


@cache
def _fallocate() -> Any:
    """Linux's fallocate(2), which the standard library lacks; None elsewhere."""
    if not sys.platform.startswith("linux"):
        return None
    with contextlib.suppress(AttributeError, OSError):
        function = ctypes.CDLL(None, use_errno=True).fallocate64
        function.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        return function
    return None


def _punch_hole(descriptor: int, offset: int, length: int) -> bool:
    """Whether a hole could be made; FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE is 3."""
    function = _fallocate()
    if function is None:
        return False
    if function(descriptor, 3, offset, length) == 0:
        return True
    number = ctypes.get_errno()
    if number in _NO_HOLES:
        return False
    raise OSError(number, os.strerror(number))


def _renamed_without_replacing(path: Path, name: Path) -> bool:
    """Give a file another name unless that is taken (FileExistsError); False where it cannot be.

    A rename would replace what got the name a moment ago; a link does not.
    """
    try:
        os.link(path, name, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):  # a file system without links
        if os.path.lexists(name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(name)) from None
        return False
    path.unlink()
    return True


def _take_after(descriptor: int, other: os.stat_result) -> None:
    """Give a file the owner, the group and the mode of another, where the system has these."""
    if not hasattr(os, "fchown"):
        return
    mode = stat.S_IMODE(other.st_mode) & 0o777
    ours = os.fstat(descriptor)
    if (ours.st_uid, ours.st_gid) != (other.st_uid, other.st_gid):
        try:
            os.fchown(descriptor, other.st_uid, other.st_gid)
        except PermissionError:
            # Another user's file in a folder of ours. Its group, at least; or else its group's
            # rights must not become those of ours.
            try:
                os.fchown(descriptor, -1, other.st_gid)
            except PermissionError:
                mode &= 0o707
    os.fchmod(descriptor, mode)


def _make_sparse(descriptor: int) -> None:
    """Let a file on NTFS have holes: FSCTL_SET_SPARSE. Others stay as they are."""
    if sys.platform == "win32":
        import msvcrt

        returned = ctypes.c_ulong()
        ctypes.windll.kernel32.DeviceIoControl(
            msvcrt.get_osfhandle(descriptor),
            0x900C4,
            None,
            0,
            None,
            0,
            ctypes.byref(returned),
            None,
        )
