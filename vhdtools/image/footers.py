"""Where a file's footers are, and which one counts.

The end footer is in the last 512 bytes (or 511, as old Virtual PC wrote it); a dynamic disk keeps
a copy at byte 0. The end footer counts where it is valid, else the copy; see `choose_footer`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from vhdtools.image.source import Readable
from vhdtools.layout import FOOTER_COOKIE, FOOTER_SIZE, DiskType, Footer, parse_footer

__all__ = [
    "POISON_COOKIE",
    "SEARCHED_BACK",
    "FoundFooter",
    "choose_footer",
    "find_copy",
    "find_end_footer",
    "footer_at",
    "footers_at_the_ends",
    "last_footer_in",
    "own_footers",
]

POISON_COOKIE = b"v_poison"
"""What blktap writes over the cookie of a disk that it disabled."""
SEARCHED_BACK = 64 * 1024
"""How far before the end of the file a footer is searched, where foreign bytes follow it."""

_SHORT_FOOTER_SIZE = 511
# These left the checksum as it was when they set the hidden byte (blktap, vhd_validate_footer).
_OLD_TAPDISKS = (0x0000_0001, 0x0001_0001)


class FoundFooter(NamedTuple):
    """A footer and where it is: `offset` and `size` (512, or 511 of old Virtual PC) in bytes."""

    offset: int
    size: int
    footer: Footer

    @property
    def end(self) -> int:
        """The first byte after the footer."""
        return self.offset + self.size

    @property
    def cookie_ok(self) -> bool:
        """Whether the cookie is a VHD's."""
        return self.footer.cookie == FOOTER_COOKIE

    @property
    def valid(self) -> bool:
        """Whether cookie and checksum are right."""
        return self.cookie_ok and self.checksum_ok

    @property
    def checksum_ok(self) -> bool:
        """Whether the checksum is right, as the specification or its creator computes it."""
        return self.footer.checksum_ok or _without_hidden_byte(self.footer).checksum_ok


def find_end_footer(source: Readable) -> FoundFooter | None:
    """The footer at the end of the file, or, with bytes behind it, near the end.

    At the end, a right cookie is enough, or else a checksum that is right for these bytes or for
    these with the cookie mended; in front of other bytes, all must be right, since what a guest
    stores may look like a footer.
    """
    found = _at_the_end(source)
    if found is not None:
        return found
    return last_footer_in(source, max(0, source.size - SEARCHED_BACK), source.size)


def last_footer_in(source: Readable, start: int, end: int) -> FoundFooter | None:
    """The last valid footer between two bytes, but for the copy at byte 0."""
    data = source.read(start, end - start)
    position = data.rfind(FOOTER_COOKIE)
    while position >= 0 and start + position >= FOOTER_SIZE:
        part = data[position : position + FOOTER_SIZE]
        if len(part) == FOOTER_SIZE:
            found = FoundFooter(start + position, FOOTER_SIZE, parse_footer(part))
            if found.valid:
                return found
        position = data.rfind(FOOTER_COOKIE, 0, position + len(FOOTER_COOKIE) - 1)
    return None


def footer_at(source: Readable, offset: int) -> FoundFooter | None:
    """The valid footer at byte `offset`."""
    if not 0 < offset <= source.size - FOOTER_SIZE:
        return None
    found = FoundFooter(offset, FOOTER_SIZE, parse_footer(source.read(offset, FOOTER_SIZE)))
    return found if found.valid else None


def footers_at_the_ends(source: Readable) -> list[FoundFooter]:
    """The valid footers at the very end and at byte 0; nothing else of the file is read."""
    found = (_at_the_end(source), find_copy(source))
    return [item for item in found if item is not None and item.valid]


def find_copy(source: Readable) -> FoundFooter | None:
    """The footer at byte 0, by the rules for the end of the file."""
    if source.size < FOOTER_SIZE:
        return None
    return _footer_in(source.read(0, FOOTER_SIZE), 0)


def own_footers(
    end: FoundFooter | None, copy: FoundFooter | None, file_size: int
) -> tuple[FoundFooter | None, FoundFooter | None]:
    """Which of the footers found are the disk's, and not part of what its guest stored.

    The guest of a fixed disk owns byte 0, that of any disk what is in front of the end.
    """
    if end is not None and end.end < file_size and not _is_the_disks(end, copy):
        end = None
    if end is not None and copy is not None and _guest_owns_start(end, copy):
        copy = None
    return end, copy


def _is_the_disks(inner: FoundFooter, copy: FoundFooter | None) -> bool:
    """Whether a footer that other bytes follow is the disk's."""
    if inner.footer.disk_type == DiskType.FIXED and inner.footer.current_size >= inner.offset:
        return inner.footer.current_size == inner.offset
    return copy is None or _same_disk(inner.footer, copy.footer)


def _guest_owns_start(end: FoundFooter, copy: FoundFooter) -> bool:
    fixed = end.footer.disk_type == DiskType.FIXED
    if end.valid:
        return fixed
    # Of a damaged footer, the type may be what is damaged; the size tells a fixed disk, too.
    fixed = fixed or end.footer.current_size == end.offset
    return fixed and not _same_disk(end.footer, copy.footer)


def _same_disk(one: Footer, other: Footer) -> bool:
    """Whether the unique ids are equal, or nothing else differs, as where the id is damaged."""
    return one.unique_id == other.unique_id or one == replace(
        other, unique_id=one.unique_id, checksum=one.checksum
    )


def choose_footer(end: FoundFooter | None, copy: FoundFooter | None) -> FoundFooter | None:
    """The footer that counts: end, if valid; copy, if valid; else whichever there is, end first."""
    candidates = [found for found in (end, copy) if found is not None]
    return next(
        (found for found in candidates if found.valid), candidates[0] if candidates else None
    )


def _without_hidden_byte(footer: Footer) -> Footer:
    old = footer.creator_application == b"tap\0" and footer.creator_version in _OLD_TAPDISKS
    return replace(footer, reserved=b"\0" + footer.reserved[1:]) if old else footer


def _at_the_end(source: Readable) -> FoundFooter | None:
    for size in (FOOTER_SIZE, _SHORT_FOOTER_SIZE):
        if source.size >= size:
            offset = source.size - size
            found = _footer_in(source.read(offset, size), offset)
            if found is not None:
                return found
    return None


def _footer_in(data: bytes, offset: int) -> FoundFooter | None:
    footer = parse_footer(data.ljust(FOOTER_SIZE, b"\0"))
    known = footer.cookie in (FOOTER_COOKIE, POISON_COOKIE)
    if known or footer.checksum_ok or replace(footer, cookie=FOOTER_COOKIE).checksum_ok:
        return FoundFooter(offset, len(data), footer)
    return None
