"""Everything that a VHD says of itself, found and decoded, with nothing judged.

Bad content never raises here: what cannot be found is None or empty, and whoever judges
(`image.soundness` for reading, `inspection` for everything else) says what that means.
"""

from __future__ import annotations

import os
import sys
from array import array
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from vhdtools.image.footers import (
    FoundFooter,
    choose_footer,
    find_copy,
    find_end_footer,
    own_footers,
)
from vhdtools.image.locators import (
    FoundLocator,
    ParentName,
    decode_parent_name,
    find_locators,
)
from vhdtools.image.misplaced import find_misplaced_footer
from vhdtools.image.recognizer import is_no_vhd
from vhdtools.image.source import Readable, Source, open_source
from vhdtools.inputs import local_path
from vhdtools.layout import (
    BAT_ENTRY_SIZE,
    DYNAMIC_HEADER_COOKIE,
    DYNAMIC_HEADER_SIZE,
    DiskType,
    DynamicHeader,
    Footer,
    parse_bat,
    parse_dynamic_header,
)
from vhdtools.layout.batmap import (
    BATMAP_COOKIE,
    BATMAP_HEADER_SIZE,
    BatmapHeader,
    parse_batmap_header,
)
from vhdtools.ranges import align_up

__all__ = ["MAX_BAT_ENTRIES", "FoundBatmap", "Structure", "read_structure"]

MAX_BAT_ENTRIES = 1 << 22
"""The most BAT entries that are read (16 MiB): 2040 GiB in blocks of 512 KiB need fewer."""

_SECTOR = 512


class FoundBatmap(NamedTuple):
    """The batmap of blktap: its header, at byte `offset`, and the map (None: not in the file)."""

    offset: int
    header: BatmapHeader
    bitmap: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Structure:
    """What was found in a file. Offsets and sizes are in bytes.

    `end_footer`: at the end (`trailing_bytes` may follow it); `footer_copy`: at byte 0, None for
    a fixed disk, whose guest owns that place: `guest_footer` is what it has there. `used` is the
    one of the two that counts (see `choose_footer`). `header` is None unless `used` is a dynamic
    or differencing disk's and its data offset leaves room for a header in the file; of any disk,
    `header_cookie` says whether the data offset leads to a header's cookie. `bat` holds the
    entries that the disk needs and the file has, at most `MAX_BAT_ENTRIES`; `bat_padding` the
    bytes between the last of the header's `max_table_entries` and the end of that sector.
    """

    path: Path
    file_size: int
    end_footer: FoundFooter | None
    footer_copy: FoundFooter | None
    used: FoundFooter | None
    header: DynamicHeader | None
    bat: array[int] = field(repr=False)
    bat_padding: bytes = field(repr=False)
    batmap: FoundBatmap | None
    parent_name: ParentName | None
    parent_locators: tuple[FoundLocator, ...]
    guest_footer: FoundFooter | None = None
    header_cookie: bool = False

    @property
    def kept_bytes(self) -> int:
        """About how much memory it takes: what the file's own numbers make long."""
        batmap = None if self.batmap is None else self.batmap.bitmap
        names = [part for found in self.parent_locators for part in (found.data, found.text)]
        parts = (self.bat, batmap, *names)
        return sum(sys.getsizeof(part) for part in parts if part is not None)

    @property
    def footer(self) -> Footer | None:
        """The footer that counts."""
        return None if self.used is None else self.used.footer

    @property
    def header_offset(self) -> int | None:
        """Where the dynamic disk header is, or should be; None for a disk that has none."""
        footer = self.footer
        if footer is None or footer.disk_type not in (DiskType.DYNAMIC, DiskType.DIFFERENCING):
            return None
        return footer.data_offset

    @property
    def trailing_bytes(self) -> int:
        """Bytes behind the end footer (0 where there is none)."""
        return 0 if self.end_footer is None else self.file_size - self.end_footer.end

    @property
    def data_end(self) -> int:
        """Where the blocks or the fixed disk's bytes must end: at the end footer, or the file's."""
        return self.file_size if self.end_footer is None else self.end_footer.offset


def read_structure(file: str | os.PathLike[str] | Readable) -> Structure:
    """Find and decode everything in a file, or in what is open already, and stays so.

    Raises UsageError for a URL, and SourceReadError where the operating system cannot open or read
    it; never for what its bytes say.
    """
    if not isinstance(file, (str, os.PathLike)):
        return _read(file)
    source = open_source(local_path(file))
    try:
        return _read(source)
    finally:
        source.close()


def _read(source: Readable) -> Structure:
    end = find_end_footer(source)
    at_start = find_copy(source) if end is None or end.offset else None
    end, copy = own_footers(end, at_start, source.size)
    if end is not None and copy is None and not _ends_fixed_disk(end, source) and is_no_vhd(source):
        end = None  # part of what the container holds
    elif end is None and at_start is None and isinstance(source, Source):
        end = find_misplaced_footer(source)
    used = choose_footer(end, copy)
    header = None
    if used is not None and used.footer.disk_type in (DiskType.DYNAMIC, DiskType.DIFFERENCING):
        header = _read_header(source, used.footer.data_offset)
    bat, padding, batmap = parse_bat(b""), b"", None
    if header is not None and header.cookie == DYNAMIC_HEADER_COOKIE and used is not None:
        bat, padding = _read_bat(source, header, used.footer)
        batmap = _read_batmap(source, header, bat, used.footer)
    return Structure(
        path=source.path,
        file_size=source.size,
        end_footer=end,
        footer_copy=copy,
        used=used,
        header=header,
        bat=bat,
        bat_padding=padding,
        batmap=batmap,
        parent_name=None if header is None else decode_parent_name(header.parent_name),
        parent_locators=() if header is None else find_locators(source, header),
        guest_footer=at_start if copy is None else None,
        header_cookie=used is not None and _has_header_cookie(source, used.footer.data_offset),
    )


def _ends_fixed_disk(end: FoundFooter, source: Readable) -> bool:
    """Whether it is in every way the footer of a fixed disk, whose guest has byte 0."""
    footer = end.footer
    fixed = footer.disk_type == DiskType.FIXED and footer.current_size == end.offset
    return end.valid and end.end == source.size and fixed


def _has_header_cookie(source: Readable, offset: int) -> bool:
    size = len(DYNAMIC_HEADER_COOKIE)
    return offset + size <= source.size and source.read(offset, size) == DYNAMIC_HEADER_COOKIE


def _read_header(source: Readable, offset: int) -> DynamicHeader | None:
    if offset + DYNAMIC_HEADER_SIZE > source.size:
        return None
    return parse_dynamic_header(source.read(offset, DYNAMIC_HEADER_SIZE))


def _read_bat(source: Readable, header: DynamicHeader, footer: Footer) -> tuple[array[int], bytes]:
    # By either of the sizes that may be the guest's; each bound keeps hostile numbers away.
    size = max(footer.current_size, footer.geometry.size)
    needed = -(-size // header.block_size) if header.block_size else 0
    in_file = max(0, source.size - header.table_offset) // BAT_ENTRY_SIZE
    entries = min(needed, header.max_table_entries, in_file, MAX_BAT_ENTRIES)
    bat = parse_bat(source.read(header.table_offset, entries * BAT_ENTRY_SIZE))
    end = header.table_offset + header.max_table_entries * BAT_ENTRY_SIZE
    padding = min(align_up(end, _SECTOR), source.size) - end
    return bat, source.read(end, padding) if padding > 0 else b""


def _read_batmap(
    source: Readable, header: DynamicHeader, bat: array[int], footer: Footer
) -> FoundBatmap | None:
    offset = align_up(header.table_offset + header.max_table_entries * BAT_ENTRY_SIZE, _SECTOR)
    if offset + BATMAP_HEADER_SIZE > source.size:
        return None
    data = source.read(offset, BATMAP_HEADER_SIZE)
    if not data.startswith(BATMAP_COOKIE) or offset // _SECTOR in bat:  # a block's sector bitmap
        return None
    if footer.disk_type == DiskType.DIFFERENCING and any(
        locator.data_offset == offset and any(locator.platform_code)
        for locator in header.parent_locators
    ):
        return None
    batmap = parse_batmap_header(data)
    length = batmap.map_sectors * _SECTOR
    inside = length <= MAX_BAT_ENTRIES // 8 and batmap.map_offset + length <= source.size
    return FoundBatmap(offset, batmap, source.read(batmap.map_offset, length) if inside else None)
