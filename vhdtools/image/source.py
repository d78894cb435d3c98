"""One file of the operating system, read at any offset from any thread."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

from vhdtools.errors import SourceChangedError, SourceReadError
from vhdtools.ranges import PAGE, align_down, align_up

__all__ = ["Fingerprint", "Readable", "Source", "data_runs", "open_source"]

_MAX_OFFSET = (1 << 63) - 1
_HAS_PREADV = hasattr(os, "preadv")
_SEEK_DATA: int | None = getattr(os, "SEEK_DATA", None)
_SEEK_HOLE: int | None = getattr(os, "SEEK_HOLE", None)
# O_NONBLOCK: a FIFO must not keep us waiting; O_BINARY and O_CLOEXEC as `open` sets them.
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOINHERIT", "O_BINARY")
)


class Fingerprint(NamedTuple):
    """What tells a file from another, and from itself once written: bytes, ns, device, inode."""

    size: int
    mtime_ns: int
    device: int
    inode: int

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode: equal for all names of one file."""
        return self.device, self.inode


class Readable(Protocol):
    """A row of bytes with a name, read at any offset: a file, or a disk that is somewhere else."""

    @property
    def path(self) -> Path:
        """Its name."""
        ...

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from byte `offset`, all of them or an exception."""
        ...


class Source:
    """An open file: `size` bytes as of when it was opened. Owns its descriptor.

    Reads are exact: all that is asked for, or SourceReadError. `close` only when no other thread
    reads any more.
    """

    __slots__ = ("_absolute", "_descriptor", "_lock", "_run", "fingerprint", "path", "size")

    def __init__(self, path: Path, descriptor: int, size: int, fingerprint: Fingerprint) -> None:
        self.path = path
        self.size = size
        self.fingerprint = fingerprint
        self._absolute = path.absolute()  # the working directory may change
        self._descriptor = descriptor
        self._lock = threading.Lock()  # guards the file position, where one is used
        self._run = (0, 0, True)  # the last answer of run_at, with the offset asked for

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from byte `offset`. Raises SourceReadError, also where the file ends."""
        data = bytearray(length)
        self.read_into(offset, memoryview(data))
        return bytes(data)

    def read_into(self, offset: int, view: memoryview) -> None:
        """Fill `view` (bytes) from byte `offset`. Raises SourceReadError, also at the end."""
        self.check_open()
        done = 0
        while done < len(view):
            position = offset + done
            if position > _MAX_OFFSET:
                raise SourceReadError(
                    str(self.path), "a read lies past what a file can hold", offset=position
                )
            try:
                got = self._read_some(position, view[done:] if done else view)
            except OSError as exc:
                raise SourceReadError(
                    str(self.path),
                    f"cannot be read: {exc.strerror or exc}",
                    "Check the disk or network share that holds the file.",
                    position,
                ) from exc
            if not got:
                raise SourceReadError(
                    str(self.path),
                    f"the file ends early: {len(view) - done:,} more bytes were expected",
                    "It may have been cut while it was read, or copied incompletely.",
                    position,
                )
            done += got

    def check_open(self) -> None:
        """Raise ValueError after `close`, as Python's files do."""
        if self._descriptor < 0:
            raise ValueError(f"I/O operation on closed file: {self.path}")

    def run_at(self, offset: int) -> tuple[int, bool]:
        """The end of the run that byte `offset` is in, and whether it is data (else a hole).

        Where the platform or the file system knows of no holes, all is one run of data. Raises
        SourceReadError where the file was cut since it was opened.
        """
        self.check_open()
        start, end, is_data = self._run
        if not start <= offset < end:
            end, is_data = self._find_run(offset)
            self._run = (offset, end, is_data)
        return end, is_data

    def check_unchanged(self) -> None:
        """Raise SourceChangedError if the file was written, cut or replaced since it was opened.

        Looks at the descriptor and at what now has the file's name. SourceReadError where
        neither can be asked.
        """
        self.check_open()
        try:
            now = {_fingerprint(os.fstat(self._descriptor)), _fingerprint(self._absolute.stat())}
        except FileNotFoundError as exc:
            raise SourceChangedError(
                str(self.path), "the file was removed or renamed while it was in use"
            ) from exc
        except OSError as exc:
            raise SourceReadError(
                str(self.path), f"cannot be looked at: {exc.strerror or exc}"
            ) from exc
        if now != {self.fingerprint}:
            raise SourceChangedError(
                str(self.path),
                "the file was changed while it was in use",
                "Shut down the virtual machine, or whatever writes to the disk, and start again.",
            )

    def close(self) -> None:
        """Close the file; harmless when done before."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    def _find_run(self, offset: int) -> tuple[int, bool]:
        if _SEEK_DATA is None or _SEEK_HOLE is None:
            return self.size, True
        try:
            data = self._seek(offset, _SEEK_DATA)
            if data > offset:
                return min(data, self.size), False
            return min(self._seek(offset, _SEEK_HOLE), self.size), True
        except OSError as exc:
            if exc.errno != errno.ENXIO:
                return self.size, True  # not supported here; a read would tell of worse
        # No data from here on: a hole up to the end, unless the file was cut before it.
        if os.fstat(self._descriptor).st_size < self.fingerprint.size:
            raise SourceReadError(
                str(self.path),
                "the file was cut while it was in use",
                "Shut down whatever writes to the disk, and start again.",
                offset,
            )
        return self.size, False

    def _read_some(self, position: int, view: memoryview) -> int:
        if _HAS_PREADV:
            return os.preadv(self._descriptor, [view], position)
        with self._lock:
            os.lseek(self._descriptor, position, os.SEEK_SET)
            data = os.read(self._descriptor, len(view))
        view[: len(data)] = data
        return len(data)

    def _seek(self, offset: int, how: int) -> int:
        with self._lock:
            return os.lseek(self._descriptor, offset, how)


def open_source(path: str | os.PathLike[str], *, devices: bool = True) -> Source:
    """Open a regular file (or, with `devices`, a block device) for reading.

    Raises SourceReadError: no such file, a folder, no permission, a pipe or another thing that
    cannot be read at any offset.
    """
    path = Path(path)
    try:
        _refuse_special(path, path.stat().st_mode, devices)
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as exc:  # ValueError: a NUL in the name
        raise _cannot_open(path, exc) from exc
    try:
        status = os.fstat(descriptor)
        _refuse_special(path, status.st_mode, devices)
        size = status.st_size
        if stat.S_ISBLK(status.st_mode):
            size = os.lseek(descriptor, 0, os.SEEK_END)
        return Source(path, descriptor, size, _fingerprint(status))
    except OSError as exc:
        os.close(descriptor)
        raise _cannot_open(path, exc) from exc
    except SourceReadError:
        os.close(descriptor)
        raise


def data_runs(source: Source, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """The bytes from `start` to `end` as (offset, length, whether data or a hole), in order.

    Holes begin and end at whole sectors from `start`, or at `end`; neighbours differ.
    """
    position = run_start = start
    while position < end:
        stop, is_data = source.run_at(position)
        stop = min(max(stop, position + 1), end)
        if not is_data:
            hole = start + align_up(position - start, PAGE)
            hole_end = stop if stop == end else start + align_down(stop - start, PAGE)
            if hole < hole_end:
                if run_start < hole:
                    yield run_start, hole - run_start, True
                yield hole, hole_end - hole, False
                run_start = hole_end
        position = stop
    if run_start < end:
        yield run_start, end - run_start, True


def _fingerprint(status: os.stat_result) -> Fingerprint:
    return Fingerprint(status.st_size, status.st_mtime_ns, status.st_dev, status.st_ino)


def _refuse_special(path: Path, mode: int, devices: bool) -> None:
    if stat.S_ISREG(mode) or (devices and stat.S_ISBLK(mode)):
        return
    if stat.S_ISDIR(mode):
        raise SourceReadError(
            str(path), "this is a folder, not a disk image", "Name the .vhd file in it."
        )
    raise SourceReadError(str(path), "this is not a regular file", "Name a .vhd file.")


def _cannot_open(path: Path, exc: OSError | ValueError) -> SourceReadError:
    if isinstance(exc, FileNotFoundError):
        return SourceReadError(str(path), "there is no such file", "Check the path.")
    if isinstance(exc, PermissionError):
        return SourceReadError(
            str(path), "no permission to read the file", "Change its mode, or run as its owner."
        )
    reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
    return SourceReadError(str(path), f"cannot be opened: {reason}", "Check the path.")
