"""Dynamic and differencing disks: block files on top of each other, and perhaps a flat disk below.

A dynamic disk is one layer over zeros; a differencing disk lies over its parent, and that, it may
be, over its own. A sector comes from the first layer that holds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from vhdtools.image.blocks import BlockFile
from vhdtools.image.flat import FlatImage
from vhdtools.image.pieces import check_start, checked_view
from vhdtools.image.reading import UNQUESTIONED, Reading
from vhdtools.image.zeros import fill_zeros
from vhdtools.layout import Footer
from vhdtools.layout.bitmap import SECTOR
from vhdtools.ranges import Extent, align_up

__all__ = ["LayeredImage"]


class LayeredImage:
    """A `DiskImage` of block files, the child first, over a flat disk or (None) over zeros.

    Owns all of them. Where a layer is smaller than the one above, what it lacks is zeros.
    """

    __slots__ = ("_base", "_layers", "footer", "reading", "virtual_size")

    def __init__(
        self,
        layers: Sequence[BlockFile],
        base: FlatImage | None,
        footer: Footer,
        reading: Reading = UNQUESTIONED,
    ) -> None:
        self.reading = reading
        self._layers = tuple(layers)
        self._base = base
        self.footer: Footer | None = footer
        self.virtual_size = align_up(layers[0].size, SECTOR)

    def __repr__(self) -> str:
        depth = len(self.files)
        kind = "dynamic" if depth == 1 else f"differencing, {depth} files"
        return f"<{type(self).__name__} {str(self.path)!r}, {kind}, {self.virtual_size:,} bytes>"

    @property
    def path(self) -> Path:
        """The child's file."""
        return self._layers[0].source.path

    @property
    def files(self) -> tuple[Path, ...]:
        """The layers' files, the child's first, and that of the flat disk below."""
        below = () if self._base is None else self._base.files
        return (*(layer.source.path for layer in self._layers), *below)

    def extents(self, start: int = 0) -> Iterator[Extent]:
        """See `DiskImage.extents`: known zeros are what no layer holds, and holes of the files."""
        self._check_open()
        check_start(start, self.virtual_size)
        below: Iterator[Extent] = iter(()) if self._base is None else _from(self._base, start)
        for layer in reversed(self._layers):
            below = _overlay(layer, below, start)
        return below

    def read_into(self, offset: int, buffer: bytearray | memoryview) -> None:
        """See `DiskImage.read_into`."""
        self._check_open()
        missing = [(offset, checked_view(offset, buffer, self.virtual_size))]
        for layer in self._layers:
            missing = [piece for at, view in missing for piece in layer.fill(at, view)]
        for at, view in missing:
            inside = 0
            if self._base is not None:
                inside = max(0, min(len(view), self._base.virtual_size - at))
                if inside:
                    self._base.read_into(at, view[:inside])
            fill_zeros(view[inside:])

    def _check_open(self) -> None:
        for layer in self._layers:
            layer.source.check_open()

    def check_unchanged(self) -> None:
        """See `DiskImage.check_unchanged`."""
        for layer in self._layers:
            layer.source.check_unchanged()
        if self._base is not None:
            self._base.check_unchanged()

    def close(self) -> None:
        """Close every file; harmless when done before."""
        for layer in self._layers:
            layer.source.close()
        if self._base is not None:
            self._base.close()

    def __enter__(self) -> LayeredImage:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _from(base: FlatImage, start: int) -> Iterator[Extent]:
    """The extents of `base` from `start`, which may be past its end."""
    return base.extents(start) if start <= base.virtual_size else iter(())


def _overlay(layer: BlockFile, below: Iterator[Extent], start: int) -> Iterator[Extent]:
    """The extents of `layer` over those `below`; zeros where `below` has ended."""
    pending: Extent | None = None  # the extent below that reaches furthest so far
    zero_from: int | None = None  # where the zeros begin that are not yet given out
    position = start
    for offset, length, held in layer.runs(start):
        end = offset + length
        while position < end:
            if held != "absent":
                stop, zero = end, held == "zero"
            else:
                while pending is None or pending.end <= position:
                    pending = next(below, None)
                    if pending is None:
                        pending = Extent(position, end - position, zero=True)
                        break
                stop, zero = min(end, pending.end), pending.zero
            if not zero:
                if zero_from is not None:
                    yield Extent(zero_from, position - zero_from, zero=True)
                    zero_from = None
                yield Extent(position, stop - position, zero=False)
            elif zero_from is None:
                zero_from = position
            position = stop
    if zero_from is not None:
        yield Extent(zero_from, position - zero_from, zero=True)
