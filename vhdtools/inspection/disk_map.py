"""Where the data of a disk is: the disk cut into equal cells, and what each of them holds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vhdtools.errors import UsageError
from vhdtools.image import BitmapRule, FixedBase, SizeRule
from vhdtools.image.assembling import layer_of
from vhdtools.image.chain import Link
from vhdtools.image.opening import assemble, check_options, open_chain
from vhdtools.ranges import PAGE, PageRange, align_up, coalesce

__all__ = ["Cell", "DiskMap", "map_disk"]


@dataclass(slots=True)
class Cell:
    """Bytes of one cell: `own` data of the file itself, `inherited` from a parent, known `zero`."""

    own: int = 0
    inherited: int = 0
    zero: int = 0

    @property
    def size(self) -> int:
        """All bytes of the cell."""
        return self.own + self.inherited + self.zero


@dataclass(frozen=True, slots=True)
class DiskMap:
    """A disk of `virtual_size` bytes in cells of `cell_size` bytes (the last may have fewer).

    Data may read as zeros, too: nothing was read to draw this but sector bitmaps.
    """

    path: str
    virtual_size: int
    cell_size: int
    cells: tuple[Cell, ...]

    @property
    def total(self) -> Cell:
        """The sums over all cells."""
        return Cell(
            sum(cell.own for cell in self.cells),
            sum(cell.inherited for cell in self.cells),
            sum(cell.zero for cell in self.cells),
        )


def map_disk(
    path: str | os.PathLike[str],
    cells: int,
    *,
    parents: Iterable[str | os.PathLike[str]] = (),
    parent_dirs: Iterable[str | os.PathLike[str]] = (),
    raw_parent: bool = False,
    size_rule: SizeRule = "auto",
    fixed_base: FixedBase | None = None,
    bitmap_rule: BitmapRule = "auto",
) -> DiskMap:
    """Cut a disk into at most `cells` cells of at least 4 KiB, and say what they hold.

    The options are as for `vhdtools.open`, and so are the errors it raises; UsageError is raised
    for less than one cell, too.
    """
    rules = check_options(path, size_rule, fixed_base, bitmap_rule)
    if cells < 1:
        raise UsageError(str(path), f"a map cannot have {cells} cells", "Ask for 1 or more.")
    chain = open_chain(path, rules, parents=parents, parent_dirs=parent_dirs, raw_parent=raw_parent)
    try:
        image = assemble(chain, bitmap_rule, unsure="absent")
        size = image.virtual_size
        cell_size = align_up(max(-(-size // cells), 4096), 4096)
        counted = tuple(Cell() for _ in range(-(-size // cell_size)))
        data = coalesce(
            PageRange(extent.offset, extent.length) for extent in image.extents() if not extent.zero
        )
        alone = len(chain.links) == 1 and chain.raw is None
        own = None if alone else _own(chain.links[0], bitmap_rule)
        _count(counted, cell_size, data, own)
        for number, cell in enumerate(counted):
            cell.zero = min(cell_size, size - number * cell_size) - cell.own - cell.inherited
        return DiskMap(str(path), size, cell_size, counted)
    finally:
        chain.close()


def _own(link: Link, bitmap_rule: BitmapRule) -> Iterator[PageRange]:
    """What the child of a chain holds by itself."""
    if link.structure.header is None:
        return
    blocks = layer_of(link, align_up(link.soundness.guest_size, PAGE), bitmap_rule, "absent")
    yield from coalesce(
        PageRange(offset, length) for offset, length, held in blocks.runs(0) if held == "data"
    )


def _count(
    cells: tuple[Cell, ...],
    cell_size: int,
    data: Iterable[PageRange],
    own: Iterator[PageRange] | None,
) -> None:
    for item in data:
        for number, length in _in_cells(item, cell_size):
            if own is None:
                cells[number].own += length
            else:
                cells[number].inherited += length
    for item in own or ():
        for number, length in _in_cells(item, cell_size):
            cells[number].own += length
            cells[number].inherited -= length


def _in_cells(item: PageRange, cell_size: int) -> Iterator[tuple[int, int]]:
    offset = item.offset
    while offset < item.end:
        number = offset // cell_size
        end = min(item.end, (number + 1) * cell_size)
        yield number, end - offset
        offset = end
