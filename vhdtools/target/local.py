"""A fixed VHD in a local file, sparse where the file system can do it."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from vhdtools.errors import TargetExistsError, TargetRefusedError
from vhdtools.ranges import PAGE, PageRange, align_down, align_up, coalesce
from vhdtools.target.page_target import MAX_WRITE, TargetCapabilities, TargetState

__all__ = ["LocalFileTarget"]


class LocalFileTarget:
    """A sparse file that gets its name when all is written, as a `PageTarget`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: int | None = None
        self._size = 0

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def path(self) -> Path:
        """Where the disk will be."""
        return self._path

    @property
    def capabilities(self) -> TargetCapabilities:
        """A file has no metadata and no lease."""
        return TargetCapabilities(
            creates=True, metadata=False, lease=False, reads=True, clears=True
        )

    def state(self) -> TargetState | None:
        """The file under its own name, if there is one."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return TargetState(size=found.st_size, metadata={})

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        """Make the partial file."""
        if not replace and self._path.exists():
            raise TargetExistsError(
                self.name, "the file exists already", "Pass --overwrite to replace it."
            )
        with self._errors():
            self._file = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
            os.ftruncate(self._file, size)
        self._size = size

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        """Files have no lease."""
        raise ValueError("a local file has no lease")

    def renew_lease(self) -> None:
        """Files have no lease."""
        raise ValueError("a local file has no lease")

    def release_lease(self) -> None:
        """Nothing is held."""

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """Write at the offset."""
        _check_range(offset, len(data), self._size)
        if len(data) > MAX_WRITE:
            raise ValueError(f"{len(data)} bytes are more than {MAX_WRITE}")
        with self._errors(offset):
            done = 0
            while done < len(data):
                done += os.pwrite(self._opened(), data[done:], offset + done)
        return False

    def clear(self, offset: int, length: int) -> None:
        """Write zeros."""
        _check_range(offset, length, self._size)
        with self._errors(offset):
            zeros = memoryview(bytes(MAX_WRITE))
            for start in range(offset, offset + length, MAX_WRITE):
                os.pwrite(self._opened(), zeros[: min(MAX_WRITE, offset + length - start)], start)

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        """What is not a hole."""
        _check_range(offset, length, self._size)
        return coalesce(self._data(offset, offset + length))

    def _data(self, offset: int, end: int) -> Iterator[PageRange]:
        file = self._opened()
        with self._errors(offset):
            while offset < end:
                try:
                    start = os.lseek(file, offset, os.SEEK_DATA)
                except OSError as error:
                    if error.errno == errno.ENXIO:
                        return
                    raise
                stop = os.lseek(file, start, os.SEEK_HOLE)
                first = max(align_down(start, PAGE), offset)
                last = min(align_up(stop, PAGE), end)
                if first < last:
                    yield PageRange(first, last - first)
                offset = max(last, stop)

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Read at the offset."""
        _check_range(offset, len(buffer), self._size)
        with self._errors(offset):
            view = memoryview(buffer)
            done = 0
            while done < len(view):
                got = os.preadv(self._opened(), [view[done:]], offset + done)
                if got == 0:
                    raise TargetRefusedError(self.name, "the file is too short", "", offset + done)
                done += got

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Files have no metadata."""
        raise ValueError("a local file has no metadata")

    def set_content_md5(self, digest: bytes) -> None:
        """Files have no place for it."""

    def finish(self) -> None:
        """Give the file its name."""
        with self._errors():
            file = self._opened()
            os.fsync(file)
            os.close(file)
            self._file = None
            self._partial.replace(self._path)

    def refresh_access(self) -> bool:
        """No credentials, nothing to refresh."""
        return False

    def close(self) -> None:
        """Close, and remove what did not get its name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            with contextlib.suppress(FileNotFoundError):
                self._partial.unlink()

    def _opened(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR)
            self._size = os.fstat(self._file).st_size
        return self._file

    @contextlib.contextmanager
    def _errors(self, offset: int | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise TargetRefusedError(self.name, error.strerror or str(error), "", offset) from error


def _check_range(offset: int, length: int, size: int) -> None:
    if offset < 0 or length <= 0 or offset % PAGE or length % PAGE:
        raise ValueError(f"({offset}, {length}) is not a range of whole {PAGE}-byte pages")
    if offset + length > size:
        raise ValueError(f"({offset}, {length}) is past the end, {size}")
