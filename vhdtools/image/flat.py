"""Disks whose bytes lie in the file as the guest sees them: fixed VHDs, and raw parents."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from vhdtools.image.pieces import check_start, checked_view
from vhdtools.image.reading import UNQUESTIONED, Reading
from vhdtools.image.source import Source, data_runs
from vhdtools.image.zeros import fill_zeros
from vhdtools.layout import Footer
from vhdtools.ranges import PAGE, Extent, align_up

__all__ = ["FlatImage"]


class FlatImage:
    """A `DiskImage` of `size` bytes from byte `base` of `source`, which it owns."""

    __slots__ = ("_base", "_size", "_source", "footer", "reading", "virtual_size")

    def __init__(
        self,
        source: Source,
        base: int,
        size: int,
        footer: Footer | None,
        reading: Reading = UNQUESTIONED,
    ) -> None:
        self.reading = reading
        self._source = source
        self._base = base
        self._size = size
        self.footer = footer
        self.virtual_size = align_up(size, PAGE)

    def __repr__(self) -> str:
        kind = "raw" if self.footer is None else "fixed"
        return f"<{type(self).__name__} {str(self.path)!r}, {kind}, {self.virtual_size:,} bytes>"

    @property
    def path(self) -> Path:
        """The file."""
        return self._source.path

    @property
    def files(self) -> tuple[Path, ...]:
        """The file alone."""
        return (self._source.path,)

    def extents(self, start: int = 0) -> Iterator[Extent]:
        """See `DiskImage.extents`: known zeros are the file's holes."""
        self._source.check_open()
        check_start(start, self.virtual_size)
        return self._extents(start)

    def _extents(self, start: int) -> Iterator[Extent]:
        for offset, length, is_data in data_runs(
            self._source, self._base + start, self._base + self._size
        ):
            at = offset - self._base
            end = self.virtual_size if at + length == self._size else at + length
            yield Extent(at, end - at, zero=not is_data)

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """See `DiskImage.read_into`."""
        self._source.check_open()
        view = checked_view(offset, buffer, self.virtual_size)
        inside = max(0, min(len(view), self._size - offset))
        self._source.read_into(self._base + offset, view[:inside])
        fill_zeros(view[inside:])

    def check_unchanged(self) -> None:
        """See `DiskImage.check_unchanged`."""
        self._source.check_unchanged()

    def close(self) -> None:
        """Close the file; harmless when done before."""
        self._source.close()

    def __enter__(self) -> FlatImage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
