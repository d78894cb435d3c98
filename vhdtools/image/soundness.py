"""What makes a VHD unsafe to read: every condition, each with a stable code.

`image.open` refuses a disk for the first of them, inspection lists them all as errors; as both
ask here, they never disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

from vhdtools.image.footers import POISON_COOKIE
from vhdtools.image.size import SizeRule, guest_size
from vhdtools.image.structure import MAX_BAT_ENTRIES, Structure
from vhdtools.image.survey import BlockSurvey, Misplaced, survey_blocks
from vhdtools.layout import (
    BAT_ENTRY_SIZE,
    DYNAMIC_HEADER_COOKIE,
    DYNAMIC_HEADER_SIZE,
    FOOTER_COOKIE,
    FOOTER_SIZE,
    NO_DATA_OFFSET,
    DiskType,
    DynamicHeader,
    Footer,
    bitmap_size,
)
from vhdtools.layout.batmap import BATMAP_HEADER_SIZE
from vhdtools.layout.bitmap import SECTOR
from vhdtools.ranges import align_up
from vhdtools.reruns import SIZE_GEOMETRY, Rerun

__all__ = ["MAX_BLOCK_SIZE", "MAX_DYNAMIC_SIZE", "Flaw", "Soundness", "examine", "metadata_regions"]

MAX_DYNAMIC_SIZE = 0xFF00_0000 * SECTOR
"""2040 GiB: what a BAT of 32-bit sector numbers leaves room for, as all producers have it."""
MAX_BLOCK_SIZE = 1 << 31

_MAJOR_VERSION = 1
_RECOVER = "Copy or export the disk again from where it came from."
_EXPORT = (
    "Other programs do not read a dynamic VHD of that size: export the disk in another format "
    "(VHDX, raw) from the program that made it."
)


class Flaw(NamedTuple):
    """One reason not to read a disk: `problem` in the user's words, `offset` in the file.

    `unsupported`: sound perhaps, but nothing that vhdtools reads; else the disk is damaged.
    """

    code: str
    problem: str
    offset: int | None = None
    remedy: str = _RECOVER
    unsupported: bool = False
    reruns: tuple[Rerun, ...] = ()


@dataclass(frozen=True, slots=True)
class Soundness:
    """The flaws of a disk (none: it can be read), its size, and what was seen on the way.

    `guest_size` is in bytes, perhaps no whole sectors. `surplus` is how many bytes a fixed disk's
    file has more than the disk needs: not a flaw, but where the disk begins is then unknown.
    `blocks` is None for a fixed disk, or where there is no table to look at.
    """

    guest_size: int
    flaws: tuple[Flaw, ...]
    surplus: int = 0
    blocks: BlockSurvey | None = None


def examine(structure: Structure, size_rule: SizeRule = "auto") -> Soundness:
    """All flaws of a disk by itself, without its parents."""
    footer = structure.footer
    if footer is None:
        return Soundness(0, (_no_footer(structure),))
    size = guest_size(footer, size_rule)
    flaws = list(_footer_flaws(structure, footer, size))
    if footer.disk_type == DiskType.FIXED:
        flaws += _fixed_flaws(structure, footer, size, size_rule)
        needed = align_up(max(size, footer.current_size), SECTOR)
        surplus = max(0, structure.data_end - needed)
        return Soundness(size, tuple(flaws), surplus)
    if not _is_dynamic(footer):
        return Soundness(size, tuple(flaws))
    header = structure.header
    if header is None or header.cookie != DYNAMIC_HEADER_COOKIE:
        return Soundness(size, (*flaws, _no_header(structure, footer)))
    flaws += _header_flaws(footer, header)
    if not _block_size_fits(header.block_size):
        return Soundness(size, tuple(flaws))
    flaws += _table_flaws(structure, header, size)
    flaws += _region_flaws(structure)
    blocks = None
    needed = -(-size // header.block_size)
    inside = _table_end(structure, header) <= structure.data_end
    if structure.bat and inside and needed <= MAX_BAT_ENTRIES:
        blocks = survey_blocks(
            structure.bat if len(structure.bat) <= needed else structure.bat[:needed],
            header.block_size + bitmap_size(header.block_size),
            structure.data_end,
            metadata_regions(structure),
        )
        flaws += _block_flaws(header, blocks)
    return Soundness(size, tuple(flaws), 0, blocks)


def metadata_regions(structure: Structure) -> list[tuple[int, int, str]]:
    """Where a dynamic or differencing disk keeps what is no block: (offset, length, name)."""
    header, footer = structure.header, structure.footer
    if header is None or footer is None:
        return []
    regions = [
        (0, FOOTER_SIZE, "the footer copy"),
        (footer.data_offset, DYNAMIC_HEADER_SIZE, "the dynamic disk header"),
        (header.table_offset, _table_end(structure, header) - header.table_offset, "the BAT"),
    ]
    if structure.batmap is not None:
        regions.append((structure.batmap.offset, BATMAP_HEADER_SIZE, "the batmap's header"))
        if structure.batmap.bitmap is not None:
            length = len(structure.batmap.bitmap)
            regions.append((structure.batmap.header.map_offset, length, "the batmap"))
    if footer.disk_type == DiskType.DIFFERENCING:
        regions += [
            (found.locator.data_offset, len(found.data), f"parent locator {found.index + 1}")
            for found in structure.parent_locators
            if found.data
        ]
    return regions


def _table_end(structure: Structure, header: DynamicHeader) -> int:
    end = header.table_offset + header.max_table_entries * BAT_ENTRY_SIZE
    if end <= structure.data_end:
        return end
    # An impossible number of entries is a flaw of its own; what was read is looked at.
    return header.table_offset + len(structure.bat) * BAT_ENTRY_SIZE


def _no_footer(structure: Structure) -> Flaw:
    if not structure.file_size:
        return Flaw("empty-file", "the file is empty")
    return Flaw(
        "footer-missing",
        "there is no VHD footer, neither at the end of the file nor at its start",
        max(0, structure.file_size - FOOTER_SIZE),
        "If it is a VHD, it was cut: copy it again.",
    )


def _footer_flaws(structure: Structure, footer: Footer, size: int) -> Iterator[Flaw]:
    used = structure.used
    where = 0 if used is None else used.offset
    for found in (structure.end_footer, structure.footer_copy):
        if found is not None and found.footer.cookie == POISON_COOKIE:
            yield Flaw(
                "disk-disabled",
                "a footer's cookie is v_poison: blktap disabled this disk, and did not enable it "
                "again",
                found.offset,
                "Ask the Xen host's administrator what failed before using the disk.",
            )
    if footer.cookie not in (FOOTER_COOKIE, POISON_COOKIE):
        yield Flaw(
            "footer-cookie",
            f"the footer's cookie is {_cookie_text(footer.cookie)}, not 'conectix'",
            where,
        )
    if used is not None and not used.checksum_ok:
        yield Flaw(
            "footer-checksum",
            f"the footer's checksum is {footer.checksum:#010x}, "
            f"its bytes amount to {footer.computed_checksum:#010x}, and no good copy exists",
            where,
            "Compare the disk with its origin: a byte of the footer was changed.",
        )
    if footer.version >> 16 != _MAJOR_VERSION:
        yield Flaw(
            "footer-version",
            f"the footer is of format version {footer.version >> 16}.{footer.version & 0xFFFF}",
            where + 12,
            "Only version 1 is known.",
            unsupported=True,
        )
    if footer.disk_type not in tuple(DiskType):
        yield Flaw(
            "disk-type",
            f"the disk type is {footer.disk_type}, not 2 (fixed), 3 (dynamic) or 4 (differencing)",
            where + 60,
            unsupported=footer.disk_type in (1, 5, 6),
        )
    if not size:
        yield Flaw("size-zero", "the disk has a size of 0 bytes", where + 48)
    larger = max(size, footer.current_size)
    header = structure.header
    # A BAT that was made for this size says that the size is meant.
    covered = (
        header is not None
        and header.checksum_ok
        and header.max_table_entries * header.block_size >= larger
    )
    if footer.disk_type != DiskType.FIXED and larger > MAX_DYNAMIC_SIZE:
        yield Flaw(
            "size-over-limit",
            f"the disk's size is {larger:,} bytes, more than the 2040 GiB that its type can hold"
            + (", and its BAT covers all of it" if covered else ""),
            where + 48,
            _EXPORT if covered else _RECOVER,
            unsupported=covered,
        )


def _fixed_flaws(structure: Structure, footer: Footer, size: int, rule: SizeRule) -> Iterator[Flaw]:
    yield from _type_flaws(structure, footer)
    of_geometry = structure.data_end == footer.geometry.size < footer.current_size
    if of_geometry and rule == "geometry":
        return
    if structure.end_footer is None:
        yield Flaw(
            "fixed-without-end",
            "a fixed disk's footer is at the start of the file, and none at its end",
            0,
        )
    elif structure.data_end < max(size, footer.current_size):
        yield Flaw(
            "fixed-too-short",
            f"the disk has {max(size, footer.current_size):,} bytes by its footer, "
            f"the file only {structure.data_end:,} in front of it",
            structure.data_end,
            "" if of_geometry else "The file was cut: copy it again.",
            reruns=(SIZE_GEOMETRY,) if of_geometry else (),
        )


def _type_flaws(structure: Structure, footer: Footer) -> Iterator[Flaw]:
    """What shows that a disk of the type fixed is a dynamic one, and not that its guest has one."""
    at_start = None if structure.guest_footer is None else structure.guest_footer.footer
    same_id = at_start is not None and at_start.unique_id == footer.unique_id
    if at_start is not None and same_id and any(footer.unique_id) and _is_dynamic(at_start):
        contrary, offset = "the footer at the file's start, of the same unique id, says dynamic", 0
    elif structure.header_cookie and (at_start is None or same_id):
        contrary = "where the data offset points, there is a dynamic disk header"
        offset = footer.data_offset
    else:
        return
    yield Flaw(
        "disk-type-contradicted",
        f"the disk type is fixed, but {contrary}",
        offset,
        "Find out from the disk's origin whether it is fixed or dynamic.",
    )


def _is_dynamic(footer: Footer) -> bool:
    return footer.disk_type in (DiskType.DYNAMIC, DiskType.DIFFERENCING)


def _no_header(structure: Structure, footer: Footer) -> Flaw:
    offset = footer.data_offset
    if structure.header is None:
        problem = f"should be at byte {offset:,}, but the file has {structure.file_size:,} bytes"
        if offset == NO_DATA_OFFSET:
            problem = "is missing: the disk type needs one, but the data offset is a fixed disk's"
        return Flaw(
            "header-outside-file",
            f"the dynamic disk header {problem}",
            None if structure.used is None else structure.used.offset + 16,
            "The file was cut, or its footer damaged: copy it again.",
        )
    return Flaw(
        "header-cookie",
        f"the dynamic disk header's cookie is {_cookie_text(structure.header.cookie)}, "
        "not 'cxsparse'",
        offset,
    )


def _header_flaws(footer: Footer, header: DynamicHeader) -> Iterator[Flaw]:
    where = footer.data_offset
    if not header.checksum_ok:
        yield Flaw(
            "header-checksum",
            f"the dynamic disk header's checksum is {header.checksum:#010x}, "
            f"its bytes amount to {header.computed_checksum:#010x}",
            where,
        )
    if header.version >> 16 != _MAJOR_VERSION:
        yield Flaw(
            "header-version",
            f"the dynamic disk header is of version "
            f"{header.version >> 16}.{header.version & 0xFFFF}",
            where + 24,
            "Only version 1 is known.",
            unsupported=True,
        )
    if not _block_size_fits(header.block_size):
        yield Flaw(
            "block-size",
            f"the block size is {header.block_size:,} bytes, "
            f"not a power of two from 512 to {MAX_BLOCK_SIZE:,}",
            where + 32,
        )


def _block_size_fits(size: int) -> bool:
    return SECTOR <= size <= MAX_BLOCK_SIZE and not size & (size - 1)


def _geometry_fits(structure: Structure, header: DynamicHeader, size: int) -> bool:
    """Whether a BAT that is too small for `size` has entries for the geometry's size."""
    geometry = 0 if structure.footer is None else structure.footer.geometry.size
    return 0 < geometry < size and geometry <= header.max_table_entries * header.block_size


def _table_flaws(structure: Structure, header: DynamicHeader, size: int) -> Iterator[Flaw]:
    where = structure.header_offset or 0
    needed = -(-size // header.block_size)
    end = header.table_offset + header.max_table_entries * BAT_ENTRY_SIZE
    if header.max_table_entries < needed:
        yield Flaw(
            "bat-too-small",
            f"the BAT has {header.max_table_entries:,} entries, "
            f"the disk needs {needed:,} of {header.block_size:,} bytes each",
            where + 28,
            reruns=(SIZE_GEOMETRY,) if _geometry_fits(structure, header, size) else (),
        )
    if end > structure.data_end:
        yield Flaw(
            "bat-outside-file",
            f"the BAT should end at byte {end:,}, but the disk's data ends at "
            f"{structure.data_end:,}",
            where + 16,
            "The file was cut, or its header damaged: copy it again.",
        )
    elif header.max_table_entries >= needed > MAX_BAT_ENTRIES:
        yield Flaw(
            "bat-too-large",
            f"the BAT has {needed:,} entries, and {MAX_BAT_ENTRIES:,} are the most that are read",
            where + 28,
            "Convert the disk to one with larger blocks.",
            unsupported=True,
        )


def _region_flaws(structure: Structure) -> Iterator[Flaw]:
    regions = [region for region in metadata_regions(structure) if region[1]]
    if structure.footer is not None and structure.header_offset is not None:
        header_end = structure.header_offset + DYNAMIC_HEADER_SIZE
        if header_end > structure.data_end:
            yield Flaw(
                "regions-overlap",
                "the dynamic disk header reaches into the footer",
                structure.header_offset,
            )
    for first, second in combinations(sorted(regions), 2):
        # Two locators may share their data: nothing else may.
        locators = all(region[2].startswith("parent locator") for region in (first, second))
        same_locator = locators and first[:2] == second[:2]
        if second[0] < first[0] + first[1] and not same_locator:
            yield Flaw(
                "regions-overlap", f"{second[2]} and {first[2]} overlap in the file", second[0]
            )


def _block_flaws(header: DynamicHeader, blocks: BlockSurvey) -> Iterator[Flaw]:
    def flaw(code: str, found: Misplaced, problem: str) -> Flaw:
        more = f" ({found.count:,} blocks in all)" if found.count > 1 else ""
        return Flaw(
            code,
            f"block {found.block:,} should be at byte {found.place:,}, {problem}{more}",
            header.table_offset + found.block * BAT_ENTRY_SIZE,
        )

    if blocks.over_metadata is not None:
        found = blocks.over_metadata
        yield flaw("block-over-metadata", found, f"where it overlaps {found.what}")
    if blocks.past_end is not None:
        yield flaw("block-past-end", blocks.past_end, "where it goes past the end of the data")
    if blocks.overlapping is not None:
        found = blocks.overlapping
        yield flaw("blocks-overlap", found, f"where it overlaps block {found.other:,}")


def _cookie_text(cookie: bytes) -> str:
    """A cookie as people read it: text in quotation marks, or else its bytes in hex."""
    if all(0x20 <= byte < 0x7F for byte in cookie):
        return f"'{cookie.decode('ascii')}'"
    return cookie.hex(" ")
