"""Which bytes of a file are the disk, where it can be read in two ways.

What the file shows decides, before the habits of the program that made it; where that leaves two
readings whose bytes differ, nothing is chosen, and the user has to say. Everything here is
computed; `Guest` is the only way to the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from vhdtools.image.partitions import (
    PARTITION_HEAD,
    PartitionEnd,
    is_backup_header,
    partition_end,
)
from vhdtools.image.size import GEOMETRY_CREATORS, SizeRule
from vhdtools.image.structure import Structure
from vhdtools.layout import DiskType, Footer, allocated_blocks
from vhdtools.layout.bitmap import SECTOR

__all__ = [
    "UNQUESTIONED",
    "BitmapRule",
    "Choice",
    "FixedBase",
    "Guest",
    "Reading",
    "choose_base",
    "choose_footer_of",
    "choose_size",
    "reading_of",
]

BitmapRule: TypeAlias = Literal["auto", "bitmap", "data"]
"""What counts in an allocated block: by evidence, its sector bitmap, or all of its data."""

FixedBase: TypeAlias = Literal["start", "end"]
"""Where a fixed disk begins in a file that is too long for it."""

_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Choice:
    """How one thing was read that could be read in two ways.

    `choice` is the value of the option that would have chosen it, `reason` a stable key, `text` the
    whole in words. `contested`: another program may well read the file in the other way. Reasons:
    "option" (the user said so), "one-size" (there is nothing to choose), "file-length", "data"
    (there is data that only this reading has), "room" (the BAT has no entries for the other),
    "partition-table", "end-first" (the footer at the end is written last), "creator" (the habit of
    the program that made the disk), "batmap", "bitmap", and "undecided": the disk must not be read
    before the user has chosen.
    """

    choice: str
    reason: str
    text: str
    contested: bool = True

    @property
    def decided(self) -> bool:
        """Whether the disk may be read so."""
        return self.reason != "undecided"


@dataclass(frozen=True, slots=True)
class Reading:
    """What was chosen for one disk; None for what it gives no choice of.

    `size`: which of the footer's sizes the disk has, "current" or "geometry". `base`: where a
    fixed disk begins in a file that is too long, "start" or "end". `bitmaps`: whether sector
    bitmaps count, "bitmap" or "data", or the batmap ("auto"). `footer`: which of two valid
    footers counts that tell of different disks, "end" or "copy".
    """

    size: Choice | None = None
    base: Choice | None = None
    bitmaps: Choice | None = None
    footer: Choice | None = None

    @property
    def contested(self) -> tuple[Choice, ...]:
        """The choices that another program may make in another way."""
        made = (self.footer, self.size, self.base, self.bitmaps)
        return tuple(choice for choice in made if choice is not None and choice.contested)


UNQUESTIONED = Reading()
"""Of what gives no choice, or is read by no choice of ours."""


class Guest(Protocol):
    """The bytes that a disk has by the reading that has most of them."""

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`."""
        ...

    def may_hold_data(self, start: int, end: int) -> bool:
        """Whether there may be anything but zeros from `start` to `end`: False is proven."""
        ...


def reading_of(image: object) -> Reading:
    """The reading of a disk image; nothing was chosen for an image that does not tell."""
    found = getattr(image, "reading", None)
    return found if isinstance(found, Reading) else UNQUESTIONED


def choose_footer_of(structure: Structure) -> Choice | None:
    """Which footer counts, where both are valid and the disks that they tell of are not the same.

    The one at the end (see `footers.choose_footer`), as programs write it last; None where there
    is no such choice.
    """
    end, copy = structure.end_footer, structure.footer_copy
    if end is None or copy is None or not (end.valid and copy.valid):
        return None
    fields = ("current_size", "geometry", "disk_type", "data_offset", "creator_application")
    differing = [
        field.replace("_", " ")
        for field in fields
        if getattr(end.footer, field) != getattr(copy.footer, field)
    ]
    if not differing:
        return None
    what = "current size" if "current size" in differing else differing[0]
    shown = (
        f", {_size(end.footer.current_size)} and not {_size(copy.footer.current_size)}"
        if what == "current size"
        else ""
    )
    text = f"by the footer at the end, whose copy at the start has another {what}{shown}"
    return Choice("end", "end-first", text)


def choose_size(structure: Structure, rule: SizeRule, guest: Guest | None) -> Choice:
    """Which of its sizes a disk has.

    `guest` is None where the disk's content cannot be read. Raises what the guest raises.
    """
    footer = structure.footer
    assert footer is not None
    current, geometry = footer.current_size, footer.geometry.size
    if rule != "auto":
        size = current if rule == "current" else geometry
        return Choice(rule, "option", f"{_NAMES[rule]} {_size(size)}, as asked for")
    if not geometry or footer.geometry.is_maximal or geometry == current:
        return Choice(
            "current", "one-size", f"current size {_size(current)}, the only one", contested=False
        )
    return _Sizes(structure, footer, guest).choose()


_NAMES = {"current": "current size", "geometry": "the geometry's size,"}


class _Sizes:
    """The two sizes of a disk, and what speaks for each of them."""

    def __init__(self, structure: Structure, footer: Footer, guest: Guest | None) -> None:
        current, geometry = footer.current_size, footer.geometry.size
        self._sizes = {"current": current, "geometry": geometry}
        self._small, self._large = (
            ("geometry", "current") if geometry < current else ("current", "geometry")
        )
        self._by_geometry = footer.creator_application in GEOMETRY_CREATORS
        self._habit = self._small if self._by_geometry and geometry < current else "current"
        self._fixed = footer.disk_type == DiskType.FIXED
        self._structure = structure
        self._guest = guest

    def choose(self) -> Choice:
        """The size that the file shows, else the creator's habit."""
        if self._fixed:
            return self._choose_fixed()
        if not self._by_geometry and self._large == "current":
            return self._made(self._habit, "creator")
        header = self._structure.header
        large, small = self._sizes[self._large], self._sizes[self._small]
        if header is None or not header.block_size:
            return self._made(self._small, "creator")
        room = header.max_table_entries * header.block_size
        if room < large:
            # With a BAT that is too small, data beyond the smaller size must not be lost unsaid.
            if self._large == "current" and self._holds_data(small, room, header.block_size):
                return self._made(self._large, "data")
            return self._made(self._small, "room")
        table = self._table()
        if not self._by_geometry:  # only programs that go by the geometry put data behind the size
            reaches = table is not None and small < table.end <= large
            return self._made(
                *((self._large, "partition-table") if reaches else ("current", "creator"))
            )
        data = self._guest is not None and self._guest.may_hold_data(small, large)
        return self._weigh("data" if data else None, table, data=data)

    def _choose_fixed(self) -> Choice:
        held = self._structure.data_end
        large, small = self._sizes[self._large], self._sizes[self._small]
        if held == small and (self._by_geometry or self._small == "current"):
            return self._made(self._small, "file-length")
        if not self._by_geometry:
            if held in (self._sizes["current"], large):
                name = "current" if held == self._sizes["current"] else self._large
                return self._made(name, "file-length")
            return self._made("current", "creator")
        return self._weigh("file-length" if held >= large else None, self._table(), data=None)

    def _weigh(
        self, for_large: str | None, table: PartitionEnd | None, data: bool | None
    ) -> Choice:
        """`data`: whether any is behind the smaller size; None: to be looked up if need be."""
        large, small = self._sizes[self._large], self._sizes[self._small]
        ends_small = table is not None and table.end == small and self._has_backup(table, small)
        if table is not None and small < table.end <= large and for_large is None:
            for_large = "partition-table"
        if not ends_small:
            return self._made(
                *((self._large, for_large) if for_large else (self._habit, "creator"))
            )
        if for_large is None:
            return self._made(self._small, "partition-table")
        if data is None:
            data = self._guest is None or self._guest.may_hold_data(small, large)
        if not data:  # nothing is lost with the zeros behind the table's end
            return self._made(self._small, "partition-table")
        return Choice(
            self._habit,
            "undecided",
            f"the partition table ends at {_NAMES[self._small].rstrip(',')}, {_size(small)}, and "
            f"there is data up to {_NAMES[self._large].rstrip(',')}, {_size(large)}",
        )

    def _holds_data(self, start: int, end: int, block_size: int) -> bool:
        """Whether there may be data from `start` to `end`; whole blocks count as data."""
        blocks = allocated_blocks(self._structure.bat, -(-start // block_size))
        if next(blocks, None) is not None:
            return True
        return start < end and self._guest is not None and self._guest.may_hold_data(start, end)

    def _table(self) -> PartitionEnd | None:
        if self._guest is None or self._sizes[self._small] < PARTITION_HEAD:
            return None
        return partition_end(self._guest.read(0, PARTITION_HEAD))

    def _has_backup(self, table: PartitionEnd, size: int) -> bool:
        if self._guest is None or table.table != "GPT" or size % SECTOR:
            return False
        return is_backup_header(self._guest.read(size - SECTOR, SECTOR), size)

    def _made(self, name: str, reason: str) -> Choice:
        size, other = self._sizes[name], self._sizes[self._other(name)]
        why = {
            "file-length": "because the file holds exactly that and a footer"
            if self._structure.data_end == size
            else "because the file holds all of it",
            "data": f"because there is data behind {_size(other)}, {_FORMS[self._other(name)]}",
            "room": "because the BAT has entries for no more",
            "partition-table": f"because the partition table {_REACHES[size > other]}",
            "creator": "as the program that made the disk shows it to its guest",
        }[reason]
        contested = self._by_geometry or name == "geometry"
        return Choice(name, reason, f"{_NAMES[name]} {_size(size)}, {why}", contested)

    def _other(self, name: str) -> str:
        return self._small if name == self._large else self._large


_FORMS = {"current": "the current size", "geometry": "the geometry's size"}
_REACHES = {True: "reaches behind the other size", False: "ends there"}


def choose_base(structure: Structure, size: int, guest: Guest) -> Choice | None:
    """Where a fixed disk of `size` bytes begins in a file that is longer; None: undecided.

    `guest` reads the file. A partition table at one of the two places decides, and none at the
    other, if what is left out is zeros, or the table is a GPT whose backup is where the disk ends.
    """
    held = structure.data_end
    spare = held - size
    places: dict[FixedBase, int] = {"start": 0, "end": spare}
    if size < PARTITION_HEAD or size % SECTOR:
        return None
    tables = {
        name: partition_end(guest.read(place, PARTITION_HEAD)) for name, place in places.items()
    }
    found = [name for name, table in tables.items() if table is not None and table.end <= size]
    if len(found) != 1 or all(tables.values()):
        return None
    name = found[0]
    table, base = tables[name], places[name]
    assert table is not None
    whole = table.end == size and is_backup_header(guest.read(base + size - SECTOR, SECTOR), size)
    left_out = (size, held) if name == "start" else (0, spare)
    if not whole and guest.may_hold_data(*left_out):
        return None
    where = "at the file's start" if name == "start" else f"at byte {base:,} and ends at the footer"
    why = f"because there is its partition table ({table.table})"
    return Choice(name, "partition-table", f"the disk begins {where}, {why}")


def _size(size: int) -> str:
    if size and not size % _MIB:
        return f"{size // _MIB:,} MiB"
    return f"{size:,} bytes"
