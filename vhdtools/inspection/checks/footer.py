"""What is to be said about the footer, its copy, and the sizes it gives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta

from vhdtools.image.footers import POISON_COOKIE, SEARCHED_BACK, FoundFooter
from vhdtools.image.reading import UNQUESTIONED, Reading
from vhdtools.image.soundness import Soundness
from vhdtools.image.structure import Structure
from vhdtools.inspection.describe import (
    CREATORS,
    counts_from_1970,
    creator_name,
    printable,
    quantity,
    size_text,
    time_of,
    version_text,
)
from vhdtools.inspection.finding import Finding, Level
from vhdtools.inspection.kinds import footer as kinds
from vhdtools.layout import (
    FOOTER_FIELDS,
    NO_DATA_OFFSET,
    DiskType,
    Footer,
    geometry_for,
)
from vhdtools.ranges import align_up

__all__ = ["check_fields", "check_footers", "check_sizes"]

_MIB = 1024 * 1024
_KNOWN_FEATURES = 0b11
_CLOCKS_DIFFER = timedelta(hours=24)  # some programs write local time
_NEWEST_TAP = 0x0001_0003

_AT = {place.name: place.offset for place in FOOTER_FIELDS}


def check_footers(structure: Structure) -> Iterator[Finding]:
    """Which footers there are, and whether they agree."""
    end, copy, used = structure.end_footer, structure.footer_copy, structure.used
    if used is None:
        return
    if used.valid and used is copy:
        yield from _end_is_bad(structure)
    elif used.valid and used.footer.disk_type != DiskType.FIXED:
        yield from _check_copy(used, copy)
    if end is not None and end.size < 512:
        # With a copy that is whole, nothing is lost.
        level = Level.INFO if copy is not None and copy.valid else Level.WARNING
        yield kinds.FOOTER_511.found(
            "the footer has 511 bytes, as Virtual PC wrote it before 2004",
            end.offset,
            level=level,
        )
    if structure.trailing_bytes:
        yield _trailing(structure)


def _trailing(structure: Structure) -> Finding:
    end = structure.file_size - structure.trailing_bytes
    far = structure.trailing_bytes > SEARCHED_BACK
    kind = kinds.FOOTER_MISPLACED if far else kinds.TRAILING_BYTES
    remedy = kind.remedy.replace("SIZE", str(end)).replace("NEW.vhd", "{new:-fixed.vhd}")
    return kind.found(
        f"{size_text(structure.trailing_bytes)} follow the footer", end, remedy=remedy
    )


def _end_is_bad(structure: Structure) -> Iterator[Finding]:
    end = structure.end_footer
    if end is None:
        yield kinds.END_FOOTER_MISSING.found(
            "there is no footer at the end of the file; its copy at the start is used",
            structure.file_size,
        )
    elif end.footer.cookie != POISON_COOKIE:
        problem = "a wrong checksum" if end.cookie_ok else "a damaged cookie"
        yield kinds.END_FOOTER_DAMAGED.found(
            f"the footer at the end has {problem}; its copy at the start is used",
            end.offset,
        )


def _check_copy(used: FoundFooter, copy: FoundFooter | None) -> Iterator[Finding]:
    if used.offset == 0:
        return
    if copy is None:
        yield kinds.FOOTER_COPY_MISSING.found(
            "there is no copy of the footer at the start; the footer at the end is used", 0
        )
    elif copy.footer.cookie == POISON_COOKIE:
        return
    elif not copy.valid:
        problem = "a wrong checksum" if copy.cookie_ok else "a damaged cookie"
        yield kinds.FOOTER_COPY_DAMAGED.found(
            f"the footer's copy at the start has {problem}; the footer at the end is used",
            copy.offset,
        )
    else:
        differing = _differing(used, copy)
        if differing:
            yield kinds.FOOTERS_DIFFER.found(
                f"the footer and its copy at the start differ in {', '.join(differing)}; "
                "the footer at the end is used",
                used.offset,
            )


def _differing(used: FoundFooter, copy: FoundFooter) -> list[str]:
    names = [
        field.name
        for field in fields(Footer)
        if getattr(used.footer, field.name) != getattr(copy.footer, field.name)
    ]
    if used.size < 512 and used.footer.reserved[:-1] == copy.footer.reserved[:-1]:
        names = [name for name in names if name not in ("reserved", "checksum")]
    if names == ["reserved"]:
        # Old tapdisks set the hidden byte in one of the two, and leave it out of the checksum.
        ours, theirs = used.footer.reserved, copy.footer.reserved
        return [] if ours[1:] == theirs[1:] else ["reserved bytes"]
    return [name.replace("_", " ") for name in names]


def check_fields(found: FoundFooter, now: datetime) -> Iterator[Finding]:
    """What the fields of the footer that counts say, apart from sizes."""
    footer, at = found.footer, found.offset
    if footer.version >> 16 == 1 and footer.version & 0xFFFF:
        yield kinds.FOOTER_VERSION_MINOR.found(
            f"the footer is of version {version_text(footer.version)}, not 1.0", at + _AT["version"]
        )
    if footer.disk_type == DiskType.FIXED and footer.data_offset != NO_DATA_OFFSET:
        yield kinds.FIXED_DATA_OFFSET.found(
            f"the data offset is 0x{footer.data_offset:X} instead of all ones",
            at + _AT["data_offset"],
        )
    if not footer.features & 0b10:
        yield kinds.FEATURE_RESERVED.found("feature bit 1 is clear", at + _AT["features"])
    if footer.features & ~_KNOWN_FEATURES:
        yield kinds.FEATURES_UNKNOWN.found(
            f"the features are 0x{footer.features:08X}; bits 0 and 1 are known",
            at + _AT["features"],
        )
    if footer.features & 0b01:
        yield kinds.TEMPORARY.found("the disk is marked as temporary", at + _AT["features"])
    if footer.saved_state:
        yield kinds.SAVED_STATE.found(
            "the footer says that the virtual machine was in a saved state"
            + ("" if footer.saved_state == 1 else f" (by the odd value {footer.saved_state})"),
            at + _AT["saved_state"],
        )
    if not any(footer.unique_id):
        yield kinds.UNIQUE_ID_NULL.found("the unique id is all zeros", at + _AT["unique_id"])
    yield from _check_time(footer, at, now)
    if any(footer.reserved[1:]):
        count = sum(byte != 0 for byte in footer.reserved[1:])
        yield kinds.FOOTER_RESERVED.found(
            f"{quantity(count, 'reserved byte')} of the footer "
            f"{'is' if count == 1 else 'are'} not zero",
            at + _AT["reserved"] + 1,
        )
    if footer.reserved[0]:
        yield kinds.HIDDEN.found(
            f"byte 85 holds {footer.reserved[0]}; Xen's tapdisk hides a disk by it",
            at + _AT["reserved"],
        )
        if not footer.checksum_ok and found.valid:
            yield kinds.CHECKSUM_WITHOUT_HIDDEN.found(
                "the checksum is right only without the hidden byte", at + _AT["checksum"]
            )
    if footer.creator_application not in CREATORS:
        name = printable(creator_name(footer.creator_application))
        yield kinds.CREATOR_UNKNOWN.found(
            f"the creator is '{name}'", at + _AT["creator_application"]
        )
    if footer.creator_application == b"tap\0" and footer.creator_version > _NEWEST_TAP:
        yield kinds.CREATOR_VERSION.found(
            f"the disk was made by tapdisk {version_text(footer.creator_version)}",
            at + _AT["creator_version"],
        )


def _check_time(footer: Footer, at: int, now: datetime) -> Iterator[Finding]:
    made = time_of(footer)
    if made > now + _CLOCKS_DIFFER:
        yield kinds.TIME_STAMP_FUTURE.found(
            f"the time stamp is {made:%Y-%m-%d %H:%M:%S} UTC", at + _AT["timestamp"]
        )
    elif counts_from_1970(footer):
        yield kinds.TIME_STAMP_UNIX.found(
            f"the time stamp means {made:%Y-%m-%d %H:%M:%S} UTC, counted from 1970",
            at + _AT["timestamp"],
        )


def check_sizes(
    found: FoundFooter, soundness: Soundness, reading: Reading = UNQUESTIONED
) -> Iterator[Finding]:
    """What is to be said about the sizes, as `examine` found them."""
    footer, at = found.footer, found.offset
    current, guest = footer.current_size, soundness.guest_size
    if soundness.surplus:
        shown = "" if reading.base is None else f"; {reading.base.text}"
        yield kinds.FIXED_TOO_LONG.found(
            f"the disk and its footer need {size_text(current)} and 512 bytes, the file has "
            f"{size_text(soundness.surplus)} more{shown}",
            0,
            remedy=None if reading.base is None else _OTHER_BASE[reading.base.choice],
        )
    if guest % 512:
        yield kinds.SIZE_NOT_SECTORS.found(
            f"the virtual size is {guest:,} bytes, {quantity(guest % 512, 'byte')} more than "
            "whole sectors",
            at + _AT["current_size"],
        )
    elif guest % _MIB:
        yield kinds.SIZE_NOT_MIB.found(
            f"the virtual size is {size_text(guest)}; uploaded, it becomes "
            f"{size_text(align_up(guest, _MIB))}",
            at + _AT["current_size"],
        )
    if guest != current:
        yield kinds.SIZE_BY_GEOMETRY.found(
            f"the virtual size is {size_text(guest)}, by the geometry; the current size is "
            f"{size_text(current)}",
            at + _AT["current_size"],
        )
    elif reading.size is not None and reading.size.contested:
        yield kinds.SIZE_BY_CURRENT.found(
            f"the virtual size is {reading.size.text}", at + _AT["current_size"]
        )
    yield from _check_geometry(footer, at)
    if footer.original_size != current:
        yield kinds.ORIGINAL_SIZE.found(
            f"the disk was made with {size_text(footer.original_size)}, it has "
            f"{size_text(current)}",
            at + _AT["original_size"],
        )


_OTHER_BASE = {
    "start": "If the disk ends at the footer instead, say --fixed-base end.",
    "end": "If the disk begins at the file's start instead, say --fixed-base start.",
}


def _check_geometry(footer: Footer, at: int) -> Iterator[Finding]:
    geometry, current = footer.geometry, footer.current_size
    if geometry.is_maximal or geometry == geometry_for(current):
        return
    shape = f"{geometry.cylinders} × {geometry.heads} × {geometry.sectors_per_track} sectors"
    if geometry.size > current:
        yield kinds.GEOMETRY_ABOVE.found(
            f"the geometry of {shape} is {size_text(geometry.size - current)} above the current "
            "size",
            at + _AT["cylinders"],
        )
    # Less than a cylinder below is what rounding leaves.
    elif current - geometry.size >= max(geometry.heads * geometry.sectors_per_track * 512, 1):
        yield kinds.GEOMETRY_BELOW.found(
            f"the geometry of {shape} is {size_text(current - geometry.size)} below the current "
            "size",
            at + _AT["cylinders"],
        )
