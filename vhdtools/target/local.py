"""A fixed VHD in a local file, sparse where the file system can do it.

Pages go to a new file beside it, PATH.TOKEN.partial. It becomes PATH only when all is written,
checked and on the disk, so that under its own name there is never half an image. The token is
random: no file that is there is ever written to, and writers of the same PATH do not meet before
they finish. What is replaced hands on its owner and its mode; a symbolic link stays, and the file
that it leads to is replaced. A process that is killed leaves its partial file behind, which may be
deleted.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn

from vhdtools.checksums import crc64 as crc64_of
from vhdtools.errors import (
    ChecksumError,
    TargetError,
    TargetExistsError,
    TargetMissingError,
    TargetRefusedError,
)
from vhdtools.ranges import PageRange
from vhdtools.target.page_target import MAX_WRITE, TargetCapabilities, TargetState, check_range
from vhdtools.target.sparse_file import SparseFile

__all__ = ["LocalFileTarget"]

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


class LocalFileTarget:
    """A file that gets its name when all is written, as a `PageTarget`.

    Before `create` it is the file under that name, which can be read but not written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: SparseFile | None = None
        self._created = False
        self._replace = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def name(self) -> str:
        """The path."""
        return str(self._path)

    @property
    def path(self) -> Path:
        """The file under its own name."""
        return self._path

    @property
    def capabilities(self) -> TargetCapabilities:
        """A file has no place for metadata, and is nobody else's before it has its name."""
        return TargetCapabilities(
            creates=True, metadata=False, lease=False, reads=True, clears=True
        )

    def state(self) -> TargetState | None:
        """The file being written, or else the file under its own name."""
        if self._file is not None:
            return TargetState(size=self._file.size, metadata={})
        with self._errors():
            if not os.path.lexists(self._path):
                return None
            if self._path.is_symlink() and not self._path.exists():
                return TargetState(size=0, metadata={})  # a link to nothing is something, too
            if not self._path.is_file():
                raise TargetRefusedError(
                    self.name, "this is not a file", "Name a file that ends in .vhd."
                )
            return TargetState(size=self._path.stat().st_size, metadata={})

    def create(self, size: int, metadata: Mapping[str, str], *, replace: bool) -> None:
        """Start the partial file, all zeros. `metadata` must be empty: there is no place for it."""
        check_range(0, size, size)
        if metadata:
            _cannot("carry metadata")
        being_written = self._file is not None and self._created
        if self.state() is not None and not replace and not being_written:
            raise self._exists()
        self._close_file()
        with self._errors():
            final = self._final()
            partial = final.with_name(f"{final.name}.{secrets.token_hex(8)}.partial")
            like = final.stat() if replace and final.is_file() else None
            self._file = SparseFile.create(partial, size, like)
        self._created = True
        self._replace = replace

    def acquire_lease(self, lease_id: str, previous: str | None = None) -> None:
        """ValueError."""
        _cannot("be leased")

    def renew_lease(self) -> None:
        """ValueError."""
        _cannot("be leased")

    def release_lease(self) -> None:
        """Nothing is held."""

    def write(self, offset: int, data: memoryview, crc64: int) -> bool:
        """Write at the offset; what was to be written is checked against `crc64` first."""
        file = self._written()
        check_range(offset, len(data), file.size, MAX_WRITE)
        if crc64_of(data) != crc64:
            raise ChecksumError(self.name, "the data's CRC-64 is not the one given", "", offset)
        with self._errors(offset):
            file.write(offset, data)
        return True

    def clear(self, offset: int, length: int) -> None:
        """Punch a hole, or write zeros where the file system has no holes."""
        file = self._written()
        check_range(offset, length, file.size)
        with self._errors(offset):
            file.clear(offset, length)

    def page_ranges(self, offset: int, length: int) -> Iterator[PageRange]:
        """What is not a hole, in whole pages; all of it where the platform cannot tell.

        File systems keep holes in blocks of their own size, so a range may have been written in
        parts only.
        """
        file = self._opened()
        check_range(offset, length, file.size)
        return self._listed(file, offset, offset + length)

    def _listed(self, file: SparseFile, offset: int, end: int) -> Iterator[PageRange]:
        with self._errors(offset):
            yield from file.data_ranges(offset, end)

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Read at the offset."""
        file = self._opened()
        check_range(offset, len(buffer), file.size)
        with self._errors(offset):
            complete = file.read_into(offset, memoryview(buffer))
        if not complete:
            raise TargetRefusedError(
                self.name, "the file ends too early: something else cut it", "Start again.", offset
            )

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """ValueError."""
        _cannot("carry metadata")

    def set_content_md5(self, digest: bytes) -> None:
        """Nothing: there is no place for it."""

    def finish(self) -> None:
        """Have the system write all to the disk, then give the file its name.

        Raises TargetExistsError where something has got that name meanwhile, and `create` was not
        to replace it.
        """
        file = self._written()
        with self._errors():
            try:
                file.finish(self._final(), replace=self._replace)
            except FileExistsError:
                raise self._exists() from None
        self._file = None
        self._created = False

    def refresh_access(self) -> bool:
        """False: there are no credentials."""
        return False

    def close(self) -> None:
        """Close the file, and remove it if it did not get its name: nothing resumes it."""
        self._close_file()

    def _final(self) -> Path:
        """The file that gets written: where the name is a link, what that leads to."""
        return self._path.resolve() if self._path.exists() else self._path

    def _close_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with self._errors():
                file.close(remove=self._created)

    def _exists(self) -> TargetExistsError:
        return TargetExistsError(self.name, "the file exists", "Use --overwrite to replace it.")

    def _written(self) -> SparseFile:
        if self._file is None or not self._created:
            raise ValueError(f"{self.name} was not created by this target")
        return self._file

    def _opened(self) -> SparseFile:
        if self._file is None:
            with self._errors():
                self._file = SparseFile.open(self._path)
        return self._file

    @contextlib.contextmanager
    def _errors(self, offset: int | None = None) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _error(self.name, error, offset) from error


def _error(name: str, error: OSError, offset: int | None) -> TargetError:
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return TargetMissingError(name, reason, "Create the folder, or name another.", offset)
    remedy = "Name another file."
    if error.errno in _FULL:
        remedy = "Make room, or name a file on a disk with more; a sparse file takes what is data."
    elif isinstance(error, PermissionError):
        remedy = "Change the permissions, or name a file where you may write."
    return TargetRefusedError(name, reason, remedy, offset)


def _cannot(what: str) -> NoReturn:
    raise ValueError(f"a local file cannot {what}")
