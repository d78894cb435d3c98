"""What every kind of disk image is to the rest of vhdtools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Protocol

from vhdtools.layout import Footer
from vhdtools.ranges import Extent

__all__ = ["DiskImage"]


class DiskImage(Protocol):
    """A disk as its guest sees it: `virtual_size` bytes, read from any thread.

    The image owns its file handles: `close` it, or use it in a `with` statement. After that, its
    methods but `close` raise ValueError, as those of Python's files do.
    """

    @property
    def path(self) -> Path:
        """The file that was opened, as it was named."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the chain: the one that was opened, its parent, and so on."""
        ...

    @property
    def virtual_size(self) -> int:
        """Bytes that the guest sees."""
        ...

    @property
    def footer(self) -> Footer | None:
        """The footer that was gone by: the one that describes the disk; None for a raw disk."""
        ...

    def extents(self, start: int = 0) -> Iterator[Extent]:
        """The disk from byte `start` (a multiple of 512) to its end, tiled by extents in order.

        Neighbours may be alike. Known zeros (holes, unallocated blocks, clear bits) are zero
        extents; a data extent may still read as zeros. Raises SourceReadError, DamagedImageError.
        """
        ...

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """Fill all of `buffer` with the disk's bytes from `offset`; safe from several threads.

        Raises SourceReadError where the file could not be read or ended early (never padding with
        zeros), DamagedImageError where it is found inconsistent, ValueError past the disk's end.
        """
        ...

    def check_unchanged(self) -> None:
        """Raise SourceChangedError if a file of the image was written, cut or replaced since open.

        Compares size, modification time (ns), device and inode of every file of the chain.
        """
        ...

    def close(self) -> None:
        """Close every file; harmless when done before."""
        ...

    def __enter__(self) -> DiskImage: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
